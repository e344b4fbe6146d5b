//! Whether some rows are worse than they should be, beyond chance: tests that few rows cannot fool.
//!
//! A test that takes the spread from the rows themselves is certain of three rows that agree. These take it from what
//! could have come out: the sign of each difference, or which rows of all made up the part.

use super::{incomplete_beta, normal_cdf, paired_t, welch};
use crate::sum::sum;

/// Of so many rows that differ every way the signs could have fallen is looked at.
const MOST_FLIPPED: usize = 12;

/// Returns the probability of at least `hits` of `count` throws of a fair coin.
fn coin(hits: u64, count: u64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if count < 10_000 {
        return incomplete_beta(hits as f64, (count - hits + 1) as f64, 0.5);
    }
    let gap = hits as f64 - 0.5 - count as f64 / 2.0;
    1.0 - normal_cdf(gap / (libm::sqrt(count as f64) / 2.0))
}

fn right_or_wrong(losses: &[f64]) -> bool {
    losses.iter().all(|loss| *loss == 0.0 || *loss == 1.0)
}

/// Returns the probability that `candidate` has so much higher a loss than `reference` on the same rows, or more, if both
/// were as good; `None` below two rows or with a loss that is not finite.
///
/// Of rows that are right or wrong it is `McNemar`'s exact test, one-sided. Of other losses up to 12 rows that differ are
/// judged by Fisher's randomisation of the signs, exactly; more of them by the paired t-test, which is never surer than
/// that one difference in each row had the other sign.
///
/// Source: Fisher, 1935, "The Design of Experiments", section 21.
pub fn paired_worse(candidate: &[f64], reference: &[f64]) -> Option<f64> {
    let test = paired_t(candidate, reference)?;
    let differences: Vec<f64> = candidate.iter().zip(reference).map(|(one, other)| one - other).collect();
    let count = |worse: fn(&f64) -> bool| differences.iter().filter(|value| worse(value)).count() as u64;
    let (worse, better) = (count(|value| *value > 0.0), count(|value| *value < 0.0));
    if test.mean_difference <= 0.0 {
        return Some(1.0);
    }
    if right_or_wrong(candidate) && right_or_wrong(reference) {
        return Some(coin(worse, worse + better));
    }
    let sizes: Vec<f64> = differences.iter().map(|value| value.abs()).filter(|size| *size > 0.0).collect();
    if sizes.len() <= MOST_FLIPPED {
        return Some(flipped(&sizes, sum(differences.iter().copied())));
    }
    Some((test.p_value / 2.0).max(libm::exp2(-(sizes.len() as f64))))
}

/// Returns the share of all ways to give `sizes` signs whose sum is at least `total`.
fn flipped(sizes: &[f64], total: f64) -> f64 {
    let mut sums = vec![0.0_f64];
    for size in sizes {
        sums = sums.iter().flat_map(|sum| [sum + size, sum - size]).collect();
    }
    // What differs by rounding alone is the same.
    let least = total - 1e-9 * sum(sizes.iter().copied());
    sums.iter().filter(|sum| **sum >= least).count() as f64 / sums.len() as f64
}

/// The losses of some rows, added up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Losses {
    /// Rows.
    pub rows: f64,
    /// Sum of their losses.
    pub total: f64,
    /// Sum of the squares.
    pub squares: f64,
}

impl Losses {
    /// Adds up.
    pub fn of(losses: impl Iterator<Item = f64> + Clone) -> Self {
        let squares = sum(losses.clone().map(|loss| loss * loss));
        Self { rows: losses.clone().count() as f64, total: sum(losses), squares }
    }

    /// Returns the mean loss.
    pub fn mean(self) -> f64 {
        self.total / self.rows
    }

    fn variance(self) -> f64 {
        ((self.squares - self.rows * self.mean() * self.mean()) / (self.rows - 1.0)).max(0.0)
    }

    /// Returns these without the rows of a part of them.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            rows: self.rows - part.rows,
            total: self.total - part.total,
            squares: self.squares - part.squares,
        }
    }
}

/// Returns the probability that a part of `all` rows has so high a loss, or a higher one, if it were like the others. With
/// `right_or_wrong`, every loss is 0 or 1 and it is Fisher's exact test; else the less sure of Welch's test, which takes the
/// spread from the part, and of one that takes it from all rows, which a part of few equal losses cannot fool.
///
/// Source: Fisher, 1922; the second of the two is the normal form of Pitman's randomisation test, 1937.
pub fn part_worse(part: Losses, all: Losses, right_or_wrong: bool) -> f64 {
    let rest = all.without(part);
    if part.mean() <= rest.mean() {
        return 1.0;
    }
    if right_or_wrong {
        return drawn_at_least(part.total, part.rows, all.total, all.rows);
    }
    let group = |losses: Losses| (losses.rows, losses.mean(), losses.variance());
    let by_part = welch(group(part), group(rest)) / 2.0;
    let spread = all.variance() / part.rows * (1.0 - part.rows / all.rows);
    let by_all = 1.0 - normal_cdf((part.mean() - all.mean()) / libm::sqrt(spread));
    // Losses without a spread have one mean, but for rounding.
    if by_all.is_finite() { by_part.max(by_all) } else { 1.0 }
}

