//! Features as codes in the order of their values: a code per value where exact splits are wanted, else at most 255
//! bins of about equal size. The code behind the last stands for NaN, so that NaN is above every number.

use rayon::prelude::*;

use crate::trainer::FeatureMatrix;

/// Up to this many rows every split between two values is looked at; above, those between bins.
pub(crate) const EXACT_ROWS: usize = 10_000;

/// Bins of one feature at most.
const MAX_BINS: usize = 255;

/// Bins are found on this many rows at most.
const SAMPLE: usize = 200_000;

/// A code: `u8` for bins, `u16` for values.
pub(crate) trait Code: Copy + Send + Sync + 'static {
    /// Codes that there can be.
    const COUNT: usize;
    /// Returns the code of a position below [`COUNT`](Self::COUNT).
    fn of(position: usize) -> Self;
    /// Returns its position.
    fn index(self) -> usize;
}

impl Code for u8 {
    const COUNT: usize = 1 << 8;
    fn of(position: usize) -> Self {
        position as Self
    }
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Code for u16 {
    const COUNT: usize = 1 << 16;
    fn of(position: usize) -> Self {
        position as Self
    }
    fn index(self) -> usize {
        usize::from(self)
    }
}

/// One feature that is not constant.
pub(crate) struct CodedFeature<C> {
    /// Its column in the matrix.
    pub(crate) column: usize,
    /// The code of each row, in the order of rows that was asked for.
    pub(crate) codes: Vec<C>,
    /// The smallest and the largest value of each code but the last, which is NaN's.
    ranges: Vec<(f32, f32)>,
}

impl<C: Code> CodedFeature<C> {
    fn new(matrix: &FeatureMatrix<'_>, column: usize, order: &[u32]) -> Self {
        let value = |row: &u32| matrix.values[*row as usize * matrix.columns + column];
        // Equal rows follow each other in the order: every `step`-th holds each of them in its share.
        let step = if C::COUNT > MAX_BINS + 1 { 1 } else { order.len().div_ceil(SAMPLE).max(1) };
        let keys_of = |step: usize| -> Vec<u32> {
            let sample = order.iter().step_by(step).map(value);
            sample.filter(|value| !value.is_nan()).map(ordered).collect()
        };
        let mut keys = keys_of(step);
        // What is rare may be in none of the rows that were looked at.
        if step > 1 && keys.windows(2).all(|pair| pair[0] == pair[1]) {
            keys = keys_of(1);
        }
        keys.sort_unstable();
        let mut upper = bounds(&keys, if C::COUNT > MAX_BINS + 1 { C::COUNT - 1 } else { MAX_BINS });
        if let Some(last) = upper.last_mut() {
            // The sample may lack the largest value.
            *last = f32::INFINITY;
        }
        let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); upper.len()];
        let code = |row: &u32| {
            let value = value(row);
            if value.is_nan() {
                return C::of(upper.len());
            }
            let at = position(&upper, value);
            let range = &mut ranges[at];
            *range = (range.0.min(value), range.1.max(value));
            C::of(at)
        };
        let codes = order.iter().map(code).collect();
        Self { column, codes, ranges }
    }

    /// Returns the number of codes, NaN's included.
    pub(crate) fn count(&self) -> usize {
        self.ranges.len() + 1
    }

    /// Returns the threshold between two codes: the middle between the largest value of the lower one and the smallest
    /// of the upper one, and never the latter itself, which must go right. Where the upper one is NaN's, every number goes left.
    pub(crate) fn threshold(&self, lower: usize, upper: usize) -> f32 {
        let low = self.ranges[lower].1;
        let Some(high) = self.ranges.get(upper).map(|range| range.0) else { return f32::MAX.max(low) };
        let middle = f32::midpoint(low, high);
        if middle < high { middle } else { low }
    }
}

/// Returns a key of equal order for a value that is not NaN; both zeros have the same.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn unordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// Returns the first bound that `value` does not exceed. Halving without branches: half the comparisons of a feature
/// that is not sorted would be guessed wrong.
fn position(upper: &[f32], value: f32) -> usize {
    let (mut base, mut size) = (0, upper.len());
    while size > 1 {
        let half = size / 2;
        base += if upper[base + half - 1] < value { half } else { 0 };
        size -= half;
    }
    base
}

/// Returns the largest value of each bin of sorted keys: a bin per value where they are few enough, else of about equal
/// counts, one value never in two bins.
fn bounds(keys: &[u32], most: usize) -> Vec<f32> {
    let runs: Vec<(u32, usize)> =
        keys.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect();
    if runs.len() <= most {
        return runs.iter().map(|run| unordered(run.0)).collect();
    }
    let mut upper = Vec::with_capacity(most);
    let (mut left, mut taken) = (keys.len(), 0);
    for (at, (key, count)) in runs.iter().enumerate() {
        taken += count;
        let bins_left = most - upper.len();
        let full = taken >= left.div_ceil(bins_left);
        // A bin is left for each value that is still to come.
        if at + 1 == runs.len() || (bins_left > 1 && (full || runs.len() - at < bins_left)) {
            upper.push(unordered(*key));
            left -= taken;
            taken = 0;
        }
    }
    upper
}

