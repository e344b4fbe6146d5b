//! One row through all trees at once: the comparisons of a feature stand in the order of their thresholds, so that those which
//! a value fails are the first ones, and each takes the leaves that it rules out from the mask of its tree. There is no walk
//! that waits for memory and, per feature, one branch that cannot be foreseen.
//!
//! Source: Lucchese and others, 2015, "`QuickScorer`: a fast algorithm to rank documents with additive ensembles of
//! regression trees".

use std::ops::BitAndAssign;

use crate::estimator::{Tree, TreeNode};

/// Leaves that a wide mask has a bit for.
const MOST: usize = 64;

/// Which leaves of a tree can still be reached; the first one is the lowest bit.
trait Mask: BitAndAssign + Copy {
    const ALL: Self;

    /// Returns the mask with only its lowest bits.
    fn cut(mask: u64) -> Self;

    /// Returns the first leaf that is left.
    fn first(self) -> usize;
}

impl Mask for u32 {
    const ALL: Self = Self::MAX;

    fn cut(mask: u64) -> Self {
        mask as Self
    }

    fn first(self) -> usize {
        self.trailing_zeros() as usize
    }
}

impl Mask for u64 {
    const ALL: Self = Self::MAX;

    fn cut(mask: u64) -> Self {
        mask
    }

    fn first(self) -> usize {
        self.trailing_zeros() as usize
    }
}

/// The comparisons of a feature, rising by threshold. A row that fails one, so that it does not go left, cannot reach the leaves
/// whose bits are not in its mask.
struct Feature<M> {
    thresholds: Vec<f32>,
    /// The mask of each, and the number of its tree.
    masks: Vec<M>,
    trees: Vec<u16>,
    /// Those that NaN fails.
    missing: Vec<u32>,
}

impl<M> Default for Feature<M> {
    fn default() -> Self {
        Self { thresholds: Vec::new(), masks: Vec::new(), trees: Vec::new(), missing: Vec::new() }
    }
}

impl Feature<u64> {
    /// Returns the comparisons in order, with masks of another width.
    fn sorted<M: Mask>(&self) -> Feature<M> {
        let mut order: Vec<u32> = (0..self.trees.len() as u32).collect();
        order.sort_by(|one, other| {
            let threshold = |place: &u32| self.thresholds[*place as usize];
            threshold(one).total_cmp(&threshold(other))
        });
        let mut places = vec![0_u32; order.len()];
        order.iter().zip(0..).for_each(|(from, to)| places[*from as usize] = to);
        Feature {
            thresholds: order.iter().map(|place| self.thresholds[*place as usize]).collect(),
            masks: order.iter().map(|place| M::cut(self.masks[*place as usize])).collect(),
            trees: order.iter().map(|place| self.trees[*place as usize]).collect(),
            missing: self.missing.iter().map(|place| places[*place as usize]).collect(),
        }
    }
}

/// Trees feature by feature, with one width of masks.
struct Sorted<M> {
    features: Vec<Feature<M>>,
    /// Where the leaves of each tree begin.
    firsts: Vec<u32>,
    /// Row-major `[leaves × outputs]`, the leaves of a tree from left to right.
    values: Vec<f32>,
    outputs: usize,
}

/// Features whose thresholds are searched side by side.
const SEARCHES: usize = 16;

/// Trees whose masks need no memory of their own.
const FEW: usize = 128;

impl<M: Mask> Sorted<M> {
    /// Calls `fails` with the tree and the mask of each comparison that a row fails.
    #[inline]
    fn failed(&self, row: &[f32], mut fails: impl FnMut(usize, M)) {
        for (row, features) in row.chunks(SEARCHES).zip(self.features.chunks(SEARCHES)) {
            // All of them are looked for before any is used: a search need not wait until it is known how the use of another ended.
            let mut counts = [0; SEARCHES];
            for ((count, value), feature) in counts.iter_mut().zip(row).zip(features) {
                *count = feature.thresholds.partition_point(|threshold| *value > *threshold);
            }
            for ((count, value), feature) in counts.into_iter().zip(row).zip(features) {
                if value.is_nan() {
                    for place in &feature.missing {
                        fails(usize::from(feature.trees[*place as usize]), feature.masks[*place as usize]);
                    }
                    continue;
                }
                for (mask, tree) in feature.masks[..count].iter().zip(&feature.trees[..count]) {
                    fails(usize::from(*tree), *mask);
                }
            }
        }
    }

