//! Atomic writes: a reader, and a process killed at any moment, sees the old file or the new one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Returns a name beside `path` that no other writer uses.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{number}.tmp", std::process::id()))
}

/// Writes `bytes` to `path`: into a temporary file beside it, flushed to disk, then renamed.
///
/// # Errors
/// Names the file when the folder cannot be made or the disk is full; `path` is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    let written = write_through(&staged, bytes).and_then(|()| fs_err::rename(&staged, path));
    if let Err(error) = written {
        // The original error is the one to tell of.
        let _ = fs_err::remove_file(&staged);
        return Err(error.into());
    }
    Ok(())
}

/// Writes `path` through `fill`: into a temporary file beside it, flushed to disk, then renamed.
///
/// # Errors
/// As [`write()`], or as `fill` does; `path` is then as it was.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    let write = || {
        let mut output = std::io::BufWriter::new(fs_err::File::create(&staged)?);
        fill(&mut output)?;
        output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
        fs_err::rename(&staged, path)
    };
    if let Err(error) = write() {
        let _ = fs_err::remove_file(&staged);
        return Err(error.into());
    }
    Ok(())
}

/// Writes as [`write()`] does, without waiting for the disk: for a cache that tells by itself when it is not whole.
///
/// # Errors
/// As [`write()`].
pub(crate) fn write_cache(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    let written = fs_err::write(&staged, bytes).and_then(|()| fs_err::rename(&staged, path));
    if let Err(error) = written {
        let _ = fs_err::remove_file(&staged);
        return Err(error.into());
    }
    Ok(())
}

fn write_through(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Writes `files` as the folder `target`, in place of what is there: readers see the old folder or the new one.
///
/// The old folder is moved aside first, since a rename replaces no folder that has files; a process killed
/// between the two renames leaves it aside, and [`recover_folder`] puts it back.
///
/// # Errors
/// Names the file; `target` is then as it was.
pub fn replace_folder<'a>(
    target: &Path,
    files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>,
) -> Result<(), StoreError> {
    recover_folder(target)?;
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let staged = temporary(target);
    fs_err::create_dir_all(&staged)?;
    for (name, bytes) in files {
        write_through(&staged.join(name), bytes)?;
    }
    let aside = aside(target);
    if target.exists() {
        fs_err::rename(target, &aside)?;
    }
    fs_err::rename(&staged, target)?;
    if aside.exists() {
        fs_err::remove_dir_all(&aside)?;
    }
    Ok(())
}

fn aside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.previous"))
}

/// Puts back the folder that a killed [`replace_folder`] had moved aside, and removes what it had staged.
///
/// # Errors
/// Names the folder that cannot be moved.
pub fn recover_folder(target: &Path) -> Result<(), StoreError> {
    let aside = aside(target);
    if aside.exists() {
        if target.exists() {
            fs_err::remove_dir_all(&aside)?;
        } else {
            fs_err::rename(&aside, target)?;
        }
    }
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else { return Ok(()) };
    let prefix = format!(".{}.", name.to_string_lossy());
    let Ok(listing) = fs_err::read_dir(parent) else { return Ok(()) };
    for entry in listing.flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&prefix) && found.ends_with(".tmp") && entry.path().is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a").join("b.json");
        write(&path, b"one").expect("written");
        write(&path, b"two").expect("written");
        assert_eq!(fs_err::read(&path).expect("read"), b"two");
        assert_eq!(fs_err::read_dir(folder.path().join("a")).expect("listing").count(), 1);
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("model");
        let files = |name: &str| BTreeMap::from([(name.to_owned(), b"x".to_vec())]);
        replace_folder(&target, &files("old")).expect("written");
        replace_folder(&target, &files("new")).expect("written");
        assert!(target.join("new").exists() && !target.join("old").exists());
        assert_eq!(fs_err::read_dir(folder.path()).expect("listing").count(), 1);
    }

    #[test]
    fn a_replacement_killed_between_its_renames_is_undone() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("model");
        replace_folder(&target, &BTreeMap::from([("old".to_owned(), b"x".to_vec())])).expect("written");
        fs_err::rename(&target, aside(&target)).expect("moved");
        fs_err::create_dir(temporary(&target)).expect("staged");
        recover_folder(&target).expect("recovered");
        assert!(target.join("old").exists());
        assert_eq!(fs_err::read_dir(folder.path()).expect("listing").count(), 1);
    }
}
