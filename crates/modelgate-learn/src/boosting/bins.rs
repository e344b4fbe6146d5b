//! Rows as bins of a byte, row by row: bin 0 is a missing value, the others stand in the order of the values.

use modelgate_model::processor::level;
use rayon::prelude::*;

use super::reorder;
use super::search::Search;
use crate::error::LearnError;
use crate::pages;
use crate::trainer::FeatureMatrix;

/// The bin of a missing value.
pub(super) const MISSING: usize = 0;

/// Bins of one feature at most, the missing one included.
pub(super) const CELLS: usize = 256;

/// Of more rows than this, about this many say where bins end.
const SAMPLE: usize = 200_000;

/// Features of a row are padded to a multiple of this, so that a group can be read as one piece.
pub(super) const PAD: usize = 4;

/// Features that stand side by side in a row: their sums are 32 KiB, which stay in the nearest cache, and parting rows by
/// one of them reads no others.
pub(super) const GROUP: usize = 16;

/// How a feature is split.
pub(super) enum Scale {
    /// The thresholds between bins 1, 2, …: a value is in the first bin whose threshold it does not exceed.
    Ordered(Vec<f32>),
    /// The bin of each category by its position; 0 for a category that training did not see.
    Categories(Vec<u8>),
}

/// One feature that is not constant.
pub(super) struct Feature {
    /// Its column in the matrix.
    pub(super) column: usize,
    pub(super) scale: Scale,
    /// Bins without the missing one.
    pub(super) bins: usize,
    /// −1, 0 or 1: how the answer may move with the feature.
    pub(super) monotonic: i8,
    /// Categories that share the last bin.
    pub(super) shared: usize,
}

/// The rows in bins.
pub(super) struct Binned {
    pub(super) features: Vec<Feature>,
    /// Bytes of a row, a multiple of [`PAD`].
    pub(super) stride: usize,
    /// Of each byte of a row, the most rows that a bin has.
    pub(super) most: Vec<u32>,
    rows: usize,
    /// Group by group of [`GROUP`] features, row-major in each.
    bins: Vec<u8>,
}

