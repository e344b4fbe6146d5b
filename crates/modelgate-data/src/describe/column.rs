//! One column: what a batch shows of it, and what all of them add up to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use modelgate_core::Digest;
use serde::{Deserialize, Serialize};

use crate::batch::{BatchColumn, Cells};
use crate::describe::sketch::Sketch;
use crate::error::clipped;
use crate::types::{ColumnType, show_int};

/// Different values that are counted at most.
const MOST_DISTINCT: usize = 10_000;

/// Frequent values that are shown.
const SHOWN: usize = 10;

/// A column with more different values has no list of all of them.
const MOST_LISTED: usize = 1000;

/// Bytes of a text that is kept to be counted; of a longer one, its digest and its beginning are.
const LONGEST_KEPT: usize = 256;

/// The quantiles that are shown, in percent.
const PERCENTS: [u32; 7] = [1, 5, 25, 50, 75, 95, 99];

/// A column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Rows with a value.
    pub count: u64,
    /// Rows without one.
    pub nulls: u64,
    /// The number of different values; `None` when there are more than 10,000.
    pub distinct: Option<u64>,
    /// The most frequent values, when there are not too many to count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequent: Vec<Frequent>,
    /// What there is to say of numbers, dates and moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberDescription>,
    /// Infinite values, which no figure is of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub infinite: u64,
    /// The lengths of the shortest and of the longest text, in letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<(u64, u64)>,
    /// All values to the letter with their counts, sorted by value, when they are few and none is long.
    #[serde(skip)]
    pub(crate) whole: Option<Vec<Frequent>>,
    /// The smallest and the largest whole number, day or microsecond, which doubles may not hold.
    #[serde(skip)]
    pub(crate) int_range: Option<(i64, i64)>,
}

impl ColumnDescription {
    /// Returns whether it has a number beyond the range of `f32`, which no model could take.
    pub fn is_beyond_models(&self) -> bool {
        let beyond = |value: f64| (value as f32).is_infinite();
        self.infinite > 0
            || self.number.as_ref().is_some_and(|number| beyond(number.min) || beyond(number.max))
    }

    /// Says which figures of it are left out, and why.
    pub(crate) fn left_out(&self) -> Option<String> {
        let number = self.number.as_ref()?;
        let figures = [
            ("mean", number.mean.is_none()),
            ("standard deviation", number.std.is_none()),
            ("histogram", number.histogram.counts.is_empty()),
        ];
        let missing: Vec<&str> = figures.iter().filter(|figure| figure.1).map(|figure| figure.0).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "column `{}`: no {}, since doubles cannot hold what is made of numbers so large or so close to each other",
                self.name,
                missing.join(", no ")
            )
        })
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A frequent value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Frequent {
    /// The value.
    pub value: String,
    /// The rows that have it.
    pub count: u64,
}

/// Numbers; dates are days and moments microseconds since 1970.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NumberDescription {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean; `None` where doubles cannot hold what it is made of.
    pub mean: Option<f64>,
    /// The standard deviation, over n; `None` where doubles cannot hold the squares.
    pub std: Option<f64>,
    /// The third standardised moment; a constant has none, nor have numbers whose powers doubles cannot hold.
    pub skewness: Option<f64>,
    /// The fourth standardised moment less 3; a constant has none, nor have numbers whose powers doubles cannot hold.
    pub kurtosis: Option<f64>,
    /// The number of zeros.
    pub zeros: u64,
    /// The quantiles.
    pub quantiles: Vec<Quantile>,
    /// How far the rank of a quantile may be off, as a share of the rows; 0 when they are exact.
    pub quantile_rank_error: f64,
    /// The numbers of rows in bins of equal width; empty where doubles cannot hold the width.
    pub histogram: Histogram,
}

/// A quantile.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quantile {
    /// In percent.
    pub percent: u32,
    /// The value.
    pub value: f64,
}

/// Bins of equal width.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// One more than the bins.
    pub edges: Vec<f64>,
    /// The rows of each bin; the last one holds its upper edge.
    pub counts: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Int(i64),
    Bits(u64),
    Text(Box<str>),
    /// A long text: its digest, and how it begins. Elsewhere, since there may be a key for each cell of a wide file.
    Long(Box<(Digest, String)>),
}

impl Key {
    fn text(text: &str) -> Self {
        if text.len() <= LONGEST_KEPT {
            return Self::Text(text.into());
        }
        Self::Long(Box::new((Digest::of(text.as_bytes()), clipped(text))))
    }
}

