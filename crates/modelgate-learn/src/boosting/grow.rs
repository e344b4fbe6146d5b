//! Growing one tree leaf by leaf, the leaf with the largest gain first. Source: Shi, 2007, "Best-first decision tree
//! learning"; sums by bins with the sibling by subtraction as in Ke and others, 2017, "`LightGBM`".
//!
//! Every sum is of whole numbers: it is the same in any order, on any number of threads.

use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use super::best_first::{Growing, Open, Spare, State, looked_at, wanted, work};
use super::bins::CELLS;
use super::divide::{Ground, workers};
use super::loss::Heavy;
use super::simd::BLOCK;
use super::split::{BinSet, Bounds, Split, total};
use crate::pages;
use crate::random::SplitMix64;

/// How far a tree may grow.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) max_leaf_nodes: usize,
    pub(super) max_depth: usize,
    /// Share of the features that a node looks at.
    pub(super) max_features: f64,
}

/// A node of the grown tree.
pub(super) enum Node {
    Leaf(Leaf),
    Inner { split: Split, children: [usize; 2] },
}

/// The rows of a leaf, and between what its value must lie.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    pub(super) place: Place,
    pub(super) bounds: Bounds,
}

/// Where the rows of a node are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    /// Returns the number of rows.
    pub(super) fn count(&self) -> usize {
        self.end - self.start
    }
}

/// Who has the rows of a node.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// Who asked for the tree: the root's.
    Given,
    /// One of the two lists of the grower. The rows of a node go from the one into the other when it is divided, so that a node
    /// which is divided in advance and stays a leaf still has its own as they were.
    First,
    Second,
}

/// The rows of a tree, leaf by leaf.
pub(super) struct Order<'a> {
    given: &'a [u32],
    lists: &'a [Vec<u32>; 2],
}

impl<'a> Order<'a> {
    /// Returns rows, rising.
    pub(super) fn rows(&self, place: Place) -> &'a [u32] {
        let all = match place.side {
            Side::Given => self.given,
            Side::First => &self.lists[0],
            Side::Second => &self.lists[1],
        };
        &all[place.start..place.end]
    }

    /// Returns the number of rows of all leaves.
    pub(super) fn count(&self) -> usize {
        self.given.len()
    }
}

/// Grows trees over the same binned rows; keeps its memory between them.
pub(super) struct Grower {
    /// Room for the rows of nodes, twice.
    lists: [Vec<u32>; 2],
    spare: Spare,
    /// How many open leaves may keep the sums of their bins.
    most_held: usize,
}

/// Bytes of the sums that open leaves keep. Those of a leaf that is one too many are built once more when it is split: wide
/// data or trees without a limit of leaves cost time then, not memory.
const HELD: usize = 256 << 20;

/// From how many rows of a tree on leaves are divided in advance: smaller ones are divided before another thread is awake.
const MANY: usize = 8 * BLOCK;

impl Grower {
    /// `stride` is that of the rows.
    pub(super) fn new(stride: usize) -> Self {
        let most_held = HELD / (stride * 3 * CELLS * size_of::<i32>());
        Self { lists: [Vec::new(), Vec::new()], spare: Spare::default(), most_held }
    }

    /// Returns the rows of the last tree, which was grown over `given`.
    pub(super) fn order<'o>(&'o self, given: &'o [u32]) -> Order<'o> {
        Order { given, lists: &self.lists }
    }

    /// Puts the rows of the last tree, which was grown over `given`, into one list, leaf by leaf from left to right; behind them
    /// those of `count` that it was not grown on.
    pub(super) fn settle(&mut self, nodes: &[Node], given: &[u32], count: usize) {
        let [list, other] = &mut self.lists;
        let leaves = nodes.iter().filter_map(|node| match node {
            Node::Leaf(leaf) => Some(leaf.place),
            Node::Inner { .. } => None,
        });
        for Place { side, start, end } in leaves {
            match side {
                Side::Given => list.copy_from_slice(given),
                Side::First => {}
                Side::Second => list[start..end].copy_from_slice(&other[start..end]),
            }
        }
        if given.len() < count {
            let mut is_in = vec![false; count];
            list.iter().for_each(|row| is_in[*row as usize] = true);
            list.extend((0..count as u32).filter(|row| !is_in[*row as usize]));
        }
    }

