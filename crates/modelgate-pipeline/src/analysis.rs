//! What a model looks at: permutation importance and partial dependence; what `analysis.json` holds.

use modelgate_core::rule::Subset;
use modelgate_data::target::Target;
use modelgate_data::{Column, Table, Values};
use modelgate_evaluate::{Average, Importance, PartialDependence, permutation_importance};
use modelgate_model::estimator::Estimator;
use modelgate_model::{LoadedModel, Varied};
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, answers_of};
use crate::error::PipelineError;

/// What a model looks at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Analysis {
    /// The version of this form.
    pub schema_version: u32,
    /// The rows it was measured on.
    pub on: Subset,
    /// How many of them.
    pub rows: u64,
    /// The figure that shuffling a column makes worse: `brier` or `mae`.
    pub loss: String,
    /// Repeats of each shuffle.
    pub repeats: u32,
    /// The features, the most important first.
    pub importance: Vec<Importance>,
    /// The answer over the values of the most important features.
    pub dependence: Vec<PartialDependence>,
    /// What each preprocessed feature adds to the score, the largest first; empty for a model that does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<crate::contributions::Contribution>,
    /// What contributions are measured in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

impl Analysis {
    /// Returns what contributions are measured in.
    pub fn contribution_unit(&self) -> &str {
        // Files of earlier versions name none and are of scores.
        if !self.unit.is_empty() {
            &self.unit
        } else if self.loss == "mae" {
            "units of the target"
        } else {
            "log-odds"
        }
    }

    /// Says how many features were too many to be shuffled, if some were.
    pub(crate) fn warning(&self, model: &LoadedModel) -> Option<String> {
        let (shuffled, all) = (self.importance.len(), model.inputs().len());
        (shuffled > 0 && shuffled < all).then(|| {
            format!(
                "permutation importance: {shuffled} of {all} features are looked at, those that the model weighs most; \
                 `evaluate.importance_repeats: 1` is for more of them"
            )
        })
    }
}

/// At most so many rows are asked about for importance, and for dependence.
const MAX_ROWS: usize = 2000;
const MAX_DEPENDENCE_ROWS: usize = 300;
/// At most so many predictions are made in all; a wide model gets fewer rows.
const MAX_PREDICTIONS: usize = 4_000_000;
/// About so many steps are gone in all those predictions, a comparison or a product each; a model of so many features
/// that they would be more has those shuffled that it weighs most.
const MAX_STEPS: usize = 20_000_000_000;
/// Steps to a leaf of a tree, about.
const DEPTH: usize = 8;
/// So many features get a dependence, over at most so many values.
const DEPENDENT_FEATURES: usize = 3;
const VALUES: usize = 12;

/// Looks at `rows` of `table`; the same for any number of threads.
///
/// # Errors
/// Fails when the model cannot be asked about these rows.
pub fn analyse(
    model: &LoadedModel,
    table: &Table,
    target: &Target,
    rows: &[u32],
    on: Subset,
    repeats: u32,
    seed: u64,
) -> Result<Analysis, PipelineError> {
    let features: Vec<String> = model.inputs().iter().map(|(name, _)| name.clone()).collect();
    let affordable = MAX_PREDICTIONS / (features.len().max(1) * repeats.max(1) as usize);
    let some = evenly(rows, MAX_ROWS.min(affordable.max(50)));
    let known = target_of(target, &some);
    let everything: Vec<u32> = (0..some.len() as u32).collect();
    let name = if matches!(target, Target::Classes { .. }) { "brier" } else { "mae" };
    let importance = if repeats == 0 || some.is_empty() {
        Vec::new()
    } else {
        let weights = model.input_weights();
        let shuffled = most_weighed(&weights, most_shuffled(model, some.len(), repeats));
        let names: Vec<String> = shuffled.iter().map(|input| features[*input].clone()).collect();
        let mut varied = Varied::new(model, model.columns(table, &some)?, some.len())?;
        let loss = |said| -> Result<f64, PipelineError> {
            let found = answers_of(model, said, &known, &everything)?.figures(Average::Weighted, None)?;
            Ok(found.metrics.get(name).copied().flatten().unwrap_or(f64::NAN))
        };
        let base = loss(varied.predict()?)?;
        permutation_importance(&names, some.len(), repeats, seed, |asked| match asked {
            // What the model never looks at changes no answer.
            Some((feature, order)) if weights[shuffled[feature]] > 0.0 => {
                loss(varied.with(shuffled[feature], order)?)
            }
            _ => Ok(base),
        })?
    };
    let finite = importance.iter().all(|feature| feature.mean.is_finite());
    let importance = if finite { importance } else { Vec::new() };
    let few = table.take(&evenly(&some, MAX_DEPENDENCE_ROWS));
    let mut dependence = Vec::new();
    for feature in importance.iter().take(DEPENDENT_FEATURES) {
        dependence.extend(depends(model, &few, &known, &feature.feature)?);
    }
    let rows = some.len() as u64;
    Ok(Analysis {
        schema_version: 1,
        on,
        rows,
        loss: name.to_owned(),
        repeats,
        importance,
        dependence,
        contributions: Vec::new(),
        unit: String::new(),
    })
}

fn evenly(rows: &[u32], most: usize) -> Vec<u32> {
    let step = rows.len().div_ceil(most.max(1)).max(1);
    rows.iter().step_by(step).copied().collect()
}

