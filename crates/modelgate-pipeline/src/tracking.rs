//! Runs in the tracking tables: the run itself, and each trial of its search as a run below it.

use std::collections::BTreeMap;

use modelgate_registry::{Index, RunRow};

use crate::error::PipelineError;
use crate::evaluation::Evaluation;
use crate::outputs::RunReport;
use crate::runner::Runner;
use crate::stages::model;
use crate::stages::trials::Trial;

/// Keeps a run that came to its end, and the trials of the search that it made.
pub(crate) fn record(
    runner: &Runner<'_>,
    report: &RunReport,
    evaluation: Option<&Evaluation>,
) -> Result<(), PipelineError> {
    let resolved = match own_params(runner) {
        Some(params) => params,
        None => model::final_params(runner)?,
    };
    let mut metrics = BTreeMap::new();
    for (subset, found) in evaluation.into_iter().flat_map(|evaluation| &evaluation.subsets) {
        for (metric, value) in &found.metrics {
            if let Some(value) = value {
                metrics.insert(format!("{subset}.{metric}"), *value);
            }
        }
    }
    let row = RunRow {
        run: report.run_id.to_string(),
        experiment: report.pipeline.clone(),
        started_at: report.started_at.clone(),
        finished_at: report.finished_at.clone(),
        status: report.verdict.map_or_else(|| "finished".to_owned(), |verdict| verdict.to_string()),
        digest: report.digest,
        params: params(resolved, model::algorithm(runner), report.seed),
        metrics,
    };
    let mut rows = vec![];
    if let Some((trials, true)) = model::trials(runner) {
        rows.extend(trials.trials.iter().map(|trial| child(&row, &trials.metric, trial)));
    }
    rows.insert(0, row);
    Ok(Index::open(&runner.pipeline.project.state_folder())?.record_runs(&rows)?)
}

/// Keeps a run that an error ended; and the trials of its search, where none of them could be fitted and measured.
pub(crate) fn record_failed(
    runner: &Runner<'_>,
    report: &RunReport,
    error: &PipelineError,
) -> Result<(), PipelineError> {
    let config = &runner.pipeline.config;
    let given = own_params(runner).unwrap_or_else(|| config.train.params.clone());
    let row = RunRow {
        run: report.run_id.to_string(),
        experiment: report.pipeline.clone(),
        started_at: report.started_at.clone(),
        finished_at: report.finished_at.clone(),
        status: "failed".to_owned(),
        digest: None,
        params: params(given, model::algorithm(runner), config.seed),
        metrics: BTreeMap::new(),
    };
    let mut rows: Vec<RunRow> = match error {
        PipelineError::FailedSearch(search) => {
            search.trials.iter().map(|trial| child(&row, &search.metric, trial)).collect()
        }
        _ => Vec::new(),
    };
    rows.insert(0, row);
    Ok(Index::open(&runner.pipeline.project.state_folder())?.record_runs(&rows)?)
}

/// Returns what is told of a run whose row could not be written: what it did stands in the ledger and in `outputs/`, and the
/// index follows the ledger by itself.
///
/// # Errors
/// Returns every other error.
pub(crate) fn unrecorded(error: PipelineError) -> Result<String, PipelineError> {
    match error {
        PipelineError::Registry(error) if error.is_of_index() => Ok(format!(
            "{error}; what this run did stands, and its parameters and figures alone are missing in the history of runs"
        )),
        other => Err(other),
    }
}

/// Returns the parameters of what is no trainer of ours: a program, or a file that is imported.
fn own_params(runner: &Runner<'_>) -> Option<BTreeMap<String, serde_json::Value>> {
    let train = &runner.pipeline.config.train;
    match &train.command {
        _ if runner.options.import.is_some() => Some(BTreeMap::new()),
        Some(command) => {
            let given = train.params.clone().into_iter();
            Some(given.chain([("command".to_owned(), command.clone().into())]).collect())
        }
        None => None,
    }
}

fn params(
    given: BTreeMap<String, serde_json::Value>,
    algorithm: &str,
    seed: u64,
) -> BTreeMap<String, String> {
    let mut params: BTreeMap<String, String> =
        given.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    params.insert("algorithm".to_owned(), algorithm.to_owned());
    params.insert("seed".to_owned(), seed.to_string());
    params
}

/// Returns a trial as a run below the run that searched.
fn child(parent: &RunRow, metric: &str, trial: &Trial) -> RunRow {
    let mut params: BTreeMap<String, String> =
        trial.params.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    for inherited in ["algorithm", "seed"] {
        params.extend(parent.params.get(inherited).map(|value| (inherited.to_owned(), value.clone())));
    }
    params.insert("parent_run".to_owned(), parent.run.clone());
    let score = trial.score.map(|score| (format!("search.{metric}"), score));
    RunRow {
        run: trial.run_id(&parent.run),
        experiment: parent.experiment.clone(),
        started_at: parent.started_at.clone(),
        finished_at: parent.finished_at.clone(),
        status: if trial.score.is_some() { "finished" } else { "failed" }.to_owned(),
        digest: None,
        params,
        metrics: score.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use modelgate_registry::RegistryError;

    use super::*;

    #[test]
    fn a_run_is_not_failed_by_an_index_that_cannot_be_written() {
        let held = RegistryError::IndexBusy { path: "registry.db".to_owned() };
        let said = unrecorded(held.into()).expect("a warning");
        assert!(said.contains("what this run did stands") && said.contains("missing"), "{said}");
        unrecorded(PipelineError::Policy("no".to_owned())).expect_err("that is another error");
    }
}
