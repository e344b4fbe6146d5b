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

/// Refuses a name that leads out of the project through a symbolic link.
fn inside(root: &Path, path: &Path, name: &str) -> Result<(), SnapshotError> {
    let mut folder = path.parent();
    while let Some(existing) = folder {
        if existing.exists() {
            let (real, root) = (fs_err::canonicalize(existing)?, fs_err::canonicalize(root)?);
            if real.starts_with(&root) {
                return Ok(());
            }
            let reason = "a symbolic link leads it out of the project".to_owned();
            return Err(SnapshotError::Source { source_name: name.to_owned(), reason });
        }
        folder = existing.parent();
    }
    Ok(())
}
