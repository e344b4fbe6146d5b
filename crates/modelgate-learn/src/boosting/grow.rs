//! Growing one tree leaf by leaf, the leaf with the largest gain first. Source: Shi, 2007, "Best-first decision tree
//! learning"; sums by bins with the sibling by subtraction as in Ke and others, 2017, "`LightGBM`".
//!
//! Every sum is of whole numbers: it is the same in any order, on any number of threads.

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::bins::{Binned, CELLS};
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

/// The rows of a leaf, as a range of the grower's order, and its value before the learning rate.
pub(super) struct Leaf {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) value: f64,
    pub(super) bounds: Bounds,
}

/// A leaf that may be split further.
struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    bounds: Bounds,
    sums: Sums,
    cells: Vec<i32>,
    split: Option<Split>,
}

/// Grows trees over the same binned rows; keeps its memory between them.
pub(super) struct Grower<'a> {
    binned: &'a Binned,
    level: Level,
    /// The rows, leaf by leaf once a tree is grown, rising inside each.
    pub(super) order: Vec<u32>,
    spare: Vec<u32>,
    free: Vec<Vec<i32>>,
    packed: Vec<Vec<[i64; CELLS]>>,
}

/// From how many rows on the sums of a node are built by all threads.
const MANY: usize = 4 * BLOCK;

impl<'a> Grower<'a> {
    pub(super) fn new(binned: &'a Binned, level: Level) -> Self {
        Self { binned, level, order: Vec::new(), spare: Vec::new(), free: Vec::new(), packed: Vec::new() }
    }

