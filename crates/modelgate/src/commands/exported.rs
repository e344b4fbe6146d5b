//! Where an export may go: into a folder that is there.

use std::path::Path;

use crate::exit::UsageError;

/// Refuses a file in a folder that is not there: it may be one of a disk that is not mounted, and a backup that lies
/// beside it is none.
pub(super) fn has_folder(file: &Path) -> anyhow::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(UsageError(format!(
            "there is no folder `{}` to write `{}` into: make it first",
            folder.display(),
            file.display()
        ))
        .into()),
        _ => Ok(()),
    }
}
