//! What is minimised: the gradient and Hessian of each row, in whole numbers of a unit, and the best value of a leaf.

use std::ops::Range;

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::settings::Loss;
use super::simd::{self, GRADIENT, HESSIAN, Rounding};
use super::spread::Spread;

/// Rows of a piece of work; the result does not depend on it.
pub(super) const PIECE: usize = 1 << 16;

/// What there is to learn of the rows.
pub(super) struct Objective {
    pub(super) loss: Loss,
    /// The class, or the target less the base over the scale.
    pub(super) targets: Vec<f32>,
    /// One per row from 0 on, or empty where all weigh 1.
    pub(super) weights: Vec<f32>,
    /// How large the weights are.
    pub(super) weighing: Spread,
    /// How each row is rounded, see [`simd::dither`].
    pub(super) noise: Vec<u8>,
    /// The number of rows that are learned from.
    pub(super) rows: usize,
}

/// The class that a tree is for, where there are several: its number, and every row's probability of it.
#[derive(Clone, Copy)]
pub(super) struct Class<'a> {
    pub(super) number: usize,
    pub(super) of: usize,
    pub(super) probabilities: &'a [f32],
}

impl Class<'_> {
    /// Source: Friedman, 2001, for k classes: the Hessian of one score alone, for the others move too.
    fn factor(self) -> f32 {
        self.of as f32 / (self.of as f32 - 1.0)
    }
}

/// A row with a gradient or Hessian far beyond the others'. It would make the unit of all too coarse, so it is held apart,
/// in units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Heavy {
    pub(super) row: u32,
    pub(super) gradient: i32,
    pub(super) hessian: u32,
}

/// What the whole numbers of a round mean.
pub(super) struct Units {
    /// One unit of gradient and of Hessian.
    pub(super) one: [f64; 2],
    /// The largest gradient and Hessian, or more.
    pub(super) largest: [f64; 2],
    /// The rows held apart, rising.
    pub(super) heavy: Vec<Heavy>,
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

/// Returns a unit in which no number that is not held apart is above `most`, and sums over all rows stay below `limit`
/// though each be rounded up.
fn unit(spread: Spread, factor: f64, most: f32, limit: f64, rows: usize) -> f64 {
    let by_sum = spread.sum * factor * 1.001 / (limit - rows as f64).max(limit * 0.1);
    (f64::from(spread.cap) * factor / f64::from(most)).max(by_sum).max(1e-36)
}

impl Objective {
    pub(super) fn weight(&self, row: usize) -> f32 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// Returns how large the gradients can be.
    fn spread(&self, level: Level, scores: &[f32]) -> Spread {
        if self.loss == Loss::SquaredError {
            Spread::of_distances(level, scores, &self.targets, &self.weights, self.rows)
        } else {
            self.weighing
        }
    }

    /// Returns the largest Hessian of a row of weight 1.
    fn highest_hessian(&self, class: Option<Class<'_>>) -> f32 {
        match (self.loss, class) {
            (Loss::LogLoss, Some(class)) => 0.25 * class.factor(),
            (Loss::LogLoss, None) => 0.25,
            _ => 1.0,
        }
    }

    /// Writes gradient and Hessian of each row for the scores of a class, and returns what they mean; `draw` says how this
    /// round rounds.
    pub(super) fn pairs(
        &self,
        level: Level,
        scores: &[f32],
        class: Option<Class<'_>>,
        draw: [u8; 2],
        pairs: &mut [u32],
    ) -> Units {
        let gradients = self.spread(level, scores);
        let highest = f64::from(self.highest_hessian(class));
        let gradient = unit(gradients, 1.0, GRADIENT, 2_147_483_000.0, self.rows);
        let hessian = if self.weights.is_empty() && self.loss != Loss::LogLoss {
            // Where every Hessian is the same, a row is one unit.
            1.0
        } else {
            unit(self.weighing, highest, HESSIAN, 4_294_966_000.0, self.rows)
        };
        let scales = [(1.0 / gradient) as f32, (1.0 / hessian) as f32];
        pairs.par_chunks_mut(PIECE).enumerate().for_each(|(at, pairs)| {
            self.piece(level, at * PIECE, scores, class, scales, draw, pairs);
        });
        let one = scales.map(|scale| 1.0 / f64::from(scale));
        Units {
            one,
            largest: [f64::from(gradients.largest), f64::from(self.weighing.largest) * highest],
            heavy: self.heavy(gradients, scores, class, one, pairs),
        }
    }

