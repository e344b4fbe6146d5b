//! The figures of one package on the rows of a split; what `evaluation_report.json` holds.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use modelgate_core::rule::Subset;
use modelgate_core::schema::{Classes, FeatureSchema};
use modelgate_core::verdict::{Scores, SubsetScores};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_evaluate::{Average, ClassMetrics, ClassificationInput};
use modelgate_model::{LoadedModel, Prediction};
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;

/// The figures on one subset.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubsetEvaluation {
    /// Number of rows.
    pub rows: u64,
    /// Value by metric; null is undefined, and `undefined` says why.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, String>,
    /// Precision, recall and F1 of each class; empty for regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<ClassMetrics>,
    /// Counts `[actual][predicted]`; empty for regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
}

/// The figures of one package.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The version of this form.
    pub schema_version: u32,
    /// The package.
    pub digest: Digest,
    /// The names of the classes in the order of the confusion matrix; empty for regression.
    pub classes: Vec<String>,
    /// The figures by subset.
    pub subsets: BTreeMap<Subset, SubsetEvaluation>,
}

impl Evaluation {
    /// Returns the figures in the form the gate judges.
    pub fn scores(&self, name: String, schema: Option<FeatureSchema>) -> Scores {
        let subsets = self.subsets.iter().map(|(subset, evaluation)| {
            (*subset, SubsetScores { rows: Some(evaluation.rows), metrics: evaluation.metrics.clone() })
        });
        Scores { name, digest: Some(self.digest), subsets: subsets.collect(), schema }
    }
}

/// Actual and predicted values of a regression, for the residual plot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Residuals {
    /// Values of the target.
    pub actual: Vec<f64>,
    /// What the package gives.
    pub predicted: Vec<f64>,
}

/// Scores `model` on validation and test; a subset without rows is left out.
///
/// Returns the figures, and for regression the values on each subset.
pub fn evaluate(
    model: &LoadedModel,
    digest: Digest,
    table: &Table,
    target: &Target,
    split: &SplitAssignment,
    average: Average,
) -> Result<(Evaluation, BTreeMap<Subset, Residuals>), PipelineError> {
    let mut subsets = BTreeMap::new();
    let mut residuals = BTreeMap::new();
    for (subset, rows) in [(Subset::Validation, &split.validation), (Subset::Test, &split.test)] {
        if rows.is_empty() {
            continue;
        }
        let evaluation = match (model.predict(table, rows)?, target) {
            (
                Prediction::Classes { labels: predicted, probabilities },
                Target::Classes { labels, classes },
            ) => {
                same_classes(model.classes(), classes)?;
                let actual: Vec<u32> = rows.iter().map(|row| labels[*row as usize]).collect();
                let names = classes.names();
                let found = modelgate_evaluate::classification(
                    &ClassificationInput {
                        labels: &actual,
                        predicted: &predicted,
                        probabilities: &probabilities,
                        class_names: &names,
                    },
                    average,
                )?;
                SubsetEvaluation {
                    rows: rows.len() as u64,
                    metrics: found.metrics,
                    undefined: found.undefined,
                    per_class: found.per_class,
                    confusion: found.confusion,
                }
            }
            (Prediction::Values(predicted), Target::Values(values)) => {
                let actual: Vec<f64> = rows.iter().map(|row| values[*row as usize]).collect();
                let predicted: Vec<f64> = predicted.into_iter().map(f64::from).collect();
                let found = modelgate_evaluate::regression(&actual, &predicted)?;
                residuals.insert(subset, Residuals { actual, predicted });
                SubsetEvaluation {
                    rows: rows.len() as u64,
                    metrics: found.metrics,
                    undefined: found.undefined,
                    per_class: Vec::new(),
                    confusion: Vec::new(),
                }
            }
            _ => {
                return Err(PipelineError::Policy(
                    "the package is for another task than the data".to_owned(),
                ));
            }
        };
        subsets.insert(subset, evaluation);
    }
    let classes = model.classes().map_or_else(Vec::new, Classes::names);
    Ok((Evaluation { schema_version: 1, digest, classes, subsets }, residuals))
}

/// Labels are positions in a list of classes: they mean nothing against another list.
fn same_classes(model: Option<&Classes>, data: &Classes) -> Result<(), PipelineError> {
    if model == Some(data) {
        return Ok(());
    }
    let names = |classes: Option<&Classes>| classes.map_or_else(Vec::new, Classes::names).join(", ");
    let sentence =
        format!("the package's classes are [{}] and the data's [{}]", names(model), names(Some(data)));
    Err(PipelineError::Policy(sentence))
}
