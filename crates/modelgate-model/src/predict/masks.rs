//! Trees of at most 32 leaves over a block of rows: every comparison of a tree is made for every row, and the leaf
//! falls out of an `and` of masks. Without a branch or a jump that waits for memory, the loop runs in wide registers.
//!
//! Source: Lucchese and others, 2015, "`QuickScorer`: a fast algorithm to rank documents with additive ensembles of
//! regression trees".

use super::simd;
use crate::estimator::{Tree, TreeNode};
use crate::processor::{Level, level};

/// The last leaf that a mask can name.
pub(crate) const LAST: usize = 31;

/// Rows in a register at most; a block is padded to a multiple.
pub(crate) const LANES: usize = 16;

/// One comparison: a row that does not go left cannot reach the leaves whose bits are not in `mask`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) column: u32,
    pub(crate) threshold: f32,
    pub(crate) mask: u32,
}

/// A tree of at most 32 leaves, numbered from left to right.
pub(crate) struct MaskedTree {
    /// The nodes that send NaN right.
    right: Vec<Comparison>,
    /// The nodes that send NaN left.
    left: Vec<Comparison>,
    /// The value of each leaf, padded.
    pub(crate) values: [f32; LAST + 1],
}

/// The comparisons of a tree of at most 32 leaves, and its leaves from left to right.
#[derive(Default)]
struct Walked {
    /// Each with whether NaN goes left.
    comparisons: Vec<(Comparison, bool)>,
    /// The row of each leaf in the tree's values.
    leaves: Vec<u32>,
}

impl Walked {
    /// Walks a valid tree; `None` when it has too many leaves, counted once per way to them.
    fn new(tree: &Tree) -> Option<Self> {
        let mut walked = Self::default();
        walked.add(tree, 0)?;
        Some(walked)
    }

    fn add(&mut self, tree: &Tree, at: usize) -> Option<()> {
        let node: &TreeNode = &tree.nodes[at];
        if node.is_leaf() {
            self.leaves.push(node.left);
            return (self.leaves.len() <= LAST + 1).then_some(());
        }
        // A tree of 32 leaves has 31 comparisons; the walk must not go deeper than that either.
        if self.comparisons.len() == LAST {
            return None;
        }
        let (place, first) = (self.comparisons.len(), self.leaves.len());
        let comparison = Comparison { column: node.column() as u32, threshold: node.threshold, mask: 0 };
        self.comparisons.push((comparison, node.missing_left()));
        self.add(tree, node.left as usize)?;
        let gone = (1_u64 << self.leaves.len()) - (1_u64 << first);
        self.comparisons[place].0.mask = !(gone as u32);
        self.add(tree, node.right as usize)
    }
}

impl MaskedTree {
    /// Returns a valid tree with one value per leaf in this form; `None` when it has too many leaves, counted once per
    /// way to them.
    pub(crate) fn new(tree: &Tree) -> Option<Self> {
        let Walked { comparisons, leaves } = Walked::new(tree)?;
        let of = |missing_left: bool| {
            let kept = comparisons.iter().filter(move |(_, left)| *left == missing_left);
            kept.map(|(comparison, _)| *comparison).collect()
        };
        let mut values = [0.0; LAST + 1];
        values.iter_mut().zip(&leaves).for_each(|(value, leaf)| *value = tree.values[*leaf as usize]);
        Some(Self { right: of(false), left: of(true), values })
    }

    /// Writes the number of the leaf that each row of a block reaches.
    pub(crate) fn leaves(&self, level: Level, block: &Block, leaves: &mut [u32]) {
        leaves.fill(u32::MAX);
        simd::clear(level, &self.right, false, &block.columns, leaves);
        simd::clear(level, &self.left, block.missing, &block.columns, leaves);
        simd::first_bit(level, leaves);
    }
}

/// A row of at most this many features can be compared with a whole tree at once.
pub(crate) const WIDTH: usize = 256;

/// A tree of at most 32 leaves whose comparisons stand side by side, for one row without NaN.
pub(crate) struct FlatTree {
    pub(crate) columns: [u8; LAST + 1],
    pub(crate) thresholds: [f32; LAST + 1],
    pub(crate) masks: [u32; LAST + 1],
    /// The row of each leaf in the tree's values.
    pub(crate) leaves: [u32; LAST + 1],
}

impl FlatTree {
    /// Returns valid trees over at most [`WIDTH`] features in this form; `None` when one has too many leaves, or this
    /// processor has no use for it.
    pub(crate) fn all(trees: &[Tree], features: usize) -> Option<Vec<Self>> {
        if features > WIDTH || !simd::reaches(level()) {
            return None;
        }
        trees.iter().map(Self::new).collect()
    }