    /// Grows a tree over `rows`, rising; `pairs` holds gradient and Hessian of every row.
    pub(super) fn grow(
        &mut self,
        rows: &[u32],
        pairs: &[u32],
        limits: &Limits,
        shape: Shape,
        random: &mut SplitMix64,
    ) -> Vec<Node> {
        self.order.clear();
        self.order.extend_from_slice(rows);
        self.spare.resize(rows.len(), 0);
        let cells = self.sums(0, rows.len(), pairs);
        let sums = total(&cells[..3 * CELLS]);
        let mut root = Open {
            node: 0,
            start: 0,
            end: rows.len(),
            depth: 0,
            bounds: Bounds::NONE,
            sums,
            cells,
            split: None,
        };
        let looked = self.looked_at(shape, random);
        root.split = self.search(&root, limits, shape, &looked);
        let mut nodes = vec![leaf(&root, limits)];
        let mut open = vec![root];
        let mut leaves = 1;
        while leaves < shape.max_leaf_nodes {
            let Some(place) = most_gain(&open) else { break };
            let parent = open.swap_remove(place);
            let Some(split) = parent.split else { break };
            let at = parent.node;
            let middle = parent.start + self.partition(parent.start, parent.end, &split);
            let children = [nodes.len(), nodes.len() + 1];
            let (left, right) = self.children(parent, split, middle, children, pairs, limits);
            let features = [self.looked_at(shape, random), self.looked_at(shape, random)];
            let mut pair = [left, right];
            let found = {
                let this = &*self;
                rayon::join(
                    || this.search(&pair[0], limits, shape, &features[0]),
                    || this.search(&pair[1], limits, shape, &features[1]),
                )
            };
            (pair[0].split, pair[1].split) = found;
            for child in pair {
                nodes.push(leaf(&child, limits));
                if child.split.is_some() {
                    open.push(child);
                } else {
                    self.free.push(child.cells);
                }
            }
            nodes[at] = Node::Inner { split, children };
            leaves += 1;
        }
        self.free.extend(open.into_iter().map(|open| open.cells));
        nodes
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

    fn search(
        &self,
        open: &Open,
        limits: &Limits,
        shape: Shape,
        looked: &Option<Vec<bool>>,
    ) -> Option<Split> {
        if open.depth >= shape.max_depth || open.sums.rows / 2 < limits.min_samples_leaf {
            return None;
        }
        let features = self.binned.features.iter().enumerate();
        let one = |(place, feature): (usize, _)| {
            if looked.as_ref().is_some_and(|looked| !looked[place]) {
                return None;
            }
            let cells = &open.cells[place * 3 * CELLS..(place + 1) * 3 * CELLS];
            best_of(place, feature, cells, open.sums, open.bounds, limits)
        };
        if self.binned.features.len() >= 32 && rayon::current_num_threads() > 1 {
            return features.collect::<Vec<_>>().into_par_iter().map(one).reduce(|| None, better);
        }
        features.map(one).fold(None, better)
    }

    /// Returns the sums of each bin over a range of the order, per feature [`CELLS`] gradients, Hessians and rows.
    fn sums(&mut self, start: usize, end: usize, pairs: &[u32]) -> Vec<i32> {
        let Binned { stride, bins, .. } = self.binned;
        let mut sums = self.free.pop().unwrap_or_default();
        sums.clear();
        sums.resize(stride * 3 * CELLS, 0);
        let rows = &self.order[start..end];
        let level = self.level;
        let threads = rayon::current_num_threads();
        let parts = if rows.len() < MANY { 1 } else { threads };
        while self.packed.len() < parts {
            self.packed.push(vec![[0; CELLS]; *stride]);
        }
        let build = |rows: &[u32], packed: &mut Vec<[i64; CELLS]>, sums: &mut [i32]| {
            for block in rows.chunks(BLOCK) {
                simd::add_block(bins, *stride, block, pairs, packed);
                simd::unpack(level, packed, sums);
            }
        };
        if parts == 1 {
            build(rows, &mut self.packed[0], &mut sums);
            return sums;
        }
        let size = rows.len().div_ceil(parts).next_multiple_of(BLOCK);
        let mut others: Vec<Vec<i32>> = (1..parts).map(|_| self.free.pop().unwrap_or_default()).collect();
        for other in &mut others {
            other.clear();
            other.resize(sums.len(), 0);
        }
        let targets: Vec<&mut [i32]> =
            std::iter::once(&mut sums[..]).chain(others.iter_mut().map(|other| &mut other[..])).collect();
        rows.par_chunks(size).zip(self.packed.par_iter_mut()).zip(targets).for_each(
            |((rows, packed), sums)| build(rows, packed, sums),
        );
        for other in others {
            simd::add(level, &mut sums, &other);
            self.free.push(other);
        }
        sums
    }

    /// Moves the rows of a range that go left to its front, both sides in the order they had; returns how many.
    fn partition(&mut self, start: usize, end: usize, split: &Split) -> usize {
        let binned = self.binned;
        let mut table = [0_u8; CELLS];
        for (bin, left) in table.iter_mut().enumerate() {
            *left = u8::from(split.goes_left.holds(bin));
        }
        let feature = split.feature;
        let rows = &mut self.order[start..end];
        let spare = &mut self.spare[start..end];
        let part = |rows: &[u32], spare: &mut [u32]| {
            simd::partition(&binned.bins, binned.stride, feature, &table, rows, spare)
        };
        let size = if rows.len() < MANY { rows.len() } else { BLOCK };
        let lefts: Vec<usize> =
            rows.par_chunks(size).zip(spare.par_chunks_mut(size)).map(|(rows, spare)| part(rows, spare)).collect();
        let count: usize = lefts.iter().sum();
        let (mut to_left, mut to_right) = rows.split_at_mut(count);
        let mut pieces = Vec::with_capacity(lefts.len());
        for (spare, left) in spare.chunks(size).zip(&lefts) {
            let (first, rest) = to_left.split_at_mut(*left);
            let (second, other) = to_right.split_at_mut(spare.len() - left);
            (to_left, to_right) = (rest, other);
            pieces.push((spare, first, second));
        }
        pieces.into_par_iter().for_each(|(spare, left, right)| {
            let (lefts, rights) = spare.split_at(left.len());
            left.copy_from_slice(lefts);
            right.iter_mut().zip(rights.iter().rev()).for_each(|(to, from)| *to = *from);
        });
        count
    }

    /// Returns the two sides of a split: the sums of the smaller are built, those of the other are the rest.
    fn children(
        &mut self,
        parent: Open,
        split: Split,
        middle: usize,
        nodes: [usize; 2],
        pairs: &[u32],
        limits: &Limits,
    ) -> (Open, Open) {
        let Open { start, end, depth, bounds, sums, mut cells, .. } = parent;
        let left_is_smaller = middle - start <= end - middle;
        let (from, to) = if left_is_smaller { (start, middle) } else { (middle, end) };
        let built = self.sums(from, to, pairs);
        simd::subtract(self.level, &mut cells, &built);
        let (left_cells, right_cells) = if left_is_smaller { (built, cells) } else { (cells, built) };
        let right = sums.minus(split.left);
        let [left_bounds, right_bounds] =
            self.bounds(&split, bounds, limits.value(split.left, bounds), limits.value(right, bounds));
        let open = |node, start, end, bounds, sums, cells| Open {
            node,
            start,
            end,
            depth: depth + 1,
            bounds,
            sums,
            cells,
            split: None,
        };
        (
            open(nodes[0], start, middle, left_bounds, split.left, left_cells),
            open(nodes[1], middle, end, right_bounds, right, right_cells),
        )
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

fn leaf(open: &Open, limits: &Limits) -> Node {
    let Open { start, end, bounds, sums, .. } = open;
    Node::Leaf(Leaf { start: *start, end: *end, value: limits.value(*sums, *bounds), bounds: *bounds })
}

/// Returns the place of the leaf with the largest gain; of equal ones the first node's.
fn most_gain(open: &[Open]) -> Option<usize> {
    let gains = open.iter().enumerate().filter_map(|(place, open)| Some((place, open.split?.gain, open.node)));
    gains
        .max_by(|one, other| one.1.total_cmp(&other.1).then(other.2.cmp(&one.2)))
        .map(|(place, ..)| place)
}

/// Returns which side a row takes.
pub(super) fn side(goes_left: BinSet, bin: usize) -> usize {
    usize::from(!goes_left.holds(bin))
}
