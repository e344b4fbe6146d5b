//! Which files of the repository a pipeline's data are, for the workflows that run when they change.

use std::path::Path;

use modelgate_deploy::workflows::Watched;
use modelgate_pipeline::datasets::POINTER;
use modelgate_pipeline::{Pipeline, Project};

use super::check_text;
use crate::exit::UsageError;

/// What is watched of a pipeline's data.
pub(super) struct Data {
    /// Files and folders with data and contracts.
    pub(super) all: Vec<Watched>,
    /// What is compared file by file: pointer files, and data in git.
    pub(super) compared: Vec<Watched>,
}

/// Refuses a path that means nothing on another machine, or something else in a workflow.
fn check(key: &str, folder: &str, path: &str) -> anyhow::Result<()> {
    let reason = if Path::new(path).is_absolute() {
        "is a place on this machine: a workflow finds what is named from the project's folder"
    } else if Watched::file(folder, path).is_none() {
        "leads out of the repository: a workflow has no more than that"
    } else {
        return check_text(&format!("data.{key}"), path);
    };
    Err(UsageError(format!("data.{key} `{}` {reason}", path.escape_debug())).into())
}

/// Returns what is watched for a pipeline of the project in `folder` of the repository; with `dvc`, what DVC tracks too.
pub(super) fn of(
    project: &Project,
    pipeline: &Pipeline<'_>,
    folder: &str,
    dvc: bool,
) -> anyhow::Result<Data> {
    let config = &pipeline.config.data;
    let source = config.source.as_str();
    let pointers = Watched::pattern(folder, &format!("data/*.{POINTER}"));
    let (mut all, mut compared) = (Vec::new(), Vec::new());
    compared.extend(pointers.clone());
    // Data in a bucket changes without a commit; its pointer file does not.
    if !source.contains("://") {
        check("source", folder, source)?;
        let place = project.root.join(source);
        // A file may be called as a pattern is.
        let is_pattern = source.contains(['*', '?', '[']) && fs_err::symlink_metadata(&place).is_err();
        let itself =
            if is_pattern { Watched::pattern(folder, source) } else { Watched::file(folder, source) };
        if let Some(itself) = itself {
            all.push(if place.is_dir() { itself.below() } else { itself.around(folder) });
            compared.push(itself.clone());
            if dvc {
                let tracking = itself.tracked_by(folder);
                all.extend(tracking.iter().cloned());
                compared.extend(tracking);
                // What a stage of DVC makes is told there.
                all.extend(Watched::file(folder, "dvc.lock"));
                all.extend(Watched::file(".", "dvc.lock").filter(|_| folder != "."));
            }
        }
    }
    if project.config.data.remote.is_some() {
        all.extend(pointers);
    }
    if let Some(contract) = &config.contract {
        check("contract", folder, contract)?;
        all.extend(Watched::file(folder, contract));
    }
    Ok(Data { all, compared })
}
