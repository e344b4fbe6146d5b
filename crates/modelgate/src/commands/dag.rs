//! `modelgate dag`: the stages and what each reads of the others; those of DVC that come before them too.

use std::path::Path;

use modelgate_pipeline::Stage;
use modelgate_pipeline::datasets::dvc_stages;
use serde_json::json;

use crate::arguments::Dag;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(dag: &Dag, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    // The stages are the same in every project; only DVC's need one.
    let project = super::project(folder).ok();
    let before = project.as_ref().map_or_else(|| Ok(Vec::new()), dvc_stages)?;
    if printer.is_json() {
        let stages: Vec<_> =
            Stage::ALL.iter().map(|stage| json!({ "stage": stage, "reads": stage.reads() })).collect();
        printer.json(&json!({ "schema_version": 1, "stages": stages, "dvc_stages": before }))?;
        return Ok(Exit::Passed);
    }
    if dag.mermaid {
        printer.data("flowchart LR")?;
        for (number, stage) in before.iter().enumerate() {
            let stale = if stage.stale.is_empty() { "" } else { ", stale" };
            // A name in quotes may hold anything but a quote.
            let name = stage.name.replace('"', "'");
            printer.data(&format!("    dvc{number}[\"dvc: {name}{stale}\"]"))?;
            for (source, other) in before.iter().enumerate() {
                if stage.after.contains(&other.name) {
                    printer.data(&format!("    dvc{source} --> dvc{number}"))?;
                }
            }
            if before.iter().all(|other| !other.after.contains(&stage.name)) {
                printer.data(&format!("    dvc{number} --> snapshot"))?;
            }
        }
        for stage in Stage::ALL {
            for source in stage.reads() {
                printer.data(&format!("    {source} --> {stage}"))?;
            }
        }
        return Ok(Exit::Passed);
    }
    for stage in &before {
        let from = if stage.after.is_empty() { "its files".to_owned() } else { stage.after.join(", ") };
        let state = if stage.stale.is_empty() {
            "up to date".to_owned()
        } else {
            format!("stale: {}", stage.stale.join(", "))
        };
        printer.data(&format!("dvc: {} ← {from} ({state})", stage.name))?;
    }
    for stage in Stage::ALL {
        let sources: Vec<&str> = stage.reads().iter().map(|source| source.name()).collect();
        let from = if sources.is_empty() { "the source file".to_owned() } else { sources.join(", ") };
        printer.data(&format!("{:<11} ← {from}", stage.name()))?;
    }
    Ok(Exit::Passed)
}