/// Count, mean and sums of powers of the difference to it.
///
/// Source: P. Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
/// statistical moments" (2008), equations 2.1 to 2.3.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    second: f64,
    third: f64,
    fourth: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        if values.is_empty() {
            return Self::default();
        }
        // Less the first value, so that numbers far from zero lose no digits.
        let first = values[0];
        let mean = first + values.iter().map(|value| value - first).sum::<f64>() / count;
        let mut found = Self { count, mean, ..Self::default() };
        for value in values {
            let difference = value - mean;
            let square = difference * difference;
            found.second += square;
            found.third += square * difference;
            found.fourth += square * square;
        }
        found
    }

    fn merge(&mut self, later: Self) {
        if later.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = later;
            return;
        }
        let (a, b) = (self.count, later.count);
        let n = a + b;
        let delta = later.mean - self.mean;
        let square = delta * delta;
        self.fourth += later.fourth
            + square * square * a * b * (a * a - a * b + b * b) / (n * n * n)
            + 6.0 * square * (a * a * later.second + b * b * self.second) / (n * n)
            + 4.0 * delta * (a * later.third - b * self.third) / n;
        self.third += later.third
            + square * delta * a * b * (a - b) / (n * n)
            + 3.0 * delta * (a * later.second - b * self.second) / n;
        self.second += later.second + square * a * b / n;
        self.mean += delta * b / n;
        self.count = n;
    }
}

/// What a batch shows.
pub(crate) struct Part {
    rows: u64,
    nulls: u64,
    numbers: Vec<f64>,
    moments: Moments,
    counts: Option<HashMap<Key, u64>>,
    lengths: Option<(u64, u64)>,
    int_range: Option<(i64, i64)>,
    infinite: u64,
}

impl Part {
    /// Looks at a column of a batch; `full` says that it has too many different values to count.
    pub(crate) fn of(column: &BatchColumn, column_type: ColumnType, full: &AtomicBool) -> Self {
        let mut found = Self {
            rows: 0,
            nulls: 0,
            numbers: Vec::new(),
            moments: Moments::default(),
            counts: (!full.load(Ordering::Relaxed)).then(HashMap::new),
            lengths: None,
            int_range: None,
            infinite: 0,
        };
        match &column.cells {
            Cells::Int(values) => {
                found.rows = values.len() as u64;
                let known = values.iter().flatten();
                found.int_range = known.clone().min().copied().zip(known.max().copied());
                for (row, value) in values.iter().enumerate() {
                    let Some(value) = value else { continue };
                    found.numbers.push(*value as f64);
                    found.tally(column.exact(row).map_or(Key::Int(*value), Key::text));
                }
            }
            Cells::Float(values) => {
                found.rows = values.len() as u64;
                for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    if value.is_infinite() {
                        found.infinite += 1;
                        continue;
                    }
                    found.numbers.push(*value);
                    let held = Key::Bits((value + 0.0).to_bits());
                    found.tally(column.exact(row).map_or(held, Key::text));
                }
            }
            Cells::Text(values) => {
                let mut texts = 0;
                for value in values.iter() {
                    found.rows += 1;
                    let Some(value) = value else { continue };
                    texts += 1;
                    let length = value.chars().count() as u64;
                    let (low, high) = found.lengths.unwrap_or((length, length));
                    found.lengths = Some((low.min(length), high.max(length)));
                    if found.counts.is_some() {
                        found.tally(Key::text(value));
                    }
                }
                found.nulls = found.rows - texts;
            }
        }
        if !column_type.is_text() {
            found.nulls = found.rows - found.numbers.len() as u64 - found.infinite;
            found.moments = Moments::of(&found.numbers);
        }
        found
    }

    fn tally(&mut self, key: Key) {
        if let Some(counts) = &mut self.counts {
            *counts.entry(key).or_default() += 1;
        }
    }
}

/// All batches so far.
#[derive(Default)]
pub(crate) struct Summary {
    rows: u64,
    nulls: u64,
    zeros: u64,
    pub(crate) range: Option<(f64, f64)>,
    moments: Moments,
    sketch: Sketch,
    counts: HashMap<Key, u64>,
    too_many: bool,
    lengths: Option<(u64, u64)>,
    int_range: Option<(i64, i64)>,
    /// Values without an end, which no figure is of.
    pub(crate) infinite: u64,
}

impl Summary {
    pub(crate) fn has_numbers(&self) -> bool {
        self.range.is_some()
    }

