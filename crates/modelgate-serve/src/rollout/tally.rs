//! Counts of one track, which requests add to without waiting for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use modelgate_model::Prediction;

use super::wire::{Places, ShadowCounts, TrackCounts};

/// Places of times: sixteen for each doubling, up to 2⁴⁰ nanoseconds.
const TIMES: usize = 16 * 40;
/// Places of values: a sign, eight bits of exponent, five of the fraction.
const VALUES: usize = 1 << 14;

/// Returns the place of a number of nanoseconds.
fn time_place(nanoseconds: u64) -> usize {
    // Below sixteen each has a place of its own.
    if nanoseconds < 16 {
        return nanoseconds as usize;
    }
    let exponent = nanoseconds.ilog2();
    let fraction = (nanoseconds >> (exponent - 4)) & 15;
    (((exponent - 3) as usize) * 16 + fraction as usize).min(TIMES - 1)
}

/// Returns the first number of nanoseconds of a place, and of the next one.
pub(super) fn time_range(place: u16) -> (f64, f64) {
    let begins = |place: u16| {
        let (octave, fraction) = (u32::from(place / 16), u64::from(place % 16));
        if octave == 0 { fraction as f64 } else { ((16 + fraction) << (octave - 1).min(60)) as f64 }
    };
    (begins(place), begins(place + 1))
}

/// Returns the place of a value: places are in the order of values.
fn value_place(value: f32) -> usize {
    let bits = (value.to_bits() >> 18) as usize;
    let half = VALUES / 2;
    if bits >= half { VALUES - 1 - bits } else { half + bits }
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    std::iter::repeat_with(AtomicU64::default).take(count).collect()
}

fn places(counts: &[AtomicU64]) -> Places {
    let counts =
        counts.iter().enumerate().map(|(place, count)| (place as u16, count.load(Ordering::Relaxed)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Counts of one track.
#[derive(Debug)]
pub(crate) struct Tally {
    answered: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    rows: AtomicU64,
    times: Vec<AtomicU64>,
    /// Each class by its name; empty for a regression.
    classes: Vec<(String, AtomicU64)>,
    /// Empty for a classifier.
    values: Vec<AtomicU64>,
}

impl Tally {
    /// `classes` are JSON.
    pub(crate) fn new(classes: &[String]) -> Self {
        Self {
            answered: AtomicU64::default(),
            refused: AtomicU64::default(),
            failed: AtomicU64::default(),
            rows: AtomicU64::default(),
            times: zeros(TIMES),
            classes: classes.iter().map(|class| (class.clone(), AtomicU64::default())).collect(),
            values: zeros(if classes.is_empty() { VALUES } else { 0 }),
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, took: Duration) {
        add(&self.answered, 1);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.times[time_place(nanoseconds)], 1);
    }

    /// Counts a request that was not, by its status.
    pub(crate) fn refused(&self, code: u16) {
        add(if code >= 500 { &self.failed } else { &self.refused }, 1);
    }

    /// Counts what was predicted.
    pub(crate) fn predicted(&self, prediction: &Prediction, rows: usize) {
        add(&self.rows, rows as u64);
        match prediction {
            Prediction::Classes { labels, .. } => {
                for label in labels {
                    if let Some((_, count)) = self.classes.get(*label as usize) {
                        add(count, 1);
                    }
                }
            }
            Prediction::Values(values) => {
                for value in values {
                    if let Some(count) = self.values.get(value_place(*value)) {
                        add(count, 1);
                    }
                }
            }
        }
    }

    pub(crate) fn counts(&self) -> TrackCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrackCounts {
            answered: of(&self.answered),
            refused: of(&self.refused),
            failed: of(&self.failed),
            rows: of(&self.rows),
            latency: places(&self.times),
            classes: self
                .classes
                .iter()
                .map(|(class, count)| (class.clone(), of(count)))
                .collect::<BTreeMap<_, _>>(),
            values: places(&self.values),
        }
    }
}

/// Counts of copies.
#[derive(Debug, Default)]
pub(crate) struct ShadowTally {
    rows: AtomicU64,
    disagreed: AtomicU64,
    distance: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl ShadowTally {
    /// Counts rows that both predicted; `distance` is their sum.
    pub(crate) fn compared(&self, rows: u64, disagreed: u64, distance: f64) {
        add(&self.rows, rows);
        add(&self.disagreed, disagreed);
        add(&self.distance, (distance * 1e6).round() as u64);
    }

    pub(crate) fn failed(&self, rows: u64) {
        add(&self.failed, rows);
    }

    pub(crate) fn dropped(&self) {
        add(&self.dropped, 1);
    }

    pub(crate) fn counts(&self) -> ShadowCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowCounts {
            rows: of(&self.rows),
            disagreed: of(&self.disagreed),
            distance: of(&self.distance),
            failed: of(&self.failed),
            dropped: of(&self.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_place_and_places_are_narrow() {
        for nanoseconds in
            (0..200).chain((8..39).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 12_345]))
        {
            let (low, high) = time_range(time_place(nanoseconds) as u16);
            let time = nanoseconds as f64;
            assert!(low <= time && time < high, "{nanoseconds}: {low}..{high}");
            assert!(nanoseconds < 16 || high / low < 1.07, "{nanoseconds}: {low}..{high}");
        }
        assert_eq!(time_place(u64::MAX), TIMES - 1);
    }

    #[test]
    fn places_of_values_are_in_their_order() {
        let values =
            [f32::NEG_INFINITY, -1e30, -2.0, -1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 1.05, 3e8, f32::INFINITY];
        let places: Vec<usize> = values.into_iter().map(value_place).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert!(value_place(f32::NAN) < VALUES && value_place(-f32::NAN) < VALUES);
        assert_eq!(value_place(100.0), value_place(101.0));
    }
}
