//! `modelgate gate selftest`.

use std::path::Path;

use modelgate_pipeline::selftest::selftest;

use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::{Printer, coloured};
use crate::progress::StageLines;

pub(super) fn execute(pipeline: Option<&str>, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let project = crate::commands::project(folder)?;
    let pipeline = project.pipeline(pipeline)?;
    let found = selftest(&pipeline, &surroundings(), &mut StageLines::new(printer))?;
    if printer.is_json() {
        printer.json(&found)?;
    } else {
        for trial in &found.trials {
            let word = if trial.let_through { "let through" } else { "refused" };
            let verdict = trial.verdict.verdict.to_string();
            printer.data(&format!("{word}: {} (verdict {})", trial.name, coloured(&verdict)))?;
            for rule in &trial.too_weak {
                printer.data(&format!("  too weak: {rule}"))?;
            }
        }
    }
    if found.refused_all() {
        printer.talk("the gate refuses what it must");
        return Ok(Exit::Passed);
    }
    printer.talk("the gate lets a model through that it must refuse: tighten the rules that are named");
    Ok(Exit::Blocked)
}
