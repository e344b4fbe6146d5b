//! Intervals by the bootstrap: rows drawn with replacement, all figures again from their counts.
//!
//! A round is one vector of counts, made from the seed and the round's number, so the result depends on no thread.
//! Source: Efron, Tibshirani, 1993, "An Introduction to the Bootstrap", chapters 13 (percentile) and 16; Davison, Hinkley,
//! 1997, "Bootstrap Methods and their Application", chapter 5.2 (basic).
//!
//! Drawing rows again shows no mistake that the rows do not hold: of twenty right answers every round is right. So a share of
//! rows is held against its score interval, and another figure that no round moves against rounds with one row more that
//! was answered otherwise; the wider end counts.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::statistics::{normal_quantile, share_interval};
use crate::sum::sum;

/// How intervals are made.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Number of rounds, from 100.
    pub rounds: u32,
    /// Share of the rounds inside the interval, between 0 and 1.
    pub confidence: f64,
    /// The seed.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { rounds: 1000, confidence: 0.95, seed: 42 }
    }
}

/// Where a figure could lie if other rows had been held back.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard deviation over the rounds, and at least what so wide an interval stands for.
    pub standard_error: f64,
    /// Share of the rounds inside, from both sides.
    pub confidence: f64,
    /// Rounds in which the figure had a value.
    pub rounds: u32,
}

/// Figures that can be made again when rows count several times.
pub trait Resampled: Sync {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// The names of the figures.
    fn names(&self) -> &[String];
    /// Returns the figures when row `i` counts `counts[i]` times; NaN where one is undefined.
    fn figures(&self, counts: &[u16]) -> Vec<f64>;
    /// Returns whether a figure is the share of the rows that are right in some sense.
    fn is_share(&self, _metric: &str) -> bool {
        false
    }
    /// Returns these rows with one more that none of them is like, once for each such row; of figures that have none, nothing.
    fn with_unseen_rows(&self) -> Vec<Box<dyn Resampled + '_>> {
        Vec::new()
    }
}

/// Draws `counts.len()` rows with replacement: each row's count in one round.
fn draw(seed: u64, round: u64, counts: &mut [u16]) {
    counts.fill(0);
    let mut stream = Stream::new(seed, round);
    let rows = counts.len();
    for _ in 0..rows {
        let count = &mut counts[stream.below(rows)];
        // Above 65,535 times the same row: no figure would notice.
        *count = count.saturating_add(1);
    }
}

/// Returns the figures of each round, in the order of the rounds.
fn rounds(options: &BootstrapOptions, rows: usize, one: impl Fn(&[u16]) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
    (0..u64::from(options.rounds))
        .into_par_iter()
        .map_init(
            || vec![0_u16; rows],
            |counts, round| {
                draw(options.seed, round, counts);
                one(counts)
            },
        )
        .collect()
}

/// Linear interpolation between ranks, as numpy's default; `sorted` is not empty.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

