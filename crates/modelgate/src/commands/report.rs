//! `modelgate report`.

use modelgate_core::verdict::GateVerdict;
use modelgate_pipeline::reports::{EndedRun, RunEvidence, html, junit, markdown, sarif};
use modelgate_pipeline::{Pipeline, Project, Stage, StageWarning};

use crate::arguments::{Report, ReportForm};
use crate::commands::ci::{RulesPlace, repository_of};
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(report: &Report, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(report.pipeline.as_deref())?;
    let text = match EndedRun::read(&pipeline) {
        Some(ended) => of_ended(report.form, &ended, &pipeline)?,
        None => of_judged(report.form, &RunEvidence::load(&pipeline)?, &pipeline)?,
    };
    match &report.output {
        Some(path) => {
            modelgate_store::atomic::write(path, text.as_bytes())?;
            printer.talk(&format!("wrote {}", path.display()));
        }
        None => printer.data(text.trim_end_matches('\n'))?,
    }
    Ok(Exit::Passed)
}

fn suite(pipeline: &Pipeline<'_>) -> String {
    format!("modelgate.{}", pipeline.name)
}

/// A code host finds a file from the root of the repository.
fn of_code_scanning(verdict: &GateVerdict, pipeline: &Pipeline<'_>) -> anyhow::Result<String> {
    let root = repository_of(&pipeline.project.root).ok();
    let place = RulesPlace::of(pipeline.project, pipeline, root.as_deref());
    let log = sarif(verdict, pipeline.name, &place.path, &|rule| place.line_of(rule));
    Ok(modelgate_core::canonical::to_pretty(&log)?)
}

fn of_judged(form: ReportForm, evidence: &RunEvidence, pipeline: &Pipeline<'_>) -> anyhow::Result<String> {
    Ok(match form {
        ReportForm::Markdown => markdown(evidence, false),
        ReportForm::Html => html(evidence),
        ReportForm::Card => fs_err::read_to_string(pipeline.outputs().join("MODEL_CARD.md"))?,
        ReportForm::Junit => {
            junit(&evidence.verdict, &evidence.warnings(), &suite(pipeline), &evidence.run.finished_at)
        }
        ReportForm::Sarif => of_code_scanning(&evidence.verdict, pipeline)?,
        ReportForm::Json => modelgate_core::canonical::to_pretty(&evidence.verdict)?,
    })
}

fn warnings_of(ended: &EndedRun) -> Vec<StageWarning> {
    StageWarning::until(Stage::Promote, &ended.run.stages)
}

/// The report of a run that ended before its gate; what an earlier one left is not its own.
fn of_ended(form: ReportForm, ended: &EndedRun, pipeline: &Pipeline<'_>) -> anyhow::Result<String> {
    Ok(match form {
        ReportForm::Markdown => ended.markdown(),
        ReportForm::Html => ended.html(),
        ReportForm::Card => {
            let (name, run) = (pipeline.name, &ended.run.run_id);
            let (sentence, figures) = (ended.sentence(), ended.figures());
            let said = format!("the last run of `{name}`, {run}, made no model card, {sentence}; {figures}");
            return Err(anyhow::anyhow!(said));
        }
        ReportForm::Junit => {
            junit(&ended.verdict(), &warnings_of(ended), &suite(pipeline), &ended.run.finished_at)
        }
        ReportForm::Sarif => of_code_scanning(&ended.verdict(), pipeline)?,
        ReportForm::Json => modelgate_core::canonical::to_pretty(&ended.verdict())?,
    })
}
