//! The data contract: what the snapshot must be like before anything is learned from it.

use modelgate_config as config;
use modelgate_core::Digest;
use modelgate_core::rule::{Check, GateRule, Slice};
use modelgate_data::contract::{self, Contract, ContractReport, Severity};
use serde_json::json;

use crate::error::PipelineError;
use crate::options::StageStatus;
use crate::project::Pipeline;
use crate::record::{Inputs, StageRecord};
use crate::runner::{Runner, Work};
use crate::stage::{Stage, Wanted};
use crate::stages::dataset;

/// Raised when other rows, or other columns, break the same contract.
const REVISION: u32 = 1;

/// The figure that counts the broken rules of severity `error`.
const ERRORS: &str = "contract.errors";

/// The figure that counts them and those of severity `warning`.
const VIOLATIONS: &str = "contract.violations";

/// Returns the contract of `pipeline` with the digest of its text, if it has one.
pub fn read_contract(pipeline: &Pipeline<'_>) -> Result<Option<(Contract, Digest)>, PipelineError> {
    let Some(name) = &pipeline.config.data.contract else { return Ok(None) };
    let bytes = fs_err::read(pipeline.project.root.join(name)).map_err(|error| {
        if error.kind() != std::io::ErrorKind::NotFound {
            return PipelineError::from(error);
        }
        PipelineError::Setting {
            pipeline: pipeline.name.to_owned(),
            key: "data.contract",
            reason: format!(
                "there is no file `{name}`; `modelgate data validate --infer` writes a first one"
            ),
        }
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let contract = contract::parse(&text, name).map_err(PipelineError::Contract)?;
    Ok(Some((contract, Digest::of(&bytes))))
}

/// Returns the microseconds since 1970 of an RFC 3339 time.
pub fn micros(now: &str) -> i64 {
    now.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_microsecond)
}

/// Checks the contract; returns whether the run goes on.
pub(crate) fn contract(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    let Some((contract, digest)) = read_contract(runner.pipeline)? else {
        if runner.options.selection.wants(Stage::Contract) == Wanted::Forced
            && runner.options.selection.wants(Stage::Split) == Wanted::No
        {
            return Err(PipelineError::Setting {
                pipeline: runner.pipeline.name.to_owned(),
                key: "data.contract",
                reason: "there is none; `modelgate data validate --infer` writes a first one".to_owned(),
            });
        }
        return Ok(true);
    };
    let now = (runner.surroundings.now)();
    let goes_on = runner.step(
        Stage::Contract,
        |runner| {
            let mut inputs = Inputs::from([
                ("data".to_owned(), json!(runner.output(Stage::Snapshot, "data")?)),
                ("types and rows".to_owned(), json!(runner.output(Stage::Snapshot, "schema")?)),
                ("contract".to_owned(), json!(digest)),
                ("read".to_owned(), dataset::read_settings(runner.pipeline)),
                ("unlearned".to_owned(), json!(dataset::read_options(runner.pipeline).unlearned)),
                ("revision".to_owned(), json!(REVISION)),
            ]);
            if contract.freshness.is_some() {
                // How old the newest row is changes by itself: a judgement is taken up only as long as it holds.
                inputs.insert("judged".to_owned(), json!(judged(runner, &now)));
            }
            Ok(inputs)
        },
        |runner| {
            let files = dataset::stored(runner)?;
            let name = runner.pipeline.config.data.contract.clone().unwrap_or_default();
            let options = dataset::read_options(runner.pipeline);
            let report = contract::check_for_run(files, &options, &contract, &name, micros(&now))?;
            let mut work = Work::json("contract", &report, report.summary())?;
            // What stops the run is shown row by row at its end; what goes on to the gate is told here.
            let stops = stops(runner.pipeline);
            let told = report.violations.iter().filter(|found| !stops || found.severity == Severity::Warning);
            work.warnings = told.map(|found| format!("{}: {}", found.id, found.message)).collect();
            work.warnings.extend(report.notes.iter().cloned());
            Ok(work)
        },
    )?;
    if runner.record(Stage::Contract).is_none() {
        return Ok(goes_on);
    }
    if blocks(runner)? {
        if let Some(last) = runner.reports.last_mut() {
            last.status = StageStatus::Refused;
        }
        return Ok(false);
    }
    Ok(goes_on)
}

/// Returns when the freshness was judged: at the last run, when that judgement holds still, and else now.
fn judged(runner: &Runner<'_>, now: &str) -> String {
    let before = || {
        let record = StageRecord::load(&runner.pipeline.records(), Stage::Contract)?;
        let report = runner.store.get(record.outputs.get("contract")?).ok()?;
        let report: ContractReport = serde_json::from_slice(&report).ok()?;
        let holds = report.holds_until.is_none_or(|until| micros(now) <= micros(&until));
        let judged = record.inputs.get("judged")?.as_str()?.to_owned();
        holds.then_some(judged)
    };
    before().unwrap_or_else(|| now.to_owned())
}

fn stops(pipeline: &Pipeline<'_>) -> bool {
    pipeline.config.data.on_violation == config::OnViolation::Stop
}

/// Returns whether the contract stops the run.
pub(crate) fn blocks(runner: &Runner<'_>) -> Result<bool, PipelineError> {
    Ok(stops(runner.pipeline) && report(runner)?.is_some_and(|report| !report.passed()))
}

/// Adds the rule that no error of the contract is broken, where the gate is to judge the contract and none of `rules` bounds
/// errors from above: a contract that neither stops the run nor is judged would be none.
pub(crate) fn with_contract_rule(pipeline: &Pipeline<'_>, mut rules: Vec<GateRule>) -> Vec<GateRule> {
    let is_judged = pipeline.config.data.contract.is_some() && !stops(pipeline);
    // One on warnings alone, or that asks for many, lets errors through.
    let holds_errors = |rule: &GateRule| {
        let counts_errors = [ERRORS, VIOLATIONS].contains(&rule.metric.as_str());
        counts_errors && matches!(rule.check, Check::AtMost(_) | Check::Equals(_))
    };
    if is_judged && !rules.iter().any(holds_errors) {
        rules.push(GateRule {
            id: ERRORS.to_owned(),
            metric: ERRORS.to_owned(),
            on: None,
            check: Check::AtMost(0.0),
            slice: Slice::default(),
            min_samples: None,
        });
    }
    rules
}

/// Returns what checking the contract found, when it was checked.
pub(crate) fn report(runner: &Runner<'_>) -> Result<Option<ContractReport>, PipelineError> {
    if runner.record(Stage::Contract).is_none() {
        return Ok(None);
    }
    runner.json(Stage::Contract, "contract").map(Some)
}

/// Returns the figures that rules may ask for.
pub(crate) fn figures(runner: &Runner<'_>) -> Result<Vec<(&'static str, f64)>, PipelineError> {
    let Some(report) = report(runner)? else { return Ok(Vec::new()) };
    Ok(counts(report.count(Severity::Error), report.count(Severity::Warning)).to_vec())
}

/// Returns the figures of so many violations.
pub(crate) fn counts(errors: u64, warnings: u64) -> [(&'static str, f64); 3] {
    [
        ("contract.violations", (errors + warnings) as f64),
        (ERRORS, errors as f64),
        ("contract.warnings", warnings as f64),
    ]
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use crate::options::{RunOptions, Surroundings};
    use crate::scene::Silent;
    use crate::stage::{Selection, Stage};
    use crate::{Ending, Project};

    #[test]
    fn data_grow_old_to_the_hour_between_runs_that_change_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).expect("written");
        write(
            "modelgate.yaml",
            "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {source: d.csv, target: y, contract: c.yaml}\n",
        );
        write("d.csv", "at,y\n2026-01-01T00:00:00Z,a\n2026-01-01T06:00:00Z,b\n");
        write(
            "c.yaml",
            "version: 1\ncolumns: {at: {type: timestamp}, y: {type: string}}\nfreshness: {column: at, max_age: 36h}\n",
        );
        let project = Project::find(folder.path(), &|_| None).expect("a project");
        let pipeline = project.pipeline(None).expect("a pipeline");
        let now = RefCell::new(String::new());
        let clock = || now.borrow().clone();
        let surroundings = Surroundings { now: &clock, actor: "tester".to_owned() };
        let options = RunOptions { selection: Selection::Until(Stage::Contract), ..RunOptions::default() };
        let run = |at: &str| {
            at.clone_into(&mut now.borrow_mut());
            let outcome =
                crate::run(&pipeline, &options, &surroundings, &mut Silent, &mut Silent).expect("run");
            (outcome.ending, outcome.contract.map(|report| report.violations.len()))
        };
        // Thirty-six hours from the newest row end at 18:00 of the next day.
        assert_eq!(run("2026-01-02T17:00:00.000Z"), (Ending::Done, Some(0)));
        assert_eq!(run("2026-01-02T17:59:59.000Z"), (Ending::Done, Some(0)));
        assert_eq!(run("2026-01-02T18:00:01.000Z"), (Ending::Blocked, Some(1)));
        assert_eq!(run("2026-01-02T19:00:00.000Z"), (Ending::Blocked, Some(1)));
    }
}
