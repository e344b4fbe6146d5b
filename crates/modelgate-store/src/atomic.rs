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
/// Where the system can exchange two names at once there is no moment without `target`. Elsewhere the old folder is moved
/// aside first, since a rename replaces no folder that has files; a process killed between the two renames leaves it
/// aside, and [`recover_folder`] puts it back.
///
/// # Errors
/// Names the file; `target` is then as it was.
pub fn replace_folder<'a>(
    target: &Path,
    files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>,
) -> Result<(), StoreError> {
    replace_folder_by(target, files, exchange)
}

/// Exchanges two names at once; `false` where the system cannot.
type Exchange = fn(&Path, &Path) -> std::io::Result<bool>;

fn replace_folder_by<'a>(
    target: &Path,
    files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>,
    exchange: Exchange,
) -> Result<(), StoreError> {
    recover_folder(target)?;
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let staged = temporary(target);
    let write = || -> std::io::Result<()> {
        fs_err::create_dir_all(&staged)?;
        for (name, bytes) in files {
            write_through(&staged.join(name), bytes)?;
        }
        sync_folder(&staged)?;
        place(target, &staged, exchange)
    };
    if let Err(error) = write() {
        // The original error is the one to tell of.
        let _ = fs_err::remove_dir_all(&staged);
        return Err(error.into());
    }
    if let Some(parent) = target.parent() {
        sync_folder(parent)?;
    }
    Ok(())
}

/// Makes `staged` the folder `target` and removes what was there.
fn place(target: &Path, staged: &Path, exchange: Exchange) -> std::io::Result<()> {
    if !target.exists() {
        return fs_err::rename(staged, target);
    }
    if exchange(staged, target)? {
        return fs_err::remove_dir_all(staged);
    }
    let aside = aside(target);
    fs_err::rename(target, &aside)?;
    if let Err(error) = fs_err::rename(staged, target) {
        fs_err::rename(&aside, target)?;
        return Err(error);
    }
    fs_err::remove_dir_all(&aside)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> std::io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        // Older systems, and file systems that cannot.
        Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_one: &Path, _other: &Path) -> std::io::Result<bool> {
    Ok(false)
}

/// Waits until the names in `folder` are on the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // The folder of a plain name is the current one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs_err::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
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

    fn files(name: &str) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(name.to_owned(), b"x".to_vec())])
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let ways: [Exchange; 2] = [exchange, |_, _| Ok(false)];
        for way in ways {
            let folder = tempfile::tempdir().expect("folder");
            let target = folder.path().join("model");
            replace_folder_by(&target, &files("old"), way).expect("written");
            replace_folder_by(&target, &files("new"), way).expect("written");
            assert!(target.join("new").exists() && !target.join("old").exists());
            assert_eq!(fs_err::read_dir(folder.path()).expect("listing").count(), 1);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_reader_finds_a_folder_at_every_moment() {
        use std::sync::atomic::AtomicBool;
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("model");
        replace_folder(&target, &files("file")).expect("written");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs_err::create_dir(&one).expect("made");
        fs_err::create_dir(&other).expect("made");
        if !exchange(&one, &other).expect("asked") {
            // This file system cannot: there is a moment without, which `recover_folder` is for.
            return;
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0;
                while !done.load(Ordering::Relaxed) {
                    assert!(target.is_dir(), "the folder was away");
                    looks += 1;
                }
                looks
            });
            for _ in 0..200 {
                replace_folder(&target, &files("file")).expect("written");
            }
            done.store(true, Ordering::Relaxed);
            assert!(reader.join().expect("no panic") > 0);
        });
    }

    #[test]
    fn a_folder_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("model");
        replace_folder(&target, &files("old")).expect("written");
        let error = replace_folder(&target, &files("no/such/folder")).expect_err("refused").to_string();
        assert!(error.contains("no/such/folder"), "{error}");
        // The second of two renames fails: what was moved aside comes back.
        let vanishes: Exchange = |staged, _| {
            fs_err::remove_dir_all(staged)?;
            Ok(false)
        };
        replace_folder_by(&target, &files("new"), vanishes).expect_err("refused");
        assert!(target.join("old").exists());
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
