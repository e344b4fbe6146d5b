//! What a run leaves in `outputs/` and in the tracking tables, however it ended.

use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::verdict::GateVerdict;
use modelgate_data::contract::ContractReport;
use modelgate_registry::Registry;

use super::Progress;
use crate::deployment;
use crate::error::PipelineError;
use crate::evaluation::Evaluation;
use crate::history;
use crate::latency;
use crate::outputs::{self, EvaluationReport, PromotionDecision, RunReport, write, write_json};
use crate::reports::{self, EndedRun, RunEvidence};
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::{contract, judge, model, registration};
use crate::{together, tracking};

/// Leaves word of a run that an error ended, so that nobody takes what an earlier one left for its results.
pub(super) fn record_failure(
    runner: &Runner<'_>,
    progress: &Progress,
    error: &PipelineError,
) -> Result<(), PipelineError> {
    let pipeline = runner.pipeline;
    let folder = pipeline.outputs();
    let report =
        RunReport { error: Some(error.without_values()), ..run_report(runner, progress, None, None) };
    write_json(&folder, "run_report.json", &report)?;
    if let Some(ended) = EndedRun::read(pipeline) {
        write_ended(&folder, &ended)?;
    }
    tracking::record_failed(runner, &report, error)
}

/// Writes the reports of a run that ended before its gate, and its verdict: programs must not take that of an earlier run
/// for this one's.
fn write_ended(folder: &Path, ended: &EndedRun) -> Result<(), PipelineError> {
    write(folder, "verdict.json", &registration::verdict_file(&ended.verdict())?)?;
    write(folder, "report.md", ended.markdown().as_bytes())?;
    write(folder, "report.html", ended.html().as_bytes())
}

/// Returns what is known of the run now.
fn run_report(
    runner: &Runner<'_>,
    progress: &Progress,
    verdict: Option<&GateVerdict>,
    state: Option<Lifecycle>,
) -> RunReport {
    let pipeline = runner.pipeline;
    let trials = model::trials(runner).map(|(trials, _)| trials.trials).unwrap_or_default();
    RunReport {
        schema_version: 1,
        run_id: progress.run_id.clone(),
        pipeline: pipeline.name.to_owned(),
        model: pipeline.model.clone(),
        started_at: progress.started_at.clone(),
        finished_at: (runner.surroundings.now)(),
        actor: runner.surroundings.actor.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: pipeline.config.seed,
        sample: runner.options.sample,
        stages: runner.reports.clone(),
        digest: runner.output(Stage::Assemble, model::MANIFEST).ok(),
        verdict: verdict.map(|verdict| verdict.verdict),
        version: progress.version,
        state,
        quarantined: progress.quarantined,
        error: progress.error.clone(),
        children: trials.iter().map(|trial| trial.run_id(progress.run_id.as_str())).collect(),
    }
}

/// Leaves what the gate said where the reports of a run could not all be written: each file that can be. Programs must not take
/// the verdict of an earlier run for this one's.
pub(super) fn keep_verdict(
    runner: &mut Runner<'_>,
    progress: &Progress,
    verdict: &GateVerdict,
    state: Option<Lifecycle>,
) {
    let (pipeline, folder) = (runner.pipeline, runner.pipeline.outputs());
    let report = run_report(runner, progress, Some(verdict), state);
    let decision = decision(runner, progress);
    let written = [
        registration::verdict_file(verdict).and_then(|bytes| write(&folder, "verdict.json", &bytes)),
        write_json(&folder, "promotion_decision.json", &decision),
        write_json(&folder, "run_report.json", &report),
        RunEvidence::load(pipeline)
            .and_then(|evidence| write(&folder, "report.md", reports::markdown(&evidence, true).as_bytes())),
        tracking::record(runner, &report, judge::evaluation(runner).ok().as_ref()),
    ];
    for unwritten in written.into_iter().filter_map(Result::err) {
        runner.reporter.note(&format!("what came of this run could not all be written: {unwritten}"));
    }
}

/// Returns what became of the version of a run that was judged.
fn decision(runner: &Runner<'_>, progress: &Progress) -> PromotionDecision {
    let decision = progress.decision.as_ref();
    PromotionDecision {
        schema_version: 1,
        run_id: progress.run_id.clone(),
        model: runner.pipeline.model.clone(),
        version: progress.version,
        digest: runner.output(Stage::Assemble, model::MANIFEST).ok(),
        decision: decision.map_or("not_reached", |decision| decision.word).to_owned(),
        reason: decision.map_or_else(String::new, |decision| decision.reason.clone()),
        actor: decision.and_then(|decision| decision.actor.clone()),
    }
}

