//! Growing one tree leaf by leaf, the leaf with the largest gain first. Source: Shi, 2007, "Best-first decision tree
//! learning"; sums by bins with the sibling by subtraction as in Ke and others, 2017, "`LightGBM`".
//!
//! Every sum is of whole numbers: it is the same in any order, on any number of threads.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::bins::{Binned, CELLS};
use super::loss::Heavy;
use super::simd::{self, BLOCK};
use super::split::{BinSet, Bounds, Limits, Split, Sums, best_of, better, total};
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

/// The rows of a leaf, as a range of the grower's order, and between what its value must lie.
pub(super) struct Leaf {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) bounds: Bounds,
}

/// A leaf that may be split further.
struct Open {
    node: usize,
    start: usize,
    end: usize,
    /// Its range of the rows held apart.
    heavy: (usize, usize),
    depth: usize,
    bounds: Bounds,
    sums: Sums,
    /// The sums of its bins; empty where they were given up, see [`HELD`].
    cells: Vec<i32>,
    split: Option<Split>,
}

/// Open leaves, the one with the largest gain first; of equal ones the first node's.
struct ByGain(Open);

impl ByGain {
    fn gain(&self) -> f64 {
        self.0.split.map_or(0.0, |split| split.gain)
    }
}

impl Ord for ByGain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain().total_cmp(&other.gain()).then(other.0.node.cmp(&self.0.node))
    }
}

impl PartialOrd for ByGain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByGain {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByGain {}

/// Which side of a split gets its sums from its rows.
#[derive(Clone, Copy, PartialEq)]
enum Built {
    Left,
    Right,
    Neither,
}

/// Sums the rows of one part of a node.
struct Worker {
    /// Cells of at most [`BLOCK`] rows.
    packed: Vec<[i64; CELLS]>,
    /// Cells of all.
    sums: Vec<i32>,
    /// Rows in `packed`.
    filled: usize,
}

impl Worker {
    /// Adds at most [`BLOCK`] rows.
    fn add(&mut self, binned: &Binned, level: Level, rows: &[u32], pairs: &[u32]) {
        if self.filled + rows.len() > BLOCK {
            self.flush(level);
        }
        simd::add_block(binned, rows, pairs, &mut self.packed);
        self.filled += rows.len();
    }

    fn flush(&mut self, level: Level) {
        if self.filled > 0 {
            simd::unpack(level, &mut self.packed, &mut self.sums);
            self.filled = 0;
        }
    }
}

/// Grows trees over the same binned rows; keeps its memory between them.
pub(super) struct Grower<'a> {
    binned: &'a Binned,
    level: Level,
    /// The rows, leaf by leaf once a tree is grown, rising inside each.
    pub(super) order: Vec<u32>,
    spare: Vec<u32>,
    /// The rows held apart, leaf by leaf.
    heavy: Vec<Heavy>,
    free: Vec<Vec<i32>>,
    packed: Vec<Vec<[i64; CELLS]>>,
    /// Open leaves that keep the sums of their bins, and how many may.
    held: usize,
    most_held: usize,
}

/// From how many rows on the sums of a node are built by all threads.
const MANY: usize = 4 * BLOCK;

/// Bytes of the sums that open leaves keep. Those of a leaf that is one too many are built once more when it is split: wide
/// data or trees without a limit of leaves cost time then, not memory.
const HELD: usize = 256 << 20;

impl<'a> Grower<'a> {
    pub(super) fn new(binned: &'a Binned, level: Level) -> Self {
        let size = binned.stride * 3 * CELLS * size_of::<i32>();
        Self {
            binned,
            level,
            order: Vec::new(),
            spare: Vec::new(),
            heavy: Vec::new(),
            free: Vec::new(),
            packed: Vec::new(),
            held: 0,
            most_held: HELD / size,
        }
    }

