//! Figures of a classifier, as scikit-learn defines them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use rayon::prelude::*;

use crate::agreement::{self, ratio};
use crate::error::EvaluateError;
use crate::probability::{RowLosses, top_ks};
use crate::ranking::Ranked;
use crate::sum::sum;

/// How figures per class become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Average {
    /// By the number of rows of each class.
    Weighted,
    /// Each class counts the same.
    Macro,
}

/// What a classifier said of some rows.
#[derive(Clone, Copy, Debug)]
pub struct ClassificationInput<'a> {
    /// Position of the class that is true, one per row.
    pub labels: &'a [u32],
    /// Position of the class that is predicted.
    pub predicted: &'a [u32],
    /// Row-major `[rows × classes]`.
    pub probabilities: &'a [f32],
    /// The classes.
    pub class_names: &'a [String],
}

/// Figures of one class.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub name: String,
    /// Share of the rows predicted as this class that are; 0 without any.
    pub precision: f64,
    /// Share of the rows of this class that are predicted as such; 0 without any.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Area under the ROC curve of this class against the rest; `None` when one side has no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roc_auc: Option<f64>,
    /// Average precision of this class against the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_auc: Option<f64>,
    /// Rows of this class.
    pub support: u64,
}

/// Figures of a classifier.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassificationMetrics {
    /// Number of rows.
    pub rows: usize,
    /// Value by metric; `None` is undefined. `precision`, `recall`, `f1` and, of several classes, `roc_auc` and `pr_auc`
    /// (one class against the rest) are averaged as asked; those with `_macro` and `_weighted` always as they say.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    pub undefined: BTreeMap<String, String>,
    /// The figures of each class.
    pub per_class: Vec<ClassMetrics>,
    /// Counts `[actual][predicted]`.
    pub confusion: Vec<Vec<u64>>,
}

/// Returns the figures.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or a label is beyond the classes.
pub fn classification(
    input: &ClassificationInput<'_>,
    average: Average,
) -> Result<ClassificationMetrics, EvaluateError> {
    let (rows, classes) = (input.labels.len(), input.class_names.len());
    if rows == 0
        || classes < 2
        || input.predicted.len() != rows
        || input.probabilities.len() != rows * classes
    {
        let message = format!(
            "{rows} labels, {} predictions and {} probabilities of {classes} classes cannot be compared",
            input.predicted.len(),
            input.probabilities.len()
        );
        return Err(EvaluateError::Input(message));
    }
    if input.labels.iter().chain(input.predicted).any(|label| *label as usize >= classes) {
        return Err(EvaluateError::Input("a label is beyond the classes".to_owned()));
    }
    let mut counts = vec![0_u64; classes * classes];
    for (label, predicted) in input.labels.iter().zip(input.predicted) {
        counts[*label as usize * classes + *predicted as usize] += 1;
    }
    let confusion: Vec<Vec<u64>> = counts.chunks_exact(classes).map(<[u64]>::to_vec).collect();
    let mut metrics = BTreeMap::new();
    let mut undefined = BTreeMap::new();
    let by_class = agreement::ClassCounts::new(input.labels, input.predicted, classes, |_| 1);
    for (name, value) in agreement::NAMES.iter().zip(agreement::from_counts(&by_class, average)) {
        keep(&mut metrics, &mut undefined, name, value, "every row is of one class and predicted as such");
    }
    let mut areas = vec![(f64::NAN, f64::NAN); classes];
    if input.probabilities.iter().all(|probability| probability.is_finite()) {
        let support: Vec<u64> = confusion.iter().map(|row| row.iter().sum()).collect();
        let watched = if classes == 2 { 1..2 } else { 0..classes };
        areas = (0..classes).into_par_iter().map(|class| rank(input, class).areas(|_| 1)).collect();
        let one_sided = watched.clone().find(|class| support[*class] == 0 || support[*class] == rows as u64);
        let why = one_sided.map_or_else(String::new, |class| {
            let what = if support[class] == 0 { "no row is" } else { "every row is" };
            format!("{what} of class `{}`", input.class_names[class])
        });
        let (area, precision) = averaged(&areas[watched.clone()], &support[watched], average);
        keep(&mut metrics, &mut undefined, "roc_auc", area, &why);
        keep(&mut metrics, &mut undefined, "pr_auc", precision, &why);
        let losses = RowLosses::new(input);
        let mean = |values: &[f64]| sum(values.iter().copied()) / rows as f64;
        metrics.insert("log_loss".to_owned(), Some(mean(&losses.log_loss)));
        metrics.insert("brier".to_owned(), Some(mean(&losses.brier)));
        metrics.insert("calibration_error".to_owned(), Some(losses.calibration_error(|_| 1)));
        for k in top_ks(classes) {
            let hits = losses.place.iter().filter(|place| usize::from(**place) < k).count();
            metrics.insert(format!("top_{k}_accuracy"), Some(hits as f64 / rows as f64));
        }
    } else {
        let tops = top_ks(classes).map(|k| format!("top_{k}_accuracy"));
        let names = ["roc_auc", "pr_auc", "log_loss", "brier", "calibration_error"].map(str::to_owned);
        for name in names.into_iter().chain(tops) {
            keep(&mut metrics, &mut undefined, &name, f64::NAN, "a probability is not finite");
        }
    }
    let some = |value: f64| (!value.is_nan()).then_some(value);
    let per_class = (0..classes).map(|class| {
        let hits = confusion[class][class];
        let support: u64 = confusion[class].iter().sum();
        let claimed: u64 = confusion.iter().map(|row| row[class]).sum();
        ClassMetrics {
            name: input.class_names[class].clone(),
            precision: ratio(hits, claimed),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, support + claimed),
            roc_auc: some(areas[class].0),
            pr_auc: some(areas[class].1),
            support,
        }
    });
    let per_class = per_class.collect();
    Ok(ClassificationMetrics { rows, metrics, undefined, per_class, confusion })
}

