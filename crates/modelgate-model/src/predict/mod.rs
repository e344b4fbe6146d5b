//! Prediction over a matrix of preprocessed features, in the order of operations that ONNX Runtime has with one
//! thread: the `f32` sum of a row's leaves tree by tree, the first class of the highest probability.

mod masks;
mod simd;
mod sorted;

use std::fmt;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::error::ModelError;
use crate::estimator::{Boosted, Estimator, Forest, Tree, TreeNode};
use crate::linear::softmax;
use crate::processor::level;
use masks::MaskedTree;
use sorted::SortedTrees;

/// Rows that one task predicts; the result does not depend on it.
const BLOCK: usize = 256;

/// The answers of a model.
#[derive(Clone, PartialEq, Debug)]
pub enum Prediction {
    /// Of a classifier.
    Classes {
        /// Position of the class, one per row.
        labels: Vec<u32>,
        /// Row-major `[rows × classes]`.
        probabilities: Vec<f32>,
    },
    /// Of a regressor, one per row.
    Values(Vec<f32>),
}

impl Tree {
    /// Returns the leaf that a row reaches, as the position of its row in the values. The tree is valid, see
    /// [`Estimator::validate`].
    #[inline]
    pub fn leaf(&self, row: &[f32]) -> usize {
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            if node.is_leaf() {
                return node.left as usize;
            }
            at = node.next(row[node.column()]);
        }
    }

    /// Returns the values of a leaf that [`leaf`](Self::leaf) has returned.
    fn leaf_values(&self, leaf: usize, outputs: usize) -> &[f32] {
        &self.values[leaf * outputs..(leaf + 1) * outputs]
    }

    fn validate(&self, features: usize, outputs: usize) -> Result<(), String> {
        let count = self.nodes.len();
        if count == 0 {
            return Err("a tree has no node".to_owned());
        }
        let covers = &self.covers;
        if !covers.is_empty()
            && (covers.len() != count || covers.iter().any(|cover| !(0.0..=f32::MAX).contains(cover)))
        {
            return Err("the covers do not fit the nodes".to_owned());
        }
        for (at, node) in self.nodes.iter().enumerate() {
            if node.is_leaf() {
                let end = (node.left as usize).checked_add(1).and_then(|row| row.checked_mul(outputs));
                if end.is_none_or(|end| end > self.values.len()) {
                    return Err(format!("leaf {at} has no value"));
                }
            } else {
                if node.column() >= features {
                    return Err(format!("node {at} compares feature {} of {features}", node.column()));
                }
                if node.threshold.is_nan() {
                    return Err(format!("node {at} compares with NaN"));
                }
                // Children stand behind their parent: there is no cycle, and every walk ends.
                for child in [node.left as usize, node.right as usize] {
                    if child <= at || child >= count {
                        return Err(format!("node {at} has the child {child} of {count} nodes"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl TreeNode {
    /// Returns the child to which a node other than a leaf sends `value`.
    #[inline]
    pub fn next(&self, value: f32) -> usize {
        let left = value <= self.threshold || (value.is_nan() && self.missing_left());
        (if left { self.left } else { self.right }) as usize
    }
}

/// Walks at a time: each step of one waits for its memory.
const WALKS: usize = 8;

/// Returns the leaf that each walk reaches, as the position of its row in the values.
#[inline]
fn leaves<const N: usize>(walks: [(&Tree, &[f32]); N]) -> [usize; N] {
    let mut at = [0_usize; N];
    loop {
        let mut open = false;
        for (at, (tree, row)) in at.iter_mut().zip(walks) {
            let node = &tree.nodes[*at];
            if !node.is_leaf() {
                *at = node.next(row[node.column()]);
                open = true;
            }
        }
        if !open {
            break;
        }
    }
    let mut walks = walks.iter();
    at.map(|at| walks.next().map_or(0, |(tree, _)| tree.nodes[at].left as usize))
}

/// Calls `visit` with each tree's number and the leaf that a row reaches in it, in order.
#[inline]
fn each_tree(trees: &[Tree], row: &[f32], mut visit: impl FnMut(usize, usize)) {
    let (groups, rest) = trees.as_chunks::<WALKS>();
    let mut number = 0;
    for group in groups {
        for leaf in leaves(group.each_ref().map(|tree| (tree, row))) {
            visit(number, leaf);
            number += 1;
        }
    }
    for tree in rest {
        visit(number, tree.leaf(row));
        number += 1;
    }
}

/// Calls `visit` with each row's number and the leaf that it reaches in a tree, in order.
#[inline]
fn each_row(tree: &Tree, matrix: &[f32], features: usize, mut visit: impl FnMut(usize, usize)) {
    let mut number = 0;
    let mut groups = matrix.chunks_exact(features * WALKS);
    for group in &mut groups {
        let mut walks = [(tree, group); WALKS];
        for (walk, row) in walks.iter_mut().zip(group.chunks_exact(features)) {
            walk.1 = row;
        }
        for leaf in leaves(walks) {
            visit(number, leaf);
            number += 1;
        }
    }
    for row in groups.remainder().chunks_exact(features) {
        visit(number, tree.leaf(row));
        number += 1;
    }
}

/// Calls `one` with each block of rows and its sums, of which a row has `width`; on all threads where there are several.
fn each_block(
    sums: &mut [f32],
    width: usize,
    matrix: &[f32],
    features: usize,
    one: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    if sums.len() <= BLOCK * width {
        // To hand a few rows to another thread costs more than to predict them.
        return one(sums, matrix);
    }
    let blocks = sums.par_chunks_mut(BLOCK * width).zip(matrix.par_chunks(BLOCK * features));
    blocks.for_each(|(sums, matrix)| one(sums, matrix));
}

impl Forest {
    /// Sums the leaves of each row, row-major `[rows × outputs]`.
    fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let Self { features, outputs, trees, prepared } = self;
        let mut sums = vec![0.0_f32; rows * outputs];
        let add = |sum: &mut [f32], values: &[f32]| {
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        };
        if rows < WALKS || rows < MANY && prepared.one(trees, *features, *outputs).is_some() {
            for (sum, row) in sums.chunks_exact_mut(*outputs).zip(matrix.chunks_exact(*features)) {
                prepared.each_tree(trees, row, *outputs, |values| add(sum, values));
            }
            return sums;
        }
        let masked = prepared.many(trees, *outputs);
        each_block(&mut sums, *outputs, matrix, *features, |sums, matrix| {
            // Tree by tree over a block, so that one tree stays in the cache; each row still sums in tree order.
            let (level, block) = (level(), masks::Block::new(matrix, *features));
            let mut leaves = vec![0_u32; block.lanes()];
            for (tree, masked) in trees.iter().zip(masked) {
                match masked {
                    Some(masked) => masked.add(level, &block, &mut leaves, sums, *outputs),
                    None => each_row(tree, matrix, *features, |row, leaf| {
                        add(&mut sums[row * outputs..(row + 1) * outputs], tree.leaf_values(leaf, *outputs));
                    }),
                }
            }
        });
        sums
    }
}

/// Trees in the forms for one row and for many, each made when it is first needed and then kept. It is no part of the model:
/// a copy begins without, and all are equal.
#[derive(Default)]
pub struct Prepared {
    many: OnceLock<Vec<Option<MaskedTree>>>,
    /// None where a tree is too large.
    one: OnceLock<Option<Box<SortedTrees>>>,
}

impl Prepared {
    fn many(&self, trees: &[Tree], outputs: usize) -> &[Option<MaskedTree>] {
        self.many.get_or_init(|| trees.iter().map(|tree| MaskedTree::new(tree, outputs)).collect())
    }

    fn one(&self, trees: &[Tree], features: usize, outputs: usize) -> Option<&SortedTrees> {
        self.one.get_or_init(|| SortedTrees::new(trees, features, outputs).map(Box::new)).as_deref()
    }

    /// Calls `visit` with the values of the leaf that a row reaches in each tree, in order.
    #[inline]
    fn each_tree(&self, trees: &[Tree], row: &[f32], outputs: usize, mut visit: impl FnMut(&[f32])) {
        match self.one(trees, row.len(), outputs) {
            Some(sorted) => sorted.each(row, visit),
            None => each_tree(trees, row, |number, leaf| visit(trees[number].leaf_values(leaf, outputs))),
        }
    }
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

/// Rows from which on it pays to take a block of rows at a time through a tree.
const MANY: usize = 64;

impl Boosted {
    /// Returns the scores of each row, row-major `[rows × scores]`.
    fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let mut sums = vec![0.0_f32; rows * self.scores];
        if rows < MANY {
            for (sums, row) in sums.chunks_exact_mut(self.scores).zip(matrix.chunks_exact(self.features)) {
                if let [sum] = sums {
                    // A sum that is not in memory is not waited for.
                    let mut kept = *sum;
                    self.prepared.each_tree(&self.trees, row, 1, |values| kept += values[0]);
                    *sum = kept;
                    continue;
                }
                // Trees take turns with the scores.
                let mut score = 0;
                self.prepared.each_tree(&self.trees, row, 1, |values| {
                    sums[score] += values[0];
                    score = if score + 1 == self.scores { 0 } else { score + 1 };
                });
            }
        } else {
            let masked = self.prepared.many(&self.trees, 1);
            each_block(&mut sums, self.scores, matrix, self.features, |sums, matrix| {
                self.add_block(masked, matrix, sums);
            });
        }
        for sums in sums.chunks_exact_mut(self.scores) {
            for (sum, base) in sums.iter_mut().zip(&self.base) {
                *sum += base;
            }
        }
        sums
    }

    /// Adds every tree to the scores of a block of rows.
    fn add_block(&self, masked: &[Option<MaskedTree>], matrix: &[f32], sums: &mut [f32]) {
        let level = level();
        let block = masks::Block::new(matrix, self.features);
        let mut leaves = vec![0_u32; block.lanes()];
        for (number, tree) in self.trees.iter().enumerate() {
            let score = number % self.scores;
            if let Some(Some(masked)) = masked.get(number) {
                masked.add(level, &block, &mut leaves, &mut sums[score..], self.scores);
            } else {
                each_row(tree, matrix, self.features, |row, leaf| {
                    sums[row * self.scores + score] += tree.values[leaf];
                });
            }
        }
    }

    fn validate(&self) -> Result<(), String> {
        if self.features == 0 || self.scores == 0 || self.base.len() != self.scores {
            return Err("a boosted model has no feature, or not one base for each score".to_owned());
        }
        if self.base.iter().any(|base| !base.is_finite()) {
            return Err("a base is not finite".to_owned());
        }
        for (number, tree) in self.trees.iter().enumerate() {
            tree.validate(self.features, 1).map_err(|reason| format!("tree {number}: {reason}"))?;
        }
        Ok(())
    }

    /// Returns the probabilities behind scores, row-major `[rows × classes]`: computed in doubles and rounded once.
    fn probabilities(&self, sums: &[f32]) -> Vec<f32> {
        if self.scores == 1 {
            let pair = |score: &f32| {
                let second = (1.0 / (1.0 + libm::exp(-f64::from(*score)))) as f32;
                [1.0 - second, second]
            };
            return sums.iter().flat_map(pair).collect();
        }
        let mut all = vec![0.0_f32; sums.len()];
        let mut logits = vec![0.0_f64; self.scores];
        for (probabilities, sums) in all.chunks_exact_mut(self.scores).zip(sums.chunks_exact(self.scores)) {
            logits.iter_mut().zip(sums).for_each(|(logit, sum)| *logit = f64::from(*sum));
            softmax(&mut logits);
            probabilities.iter_mut().zip(&logits).for_each(|(cell, value)| *cell = *value as f32);
        }
        all
    }
}

/// Returns the first position of the highest value.
pub(crate) fn first_highest(values: &[f32]) -> u32 {
    let mut best = 0;
    for (position, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = position;
        }
    }
    best as u32
}

impl Estimator {
    /// Returns the number of features of a row.
    pub fn features(&self) -> usize {
        match self {
            Self::ForestClassifier(forest) | Self::ForestRegressor(forest) => forest.features,
            Self::BoostedClassifier(boosted) | Self::BoostedRegressor(boosted) => boosted.features,
            Self::LinearClassifier(linear) => linear.features,
            Self::LinearRegressor(linear) => linear.features,
        }
    }

    /// Returns the number of classes; `None` for a number.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::ForestClassifier(forest) => Some(forest.outputs.max(2)),
            Self::BoostedClassifier(boosted) => Some(boosted.scores.max(2)),
            Self::LinearClassifier(linear) => Some(linear.intercepts.len()),
            Self::ForestRegressor(_) | Self::BoostedRegressor(_) | Self::LinearRegressor(_) => None,
        }
    }

    /// Checks that prediction can neither panic nor run for ever, whatever the bytes the model came from.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn validate(&self) -> Result<(), ModelError> {
        let check = || match self {
            Self::ForestClassifier(forest) | Self::ForestRegressor(forest) => {
                if forest.outputs == 0 || forest.features == 0 {
                    return Err("a forest has no feature or no output".to_owned());
                }
                if matches!(self, Self::ForestRegressor(_)) && forest.outputs != 1 {
                    return Err("a regressor has one output".to_owned());
                }
                for (number, tree) in forest.trees.iter().enumerate() {
                    let checked = tree.validate(forest.features, forest.outputs);
                    checked.map_err(|reason| format!("tree {number}: {reason}"))?;
                }
                Ok(())
            }
            Self::BoostedClassifier(boosted) => boosted.validate(),
            Self::BoostedRegressor(boosted) if boosted.scores != 1 => {
                Err("a regressor has one output".to_owned())
            }
            Self::BoostedRegressor(boosted) => boosted.validate(),
            Self::LinearClassifier(linear) => linear.validate(),
            Self::LinearRegressor(linear) => linear.validate(),
        };
        check().map_err(ModelError::Invalid)
    }

    /// Returns the answers for a row-major matrix `[rows × features]` of a model that is valid.
    ///
    /// # Errors
    /// Fails when the matrix is not of that size.
    pub fn predict(&self, matrix: &[f32], rows: usize) -> Result<Prediction, ModelError> {
        if rows.checked_mul(self.features()) != Some(matrix.len()) {
            let message =
                format!("{} values are not {rows} rows of {} features", matrix.len(), self.features());
            return Err(ModelError::Rows(message));
        }
        let classes = |probabilities: Vec<f32>, width: usize| {
            let labels = probabilities.chunks_exact(width).map(first_highest).collect();
            Prediction::Classes { labels, probabilities }
        };
        Ok(match self {
            Self::ForestClassifier(forest) if forest.outputs == 1 => {
                let both = forest.sums(matrix, rows).into_iter().flat_map(|second| [1.0 - second, second]);
                classes(both.collect(), 2)
            }
            Self::ForestClassifier(forest) => classes(forest.sums(matrix, rows), forest.outputs),
            Self::ForestRegressor(forest) => Prediction::Values(forest.sums(matrix, rows)),
            Self::BoostedClassifier(boosted) => {
                classes(boosted.probabilities(&boosted.sums(matrix, rows)), boosted.scores.max(2))
            }
            Self::BoostedRegressor(boosted) => Prediction::Values(boosted.sums(matrix, rows)),
            Self::LinearClassifier(linear) => classes(linear.probabilities(matrix), linear.intercepts.len()),
            Self::LinearRegressor(linear) => Prediction::Values(linear.values(matrix)),
        })
    }
}
