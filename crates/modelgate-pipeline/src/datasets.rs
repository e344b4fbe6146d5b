//! The data sets of a project: which there are, taking snapshots of them, and sharing their contents.

mod committed;
mod dvc;
mod locate;
mod share;
mod snapshot;
mod version;

use std::path::PathBuf;

use modelgate_config::{LinkName, ProjectConfig};
use modelgate_core::Digest;
use modelgate_data::dvc::{DvcOutput, lexical};
use modelgate_data::snapshot::Pointer;
use modelgate_store::LinkPolicy;

use crate::error::PipelineError;
use crate::project::Project;

pub use committed::{Reading, warning};
pub(crate) use committed::{set_of, warning_of};
pub use dvc::{dvc_stages, pull_dvc};
pub(crate) use dvc::{lacking, tracking};
pub use locate::{locate, remote_files, remote_source};
pub use modelgate_data::dvc::DvcPulled;
pub use share::{Pulled, Pushed, Sharing};
pub use snapshot::{Snapshot, SnapshotRequest, elsewhere, snapshot};
pub use version::{Fetching, FileDiff, Version, set_in_git, version};

/// The ending of a pointer file's name.
pub const POINTER: &str = "modelgate";

/// Returns how the project keeps files.
pub fn link_policy(config: &ProjectConfig) -> LinkPolicy {
    match config.data.link {
        LinkName::Auto => LinkPolicy::Auto,
        LinkName::Reflink => LinkPolicy::Reflink,
        LinkName::Hardlink => LinkPolicy::Hardlink,
        LinkName::Copy => LinkPolicy::Copy,
    }
}

/// Returns what a person should know of an object that was damaged through a hard link.
pub(crate) fn lost_object(name: &str, digest: &Digest) -> String {
    format!(
        "`{name}` was a hard link to the store and was written to in place: the earlier content {digest} is gone here; \
         `modelgate data pull` brings it back if it was pushed. Replace such files, or set `data.link: copy`"
    )
}

/// A data set of the project: its pointer file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataSet {
    /// Its name, that of the pointer file without the ending.
    pub name: String,
    /// The pointer file, `data/NAME.modelgate`.
    pub path: PathBuf,
    /// What it was at its last snapshot.
    pub pointer: Pointer,
}

/// Returns where the pointer of the data set `name` is or would be.
pub fn pointer_path(project: &Project, name: &str) -> PathBuf {
    project.root.join("data").join(format!("{name}.{POINTER}"))
}

/// Returns all data sets of the project, sorted by name.
///
/// # Errors
/// Names the pointer file that cannot be read.
pub fn all(project: &Project) -> Result<Vec<DataSet>, PipelineError> {
    let listing = match fs_err::read_dir(project.root.join("data")) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry?.path();
        let is_pointer = path.extension().is_some_and(|ending| ending == POINTER);
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_pointer) else {
            continue;
        };
        if path.is_file() {
            found.push(DataSet { name: name.to_owned(), pointer: Pointer::read(&path)?, path: path.clone() });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Returns the data sets of no pipeline whose source is that of a pipeline with a pointer file of its own, each with the
/// names of both: a pipeline had their name once, and their files are not what is read today.
///
/// # Errors
/// As [`all`].
pub fn superseded(project: &Project) -> Result<Vec<(String, String)>, PipelineError> {
    let (own, others): (Vec<DataSet>, Vec<DataSet>) =
        all(project)?.into_iter().partition(|set| project.config.pipelines.contains_key(&set.name));
    let by = |set: DataSet| {
        let own = own.iter().find(|own| own.pointer.source == set.pointer.source)?;
        Some((set.name, own.name.clone()))
    };
    Ok(others.into_iter().filter_map(by).collect())
}

/// Says what to do about a data set that [`superseded`] names.
pub fn superseded_sentence(name: &str, own: &str) -> String {
    format!(
        "`data/{name}.{POINTER}` is of no pipeline, and `data/{own}.{POINTER}` is of the same source: remove the first one"
    )
}

/// What words on a command line name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// Data sets of modelgate.
    pub sets: Vec<DataSet>,
    /// Files and folders that DVC tracks.
    pub dvc: Vec<DvcOutput>,
}

/// Returns the data sets that `names` name, by name, pointer file or source, and with `with_dvc` the files that DVC
/// tracks below the project or as a source of it, by path or `.dvc` file; of a pipeline, what it reads. All when there is no name.
///
/// # Errors
/// Fails for a name that nothing has.
pub fn select(project: &Project, names: &[String], with_dvc: bool) -> Result<Selection, PipelineError> {
    let all = all(project)?;
    let (tracked, mut untold) = if with_dvc { dvc::tracked(project)? } else { Default::default() };
    if names.is_empty() {
        return untold.map_or(Ok(Selection { sets: all, dvc: tracked }), Err);
    }
    let mut found = Selection::default();
    for name in names {
        let plain = name.strip_prefix("data/").unwrap_or(name);
        let plain = plain.strip_suffix(&format!(".{POINTER}")).unwrap_or(plain);
        let source = project.config.pipelines.get(name).map(|pipeline| &pipeline.data.source);
        let is_it = |set: &&DataSet| {
            set.name == plain
                || set.pointer.source == *name.trim_end_matches('/')
                || source.is_some_and(|source| set.pointer.source == *source)
        };
        if let Some(set) = all.iter().find(is_it) {
            if !found.sets.contains(set) {
                found.sets.push(set.clone());
            }
            continue;
        }
        let path = lexical(&project.root.join(name.trim_end_matches('/')));
        let mut outputs: Vec<DvcOutput> = tracked
            .iter()
            .filter(|output| {
                output.file == path || path.starts_with(&output.path) || output.path.starts_with(&path)
            })
            .cloned()
            .collect();
        if let Some(source) = source.filter(|_| outputs.is_empty()) {
            outputs = if with_dvc { dvc::of_pipeline(project, source)? } else { Vec::new() };
        } else if outputs.is_empty() {
            if let Some(untold) = untold.take() {
                return Err(untold);
            }
            let mut known: Vec<&str> = all.iter().map(|set| set.name.as_str()).collect();
            known.extend(tracked.iter().filter_map(|output| {
                output.path.strip_prefix(&project.root).unwrap_or(&output.path).to_str()
            }));
            known.truncate(20);
            let known = if known.is_empty() {
                "there is none; `modelgate data snapshot` makes one".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            };
            return Err(PipelineError::Sharing(format!("there is no data set `{name}`; {known}")));
        }
        for output in outputs {
            if !found.dvc.contains(&output) {
                found.dvc.push(output);
            }
        }
    }
    Ok(found)
}
