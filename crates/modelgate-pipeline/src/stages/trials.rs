//! The record of a search: `trials.json`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use modelgate_config::SearchKindName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `trials.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trials {
    /// The version of this form.
    pub schema_version: u32,
    /// `random` or `successive_halving`.
    pub kind: SearchKindName,
    /// The trainer's name.
    pub algorithm: String,
    /// What was compared.
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// Number of folds; `None` when trials were measured on the validation rows.
    pub cv: Option<u32>,
    /// The seed.
    pub seed: u64,
    /// The number of the best trial.
    pub best: usize,
    /// The parameters that the model was trained with.
    pub best_params: BTreeMap<String, Value>,
    /// The trials in order; of a halving, each in the last round it took part in.
    pub trials: Vec<Trial>,
}

/// One trial: a run of its own below the run that searched.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, from 0.
    pub number: usize,
    /// The parameters that were drawn.
    pub params: BTreeMap<String, Value>,
    /// The last round it took part in, from 0.
    pub round: usize,
    /// Rows it was fitted and measured on.
    pub rows: usize,
    /// The mean over the folds; `None` when it could not be fitted or measured.
    pub score: Option<f64>,
    /// The standard deviation over the folds.
    pub deviation: Option<f64>,
    /// The metric of each fold.
    pub folds: Vec<f64>,
    /// Why there is no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A search of which no trial could be fitted and measured.
#[derive(Clone, PartialEq, Debug)]
pub struct FailedSearch {
    /// What was to be compared.
    pub metric: String,
    /// The rows of the round that it ended at, where those were not all.
    pub rows: Option<usize>,
    /// The trials in order, each with the reason why it has no score.
    pub trials: Vec<Trial>,
    /// Whether settings alone are to blame, and not the data.
    pub settings: bool,
}

impl fmt::Display for FailedSearch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.trials.iter().find_map(|trial| trial.error.as_deref()).unwrap_or_default();
        write!(formatter, "train.search: none of {} trials has a score: {why}", self.trials.len())?;
        match self.rows {
            Some(rows) => write!(formatter, "; the round had {rows} rows, set `min_rows` to more"),
            None => Ok(()),
        }
    }
}

/// The better first, none last.
pub(crate) fn compare(one: Option<f64>, other: Option<f64>, higher_is_better: bool) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) if higher_is_better => other.total_cmp(&one),
        (Some(one), Some(other)) => one.total_cmp(&other),
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

/// Returns the record of a trial from what its folds gave.
pub(crate) fn judged(
    number: usize,
    params: &BTreeMap<String, Value>,
    round: usize,
    rows: usize,
    scores: &[Result<f64, String>],
) -> Trial {
    let error = scores.iter().find_map(|score| score.as_ref().err().cloned());
    let folds: Vec<f64> = scores.iter().filter_map(|score| score.as_ref().ok().copied()).collect();
    let count = folds.len() as f64;
    let mean = folds.iter().sum::<f64>() / count;
    let variance = folds.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / count;
    let whole = error.is_none();
    Trial {
        number,
        params: params.clone(),
        round,
        rows,
        score: whole.then_some(mean),
        deviation: whole.then(|| variance.sqrt()),
        folds,
        error,
    }
}

impl Trial {
    /// Returns the id of this trial's run below the run `parent`.
    pub fn run_id(&self, parent: &str) -> String {
        format!("{parent}-t{:03}", self.number)
    }
}

impl Trials {
    /// Returns the best trial.
    pub fn best_trial(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.number == self.best)
    }

    /// Returns one line for people.
    pub(crate) fn summary(&self) -> String {
        let best = self.best_trial();
        let score = best.and_then(|best| best.score).unwrap_or(f64::NAN);
        // Those that were left out did not count.
        let folds = best.map_or(0, |best| best.folds.len());
        let on = self.cv.map_or_else(|| "validation".to_owned(), |_| format!("{folds} folds"));
        format!(
            "best of {} trials {} = {} on {on}",
            self.trials.len(),
            self.metric,
            modelgate_core::verdict::figure(score)
        )
    }
}