    /// Grows a tree over `rows`, rising; `pairs` holds gradient and Hessian of every row, `heavy` what it lacks of some.
    pub(super) fn grow(
        &mut self,
        rows: &[u32],
        pairs: &[u32],
        heavy: Vec<Heavy>,
        limits: &Limits,
        shape: Shape,
        random: &mut SplitMix64,
    ) -> Vec<Node> {
        self.order.clear();
        self.order.extend_from_slice(rows);
        self.spare.resize(rows.len(), 0);
        self.heavy = heavy;
        self.held = 0;
        let heavy = (0, self.heavy.len());
        let cells = self.sums((0, rows.len()), heavy, pairs);
        let sums = total(&cells[..3 * CELLS]);
        let mut root = Open {
            node: 0,
            start: 0,
            end: rows.len(),
            heavy,
            depth: 0,
            bounds: Bounds::NONE,
            sums,
            cells,
            split: None,
        };
        let looked = self.looked_at(shape, random);
        root.split = self.search(&root, limits, looked.as_deref());
        let mut nodes = vec![leaf(&root)];
        let mut open = BinaryHeap::new();
        self.keep(root, &mut open);
        let mut leaves = 1;
        while leaves < shape.max_leaf_nodes {
            let Some(ByGain(parent)) = open.pop() else { break };
            let Some(split) = parent.split else { break };
            self.held -= usize::from(!parent.cells.is_empty());
            let at = parent.node;
            let children = [nodes.len(), nodes.len() + 1];
            let further = leaves + 1 < shape.max_leaf_nodes && parent.depth + 1 < shape.max_depth;
            let mut pair = self.children(parent, split, children, pairs, limits, further);
            if further {
                let features = [self.looked_at(shape, random), self.looked_at(shape, random)];
                let this = &*self;
                let found = rayon::join(
                    || this.search(&pair[0], limits, features[0].as_deref()),
                    || this.search(&pair[1], limits, features[1].as_deref()),
                );
                (pair[0].split, pair[1].split) = found;
            }
            for child in pair {
                nodes.push(leaf(&child));
                self.keep(child, &mut open);
            }
            nodes[at] = Node::Inner { split, children };
            leaves += 1;
        }
        self.free.extend(open.into_iter().map(|ByGain(open)| open.cells).filter(|cells| !cells.is_empty()));
        nodes
    }

    /// Puts a leaf that can be split among the open ones, with its sums while there is room.
    fn keep(&mut self, mut leaf: Open, open: &mut BinaryHeap<ByGain>) {
        let holds = leaf.split.is_some() && !leaf.cells.is_empty() && self.held < self.most_held;
        if holds {
            self.held += 1;
        } else if !leaf.cells.is_empty() {
            self.free.push(std::mem::take(&mut leaf.cells));
        }
        if leaf.split.is_some() {
            open.push(ByGain(leaf));
        }
    }
}

