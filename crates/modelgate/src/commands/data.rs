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

use std::path::{Path, PathBuf};

use modelgate_data::{Dataset, ReadOptions, SourceFile, find_files};
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
    /// The pipeline, when the files are its source or it is named.
    pub(crate) pipeline: Option<Pipeline<'a>>,
}

/// What a person asks for.
pub(crate) struct Asked<'a> {
    /// Files instead of a pipeline's source.
    pub(crate) data: Option<&'a str>,
    pub(crate) pipeline: Option<&'a str>,
    /// The contract that the files are held against.
    pub(crate) contract: Option<&'a Path>,
    /// Whether they are held against one, by which a project's only pipeline is meant where none is named.
    pub(crate) has_contract: bool,
}

/// Returns the project of `folder`; files are looked at without one, unless a pipeline is named.
pub(crate) fn project_for(asked: &Asked<'_>, folder: &Path) -> anyhow::Result<Option<Project>> {
    match super::open_project(folder) {
        Err(_) if asked.data.is_some() && asked.pipeline.is_none() => Ok(None),
        found => found.map(Some),
    }
}

/// Finds the files; `project` is needed only without `data`.
pub(crate) fn chosen<'a>(
    asked: &Asked<'_>,
    project: Option<&'a Project>,
    folder: &Path,
) -> anyhow::Result<Chosen<'a>> {
    let (Some(data), project) = (asked.data, project) else {
        let Some(project) = project else {
            return Err(UsageError("name a pipeline, or a file with --data".to_owned()).into());
        };
        let pipeline = project.pipeline(asked.pipeline)?;
        return Ok(Chosen {
            files: source_files(&pipeline)?,
            options: whole(&pipeline),
            pipeline: Some(pipeline),
        });
    };
    let files = match project {
        // What is fetched is kept in a project.
        _ if data.starts_with("s3://") => match project {
            Some(project) => modelgate_pipeline::datasets::remote_files(project, data)?,
            None => modelgate_pipeline::datasets::remote_files(&super::open_project(folder)?, data)?,
        },
        _ => find_files(folder, data)?,
    };
    let named = match (asked.pipeline, project) {
        (Some(name), Some(project)) => Some(project.pipeline(Some(name))?),
        // The only one there is needs no name, but for a contract that is named.
        (None, Some(project)) if asked.contract.is_none() && asked.has_contract => {
            project.pipeline(None).ok()
        }
        _ => None,
    };
    let reads = match (&named, project) {
        (Some(pipeline), _) => Some(whole(pipeline)),
        (None, Some(project)) => reading(asked, data, project, folder).as_ref().map(whole),
        (None, None) => None,
    };
    let options = reads.map_or_else(|| Ok(ReadOptions::default()), |options| fitting(options, &files))?;
    Ok(Chosen { files, options, pipeline: named })
}

/// Returns how the files of a pipeline are read; what is dropped before training is still part of the data.
pub(crate) fn whole(pipeline: &Pipeline<'_>) -> ReadOptions {
    ReadOptions { drop: Vec::new(), ..read_options(pipeline) }
}

/// Returns the pipeline whose source these files are, or else whose contract they are held against: they are read as its own.
fn reading<'a>(asked: &Asked<'_>, data: &str, project: &'a Project, folder: &Path) -> Option<Pipeline<'a>> {
    let place = |path: &Path| fs_err::canonicalize(path).ok();
    let contract = asked.contract.and_then(|path| place(&folder.join(path)));
    let has_contract = |pipeline: &Pipeline<'_>| {
        let own = pipeline.config.data.contract.as_ref();
        contract.is_some() && own.and_then(|own| place(&project.root.join(own))) == contract
    };
    // One set of files has many names: with `./`, from another folder, by a pattern.
    let files_of = |source: &str, folder: &Path| -> Option<Vec<PathBuf>> {
        let files = find_files(folder, source).ok()?;
        files.iter().map(|file| file.on_disk().and_then(place)).collect()
    };
    let files = files_of(data, folder);
    let mut by_contract = None;
    // What is wrong with a project is no matter of files beside it.
    for pipeline in project.pipelines().unwrap_or_default() {
        let source = &pipeline.config.data.source;
        if files.as_ref().map_or(source == data, |_| files_of(source, &project.root) == files) {
            return Some(pipeline);
        }
        if by_contract.is_none() && has_contract(&pipeline) {
            by_contract = Some(pipeline);
        }
    }
    by_contract
}

/// Returns options for files that need not have every column that is declared.
pub(crate) fn fitting(mut options: ReadOptions, files: &[SourceFile]) -> anyhow::Result<ReadOptions> {
    if let (Some(first), false) = (files.first(), options.types.is_empty()) {
        let names = Dataset::column_names(first, &options)?;
        options.types.retain(|name, _| names.contains(name));
    }
    Ok(options)
}

/// Returns `text` with the ending of more than one, unless `number` is 1.
fn plural(number: u64, text: &str) -> String {
    format!("{number} {text}{}", if number == 1 { "" } else { "s" })
}
