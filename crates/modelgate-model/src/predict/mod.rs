//! Prediction over a matrix of preprocessed features, in the order of operations that ONNX Runtime has with one
//! thread: the `f32` sum of a row's leaves tree by tree, the first class of the highest probability.

mod ensemble;
mod masks;
mod simd;
mod walks;

use crate::error::ModelError;
use crate::estimator::{Boosted, Estimator, Forest, Tree, TreeNode};
use crate::linear::softmax;
pub use ensemble::Prepared;

use ensemble::Ensemble;

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

impl Forest {
    /// Sums the leaves of each row, row-major `[rows × outputs]`.
    fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let Self { features, outputs, trees, prepared } = self;
        let (features, outputs) = (*features, *outputs);
        Ensemble { trees, prepared, features, outputs, width: outputs }.sums(matrix, rows)
    }
}

impl Boosted {
    /// Returns the scores of each row, row-major `[rows × scores]`.
    fn sums(&self, matrix: &[f32], rows: usize) -> Vec<f32> {
        let Self { features, scores, trees, prepared, .. } = self;
        let ensemble = Ensemble { trees, prepared, features: *features, outputs: 1, width: *scores };
        let mut sums = ensemble.sums(matrix, rows);
        for sums in sums.chunks_exact_mut(self.scores) {
            for (sum, base) in sums.iter_mut().zip(&self.base) {
                *sum += base;
            }
        }
        sums
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
