//! The second pass: histograms over known ranges, and correlations, each over the rows that have both values.

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

/// How two columns move together over the rows that have both: their number, the means, and the sums of squares and of
/// products of the differences to them.
///
/// Source: P. Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
/// statistical moments" (2008), equations 3.10 to 3.12.
#[derive(Clone, Copy, Debug, Default)]
struct Together {
    rows: f64,
    means: [f64; 2],
    squares: [f64; 2],
    products: f64,
}

impl Together {
    fn of(one: &[f64], other: &[f64]) -> Self {
        let both = || one.iter().zip(other).filter(|(x, y)| !(x.is_nan() || y.is_nan()));
        // Less the first values that stand together, not a mean over rows that are none of theirs: a number far away in a row
        // without the other value would take all digits.
        let Some((first, second)) = both().next().map(|(x, y)| (*x, *y)) else { return Self::default() };
        let (mut rows, mut sums, mut squares, mut products) = (0.0, [0.0; 2], [0.0; 2], 0.0);
        for (x, y) in both() {
            let (x, y) = (x - first, y - second);
            rows += 1.0;
            sums[0] += x;
            sums[1] += y;
            squares[0] += x * x;
            squares[1] += y * y;
            products += x * y;
        }
        Self {
            rows,
            means: [first + sums[0] / rows, second + sums[1] / rows],
            squares: [squares[0] - sums[0] * sums[0] / rows, squares[1] - sums[1] * sums[1] / rows],
            products: products - sums[0] * sums[1] / rows,
        }
    }

    fn merge(&mut self, later: Self) {
        if later.rows == 0.0 {
            return;
        }
        if self.rows == 0.0 {
            *self = later;
            return;
        }
        let rows = self.rows + later.rows;
        let [x, y] = [0, 1].map(|side| later.means[side] - self.means[side]);
        let share = self.rows * later.rows / rows;
        self.squares[0] += later.squares[0] + x * x * share;
        self.squares[1] += later.squares[1] + y * y * share;
        self.products += later.products + x * y * share;
        self.means[0] += x * later.rows / rows;
        self.means[1] += y * later.rows / rows;
        self.rows = rows;
    }

    /// Pearson's coefficient; `None` where a column does not move, or too far for its squares to be numbers.
    fn correlation(&self) -> Option<f64> {
        let [one, other] = self.squares;
        if self.rows < 3.0 || !(one.is_normal() && other.is_normal() && one > 0.0 && other > 0.0) {
            return None;
        }
        let r = self.products / (one.sqrt() * other.sqrt());
        r.is_finite().then(|| r.clamp(-1.0, 1.0))
    }
}

pub(crate) struct Spread {
    columns: Vec<usize>,
    ranges: Vec<(f64, f64)>,
    counts: Vec<Vec<u64>>,
    pairs: Vec<Together>,
}

/// What a batch adds.
pub(crate) struct SpreadPart {
    counts: Vec<Vec<u64>>,
    pairs: Vec<Together>,
}

/// Returns the width of a bin; `None` where bins of one width cannot be told apart.
fn width((low, high): (f64, f64)) -> Option<f64> {
    let width = (high - low) / BINS as f64;
    (width.is_normal() || low == high).then_some(width)
}

impl Spread {
    pub(crate) fn new(columns: &[usize], totals: &[Summary]) -> Self {
        let compared = columns.len().min(COMPARED);
        Self {
            columns: columns.to_vec(),
            ranges: columns.iter().map(|at| totals[*at].range.unwrap_or_default()).collect(),
            counts: vec![vec![0; BINS]; columns.len()],
            pairs: vec![Together::default(); compared * compared.saturating_sub(1) / 2],
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
        let columns: Vec<Vec<f64>> = (0..self.columns.len()).map(column).collect();
        let mut counts = vec![vec![0; BINS]; columns.len()];
        for ((values, range), counts) in columns.iter().zip(&self.ranges).zip(&mut counts) {
            let Some(width) = width(*range) else { continue };
            for value in values.iter().filter(|value| !value.is_nan()) {
                let bin = if width > 0.0 { ((value - range.0) / width) as usize } else { 0 };
                counts[bin.min(BINS - 1)] += 1;
            }
        }
        let mut pairs = Vec::with_capacity(self.pairs.len());
        let compared = columns.len().min(COMPARED);
        for one in 0..compared {
            for other in one + 1..compared {
                pairs.push(Together::of(&columns[one], &columns[other]));
            }
        }
        SpreadPart { counts, pairs }
    }

    pub(crate) fn add(&mut self, part: SpreadPart) {
        for (all, some) in self.counts.iter_mut().zip(part.counts) {
            all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
        }
        for (all, some) in self.pairs.iter_mut().zip(part.pairs) {
            all.merge(some);
        }
    }

    pub(crate) fn finish(self, names: &[&str], types: &[ColumnType]) -> (Vec<Histogram>, Vec<Correlation>) {
        let histograms = self.ranges.iter().zip(self.counts).map(|((low, high), counts)| {
            let Some(width) = width((*low, *high)) else { return Histogram::default() };
            // The last bin holds the largest value, which a sum of widths may miss.
            let edges = (0..BINS).map(|edge| low + width * edge as f64).chain([*high]);
            Histogram { edges: edges.collect(), counts }
        });
        let mut found = Vec::new();
        let compared = self.columns.len().min(COMPARED);
        let mut pairs = self.pairs.iter();
        for one in 0..compared {
            for other in one + 1..compared {
                let Some(pair) = pairs.next() else { continue };
                let (a, b) = (self.columns[one], self.columns[other]);
                // A moment rises with the order of the rows; that says nothing.
                let is_time = types[a].is_time() || types[b].is_time();
                if let Some(r) = pair.correlation().filter(|_| !is_time) {
                    found.push(Correlation { a: names[a].to_owned(), b: names[b].to_owned(), r });
                }
            }
        }
        found.sort_by(|one, other| other.r.abs().total_cmp(&one.r.abs()));
        found.truncate(KEPT);
        (histograms.collect(), found)
    }
}
