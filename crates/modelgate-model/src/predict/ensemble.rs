//! The sums of trees: a few rows go through all trees each, many rows tree by tree, so that one tree stays in the cache. Either way
//! a row sums in the order of the trees.

use std::fmt;
use std::sync::OnceLock;

use rayon::prelude::*;

use super::masks::{self, MaskedTree};
use super::walks::{Keys, WALKS, Walks};
use crate::estimator::Tree;
use crate::processor::level;

/// Rows that one task predicts; the result does not depend on it.
const BLOCK: usize = 256;

/// Rows from which on it pays to take a block of rows at a time through a tree, where all trees are in a cache anyway.
const MANY: usize = 64;

/// Trees in the forms for one row and for many, each made when it is first needed and then kept. It is no part of the model:
/// a copy begins without, and all are equal.
#[derive(Default)]
pub struct Prepared {
    many: OnceLock<Vec<Option<MaskedTree>>>,
    /// None where nodes are shared in a way that walks have no room for.
    walks: OnceLock<Option<Box<Walks>>>,
}

impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Prepared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prepared")
    }
}

/// Valid trees that are summed: tree `t` adds its `outputs` values from sum `t · outputs % width` on.
#[derive(Clone, Copy)]
pub(super) struct Ensemble<'a> {
    pub(super) trees: &'a [Tree],
    pub(super) prepared: &'a Prepared,
    /// Values of a row.
    pub(super) features: usize,
    /// Values of a leaf.
    pub(super) outputs: usize,
    /// Sums of a row.
    pub(super) width: usize,
}

impl<'a> Ensemble<'a> {
    /// Returns the sums of each row, row-major `[rows × width]`.
    pub(super) fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let mut sums = vec![0.0_f32; rows * self.width];
        let walks = self.walks();
        if rows < WALKS || rows < MANY && walks.is_some_and(Walks::are_near) {
            self.row_by_row(walks, &mut sums, matrix);
        } else if rows <= BLOCK {
            // To hand a few rows to another thread costs more than to predict them.
            self.tree_by_tree(walks, &mut sums, matrix);
        } else {
            let blocks =
                sums.par_chunks_mut(BLOCK * self.width).zip(matrix.par_chunks(BLOCK * self.features));
            blocks.for_each(|(sums, matrix)| self.tree_by_tree(walks, sums, matrix));
        }
        sums
    }

    fn walks(&self) -> Option<&'a Walks> {
        let made = || Walks::new(self.trees, self.features, self.outputs).map(Box::new);
        self.prepared.walks.get_or_init(made).as_deref()
    }

    fn row_by_row(&self, walks: Option<&Walks>, sums: &mut [f32], matrix: &[f32]) {
        let rows = sums.chunks_exact_mut(self.width).zip(matrix.chunks_exact(self.features));
        let Some(walks) = walks else {
            for (sums, row) in rows {
                for (number, tree) in self.trees.iter().enumerate() {
                    add(&mut sums[self.first(number)..], self.values(number, tree.leaf(row)));
                }
            }
            return;
        };
        let mut keys = Keys::new(1, self.features);
        for (sums, row) in rows {
            keys.set(row);
            if let [sum] = sums {
                // A sum that is not in memory is not waited for.
                let mut kept = *sum;
                walks.one(&keys, |value| kept += f32::from_bits(value));
                *sum = kept;
            } else {
                let (mut number, mut first) = (0, 0);
                walks.one(&keys, |said| {
                    self.add_said(&mut sums[first..], number, said);
                    number += 1;
                    first = if first + self.outputs == self.width { 0 } else { first + self.outputs };
                });
            }
        }
    }

    fn tree_by_tree(&self, walks: Option<&Walks>, sums: &mut [f32], matrix: &[f32]) {
        let (level, rows) = (level(), sums.len() / self.width);
        let masked = self
            .prepared
            .many
            .get_or_init(|| self.trees.iter().map(|tree| MaskedTree::new(tree, self.outputs)).collect());
        let mut block: Option<(masks::Block, Vec<u32>)> = None;
        let mut keys: Option<Keys> = None;
        for (number, tree) in self.trees.iter().enumerate() {
            let first = self.first(number);
            if let Some(Some(masked)) = masked.get(number) {
                let (block, leaves) = block.get_or_insert_with(|| {
                    let block = masks::Block::new(matrix, self.features);
                    let lanes = block.lanes();
                    (block, vec![0; lanes])
                });
                masked.add(level, block, leaves, &mut sums[first..], self.width);
            } else if let Some(walks) = walks {
                let keys = keys.get_or_insert_with(|| {
                    let mut keys = Keys::new(rows, self.features);
                    keys.set(matrix);
                    keys
                });
                walks.many(number, keys, rows, |row, said| {
                    self.add_said(&mut sums[row * self.width + first..], number, said);
                });
            } else {
                let rows = sums.chunks_exact_mut(self.width).zip(matrix.chunks_exact(self.features));
                for (sums, row) in rows {
                    add(&mut sums[first..], self.values(number, tree.leaf(row)));
                }
            }
        }
    }

    /// Returns the first sum that a tree adds to.
    #[inline]
    fn first(&self, number: usize) -> usize {
        number * self.outputs % self.width
    }

    #[inline]
    fn values(&self, number: usize, leaf: usize) -> &'a [f32] {
        &self.trees[number].values[leaf * self.outputs..(leaf + 1) * self.outputs]
    }

    /// Adds what a leaf of [`Walks`] says to the first of some sums.
    #[inline]
    fn add_said(&self, sums: &mut [f32], number: usize, said: u32) {
        if self.outputs == 1 {
            add(sums, &[f32::from_bits(said)]);
        } else {
            add(sums, self.values(number, said as usize));
        }
    }
}

#[inline]
fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}
