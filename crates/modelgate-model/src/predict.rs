//! Prediction over a matrix of preprocessed features, in the order of operations that ONNX Runtime has with one
//! thread: the `f32` sum of a row's leaves tree by tree, the first class of the highest probability.

use rayon::prelude::*;

use crate::error::ModelError;
use crate::estimator::{Estimator, Forest, LEAF, Tree};

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
    /// Returns the leaf that a row reaches. The tree is valid, see [`Estimator::validate`].
    fn leaf(&self, row: &[f32]) -> usize {
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            if node.feature == LEAF {
                return node.left as usize;
            }
            at = if row[node.feature as usize] <= node.threshold { node.left } else { node.right } as usize;
        }
    }

    fn validate(&self, features: usize, outputs: usize) -> Result<(), String> {
        let count = self.nodes.len();
        if count == 0 {
            return Err("a tree has no node".to_owned());
        }
        for (at, node) in self.nodes.iter().enumerate() {
            if node.feature == LEAF {
                let end = (node.left as usize).checked_add(1).and_then(|row| row.checked_mul(outputs));
                if end.is_none_or(|end| end > self.values.len()) {
                    return Err(format!("leaf {at} has no value"));
                }
            } else {
                if node.feature as usize >= features {
                    return Err(format!("node {at} compares feature {} of {features}", node.feature));
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

impl Forest {
    /// Sums the leaves of each row, row-major `[rows × outputs]`.
    fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let mut sums = vec![0.0_f32; rows * self.outputs];
        let blocks = sums.par_chunks_mut(BLOCK * self.outputs).zip(matrix.par_chunks(BLOCK * self.features));
        blocks.for_each(|(sums, matrix)| {
            // Tree by tree over a block, so that one tree stays in the cache; each row still sums in tree order.
            for tree in &self.trees {
                for (sum, row) in sums.chunks_exact_mut(self.outputs).zip(matrix.chunks_exact(self.features))
                {
                    let leaf = tree.leaf(row) * self.outputs;
                    for (sum, value) in sum.iter_mut().zip(&tree.values[leaf..leaf + self.outputs]) {
                        *sum += value;
                    }
                }
            }
        });
        sums
    }
}

/// Returns the first position of the highest value.
fn first_highest(values: &[f32]) -> u32 {
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
            Self::LinearClassifier(linear) => linear.features,
            Self::LinearRegressor(linear) => linear.features,
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
            Self::ForestClassifier(forest) => classes(forest.sums(matrix, rows), forest.outputs),
            Self::ForestRegressor(forest) => Prediction::Values(forest.sums(matrix, rows)),
            Self::LinearClassifier(linear) => classes(linear.probabilities(matrix), linear.intercepts.len()),
            Self::LinearRegressor(linear) => Prediction::Values(linear.values(matrix)),
        })
    }
}