    pub(crate) fn add(&mut self, part: Part, full: &AtomicBool) {
        self.rows += part.rows;
        self.nulls += part.nulls;
        self.infinite += part.infinite;
        if let Some((low, high)) = part.int_range {
            let (all_low, all_high) = self.int_range.unwrap_or((low, high));
            self.int_range = Some((all_low.min(low), all_high.max(high)));
        }
        self.zeros += part.numbers.iter().filter(|value| **value == 0.0).count() as u64;
        for value in &part.numbers {
            let (low, high) = self.range.unwrap_or((*value, *value));
            self.range = Some((low.min(*value), high.max(*value)));
        }
        self.moments.merge(part.moments);
        self.sketch.add(&part.numbers);
        if let Some((low, high)) = part.lengths {
            let (all_low, all_high) = self.lengths.unwrap_or((low, high));
            self.lengths = Some((all_low.min(low), all_high.max(high)));
        }
        // Whether there are too many depends on the values alone, not on when a thread hears of it.
        if !self.too_many {
            match part.counts {
                Some(counts) if self.counts.is_empty() => self.counts = counts,
                counts => {
                    for (key, count) in counts.into_iter().flatten() {
                        *self.counts.entry(key).or_default() += count;
                    }
                }
            }
            if self.counts.len() > MOST_DISTINCT {
                self.too_many = true;
                self.counts = HashMap::new();
                full.store(true, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn finish(self, name: &str, column_type: ColumnType, rows: u64) -> ColumnDescription {
        let show = |key: &Key| match key {
            Key::Int(value) => show_int(column_type, *value),
            Key::Bits(bits) => f64::from_bits(*bits).to_string(),
            Key::Text(text) => clipped(text).trim_matches('`').to_owned(),
            Key::Long(long) => long.1.trim_matches('`').to_owned(),
        };
        let to_the_letter = |(key, count): (&Key, &u64)| {
            let value = match key {
                Key::Text(text) => text.to_string(),
                Key::Long(..) => return None,
                other => show(other),
            };
            Some(Frequent { value, count: *count })
        };
        let few = !self.too_many && self.infinite == 0 && self.counts.len() <= MOST_LISTED;
        let whole = few.then(|| self.counts.iter().map(to_the_letter).collect::<Option<Vec<_>>>()).flatten();
        let whole = whole.map(|mut values| {
            values.sort_by(|one, other| one.value.cmp(&other.value));
            values
        });
        let distinct = (!self.too_many).then_some(self.counts.len() as u64);
        let mut frequent: Vec<Frequent> =
            self.counts.iter().map(|(key, count)| Frequent { value: show(key), count: *count }).collect();
        frequent.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.value.cmp(&other.value)));
        frequent.truncate(SHOWN);
        // Values that each occur once are not frequent.
        frequent.retain(|value| value.count > 1 || distinct.is_some_and(|distinct| distinct <= SHOWN as u64));
        let number = self.range.filter(|_| !column_type.is_text()).map(|(min, max)| {
            let moments = self.moments;
            let variance = moments.second / moments.count;
            // A power that is no normal number has lost digits, or all of them.
            let held = |value: f64| value > 0.0 && value.is_normal();
            let standardised = |sum: f64, power: i32| {
                let unit = variance.sqrt().powi(power);
                Some(sum / moments.count / unit).filter(|found| held(unit) && found.is_finite())
            };
            let std = if min == max { Some(0.0) } else { held(variance).then(|| variance.sqrt()) };
            let shares = PERCENTS.map(|percent| f64::from(percent) / 100.0);
            let values = self.sketch.quantiles(&shares);
            let quantiles =
                PERCENTS.iter().zip(values).map(|(percent, value)| Quantile { percent: *percent, value });
            NumberDescription {
                min,
                max,
                mean: Some(moments.mean).filter(|mean| mean.is_finite()),
                std,
                skewness: standardised(moments.third, 3),
                kurtosis: standardised(moments.fourth, 4).map(|fourth| fourth - 3.0),
                zeros: self.zeros,
                quantiles: quantiles.collect(),
                quantile_rank_error: self.sketch.rank_error(),
                histogram: Histogram::default(),
            }
        });
        ColumnDescription {
            name: name.to_owned(),
            column_type,
            count: rows - self.nulls,
            nulls: self.nulls,
            distinct,
            frequent,
            number,
            infinite: self.infinite,
            lengths: self.lengths,
            whole,
            int_range: self.int_range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_value_takes_little_room() {
        assert!(size_of::<(Key, u64)>() <= 32, "{}", size_of::<(Key, u64)>());
        assert_ne!(Key::text(&"a".repeat(LONGEST_KEPT)), Key::text(&"a".repeat(LONGEST_KEPT + 1)));
        assert_eq!(Key::text(&"a".repeat(LONGEST_KEPT + 1)), Key::text(&"a".repeat(LONGEST_KEPT + 1)));
    }
}