/// Returns the columns that hold two different values, of which NaN is one, in `rows`.
pub(crate) fn varying(matrix: &FeatureMatrix<'_>, rows: &[u32]) -> Vec<usize> {
    let Some(first) = rows.first() else { return Vec::new() };
    let row = |row: u32| &matrix.values[row as usize * matrix.columns..][..matrix.columns];
    let same = |one: f32, other: f32| one == other || (one.is_nan() && other.is_nan());
    let mut open: Vec<usize> = (0..matrix.columns).collect();
    let mut found = Vec::new();
    for other in rows {
        if open.is_empty() {
            break;
        }
        open.retain(|column| {
            let equal = same(row(*first)[*column], row(*other)[*column]);
            if !equal {
                found.push(*column);
            }
            equal
        });
    }
    found.sort_unstable();
    found
}

/// Returns the same features in bytes; `None` when one of them has too many codes.
pub(crate) fn in_bytes(features: &[CodedFeature<u16>]) -> Option<Vec<CodedFeature<u8>>> {
    if features.iter().any(|feature| feature.count() > u8::COUNT) {
        return None;
    }
    let narrow = |feature: &CodedFeature<u16>| CodedFeature {
        column: feature.column,
        codes: feature.codes.iter().map(|code| *code as u8).collect(),
        ranges: feature.ranges.clone(),
    };
    Some(features.iter().map(narrow).collect())
}

/// Returns `columns` of a matrix as codes, rows in `order`.
pub(crate) fn code_features<C: Code>(
    matrix: &FeatureMatrix<'_>,
    columns: &[usize],
    order: &[u32],
) -> Vec<CodedFeature<C>> {
    columns.par_iter().map(|column| CodedFeature::new(matrix, *column, order)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature<C: Code>(values: &[f32]) -> CodedFeature<C> {
        let matrix = FeatureMatrix { rows: values.len(), columns: 1, values, names: &[] };
        let order: Vec<u32> = (0..values.len() as u32).collect();
        CodedFeature::new(&matrix, 0, &order)
    }

    #[test]
    fn few_values_have_a_code_each_and_nan_has_the_last() {
        let feature = feature::<u8>(&[3.0, f32::NAN, 1.0, 3.0, 2.0, -0.0, 0.0]);
        assert_eq!(feature.codes, [3, 4, 1, 3, 2, 0, 0]);
        assert_eq!(feature.threshold(1, 3), 2.0);
        assert_eq!(feature.threshold(3, 4), f32::MAX);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size() {
        let values: Vec<f32> = (0..10_000).map(|value| value as f32).collect();
        let feature = feature::<u8>(&values);
        assert_eq!(feature.ranges.len(), MAX_BINS);
        let mut counts = [0; 256];
        feature.codes.iter().for_each(|bin| counts[usize::from(*bin)] += 1);
        assert!(counts[..MAX_BINS].iter().all(|count| (30..=50).contains(count)), "{counts:?}");
        assert_eq!(counts[255], 0);
    }

    #[test]
    fn exact_codes_are_the_ranks_of_values() {
        let values: Vec<f32> = (0..5000).map(|at| ((at * 7919) % 5000) as f32 - 2500.0).collect();
        let feature = feature::<u16>(&values);
        for (code, value) in feature.codes.iter().zip(&values) {
            assert_eq!(f32::from(*code) - 2500.0, *value);
        }
    }

    #[test]
    fn a_threshold_separates_neighbouring_floats_and_infinities() {
        let low = 1.0_f32;
        let high = f32::from_bits(low.to_bits() + 1);
        let neighbours = feature::<u8>(&[low, high]);
        let threshold = neighbours.threshold(0, 1);
        assert!(low <= threshold && threshold < high);
        let ends = feature::<u8>(&[f32::NEG_INFINITY, 1.0, f32::INFINITY, f32::MAX, f32::MIN]);
        assert!(ends.threshold(0, 1) < f32::MIN && f32::MAX <= ends.threshold(3, 4));
        assert!(ends.threshold(3, 4) < f32::INFINITY);
    }

    #[test]
    fn one_common_value_has_a_bin_of_its_own() {
        let mut values = vec![0.0_f32; 9000];
        values.extend((0..1000).map(|at| at as f32 + 1.0));
        let feature = feature::<u8>(&values);
        assert_eq!(feature.ranges[0], (0.0, 0.0));
        assert_eq!(feature.ranges.len(), MAX_BINS);
    }
}
