//! One version of data, however a person names it.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_data::dvc::DvcRepository;
use modelgate_data::snapshot::{self, Pointer, SnapshotFile};
use modelgate_data::{SourceFile, find_files};
use modelgate_store::{ContentStore, DigestIndex, StoreError};
use rayon::prelude::*;
use serde::Serialize;

use super::{DataSet, POINTER, Sharing, remote_files};
use crate::error::{MissingProject, PipelineError};
use crate::options::Surroundings;
use crate::project::Project;
use crate::run::lock;

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

/// How contents that are not in the store are fetched.
pub struct Fetching<'a> {
    /// From where; `data.remote` of the project by default.
    pub remote: Option<&'a str>,
    /// The variables that hold credentials.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Who fetches, and when.
    pub surroundings: &'a Surroundings<'a>,
    /// Hears of bytes as they arrive.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Fetching<'_> {
    /// Brings `objects` into the store, those that are not there or are damaged; `name` is what asks for them.
    fn bring(
        &self,
        project: &Project,
        objects: Vec<(Digest, String)>,
        name: &str,
    ) -> Result<(), PipelineError> {
        let store = ContentStore::new(&project.state_folder());
        let index = DigestIndex::open(&project.state_folder());
        let mut wanted = Vec::new();
        for (digest, file) in objects {
            match store.check(&digest, &index) {
                Ok(_) => {}
                Err(error @ (StoreError::Missing { .. } | StoreError::Damaged { .. })) => {
                    wanted.push((digest, file, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        index.save()?;
        if wanted.is_empty() {
            return Ok(());
        }
        if self.remote.or(project.config.data.remote.as_deref()).is_none() {
            let missing = wanted.iter().find(|(.., error)| matches!(error, StoreError::Missing { .. }));
            let Some((digest, file, _)) = missing else {
                return wanted.into_iter().next().map_or(Ok(()), |(.., error)| Err(error.into()));
            };
            return Err(PipelineError::Sharing(format!(
                "`{name}`: the content {digest} of `{file}` is not in the store, and no remote is declared to fetch it from: set \
                 `data: {{remote: s3://bucket/prefix}}` or a folder in modelgate.yaml, give `--remote`, or bring it with \
                 `modelgate data pull {name} --remote URI`"
            )));
        }
        // Nobody removes what is on its way into the store, and nobody fetches it twice at a time.
        let _lock = lock(project, "modelgate data diff", self.surroundings)?;
        let sharing = Sharing::open(project, self.remote, self.environment, self.progress)?;
        sharing.fetch_objects(wanted.into_iter().map(|(digest, file, _)| (digest, file)).collect())
    }
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

/// Returns a version: `sha256:…` in the store, a pointer file or a `.dvc` file, `REV:PATH` of git with one of these or the
/// data itself, a file or glob below `folder`, a folder, or `s3://…`. What a pointer names and the store lacks is fetched.
///
/// # Errors
/// Fails when there is no such version, and for a pointer whose contents are neither here nor in the remote.
pub fn version(
    project: Option<&Project>,
    folder: &Path,
    name: &str,
    fetching: &Fetching<'_>,
) -> Result<Version, PipelineError> {
    let needs_project = || PipelineError::NoProject(MissingProject::at(folder));
    let rows = |files: Vec<SourceFile>| Version::Rows { files, source: name.to_owned() };
    if name.starts_with("s3://") {
        return Ok(rows(remote_files(project.ok_or_else(needs_project)?, name)?));
    }
    if let Ok(digest) = name.parse::<Digest>() {
        let project = project.ok_or_else(needs_project)?;
        fetching.bring(project, vec![(digest, name.to_owned())], name)?;
        let store = ContentStore::new(&project.state_folder());
        let index = DigestIndex::open(&project.state_folder());
        return Ok(rows(vec![SourceFile::path(name, store.check(&digest, &index)?)]));
    }
    if let Some((revision, path)) = in_git(folder, name) {
        if is_dvc(path) {
            let text = git_show(folder, revision, path)?;
            return tracked(project, folder, &String::from_utf8_lossy(&text), path, name);
        }
        if !is_pointer(path) {
            return Ok(Version::Rows {
                files: vec![SourceFile::bytes(name, git_show(folder, revision, path)?)],
                source: path.to_owned(),
            });
        }
        let pointer = pointer_in_git(folder, revision, path)?;
        return pointed(project.ok_or_else(needs_project)?, pointer, name, fetching);
    }
    if is_pointer(name) {
        let pointer = Pointer::read(&folder.join(name))?;
        return pointed(project.ok_or_else(needs_project)?, pointer, name, fetching);
    }
    if is_dvc(name) {
        let text = fs_err::read_to_string(folder.join(name))?;
        return tracked(project, folder, &text, name, name);
    }
    if folder.join(name).is_dir() {
        return on_disk(project, folder, name);
    }
    Ok(rows(find_files(folder, name)?))
}

/// Returns the data set that a pointer file in git tells of, when `name` is `REV:PATH`; `None` for another name.
///
/// # Errors
/// Fails when git has no such file, or it is no pointer file.
pub fn set_in_git(folder: &Path, name: &str) -> Result<Option<DataSet>, PipelineError> {
    let Some((revision, path)) = in_git(folder, name) else { return Ok(None) };
    if !is_pointer(path) {
        return Err(PipelineError::Sharing(format!(
            "`{name}` is no pointer file: what is fetched of another revision is named as `REV:data/NAME.{POINTER}`"
        )));
    }
    let pointer = pointer_in_git(folder, revision, path)?;
    Ok(Some(DataSet { name: name.to_owned(), path: name.into(), pointer }))
}

/// Returns revision and path of `REV:PATH`, unless a file has that name.
fn in_git<'a>(folder: &Path, name: &'a str) -> Option<(&'a str, &'a str)> {
    // A drive letter is no revision.
    let is_revision = |(revision, _): &(&str, &str)| revision.len() > 1 && !folder.join(name).exists();
    name.split_once(':').filter(is_revision)
}

fn is_pointer(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == POINTER)
}

fn pointer_in_git(folder: &Path, revision: &str, path: &str) -> Result<Pointer, PipelineError> {
    let bytes = git_show(folder, revision, path)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Pointer::parse(&text, Path::new(&format!("{revision}:{path}")))?)
}

fn pointed(
    project: &Project,
    pointer: Pointer,
    name: &str,
    fetching: &Fetching<'_>,
) -> Result<Version, PipelineError> {
    let store = ContentStore::new(&project.state_folder());
    if pointer.list.is_none() {
        fetching.bring(project, vec![(pointer.digest, name.to_owned())], name)?;
    }
    let files = pointer.list(&store, Path::new(name))?;
    let is_file = matches!(files.as_slice(), [only] if only.name == pointer.source);
    if !is_file && !pointer.source.contains(['*', '?', '[']) {
        return Ok(Version::Folder(files));
    }
    let objects = files.iter().map(|file| (file.digest, file.name.clone())).collect();
    fetching.bring(project, objects, name)?;
    let index = DigestIndex::open(&project.state_folder());
    let kept = |file: &SnapshotFile| -> Result<SourceFile, PipelineError> {
        Ok(SourceFile::path(&file.name, store.check(&file.digest, &index)?))
    };
    let files = files.iter().map(kept).collect::<Result<_, _>>()?;
    Ok(Version::Rows { files, source: pointer.source })
}

fn is_dvc(name: &str) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|ending| ending == "dvc")
        && path.file_stem().is_some_and(|stem| stem != ".dvc")
}