/// Writes the files of a run that an error did not end, and its rows in the tables.
pub(super) fn write_outputs(
    runner: &mut Runner<'_>,
    registry: Option<&Registry>,
    progress: &Progress,
    verdict: Option<&GateVerdict>,
    state: Option<Lifecycle>,
) -> Result<(), PipelineError> {
    let pipeline = runner.pipeline;
    let folder = pipeline.outputs();
    if let Ok(split) = runner.bytes(Stage::Split, "split") {
        write(&folder, "split.json", &split)?;
    }
    // What is here is uploaded, committed and commented by others: no value of a row is in it.
    if let Some(report) = contract::report(runner)?.map(ContractReport::without_values) {
        write_json(&folder, "contract_report.json", &report)?;
    }
    let evaluation: Option<Evaluation> = judge::evaluation(runner).ok();
    if let Some(evaluation) = &evaluation {
        let report = EvaluationReport {
            schema_version: 1,
            run_id: progress.run_id.clone(),
            pipeline: pipeline.name.to_owned(),
            model: pipeline.model.clone(),
            digest: evaluation.digest,
            classes: evaluation.classes.clone(),
            subsets: evaluation.subsets.clone(),
        };
        write_json(&folder, "evaluation_report.json", &report)?;
        write_json(&folder.join("evaluations"), &format!("{}.json", progress.run_id), &report)?;
        latency::show(pipeline, evaluation.digest)?;
    }
    match model::training(runner) {
        Some(training) => write_json(&folder, "training.json", &training)?,
        // What an earlier fit says is not of this model.
        None => outputs::remove(&folder, "training.json")?,
    }
    match model::trials(runner) {
        Some((trials, _)) => write_json(&folder, "trials.json", &trials)?,
        // What an earlier search found is not of this model.
        None => outputs::remove(&folder, "trials.json")?,
    }
    if let Some(record) = runner.record(Stage::Analyse) {
        history::drop_stale_plots(&folder, &record.outputs);
        let store = &runner.store;
        let named: Vec<(&String, &Digest)> = record.outputs.iter().collect();
        together::each(&named, |(name, digest)| write(&folder, name, &store.get(digest)?))?;
        if let Some(plot) = history::history(registry, pipeline, judge::gate_subset(runner)) {
            write(&folder, "plots/history.svg", plot.svg.as_bytes())?;
            write(&folder, "plots/history.dark.svg", plot.dark_svg.as_bytes())?;
            write(&folder, "plots/history.png", &plot.png)?;
            write(&folder, "plots/history.dark.png", &plot.dark_png)?;
        }
    }
    if let (Some(verdict), Some(evaluation)) = (verdict, &evaluation) {
        write(&folder, "verdict.json", &registration::verdict_file(verdict)?)?;
        let comparison = judge::comparison(runner)?;
        write_json(&folder, "comparison.json", &comparison)?;
        let manifest: modelgate_model::Manifest = runner.json(Stage::Assemble, model::MANIFEST)?;
        let card = reports::model_card(&manifest, evaluation, verdict, &runner.warnings());
        write(&folder, "MODEL_CARD.md", card.as_bytes())?;
        write_json(&folder, "promotion_decision.json", &decision(runner, progress))?;
        deployment::write(pipeline, registry, state)?;
    }
    let report = run_report(runner, progress, verdict, state);
    write_json(&folder, "run_report.json", &report)?;
    if verdict.is_some() && evaluation.is_some() {
        let evidence = RunEvidence::load(pipeline)?;
        write(&folder, "report.md", reports::markdown(&evidence, true).as_bytes())?;
        write(&folder, "report.html", reports::html(&evidence).as_bytes())?;
    } else if contract::blocks(runner)?
        && let Some(ended) = EndedRun::read(pipeline)
    {
        write_ended(&folder, &ended)?;
    }
    if let Err(error) = tracking::record(runner, &report, evaluation.as_ref()) {
        runner.reporter.note(&tracking::unrecorded(error)?);
    }
    Ok(())
}
