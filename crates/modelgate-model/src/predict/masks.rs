//! Trees of at most 32 leaves over a block of rows: every comparison of a tree is made for every row, and the leaf
//! falls out of an `and` of masks. Without a branch or a jump that waits for memory, the loop runs in wide registers.
//!
//! Source: Lucchese and others, 2015, "`QuickScorer`: a fast algorithm to rank documents with additive ensembles of
//! regression trees".

use super::simd;
use crate::estimator::{Tree, TreeNode};
use crate::processor::Level;

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
    /// Row-major `[32 × outputs]`: the values of each leaf, padded.
    values: Vec<f32>,
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
    /// Returns a valid tree with so many values per leaf in this form; `None` when it has too many leaves, counted once per
    /// way to them.
    pub(crate) fn new(tree: &Tree, outputs: usize) -> Option<Self> {
        let Walked { comparisons, leaves } = Walked::new(tree)?;
        let of = |missing_left: bool| {
            let kept = comparisons.iter().filter(move |(_, left)| *left == missing_left);
            kept.map(|(comparison, _)| *comparison).collect()
        };
        let mut values = vec![0.0; (LAST + 1) * outputs];
        for (values, leaf) in values.chunks_exact_mut(outputs).zip(&leaves) {
            values.copy_from_slice(&tree.values[*leaf as usize * outputs..][..outputs]);
        }
        Some(Self { right: of(false), left: of(true), values })
    }

    /// Adds the values of the leaf that each row of a block reaches to the first of its sums, of which a row has `stride`.
    pub(crate) fn add(
        &self,
        level: Level,
        block: &Block,
        leaves: &mut [u32],
        sums: &mut [f32],
        stride: usize,
    ) {
        self.leaves(level, block, leaves);
        match self.values.len() / (LAST + 1) {
            1 => add::<1>(&self.values, leaves, sums, stride),
            2 => add::<2>(&self.values, leaves, sums, stride),
            3 => add::<3>(&self.values, leaves, sums, stride),
            outputs => {
                for (sums, leaf) in sums.chunks_mut(stride).zip(leaves) {
                    let values = &self.values[(*leaf as usize & LAST) * outputs..][..outputs];
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
            }
        }
    }

    /// Writes the number of the leaf that each row of a block reaches.
    fn leaves(&self, level: Level, block: &Block, leaves: &mut [u32]) {
        leaves.fill(u32::MAX);
        simd::clear(level, &self.right, false, &block.columns, leaves);
        simd::clear(level, &self.left, block.missing, &block.columns, leaves);
        simd::first_bit(level, leaves);
    }
}

fn add<const OUTPUTS: usize>(values: &[f32], leaves: &[u32], sums: &mut [f32], stride: usize) {
    // An array has a value for every leaf that a mask can name: nothing is left to be checked for each row.
    let (values, _) = values.as_chunks::<OUTPUTS>();
    let Ok(values) = <&[[f32; OUTPUTS]; LAST + 1]>::try_from(values) else { return };
    for (sums, leaf) in sums.chunks_mut(stride).zip(leaves) {
        let found = &values[*leaf as usize & LAST];
        sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
    }
}

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
