//! `modelgate gate explain`.

use modelgate_core::verdict::figure;
use modelgate_pipeline::Project;
use modelgate_pipeline::reports::EndedRun;
use serde_json::json;

use crate::exit::Exit;
use crate::printer::{Printer, coloured};

pub(crate) fn execute(pipeline: Option<&str>, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(pipeline)?;
    let rules = modelgate_pipeline::explain(&pipeline)?;
    let ended = EndedRun::read(&pipeline);
    if printer.is_json() {
        let note = ended.as_ref().map(|ended| {
            json!({
                "run": ended.run.run_id, "ending": ended.code(), "said": ended.sentence(), "found_by": ended.before,
            })
        });
        printer.json(&json!({
            "schema_version": 1, "pipeline": pipeline.name, "rules": rules, "ended_before_the_gate": note,
        }))?;
        return Ok(Exit::Passed);
    }
    if let Some(ended) = &ended {
        let before = ended.before.as_ref();
        let found =
            before.map_or_else(String::new, |run| format!("; what was found is of the run {run} before it"));
        let (run, sentence) = (&ended.run.run_id, ended.sentence());
        printer.data(&format!("the last run, {run}, ended before the gate, {sentence}{found}"))?;
        printer.data("")?;
    }
    for rule in rules {
        printer.data(&rule.id)?;
        printer.data(&format!("  asks    {}", rule.asks))?;
        match (&rule.outcome, &rule.found) {
            (Some(outcome), Some(found)) => {
                let other = if rule.other_rule { "the last run asked another rule of this id, " } else { "" };
                printer.data(&format!("  found   {other}{}: {found}", coloured(&outcome.to_string())))?;
            }
            _ => printer.data("  found   nothing yet: `modelgate run` measures it")?,
        }
        if let Some(room) = rule.room {
            let words = if room < 0.0 { "beyond the limit by" } else { "room to the limit:" };
            printer.data(&format!("  room    {words} {}", figure(room.abs())))?;
        }
        if let Some(power) = &rule.power {
            printer.data(&format!("  power   {power}"))?;
        }
    }
    Ok(Exit::Passed)
}
