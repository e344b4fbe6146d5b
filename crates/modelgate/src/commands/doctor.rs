//! `modelgate doctor`: what works here, what is missing, and how to get it.

use std::path::Path;
use std::process::Command;

use modelgate_deploy::hub::Token;
use modelgate_model::onnxruntime::{self, Unavailable};
use modelgate_pipeline::datasets::{self, Reading};
use modelgate_pipeline::{PROJECT_FILE, Pipeline, missing_for, registry, source_files};
use serde::Serialize;
use serde_json::json;

use super::doubts;
use crate::environment;
use crate::exit::Exit;
use crate::printer::{Printer, coloured};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: String,
    /// `ok`, `missing` (only some commands need it), `unknown` (only the network can tell), `differs` (the data are not those
    /// that git versions) or `broken` (the project cannot work).
    state: &'static str,
    detail: String,
}

pub(crate) fn execute(folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let mut findings = Vec::new();
    let mut found = |what: &str, state: &'static str, detail: String| {
        findings.push(Finding { what: what.to_owned(), state, detail });
    };
    found("modelgate", "ok", env!("CARGO_PKG_VERSION").to_owned());
    let (threads, cores) = (crate::threads::wanted()?, crate::threads::cores());
    let said = match environment::variable(modelgate_config::env::MODELGATE_THREADS) {
        Some(_) => format!("{threads}, as MODELGATE_THREADS says; cores: {cores}"),
        None => format!("{threads}; MODELGATE_THREADS limits them"),
    };
    found("threads", "ok", said);
    for (name, install) in [
        ("git", "install git: `registry.uri: git+branch:…` needs it"),
        ("python3", "install Python 3 to convert models of other tools to ONNX"),
        ("docker", "install Docker: what `deploy docker` writes is built with it"),
    ] {
        match program(name) {
            Ok(version) => found(name, "ok", version),
            Err(None) => found(name, "missing", install.to_owned()),
            Err(Some(why)) => found(name, "missing", why),
        }
    }
    for (what, (state, detail)) in [("token of the Hub", hub_token()), ("token of GitHub", github_token())] {
        found(what, state, detail);
    }
    let project = super::find_project(folder);
    match onnxruntime::load() {
        Ok(path) => found("onnx runtime", "ok", path.display().to_string()),
        Err(Unavailable::Absent(reason)) => {
            let hint = format!("graphs that the built-in engine does not know need it: {reason}");
            found("onnx runtime", "missing", hint);
        }
        Err(Unavailable::Broken(reason)) => found("onnx runtime", "broken", reason),
    }
    match project {
        Err(error) => {
            let here = folder.join(PROJECT_FILE).is_file();
            let state = if here { "broken" } else { "missing" };
            found("project", state, error.to_string());
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
                let (state, detail) = data(&pipeline);
                found(&format!("data of {}", pipeline.name), state, detail);
                if let Some(command) = &pipeline.config.train.command {
                    let (state, detail) = trainer(&pipeline, command);
                    found(&format!("trainer of {}", pipeline.name), state, detail);
                }
            }
            for doubt in doubts::of_files(&project) {
                found(doubt.what, if doubt.is_broken { "broken" } else { "missing" }, doubt.sentence);
            }
            for doubt in doubts::of_machine(&project, &environment::variable) {
                found(doubt.what, "missing", doubt.sentence);
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
                "unknown" => coloured("inconclusive").replace("inconclusive", "unknown"),
                "differs" => coloured("inconclusive").replace("inconclusive", "differs"),
                _ => coloured("inconclusive").replace("inconclusive", "missing"),
            };
            printer.data(&format!("{word} {:<22} {}", finding.what, finding.detail))?;
        }
    }
    Ok(if broken { Exit::Error } else { Exit::Passed })
}

/// Says whether a run would find the data.
fn data(pipeline: &Pipeline<'_>) -> (&'static str, String) {
    let source = &pipeline.config.data.source;
    if source.starts_with("s3://") {
        let set = |name: &str| environment::variable(name).is_some();
        let credentials = if set("AWS_ACCESS_KEY_ID") || set("AWS_PROFILE") {
            "credentials are set"
        } else {
            "no AWS_ACCESS_KEY_ID or AWS_PROFILE is set"
        };
        return ("unknown", format!("{source} is asked when it is read; {credentials}"));
    }
    let files = match source_files(pipeline) {
        Ok(files) => files,
        Err(error) => return ("broken", error.to_string()),
    };
    if let Some(differs) = datasets::warning(pipeline, &files, Reading::Little) {
        return ("differs", differs);
    }
    let left = datasets::superseded(pipeline.project).unwrap_or_default();
    if let Some((name, own)) = left.into_iter().find(|(_, own)| own == pipeline.name) {
        return ("differs", datasets::superseded_sentence(&name, &own));
    }
    match files.as_slice() {
        [_] => ("ok", source.clone()),
        several => ("ok", format!("{source}, files: {}", several.len())),
    }
}

/// Says whether `train.command` could be started.
fn trainer(pipeline: &Pipeline<'_>, command: &str) -> (&'static str, String) {
    match missing_for(&pipeline.project.root, command) {
        None => ("ok", command.to_owned()),
        Some(missing) => ("broken", format!("train.command: {missing}")),
    }
}

/// Says where a token of the Hub is, and never what it is.
fn hub_token() -> (&'static str, String) {
    match Token::find(None, &environment::variable) {
        Ok(Some(_)) => ("ok", "there is one; only the Hub knows what it may".to_owned()),
        Ok(None) => {
            ("missing", "`deploy space` needs one: set HF_TOKEN, or log in with `hf auth login`".to_owned())
        }
        Err(error) => ("missing", error.to_string()),
    }
}

/// Says whether a token of GitHub is set, and never what it is.
fn github_token() -> (&'static str, String) {
    match environment::variable("GITHUB_TOKEN") {
        Some(_) => ("ok", "GITHUB_TOKEN is set; only GitHub knows what it may".to_owned()),
        None => {
            ("missing", "`ci comment` needs GITHUB_TOKEN, which the workflows of `ci init` set".to_owned())
        }
    }
}

/// Returns the version that a program prints. An error says why it is there and does not work; without a word it is not there.
fn program(name: &str) -> Result<String, Option<String>> {
    let first =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().trim().to_owned();
    match Command::new(name).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(first(&output.stdout)),
        Ok(output) => {
            let said = first(&output.stderr);
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            Err(Some(format!("`{name} --version` is there and does not work, {}{said}", output.status)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(None),
        Err(error) => Err(Some(format!("`{name} --version` does not start: {error}"))),
    }
}

/// Tries to write beside the project's state and leaves nothing.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(folder)?;
    let path = folder.join(format!("doctor-{}", std::process::id()));
    fs_err::write(&path, b"")?;
    fs_err::remove_file(&path)
}
