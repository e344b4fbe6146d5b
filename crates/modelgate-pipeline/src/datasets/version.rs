//! One version of data, however a person names it.

use std::path::Path;
use std::process::Command;

use modelgate_core::Digest;
use modelgate_data::snapshot::Pointer;
use modelgate_data::{SourceFile, find_files};
use modelgate_store::{ContentStore, DigestIndex};

use crate::error::PipelineError;
use crate::project::Project;

/// Returns the files of a version: `sha256:…` in the store, a pointer file, `REV:PATH` of git with either a pointer
/// file or the data itself, or a file or glob below `folder`.
///
/// # Errors
/// Fails when there is no such version; for a pointer whose contents are not here, says to pull them.
pub fn version_files(
    project: Option<&Project>,
    folder: &Path,
    name: &str,
) -> Result<Vec<SourceFile>, PipelineError> {
    let needs_project = || PipelineError::NoProject(folder.to_owned());
    if let Ok(digest) = name.parse::<Digest>() {
        let project = project.ok_or_else(needs_project)?;
        let store = ContentStore::new(&project.state_folder());
        let index = DigestIndex::open(&project.state_folder());
        return Ok(vec![SourceFile::path(name, store.check(&digest, &index)?)]);
    }
    let is_pointer = Path::new(name).extension().is_some_and(|ending| ending == "modelgate");
    // A drive letter is no revision.
    if let Some((revision, path)) = name.split_once(':').filter(|(revision, _)| revision.len() > 1)
        && !folder.join(name).exists()
    {
        let bytes = git_show(folder, revision, path)?;
        if !is_pointer {
            return Ok(vec![SourceFile::bytes(name, bytes)]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let pointer = Pointer::parse(&text, Path::new(name))?;
        return pointed(project.ok_or_else(needs_project)?, &pointer, name);
    }
    if is_pointer {
        let pointer = Pointer::read(&folder.join(name))?;
        return pointed(project.ok_or_else(needs_project)?, &pointer, name);
    }
    Ok(find_files(folder, name)?)
}

fn pointed(project: &Project, pointer: &Pointer, name: &str) -> Result<Vec<SourceFile>, PipelineError> {
    let store = ContentStore::new(&project.state_folder());
    let index = DigestIndex::open(&project.state_folder());
    let files = pointer.list(&store, Path::new(name))?;
    let kept = |file: &modelgate_data::snapshot::SnapshotFile| {
        Ok(SourceFile::path(&file.name, store.check(&file.digest, &index)?))
    };
    files.iter().map(kept).collect()
}

fn git_show(folder: &Path, revision: &str, path: &str) -> Result<Vec<u8>, PipelineError> {
    let wrong = |reason: String| PipelineError::Figures { path: format!("{revision}:{path}").into(), reason };
    if revision.starts_with('-') {
        return Err(wrong("a revision does not begin with `-`".to_owned()));
    }
    // `./` makes git take the path from the folder rather than from the top of the repository.
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["show", &format!("{revision}:./{path}")])
        .output()
        .map_err(|error| wrong(format!("git cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(wrong(
        said.lines().next().unwrap_or("git knows no such file").trim_start_matches("fatal: ").to_owned(),
    ))
}