/// Returns how many features can be shuffled.
fn most_shuffled(model: &LoadedModel, rows: usize, repeats: u32) -> usize {
    let a_row = match model.estimator() {
        Some(Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest)) => {
            forest.trees.len() * DEPTH
        }
        Some(Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted)) => {
            boosted.trees.len() * DEPTH
        }
        Some(Estimator::LinearClassifier(linear)) => linear.coefficients.len(),
        Some(Estimator::LinearRegressor(linear)) => linear.coefficients.len(),
        // What is inside is not known.
        None => model.inputs().len(),
    };
    let a_feature = a_row.saturating_mul(rows).saturating_mul(repeats as usize);
    (MAX_STEPS / a_feature.max(1)).max(DEPENDENT_FEATURES)
}

/// Returns the positions of all features where at most `most` of them have to be asked about; else of those `most` that
/// weigh the most. In their own order.
fn most_weighed(weights: &[f64], most: usize) -> Vec<usize> {
    let asked = weights.iter().filter(|weight| **weight > 0.0).count();
    let mut found: Vec<usize> = (0..weights.len()).collect();
    if asked > most {
        found.sort_by(|one, other| weights[*other].total_cmp(&weights[*one]));
        found.truncate(most);
        found.sort_unstable();
    }
    found
}

fn target_of(target: &Target, rows: &[u32]) -> Target {
    match target {
        Target::Classes { labels, classes } => Target::Classes {
            labels: rows.iter().map(|row| labels[*row as usize]).collect(),
            classes: classes.clone(),
        },
        Target::Values(values) => Target::Values(rows.iter().map(|row| values[*row as usize]).collect()),
    }
}

/// Returns the mean answer over the values of `feature`; `None` when it has fewer than two.
fn depends(
    model: &LoadedModel,
    table: &Table,
    known: &Target,
    feature: &str,
) -> Result<Option<PartialDependence>, PipelineError> {
    let input = model.inputs().iter().position(|(name, _)| name == feature);
    let (Some(input), Some(column)) = (input, table.column(feature)) else { return Ok(None) };
    let tried = values_of(column);
    if tried.len() < 2 {
        return Ok(None);
    }
    let rows: Vec<u32> = (0..table.rows as u32).collect();
    let known = target_of(known, &rows);
    let mut varied = Varied::new(model, model.columns(table, &rows)?, rows.len())?;
    let (mut values, mut numbers, mut mean, mut outcome) =
        (Vec::new(), Vec::new(), Vec::new(), String::new());
    for row in tried {
        // The value of one row in every row.
        let said = varied.with(input, &vec![row as u32; rows.len()])?;
        let average = match answers_of(model, said, &known, &rows)? {
            Answers::Values { predicted, .. } => {
                "prediction".clone_into(&mut outcome);
                predicted.iter().sum::<f64>() / predicted.len() as f64
            }
            Answers::Classes { probabilities, names, .. } => {
                let class = watched(&known, names.len());
                outcome = format!("probability of {}", names[class]);
                let own = probabilities.chunks_exact(names.len()).map(|row| f64::from(row[class]));
                own.sum::<f64>() / rows.len() as f64
            }
        };
        mean.push(average);
        numbers.extend(column.number(row));
        values.push(match (column.number(row), column.text(row)) {
            (Some(number), _) => modelgate_core::verdict::figure(number),
            (None, text) => text.unwrap_or("missing").to_owned(),
        });
    }
    let rows = rows.len() as u64;
    Ok(Some(PartialDependence { feature: feature.to_owned(), values, numbers, outcome, mean, rows }))
}

/// The class whose probability is shown: the second of two, else the most frequent.
fn watched(target: &Target, classes: usize) -> usize {
    let Target::Classes { labels, .. } = target else { return 0 };
    if classes == 2 {
        return 1;
    }
    let mut counts = vec![0_u64; classes];
    for label in labels {
        counts[*label as usize] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    counts.iter().position(|count| *count == most).unwrap_or(0)
}

/// Returns rows that hold the values to try: quantiles of numbers, the most frequent texts.
fn values_of(column: &Column) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..column.len()).filter(|row| !column.is_null(*row)).collect();
    if let Values::Text(values) = &column.values {
        let mut counts: std::collections::BTreeMap<&str, (u64, usize)> = std::collections::BTreeMap::new();
        for row in rows {
            let found = counts.entry(values[row].as_deref().unwrap_or_default()).or_insert((0, row));
            found.0 += 1;
        }
        let mut ranked: Vec<(&str, (u64, usize))> = counts.into_iter().collect();
        ranked.sort_by_key(|(text, (count, _))| (std::cmp::Reverse(*count), *text));
        return ranked.into_iter().take(VALUES).map(|(_, (_, row))| row).collect();
    }
    let number = |row: usize| column.number(row).unwrap_or(f64::NAN);
    rows.sort_by(|one, other| number(*one).total_cmp(&number(*other)));
    rows.dedup_by(|one, other| number(*one) == number(*other));
    if rows.len() <= VALUES {
        return rows;
    }
    let last = rows.len() - 1;
    (0..VALUES).map(|at| rows[at * last / (VALUES - 1)]).collect()
}

#[cfg(test)]
mod tests;
