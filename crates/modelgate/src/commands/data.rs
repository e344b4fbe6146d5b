//! `modelgate data`.

mod contract;
mod diff;
mod ignored;
mod profile;
mod pull;
mod push;
mod snapshot;
mod split;
pub(super) mod validate;

use std::path::Path;

use modelgate_data::{ReadOptions, SourceFile, find_files};
use modelgate_pipeline::{Pipeline, Project, read_options, source_files};

use crate::arguments::data::Data;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(data: &Data, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    match data {
        Data::Snapshot(snapshot) => snapshot::execute(snapshot, &super::open_project(folder)?, printer),
        Data::Push(push) => push::execute(push, &super::open_project(folder)?, printer),
        Data::Pull(pull) => pull::execute(pull, &super::open_project(folder)?, folder, printer),
        Data::Validate(validate) => validate::execute(validate, folder, printer),
        Data::Profile(profile) => profile::execute(profile, folder, printer),
        Data::Split { pipeline, output } => {
            let output = output.as_ref().map(|output| folder.join(output));
            split::execute(&super::project(folder)?, pipeline.as_deref(), output.as_deref(), printer)
        }
        Data::Diff(diff) => diff::execute(diff, folder, printer),
        Data::Contract(contract) => contract::execute(contract, folder, printer),
    }
}

/// Files, and how they are read: those of `data`, or the source of a pipeline.
pub(crate) struct Chosen<'a> {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) options: ReadOptions,
    /// The pipeline, when the files are its source.
    pub(crate) pipeline: Option<Pipeline<'a>>,
}

/// Finds the files; `project` is needed only without `data`.
pub(crate) fn chosen<'a>(
    data: Option<&str>,
    project: Option<&'a Project>,
    pipeline: Option<&str>,
    folder: &Path,
) -> anyhow::Result<Chosen<'a>> {
    match (data, project) {
        // What is fetched is kept in a project.
        (Some(data), None) if data.starts_with("s3://") => {
            let project = super::open_project(folder)?;
            let files = modelgate_pipeline::datasets::remote_files(&project, data)?;
            Ok(Chosen { files, options: ReadOptions::default(), pipeline: None })
        }
        (Some(data), _) => {
            Ok(Chosen { files: find_files(folder, data)?, options: ReadOptions::default(), pipeline: None })
        }
        (None, Some(project)) => {
            let pipeline = project.pipeline(pipeline)?;
            // What is dropped before training is still part of the data.
            let options = ReadOptions { drop: Vec::new(), ..read_options(&pipeline) };
            Ok(Chosen { files: source_files(&pipeline)?, options, pipeline: Some(pipeline) })
        }
        (None, None) => Err(UsageError("name a pipeline, or a file with --data".to_owned()).into()),
    }
}

/// Returns `text` with the ending of more than one, unless `number` is 1.
fn plural(number: u64, text: &str) -> String {
    format!("{number} {text}{}", if number == 1 { "" } else { "s" })
}
