//! What is minimised: where scores begin, the gradient and Hessian of each row, the best value of a leaf.

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::settings::Loss;
use super::simd;

/// Rows of a piece of work; the result does not depend on it.
const PIECE: usize = 1 << 16;

/// What there is to learn of the rows.
pub(super) struct Objective<'a> {
    pub(super) loss: Loss,
    /// The class, or the target less the base over [`scale`](Self::scale).
    pub(super) targets: &'a [f32],
    /// One per row from 0 on, or empty where all weigh 1.
    pub(super) weights: &'a [f32],
    /// The largest weight.
    pub(super) heaviest: f32,
    /// Units per row that sums leave room for.
    pub(super) room: [f32; 2],
}

/// Returns the sum of numbers, the same in any order: in steps of 2⁻⁶⁰ of the largest.
pub(super) fn exact_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return 0.0;
    }
    let (_, exponent) = libm::frexp(largest);
    let sum: i128 = values.map(|value| libm::ldexp(value, 60 - exponent) as i128).sum();
    libm::ldexp(sum as f64, exponent - 60)
}

/// Returns the value below which a share of the weight lies: of sorted pairs of value and weight the middle between the
/// first that reaches the share and the first that exceeds it.
pub(super) fn weighted_quantile(pairs: &mut [(f32, f32)], share: f64) -> f64 {
    pairs.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let total = exact_sum(pairs.iter().map(|pair| f64::from(pair.1)));
    let goal = total * share;
    let mut sum = 0.0;
    for (at, (value, weight)) in pairs.iter().enumerate() {
        sum += f64::from(*weight);
        if (sum - goal).abs() <= total * 1e-12 {
            let next = pairs.get(at + 1).map_or(*value, |pair| pair.0);
            return f64::midpoint(f64::from(*value), f64::from(next));
        }
        if sum > goal {
            return f64::from(*value);
        }
    }
    pairs.last().map_or(0.0, |pair| f64::from(pair.0))
}

impl Objective<'_> {
    pub(super) fn weight(&self, row: usize) -> f32 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// Writes gradient and Hessian of each row for the scores of class `class`; `probabilities` holds that class's
    /// where there are more than two. Returns what one unit of each is.
    pub(super) fn pairs(
        &self,
        level: Level,
        scores: &[f32],
        probabilities: Option<(&[f32], usize, usize)>,
        pairs: &mut [u32],
    ) -> [f64; 2] {
        let Self { targets, weights, heaviest, room, .. } = self;
        let limits = match (self.loss, probabilities) {
            (Loss::LogLoss, None) => [*heaviest, 0.25 * heaviest],
            (Loss::LogLoss, Some((_, _, classes))) => {
                let factor = classes as f32 / (classes as f32 - 1.0);
                [*heaviest, 0.25 * factor * heaviest]
            }
            (Loss::SquaredError, _) => {
                let piece = |(at, scores): (usize, &[f32])| {
                    let start = at * PIECE;
                    let rows = scores.iter().zip(&targets[start..]).enumerate();
                    rows.fold(0.0_f32, |largest, (row, (score, target))| {
                        largest.max((score - target).abs() * self.weight(start + row))
                    })
                };
                let largest =
                    scores.par_chunks(PIECE).enumerate().map(piece).reduce(|| 0.0, f32::max).max(1e-30);
                [largest, *heaviest]
            }
            (Loss::AbsoluteError | Loss::Quantile(_), _) => [*heaviest, *heaviest],
        };
        // Where every Hessian is the same, a row is one unit.
        let hessian = if weights.is_empty() && self.loss != Loss::LogLoss { 1.0 } else { room[1] };
        let scales = [room[0] / limits[0], hessian / limits[1]];
        let quantile = match self.loss {
            Loss::Quantile(share) => share as f32,
            _ => 0.5,
        };
        pairs.par_chunks_mut(PIECE).enumerate().for_each(|(at, pairs)| {
            let range = at * PIECE..at * PIECE + pairs.len();
            let (scores, targets) = (&scores[range.clone()], &targets[range.clone()]);
            let weights = weights.get(range.clone()).unwrap_or(&[]);
            match (self.loss, probabilities) {
                (Loss::SquaredError, _) => simd::squared(level, scores, targets, weights, scales, pairs),
                (Loss::LogLoss, None) => simd::logistic(level, scores, targets, weights, scales, pairs),
                (Loss::LogLoss, Some((probabilities, class, classes))) => {
                    let factor = classes as f32 / (classes as f32 - 1.0);
                    let rows = pairs.iter_mut().zip(&probabilities[range]).zip(targets).enumerate();
                    for (row, ((pair, probability), target)) in rows {
                        let weight = weights.get(row).copied().unwrap_or(1.0);
                        let gradient = probability - if *target == class as f32 { 1.0 } else { 0.0 };
                        let hessian = factor * probability * (1.0 - probability);
                        *pair = simd::pair(gradient * weight * scales[0], hessian * weight * scales[1]);
                    }
                }
                (Loss::AbsoluteError | Loss::Quantile(_), _) => {
                    let rows = pairs.iter_mut().zip(scores).zip(targets).enumerate();
                    for (row, ((pair, score), target)) in rows {
                        let weight = weights.get(row).copied().unwrap_or(1.0);
                        let gradient = match score.partial_cmp(target) {
                            Some(std::cmp::Ordering::Greater) => 1.0 - quantile,
                            Some(std::cmp::Ordering::Less) => -quantile,
                            _ => 0.0,
                        };
                        *pair = simd::pair(gradient * weight * scales[0], weight * scales[1]);
                    }
                }
            }
        });
        [1.0 / f64::from(scales[0]), 1.0 / f64::from(scales[1])]
    }

    /// Returns the best value of a leaf where it is no quotient of sums; rows in any order.
    pub(super) fn leaf(&self, rows: &[u32], scores: &[f32]) -> Option<f64> {
        let share = match self.loss {
            Loss::AbsoluteError => 0.5,
            Loss::Quantile(share) => share,
            _ => return None,
        };
        let pair = |row: &u32| {
            let row = *row as usize;
            (self.targets[row] - scores[row], self.weight(row))
        };
        let mut pairs: Vec<(f32, f32)> = rows.iter().map(pair).collect();
        Some(weighted_quantile(&mut pairs, share))
    }

    /// Returns gradient and Hessian of a row in full, for sums that are refined.
    pub(super) fn exact(
        &self,
        row: usize,
        score: f32,
        probability: Option<(f32, usize, usize)>,
    ) -> (f64, f64) {
        let (target, weight) = (f64::from(self.targets[row]), f64::from(self.weight(row)));
        let (gradient, hessian) = match (self.loss, probability) {
            (Loss::LogLoss, None) => {
                let probability = 1.0 / (1.0 + libm::exp(-f64::from(score)));
                (probability - target, probability * (1.0 - probability))
            }
            (Loss::LogLoss, Some((probability, class, classes))) => {
                let factor = classes as f64 / (classes as f64 - 1.0);
                let probability = f64::from(probability);
                let hit = if target == class as f64 { 1.0 } else { 0.0 };
                (probability - hit, factor * probability * (1.0 - probability))
            }
            _ => (f64::from(score) - target, 1.0),
        };
        (gradient * weight, hessian * weight)
    }
}