    fn new(tree: &Tree) -> Option<Self> {
        let walked = Walked::new(tree)?;
        // What is padded rules nothing out.
        let mut flat = Self {
            columns: [0; LAST + 1],
            thresholds: [0.0; LAST + 1],
            masks: [u32::MAX; LAST + 1],
            leaves: [0; LAST + 1],
        };
        for (at, (comparison, _)) in walked.comparisons.iter().enumerate() {
            flat.columns[at] = comparison.column as u8;
            flat.thresholds[at] = comparison.threshold;
            flat.masks[at] = comparison.mask;
        }
        flat.leaves[..walked.leaves.len()].copy_from_slice(&walked.leaves);
        Some(flat)
    }

    /// Calls `visit` with each tree's number and the leaf that a row reaches in it, in order. Returns whether it did: a row with
    /// NaN has to be walked.
    pub(crate) fn each(trees: &[Self], row: &[f32], mut visit: impl FnMut(usize, usize)) -> bool {
        let mut padded = [0.0_f32; WIDTH];
        let Some(cells) = padded.get_mut(..row.len()) else { return false };
        cells.copy_from_slice(row);
        if row.iter().any(|value| value.is_nan()) {
            return false;
        }
        let (level, mut leaves) = (level(), [0_u32; FLAT]);
        for (number, trees) in trees.chunks(FLAT).enumerate() {
            simd::reach(level, trees, &padded, &mut leaves);
            for (at, leaf) in leaves[..trees.len()].iter().enumerate() {
                visit(number * FLAT + at, *leaf as usize);
            }
        }
        true
    }
}

/// Trees whose leaves are found before they are visited.
const FLAT: usize = 64;

/// A block of rows, column by column.
pub(crate) struct Block {
    /// Column-major in groups of [`LANES`] rows: `[groups × columns × LANES]`.
    columns: Vec<f32>,
    missing: bool,
    lanes: usize,
}

impl Block {
    /// Turns a row-major matrix of `features` columns.
    pub(crate) fn new(matrix: &[f32], features: usize) -> Self {
        let rows = matrix.len() / features;
        let lanes = rows.next_multiple_of(LANES);
        let mut columns = vec![0.0_f32; lanes * features];
        for (group, rows) in columns.chunks_exact_mut(LANES * features).zip(matrix.chunks(LANES * features)) {
            for (lane, row) in rows.chunks_exact(features).enumerate() {
                for (column, value) in row.iter().enumerate() {
                    group[column * LANES + lane] = *value;
                }
            }
        }
        let missing = matrix.iter().any(|value| value.is_nan());
        Self { columns, missing, lanes }
    }

    /// Returns the number of rows, padded.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{LEAF, MISSING_LEFT};

    /// A tree that splits its rightmost leaf, or the one before, again and again; nodes stand behind their parents.
    fn tree(leaves: usize, next: &mut impl FnMut() -> u32) -> Tree {
        let leaf = |value: u32| TreeNode { feature: LEAF, threshold: 0.0, left: value, right: 0 };
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

    #[test]
    fn a_row_reaches_the_leaf_that_it_walks_to() {
        let mut state = 11_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let trees: Vec<Tree> = (0..150).map(|number| tree(1 + number % 32, &mut next)).collect();
        assert!(FlatTree::all(&[tree(33, &mut next)], 5).is_none());
        assert!(FlatTree::all(&trees, WIDTH + 1).is_none());
        let Some(flat) = FlatTree::all(&trees, 5) else {
            assert!(!simd::reaches(level()));
            return;
        };
        for _ in 0..200 {
            let row: Vec<f32> = (0..5).map(|_| (next() % 11) as f32 - 5.0).collect();
            let expected: Vec<usize> = trees.iter().map(|tree| tree.leaf(&row)).collect();
            let mut found = Vec::new();
            assert!(FlatTree::each(&flat, &row, |number, leaf| {
                assert_eq!(number, found.len());
                found.push(leaf);
            }));
            assert_eq!(found, expected, "{row:?}");
        }
        // What it cannot take is left to a walk.
        let none = |_, _| panic!("visited");
        assert!(!FlatTree::each(&flat, &[0.0, f32::NAN, 0.0, 0.0, 0.0], none));
        assert!(!FlatTree::each(&flat, &vec![0.0; WIDTH + 1], none));
    }
}
