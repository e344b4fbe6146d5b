//! Gradient boosting of trees over bins. Sources: Friedman, 2001, "Greedy function approximation: a gradient boosting
//! machine"; Ke and others, 2017, "`LightGBM`: a highly efficient gradient boosting decision tree"; Shi and others, 2022,
//! "Quantized training of gradient boosting decision trees".
//!
//! Gradients are whole numbers of a unit that each round chooses, rounded up or down so that sums are right on average:
//! sums of them are exact, so that the model is the same on any number of threads and for rows in any order. They find
//! the splits; what a leaf is worth comes from sums of all digits.

mod best_first;
mod bins;
mod content;
mod divide;
mod emit;
mod fit;
mod grow;
mod held_out;
mod leaves;
mod loss;
mod part;
mod reorder;
mod search;
mod settings;
mod simd;
mod split;
mod spread;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::LearnError;
use crate::progress::Progress;
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer, Validation};
pub(crate) use settings::GradientBoosting;

impl Trainer for GradientBoosting {
    fn fit_weighted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        self.fit_on(matrix, targets, weights, None, seed)
    }

    fn fit_validated(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        validation: Validation<'_>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        self.fit_on(matrix, targets, weights, Some(validation), seed)
    }

    fn wants_validation(&self) -> bool {
        self.early_stopping
    }

    fn report_to(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn revision(&self) -> &'static str {
        "4"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}