/// Returns the probability that `rows` of `all_rows`, of which `all_wrong` are wrong, hold at least `wrong` of them.
fn drawn_at_least(wrong: f64, rows: f64, all_wrong: f64, all_rows: f64) -> f64 {
    let choose = |of: f64, taken: f64| {
        libm::lgamma(of + 1.0) - libm::lgamma(taken + 1.0) - libm::lgamma(of - taken + 1.0)
    };
    let first =
        choose(all_wrong, wrong) + choose(all_rows - all_wrong, rows - wrong) - choose(all_rows, rows);
    let (mut term, mut share, mut at) = (libm::exp(first), 0.0, wrong);
    // More than the expected number is wrong: each term is smaller than the one before.
    while term > share * 1e-17 && at <= rows.min(all_wrong) {
        share += term;
        term *= (all_wrong - at) * (rows - at) / ((at + 1.0) * (all_rows - all_wrong - rows + at + 1.0));
        at += 1.0;
    }
    share.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected, "{found:?} is not {expected:?}");
    }

    #[test]
    fn three_rows_that_agree_are_no_certainty() {
        near(paired_worse(&[1.0; 3], &[0.0; 3]).expect("a test"), 0.125);
        near(paired_worse(&[2.5, 2.5, 2.5], &[0.5, 0.5, 0.5]).expect("a test"), 0.125);
        // As good as equal is not equal: Student's t is above a million here.
        near(paired_worse(&[2.5, 2.5 + 1e-7, 2.5], &[0.5; 3]).expect("a test"), 0.125);
        near(paired_worse(&[2.5; 40], &[0.5; 40]).expect("a test"), libm::exp2(-40.0));
        assert_eq!(paired_worse(&[0.0; 3], &[1.0; 3]), Some(1.0));
        assert_eq!(paired_worse(&[1.0; 3], &[1.0; 3]), Some(1.0));
        assert_eq!(paired_worse(&[1.0], &[0.0]), None);
        assert_eq!(paired_worse(&[f64::NAN, 1.0], &[0.0, 0.0]), None);
    }

    #[test]
    fn rows_that_are_right_or_wrong_are_thrown_coins() {
        // By whole numbers: the share of the ways so many throws can fall.
        let lost = |worse: usize, better: usize| {
            let one = [vec![1.0; worse], vec![0.0; better + 20]].concat();
            let other = [vec![0.0; worse], vec![1.0; better], vec![0.0; 20]].concat();
            paired_worse(&one, &other).expect("a test")
        };
        near(lost(8, 2), 0.054_687_5);
        near(lost(60, 40), 0.028_443_966_820_490_395);
        assert!((lost(5200, 4800) - 3.296_757_799_336_221e-5).abs() < 2e-7, "{}", lost(5200, 4800));
        assert_eq!(lost(4, 4), 1.0);
    }

    #[test]
    fn few_differences_are_weighed_by_the_ways_their_signs_could_fall() {
        // Of 16 ways +1 +2 +3 -1.5 (4.5) is reached by itself, by -1 and +1.5 and more: sums of at least 4.5.
        let (one, other) = ([2.0, 3.0, 4.0, 0.5], [1.0, 1.0, 1.0, 2.0]);
        near(paired_worse(&one, &other).expect("a test"), 3.0 / 16.0);
    }

    #[test]
    fn a_part_is_worse_by_what_all_rows_could_have_dealt_it() {
        let wrong = |wrong: f64, rows: f64| Losses { rows, total: wrong, squares: wrong };
        // By whole numbers: of all ways to choose the rows of the part, the share with as many wrong ones.
        near(part_worse(wrong(2.0, 3.0), wrong(20.0, 100.0), true), 0.101_051_329_622_758_19);
        near(part_worse(wrong(3.0, 3.0), wrong(23.0, 231.0), true), 0.000_873_362_445_414_847_2);
        near(part_worse(wrong(30.0, 100.0), wrong(60.0, 400.0), true), 4.459_133_397_155_491e-6);
        assert_eq!(part_worse(wrong(1.0, 10.0), wrong(20.0, 100.0), true), 1.0);
        // Two rows of equal loss among hundred others are not certain.
        let others = (0..100).map(|row| f64::from(row % 10));
        let all = Losses::of(others.chain([8.0, 8.0]));
        let found = part_worse(Losses::of([8.0, 8.0].into_iter()), all, false);
        assert!(found > 0.02 && found < 0.2, "{found}");
        let flat = Losses::of([3.0; 20].into_iter());
        assert_eq!(part_worse(Losses::of([3.0; 5].into_iter()), flat, false), 1.0);
    }
}
