//! Bringing the files of a snapshot back into the project.

use std::path::Path;

use modelgate_store::{ContentStore, DigestIndex, Link, LinkPolicy};
use rayon::prelude::*;

use super::{SnapshotError, SnapshotFile};

/// What was brought back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// Files that were written.
    pub written: u64,
    /// Files that were there as they should be.
    pub unchanged: u64,
    /// How they were written, when they were.
    pub link: Option<Link>,
}

/// Writes `files` below `root` from the store, over files whose content the store has too.
///
/// # Errors
/// [`SnapshotError::Changes`] for a file with a content that would be lost, unless `force`; nothing is written then.
pub fn restore(
    root: &Path,
    files: &[SnapshotFile],
    store: &ContentStore,
    index: &DigestIndex,
    policy: LinkPolicy,
    force: bool,
) -> Result<Restored, SnapshotError> {
    let look = |file: &SnapshotFile| -> Result<bool, SnapshotError> {
        let path = root.join(&file.name);
        inside(root, &path, &file.name)?;
        match fs_err::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let (digest, _) = index.digest_of(&path)?;
        if digest == file.digest {
            return Ok(false);
        }
        if force || store.contains(&digest) {
            return Ok(true);
        }
        Err(SnapshotError::Changes(file.name.clone()))
    };
    let wanted: Vec<Result<bool, SnapshotError>> = files.par_iter().map(look).collect();
    let wanted = wanted.into_iter().collect::<Result<Vec<bool>, _>>()?;
    let write = |(file, wanted): (&SnapshotFile, &bool)| -> Result<Option<Link>, SnapshotError> {
        if !*wanted {
            return Ok(None);
        }
        store.check(&file.digest, index)?;
        Ok(Some(store.materialise(&file.digest, &root.join(&file.name), policy, index)?))
    };
    let written: Vec<_> = files.par_iter().zip(&wanted).map(write).collect();
    let mut restored = Restored::default();
    for link in written {
        match link? {
            None => restored.unchanged += 1,
            Some(link) => {
                restored.written += 1;
                restored.link = Some(link);
            }
        }
    }
    Ok(restored)
}

/// Folders that say what a tool does; no data is written into them, however a name is written.
const TOOLS: [&str; 3] = [".git", ".modelgate", ".dvc"];

/// Returns whether a part of a path is the name of a tool's own folder; case does not count on some systems.
pub(crate) fn is_tools_folder(part: &str) -> bool {
    TOOLS.iter().any(|tool| part.eq_ignore_ascii_case(tool))
}

/// Refuses a path that a symbolic link leads out of `root`, or into a tool's own folder.
pub(crate) fn inside(root: &Path, path: &Path, name: &str) -> Result<(), SnapshotError> {
    let error =
        |reason: &str| SnapshotError::Source { source_name: name.to_owned(), reason: reason.to_owned() };
    let root = fs_err::canonicalize(root)?;
    let mut folder = path.parent();
    while let Some(existing) = folder {
        if existing.exists() {
            let real = fs_err::canonicalize(existing)?;
            let Ok(below) = real.strip_prefix(&root) else {
                return Err(error("a symbolic link leads it out of the project"));
            };
            if below.iter().any(|part| is_tools_folder(&part.to_string_lossy())) {
                return Err(error("a symbolic link leads it into a folder of git, DVC or modelgate"));
            }
            return Ok(());
        }
        folder = existing.parent();
    }
    Ok(())
}