pub(super) fn key(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// Returns the threshold between two values, which `low` does not exceed and `high` does.
fn between(low: f32, high: f32) -> f32 {
    let middle = f32::midpoint(low, high);
    if middle < high && middle >= low { middle } else { low }
}

/// Returns thresholds for sorted keys: between all values where they are few enough, else between bins of about equal
/// counts.
fn thresholds(keys: &[u32], most: usize) -> Vec<f32> {
    let runs: Vec<(u32, usize)> = keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let at = |index: usize| between(value_of(runs[index].0), value_of(runs[index + 1].0));
    if runs.len() <= most {
        return (0..runs.len().saturating_sub(1)).map(at).collect();
    }
    let mut found = Vec::with_capacity(most - 1);
    let (mut left, mut taken) = (keys.len(), 0_usize);
    for index in 0..runs.len() - 1 {
        taken += runs[index].1;
        let bins_left = most - found.len();
        if bins_left <= 1 {
            break;
        }
        let goal = left as f64 / bins_left as f64;
        // A value that fills a bin alone gets one: the bin before it is closed early.
        if taken as f64 >= goal || (runs[index + 1].1 as f64 >= goal && taken as f64 >= goal * 0.5) {
            found.push(at(index));
            left -= taken;
            taken = 0;
        }
    }
    found
}

/// What is known of a column before its rows are binned.
enum Column {
    Constant,
    Feature(Feature),
}

/// Returns the rows that say where bins end: all, or those with the smallest of their `numbers`, see
/// [`content`](super::content).
pub(super) fn sample(rows: &[u32], numbers: &[u64]) -> Vec<u32> {
    if rows.len() <= SAMPLE {
        return rows.to_vec();
    }
    let below = ((SAMPLE as u128) << 64) / rows.len() as u128;
    rows.iter().filter(|row| u128::from(numbers[**row as usize]) < below).copied().collect()
}

fn ordered(
    matrix: &FeatureMatrix<'_>,
    rows: &[u32],
    sample: &[u32],
    column: usize,
    max_bins: usize,
) -> Column {
    let value = |row: &u32| matrix.values[*row as usize * matrix.columns + column];
    let of = |rows: &[u32]| {
        let mut keys: Vec<u32> = rows.iter().map(value).filter(|value| !value.is_nan()).map(key).collect();
        radsort::sort(&mut keys);
        thresholds(&keys, max_bins)
    };
    let mut thresholds = of(sample);
    // What is rare may be in none of the rows that were looked at.
    if thresholds.is_empty() && sample.len() < rows.len() {
        thresholds = of(rows);
    }
    let missing = || rows.iter().any(|row| value(row).is_nan());
    let present = || rows.iter().any(|row| !value(row).is_nan());
    if thresholds.is_empty() && !(missing() && present()) {
        return Column::Constant;
    }
    let bins = thresholds.len() + 1;
    Column::Feature(Feature { column, scale: Scale::Ordered(thresholds), bins, monotonic: 0, shared: 0 })
}

fn categories(
    matrix: &FeatureMatrix<'_>,
    rows: &[u32],
    column: usize,
    max_bins: usize,
) -> Result<Column, LearnError> {
    let name = matrix.names.get(column).map_or("?", String::as_str);
    let mut counts: Vec<usize> = Vec::new();
    let mut missing = false;
    for row in rows {
        let value = matrix.values[*row as usize * matrix.columns + column];
        if value.is_nan() || value == -1.0 {
            missing = true;
            continue;
        }
        if value < 0.0 || value.fract() != 0.0 || value >= 65_536.0 {
            let message = format!(
                "the categorical feature `{name}` has the value {value} in {{row}}, which is no position of a category; use \
                 `preprocess.encode: ordinal`, or take it from `categorical_features`"
            );
            return Err(LearnError::Row { row: *row as usize, message });
        }
        let code = value as usize;
        if counts.len() <= code {
            counts.resize(code + 1, 0);
        }
        counts[code] += 1;
    }
    let mut codes: Vec<usize> = (0..counts.len()).filter(|code| counts[*code] > 0).collect();
    if codes.len() < 2 && !(missing && codes.len() == 1) {
        return Ok(Column::Constant);
    }
    // The frequent ones get bins of their own, the rest share the last.
    codes.sort_by(|one, other| counts[*other].cmp(&counts[*one]).then(one.cmp(other)));
    let bins = codes.len().min(max_bins);
    let shared = if codes.len() > max_bins { codes.len() - max_bins + 1 } else { 0 };
    let mut table = vec![0_u8; counts.len()];
    for (rank, code) in codes.iter().enumerate() {
        table[*code] = (rank + 1).min(bins) as u8;
    }
    Ok(Column::Feature(Feature { column, scale: Scale::Categories(table), bins, monotonic: 0, shared }))
}

impl Feature {
    /// Returns the bin of a value.
    fn bin(&self, value: f32) -> u8 {
        match &self.scale {
            _ if value.is_nan() => MISSING as u8,
            Scale::Ordered(thresholds) => {
                (thresholds.partition_point(|threshold| *threshold < value) + 1) as u8
            }
            Scale::Categories(table) => {
                // Truncation of a negative position gives 0, which is asked for before.
                if value < 0.0 { 0 } else { table.get(value as usize).copied().unwrap_or(0) }
            }
        }
    }
}

/// Writes the bins of some features, `width` bytes a row.
fn fill(bins: &mut [u8], width: usize, features: &[Feature], matrix: &FeatureMatrix<'_>) {
    let level = level();
    let search = |feature: &Feature| match &feature.scale {
        Scale::Ordered(thresholds) => Some(Search::new(thresholds, matrix.rows)),
        Scale::Categories(_) => None,
    };
    let searches: Vec<Option<Search>> = features.par_iter().map(search).collect();
    let blocks = bins.par_chunks_mut(width * 1024).zip(matrix.values.par_chunks(matrix.columns * 1024));
    blocks.for_each(|(bins, values)| {
        // Feature by feature over a block: its thresholds stay in the cache.
        let mut column = Vec::with_capacity(1024);
        let mut found = Vec::with_capacity(1024);
        for (place, (feature, search)) in features.iter().zip(&searches).enumerate() {
            column.clear();
            column.extend(values.iter().skip(feature.column).step_by(matrix.columns));
            found.clear();
            match search {
                Some(search) => {
                    found.resize(column.len(), 0);
                    search.bins(level, &column, &mut found);
                }
                None => found.extend(column.iter().map(|value| feature.bin(*value))),
            }
            let cells = bins.iter_mut().skip(place).step_by(width);
            cells.zip(&found).for_each(|(cell, bin)| *cell = *bin);
        }
    });
}

/// Returns the most rows that a bin has, of each feature of a group.
fn most((bins, width): (&[u8], usize), rows: usize) -> Vec<u32> {
    let part = rows.div_ceil(rayon::current_num_threads()).max(1) * width;
    let counts = bins.par_chunks(part).map(|bins| {
        let mut counts = vec![[0_u32; CELLS]; width];
        for row in bins.chunks_exact(width) {
            row.iter().zip(&mut counts).for_each(|(bin, counts)| counts[usize::from(*bin)] += 1);
        }
        counts
    });
    let together = |mut one: Vec<[u32; CELLS]>, other: Vec<[u32; CELLS]>| {
        one.iter_mut().flatten().zip(other.iter().flatten()).for_each(|(one, other)| *one += other);
        one
    };
    let counts = counts.reduce(|| vec![[0; CELLS]; width], together);
    counts.iter().map(|counts| counts.iter().copied().max().unwrap_or(0)).collect()
}

impl Binned {
    /// Bins `rows` of a matrix, of which `sample` says where bins end; the others are binned too and never asked for.
    ///
    /// # Errors
    /// Names a categorical feature that is none.
    pub(super) fn new(
        matrix: &FeatureMatrix<'_>,
        rows: &[u32],
        sample: &[u32],
        max_bins: usize,
        categorical: &[bool],
        monotonic: &[i8],
    ) -> Result<Self, LearnError> {
        let one = |column: usize| {
            if categorical[column] {
                categories(matrix, rows, column, max_bins)
            } else {
                Ok(ordered(matrix, rows, sample, column, max_bins))
            }
        };
        let columns: Vec<Column> = (0..matrix.columns).into_par_iter().map(one).collect::<Result<_, _>>()?;
        let mut features: Vec<Feature> = columns
            .into_iter()
            .filter_map(|column| match column {
                Column::Feature(feature) => Some(feature),
                Column::Constant => None,
            })
            .collect();
        for feature in &mut features {
            feature.monotonic = monotonic[feature.column];
        }
        let stride = features.len().next_multiple_of(PAD).max(PAD);
        let mut bins = pages::zeros::<u8>(matrix.rows * stride);
        let mut rest = &mut bins[..];
        for first in (0..stride).step_by(GROUP) {
            let width = GROUP.min(stride - first);
            let (group, other) = rest.split_at_mut(matrix.rows * width);
            rest = other;
            fill(
                group,
                width,
                &features[first.min(features.len())..(first + width).min(features.len())],
                matrix,
            );
        }
        let mut binned = Self { features, stride, most: Vec::new(), rows: matrix.rows, bins };
        binned.most =
            (0..stride).step_by(GROUP).flat_map(|first| most(binned.group(first), matrix.rows)).collect();
        Ok(binned)
    }

    /// Returns the bins of the group of features that begins with `first`, row-major, and how many a row has.
    #[inline]
    pub(super) fn group(&self, first: usize) -> (&[u8], usize) {
        let width = GROUP.min(self.stride - first);
        (&self.bins[first * self.rows..(first + width) * self.rows], width)
    }

    /// Moves the rows: that of `rows[0]` becomes the first; `rows` has each once.
    pub(super) fn reorder(&mut self, rows: &[u32], spare: &mut [u32]) {
        for first in (0..self.stride).step_by(GROUP) {
            let width = GROUP.min(self.stride - first);
            let group = first * self.rows..(first + width) * self.rows;
            reorder::bins(&mut self.bins[group], width, rows, spare);
        }
    }

    /// Returns the bin of a row in a feature.
    #[inline]
    pub(super) fn bin(&self, row: u32, feature: usize) -> usize {
        let (bins, width) = self.group(feature / GROUP * GROUP);
        usize::from(bins[row as usize * width + feature % GROUP])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binned(values: &[f32], categorical: bool) -> Binned {
        let names = ["x".to_owned()];
        let matrix = FeatureMatrix { rows: values.len(), columns: 1, values, names: &names };
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        Binned::new(&matrix, &rows, &rows, 255, &[categorical], &[0]).expect("bins")
    }

    fn codes(binned: &Binned, rows: usize) -> Vec<usize> {
        (0..rows as u32).map(|row| binned.bin(row, 0)).collect()
    }

    #[test]
    fn few_values_have_a_bin_each_and_nan_the_first() {
        let found = binned(&[3.0, f32::NAN, -0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY], false);
        assert_eq!(codes(&found, 6), [3, 0, 2, 2, 4, 1]);
    }

    #[test]
    fn a_block_of_values_gets_the_bins_of_each() {
        let values: Vec<f32> = (0..5000)
            .map(|at| match at % 97 {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => f32::NEG_INFINITY,
                _ => ((at * 7919) % 1000) as f32 - 500.0,
            })
            .collect();
        let found = binned(&values, false);
        let one_by_one: Vec<usize> =
            values.iter().map(|value| usize::from(found.features[0].bin(*value))).collect();
        assert_eq!(codes(&found, values.len()), one_by_one);
    }

    #[test]
    fn thresholds_separate_neighbouring_floats() {
        let high = f32::from_bits(1.0_f32.to_bits() + 1);
        let found = binned(&[1.0, high, f32::MAX, f32::INFINITY], false);
        let Scale::Ordered(thresholds) = &found.features[0].scale else { panic!("not ordered") };
        assert!(thresholds[0] >= 1.0 && thresholds[0] < high);
        assert!(thresholds[2] >= f32::MAX && thresholds[2] < f32::INFINITY);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size() {
        let values: Vec<f32> = (0..10_000).map(|at| ((at * 7919) % 10_000) as f32).collect();
        let found = binned(&values, false);
        let mut counts = [0; CELLS];
        codes(&found, values.len()).into_iter().for_each(|bin| counts[bin] += 1);
        assert_eq!((counts[0], found.features[0].bins), (0, 255));
        assert!(counts[1..].iter().all(|count| (35..=45).contains(count)), "{counts:?}");
    }

    #[test]
    fn rare_categories_share_the_last_bin() {
        let mut values: Vec<f32> = (0..400).map(|code| code as f32).collect();
        values.extend(vec![7.0; 10]);
        let found = binned(&values, true);
        assert_eq!((found.features[0].bins, found.features[0].shared), (255, 146));
        assert_eq!((found.bin(7, 0), found.bin(399, 0), found.bin(0, 0)), (1, 255, 2));
    }

    #[test]
    fn a_value_that_the_sample_lacks_is_found_among_all_rows() {
        let mut values = vec![1.0_f32; 1000];
        values[999] = 2.0;
        let matrix = FeatureMatrix { rows: 1000, columns: 1, values: &values, names: &[] };
        let rows: Vec<u32> = (0..1000).collect();
        let found = Binned::new(&matrix, &rows, &rows[..100], 255, &[false], &[0]).expect("bins");
        assert_eq!((found.bin(0, 0), found.bin(999, 0)), (1, 2));
    }

    #[test]
    fn features_of_every_group_have_their_bins() {
        for columns in [3, 16, 17, 28, 35] {
            let values: Vec<f32> = (0..2000 * columns).map(|at| ((at * 7919) % 251) as f32).collect();
            let names: Vec<String> = (0..columns).map(|at| at.to_string()).collect();
            let matrix = FeatureMatrix { rows: 2000, columns, values: &values, names: &names };
            let rows: Vec<u32> = (0..2000).collect();
            let (none, free) = (vec![false; columns], vec![0; columns]);
            let found = Binned::new(&matrix, &rows, &rows, 255, &none, &free).expect("bins");
            for row in 0..2000 {
                for column in 0..columns {
                    let value = values[row as usize * columns + column];
                    assert_eq!(found.bin(row, column), usize::from(found.features[column].bin(value)));
                }
            }
        }
    }

    #[test]
    fn constant_columns_are_left_out() {
        assert!(binned(&[2.0; 9], false).features.is_empty());
        assert!(binned(&[f32::NAN; 9], false).features.is_empty());
        assert_eq!(binned(&[f32::NAN, 1.0, 1.0], false).features.len(), 1);
    }
}
