//! Figures of a classifier, as scikit-learn defines them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::EvaluateError;
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
    /// Rows of this class.
    pub support: u64,
}

/// Figures of a classifier.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassificationMetrics {
    /// Number of rows.
    pub rows: usize,
    /// Value by metric; `None` is undefined. `precision`, `recall`, `f1` and, of several classes, `roc_auc` are averaged
    /// as asked; those with `_macro` and `_weighted` always as they say.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    pub undefined: BTreeMap<String, String>,
    /// The figures of each class.
    pub per_class: Vec<ClassMetrics>,
    /// Counts `[actual][predicted]`.
    pub confusion: Vec<Vec<u64>>,
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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
    let mut confusion = vec![vec![0_u64; classes]; classes];
    for (label, predicted) in input.labels.iter().zip(input.predicted) {
        confusion[*label as usize][*predicted as usize] += 1;
    }
    let per_class: Vec<ClassMetrics> = (0..classes)
        .map(|class| {
            let hits = confusion[class][class];
            let support: u64 = confusion[class].iter().sum();
            let claimed: u64 = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                name: input.class_names[class].clone(),
                precision: ratio(hits, claimed),
                recall: ratio(hits, support),
                f1: ratio(2 * hits, support + claimed),
                support,
            }
        })
        .collect();
    let mut metrics = BTreeMap::new();
    let mut undefined = BTreeMap::new();
    let hits: u64 = (0..classes).map(|class| confusion[class][class]).sum();
    metrics.insert("accuracy".to_owned(), Some(ratio(hits, rows as u64)));
    // As scikit-learn: a class that is neither in the labels nor predicted does not count.
    let present: Vec<&ClassMetrics> = per_class
        .iter()
        .zip(0..classes)
        .filter(|(class, at)| class.support > 0 || confusion.iter().any(|row| row[*at] > 0))
        .map(|(class, _)| class)
        .collect();
    let parts: [(&str, fn(&ClassMetrics) -> f64); 3] =
        [("precision", |class| class.precision), ("recall", |class| class.recall), ("f1", |class| class.f1)];
    for (name, part) in parts {
        let weighted = sum(present.iter().map(|class| part(class) * class.support as f64)) / rows as f64;
        let plain = sum(present.iter().map(|class| part(class))) / present.len() as f64;
        let chosen = if average == Average::Weighted { weighted } else { plain };
        metrics.insert(name.to_owned(), Some(chosen));
        metrics.insert(format!("{name}_weighted"), Some(weighted));
        metrics.insert(format!("{name}_macro"), Some(plain));
    }
    let finite = input.probabilities.iter().all(|probability| probability.is_finite());
    let not_finite = || Err("a probability is not finite".to_owned());
    let auc = if finite { roc_auc(input, average) } else { not_finite() };
    let loss = if finite { Ok(log_loss(input)) } else { not_finite() };
    for (name, found) in [("roc_auc", auc), ("log_loss", loss)] {
        match found {
            Ok(value) => {
                metrics.insert(name.to_owned(), Some(value));
            }
            Err(why) => {
                metrics.insert(name.to_owned(), None);
                undefined.insert(name.to_owned(), why);
            }
        }
    }
    Ok(ClassificationMetrics { rows, metrics, undefined, per_class, confusion })
}

/// Area under the ROC curve: of class 1 for two classes, else one class against the rest, averaged.
fn roc_auc(input: &ClassificationInput<'_>, average: Average) -> Result<f64, String> {
    let classes = input.class_names.len();
    if classes == 2 {
        return area(input, 1);
    }
    let areas = (0..classes).map(|class| area(input, class as u32)).collect::<Result<Vec<f64>, String>>()?;
    if average == Average::Macro {
        return Ok(sum(areas) / classes as f64);
    }
    let support = |class: usize| input.labels.iter().filter(|label| **label as usize == class).count() as f64;
    let weighted = areas.iter().enumerate().map(|(class, area)| area * support(class));
    Ok(sum(weighted) / input.labels.len() as f64)
}

/// The share of pairs of a row of the class and another row that are in the right order; ties count half.
fn area(input: &ClassificationInput<'_>, class: u32) -> Result<f64, String> {
    let classes = input.class_names.len();
    let mut ranked: Vec<(f32, bool)> = input
        .labels
        .iter()
        .zip(input.probabilities.chunks_exact(classes))
        .map(|(label, row)| (row[class as usize], *label == class))
        .collect();
    ranked.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let positives = ranked.iter().filter(|row| row.1).count() as u64;
    let negatives = ranked.len() as u64 - positives;
    if positives == 0 || negatives == 0 {
        let name = &input.class_names[class as usize];
        let what = if positives == 0 { "no row is" } else { "every row is" };
        return Err(format!("{what} of class `{name}`"));
    }
    // In halves, so that whole numbers suffice.
    let (mut below, mut halves) = (0_u64, 0_u128);
    for tied in ranked.chunk_by(|one, other| one.0 == other.0) {
        let hits = tied.iter().filter(|row| row.1).count() as u64;
        let misses = tied.len() as u64 - hits;
        halves += u128::from(hits) * u128::from(2 * below + misses);
        below += misses;
    }
    Ok(halves as f64 / 2.0 / (positives as f64 * negatives as f64))
}

/// Mean negative logarithm of the true class's probability, clipped to the precision of a double and the rows
/// normalised, as scikit-learn does.
fn log_loss(input: &ClassificationInput<'_>) -> f64 {
    let classes = input.class_names.len();
    let clip = |probability: f32| f64::from(probability).clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    let losses = input.labels.iter().zip(input.probabilities.chunks_exact(classes)).map(|(label, row)| {
        let own = clip(row[*label as usize]);
        -libm::log(own)
    });
    sum(losses) / input.labels.len() as f64
}
