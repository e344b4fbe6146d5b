//! `modelgate ci comment` and `ci summary`: what the last run has to say, on GitHub or in the summary of a step alone.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_deploy::github::{self, Client, Context, Place};
use modelgate_pipeline::Project;
use serde_json::json;

use super::client;
use super::words::Words;
use crate::arguments::ci::{Comment, Summary};
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// How a run ends that has something to say: see `exit.rs`.
const JUDGED: [&str; 4] = ["0", "2", "3", "4"];

pub(super) fn execute(arguments: &Comment, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let context = Context::of_step(&environment::variable).map_err(|error| UsageError(error.to_string()))?;
    let words = match &arguments.run_code {
        Some(code) if !JUDGED.contains(&code.as_str()) => Words::unjudged(&pipeline, code),
        _ => Words::of(project, &pipeline, arguments.report.as_deref())?,
    };
    let words = words.named(arguments.name.as_deref());
    // What needs no token comes first: it is there whatever GitHub says.
    if !arguments.dry_run {
        leave(&words, printer)?;
    }
    let client = match (arguments.dry_run, environment::variable("GITHUB_TOKEN")) {
        (true, Some(token)) => Client::reading(token).map_err(|error| UsageError(error.to_string()))?,
        (true, None) => Client::dry(),
        (false, _) => client()?,
    };
    let place = match &arguments.issue {
        Some(title) => Place::Issue(title.clone()),
        None => Place::PullRequest,
    };
    let plots = if arguments.assets { plots(&pipeline.outputs())? } else { Vec::new() };
    let said = github::say(&client, &context, &words.saying, &place, &plots, !arguments.no_check)?;
    for request in client.kept() {
        printer.data(&format!("{} {}", request.method, request.url))?;
        if let Some(body) = &request.body {
            printer.data(&serde_json::to_string_pretty(body)?)?;
        }
    }
    if !arguments.dry_run {
        said.notes.iter().for_each(|note| printer.talk(note));
    }
    Ok(Exit::Passed)
}

pub(super) fn summary(arguments: &Summary, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let words = Words::of(project, &pipeline, None)?;
    let in_a_step =
        ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"].iter().any(|name| environment::variable(name).is_some());
    if in_a_step {
        leave(&words, printer)?;
    } else if printer.is_json() {
        let outputs: BTreeMap<&str, &str> =
            words.outputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        printer.json(&json!({
            "schema_version": 1, "pipeline": words.saying.name, "title": words.saying.title, "outputs": outputs,
            "report": words.saying.report,
        }))?;
    } else {
        printer.data(words.saying.report.trim_end())?;
    }
    Ok(Exit::Passed)
}

/// Writes the summary, the outputs and the annotations of the step.
fn leave(words: &Words, printer: &Printer) -> anyhow::Result<()> {
    if let Some(path) = environment::variable("GITHUB_STEP_SUMMARY") {
        github::summary(Path::new(&path), &words.saying.report)?;
    }
    if let Some(path) = environment::variable("GITHUB_OUTPUT") {
        let values: Vec<(&str, &str)> =
            words.outputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        github::outputs(Path::new(&path), &values)?;
    }
    for line in github::annotations(&words.saying.annotations) {
        printer.command(&line);
    }
    Ok(())
}

/// Returns the light plots of a run by name, PNG.
fn plots(outputs: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = outputs.join("plots");
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".png").is_some_and(|name| name.strip_suffix(".dark").is_none()) {
            found.push((name, fs_err::read(entry.path())?));
        }
    }
    found.sort();
    Ok(found)
}