impl Grower<'_> {
    /// Returns which features a node looks at; `None` for all.
    fn looked_at(&self, shape: Shape, random: &mut SplitMix64) -> Option<Vec<bool>> {
        let count = self.binned.features.len();
        let wanted = ((count as f64 * shape.max_features).ceil() as usize).clamp(1, count);
        if wanted == count {
            return None;
        }
        let mut looked = vec![false; count];
        let mut left = wanted;
        for (place, looked) in looked.iter_mut().enumerate() {
            // Each of those still to come is as likely: a draw without putting back.
            *looked = random.below(count - place) < left;
            left -= usize::from(*looked);
        }
        Some(looked)
    }

    fn search(&self, open: &Open, limits: &Limits, looked: Option<&[bool]>) -> Option<Split> {
        if open.sums.rows / 2 < limits.min_samples_leaf {
            return None;
        }
        let features = self.binned.features.iter().enumerate();
        let one = |(place, feature): (usize, _)| {
            if looked.is_some_and(|looked| !looked[place]) {
                return None;
            }
            let cells = &open.cells[place * 3 * CELLS..(place + 1) * 3 * CELLS];
            best_of(self.level, (place, feature), cells, open.sums, open.bounds, limits)
        };
        if self.binned.features.len() >= 32 && rayon::current_num_threads() > 1 {
            return features.collect::<Vec<_>>().into_par_iter().map(one).reduce(|| None, better);
        }
        features.map(one).fold(None, better)
    }

    /// Returns the sums of each bin over a range of the order, and over one of the rows held apart.
    fn sums(&mut self, (start, end): (usize, usize), heavy: (usize, usize), pairs: &[u32]) -> Vec<i32> {
        let (size, mut workers) = self.workers(end - start);
        let (binned, level) = (self.binned, self.level);
        self.order[start..end].par_chunks(size).zip(workers.par_iter_mut()).for_each(|(rows, worker)| {
            rows.chunks(BLOCK).for_each(|rows| worker.add(binned, level, rows, pairs));
            worker.flush(level);
        });
        let mut sums = self.joined(workers);
        self.add_heavy(heavy, &mut sums);
        sums
    }

    /// Adds rows that are held apart.
    fn add_heavy(&self, (start, end): (usize, usize), sums: &mut [i32]) {
        for heavy in &self.heavy[start..end] {
            for (feature, cells) in
                sums.chunks_exact_mut(3 * CELLS).enumerate().take(self.binned.features.len())
            {
                let bin = self.binned.bin(heavy.row, feature);
                cells[bin] = cells[bin].wrapping_add(heavy.gradient);
                cells[CELLS + bin] = cells[CELLS + bin].wrapping_add(heavy.hessian as i32);
            }
        }
    }

    /// Moves the rows of a range that are held apart and go left to its front; returns where the others begin.
    fn divide_heavy(&mut self, (start, end): (usize, usize), split: &Split) -> usize {
        let (binned, feature) = (self.binned, split.feature);
        let goes_left = |heavy: &Heavy| split.goes_left.holds(binned.bin(heavy.row, feature));
        let heavy = &mut self.heavy[start..end];
        heavy.sort_by_key(|heavy| !goes_left(heavy));
        start + heavy.partition_point(goes_left)
    }

    /// Returns how many rows a part of the work on `rows` has, and who sums each part.
    fn workers(&mut self, rows: usize) -> (usize, Vec<Worker>) {
        let parts = if rows < MANY { 1 } else { rayon::current_num_threads() };
        let size = rows.div_ceil(parts).next_multiple_of(BLOCK);
        let stride = self.binned.stride;
        let worker = || {
            let mut sums = self.free.pop().unwrap_or_default();
            sums.clear();
            sums.resize(stride * 3 * CELLS, 0);
            let packed = self.packed.pop().unwrap_or_else(|| vec![[0; CELLS]; stride]);
            Worker { packed, sums, filled: 0 }
        };
        (size, std::iter::repeat_with(worker).take(parts).collect())
    }

    /// Returns the sums of all workers together.
    fn joined(&mut self, workers: Vec<Worker>) -> Vec<i32> {
        let mut joined: Option<Vec<i32>> = None;
        for Worker { packed, sums, .. } in workers {
            self.packed.push(packed);
            match &mut joined {
                None => joined = Some(sums),
                Some(joined) => {
                    simd::add(self.level, joined, &sums);
                    self.free.push(sums);
                }
            }
        }
        joined.unwrap_or_default()
    }

    /// Moves the rows of a range that go left to its front, both sides in the order they had; returns how many, and the
    /// sums of one side: they are built block by block, while its rows are still in the cache.
    fn divide(
        &mut self,
        (start, end): (usize, usize),
        split: &Split,
        built: Built,
        pairs: &[u32],
    ) -> (usize, Option<Vec<i32>>) {
        let (binned, level, feature) = (self.binned, self.level, split.feature);
        let mut table = [0_u8; CELLS];
        for (bin, left) in table.iter_mut().enumerate() {
            *left = u8::from(split.goes_left.holds(bin));
        }
        let (size, mut workers) = self.workers(end - start);
        let rows = &mut self.order[start..end];
        let spare = &mut self.spare[start..end];
        let block = |rows: &[u32], spare: &mut [u32], worker: &mut Worker| {
            let left = simd::partition(binned, feature, &table, rows, spare);
            match built {
                Built::Left => worker.add(binned, level, &spare[..left], pairs),
                Built::Right => worker.add(binned, level, &spare[left..], pairs),
                Built::Neither => {}
            }
            left
        };
        let parts = rows.par_chunks(size).zip(spare.par_chunks_mut(size)).zip(workers.par_iter_mut());
        let lefts: Vec<Vec<usize>> = parts
            .map(|((rows, spare), worker)| {
                let blocks = rows.chunks(BLOCK).zip(spare.chunks_mut(BLOCK));
                let lefts = blocks.map(|(rows, spare)| block(rows, spare, worker)).collect();
                worker.flush(level);
                lefts
            })
            .collect();
        let lefts = lefts.concat();
        let count: usize = lefts.iter().sum();
        let (mut to_left, mut to_right) = rows.split_at_mut(count);
        let mut pieces = Vec::with_capacity(lefts.len());
        for (spare, left) in spare.chunks(BLOCK).zip(&lefts) {
            let (first, rest) = to_left.split_at_mut(*left);
            let (second, other) = to_right.split_at_mut(spare.len() - left);
            (to_left, to_right) = (rest, other);
            pieces.push((spare, first, second));
        }
        pieces.into_par_iter().with_min_len(4).for_each(|(spare, left, right)| {
            let (lefts, rights) = spare.split_at(left.len());
            left.copy_from_slice(lefts);
            right.iter_mut().zip(rights.iter().rev()).for_each(|(to, from)| *to = *from);
        });
        let sums = self.joined(workers);
        if built == Built::Neither {
            self.free.push(sums);
            return (count, None);
        }
        (count, Some(sums))
    }

    /// Makes the two sides of a split: the sums of the smaller are built, those of the other are the rest. Without
    /// `further` they stay leaves and need none.
    fn children(
        &mut self,
        parent: Open,
        split: Split,
        nodes: [usize; 2],
        pairs: &[u32],
        limits: &Limits,
        further: bool,
    ) -> [Open; 2] {
        let Open { start, end, heavy, depth, bounds, sums, mut cells, .. } = parent;
        let right = sums.minus(split.left);
        let built = match further {
            false => Built::Neither,
            true if split.left.rows <= right.rows => Built::Left,
            true => Built::Right,
        };
        let (count, found) = self.divide((start, end), &split, built, pairs);
        let middle = start + count;
        let heavy_middle = self.divide_heavy(heavy, &split);
        let (left_heavy, right_heavy) = ((heavy.0, heavy_middle), (heavy_middle, heavy.1));
        let (left_cells, right_cells) = match found {
            None => {
                if !cells.is_empty() {
                    self.free.push(cells);
                }
                (Vec::new(), Vec::new())
            }
            Some(mut found) => {
                let left_is_built = built == Built::Left;
                self.add_heavy(if left_is_built { left_heavy } else { right_heavy }, &mut found);
                if !cells.is_empty() {
                    simd::subtract(self.level, &mut cells, &found);
                } else if left_is_built {
                    cells = self.sums((middle, end), right_heavy, pairs);
                } else {
                    cells = self.sums((start, middle), left_heavy, pairs);
                }
                if left_is_built { (found, cells) } else { (cells, found) }
            }
        };
        let [left_bounds, right_bounds] =
            self.bounds(&split, bounds, limits.value(split.left, bounds), limits.value(right, bounds));
        let open = |node, start, end, heavy, bounds, sums, cells| Open {
            node,
            start,
            end,
            heavy,
            depth: depth + 1,
            bounds,
            sums,
            cells,
            split: None,
        };
        [
            open(nodes[0], start, middle, left_heavy, left_bounds, split.left, left_cells),
            open(nodes[1], middle, end, right_heavy, right_bounds, right, right_cells),
        ]
    }

    /// The two sides of a split by a monotone feature meet in the middle, and never cross it further down.
    fn bounds(&self, split: &Split, bounds: Bounds, left: f64, right: f64) -> [Bounds; 2] {
        let middle = f64::midpoint(left, right);
        let (below, above) = (Bounds { high: middle, ..bounds }, Bounds { low: middle, ..bounds });
        match self.binned.features[split.feature].monotonic {
            0 => [bounds, bounds],
            sign if sign > 0 => [below, above],
            _ => [above, below],
        }
    }
}