fn sorted_column(rounds: &[Vec<f64>], column: usize) -> Vec<f64> {
    let mut values: Vec<f64> =
        rounds.iter().map(|round| round[column]).filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn deviation(values: &[f64]) -> f64 {
    let mean = sum(values.iter().copied()) / values.len() as f64;
    libm::sqrt(sum(values.iter().map(|value| (value - mean) * (value - mean))) / values.len() as f64)
}

/// Returns whether a figure is a sum of distances, which chance pushes up: drawing rows again adds to the calibration error
/// what drawing them once has added, so that most rounds lie above the figure.
fn is_pushed_up(metric: &str) -> bool {
    metric == "calibration_error"
}

/// How much more chance adds to a sum of distances than drawing again adds on top of it: a distance of 0 that is seen with
/// an error of s is s · √(2/π) on average, and √2 times that when it is drawn again. Where the distance is large, neither
/// adds anything.
const ADDED: f64 = 1.0 / (std::f64::consts::SQRT_2 - 1.0);

/// Returns the ends between which the middle of the rounds lies, `tail` of them on each side. Of a figure that is pushed up
/// chance may have added nothing or all it can: the lower end has that taken off, and the upper end is as far above the
/// figure as the rounds lie around their mean or, mirrored, around the figure. The figure itself is never outside, and no
/// end is below 0.
fn ends(metric: &str, plain: f64, rounds: &[f64], tail: f64) -> (f64, f64) {
    let (low, high) = (quantile(rounds, tail), quantile(rounds, 1.0 - tail));
    if !is_pushed_up(metric) || !plain.is_finite() {
        return (low, high);
    }
    let mean = sum(rounds.iter().copied()) / rounds.len() as f64;
    let without_chance = plain - ADDED * (mean - plain);
    let above = (high - mean).max(plain - low);
    ((without_chance - (high - mean)).min(plain).max(0.0), (plain + above).max(plain))
}

/// Returns whether a figure is the same in all rounds that count, to the last digits: they say nothing of where it could lie.
fn is_still((low, high): (f64, f64), plain: f64) -> bool {
    high - low <= 1e-9 * plain.abs()
}

/// Returns whether a figure is that of the outermost row: no round lies beyond it, and other rows would.
fn is_outermost(metric: &str) -> bool {
    metric == "max_error"
}

/// What the rounds say of each figure, and whether they say nothing.
fn drawn(figures: &dyn Resampled, options: &BootstrapOptions) -> Vec<Option<(Interval, bool)>> {
    let rounds = rounds(options, figures.rows(), |counts| figures.figures(counts));
    let plain = figures.figures(&vec![1; figures.rows()]);
    let column = |(column, metric): (usize, &String)| {
        let values = sorted_column(&rounds, column);
        if values.is_empty() || values.len() * 20 < rounds.len() * 19 {
            return None;
        }
        let (low, high) = ends(metric, plain[column], &values, (1.0 - options.confidence) / 2.0);
        let (confidence, rounds) = (options.confidence, values.len() as u32);
        let found = Interval { low, high, standard_error: deviation(&values), confidence, rounds };
        Some((found, is_still((low, high), plain[column])))
    };
    figures.names().iter().enumerate().map(column).collect()
}

/// Returns the interval of each figure: of percentiles, or a basic one of a figure that chance pushes up, in the order of
/// its names. A share of rows has at least its score interval, and a figure that no round moves has that of rounds with one
/// row more that was answered otherwise. `None` when the figure had no value in more than a twentieth of the rounds, when
/// nothing moves it, and for the largest error, of which rows say only that it is no less than theirs.
pub fn bootstrap(figures: &dyn Resampled, options: &BootstrapOptions) -> Vec<Option<Interval>> {
    if figures.rows() == 0 || options.rounds == 0 {
        return vec![None; figures.names().len()];
    }
    let found = drawn(figures, options);
    let names = || figures.names().iter().zip(&found);
    let is_needed = names().any(|(name, found)| {
        found.is_some_and(|(_, still)| still) && !figures.is_share(name) && !is_outermost(name)
    });
    let others = if is_needed { figures.with_unseen_rows() } else { Vec::new() };
    let others: Vec<(&[String], Vec<Option<(Interval, bool)>>)> =
        others.iter().map(|other| (other.names(), drawn(other.as_ref(), options))).collect();
    let plain = figures.figures(&vec![1; figures.rows()]);
    let sure = normal_quantile(f64::midpoint(1.0, options.confidence));
    let widened = |column: usize, mut interval: Interval, (low, high): (f64, f64)| {
        // The figure itself is inside: rows that are made up are worse or better than it, never both.
        interval.low = interval.low.min(low).min(plain[column]);
        interval.high = interval.high.max(high).max(plain[column]);
        let by_width = if sure > 0.1 { (interval.high - interval.low) / (2.0 * sure) } else { 0.0 };
        interval.standard_error = interval.standard_error.max(by_width);
        interval
    };
    let held = |(column, (metric, found)): (usize, (&String, &Option<(Interval, bool)>))| {
        let (interval, still) = (*found).filter(|_| !is_outermost(metric))?;
        if figures.is_share(metric) {
            let ends = share_interval(plain[column], figures.rows() as u64, options.confidence);
            return Some(widened(column, interval, ends));
        }
        if !still {
            return Some(interval);
        }
        let unseen = others.iter().filter_map(|(names, found)| {
            let at = names.iter().position(|name| name == metric)?;
            found.get(at).copied().flatten().filter(|(_, still)| !still).map(|(found, _)| found)
        });
        let ends = unseen
            .map(|found| (found.low, found.high))
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
        Some(widened(column, interval, ends))
    };
    names().enumerate().map(held).collect()
}

/// How far a candidate's figure is from a reference's on the same rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairedInterval {
    /// The figure's name.
    pub metric: String,
    /// The reference's figure on the rows as they are.
    pub reference: f64,
    /// Candidate less reference on the rows as they are.
    pub difference: f64,
    /// The share `1 − confidence` of the rounds lies below; of a figure that chance pushes up the candidate's lower end less
    /// the reference's upper one.
    pub low: f64,
    /// The share `1 − confidence` of the rounds lies above, or the other way round.
    pub high: f64,
    /// Both ends of the difference less the share of the reference's figure that was asked for, which moves with the rows too.
    pub less_share: (f64, f64),
    /// Standard deviation of the difference over the rounds.
    pub standard_error: f64,
    /// One-sided confidence of each end.
    pub confidence: f64,
    /// Rounds in which both had a value.
    pub rounds: u32,
}

