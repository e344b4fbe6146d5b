//! The second pass: histograms over known ranges, and correlations around known means.

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Cells};
use crate::describe::column::{Histogram, Summary};
use crate::types::ColumnType;

const BINS: usize = 20;

/// Columns that are compared with each other; their pairs are the square of this.
pub(crate) const COMPARED: usize = 60;

/// Pairs that are kept.
const KEPT: usize = 50;

/// How two columns move together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Correlation {
    /// One column.
    pub a: String,
    /// The other.
    pub b: String,
    /// Pearson's coefficient over the rows that have both, from -1 to 1.
    pub r: f64,
}

/// Sums of a pair, less the means: count, x, y, xx, yy, xy.
type Sums = [f64; 6];

pub(crate) struct Spread {
    columns: Vec<usize>,
    ranges: Vec<(f64, f64)>,
    means: Vec<f64>,
    counts: Vec<Vec<u64>>,
    pairs: Vec<Sums>,
}

/// What a batch adds.
pub(crate) struct SpreadPart {
    counts: Vec<Vec<u64>>,
    pairs: Vec<Sums>,
}

impl Spread {
    pub(crate) fn new(columns: &[usize], totals: &[Summary]) -> Self {
        let compared = columns.len().min(COMPARED);
        Self {
            columns: columns.to_vec(),
            ranges: columns.iter().map(|at| totals[*at].range.unwrap_or_default()).collect(),
            means: columns.iter().map(|at| totals[*at].mean()).collect(),
            counts: vec![vec![0; BINS]; columns.len()],
            pairs: vec![[0.0; 6]; compared * compared.saturating_sub(1) / 2],
        }
    }

    pub(crate) fn look(&self, batch: &Batch) -> SpreadPart {
        let column = |at: usize| -> Vec<f64> {
            match &batch.columns[at].cells {
                Cells::Int(values) => {
                    values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect()
                }
                Cells::Float(values) => {
                    values.iter().map(|value| if value.is_finite() { *value } else { f64::NAN }).collect()
                }
                Cells::Text(_) => Vec::new(),
            }
        };
        let mut columns: Vec<Vec<f64>> = (0..self.columns.len()).map(column).collect();
        let mut counts = vec![vec![0; BINS]; columns.len()];
        for ((values, (low, high)), counts) in columns.iter().zip(&self.ranges).zip(&mut counts) {
            let width = (high - low) / BINS as f64;
            for value in values.iter().filter(|value| !value.is_nan()) {
                let bin = if width > 0.0 { ((value - low) / width) as usize } else { 0 };
                counts[bin.min(BINS - 1)] += 1;
            }
        }
        for (values, mean) in columns.iter_mut().zip(&self.means) {
            values.iter_mut().for_each(|value| *value -= mean);
        }
        let mut pairs = Vec::with_capacity(self.pairs.len());
        let compared = columns.len().min(COMPARED);
        for one in 0..compared {
            for other in one + 1..compared {
                let mut sums: Sums = [0.0; 6];
                for (x, y) in columns[one].iter().zip(&columns[other]) {
                    if !(x.is_nan() || y.is_nan()) {
                        sums[0] += 1.0;
                        sums[1] += x;
                        sums[2] += y;
                        sums[3] += x * x;
                        sums[4] += y * y;
                        sums[5] += x * y;
                    }
                }
                pairs.push(sums);
            }
        }
        SpreadPart { counts, pairs }
    }

    pub(crate) fn add(&mut self, part: SpreadPart) {
        for (all, some) in self.counts.iter_mut().zip(part.counts) {
            all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
        }
        for (all, some) in self.pairs.iter_mut().zip(part.pairs) {
            all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
        }
    }

    pub(crate) fn finish(self, names: &[&str], types: &[ColumnType]) -> (Vec<Histogram>, Vec<Correlation>) {
        let histograms = self.ranges.iter().zip(self.counts).map(|((low, high), counts)| {
            let width = (high - low) / BINS as f64;
            Histogram { edges: (0..=BINS).map(|edge| low + width * edge as f64).collect(), counts }
        });
        let mut found = Vec::new();
        let compared = self.columns.len().min(COMPARED);
        let mut sums = self.pairs.iter();
        for one in 0..compared {
            for other in one + 1..compared {
                let Some([n, sx, sy, sxx, syy, sxy]) = sums.next().copied() else { continue };
                let (vx, vy) = (sxx - sx * sx / n, syy - sy * sy / n);
                let (a, b) = (self.columns[one], self.columns[other]);
                // A moment rises with the order of the rows; that says nothing.
                let is_time = types[a].is_time() || types[b].is_time();
                if n >= 3.0 && vx > 0.0 && vy > 0.0 && !is_time {
                    let r = ((sxy - sx * sy / n) / (vx * vy).sqrt()).clamp(-1.0, 1.0);
                    found.push(Correlation { a: names[a].to_owned(), b: names[b].to_owned(), r });
                }
            }
        }
        found.sort_by(|one, other| other.r.abs().total_cmp(&one.r.abs()));
        found.truncate(KEPT);
        (histograms.collect(), found)
    }
}