fn leaf(open: &Open) -> Node {
    Node::Leaf(Leaf { start: open.start, end: open.end, bounds: open.bounds })
}

/// Returns which side a row takes.
pub(super) fn side(goes_left: BinSet, bin: usize) -> usize {
    usize::from(!goes_left.holds(bin))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let limits = Limits { min_samples_leaf: 5, min_hessian: 0.0, l1: 0.0, l2: 0.0, units: [0.01, 0.1] };
        let shape = Shape { max_leaf_nodes: 60, max_depth: usize::MAX, max_features: 1.0 };
        let grown = |most_held: usize| {
            let mut grower = Grower::new(&binned, Level::Baseline);
            grower.most_held = most_held;
            let mut random = SplitMix64::stream(1, 1);
            let nodes = grower.grow(&rows, &pairs, heavy.clone(), &limits, shape, &mut random);
            let told = |node: &Node| match node {
                Node::Leaf(leaf) => (leaf.start, leaf.end, 0.0),
                Node::Inner { split, children } => (children[0], split.feature, split.gain),
            };
            let nodes: Vec<(usize, usize, f64)> = nodes.iter().map(told).collect();
            (nodes, grower.order.clone(), grower.free.len())
        };
        let all = grown(usize::MAX);
        assert!(all.0.len() > 60 && all.2 > 20, "{} nodes, {} sums", all.0.len(), all.2);
        for few in [0, 1, 3] {
            let found = grown(few);
            assert_eq!((&found.0, &found.1), (&all.0, &all.1), "{few}");
            assert!(found.2 <= few + 4, "{} sums are held", found.2);
        }
    }
}
