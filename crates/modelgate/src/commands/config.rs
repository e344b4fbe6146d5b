//! `modelgate config`.

use std::path::Path;

use modelgate_config::with_defaults;
use serde_json::json;

use crate::arguments::Config;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(config: &Config, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    match config {
        Config::Schema => printer.data(modelgate_config::json_schema().trim_end())?,
        Config::Show { origin: true } => {
            let project = super::project(folder)?;
            let text = fs_err::read_to_string(project.root.join(modelgate_pipeline::PROJECT_FILE))?;
            let found = modelgate_config::origins(
                &with_defaults(&project.config),
                &text,
                &crate::environment::variable,
            );
            if printer.is_json() {
                printer.json(&found)?;
                return Ok(Exit::Passed);
            }
            for entry in found {
                printer.data(&format!("{} = {}  # {}", entry.key, entry.value, entry.origin))?;
            }
        }
        Config::Show { origin: false } => {
            let project = super::project(folder)?;
            if printer.is_json() {
                printer.json(&with_defaults(&project.config))?;
            } else {
                let text = modelgate_config::show(&project.config).map_err(anyhow::Error::msg)?;
                printer.data(text.trim_end())?;
            }
        }
        Config::Check => {
            let project = super::project(folder)?;
            for pipeline in project.pipelines()? {
                modelgate_pipeline::check_pipeline(&pipeline)?;
                for doubt in modelgate_pipeline::command_doubts(&pipeline)? {
                    printer.warning(&format!("{}: {doubt}", pipeline.name));
                }
                if !modelgate_pipeline::check_columns(&pipeline)? {
                    let (name, source) = (pipeline.name, &pipeline.config.data.source);
                    printer.talk(&format!("{name}: `{source}` is not here: its columns were not looked at"));
                }
            }
            let count = project.config.pipelines.len();
            let noun = if count == 1 { "pipeline" } else { "pipelines" };
            if printer.is_json() {
                let names: Vec<&String> = project.config.pipelines.keys().collect();
                printer.json(&json!({ "schema_version": 1, "valid": true, "pipelines": names }))?;
            } else {
                printer.data(&format!("modelgate.yaml is valid: {count} {noun}"))?;
            }
        }
    }
    Ok(Exit::Passed)
}
