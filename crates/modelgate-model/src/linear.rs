//! Prediction of linear models: sums in doubles over the features in order, rounded to `f32` once.
//!
//! ONNX Runtime multiplies the same doubles in another order, so that its answers are within one rounding of `f32`,
//! not the same bits.

use rayon::prelude::*;

use crate::estimator::{LinearClassifier, LinearRegressor};

/// Rows that one task predicts; the result does not depend on it.
const BLOCK: usize = 1024;

fn dot(coefficients: &[f64], row: &[f32]) -> f64 {
    coefficients.iter().zip(row).map(|(coefficient, value)| coefficient * f64::from(*value)).sum()
}

fn finite(values: &[f64]) -> Result<(), String> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(format!("coefficient {at} is not finite")),
        None => Ok(()),
    }
}

impl LinearRegressor {
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.features == 0 || self.coefficients.len() != self.features {
            return Err("the coefficients do not fit the features".to_owned());
        }
        finite(&self.coefficients)?;
        finite(&[self.intercept])
    }

    /// Returns the answer for each row of a row-major matrix `[rows × features]`.
    pub(crate) fn values(&self, matrix: &[f32]) -> Vec<f32> {
        let value = |row: &[f32]| (self.intercept + dot(&self.coefficients, row)) as f32;
        matrix.par_chunks_exact(self.features).with_min_len(BLOCK).map(value).collect()
    }
}

impl LinearClassifier {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let expected = self.intercepts.len().checked_mul(self.features);
        if self.features == 0 || self.intercepts.is_empty() || expected != Some(self.coefficients.len()) {
            return Err("the coefficients do not fit features and classes".to_owned());
        }
        finite(&self.coefficients)?;
        finite(&self.intercepts)
    }

    /// Returns the probabilities, row-major `[rows × classes]`.
    pub(crate) fn probabilities(&self, matrix: &[f32]) -> Vec<f32> {
        let classes = self.intercepts.len();
        let mut all = vec![0.0_f32; matrix.len() / self.features * classes];
        let blocks = all.par_chunks_mut(BLOCK * classes).zip(matrix.par_chunks(BLOCK * self.features));
        blocks.for_each(|(all, matrix)| {
            let mut logits = vec![0.0_f64; classes];
            for (probabilities, row) in all.chunks_exact_mut(classes).zip(matrix.chunks_exact(self.features))
            {
                let weights = self.coefficients.chunks_exact(self.features).zip(&self.intercepts);
                for (logit, (weights, intercept)) in logits.iter_mut().zip(weights) {
                    *logit = intercept + dot(weights, row);
                }
                softmax(&mut logits);
                for (probability, value) in probabilities.iter_mut().zip(&logits) {
                    *probability = *value as f32;
                }
            }
        });
        all
    }
}

/// Turns logits into probabilities.
pub(crate) fn softmax(logits: &mut [f64]) {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for logit in &mut *logits {
        *logit = libm::exp(*logit - highest);
    }
    let sum: f64 = logits.iter().sum();
    for logit in logits {
        *logit /= sum;
    }
}