fn keep(
    metrics: &mut BTreeMap<String, Option<f64>>,
    undefined: &mut BTreeMap<String, String>,
    name: &str,
    value: f64,
    why: &str,
) {
    metrics.insert(name.to_owned(), (!value.is_nan()).then_some(value));
    if value.is_nan() {
        undefined.insert(name.to_owned(), why.to_owned());
    }
}

/// Fails when the lengths differ, there is no row, or a label is beyond the classes.
pub(crate) fn fit_together(input: &ClassificationInput<'_>) -> Result<(), EvaluateError> {
    let (rows, classes) = (input.labels.len(), input.class_names.len());
    let beyond = input.labels.iter().chain(input.predicted).any(|label| *label as usize >= classes);
    if rows == 0 || input.predicted.len() != rows || input.probabilities.len() != rows * classes || beyond {
        let message = "labels, predictions and probabilities do not fit together";
        return Err(EvaluateError::Input(message.to_owned()));
    }
    Ok(())
}

/// Ranks the rows by the probability of one class.
pub(crate) fn rank(input: &ClassificationInput<'_>, class: usize) -> Ranked {
    let classes = input.class_names.len();
    Ranked::new(
        input.labels.len(),
        |row| input.probabilities[row * classes + class],
        |row| input.labels[row] as usize == class,
    )
}

/// Averages areas over classes; NaN when one of them is undefined.
pub(crate) fn averaged(areas: &[(f64, f64)], support: &[u64], average: Average) -> (f64, f64) {
    if let [only] = areas {
        return *only;
    }
    let rows: u64 = support.iter().sum();
    let mean = |part: fn(&(f64, f64)) -> f64| match average {
        Average::Macro => sum(areas.iter().map(part)) / areas.len() as f64,
        Average::Weighted => {
            let weighted = areas.iter().zip(support).map(|(area, support)| part(area) * *support as f64);
            sum(weighted) / rows as f64
        }
    };
    (mean(|area| area.0), mean(|area| area.1))
}

/// Returns the areas under the ROC curve and of average precision of several classes, from those of each; `None` where one of
/// them has none.
pub fn averaged_areas(classes: &[ClassMetrics], average: Average) -> (Option<f64>, Option<f64>) {
    let area = |found: Option<f64>| found.unwrap_or(f64::NAN);
    let areas: Vec<(f64, f64)> =
        classes.iter().map(|class| (area(class.roc_auc), area(class.pr_auc))).collect();
    let support: Vec<u64> = classes.iter().map(|class| class.support).collect();
    let (area, precision) = averaged(&areas, &support, average);
    let some = |value: f64| (!value.is_nan()).then_some(value);
    (some(area), some(precision))
}