/// Returns what a `.dvc` file tracks: `text`, which stands or stood at `path` below `folder`. Contents come from DVC's cache.
fn tracked(
    project: Option<&Project>,
    folder: &Path,
    text: &str,
    path: &str,
    name: &str,
) -> Result<Version, PipelineError> {
    let refuse = |what: String| PipelineError::Sharing(format!("`{name}` {what}"));
    let Some(repository) = DvcRepository::find(folder)? else {
        return Err(refuse("is a file of DVC, and no folder above it has a `.dvc/`".to_owned()));
    };
    let outputs = repository.outputs_in(text, &folder.join(path))?;
    let [output] = outputs.as_slice() else {
        return Err(refuse(format!("tracks {} files or folders; name the data itself", outputs.len())));
    };
    // Without a project nothing is remembered: an index of no folder is empty.
    let index = project.map(|project| DigestIndex::open(&project.state_folder()));
    let index = index.unwrap_or_else(|| DigestIndex::open(&repository.root.join(".modelgate")));
    let Some(files) = repository.contents(output, &index)? else {
        let fetch = if path == name {
            format!("`modelgate data pull {name}` brings it")
        } else {
            "`dvc fetch --all-commits` brings it".to_owned()
        };
        return Err(refuse(format!("names a content that DVC's cache does not have; {fetch}")));
    };
    let named = |file: &str| {
        let root = project.map_or(folder, |project| project.root.as_path());
        let path = repository.root.join(file);
        path.strip_prefix(root).map_or_else(|_| file.to_owned(), |below| below.display().to_string())
    };
    if !output.hash.is_folder {
        let source = files.first().map_or_else(String::new, |(file, _)| named(file));
        let files = files.into_iter().map(|(file, path)| SourceFile::path(named(&file), path)).collect();
        return Ok(Version::Rows { files, source });
    }
    let digest = |(file, path): &(String, std::path::PathBuf)| -> Result<SnapshotFile, StoreError> {
        let (digest, identity) = index.digest_of(path)?;
        Ok(SnapshotFile { name: named(file), size: identity.size, digest })
    };
    let mut files = files.par_iter().map(digest).collect::<Result<Vec<_>, _>>()?;
    files.sort_unstable();
    Ok(Version::Folder(files))
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
    let output = modelgate_store::git::git(folder)
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
