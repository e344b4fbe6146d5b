//! How large numbers of the rows are, and what all but a few of them keep to; whole numbers throughout, so that the order
//! of the rows is no matter.

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::loss::PIECE;
use super::simd;

/// The largest may be this many times the mean before it is looked for a cap.
const WIDE: f64 = 256.0;

/// The size of numbers from 0 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The largest.
    pub(super) largest: f32,
    /// What all but a few keep to.
    pub(super) cap: f32,
    /// Their sum, or up to twice that.
    pub(super) sum: f64,
}

impl Spread {
    /// Of numbers that are all 1.
    pub(super) fn ones(count: usize) -> Self {
        Self { largest: 1.0, cap: 1.0, sum: count as f64 }
    }

    /// Returns whether no number is beyond the cap.
    pub(super) fn holds_all(&self) -> bool {
        self.largest <= self.cap
    }

    /// Of `count` numbers; as many as a hundredth of `rows` may be beyond the cap.
    pub(super) fn of(count: usize, rows: usize, number: impl Fn(usize) -> f32 + Sync) -> Self {
        let (counts, largest) = (0..count.div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let (mut counts, mut largest) = (vec![0_u64; 256], 0_u32);
                for at in piece * PIECE..((piece + 1) * PIECE).min(count) {
                    let bits = number(at).to_bits() & 0x7fff_ffff;
                    largest = largest.max(bits);
                    counts[(bits >> 23) as usize] += u64::from(bits != 0);
                }
                (counts, largest)
            })
            .reduce(
                || (vec![0; 256], 0),
                |(mut counts, largest), (others, other)| {
                    counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
                    (counts, largest.max(other))
                },
            );
        let largest = f32::from_bits(largest);
        // The numbers of an exponent are below this.
        let end = |exponent: usize| libm::ldexp(1.0, exponent as i32 - 126);
        let sum = counts.iter().enumerate().map(|(exponent, count)| *count as f64 * end(exponent)).sum();
        let few = (rows / 100 + 8) as u64;
        let mut beyond = 0;
        let kept = (0..256).rev().find(|exponent| {
            beyond += counts[*exponent];
            beyond > few
        });
        let cap = kept.map_or(0.0, |exponent| f32::from_bits(((exponent as u32 + 1) << 23) - 1));
        let spread = Self { largest, cap: cap.min(largest), sum };
        let wide = f64::from(largest) * rows as f64 > WIDE * sum * 0.5;
        if wide { spread } else { Self { cap: largest, ..spread } }
    }

    /// Of the distances of scores from targets times weights, of which `rows` are learned from.
    pub(super) fn of_distances(
        level: Level,
        scores: &[f32],
        targets: &[f32],
        weights: &[f32],
        rows: usize,
    ) -> Self {
        let (largest, sum) = (0..scores.len().div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let (mut largest, mut sum) = (0_u32, 0_u64);
                let end = ((piece + 1) * PIECE).min(scores.len());
                for start in (piece * PIECE..end).step_by(simd::RUN) {
                    let run = start..(start + simd::RUN).min(end);
                    let mut found = [0_u32; 2];
                    let weights = weights.get(run.clone()).unwrap_or(&[]);
                    simd::distances(level, &scores[run.clone()], &targets[run], weights, &mut found);
                    largest = largest.max(found[0]);
                    sum += u64::from(found[1]);
                }
                (largest, sum)
            })
            .reduce(|| (0, 0), |one, other| (one.0.max(other.0), one.1 + other.1));
        let largest = f32::from_bits(largest);
        let mean = sum as f64 / 1_048_576.0 / rows as f64;
        // Distances above 3 or far below 2⁻²⁰ are not in the sum as they are.
        if largest <= 3.0 && mean > 1e-4 && f64::from(largest) <= WIDE * mean {
            return Self { largest, cap: largest, sum: (sum as f64 + scores.len() as f64) / 1_048_576.0 };
        }
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        Self::of(scores.len(), rows, |row| (scores[row] - targets[row]).abs() * weight(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_outliers_are_beyond_the_cap_and_an_even_spread_is_not() {
        let mut numbers: Vec<f32> = (0..10_000).map(|at| 1.0 + at as f32 / 1e4).collect();
        let even = Spread::of(10_000, 10_000, |at| numbers[at]);
        assert!(even.holds_all() && even.largest < 2.0, "{even:?}");
        assert!((15_000.0..=20_000.0).contains(&even.sum), "{even:?}");
        numbers[77] = 1e6;
        let wide = Spread::of(10_000, 10_000, |at| numbers[at]);
        assert!((wide.largest, wide.holds_all()) == (1e6, false) && wide.cap < 2.0 && wide.cap > 1.99);
        let none = Spread::of(100, 100, |_| 0.0);
        assert!(none.holds_all() && none.sum == 0.0);
    }

    #[test]
    fn distances_are_found_at_once_or_one_by_one() {
        let scores: Vec<f32> = (0..5000).map(|at| (at % 100) as f32 / 100.0).collect();
        let targets = vec![0.5_f32; 5000];
        let level = Level::Baseline;
        let found = Spread::of_distances(level, &scores, &targets, &[], 5000);
        assert!(found.holds_all() && found.largest == 0.5, "{found:?}");
        assert!((found.sum - 1250.0).abs() < 1.0, "{found:?}");
        let mut targets = targets;
        targets[9] = -1e4;
        let found = Spread::of_distances(level, &scores, &targets, &[], 5000);
        assert!(!found.holds_all() && found.cap < 0.51 && found.sum >= 11_250.0, "{found:?}");
    }
}
