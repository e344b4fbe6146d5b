//! `modelgate config`.

use std::path::Path;

use modelgate_config::{ProjectConfig, with_defaults};
use modelgate_store::remote::without_credentials;
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
                &with_defaults(&to_be_seen(&project.config)),
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
                printer.json(&with_defaults(&to_be_seen(&project.config)))?;
            } else {
                let text =
                    modelgate_config::show(&to_be_seen(&project.config)).map_err(anyhow::Error::msg)?;
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
                for doubt in modelgate_pipeline::rule_doubts(&pipeline)? {
                    printer.warning(&format!("{}: {doubt}", pipeline.name));
                }
                if !modelgate_pipeline::check_columns(&pipeline)? {
                    let (name, source) = (pipeline.name, &pipeline.config.data.source);
                    printer.talk(&format!("{name}: `{source}` is not here: its columns were not looked at"));
                }
            }
            for doubt in super::doubts::of_files(&project) {
                printer.warning(&doubt.sentence);
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

/// Returns the configuration without the passwords in its addresses: it is pasted into issues and stands in logs.
fn to_be_seen(config: &ProjectConfig) -> ProjectConfig {
    let mut config = config.clone();
    let serve = &mut config.serve;
    let addresses =
        [&mut config.registry.uri, &mut config.data.remote, &mut serve.reload_url, &mut serve.rollout.url];
    let sources = config.pipelines.values_mut().map(|pipeline| &mut pipeline.data.source);
    for address in addresses.into_iter().flatten().chain(sources) {
        *address = without_credentials(address);
    }
    if let Some(url) = &mut config.notify.url {
        *url = host_alone(&without_credentials(url));
    }
    config
}

/// Returns the address of a webhook without what may be a token in it: its path and what is behind `?`.
fn host_alone(url: &str) -> String {
    let Some((scheme, behind)) = url.split_once("://") else { return url.to_owned() };
    match behind.split_once(['/', '?', '#']) {
        Some((host, more)) if !more.is_empty() => format!("{scheme}://{host}/…"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_password() {
        let text = "version: 1\nproject: p\nregistry: {uri: 's3://KEY:hunter2@b/p'}\ndata: {remote: 's3://KEY:hun/ter2@b/d'}\n\
                    notify: {url: 'https://u:hunter2@hooks.example/T1/hunter2?token=hunter2'}\n\
                    serve: {reload_url: 'http://u:hunter2@host:8080/admin/reload'}\n\
                    pipelines:\n  p:\n    task: regression\n    data: {source: a.csv, target: y}\n";
        let config = modelgate_config::parse(text, Path::new("modelgate.yaml")).expect("valid");
        let shown = modelgate_config::show(&to_be_seen(&config)).expect("YAML");
        assert!(!shown.contains("ter2") && !shown.contains("KEY"), "{shown}");
        for part in
            ["s3://b/p", "s3://b/d", "https://hooks.example/…", "http://host:8080/admin/reload", "a.csv"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(host_alone("https://hooks.example/"), "https://hooks.example/");
    }
}