/// Draws the same rows for both and returns how the figure called `metric` differs; `None` when either has no such
/// figure, or it is undefined on the rows or in more than a twentieth of the rounds. `share` of the reference's magnitude is
/// what the candidate may be above it; a negative one is what it may be below.
pub fn paired_bootstrap(
    candidate: &dyn Resampled,
    reference: &dyn Resampled,
    metric: &str,
    share: f64,
    options: &BootstrapOptions,
) -> Option<PairedInterval> {
    let place = |figures: &dyn Resampled| figures.names().iter().position(|name| name == metric);
    let (one, other) = (place(candidate)?, place(reference)?);
    let rows = candidate.rows();
    if rows == 0 || reference.rows() != rows || options.rounds == 0 {
        return None;
    }
    let both = |counts: &[u16]| (candidate.figures(counts)[one], reference.figures(counts)[other]);
    let plain = both(&vec![1; rows]);
    let difference = plain.0 - plain.1;
    let rounds = rounds(options, rows, |counts| {
        let (own, other) = both(counts);
        vec![own - other, own, other, own - other - share * other.abs()]
    });
    let values = sorted_column(&rounds, 0);
    if !difference.is_finite() || values.is_empty() || values.len() * 20 < rounds.len() * 19 {
        return None;
    }
    let tail = 1.0 - options.confidence;
    let ((low, high), less_share) = if is_pushed_up(metric) {
        // Chance pushes the better calibrated of the two further up, by how much more the rounds do not say: their
        // difference is too small, and only what each is by itself holds it.
        let own = ends(metric, plain.0, &sorted_column(&rounds, 1), tail);
        let other = ends(metric, plain.1, &sorted_column(&rounds, 2), tail);
        let ends = |share: f64| (own.0 - share * other.1, own.1 - share * other.0);
        (ends(1.0), ends(1.0 + share))
    } else {
        let ends = |values: &[f64]| (quantile(values, tail), quantile(values, 1.0 - tail));
        (ends(&values), ends(&sorted_column(&rounds, 3)))
    };
    Some(PairedInterval {
        metric: metric.to_owned(),
        reference: plain.1,
        difference,
        low,
        high,
        less_share,
        standard_error: deviation(&values),
        confidence: options.confidence,
        rounds: values.len() as u32,
    })
}
