//! What each raw feature adds to one answer.
//!
//! Boosted trees share their score out by Shapley values (`TreeSHAP`); what is made of one raw column is added up. Other
//! models are asked again with the feature at its typical value: the difference is its contribution.

use modelgate_model::estimator::{Boosted, Estimator};
use modelgate_model::{InputColumn, Prediction, Varied};

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

/// The class to speak for when `label` is predicted.
fn class(model: &ServedModel, label: Option<u32>) -> Option<usize> {
    let label = label? as usize;
    Some(if model.classes.len() == 2 { 1 } else { label })
}

/// Cells of changed rows that one request may take; `/explain` takes fewer rows of a model that looks at very many columns.
const CELLS: usize = 1 << 28;

/// Returns how many rows can be explained in one request, up to `most`.
pub(crate) fn rows(model: &ServedModel, most: usize) -> usize {
    if boosted(model).is_some_and(|boosted| boosted.trees.iter().all(|tree| !tree.covers.is_empty())) {
        // Shared out by walks through the trees, not by changed rows.
        return most;
    }
    affordable(model.looked_at.len(), model.origins.len().max(model.features().len()), most)
}

/// A row is taken once for each column that is looked at, with all its cells.
fn affordable(looked_at: usize, width: usize, most: usize) -> usize {
    (CELLS / looked_at.saturating_mul(width).max(1)).clamp(1, most.max(1))
}

/// Explains each row of a batch whose answers are `prediction`.
pub(crate) fn explain(
    model: &ServedModel,
    batch: &Batch,
    prediction: &Prediction,
) -> Result<Vec<Explanation>, String> {
    let mut occlusion = None;
    (0..batch.rows)
        .map(|at| {
            let label = match prediction {
                Prediction::Classes { labels, .. } => labels.get(at).copied(),
                Prediction::Values(_) => None,
            };
            let class = class(model, label);
            let columns: Vec<InputColumn> =
                batch.columns.iter().map(|column| column.take(&[at as u32])).collect();
            if let Some(found) = shapley(model, &columns, class)? {
                return Ok(found);
            }
            let occlusion = match &mut occlusion {
                Some(made) => made,
                none => none.insert(Occlusion::new(model, batch)?),
            };
            occlusion.explain(at, class)
        })
        .collect()
}

/// The boosted trees whose features are each made of one column: no share is that of several.
fn boosted(model: &ServedModel) -> Option<&Boosted> {
    match model.package.model.estimator() {
        Some(Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted)) => {
            (model.origins.len() == boosted.features).then_some(boosted)
        }
        _ => None,
    }
}

fn shapley(
    model: &ServedModel,
    columns: &[InputColumn],
    class: Option<usize>,
) -> Result<Option<Explanation>, String> {
    let Some(boosted) = boosted(model) else { return Ok(None) };
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

/// The rows of a batch and the typical row behind them, ready to be asked about with a feature of the typical row in each.
struct Occlusion<'a> {
    model: &'a ServedModel,
    rows: Varied<'a>,
    answers: Prediction,
    typical: usize,
}

impl<'a> Occlusion<'a> {
    fn new(model: &'a ServedModel, batch: &Batch) -> Result<Self, String> {
        let both = |(column, typical): (&InputColumn, &InputColumn)| {
            let mut column = column.clone();
            column.append(typical);
            column
        };
        let columns = batch.columns.iter().zip(&model.stored.columns).map(both).collect();
        let rows = Varied::new(&model.package.model, columns, batch.rows + 1);
        let rows = rows.map_err(|error| error.to_string())?;
        let answers = rows.predict().map_err(|error| error.to_string())?;
        Ok(Self { model, rows, answers, typical: batch.rows })
    }

    /// Returns what is spoken of, row by row: the number, or the probability of the class.
    fn spoken_of(&self, answers: &Prediction, class: Option<usize>) -> Vec<f64> {
        match answers {
            Prediction::Values(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Prediction::Classes { probabilities, .. } => {
                let width = self.model.classes.len().max(1);
                let own = probabilities.iter().skip(class.unwrap_or(0)).step_by(width);
                own.map(|value| f64::from(*value)).collect()
            }
        }
    }

    fn explain(&self, row: usize, class: Option<usize>) -> Result<Explanation, String> {
        // What the model never looks at adds nothing, and is not asked about.
        let asked = &self.model.looked_at;
        let found = self.rows.one_by_one(row as u32, self.typical as u32, asked);
        let found = self.spoken_of(&found.map_err(|error| error.to_string())?, class);
        let known = self.spoken_of(&self.answers, class);
        let (Some(whole), Some(base)) = (known.get(row).copied(), known.get(self.typical).copied()) else {
            return Err("it does not answer each row".to_owned());
        };
        let mut contributions = vec![0.0; self.model.features().len()];
        for (input, without) in asked.iter().zip(found) {
            if let Some(contribution) = contributions.get_mut(*input) {
                *contribution = whole - without;
            }
        }
        Ok(Explanation { method: Method::Occlusion, class, base, contributions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_fewer_rows_of_a_model_that_looks_at_many_columns() {
        assert_eq!(affordable(30, 30, 100), 100);
        assert_eq!(affordable(1600, 1600, 100), 100);
        assert_eq!(affordable(500, 4000, 100), 100, "what is not looked at costs little");
        assert_eq!(affordable(4000, 4000, 100), 16);
        assert_eq!(affordable(20_000, 20_000, 100), 1, "one always");
        assert_eq!(affordable(0, 0, 100), 100);
    }
}
