//! Features as bins of one byte: exact where a feature has few values, quantiles where it has many.

use rayon::prelude::*;

use crate::trainer::FeatureMatrix;

/// Bins of one feature at most; the bin behind the last is for NaN.
pub(crate) const MAX_BINS: usize = 255;

/// The bin of NaN.
pub(crate) const NAN_BIN: u8 = 255;

/// One feature.
pub(crate) struct BinnedFeature {
    /// The bin of each row.
    pub(crate) bins: Vec<u8>,
    /// The smallest and the largest value in each bin.
    ranges: Vec<(f32, f32)>,
}

impl BinnedFeature {
    fn new(values: impl Iterator<Item = f32> + Clone) -> Self {
        let mut sorted: Vec<f32> = values.clone().filter(|value| !value.is_nan()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let runs: Vec<&[f32]> = sorted.chunk_by(|one, other| one == other).collect();
        let mut ranges: Vec<(f32, f32)> = Vec::new();
        if runs.len() <= MAX_BINS {
            ranges.extend(runs.iter().map(|run| (run[0], run[0])));
        } else {
            // Equal counts, one value never in two bins, and a bin left for each value that is still to come.
            let (mut left, mut taken) = (sorted.len(), 0);
            for (at, run) in runs.iter().enumerate() {
                let open = taken > 0;
                match ranges.last_mut() {
                    Some(last) if open => last.1 = run[0],
                    _ => ranges.push((run[0], run[0])),
                }
                taken += run.len();
                let bins_left = MAX_BINS - ranges.len();
                let full = taken >= left.div_ceil(bins_left + 1);
                if bins_left > 0 && (full || runs.len() - at - 1 <= bins_left) {
                    left -= taken;
                    taken = 0;
                }
            }
        }
        let bin = |value: f32| {
            if value.is_nan() { NAN_BIN } else { ranges.partition_point(|range| range.1 < value) as u8 }
        };
        Self { bins: values.map(bin).collect(), ranges }
    }

    /// Returns the threshold between two bins: the middle between the largest value of the lower one and the smallest
    /// of the upper one, and never the latter itself, which must go right. `upper` is [`NAN_BIN`] when only NaN is above.
    pub(crate) fn threshold(&self, lower: u8, upper: u8) -> f32 {
        let low = self.ranges[usize::from(lower)].1;
        let Some(high) = self.ranges.get(usize::from(upper)).map(|range| range.0) else { return low };
        let middle = f32::midpoint(low, high);
        if middle < high { middle } else { low }
    }
}

/// Returns the features of a matrix as bins.
pub(crate) fn bin_features(matrix: &FeatureMatrix<'_>) -> Vec<BinnedFeature> {
    let column = |column: usize| matrix.values.iter().skip(column).step_by(matrix.columns).copied();
    (0..matrix.columns).into_par_iter().map(|number| BinnedFeature::new(column(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_nan_has_its_own() {
        let feature = BinnedFeature::new([3.0, f32::NAN, 1.0, 3.0, 2.0].into_iter());
        assert_eq!(feature.bins, [2, NAN_BIN, 0, 2, 1]);
        assert_eq!(feature.threshold(0, 2), 2.0);
        assert_eq!(feature.threshold(2, NAN_BIN), 3.0);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size() {
        let feature = BinnedFeature::new((0..10_000).map(|value| value as f32));
        assert_eq!(feature.ranges.len(), MAX_BINS);
        let mut counts = [0; 256];
        feature.bins.iter().for_each(|bin| counts[usize::from(*bin)] += 1);
        assert!(counts[..MAX_BINS].iter().all(|count| (30..=50).contains(count)), "{counts:?}");
        assert_eq!(counts[255], 0);
    }

    #[test]
    fn a_threshold_separates_neighbouring_floats() {
        let low = 1.0_f32;
        let high = f32::from_bits(low.to_bits() + 1);
        let feature = BinnedFeature::new([low, high].into_iter());
        let threshold = feature.threshold(0, 1);
        assert!(low <= threshold && threshold < high);
    }
}