    /// Writes the pairs of the rows from `start` on.
    #[expect(clippy::too_many_arguments, reason = "it is the body of one loop")]
    fn piece(
        &self,
        level: Level,
        start: usize,
        scores: &[f32],
        class: Option<Class<'_>>,
        scales: [f32; 2],
        draw: [u8; 2],
        pairs: &mut [u32],
    ) {
        let range = start..start + pairs.len();
        let (scores, targets) = (&scores[range.clone()], &self.targets[range.clone()]);
        let (noise, weights) = (&self.noise[range.clone()], self.weights.get(range.clone()).unwrap_or(&[]));
        let rounding = Rounding { noise, draw };
        let dither = |row: usize| simd::dither(noise[row], draw);
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        match (self.loss, class) {
            (Loss::SquaredError, _) => {
                simd::squared(level, scores, targets, weights, scales, rounding, pairs);
            }
            (Loss::LogLoss, None) => {
                simd::logistic(level, scores, targets, weights, scales, rounding, pairs);
            }
            (Loss::LogLoss, Some(class)) => {
                let factor = class.factor();
                let rows = pairs.iter_mut().zip(&class.probabilities[range]).zip(targets).enumerate();
                for (row, ((pair, probability), target)) in rows {
                    let gradient = probability - if *target == class.number as f32 { 1.0 } else { 0.0 };
                    let hessian = factor * probability * (1.0 - probability);
                    let [first, second] = scales.map(|scale| scale * weight(row));
                    *pair = simd::pair(gradient * first, hessian * second, dither(row));
                }
            }
            (Loss::AbsoluteError | Loss::Quantile(_), _) => {
                for (row, ((pair, score), target)) in pairs.iter_mut().zip(scores).zip(targets).enumerate() {
                    let gradient = self.slope(*score, *target) as f32 * weight(row);
                    *pair = simd::pair(gradient * scales[0], weight(row) * scales[1], dither(row));
                }
            }
        }
    }

    /// Returns the gradient of a quantile, of which the median is one.
    fn slope(&self, score: f32, target: f32) -> f64 {
        let share = if let Loss::Quantile(share) = self.loss { share } else { 0.5 };
        match score.partial_cmp(&target) {
            Some(std::cmp::Ordering::Greater) => 1.0 - share,
            Some(std::cmp::Ordering::Less) => -share,
            _ => 0.0,
        }
    }

    /// Returns the rows that are beyond the caps, and takes them out of the pairs, where they count as rows alone.
    fn heavy(
        &self,
        gradients: Spread,
        scores: &[f32],
        class: Option<Class<'_>>,
        units: [f64; 2],
        pairs: &mut [u32],
    ) -> Vec<Heavy> {
        if gradients.holds_all() && self.weighing.holds_all() {
            return Vec::new();
        }
        let is_beyond = |row: usize| {
            let bound = match self.loss {
                Loss::SquaredError => (scores[row] - self.targets[row]).abs() * self.weight(row),
                _ => self.weight(row),
            };
            bound > gradients.cap || self.weight(row) > self.weighing.cap
        };
        let of = |row: usize| {
            let (gradient, hessian) = self.exact(row, scores[row], class);
            Heavy {
                row: row as u32,
                gradient: (gradient / units[0]).round() as i32,
                hessian: (hessian / units[1]).round() as u32,
            }
        };
        let found: Vec<Heavy> = pairs
            .par_chunks_mut(PIECE)
            .enumerate()
            .map(|(at, pairs)| {
                let rows = pairs.iter_mut().enumerate().map(|(row, pair)| (at * PIECE + row, pair));
                let beyond = rows.filter(|(row, _)| is_beyond(*row)).map(|(row, pair)| {
                    *pair = 0;
                    of(row)
                });
                beyond.collect::<Vec<Heavy>>()
            })
            .collect::<Vec<_>>()
            .concat();
        found
    }

    /// Returns whether the best value of a leaf is no quotient of sums.
    pub(super) fn refits(&self) -> bool {
        matches!(self.loss, Loss::AbsoluteError | Loss::Quantile(_))
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

    /// Returns gradient and Hessian of a row in full.
    fn exact(&self, row: usize, score: f32, class: Option<Class<'_>>) -> (f64, f64) {
        let (target, weight) = (f64::from(self.targets[row]), f64::from(self.weight(row)));
        let (gradient, hessian) = match (self.loss, class) {
            (Loss::LogLoss, None) => {
                let probability = 1.0 / (1.0 + libm::exp(-f64::from(score)));
                (probability - target, probability * (1.0 - probability))
            }
            (Loss::LogLoss, Some(class)) => {
                let probability = f64::from(class.probabilities[row]);
                let hit = if target == class.number as f64 { 1.0 } else { 0.0 };
                (probability - hit, f64::from(class.factor()) * probability * (1.0 - probability))
            }
            (Loss::SquaredError, _) => (f64::from(score) - target, 1.0),
            (Loss::AbsoluteError | Loss::Quantile(_), _) => (self.slope(score, self.targets[row]), 1.0),
        };
        (gradient * weight, hessian * weight)
    }

    /// Writes gradient and Hessian of the rows of a range in units of `scales`, small ones; `figures` are the scores of all rows, or
    /// their probabilities of the class.
    pub(super) fn exact_pairs(
        &self,
        level: Level,
        range: Range<usize>,
        figures: &[f32],
        class: Option<Class<'_>>,
        scales: [f64; 2],
        exact: &mut [[i64; 2]],
    ) {
        let (figures, targets) = (&figures[range.clone()], &self.targets[range.clone()]);
        let weights = self.weights.get(range).unwrap_or(&[]);
        match (self.loss, class) {
            (Loss::LogLoss, None) => {
                simd::exact_logistic(level, figures, targets, weights, scales, exact);
            }
            (Loss::LogLoss, Some(class)) => {
                let of_class = [class.number as f32, class.factor()];
                simd::exact_softmax(level, figures, targets, of_class, weights, scales, exact);
            }
            _ => simd::exact_squared(level, figures, targets, weights, scales, exact),
        }
    }
}
