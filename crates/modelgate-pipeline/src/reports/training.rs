//! How the model was trained, for a report: parameters, figures, importances and the trials of a search.

use std::fmt::Write as _;

use modelgate_core::verdict::figure;
use serde_json::Value;

use crate::outputs::{TrainingReport, cell};
use crate::stages::trials::{Trial, Trials, compare};

/// Features in a report at most; all of them are in `training.json`.
const FEATURES_SHOWN: usize = 10;
/// Trials in a report at most; all of them are in `trials.json`.
const TRIALS_SHOWN: usize = 20;

/// Returns what training says of itself.
pub(crate) fn training_tables(training: &TrainingReport) -> String {
    let mut text = format!("| {} | value |\n|---|---|\n", cell(&training.algorithm));
    let plain = |value: &Value| !value.is_object() && !value.is_array();
    for (name, value) in
        training.params.iter().chain(training.details.iter().filter(|(_, value)| plain(value)))
    {
        let value = match value.as_f64() {
            Some(number) if !value.is_u64() => figure(number),
            _ => value.to_string(),
        };
        let _ = writeln!(text, "| {} | {} |", cell(name), cell(&value));
    }
    let Some(Value::Object(importances)) = training.details.get("feature_importances") else { return text };
    let mut shares: Vec<(&String, f64)> =
        importances.iter().filter_map(|(name, share)| Some((name, share.as_f64()?))).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    text.push_str("\n| feature | importance |\n|---|---|\n");
    for (name, share) in shares.iter().take(FEATURES_SHOWN) {
        let _ = writeln!(text, "| {} | {} |", cell(name), figure(*share));
    }
    text
}

/// Returns what a search tried.
pub(crate) fn trials_table(trials: &Trials) -> String {
    let metric = &trials.metric;
    let on = trials.cv.map_or_else(|| "the validation rows".to_owned(), |folds| format!("{folds} folds"));
    let mut text = format!(
        "{} trials of {}, {metric} on {on}. Trial {} is the best and made the model.\n\n\
         | trial | {metric} | ± | rows | parameters |\n|---|---|---|---|---|\n",
        trials.trials.len(),
        trials.algorithm,
        trials.best
    );
    let mut shown: Vec<&Trial> = trials.trials.iter().collect();
    shown.sort_by(|one, other| {
        let order = compare(one.score, other.score, trials.higher_is_better);
        // Of a halving, those that came further are measured on more rows.
        other.round.cmp(&one.round).then(order).then(one.number.cmp(&other.number))
    });
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    for trial in shown.iter().take(TRIALS_SHOWN) {
        let params: Vec<String> =
            trial.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let params = trial
            .error
            .clone()
            .map_or_else(|| params.join(", "), |error| format!("{}: {error}", params.join(", ")));
        let (score, deviation) = (value(trial.score), value(trial.deviation));
        let _ = writeln!(
            text,
            "| {} | {score} | {deviation} | {} | {} |",
            trial.number,
            trial.rows,
            cell(&params)
        );
    }
    if shown.len() > TRIALS_SHOWN {
        let _ = writeln!(text, "\n{} more are in `trials.json`.", shown.len() - TRIALS_SHOWN);
    }
    text
}
