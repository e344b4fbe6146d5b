//! `modelgate data diff`.

use std::path::Path;

use modelgate_data::diff::{diff, diff_by_usual};
use modelgate_data::{Dataset, Mixed, ReadOptions, SourceFile};
use modelgate_pipeline::datasets::{Fetching, FileDiff, Version, version};
use modelgate_pipeline::{Pipeline, Project};

use crate::arguments::data::DataDiff;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;
use crate::progress::Bytes;

pub(crate) fn execute(compare: &DataDiff, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    // Files are compared anywhere; what a store or a pointer file keeps needs its project.
    let project = match crate::commands::open_project(folder) {
        Ok(project) => Some(project),
        Err(error) if compare.pipeline.is_some() => return Err(error),
        Err(_) => None,
    };
    let progress = Bytes::new(printer, "fetch");
    let add = |more| progress.add(more);
    let surroundings = environment::surroundings();
    let fetching = Fetching {
        remote: compare.remote.as_deref(),
        environment: &environment::variable,
        surroundings: &surroundings,
        progress: &add,
    };
    let find = |side: &str| version(project.as_ref(), folder, side, &fetching);
    let sides = find(&compare.before).and_then(|before| Ok((before, find(&compare.after)?)));
    progress.end();
    let (is_empty, text) = match sides? {
        (Version::Rows { files: before, source }, Version::Rows { files: after, source: other }) => {
            let pipeline = pipeline(compare, project.as_ref(), &[&source, &other])?;
            let mut options = pipeline.as_ref().map_or_else(ReadOptions::default, super::whole);
            options.named.extend(compare.key.iter().cloned());
            let (before, after) = (open(before, &options)?, open(after, &options)?);
            let own = pipeline.and_then(|pipeline| pipeline.config.data.key.clone());
            let mut found = if compare.no_key || !compare.key.is_empty() {
                diff(&before, &after, &compare.key)?
            } else {
                let is_in = |key: &String| {
                    [&before, &after].iter().all(|one| one.schema.names().contains(&key.as_str()))
                };
                let own: Vec<String> = own.into_iter().filter(is_in).collect();
                diff_by_usual(&before, &after, &own)?
            };
            if printer.is_json() {
                printer.json(&found)?;
            }
            if !environment::shows_values() {
                found.changes.iter_mut().for_each(|change| change.examples.clear());
            }
            (found.is_empty(), found.to_text())
        }
        (Version::Folder(before), Version::Folder(after)) => {
            if !compare.key.is_empty() {
                let message = "--key is for rows, and these are the files of a folder";
                return Err(UsageError(message.to_owned()).into());
            }
            let found = FileDiff::of(&before, &after);
            if printer.is_json() {
                printer.json(&found)?;
            }
            (found.is_empty(), found.to_text())
        }
        _ => {
            let message = "one of them is a folder and the other is not; there is nothing to compare";
            return Err(UsageError(message.to_owned()).into());
        }
    };
    if !printer.is_json() {
        printer.data(text.trim_end())?;
    }
    Ok(if compare.exit_code && !is_empty { Exit::Blocked } else { Exit::Passed })
}

/// Returns the pipeline that says how files are read and what identifies a row: the one that is named, or that has one of
/// these sources.
fn pipeline<'a>(
    compare: &DataDiff,
    project: Option<&'a Project>,
    sources: &[&String],
) -> anyhow::Result<Option<Pipeline<'a>>> {
    let Some(project) = project else { return Ok(None) };
    Ok(match &compare.pipeline {
        Some(name) => Some(project.pipeline(Some(name))?),
        None => {
            project.pipelines()?.into_iter().find(|pipeline| sources.contains(&&pipeline.config.data.source))
        }
    })
}

/// Opens one side; a declared column may be on the other side alone.
fn open(files: Vec<SourceFile>, options: &ReadOptions) -> anyhow::Result<Dataset> {
    let options = super::fitting(options.clone(), &files)?;
    Ok(Dataset::open(files, &options, Mixed::Exactly)?)
}
