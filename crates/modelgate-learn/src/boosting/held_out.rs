//! Rows that no tree learns from, on which boosting is stopped once it gets no better.

use super::loss::exact_sum;
use super::settings::Loss;
use crate::trainer::{FeatureMatrix, Targets};
use modelgate_model::estimator::Tree;
use rayon::prelude::*;

/// The scores of held-out rows, as they grow.
pub(super) struct HeldOut<'a> {
    matrix: FeatureMatrix<'a>,
    /// The rows of the matrix that count.
    rows: Vec<u32>,
    /// The class, or the target less the base over the scale; one per row of the matrix.
    targets: Vec<f32>,
    /// One per row of the matrix, or empty where all weigh the same.
    weights: Vec<f32>,
    /// Row-major `[rows × scores]`.
    scores: Vec<f32>,
    width: usize,
    loss: Loss,
    /// What one unit of the loss is in units of the target.
    unit: f64,
    best: f64,
    /// Rounds of the best loss.
    pub(super) best_round: usize,
}

impl<'a> HeldOut<'a> {
    pub(super) fn new(
        matrix: FeatureMatrix<'a>,
        rows: Vec<u32>,
        targets: Vec<f32>,
        weights: Vec<f32>,
        (base, scale): (&[f32], f64),
        loss: Loss,
    ) -> Self {
        let (scores, width) = (base.repeat(rows.len()), base.len());
        let unit = if loss == Loss::SquaredError { scale * scale } else { scale };
        let best = f64::INFINITY;
        Self { matrix, rows, targets, weights, scores, width, loss, unit, best, best_round: 0 }
    }

    fn weight(&self, row: u32) -> f64 {
        self.weights.get(row as usize).map_or(1.0, |weight| f64::from(*weight))
    }

    /// Adds a tree to score `score` of every row; `scale` is what one unit of the scores is of the leaf values.
    pub(super) fn add(&mut self, tree: &Tree, score: usize, scale: f64) {
        let Self { matrix, rows, width, scores, .. } = self;
        scores.par_chunks_mut(*width).with_min_len(256).zip(rows.par_iter()).for_each(|(scores, row)| {
            let values = &matrix.values[*row as usize * matrix.columns..][..matrix.columns];
            scores[score] += (f64::from(tree.values[tree.leaf(values)]) / scale) as f32;
        });
    }

    /// Returns the mean loss in units of the target, squared where the error is; rows count by their weights.
    fn mean_loss(&self) -> f64 {
        let losses: Vec<f64> = self
            .scores
            .par_chunks(self.width)
            .zip(self.rows.par_iter())
            .map(|(scores, row)| {
                let target = f64::from(self.targets[*row as usize]);
                let first = f64::from(scores[0]);
                let loss = match self.loss {
                    Loss::SquaredError => (first - target) * (first - target),
                    Loss::AbsoluteError => (first - target).abs(),
                    Loss::Quantile(share) => {
                        let under = target - first;
                        if under > 0.0 { share * under } else { (share - 1.0) * under }
                    }
                    Loss::LogLoss if self.width == 1 => {
                        let margin = if target > 0.5 { first } else { -first };
                        // log(1 + e^−m) without overflow.
                        (-margin).max(0.0) + libm::log1p(libm::exp(-margin.abs()))
                    }
                    Loss::LogLoss => {
                        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        let highest = f64::from(highest);
                        let sum: f64 =
                            scores.iter().map(|score| libm::exp(f64::from(*score) - highest)).sum();
                        highest + libm::log(sum) - f64::from(scores[target as usize])
                    }
                };
                loss * self.weight(*row)
            })
            .collect();
        let mean =
            exact_sum(losses.iter().copied()) / exact_sum(self.rows.iter().map(|row| self.weight(*row)));
        mean * self.unit
    }

    /// Looks at the loss after `round` rounds; returns whether it has not become better by `tolerance` for `patience`
    /// rounds.
    pub(super) fn is_done(&mut self, round: usize, patience: usize, tolerance: f64) -> bool {
        let loss = self.mean_loss();
        if loss < self.best - tolerance {
            self.best = loss;
            self.best_round = round;
        }
        round >= self.best_round + patience
    }

    /// Returns the best loss seen.
    pub(super) fn best(&self) -> f64 {
        self.best
    }
}

/// Returns the targets of held-out rows in the units of training.
pub(super) fn scaled(targets: &Targets<'_>, base: f64, scale: f64) -> Vec<f32> {
    match targets {
        Targets::Classes { labels, .. } => labels.iter().map(|label| *label as f32).collect(),
        Targets::Values(values) => values.iter().map(|value| ((value - base) / scale) as f32).collect(),
    }
}
