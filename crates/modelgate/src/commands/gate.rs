//! `modelgate gate check`.

mod selftest;

use std::path::Path;

use modelgate_core::RunId;
use modelgate_core::rule::{GateRule, parse_expression};
use modelgate_core::verdict::GateVerdict;
use modelgate_pipeline::outputs::{self, RunReport};
use modelgate_pipeline::reports::EndedRun;
use modelgate_pipeline::{Figures, Pipeline, gate_check, gate_check_run};
use serde_json::json;

use crate::arguments::{Gate, GateCheck};
use crate::exit::{Exit, UsageError};
use crate::printer::{Printer, coloured};

pub(crate) fn execute(gate: &Gate, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let check = match gate {
        Gate::Check(check) => check,
        Gate::Explain { pipeline } => {
            return super::explain::execute(pipeline.as_deref(), &super::project(folder)?, printer);
        }
        Gate::Selftest { pipeline } => return selftest::execute(pipeline.as_deref(), folder, printer),
    };
    let parse =
        |text: &String| parse_expression(text).map_err(|error| UsageError(format!("--rule: {error}")));
    let given = check.rules.iter().map(parse).collect::<Result<Vec<GateRule>, _>>()?;
    // An expression is its own name.
    let named = given.is_empty();
    let Judged { figures, verdict, sample } = judge(check, given, folder)?;
    if let Some(path) = &check.output {
        let value = json!({ "schema_version": 1, "metrics": figures, "verdict": verdict });
        modelgate_store::atomic::write(path, modelgate_core::canonical::to_pretty(&value)?.as_bytes())?;
    }
    if printer.is_json() {
        let mut shown = serde_json::to_value(&verdict)?;
        if let (Some(sample), Some(shown)) = (&sample, shown.as_object_mut()) {
            shown.insert("sample".to_owned(), json!(sample));
        }
        printer.json(&shown)?;
    } else {
        for rule in &verdict.rules {
            let outcome = rule.outcome.to_string();
            let padded = format!("{outcome:<14}").replacen(&outcome, &coloured(&outcome), 1);
            let id = if named { format!("{}: ", rule.id) } else { String::new() };
            printer.data(&format!("{padded} {id}{}", rule.sentence))?;
        }
        printer.data(&format!(
            "verdict: {} – {}",
            coloured(&verdict.verdict.to_string()),
            verdict.sentence
        ))?;
    }
    if let Some(sample) = &sample {
        printer.warning(&format!("these are the figures of a {sample}: the verdict is not the model's"));
    }
    Ok(verdict.verdict.into())
}

/// A verdict over figures.
struct Judged {
    figures: Figures,
    verdict: GateVerdict,
    /// What they are of, when that is only a part of the rows.
    sample: Option<String>,
}

fn judge(check: &GateCheck, given: Vec<GateRule>, folder: &Path) -> anyhow::Result<Judged> {
    let needs_rules = || {
        UsageError("--rule is needed with --metrics, whose figures the pipeline's rules are not about: such as `--rule 'val_auc >= 0.92'`".to_owned())
    };
    if let Some(path) = &check.metrics {
        if given.is_empty() {
            return Err(needs_rules().into());
        }
        let figures = Figures::read(path)?;
        let verdict = gate_check(&figures, &given, modelgate_core::rule::Subset::Validation);
        return Ok(Judged { figures, verdict, sample: None });
    }
    let project = super::project(folder)?;
    let pipelines = project.pipelines()?;
    let reported = |pipeline: &Pipeline<'_>| outputs::read::<RunReport>(pipeline, "run_report.json");
    let named = match &check.run {
        None => Some((project.pipeline(None)?, None)),
        Some(name) => pipelines.iter().find_map(|pipeline| {
            if pipeline.name == name {
                return Some((pipeline.clone(), None));
            }
            let run = name.parse().ok()?;
            outputs::evaluation_of_run(pipeline, &run).ok().map(|_| (pipeline.clone(), Some(run)))
        }),
    };
    let unknown =
        || UsageError(format!("--run: there is no pipeline or run `{}`", check.run.as_deref().unwrap_or("")));
    let (pipeline, run) = named.ok_or_else(unknown)?;
    let run = if let Some(run) = run {
        run
    } else {
        let report = reported(&pipeline);
        let none = || UsageError(format!("pipeline `{}` has not run yet", pipeline.name));
        let run = report.ok_or_else(none)?.run_id;
        left_figures(&pipeline, &run)?;
        run
    };
    let last = reported(&pipeline).filter(|last| last.run_id == run);
    let sample = last.and_then(|last| outputs::sampled(&pipeline, &last));
    let (figures, verdict) = gate_check_run(&pipeline, &run, given)?;
    Ok(Judged { figures, verdict, sample })
}

/// Says why the last run left nothing to judge, when it did not, and which run did.
fn left_figures(pipeline: &Pipeline<'_>, run: &RunId) -> anyhow::Result<()> {
    if outputs::evaluation_of_run(pipeline, run).is_ok() {
        return Ok(());
    }
    let Some(ended) = EndedRun::read(pipeline) else { return Ok(()) };
    let before = ended.before.as_ref();
    let hint =
        before.map_or_else(String::new, |before| format!("; `--run {before}` judges the run before it"));
    let (name, sentence) = (pipeline.name, ended.sentence());
    anyhow::bail!("the last run of `{name}`, {run}, left no figures to judge, {sentence}{hint}")
}
