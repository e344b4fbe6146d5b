//! `modelgate doctor`: what works here, what is missing, and how to get it.

use std::path::Path;
use std::process::Command;

use modelgate_pipeline::{PROJECT_FILE, Project, registry};
use serde::Serialize;
use serde_json::json;

use crate::environment;
use crate::exit::Exit;
use crate::printer::{Printer, coloured};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: String,
    /// `ok`, `missing` (only some commands need it) or `broken` (the project cannot work).
    state: &'static str,
    detail: String,
}

pub(crate) fn execute(folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let mut findings = Vec::new();
    let mut found = |what: &str, state: &'static str, detail: String| {
        findings.push(Finding { what: what.to_owned(), state, detail });
    };
    found("modelgate", "ok", env!("CARGO_PKG_VERSION").to_owned());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    found("threads", "ok", format!("{threads}; MODELGATE_THREADS limits them"));
    match program("git", &["--version"]) {
        Some(version) => found("git", "ok", version),
        None => found("git", "missing", "install git: `registry.uri: git+branch:…` needs it".to_owned()),
    }
    match program("python3", &["--version"]) {
        Some(version) => found("python3", "ok", version),
        None => found(
            "python3",
            "missing",
            "install Python 3 to convert models of other tools to ONNX".to_owned(),
        ),
    }
    match Project::find(folder, &environment::variable) {
        Err(error) => {
            let here = folder.join(PROJECT_FILE).is_file();
            let state = if here { "broken" } else { "missing" };
            let hint = if here { String::new() } else { "; `modelgate init` writes one".to_owned() };
            found("project", state, format!("{error}{hint}"));
        }
        Ok(project) => {
            let count = project.config.pipelines.len();
            found("project", "ok", format!("{PROJECT_FILE}, pipelines: {count}"));
            for pipeline in project.pipelines()? {
                let name = format!("pipeline {}", pipeline.name);
                match modelgate_pipeline::check_pipeline(&pipeline) {
                    Ok(()) => found(&name, "ok", "its settings make sense".to_owned()),
                    Err(error) => found(&name, "broken", error.to_string()),
                }
                let source = &pipeline.config.data.source;
                let name = format!("data of {}", pipeline.name);
                if project.root.join(source).exists() {
                    found(&name, "ok", source.clone());
                } else if source.contains("://") || source.contains('*') {
                    found(&name, "ok", format!("{source}, looked at when it runs"));
                } else {
                    found(
                        &name,
                        "broken",
                        format!("there is no `{source}`: put the data there or set data.source"),
                    );
                }
            }
            match registry(&project) {
                Ok(registry) => {
                    let versions: usize =
                        registry.state().models.values().map(|model| model.versions.len()).sum();
                    found("registry", "ok", format!("{}, versions: {versions}", registry.home()));
                }
                Err(error) => found("registry", "broken", error.to_string()),
            }
            match tempfile_in(&project.state_folder()) {
                Ok(()) => found("disk", "ok", "the project's folder can be written".to_owned()),
                Err(error) => found("disk", "broken", format!("{error}: make the folder writable")),
            }
        }
    }
    let broken = findings.iter().any(|finding| finding.state == "broken");
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "findings": findings }))?;
    } else {
        for finding in &findings {
            let word = match finding.state {
                "ok" => coloured("passed").replace("passed", "ok     "),
                "broken" => coloured("failed").replace("failed", "broken "),
                _ => coloured("inconclusive").replace("inconclusive", "missing"),
            };
            printer.data(&format!("{word} {:<22} {}", finding.what, finding.detail))?;
        }
    }
    Ok(if broken { Exit::Error } else { Exit::Passed })
}

/// Returns the first line that a program prints, if it is here.
fn program(name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(name).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next().unwrap_or_default().to_owned())
}

/// Tries to write beside the project's state and leaves nothing.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(folder)?;
    let path = folder.join(format!("doctor-{}", std::process::id()));
    fs_err::write(&path, b"")?;
    fs_err::remove_file(&path)
}
