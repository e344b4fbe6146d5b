//! Figures of probabilities row by row: logarithmic loss, Brier score, top-k and the bins of a calibration curve.

use crate::classification::{ClassificationInput, fit_together};
use crate::error::EvaluateError;

/// Bins of equal width of the calibration error and its plot.
pub const CALIBRATION_BINS: usize = 10;

/// What each row adds to the figures of probabilities.
#[derive(Clone, Debug)]
pub(crate) struct RowLosses {
    /// Negative logarithm of the true class's probability, clipped to the precision of a double as scikit-learn does.
    pub(crate) log_loss: Vec<f64>,
    /// Squared distance to the truth: of class 1 for two classes, summed over the classes for more.
    pub(crate) brier: Vec<f64>,
    /// The calibration bin: by the probability of class 1 for two classes, of the predicted class for more.
    pub(crate) bin: Vec<u8>,
    /// That probability.
    pub(crate) confidence: Vec<f64>,
    /// Whether what it promises came true.
    pub(crate) came_true: Vec<bool>,
    /// Place of the true class among the probabilities, from 0, ties counted as scikit-learn does.
    pub(crate) place: Vec<u16>,
}

impl RowLosses {
    /// Returns the parts of finite probabilities.
    pub(crate) fn new(input: &ClassificationInput<'_>) -> Self {
        let (rows, classes) = (input.labels.len(), input.class_names.len());
        let mut found = Self {
            log_loss: Vec::with_capacity(rows),
            brier: Vec::with_capacity(rows),
            bin: Vec::with_capacity(rows),
            confidence: Vec::with_capacity(rows),
            came_true: Vec::with_capacity(rows),
            place: Vec::with_capacity(rows),
        };
        // As numpy.linspace: multiples of the step.
        let edges: Vec<f64> = (1..CALIBRATION_BINS).map(|edge| edge as f64 * 0.1).collect();
        for (at, row) in input.probabilities.chunks_exact(classes).enumerate() {
            let label = input.labels[at] as usize;
            let own = row[label];
            found.log_loss.push(-libm::log(f64::from(own).clamp(f64::EPSILON, 1.0 - f64::EPSILON)));
            let (brier, watched, hit) = if classes == 2 {
                let miss = f64::from(row[1]) - label as f64;
                (miss * miss, 1, label == 1)
            } else {
                let squares = row.iter().enumerate().map(|(class, probability)| {
                    let miss = f64::from(*probability) - f64::from(u8::from(class == label));
                    miss * miss
                });
                let predicted = input.predicted[at] as usize;
                (squares.sum(), predicted, predicted == label)
            };
            found.brier.push(brier);
            let confidence = f64::from(row[watched]);
            found.confidence.push(confidence);
            found.came_true.push(hit);
            found.bin.push(edges.partition_point(|edge| *edge < confidence) as u8);
            let before = row
                .iter()
                .enumerate()
                .filter(|(class, other)| **other > own || (**other == own && *class > label));
            found.place.push(before.count().min(usize::from(u16::MAX)) as u16);
        }
        found
    }

    /// Returns the expected calibration error when each row counts `weight` times; NaN without rows.
    ///
    /// Source: Naeini, Cooper, Hauskrecht, 2015: the gap of promised and observed share, by the bin's share of rows.
    pub(crate) fn calibration_error(&self, weight: impl Fn(usize) -> u32) -> f64 {
        let mut hits = [0_u64; CALIBRATION_BINS];
        let mut promised = [0.0_f64; CALIBRATION_BINS];
        let mut rows = 0_u64;
        for (at, bin) in self.bin.iter().enumerate() {
            let weight = weight(at);
            let bin = usize::from(*bin);
            rows += u64::from(weight);
            hits[bin] += u64::from(weight) * u64::from(self.came_true[at]);
            promised[bin] += f64::from(weight) * self.confidence[at];
        }
        if rows == 0 {
            return f64::NAN;
        }
        let gaps = hits.iter().zip(promised).map(|(hits, promised)| (promised - *hits as f64).abs());
        gaps.sum::<f64>() / rows as f64
    }
}

/// The numbers of k that are worth a figure for so many classes.
pub(crate) fn top_ks(classes: usize) -> impl Iterator<Item = usize> {
    [2, 3, 5].into_iter().filter(move |k| *k < classes)
}

/// Returns of each row whether the true class is among the `k` most probable ones, as `top_k_accuracy` counts it.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or a label is beyond the classes.
pub fn top_hits(input: &ClassificationInput<'_>, k: usize) -> Result<Vec<bool>, EvaluateError> {
    fit_together(input)?;
    Ok(RowLosses::new(input).place.into_iter().map(|place| usize::from(place) < k).collect())
}