    /// See [`SortedTrees::each`].
    #[inline]
    fn each(&self, row: &[f32], visit: impl FnMut(&[f32])) {
        if self.firsts.len() <= FEW {
            let mut kept = [M::ALL; FEW];
            // No place is beyond the end: nothing is left to be checked.
            self.failed(row, |tree, mask| kept[tree % FEW] &= mask);
            self.reached(&kept, visit);
        } else {
            let mut kept = vec![M::ALL; self.firsts.len()];
            self.failed(row, |tree, mask| kept[tree] &= mask);
            self.reached(&kept, visit);
        }
    }

    /// Calls `visit` with the values of the first leaf that is left of each tree.
    #[inline]
    fn reached(&self, kept: &[M], mut visit: impl FnMut(&[f32])) {
        for (mask, first) in kept.iter().zip(&self.firsts) {
            let leaf = (*first as usize + mask.first()) * self.outputs;
            if let Some(values) = self.values.get(leaf..leaf + self.outputs) {
                visit(values);
            }
        }
    }
}

/// Trees of at most 64 leaves each, feature by feature.
pub(crate) struct SortedTrees(Width);

/// How many leaves the masks have a bit for: the less there is to be read, the more of it stays in the nearest cache.
enum Width {
    Narrow(Sorted<u32>),
    Wide(Sorted<u64>),
}

impl SortedTrees {
    /// Returns valid trees with `outputs` values a leaf over `features` columns in this form; `None` when one has too many leaves,
    /// counted once per way to them, or there are too many trees.
    pub(crate) fn new(trees: &[Tree], features: usize, outputs: usize) -> Option<Self> {
        let mut open = Opened {
            features: std::iter::repeat_with(Feature::default).take(features).collect(),
            leaves: Vec::new(),
            first: 0,
        };
        let (mut firsts, mut values, mut most) = (Vec::new(), Vec::new(), 0);
        for (number, tree) in trees.iter().enumerate() {
            firsts.push(u32::try_from(open.leaves.len()).ok()?);
            open.first = open.leaves.len();
            open.add(tree, u16::try_from(number).ok()?, 0, 0)?;
            let leaves = &open.leaves[open.first..];
            most = most.max(leaves.len());
            for leaf in leaves {
                values.extend_from_slice(tree.values.get(*leaf as usize * outputs..)?.get(..outputs)?);
            }
        }
        let features = &open.features;
        Some(Self(if most <= u32::BITS as usize {
            Width::Narrow(Sorted {
                features: features.iter().map(Feature::sorted).collect(),
                firsts,
                values,
                outputs,
            })
        } else {
            Width::Wide(Sorted {
                features: features.iter().map(Feature::sorted).collect(),
                firsts,
                values,
                outputs,
            })
        }))
    }

    /// Calls `visit` with the values of the leaf that a row reaches in each tree, in order.
    #[inline]
    pub(crate) fn each(&self, row: &[f32], visit: impl FnMut(&[f32])) {
        match &self.0 {
            Width::Narrow(trees) => trees.each(row, visit),
            Width::Wide(trees) => trees.each(row, visit),
        }
    }
}

/// Trees as they are opened, one after the other.
struct Opened {
    features: Vec<Feature<u64>>,
    /// The row of each leaf in the values of its tree.
    leaves: Vec<u32>,
    /// The first leaf of the tree.
    first: usize,
}