    /// Returns what [`settle`](Self::settle) has put together.
    pub(super) fn settled(&self) -> &[u32] {
        &self.lists[0]
    }

    /// Grows a tree over `rows`, rising; `heavy` holds what the pairs lack of some.
    pub(super) fn grow(
        &mut self,
        ground: &Ground<'_>,
        rows: &[u32],
        heavy: Vec<Heavy>,
        shape: Shape,
        random: &mut SplitMix64,
    ) -> Vec<Node> {
        for list in &mut self.lists {
            if list.len() < rows.len() {
                *list = pages::zeros(rows.len());
            }
            list.truncate(rows.len());
        }
        let [first, second] = &mut self.lists;
        let mut spare = std::mem::take(&mut self.spare);
        let mut workers = spare.workers(workers(rows.len(), rows.len(), 0));
        let full: Vec<bool> = ground.binned.most.iter().map(|most| *most as usize > BLOCK).collect();
        let cells = ground.sums(rows, &heavy, &full, &mut workers);
        spare.take_back(workers);
        let (sums, bounds) = (total(&cells[..3 * CELLS]), Bounds::NONE);
        let looked = looked_at(ground, shape, random);
        let split = ground.search(sums, &cells, bounds, looked.as_deref());
        let draws = wanted(ground, shape) < ground.binned.features.len();
        let mut growing = Growing {
            ground: *ground,
            shape,
            random,
            rows: rows.len(),
            nodes: Vec::new(),
            states: Vec::new(),
            open: BinaryHeap::new(),
            waiting: BinaryHeap::new(),
            leaves: 1,
            ahead: 0,
            held: 0,
            most_held: self.most_held,
            active: 1,
            awake: 0,
            // What is drawn is drawn in the order of the splits.
            most_active: if draws || rows.len() < MANY { 1 } else { rayon::current_num_threads() },
            spare,
        };
        let place = Place { side: Side::Given, start: 0, end: rows.len() };
        let open = split.map(|split| Open {
            node: 0,
            place,
            given: Some(rows),
            lists: [first, second],
            heavy,
            depth: 0,
            bounds,
            sums,
            cells,
            split,
        });
        growing.push(Leaf { place, bounds }, open);
        let growing = Mutex::new(growing);
        rayon::scope(|scope| work(scope, &growing));
        let growing = growing.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.spare = growing.spare;
        for state in growing.states {
            match state {
                State::Waiting(open) => self.spare.cells(open.cells),
                State::Divided(done) => {
                    done.divided.cells.into_iter().for_each(|cells| self.spare.cells(cells));
                }
                State::Busy | State::Over => {}
            }
        }
        growing.nodes
    }
}

