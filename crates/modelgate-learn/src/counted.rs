//! The rows that count: one of weight 0 is as if it were not there.

use crate::trainer::{FeatureMatrix, Targets};

/// Calls `fit` with the rows above the weight 0: with what is given where all of them are.
pub(crate) fn counted<R>(
    matrix: &FeatureMatrix<'_>,
    targets: &Targets<'_>,
    weights: Option<&[f64]>,
    fit: impl FnOnce(&FeatureMatrix<'_>, &Targets<'_>, Option<&[f64]>) -> R,
) -> R {
    match Counted::new(matrix, targets, weights) {
        None => fit(matrix, targets, weights),
        Some(counted) => fit(&counted.matrix(matrix), &counted.targets(targets), Some(&counted.weights)),
    }
}

/// The rows above the weight 0, moved together.
struct Counted {
    values: Vec<f32>,
    labels: Vec<u32>,
    numbers: Vec<f64>,
    /// One per row.
    weights: Vec<f64>,
}

impl Counted {
    /// Returns the rows that count; nothing where all of them do. What is in the others is no matter then, a missing or a huge value
    /// neither.
    fn new(matrix: &FeatureMatrix<'_>, targets: &Targets<'_>, weights: Option<&[f64]>) -> Option<Self> {
        let weights = weights.filter(|weights| weights.contains(&0.0))?;
        let mut counted =
            Self { values: Vec::new(), labels: Vec::new(), numbers: Vec::new(), weights: Vec::new() };
        let rows = matrix.values.chunks_exact(matrix.columns).zip(weights).enumerate();
        for (row, (values, weight)) in rows.filter(|(_, (_, weight))| **weight > 0.0) {
            counted.values.extend_from_slice(values);
            counted.weights.push(*weight);
            match targets {
                Targets::Classes { labels, .. } => counted.labels.push(labels[row]),
                Targets::Values(values) => counted.numbers.push(values[row]),
            }
        }
        Some(counted)
    }

    /// Returns the matrix of these rows, which are of `of`.
    fn matrix<'a>(&'a self, of: &FeatureMatrix<'a>) -> FeatureMatrix<'a> {
        FeatureMatrix { rows: self.weights.len(), values: &self.values, ..*of }
    }

    /// Returns what is learned of these rows, which is of `of`.
    fn targets<'a>(&'a self, of: &Targets<'a>) -> Targets<'a> {
        match *of {
            Targets::Classes { classes, names, .. } => {
                Targets::Classes { labels: &self.labels, classes, names }
            }
            Targets::Values(_) => Targets::Values(&self.numbers),
        }
    }
}
