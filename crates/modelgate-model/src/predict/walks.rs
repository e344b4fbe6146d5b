//! Rows through trees, eight walks at a time: a step of each in turn, and no step branches. What a walk waits for, its memory and the
//! comparison, the others do not; and no branch is foreseen wrongly where half of the rows go one way.
//!
//! A leaf sends a walk to itself, so that walks of one length can be of trees that are not equally deep: trees of the same depth
//! are walked together, whatever their order is. Values are compared as whole numbers that are in the same order, and NaN is
//! two of them, the lowest and the highest, so that it needs no question of its own.
//!
//! Source: Asadi, Lin and de Vries, 2014, "Runtime optimizations for tree-based machine learning models": predication and
//! interleaved walks.

mod simd;

use simd::{Count, Firsts, Node, Nodes};
use smallvec::{SmallVec, smallvec};

use crate::estimator::{Tree, TreeNode};

/// Walks at a time.
pub(crate) const WALKS: usize = 8;

/// In deeper trees few rows go all the way: after so many steps it is looked whether all walks have ended.
const STRAIGHT: u32 = 16;
const STEPS: u32 = 6;

/// Keys and trees that need no memory of their own.
const FEW: usize = 128;

/// Bytes of nodes that stay in a cache close by, whichever tree is walked.
const NEAR: usize = 1 << 18;