/// Returns which side a row takes.
pub(super) fn side(goes_left: BinSet, bin: usize) -> usize {
    usize::from(!goes_left.holds(bin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelgate_model::processor::Level;

    use crate::boosting::bins::Binned;
    use crate::boosting::simd;
    use crate::boosting::split::Limits;
    use crate::trainer::FeatureMatrix;

    #[test]
    fn a_tree_is_the_same_when_open_leaves_give_up_their_sums() {
        let values: Vec<f32> = (0..6000).map(|at| ((at * 7919) % 1009) as f32).collect();
        let names = ["a", "b", "c"].map(str::to_owned);
        let matrix = FeatureMatrix { rows: 2000, columns: 3, values: &values, names: &names };
        let rows: Vec<u32> = (0..2000).collect();
        let binned = Binned::new(&matrix, &rows, &rows, 255, &[false; 3], &[0; 3]).expect("bins");
        let pair = |row: u32| simd::pair(((row * 37) % 101) as f32 - 50.0, 10.0, 0.0);
        let pairs: Vec<u32> = (0..2000).map(pair).collect();
        let heavy = |row, gradient| Heavy { row, gradient, hessian: 20 };
        let heavy = vec![heavy(5, 9000), heavy(900, -7000), heavy(1300, 4000)];
        let limits =
            Limits { min_samples_leaf: 5, min_hessian: 0.0, l1: 0.0, l2: 0.0, most: 1e9, units: [0.01, 0.1] };
        let ground = Ground { binned: &binned, level: Level::Baseline, pairs: &pairs, limits: &limits };
        let shape = Shape { max_leaf_nodes: 60, max_depth: usize::MAX, max_features: 1.0 };
        let grown = |most_held: usize| {
            let mut grower = Grower::new(binned.stride);
            grower.most_held = most_held;
            let mut random = SplitMix64::stream(1, 1);
            let nodes = grower.grow(&ground, &rows, heavy.clone(), shape, &mut random);
            let told = |node: &Node| match node {
                Node::Leaf(leaf) => (leaf.place.start, leaf.place.end, 0.0),
                Node::Inner { split, children } => (children[0], split.feature, split.gain),
            };
            let order = grower.order(&rows);
            let of = |node: &Node| match node {
                Node::Leaf(leaf) => order.rows(leaf.place).to_vec(),
                Node::Inner { .. } => Vec::new(),
            };
            let order: Vec<Vec<u32>> = nodes.iter().map(of).collect();
            let nodes: Vec<(usize, usize, f64)> = nodes.iter().map(told).collect();
            (nodes, order, grower.spare.cells.len())
        };
        let all = grown(usize::MAX);
        assert!(all.0.len() > 60 && all.2 > 20, "{} nodes, {} sums", all.0.len(), all.2);
        for few in [0, 1, 3] {
            let found = grown(few);
            assert_eq!((&found.0, &found.1), (&all.0, &all.1), "{few}");
            assert!(found.2 <= few + 4, "{} sums are held", found.2);
        }
    }

    #[test]
    fn a_tree_is_the_same_when_leaves_are_divided_in_advance() {
        let count = 3 * MANY;
        let values: Vec<f32> = (0..count * 5).map(|at| ((at * 7919) % (997 + at % 5)) as f32).collect();
        let matrix = FeatureMatrix { rows: count, columns: 5, values: &values, names: &[] };
        let rows: Vec<u32> = (0..count as u32).filter(|row| row % 11 != 3).collect();
        let binned = Binned::new(&matrix, &rows, &rows, 255, &[false; 5], &[0; 5]).expect("bins");
        let pair = |row: u32| simd::pair(((row * 37) % 101) as f32 - 50.0, 10.0, 0.0);
        let pairs: Vec<u32> = (0..count as u32).map(pair).collect();
        let limits =
            Limits { min_samples_leaf: 5, min_hessian: 0.0, l1: 0.0, l2: 0.0, most: 1e9, units: [0.01, 0.1] };
        let ground = Ground { binned: &binned, level: Level::Baseline, pairs: &pairs, limits: &limits };
        let grown = |threads: usize, max_leaf_nodes: usize| {
            let shape = Shape { max_leaf_nodes, max_depth: 7, max_features: 1.0 };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut grower = Grower::new(binned.stride);
                let mut random = SplitMix64::stream(1, 1);
                let nodes = grower.grow(&ground, &rows, Vec::new(), shape, &mut random);
                let order = grower.order(&rows);
                let told = |node: &Node| match node {
                    Node::Leaf(leaf) => (order.rows(leaf.place).to_vec(), 0, 0.0),
                    Node::Inner { split, children } => (Vec::new(), children[0], split.gain),
                };
                nodes.iter().map(told).collect::<Vec<_>>()
            })
        };
        for leaves in [2, 3, 12, 40] {
            let one = grown(1, leaves);
            assert_eq!(one.len(), 2 * leaves - 1);
            let all = one.iter().flat_map(|node| &node.0);
            assert_eq!(all.clone().count(), rows.len());
            assert!(one.iter().all(|node| node.0.is_sorted()));
            for threads in [2, 3, 8] {
                assert!(grown(threads, leaves) == one, "{leaves} leaves, {threads} threads");
            }
        }
    }
}
