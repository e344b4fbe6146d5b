//! The inner loop of walks. It is no loop for wider registers, but what it must not do is the same: ask at each step whether the node and
//! the key that it reads are there takes as long as the step. It is asked once, of all nodes, when trees are laid down.
#![expect(unsafe_code, reason = "a place that was checked when nodes were made is not checked in each step")]

use std::hint::select_unpredictable;

use super::WALKS;

/// A number of places, in 16 bits or in 32: the less there is to be read, the more of it stays in the nearest cache.
pub(super) trait Count: Copy + TryFrom<usize> {
    fn get(self) -> usize;
}

impl Count for u16 {
    #[inline]
    fn get(self) -> usize {
        usize::from(self)
    }
}

impl Count for u32 {
    #[inline]
    fn get(self) -> usize {
        self as usize
    }
}

/// A node: where the key at `place` is above the threshold the walk goes on with the next node, else `step` nodes on.
///
/// A leaf goes no step on, for it compares with what is below all; in place of the threshold it has what it says.
#[derive(Clone, Copy)]
pub(super) struct Node<C> {
    pub(super) threshold: i32,
    pub(super) place: C,
    pub(super) step: C,
}

/// Where the keys of the row of each walk begin.
pub(super) trait Firsts: Copy {
    fn of(self, walk: usize) -> usize;
}

/// At the first key: all walks are of one row.
impl Firsts for () {
    #[inline]
    fn of(self, _: usize) -> usize {
        0
    }
}

impl Firsts for [usize; WALKS] {
    #[inline]
    fn of(self, walk: usize) -> usize {
        self[walk]
    }
}

/// Nodes from which every step leads to a node.
pub(super) struct Nodes<C> {
    /// The last one stays whatever it compares with, so that there is one behind every other.
    nodes: Vec<Node<C>>,
    /// Keys of a row, among which all places are.
    stride: usize,
}

impl<C: Count> Nodes<C> {
    /// Takes nodes that look at `stride` keys of a row; `None` where one leads out of them.
    pub(super) fn new(mut nodes: Vec<Node<C>>, stride: usize) -> Option<Self> {
        let zero = C::try_from(0).ok()?;
        nodes.push(Node { threshold: i32::MAX, place: zero, step: zero });
        let stays = |(at, node): (usize, &Node<C>)| {
            node.place.get() < stride && at.checked_add(node.step.get()).is_some_and(|to| to < nodes.len())
        };
        nodes.iter().enumerate().all(stays).then_some(Self { nodes, stride })
    }

    /// Returns what a leaf says.
    #[inline]
    pub(super) fn says(&self, at: usize) -> u32 {
        self.nodes.get(at).map_or(0, |node| node.threshold as u32)
    }

    /// Returns the bytes of all.
    pub(super) fn size(&self) -> usize {
        size_of_val(&self.nodes[..])
    }

    /// Goes some steps on from the nodes at which walks are; none where there is no such node or there are not as many keys.
    #[inline]
    pub(super) fn steps(
        &self,
        mut at: [usize; WALKS],
        steps: u32,
        keys: &[i32],
        firsts: impl Firsts,
    ) -> [usize; WALKS] {
        let nodes = &self.nodes[..];
        let last = keys.len().checked_sub(self.stride);
        let are_there = at.iter().all(|at| *at < nodes.len())
            && last.is_some_and(|last| (0..WALKS).all(|walk| firsts.of(walk) <= last));
        if !are_there {
            return at;
        }
        for _ in 0..steps {
            for (walk, at) in at.iter_mut().enumerate() {
                // SAFETY: `at` was found to be a node's, and has become that of another since: of one that a step of `Nodes::new` leads to,
                // or of the next one, which the last node, where no key is above the threshold, does not go to.
                let node = unsafe { nodes.get_unchecked(*at) };
                // SAFETY: `place` is below `stride`, and that many keys follow where those of a row begin.
                let key = unsafe { *keys.get_unchecked(firsts.of(walk) + node.place.get()) };
                *at = select_unpredictable(key > node.threshold, *at + 1, *at + node.step.get());
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_lead_out_are_refused_and_walks_from_nowhere_go_no_step() {
        let node = |threshold, place, step| Node::<u16> { threshold, place, step };
        assert!(Nodes::new(vec![node(0, 3, 1)], 3).is_none());
        assert!(Nodes::new(vec![node(0, 0, 2)], 3).is_none());
        let nodes = Nodes::new(vec![node(5, 1, 2), node(0, 0, 0), node(i32::MIN, 2, 1)], 3).expect("nodes");
        let keys = [i32::MIN, 6, 7, i32::MIN, 5, 8];
        let at = [0; WALKS];
        // The last comparison goes on to the last node, and no further.
        let mixed: [usize; WALKS] = std::array::from_fn(|walk| walk % 2 * 3);
        assert_eq!(nodes.steps(at, 9, &keys, mixed), std::array::from_fn(|walk| 1 + walk % 2 * 2));
        assert_eq!(nodes.steps(at, 9, &keys[..5], mixed), at);
        assert_eq!(nodes.steps(at, 9, &keys[..2], ()), at);
        assert_eq!(nodes.steps([4; WALKS], 9, &keys, mixed), [4; WALKS]);
        assert_eq!((nodes.says(0), nodes.says(99)), (5, 0));
    }
}
