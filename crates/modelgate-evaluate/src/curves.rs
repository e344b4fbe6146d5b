//! The points of ROC, precision-recall and calibration curves.

use serde::{Deserialize, Serialize};

use crate::classification::{ClassificationInput, rank};
use crate::error::EvaluateError;
use crate::probability::{CALIBRATION_BINS, RowLosses};

/// The curves of one class against the rest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Curves {
    /// The class.
    pub class: String,
    /// False positive rate and true positive rate, from (0, 0) to (1, 1).
    pub roc: Vec<(f64, f64)>,
    /// Recall and precision, by rising recall.
    pub precision_recall: Vec<(f64, f64)>,
    /// Area under the ROC curve.
    pub area: f64,
    /// Average precision.
    pub average_precision: f64,
    /// Share of the rows that are of the class.
    pub share: f64,
}

/// A bin of a calibration curve.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Mean of the probabilities in the bin.
    pub promised: f64,
    /// Share of its rows where it came true.
    pub observed: f64,
    /// Its rows.
    pub rows: u64,
}

/// More points than this are thinned; the eye sees no difference at 720 pixels.
const MAX_POINTS: usize = 400;

fn thin<T: Copy>(points: Vec<T>) -> Vec<T> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let last = points.len() - 1;
    (0..MAX_POINTS).map(|at| points[at * last / (MAX_POINTS - 1)]).collect()
}

/// Returns the curves of `class`, or `None` when the rows are all or none of that class, or a probability is not finite.
///
/// # Errors
/// Fails when the class is beyond the classes.
pub fn curves(input: &ClassificationInput<'_>, class: usize) -> Result<Option<Curves>, EvaluateError> {
    let classes = input.class_names.len();
    if class >= classes || input.probabilities.len() != input.labels.len() * classes {
        return Err(EvaluateError::Input(format!(
            "there is no class {class} of {classes} to draw a curve of"
        )));
    }
    if input.probabilities.iter().any(|probability| !probability.is_finite()) {
        return Ok(None);
    }
    let ranked = rank(input, class);
    let (area, average_precision) = ranked.areas(|_| 1);
    let points = ranked.curve();
    let Some(last) = points.last().copied().filter(|_| area.is_finite()) else { return Ok(None) };
    let (hits, misses) = (last.true_positives as f64, last.false_positives as f64);
    let mut roc = vec![(0.0, 0.0)];
    roc.extend(
        points
            .iter()
            .map(|point| (point.false_positives as f64 / misses, point.true_positives as f64 / hits)),
    );
    let precision_recall = points.iter().map(|point| {
        let claimed = (point.true_positives + point.false_positives) as f64;
        (point.true_positives as f64 / hits, point.true_positives as f64 / claimed)
    });
    Ok(Some(Curves {
        class: input.class_names[class].clone(),
        roc: thin(roc),
        precision_recall: thin(precision_recall.collect()),
        area,
        average_precision,
        share: hits / (hits + misses),
    }))
}

/// Returns the bins that have rows: of class 1's probability for two classes, of the predicted class's for more. Empty
/// when a probability is not finite.
pub fn calibration_curve(input: &ClassificationInput<'_>) -> Vec<CalibrationBin> {
    if input.probabilities.iter().any(|probability| !probability.is_finite()) {
        return Vec::new();
    }
    let losses = RowLosses::new(input);
    let mut sums = [(0_u64, 0_u64, 0.0_f64); CALIBRATION_BINS];
    for (row, bin) in losses.bin.iter().enumerate() {
        let sum = &mut sums[usize::from(*bin)];
        sum.0 += 1;
        sum.1 += u64::from(losses.came_true[row]);
        sum.2 += losses.confidence[row];
    }
    let full = sums.into_iter().filter(|sum| sum.0 > 0);
    full.map(|(rows, hits, promised)| CalibrationBin {
        promised: promised / rows as f64,
        observed: hits as f64 / rows as f64,
        rows,
    })
    .collect()
}
