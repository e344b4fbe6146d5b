//! `modelgate dag`: the stages and what each reads of the others.

use modelgate_pipeline::Stage;
use serde_json::json;

use crate::arguments::Dag;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(dag: &Dag, printer: &Printer) -> anyhow::Result<Exit> {
    if printer.is_json() {
        let stages: Vec<_> =
            Stage::ALL.iter().map(|stage| json!({ "stage": stage, "reads": stage.reads() })).collect();
        printer.json(&json!({ "schema_version": 1, "stages": stages }))?;
        return Ok(Exit::Passed);
    }
    if dag.mermaid {
        printer.data("flowchart LR")?;
        for stage in Stage::ALL {
            for source in stage.reads() {
                printer.data(&format!("    {source} --> {stage}"))?;
            }
        }
        return Ok(Exit::Passed);
    }
    for stage in Stage::ALL {
        let sources: Vec<&str> = stage.reads().iter().map(|source| source.name()).collect();
        let from = if sources.is_empty() { "the source file".to_owned() } else { sources.join(", ") };
        printer.data(&format!("{:<11} ← {from}", stage.name()))?;
    }
    Ok(Exit::Passed)
}
