//! `modelgate run`.

use modelgate_config::NotifyEvent;
use modelgate_core::Verdict;
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::{Ending, PipelineError, Project, RunOptions, RunOutcome, Selection};
use serde_json::json;

use crate::approval::TerminalApprover;
use crate::arguments::Run;
use crate::environment::{self, shows_values, surroundings};
use crate::exit::Exit;
use crate::printer::{Printer, coloured};
use crate::progress::StageLines;

pub(crate) fn execute(run: &Run, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = match project.pipeline(run.pipeline.as_deref()) {
        Ok(pipeline) => pipeline,
        Err(error @ PipelineError::SeveralPipelines(_)) => {
            for pipeline in project.pipelines()? {
                printer.data(pipeline.name)?;
            }
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let selection = match (run.only, run.from, run.until) {
        (Some(stage), _, _) => Selection::Only(stage),
        (_, Some(stage), _) => Selection::From(stage),
        (_, _, Some(stage)) => Selection::Until(stage),
        _ => Selection::All,
    };
    // What came with a clone is nobody's work here.
    let tracked = super::doubts::of_tracked(&pipeline.project.root);
    tracked.iter().for_each(|sentence| printer.warning(sentence));
    let force = run.force || tracked.is_some();
    let options = RunOptions { selection, sample: run.sample, dry_run: run.dry_run, force, import: None };
    walk(&pipeline, &options, printer)
}

/// Runs a pipeline and prints what came of it.
pub(crate) fn walk(
    pipeline: &modelgate_pipeline::Pipeline<'_>,
    options: &RunOptions,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let mut reporter = StageLines::new(printer);
    let mut approver = TerminalApprover { printer };
    let surroundings = surroundings();
    let mut outcome =
        modelgate_pipeline::run(pipeline, options, &surroundings, &mut reporter, &mut approver)?;
    let reported = report(&outcome, pipeline, options, printer);
    if !options.dry_run {
        tell(&outcome, pipeline, printer);
    }
    let exit = match outcome.ending {
        _ if options.dry_run => Exit::Passed,
        Ending::Done => Exit::Passed,
        Ending::Blocked => Exit::Blocked,
        Ending::Inconclusive => Exit::Inconclusive,
        Ending::Waiting => Exit::WaitingForApproval,
    };
    let failed = outcome.failed.take().map_or(Ok(()), |error| Err(error.into()));
    match failed.and(reported) {
        // What was judged stays what it is.
        Err(error) if exit != Exit::Passed => {
            printer.error(&error);
            Ok(exit)
        }
        ended => ended.map(|()| exit),
    }
}

/// Tells the webhook of what a person may want to know; a run that did nothing new tells nothing.
fn tell(outcome: &RunOutcome, pipeline: &modelgate_pipeline::Pipeline<'_>, printer: &Printer) {
    if !outcome.worked {
        return;
    }
    let verdict = outcome.verdict.as_ref();
    let reason = verdict.map_or("", |verdict| verdict.sentence.as_str());
    let model = &pipeline.model;
    let notice = if let Some(found) = outcome.promoted {
        Notice::promoted(model, found.version, found.digest, reason)
    } else {
        let failed = verdict.is_some_and(|verdict| verdict.verdict == Verdict::Failed);
        // A person's no and a contract that does not hold are no verdict of a gate.
        let kind = match outcome.ending {
            // A run that registers nothing, as that of a pull request, is a look: it changes nothing that others wait for. But nobody
            // waits for one on a schedule.
            _ if outcome.version.is_none() && !environment::is_scheduled() => return,
            Ending::Blocked if failed => NotifyEvent::VerdictFailed,
            Ending::Waiting => NotifyEvent::ApprovalWanted,
            _ => return,
        };
        let digest = verdict.and_then(|verdict| verdict.digest);
        Notice::of(kind, model, outcome.version, digest, reason)
    };
    super::notify::tell(pipeline.project, &notice, &surroundings(), printer);
}

fn report(
    outcome: &RunOutcome,
    pipeline: &modelgate_pipeline::Pipeline<'_>,
    options: &RunOptions,
    printer: &Printer,
) -> anyhow::Result<()> {
    let outputs = format!("outputs/{}", pipeline.name);
    if printer.is_json() {
        return printer.json(&json!({
            "schema_version": 1,
            "pipeline": pipeline.name,
            "model": pipeline.model,
            "run_id": outcome.run_id,
            "verdict": outcome.verdict,
            "version": outcome.version,
            "state": outcome.state,
            "worked": outcome.worked,
            "contract": outcome.contract,
            "warnings": outcome.warnings,
            "dry_run": options.dry_run,
            "outputs": outputs,
            "error": outcome.failed.as_ref().map(PipelineError::without_values),
        }));
    }
    if let Some(contract) =
        outcome.contract.as_ref().filter(|contract| !contract.passed() && !options.dry_run)
    {
        printer.data("")?;
        for line in super::data::validate::lines(contract, shows_values()) {
            printer.data(&format!("  {line}"))?;
        }
        look_at(outcome, pipeline, printer)?;
    }
    if let Some(verdict) = outcome.verdict.as_ref().filter(|_| !options.dry_run) {
        printer.data("")?;
        for rule in &verdict.rules {
            let outcome = rule.outcome.to_string();
            let padded = format!("{outcome:<14}").replacen(&outcome, &coloured(&outcome), 1);
            printer.data(&format!("  {padded} {}: {}", rule.id, rule.sentence))?;
        }
        let word = verdict.verdict.to_string();
        printer.data(&format!("verdict: {} – {}", coloured(&word), verdict.sentence))?;
        // Each was told of on stderr as its stage ended.
        match outcome.warnings.as_slice() {
            [] => {}
            [one] => printer.data(&format!("warning: {one}"))?,
            [first, more @ ..] => printer.data(&format!("warnings: {first}; and {} more", more.len()))?,
        }
        if let (Some(version), Some(state)) = (outcome.version, outcome.state) {
            printer.data(&format!(
                "version: {} {version} is {}",
                pipeline.model,
                coloured(&state.to_string())
            ))?;
        }
        look_at(outcome, pipeline, printer)?;
        if let (Ending::Waiting, Some(version)) = (outcome.ending, outcome.version) {
            printer.data(&format!("next: `modelgate model approve {} {version}`", pipeline.model))?;
        }
    }
    Ok(())
}

/// Names the report of the run. Where the run did not come to its end, what lies there may be of an earlier one, or nothing.
fn look_at(
    outcome: &RunOutcome,
    pipeline: &modelgate_pipeline::Pipeline<'_>,
    printer: &Printer,
) -> std::io::Result<()> {
    let text = fs_err::read_to_string(pipeline.outputs().join("report.md"));
    let run = outcome.run_id.as_ref().map(ToString::to_string);
    let is_its = |text: String| outcome.failed.is_none() || run.is_some_and(|run| text.contains(&run));
    if text.is_ok_and(is_its) {
        printer.data(&format!("look at: outputs/{}/report.md", pipeline.name))?;
    }
    Ok(())
}