impl Opened {
    fn add(&mut self, tree: &Tree, number: u16, at: usize, depth: usize) -> Option<()> {
        let node: &TreeNode = &tree.nodes[at];
        if node.is_leaf() {
            self.leaves.push(node.left);
            return (self.leaves.len() - self.first <= MOST).then_some(());
        }
        // A tree of 64 leaves is at most 63 comparisons deep; the walk must not go deeper than that either.
        if depth + 1 == MOST {
            return None;
        }
        let column = node.column();
        let feature = self.features.get_mut(column)?;
        let place = feature.trees.len();
        feature.thresholds.push(node.threshold);
        feature.trees.push(number);
        feature.masks.push(0);
        let before = self.leaves.len() - self.first;
        self.add(tree, number, node.left as usize, depth + 1)?;
        let after = self.leaves.len() - self.first;
        let feature = &mut self.features[column];
        feature.masks[place] = !(below(after) & !below(before));
        if !node.missing_left() {
            feature.missing.push(u32::try_from(place).ok()?);
        }
        self.add(tree, number, node.right as usize, depth + 1)
    }
}

/// Returns a mask of the first `count` leaves.
fn below(count: usize) -> u64 {
    if count >= MOST { u64::MAX } else { (1 << count) - 1 }
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

    /// A tree that splits one of its leaves again and again; nodes stand behind their parents.
    fn tree(leaves: usize, next: &mut impl FnMut() -> u32) -> Tree {
        let mut nodes = vec![leaf(0)];
        for _ in 1..leaves {
            let open: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].is_leaf()).collect();
            let at = open[next() as usize % open.len()];
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
        Tree { nodes, values: (0..count).map(|leaf| leaf as f32).collect(), covers: Vec::new() }
    }

    fn reached(sorted: &SortedTrees, row: &[f32]) -> Vec<usize> {
        let mut found = Vec::new();
        sorted.each(row, |values| found.push(values[0] as usize));
        found
    }

    #[test]
    fn a_row_reaches_the_leaf_that_it_walks_to() {
        let mut next = numbers();
        // Few and many trees, with narrow and wide masks.
        for (count, leaves) in [(150, 64), (150, 32), (128, 33), (60, 32), (60, 64)] {
            let trees: Vec<Tree> = (0..count).map(|number| tree(1 + number % leaves, &mut next)).collect();
            let sorted = SortedTrees::new(&trees, 5, 1).expect("small trees");
            assert_eq!(matches!(sorted.0, Width::Narrow(_)), leaves <= 32);
            for _ in 0..100 {
                let value = |number: u32| match number {
                    0 => f32::NAN,
                    1 => -0.0,
                    2 => f32::INFINITY,
                    3 => f32::NEG_INFINITY,
                    number => number as f32 - 8.0,
                };
                let row: Vec<f32> = (0..5).map(|_| value(next() % 14)).collect();
                let expected: Vec<usize> = trees.iter().map(|tree| tree.leaf(&row)).collect();
                assert_eq!(reached(&sorted, &row), expected, "{row:?}");
            }
        }
    }

    #[test]
    fn a_leaf_that_several_ways_lead_to_is_reached_by_each() {
        let node = |threshold: f32, left: u32, right: u32| TreeNode { feature: 0, threshold, left, right };
        let nodes = vec![node(1.0, 3, 1), node(2.0, 4, 2), node(3.0, 3, 4), leaf(0), leaf(1)];
        let tree = Tree { nodes, values: vec![0.0, 1.0], covers: Vec::new() };
        let sorted = SortedTrees::new(std::slice::from_ref(&tree), 1, 1).expect("a small tree");
        for value in [0.5, 1.0, 1.5, 2.5, 3.5, f32::NAN] {
            assert_eq!(reached(&sorted, &[value]), [tree.leaf(&[value])], "{value}");
        }
    }

    #[test]
    fn what_is_too_large_is_left_to_a_walk() {
        let mut next = numbers();
        assert!(SortedTrees::new(&[tree(65, &mut next)], 5, 1).is_none());
        // 2⁴⁰ ways lead to the last leaf, and a chain is deeper than any tree of 64 leaves.
        let ways = |at: u32| TreeNode { feature: 0, threshold: 0.0, left: at + 1, right: at + 1 };
        let mut nodes: Vec<TreeNode> = (0..40).map(ways).collect();
        nodes.push(leaf(0));
        assert!(SortedTrees::new(&[Tree { nodes, values: vec![0.0], covers: Vec::new() }], 1, 1).is_none());
    }
}
