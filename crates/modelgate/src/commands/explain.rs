//! `modelgate gate explain`.

use modelgate_core::verdict::figure;
use modelgate_pipeline::Project;
use serde_json::json;

use crate::exit::Exit;
use crate::printer::{Printer, coloured};

pub(crate) fn execute(pipeline: Option<&str>, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(pipeline)?;
    let rules = modelgate_pipeline::explain(&pipeline)?;
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "pipeline": pipeline.name, "rules": rules }))?;
        return Ok(Exit::Passed);
    }
    for rule in rules {
        printer.data(&rule.id)?;
        printer.data(&format!("  asks    {}", rule.asks))?;
        match (&rule.outcome, &rule.found) {
            (Some(outcome), Some(found)) => {
                printer.data(&format!("  found   {}: {found}", coloured(&outcome.to_string())))?;
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
