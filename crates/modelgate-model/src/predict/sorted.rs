//! One row through all trees at once: the comparisons of a feature stand in the order of their thresholds, so that those which
//! a value fails are the first ones, and each takes the leaves that it rules out from the mask of its tree. There is no walk
//! that waits for memory and, per feature, one branch that cannot be foreseen.
//!
//! Source: Lucchese and others, 2015, "`QuickScorer`: a fast algorithm to rank documents with additive ensembles of
//! regression trees".

use crate::estimator::{Tree, TreeNode};

/// The last leaf that a mask can name.
const LAST: usize = 63;

/// The comparisons of a feature, rising by threshold. A row that fails one, so that it does not go left, cannot reach the leaves
/// whose bits are not in its mask.
#[derive(Clone, Default)]
struct Feature {
    thresholds: Vec<f32>,
    /// The mask of each, and the number of its tree.
    masks: Vec<u64>,
    trees: Vec<u32>,
    /// Those that NaN fails.
    missing: Vec<u32>,
}

impl Feature {
    /// Puts the comparisons in order.
    fn sort(&mut self) {
        let mut order: Vec<u32> = (0..self.trees.len() as u32).collect();
        order.sort_by(|one, other| {
            let threshold = |place: &u32| self.thresholds[*place as usize];
            threshold(one).total_cmp(&threshold(other))
        });
        self.thresholds = order.iter().map(|place| self.thresholds[*place as usize]).collect();
        self.masks = order.iter().map(|place| self.masks[*place as usize]).collect();
        self.trees = order.iter().map(|place| self.trees[*place as usize]).collect();
        let mut places = vec![0_u32; order.len()];
        order.iter().zip(0..).for_each(|(from, to)| places[*from as usize] = to);
        self.missing.iter_mut().for_each(|place| *place = places[*place as usize]);
    }
}

/// Trees of at most 64 leaves each, feature by feature.
pub(crate) struct SortedTrees {
    features: Vec<Feature>,
    /// Where the leaves of each tree begin.
    firsts: Vec<u32>,
    /// The row of each leaf in the values of its tree; the leaves of a tree from left to right.
    leaves: Vec<u32>,
}

impl SortedTrees {
    /// Returns valid trees over `features` columns in this form; `None` when one has too many leaves, counted once per way to
    /// them.
    pub(crate) fn new(trees: &[Tree], features: usize) -> Option<Self> {
        let mut sorted =
            Self { features: vec![Feature::default(); features], firsts: Vec::new(), leaves: Vec::new() };
        for (number, tree) in trees.iter().enumerate() {
            let first = sorted.leaves.len();
            sorted.firsts.push(u32::try_from(first).ok()?);
            sorted.add(tree, u32::try_from(number).ok()?, first, 0, 0)?;
        }
        sorted.features.iter_mut().for_each(Feature::sort);
        Some(sorted)
    }

    fn add(&mut self, tree: &Tree, number: u32, first: usize, at: usize, depth: usize) -> Option<()> {
        let node: &TreeNode = &tree.nodes[at];
        if node.is_leaf() {
            self.leaves.push(node.left);
            return (self.leaves.len() - first <= LAST + 1).then_some(());
        }
        // A tree of 64 leaves is at most 63 comparisons deep; the walk must not go deeper than that either.
        if depth == LAST {
            return None;
        }
        let column = node.column();
        let feature = self.features.get_mut(column)?;
        let place = feature.trees.len();
        feature.thresholds.push(node.threshold);
        feature.trees.push(number);
        feature.masks.push(0);
        let before = self.leaves.len() - first;
        self.add(tree, number, first, node.left as usize, depth + 1)?;
        let after = self.leaves.len() - first;
        let feature = &mut self.features[column];
        feature.masks[place] = !(below(after) & !below(before));
        if !node.missing_left() {
            feature.missing.push(u32::try_from(place).ok()?);
        }
        self.add(tree, number, first, node.right as usize, depth + 1)
    }

    /// Calls `visit` with each tree's number and the leaf that a row reaches in it, in order.
    #[inline]
    pub(crate) fn each(&self, row: &[f32], mut visit: impl FnMut(usize, usize)) {
        let (mut few, mut many) = ([u64::MAX; FEW], Vec::new());
        let kept = if let Some(few) = few.get_mut(..self.firsts.len()) {
            few
        } else {
            many.resize(self.firsts.len(), u64::MAX);
            &mut many
        };
        for (value, feature) in row.iter().zip(&self.features) {
            if value.is_nan() {
                for place in &feature.missing {
                    kept[feature.trees[*place as usize] as usize] &= feature.masks[*place as usize];
                }
                continue;
            }
            let failed = feature.thresholds.partition_point(|threshold| *value > *threshold);
            for (mask, tree) in feature.masks[..failed].iter().zip(&feature.trees[..failed]) {
                kept[*tree as usize] &= mask;
            }
        }
        for (number, (mask, first)) in kept.iter().zip(&self.firsts).enumerate() {
            let leaf = *first as usize + mask.trailing_zeros() as usize;
            if let Some(row) = self.leaves.get(leaf) {
                visit(number, *row as usize);
            }
        }
    }
}

/// Trees whose masks need no memory of their own.
const FEW: usize = 128;

/// Returns a mask of the first `count` leaves.
fn below(count: usize) -> u64 {
    if count > LAST { u64::MAX } else { (1 << count) - 1 }
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
        sorted.each(row, |number, leaf| {
            assert_eq!(number, found.len());
            found.push(leaf);
        });
        found
    }

    #[test]
    fn a_row_reaches_the_leaf_that_it_walks_to() {
        let mut next = numbers();
        let trees: Vec<Tree> = (0..150).map(|number| tree(1 + number % 64, &mut next)).collect();
        let sorted = SortedTrees::new(&trees, 5).expect("small trees");
        for _ in 0..300 {
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

    #[test]
    fn a_leaf_that_several_ways_lead_to_is_reached_by_each() {
        let node = |threshold: f32, left: u32, right: u32| TreeNode { feature: 0, threshold, left, right };
        let nodes = vec![node(1.0, 3, 1), node(2.0, 4, 2), node(3.0, 3, 4), leaf(0), leaf(1)];
        let tree = Tree { nodes, values: vec![0.0, 1.0], covers: Vec::new() };
        let sorted = SortedTrees::new(std::slice::from_ref(&tree), 1).expect("a small tree");
        for value in [0.5, 1.0, 1.5, 2.5, 3.5, f32::NAN] {
            assert_eq!(reached(&sorted, &[value]), [tree.leaf(&[value])], "{value}");
        }
    }

    #[test]
    fn what_is_too_large_is_left_to_a_walk() {
        let mut next = numbers();
        assert!(SortedTrees::new(&[tree(65, &mut next)], 5).is_none());
        // 2⁴⁰ ways lead to the last leaf, and a chain is deeper than any tree of 64 leaves.
        let ways = |at: u32| TreeNode { feature: 0, threshold: 0.0, left: at + 1, right: at + 1 };
        let mut nodes: Vec<TreeNode> = (0..40).map(ways).collect();
        nodes.push(leaf(0));
        assert!(SortedTrees::new(&[Tree { nodes, values: vec![0.0], covers: Vec::new() }], 1).is_none());
    }
}