/// Returns a whole number in the order of the values; 0 for both zeros.
#[inline]
fn key(value: f32) -> i32 {
    let bits = (value + 0.0).to_bits() as i32;
    // Of what is below zero, the larger bits are the lower value.
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// The keys of rows. A row has one that is below all others, which leaves compare with; then one of each feature, where NaN goes left, and
/// once more, where it goes right.
pub(crate) struct Keys {
    keys: SmallVec<[i32; FEW]>,
    features: usize,
}

impl Keys {
    /// Room for so many rows.
    pub(crate) fn new(rows: usize, features: usize) -> Self {
        Self { keys: smallvec![i32::MIN; rows * (1 + 2 * features)], features }
    }

    fn stride(&self) -> usize {
        1 + 2 * self.features
    }

    /// Takes rows in, row-major, from the first place on.
    #[inline]
    pub(crate) fn set(&mut self, matrix: &[f32]) {
        let (stride, features) = (self.stride(), self.features);
        for (keys, row) in self.keys.chunks_exact_mut(stride).zip(matrix.chunks_exact(features)) {
            let (left, right) = keys[1..].split_at_mut(features);
            for ((left, right), value) in left.iter_mut().zip(right).zip(row) {
                let key = key(*value);
                *left = if value.is_nan() { i32::MIN } else { key };
                *right = if value.is_nan() { i32::MAX } else { key };
            }
        }
    }
}

/// Where a tree begins, and how many steps its longest way has.
#[derive(Clone, Copy)]
struct Root {
    at: u32,
    depth: u32,
}

/// Trees of about the same depth, and their numbers; the last group is filled up with its first tree.
struct Group {
    roots: [u32; WALKS],
    numbers: [u32; WALKS],
    depth: u32,
}

struct Trees<C> {
    nodes: Nodes<C>,
    roots: Vec<Root>,
    groups: Vec<Group>,
}

/// Returns the nodes at which walks end.
#[inline]
fn ends<C: Count>(
    nodes: &Nodes<C>,
    mut at: [usize; WALKS],
    depth: u32,
    keys: &[i32],
    firsts: impl Firsts,
) -> [usize; WALKS] {
    if depth <= STRAIGHT {
        return nodes.steps(at, depth, keys, firsts);
    }
    loop {
        let next = nodes.steps(at, STEPS, keys, firsts);
        if next == at {
            return at;
        }
        at = next;
    }
}

impl<C: Count> Trees<C> {
    /// See [`Walks::new`].
    fn new(trees: &[Tree], features: usize, outputs: usize) -> Option<Self> {
        let (mut nodes, mut roots, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for tree in trees {
            roots.push(Root { at: u32::try_from(nodes.len()).ok()?, depth: depth(tree) });
            lay_down(&mut nodes, tree, features, outputs)?;
        }
        let mut order: Vec<u32> = (0..u32::try_from(trees.len()).ok()?).collect();
        order.sort_by_key(|number| roots[*number as usize].depth);
        for numbers in order.chunks(WALKS) {
            let mut filled = [numbers[0]; WALKS];
            filled[..numbers.len()].copy_from_slice(numbers);
            let of = |number: u32| roots[number as usize];
            let depth = filled.map(|number| of(number).depth).into_iter().max().unwrap_or(0);
            groups.push(Group { roots: filled.map(|number| of(number).at), numbers: filled, depth });
        }
        Some(Self { nodes: Nodes::new(nodes, 1 + 2 * features)?, roots, groups })
    }

    /// See [`Walks::one`].
    #[inline]
    fn one(&self, keys: &Keys, visit: impl FnMut(u32)) {
        let mut said: SmallVec<[u32; FEW]> = smallvec![0; self.roots.len()];
        for group in &self.groups {
            let found = ends(&self.nodes, group.roots.map(|at| at as usize), group.depth, &keys.keys, ());
            for (at, number) in found.into_iter().zip(group.numbers) {
                if let Some(said) = said.get_mut(number as usize) {
                    *said = self.nodes.says(at);
                }
            }
        }
        said.into_iter().for_each(visit);
    }

    /// See [`Walks::many`].
    #[inline]
    fn many(&self, number: usize, keys: &Keys, rows: usize, mut visit: impl FnMut(usize, u32)) {
        let Root { at, depth } = self.roots[number];
        for first in (0..rows).step_by(WALKS) {
            // Walks beyond the last row are its.
            let firsts: [usize; WALKS] =
                std::array::from_fn(|walk| (first + walk).min(rows - 1) * keys.stride());
            let found = ends(&self.nodes, [at as usize; WALKS], depth, &keys.keys, firsts);
            for (row, at) in (first..rows).zip(found) {
                visit(row, self.nodes.says(at));
            }
        }
    }
}

/// Lays a tree down: behind each node the way to the right, down to its leaf; then what is left of the last of these nodes, and so on.
fn lay_down<C: Count>(nodes: &mut Vec<Node<C>>, tree: &Tree, features: usize, outputs: usize) -> Option<()> {
    let mut places: Vec<Option<usize>> = vec![None; tree.nodes.len()];
    let mut parents = Vec::new();
    let mut waiting = vec![0];
    while let Some(mut at) = waiting.pop() {
        // A left child may have several parents.
        while places.get(at)?.is_none() {
            let node: &TreeNode = &tree.nodes[at];
            let place = nodes.len();
            places[at] = Some(place);
            if node.is_leaf() {
                let says =
                    if outputs == 1 { tree.values.get(node.left as usize)?.to_bits() } else { node.left };
                let zero = C::try_from(0).ok()?;
                nodes.push(Node { threshold: says as i32, place: zero, step: zero });
                break;
            }
            let side = if node.missing_left() { 1 } else { 1 + features };
            let key_at = C::try_from(side + node.column()).ok()?;
            nodes.push(Node { threshold: key(node.threshold), place: key_at, step: key_at });
            parents.push((place, node));
            waiting.push(node.left as usize);
            at = node.right as usize;
        }
    }
    for (place, node) in parents {
        let [left, right] = [node.left, node.right].map(|child| places[child as usize]);
        // A right child with several parents cannot stand behind each, nor every shared one behind all of its parents.
        if right? != place + 1 {
            return None;
        }
        let step = left?.checked_sub(place)?;
        nodes[place].step = C::try_from(step).ok()?;
    }
    Some(())
}

/// Returns how many comparisons the longest way of a tree has.
fn depth(tree: &Tree) -> u32 {
    let mut depths = vec![0_u32; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
        // Children stand behind their parents.
        let depth = depths[at] + 1;
        for child in [node.left, node.right] {
            let found = &mut depths[child as usize];
            *found = depth.max(*found);
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

/// Trees in this form.
pub(crate) struct Walks(Width);

enum Width {
    Narrow(Trees<u16>),
    Wide(Trees<u32>),
}

impl Walks {
    /// Returns valid trees over `features` columns with `outputs` values a leaf in this form; `None` where nodes are shared in a way
    /// that it has no room for.
    pub(crate) fn new(trees: &[Tree], features: usize, outputs: usize) -> Option<Self> {
        if let Some(narrow) = Trees::new(trees, features, outputs) {
            return Some(Self(Width::Narrow(narrow)));
        }
        Trees::new(trees, features, outputs).map(|wide| Self(Width::Wide(wide)))
    }

    /// Returns whether the nodes of all trees stay in a cache close by.
    pub(crate) fn are_near(&self) -> bool {
        let bytes = match &self.0 {
            Width::Narrow(trees) => trees.nodes.size(),
            Width::Wide(trees) => trees.nodes.size(),
        };
        bytes <= NEAR
    }

    /// Calls `visit` with what the leaf says that a row reaches in each tree, in order: the bits of its value where it has one, else its
    /// place in the values of the tree.
    #[inline]
    pub(crate) fn one(&self, keys: &Keys, visit: impl FnMut(u32)) {
        match &self.0 {
            Width::Narrow(trees) => trees.one(keys, visit),
            Width::Wide(trees) => trees.one(keys, visit),
        }
    }

    /// Calls `visit` with the number of each of the first `rows` rows and what the leaf says that it reaches in a tree.
    #[inline]
    pub(crate) fn many(&self, number: usize, keys: &Keys, rows: usize, visit: impl FnMut(usize, u32)) {
        match &self.0 {
            Width::Narrow(trees) => trees.many(number, keys, rows, visit),
            Width::Wide(trees) => trees.many(number, keys, rows, visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{LEAF, MISSING_LEFT};

    fn numbers() -> impl FnMut() -> u32 {
        let mut state = 11_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        }
    }

    fn leaf(value: u32) -> TreeNode {
        TreeNode { feature: LEAF, threshold: 0.0, left: value, right: 0 }
    }

    /// A tree that splits one of its leaves again and again, the last one only where `deep`; nodes stand behind their parents.
    fn tree(leaves: usize, deep: bool, next: &mut impl FnMut() -> u32) -> Tree {
        let mut nodes = vec![leaf(0)];
        for _ in 1..leaves {
            let at = if deep {
                nodes.len() - 1
            } else {
                let open: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].is_leaf()).collect();
                open[next() as usize % open.len()]
            };
            let children = nodes.len() as u32;
            let missing = if next().is_multiple_of(2) { MISSING_LEFT } else { 0 };
            let threshold = (next() % 9) as f32 - 4.0;
            nodes[at] =
                TreeNode { feature: (next() % 5) | missing, threshold, left: children, right: children + 1 };
            nodes.extend([leaf(0), leaf(0)]);
        }
        let mut count = 0;
        for node in nodes.iter_mut().filter(|node| node.is_leaf()) {
            node.left = count;
            count += 1;
        }
        Tree { nodes, values: (0..2 * count).map(|leaf| leaf as f32).collect(), covers: Vec::new() }
    }

    /// What a row reaches in each tree, alone and among others.
    fn reached(walks: &Walks, trees: usize, matrix: &[f32], features: usize) -> [Vec<Vec<u32>>; 2] {
        let rows = matrix.len() / features;
        let mut alone = Vec::new();
        let mut keys = Keys::new(1, features);
        for row in matrix.chunks_exact(features) {
            keys.set(row);
            let mut found = Vec::new();
            walks.one(&keys, |said| found.push(said));
            alone.push(found);
        }
        let mut among = vec![Vec::new(); rows];
        let mut keys = Keys::new(rows, features);
        keys.set(matrix);
        (0..trees).for_each(|number| walks.many(number, &keys, rows, |row, said| among[row].push(said)));
        [alone, among]
    }

    #[test]
    fn a_row_reaches_the_leaf_that_it_walks_to() {
        let mut next = numbers();
        for (count, leaves, deep) in
            [(1, 2, false), (150, 64, false), (130, 7, false), (20, 500, false), (9, 40, true)]
        {
            let trees: Vec<Tree> =
                (0..count).map(|number| tree(1 + number * 7 % leaves, deep, &mut next)).collect();
            let value = |number: u32| match number {
                0 => f32::NAN,
                1 => -0.0,
                2 => f32::INFINITY,
                3 => f32::NEG_INFINITY,
                4 => -f32::NAN,
                number => number as f32 - 9.0,
            };
            let matrix: Vec<f32> = (0..5 * 99).map(|_| value(next() % 15)).collect();
            for outputs in [1, 2] {
                let walks = Walks::new(&trees, 5, outputs).expect("no node is shared");
                let said = |tree: &Tree, leaf: usize| {
                    if outputs == 1 { tree.values[leaf].to_bits() } else { leaf as u32 }
                };
                let of = |row: &[f32]| trees.iter().map(|tree| said(tree, tree.leaf(row))).collect();
                let expected: Vec<Vec<u32>> = matrix.chunks_exact(5).map(of).collect();
                let found = reached(&walks, count, &matrix, 5);
                assert!(
                    found.iter().all(|found| *found == expected),
                    "{count} trees, {leaves} leaves, {outputs}"
                );
            }
        }
    }

    #[test]
    fn thresholds_are_met_as_numbers_are() {
        let values =
            [f32::MIN, -1.5, -f32::MIN_POSITIVE, -1e-45, -0.0, 0.0, 1e-45, 0.5, f32::MAX, f32::INFINITY];
        for threshold in values.into_iter().chain([f32::NEG_INFINITY]) {
            for missing in [0, MISSING_LEFT] {
                let root = TreeNode { feature: missing, threshold, left: 1, right: 2 };
                let tree =
                    Tree { nodes: vec![root, leaf(0), leaf(1)], values: vec![3.0, 4.0], covers: Vec::new() };
                let walks = Walks::new(std::slice::from_ref(&tree), 1, 1).expect("no node is shared");
                for value in values.into_iter().chain([f32::NAN, f32::NEG_INFINITY]) {
                    let expected = vec![vec![tree.values[tree.leaf(&[value])].to_bits()]];
                    assert_eq!(
                        reached(&walks, 1, &[value], 1),
                        [expected.clone(), expected],
                        "{value} <= {threshold}"
                    );
                }
            }
        }
    }

    #[test]
    fn many_features_and_nodes_have_wide_places() {
        let mut next = numbers();
        let large = tree(40_000, true, &mut next);
        assert!(matches!(Walks::new(std::slice::from_ref(&large), 5, 2), Some(Walks(Width::Wide(_)))));
        let small = tree(9, false, &mut next);
        assert!(matches!(Walks::new(std::slice::from_ref(&small), 5, 2), Some(Walks(Width::Narrow(_)))));
        let features = 40_000;
        let walks = Walks::new(&[small.clone(), large.clone()], features, 2).expect("no node is shared");
        let mut row = vec![0.0; features];
        row[..5].copy_from_slice(&[1.0, f32::NAN, -2.0, 3.0, 0.5]);
        let expected = vec![vec![small.leaf(&row) as u32, large.leaf(&row) as u32]];
        assert_eq!(reached(&walks, 2, &row, features), [expected.clone(), expected]);
    }

    #[test]
    fn left_children_may_have_several_parents_and_right_ones_may_not() {
        let node = |threshold: f32, left: u32, right: u32| TreeNode { feature: 0, threshold, left, right };
        // A set of categories: three comparisons that lead to the same two nodes.
        let nodes = vec![
            node(1.0, 3, 1),
            node(2.0, 3, 2),
            node(3.0, 3, 4),
            node(2.5, 5, 6),
            leaf(0),
            leaf(1),
            leaf(2),
        ];
        let tree = Tree { nodes, values: vec![0.0, 1.0, 2.0], covers: Vec::new() };
        let walks = Walks::new(std::slice::from_ref(&tree), 1, 1).expect("shared on the left");
        for value in [0.5, 1.0, 1.5, 2.75, 3.5, f32::NAN] {
            let expected = vec![vec![tree.values[tree.leaf(&[value])].to_bits()]];
            assert_eq!(reached(&walks, 1, &[value], 1), [expected.clone(), expected], "{value}");
        }
        let shared = vec![node(1.0, 1, 2), node(0.0, 3, 2), leaf(0), leaf(1)];
        let tree = Tree { nodes: shared, values: vec![0.0, 1.0], covers: Vec::new() };
        assert!(Walks::new(std::slice::from_ref(&tree), 1, 1).is_none());
        // 2⁴⁰ ways lead to the last leaf.
        let ways = |at: u32| TreeNode { feature: 0, threshold: 0.0, left: at + 1, right: at + 1 };
        let mut nodes: Vec<TreeNode> = (0..40).map(ways).collect();
        nodes.push(leaf(0));
        let tree = Tree { nodes, values: vec![0.0], covers: Vec::new() };
        assert!(Walks::new(std::slice::from_ref(&tree), 1, 1).is_some_and(|walks| reached(
            &walks,
            1,
            &[1.0],
            1
        )[0][0][0]
            == 0));
    }
}
