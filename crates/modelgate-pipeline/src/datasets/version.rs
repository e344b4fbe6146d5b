//! One version of data, however a person names it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use modelgate_core::Digest;
use modelgate_data::snapshot::{self, Pointer, SnapshotFile};
use modelgate_data::{SourceFile, find_files};
use modelgate_store::{ContentStore, DigestIndex, StoreError};
use rayon::prelude::*;
use serde::Serialize;

use super::remote_files;
use crate::error::PipelineError;
use crate::project::Project;

/// One version of data.
#[derive(Debug)]
pub enum Version {
    /// Files of rows, and the source that they are of, as a pointer file or a person names it.
    Rows {
        /// The files.
        files: Vec<SourceFile>,
        /// A file, a glob, or an address.
        source: String,
    },
    /// The files of a folder, which need not be of rows.
    Folder(Vec<SnapshotFile>),
}

/// What changed between two versions of a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileDiff {
    /// The version of this form.
    pub schema_version: u32,
    /// The files before.
    pub files_before: u64,
    /// The files now.
    pub files_after: u64,
    /// Files that are new.
    pub added: Vec<String>,
    /// Files that are gone.
    pub removed: Vec<String>,
    /// Files with another content.
    pub changed: Vec<String>,
}

/// Files of each kind that are shown to people.
const SHOWN: usize = 10;

impl FileDiff {
    /// Compares two lists of files.
    pub fn of(before: &[SnapshotFile], after: &[SnapshotFile]) -> Self {
        let by_name = |files: &[SnapshotFile]| -> BTreeMap<String, Digest> {
            files.iter().map(|file| (file.name.clone(), file.digest)).collect()
        };
        let (old, new) = (by_name(before), by_name(after));
        let lacks = |all: &BTreeMap<String, Digest>, other: &BTreeMap<String, Digest>| {
            all.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
        };
        let is_other = |(name, digest): &(&String, &Digest)| new.get(*name).is_some_and(|now| now != *digest);
        Self {
            schema_version: 1,
            files_before: before.len() as u64,
            files_after: after.len() as u64,
            added: lacks(&new, &old),
            removed: lacks(&old, &new),
            changed: old.iter().filter(is_other).map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Returns the lines for people.
    pub fn to_text(&self) -> String {
        if self.is_empty() {
            return format!("no difference in {} files\n", self.files_after);
        }
        let mut text = format!(
            "files: {} before, {} now · {} added, {} removed, {} changed\n",
            self.files_before,
            self.files_after,
            self.added.len(),
            self.removed.len(),
            self.changed.len()
        );
        for (sign, names) in [('+', &self.added), ('-', &self.removed), ('~', &self.changed)] {
            names.iter().take(SHOWN).for_each(|name| text.push_str(&format!("{sign} {name}\n")));
            if names.len() > SHOWN {
                text.push_str(&format!("{sign} and {} more\n", names.len() - SHOWN));
            }
        }
        text
    }
}

/// Returns a version: `sha256:…` in the store, a pointer file, `REV:PATH` of git with either a pointer file or the data
/// itself, a file or glob below `folder`, a folder, or `s3://…`.
///
/// # Errors
/// Fails when there is no such version; for a pointer whose contents are not here, says to pull them.
pub fn version(project: Option<&Project>, folder: &Path, name: &str) -> Result<Version, PipelineError> {
    let needs_project = || PipelineError::NoProject(folder.to_owned());
    let rows = |files: Vec<SourceFile>| Version::Rows { files, source: name.to_owned() };
    if name.starts_with("s3://") {
        return Ok(rows(remote_files(project.ok_or_else(needs_project)?, name)?));
    }
    if let Ok(digest) = name.parse::<Digest>() {
        let project = project.ok_or_else(needs_project)?;
        let store = ContentStore::new(&project.state_folder());
        let index = DigestIndex::open(&project.state_folder());
        return Ok(rows(vec![SourceFile::path(name, store.check(&digest, &index)?)]));
    }
    let is_pointer = Path::new(name).extension().is_some_and(|ending| ending == "modelgate");
    // A drive letter is no revision.
    if let Some((revision, path)) = name.split_once(':').filter(|(revision, _)| revision.len() > 1)
        && !folder.join(name).exists()
    {
        let bytes = git_show(folder, revision, path)?;
        if !is_pointer {
            return Ok(Version::Rows {
                files: vec![SourceFile::bytes(name, bytes)],
                source: path.to_owned(),
            });
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let pointer = Pointer::parse(&text, Path::new(name))?;
        return pointed(project.ok_or_else(needs_project)?, pointer, name);
    }
    if is_pointer {
        let pointer = Pointer::read(&folder.join(name))?;
        return pointed(project.ok_or_else(needs_project)?, pointer, name);
    }
    if folder.join(name).is_dir() {
        return on_disk(project, folder, name);
    }
    Ok(rows(find_files(folder, name)?))
}

fn pointed(project: &Project, pointer: Pointer, name: &str) -> Result<Version, PipelineError> {
    let store = ContentStore::new(&project.state_folder());
    let index = DigestIndex::open(&project.state_folder());
    let files = pointer.list(&store, Path::new(name))?;
    let is_file = matches!(files.as_slice(), [only] if only.name == pointer.source);
    if !is_file && !pointer.source.contains(['*', '?', '[']) {
        return Ok(Version::Folder(files));
    }
    let kept = |file: &SnapshotFile| -> Result<SourceFile, PipelineError> {
        Ok(SourceFile::path(&file.name, store.check(&file.digest, &index)?))
    };
    let files = files.iter().map(kept).collect::<Result<_, _>>()?;
    Ok(Version::Rows { files, source: pointer.source })
}

/// Hashes the files of a folder in the working copy.
fn on_disk(project: Option<&Project>, folder: &Path, name: &str) -> Result<Version, PipelineError> {
    // In a project a snapshot's names are those below it.
    let root = project.map_or(folder, |project| project.root.as_path());
    let below = folder.strip_prefix(root).unwrap_or(Path::new("")).join(name);
    let below = below.to_string_lossy().replace('\\', "/");
    let found = snapshot::find(root, &below)?;
    let index = project.map(|project| DigestIndex::open(&project.state_folder()));
    let digest = |file: &snapshot::Found| -> Result<SnapshotFile, StoreError> {
        let (digest, identity) = match &index {
            Some(index) => index.digest_of(&file.path)?,
            None => modelgate_store::hashing::of_file(&file.path)?,
        };
        Ok(SnapshotFile { name: file.name.clone(), size: identity.size, digest })
    };
    let files: Result<Vec<_>, StoreError> = found.par_iter().map(digest).collect();
    Ok(Version::Folder(files?))
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
