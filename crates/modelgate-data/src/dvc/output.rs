//! Files that DVC tracks, as `.dvc` files and `dvc.lock` name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_store::Md5;
use serde::Deserialize;

use super::yaml::{Yaml, parse};
use crate::snapshot::{SnapshotError, is_tools_folder};

/// DVC's name of a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DvcHash {
    /// The MD5 of the file, or of the list of the folder's files.
    pub md5: Md5,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether DVC 2 wrote it: there, line endings of text do not count.
    pub is_legacy: bool,
}

impl DvcHash {
    /// Reads `0cc175b9…` or `0cc175b9….dir`.
    pub(crate) fn parse(text: &str, is_legacy: bool) -> Option<Self> {
        let (md5, is_folder) = match text.strip_suffix(".dir") {
            Some(md5) => (md5, true),
            None => (text, false),
        };
        Some(Self { md5: Md5::parse(md5)?, is_folder, is_legacy })
    }

    /// Returns the place in a cache or remote: of DVC 3, or of DVC 2.
    pub(crate) fn keys(&self) -> [String; 2] {
        let md5 = self.md5.to_string();
        let ending = if self.is_folder { ".dir" } else { "" };
        let short = format!("{}/{}{ending}", &md5[..2], &md5[2..]);
        let long = format!("files/md5/{short}");
        if self.is_legacy { [short, long] } else { [long, short] }
    }
}

/// A file or folder that DVC tracks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DvcOutput {
    /// Where it is in the working copy.
    pub path: PathBuf,
    /// The `.dvc` file or `dvc.lock` that names it.
    pub file: PathBuf,
    /// What it is.
    pub hash: DvcHash,
    /// Bytes, when DVC has noted them.
    pub size: Option<u64>,
    /// The remote it is in, when not in the default one.
    pub remote: Option<String>,
    /// Whether `dvc push` sends it anywhere: `push: false` keeps it on the machine that made it.
    pub is_pushed: bool,
}

/// An entry of `outs` or `deps`.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) md5: Option<String>,
    #[serde(default)]
    pub(crate) hash: Option<String>,
    #[serde(default)]
    pub(crate) size: Option<u64>,
    #[serde(default)]
    pub(crate) remote: Option<String>,
    /// `false` for a file that git keeps.
    #[serde(default = "yes")]
    pub(crate) cache: bool,
    /// `false` for what stays on the machine that made it.
    #[serde(default = "yes")]
    pub(crate) push: bool,
}

fn yes() -> bool {
    true
}

impl Entry {
    pub(crate) fn parsed_hash(&self) -> Option<DvcHash> {
        DvcHash::parse(self.md5.as_deref()?, self.hash.is_none())
    }

    /// Returns the output that the entry of `file` is, relative to `folder`, below `root`.
    pub(super) fn output(&self, file: &Path, folder: &Path, root: &Path) -> Result<DvcOutput, SnapshotError> {
        let error = |message: String| SnapshotError::Dvc { path: file.to_owned(), message };
        let hash = self.parsed_hash().ok_or_else(|| {
            error(format!(
                "`{}` has no `md5` in the form of DVC 2 or 3; a remote with `version_aware` is not read here, use `dvc \
                 pull`",
                self.path
            ))
        })?;
        let path = lexical(&folder.join(&self.path));
        // Who writes a `.dvc` file must not choose what is written over on the machine that pulls it.
        let below = path.strip_prefix(lexical(root)).ok().filter(|below| !below.as_os_str().is_empty());
        let is_data = |part: &std::ffi::OsStr| !is_tools_folder(&part.to_string_lossy());
        if !below.is_some_and(|below| below.iter().all(is_data)) {
            return Err(error(format!(
                "the output `{}` is not a path of data below the repository; mend or remove the file",
                self.path
            )));
        }
        Ok(DvcOutput {
            path,
            file: file.to_owned(),
            hash,
            size: self.size,
            remote: self.remote.clone(),
            is_pushed: self.push,
        })
    }
}

/// Removes `.` and `..` from a path, by its letters alone.
#[must_use]
pub fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// A `.dvc` file.
#[derive(Deserialize)]
struct DvcFile {
    #[serde(default)]
    outs: Vec<Entry>,
    #[serde(default)]
    wdir: Option<String>,
}

/// `dvc.lock`.
#[derive(Deserialize, Default)]
pub(crate) struct Lock {
    #[serde(default)]
    pub(crate) schema: Option<String>,
    #[serde(default)]
    pub(crate) stages: BTreeMap<String, LockedStage>,
}

/// A stage as it last ran.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct LockedStage {
    #[serde(default)]
    pub(crate) cmd: Yaml,
    #[serde(default)]
    pub(crate) deps: Vec<Entry>,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, BTreeMap<String, Yaml>>,
    #[serde(default)]
    pub(crate) outs: Vec<Entry>,
}

/// Reads `dvc.lock` beside `pipeline`; empty when there is none.
pub(crate) fn read_lock(path: &Path) -> Result<Lock, SnapshotError> {
    if !path.exists() {
        return Ok(Lock::default());
    }
    let lock: Lock = parse(&fs_err::read_to_string(path)?, path)?;
    match lock.schema.as_deref() {
        Some("2.0") => Ok(lock),
        other => {
            let found = other.unwrap_or("none");
            let message =
                format!("expected `schema: '2.0'`, found {found}; run `dvc commit` with DVC 2 or later");
            Err(SnapshotError::Dvc { path: path.to_owned(), message })
        }
    }
}

/// Returns what the `.dvc` file `path` of the repository `root` tracks.
pub(crate) fn of_dvc_file(path: &Path, root: &Path) -> Result<Vec<DvcOutput>, SnapshotError> {
    of_dvc_text(&fs_err::read_to_string(path)?, path, root)
}

/// As [`of_dvc_file`], of a file whose text is known.
pub(crate) fn of_dvc_text(text: &str, path: &Path, root: &Path) -> Result<Vec<DvcOutput>, SnapshotError> {
    let file: DvcFile = parse(text, path)?;
    let folder = path.parent().unwrap_or(Path::new("")).join(file.wdir.as_deref().unwrap_or(""));
    let outputs = file.outs.iter().filter(|entry| entry.cache);
    outputs.map(|entry| entry.output(path, &folder, root)).collect()
}
