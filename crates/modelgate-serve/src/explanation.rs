//! What each raw feature adds to one answer.
//!
//! Boosted trees share their score out by Shapley values (`TreeSHAP`); what is made of one raw column is added up. Other
//! models are asked again with the feature at its typical value: the difference is its contribution.

use modelgate_model::estimator::Estimator;
use modelgate_model::{InputColumn, Prediction};

use crate::request::rows::Batch;
use crate::served::ServedModel;

/// How contributions were found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Shapley,
    Occlusion,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shapley => "shapley",
            Self::Occlusion => "occlusion",
        }
    }
}

/// Contributions to the answer for one row.
#[derive(Debug)]
pub(crate) struct Explanation {
    pub(crate) method: Method,
    /// The class that they speak for, of a classifier: the second of two, or the predicted one of more.
    pub(crate) class: Option<usize>,
    /// What the contributions are added to.
    pub(crate) base: f64,
    /// One for each raw feature, in the order of the model's inputs.
    pub(crate) contributions: Vec<f64>,
}

fn row(columns: &[InputColumn], row: usize) -> Vec<InputColumn> {
    columns
        .iter()
        .map(|column| match column {
            InputColumn::Ints(values) => InputColumn::Ints(vec![values[row]]),
            InputColumn::Floats(values) => InputColumn::Floats(vec![values[row]]),
            InputColumn::Texts(values) => InputColumn::Texts(vec![values[row].clone()]),
        })
        .collect()
}

/// The class to speak for when `label` is predicted.
fn class(model: &ServedModel, label: Option<u32>) -> Option<usize> {
    let label = label? as usize;
    Some(if model.classes.len() == 2 { 1 } else { label })
}

/// Explains each row of a batch whose answers are `prediction`.
pub(crate) fn explain(
    model: &ServedModel,
    batch: &Batch,
    prediction: &Prediction,
) -> Result<Vec<Explanation>, String> {
    (0..batch.rows)
        .map(|at| {
            let label = match prediction {
                Prediction::Classes { labels, .. } => labels.get(at).copied(),
                Prediction::Values(_) => None,
            };
            let columns = row(&batch.columns, at);
            let class = class(model, label);
            match shapley(model, &columns, class)? {
                Some(found) => Ok(found),
                None => occlusion(model, &columns, class),
            }
        })
        .collect()
}

fn shapley(
    model: &ServedModel,
    columns: &[InputColumn],
    class: Option<usize>,
) -> Result<Option<Explanation>, String> {
    let Some(Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted)) =
        model.package.model.estimator()
    else {
        return Ok(None);
    };
    if model.origins.len() != boosted.features {
        // A feature is made of several columns: no share is one column's.
        return Ok(None);
    }
    let matrix = model.package.model.matrix(columns, 1).map_err(|error| error.to_string())?;
    let Some(shares) = boosted.shares(&matrix) else { return Ok(None) };
    let score = if boosted.scores == 1 { 0 } else { class.unwrap_or(0) };
    let mut contributions = vec![0.0; columns.len()];
    for (share, origin) in shares.features[score * boosted.features..].iter().zip(&model.origins) {
        contributions[*origin] += share;
    }
    let base = shares.base.get(score).copied().unwrap_or(0.0);
    Ok(Some(Explanation { method: Method::Shapley, class, base, contributions }))
}

fn occlusion(
    model: &ServedModel,
    columns: &[InputColumn],
    class: Option<usize>,
) -> Result<Explanation, String> {
    // The row itself, then the row with each feature at its typical value, then the typical row: one batch.
    let typical = &model.stored.columns;
    let features = columns.len();
    let batch: Vec<InputColumn> = columns
        .iter()
        .zip(typical)
        .enumerate()
        .map(|(at, (column, typical))| varied(column, typical, at, features))
        .collect();
    let answers = match model.predict(&batch, features + 2)? {
        Prediction::Values(values) => values,
        Prediction::Classes { probabilities, .. } => {
            let width = model.classes.len().max(1);
            probabilities.iter().skip(class.unwrap_or(0)).step_by(width).copied().collect()
        }
    };
    let whole = f64::from(answers[0]);
    let contributions = answers[1..=features].iter().map(|without| whole - f64::from(*without)).collect();
    let base = f64::from(answers[features + 1]);
    Ok(Explanation { method: Method::Occlusion, class, base, contributions })
}

fn varied(column: &InputColumn, typical: &InputColumn, at: usize, features: usize) -> InputColumn {
    fn spread<T: Clone>(own: &T, typical: &T, at: usize, features: usize) -> Vec<T> {
        let mut values = vec![own.clone(); features + 2];
        values[at + 1] = typical.clone();
        values[features + 1] = typical.clone();
        values
    }
    match (column, typical) {
        (InputColumn::Ints(own), InputColumn::Ints(typical)) => {
            InputColumn::Ints(spread(&own[0], &typical[0], at, features))
        }
        (InputColumn::Floats(own), InputColumn::Floats(typical)) => {
            InputColumn::Floats(spread(&own[0], &typical[0], at, features))
        }
        (InputColumn::Texts(own), InputColumn::Texts(typical)) => {
            InputColumn::Texts(spread(&own[0], &typical[0], at, features))
        }
        // Both are of the model's own types.
        _ => column.clone(),
    }
}
