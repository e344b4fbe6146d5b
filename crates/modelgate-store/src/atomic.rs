//! Atomic writes: a reader, and a process killed at any moment, sees the old file or the new one.

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// What tells this process from others of its number: in two containers that share a volume both may be the first.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));

/// Returns a name beside `path` that no other writer uses. What has it is made with [`create`], so that no file of
/// another writer is ever written into.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = shortened(&name);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{:016x}.{number}.tmp", std::process::id(), *PROCESS))
}

/// How much of a name stands in that of a file on its way, in bytes: file systems give a name 255, and the numbers take 50.
const NAMED: usize = 200;

fn shortened(name: &str) -> &str {
    let mut end = name.len().min(NAMED);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Holds for the names that are given to files on their way beside the file `name`, and gave before processes had a random part. What
/// belongs to another name that begins with this one, as `churn.eu` does with `churn`, is not among them.
pub fn is_temporary(found: &str, name: &str) -> bool {
    let rest =
        found.strip_prefix('.').and_then(|found| found.strip_prefix(shortened(name))?.strip_prefix('.'));
    let Some(rest) = rest.and_then(|rest| rest.strip_suffix(".tmp")) else { return false };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match rest.split('.').collect::<Vec<_>>()[..] {
        [process, random, number] => {
            let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_number(process) && is_random && is_number(number)
        }
        [process, number] => is_number(process) && is_number(number),
        _ => false,
    }
}

/// Holds for what a file is called while it is written, whatever it is to be called.
pub fn is_half_written(found: &str) -> bool {
    let name = found.strip_prefix('.').and_then(|found| found.strip_suffix(".tmp"));
    // Behind the name stand three numbers.
    let name = name.and_then(|found| found.rsplitn(4, '.').nth(3));
    name.is_some_and(|name| is_temporary(found, name))
}

/// Makes a file that is not there yet.
pub(crate) fn create(path: &Path) -> std::io::Result<fs_err::File> {
    fs_err::OpenOptions::new().write(true).create_new(true).open(path)
}

/// Returns what takes bytes as they come, as `/dev/null`, `/dev/stdout` and a pipe do; a rename would put a file in its place.
fn device(path: &Path) -> std::io::Result<Option<fs_err::File>> {
    let is_device =
        fs_err::metadata(path).is_ok_and(|found| !found.file_type().is_file() && !found.file_type().is_dir());
    if is_device { fs_err::OpenOptions::new().write(true).open(path).map(Some) } else { Ok(None) }
}

/// Writes `bytes` to `path`: into a temporary file beside it, flushed to disk, then renamed. A device or a pipe is written into.
///
/// # Errors
/// Names the file when the folder cannot be made or the disk is full; `path` is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(mut device) = device(path)? {
        return Ok(device.write_all(bytes)?);
    }
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    let file = create(&staged)?;
    let written = fill_through(file, bytes).and_then(|()| fs_err::rename(&staged, path));
    if let Err(error) = written {
        // The original error is the one to tell of.
        let _ = fs_err::remove_file(&staged);
        return Err(error.into());
    }
    Ok(())
}

/// Tries whether [`write()`] could write to `path`, which stays as it is: for what is written at the end of a long work.
///
/// # Errors
/// As [`write()`].
pub fn try_to_write(path: &Path) -> Result<(), StoreError> {
    // To open a pipe is to wait for its reader, who comes when there is something to read.
    if fs_err::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(StoreError::NotAFile { path: path.to_owned() });
    }
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    drop(create(&staged)?);
    Ok(fs_err::remove_file(&staged)?)
}

/// Writes `path` through `fill`: into a temporary file beside it, flushed to disk, then renamed. A device or a pipe is written into.
///
/// # Errors
/// As [`write()`], or as `fill` does; `path` is then as it was.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), StoreError> {
    if let Some(device) = device(path)? {
        let mut output = std::io::BufWriter::new(device);
        fill(&mut output)?;
        return Ok(output.flush()?);
    }
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = temporary(path);
    let file = create(&staged)?;
    let write = || {
        let mut output = std::io::BufWriter::new(file);
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
    let mut file = create(&staged)?;
    let written = file.write_all(bytes);
    drop(file);
    let written = written.and_then(|()| fs_err::rename(&staged, path));
    if let Err(error) = written {
        let _ = fs_err::remove_file(&staged);
        return Err(error.into());
    }
    Ok(())
}

fn fill_through(mut file: fs_err::File, bytes: &[u8]) -> std::io::Result<()> {
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
    fs_err::create_dir(&staged)?;
    let write = || -> std::io::Result<()> {
        for (name, bytes) in files {
            fill_through(create(&staged.join(name))?, bytes)?;
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
    if exchange(staged, target).map_err(|error| of_exchange(target, &error))? {
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

/// Says which folder could not be replaced: of two names at once the system names neither.
fn of_exchange(target: &Path, error: &std::io::Error) -> std::io::Error {
    let advice = match error.kind() {
        ErrorKind::ResourceBusy => "; something is mounted there: mount it at the folder above",
        _ => "",
    };
    std::io::Error::new(
        error.kind(),
        format!("failed to replace the folder `{}`: {error}{advice}", target.display()),
    )
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
    let name = name.to_string_lossy();
    let Ok(listing) = fs_err::read_dir(parent) else { return Ok(()) };
    for entry in listing.flatten() {
        let found = entry.file_name();
        if is_temporary(&found.to_string_lossy(), &name) && entry.path().is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the folder `target`: in one step it is not there any more. What a process that is killed meanwhile leaves has a
/// name of its own, and [`recover_folder`] removes it.
///
/// # Errors
/// Names the folder that cannot be removed.
pub fn remove_folder(target: &Path) -> Result<(), StoreError> {
    let leaving = temporary(target);
    // What is mounted cannot be moved: it is emptied where it is.
    let leaving = if fs_err::rename(target, &leaving).is_ok() { leaving.as_path() } else { target };
    Ok(fs_err::remove_dir_all(leaving)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_device_is_written_into_and_stays_one() {
        use std::os::unix::fs::FileTypeExt;

        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        for whole in [true, false] {
            let reader = std::thread::spawn({
                let pipe = pipe.clone();
                move || fs_err::read(pipe).expect("read")
            });
            if whole {
                write(&pipe, b"told").expect("written");
            } else {
                write_with(&pipe, |output| output.write_all(b"told")).expect("written");
            }
            assert_eq!(reader.join().expect("a reader"), b"told");
            assert!(fs_err::metadata(&pipe).expect("there").file_type().is_fifo());
        }
        assert_eq!(fs_err::read_dir(folder.path()).expect("listed").count(), 1);
    }

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
    fn a_try_finds_what_keeps_a_file_from_being_written_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a").join("b.json");
        try_to_write(&path).expect("it can be written");
        assert_eq!(fs_err::read_dir(folder.path().join("a")).expect("listing").count(), 0);
        write(&path, b"one").expect("written");
        try_to_write(&path).expect("it can be written");
        assert_eq!(fs_err::read(&path).expect("read"), b"one");
        // A file where a folder would have to be, and a folder where the file would have to be.
        for path in [path.join("c.json"), folder.path().join("a")] {
            try_to_write(&path).expect_err("it cannot be written");
        }
    }

    #[test]
    fn names_of_one_number_in_two_processes_differ_and_are_known_again() {
        let name = |path: &str| {
            let path = temporary(Path::new(path));
            path.file_name().expect("a name").to_string_lossy().into_owned()
        };
        let (one, other) = (name("models/churn"), name("models/churn"));
        assert_ne!(one, other);
        // Process and count are what two first processes of two containers share; the rest is drawn.
        let drawn = |name: &str| name.split('.').nth(3).map(str::to_owned);
        assert_eq!(drawn(&one), drawn(&other));
        assert_eq!(drawn(&one).expect("a random part").len(), 16);
        assert!(is_temporary(&one, "churn") && is_temporary(".churn.17.3.tmp", "churn"));
        for foreign in
            [&name("churn.eu")[..], &name("churn.1"), ".churn.previous", ".churn.eu.1.2.tmp", "churn"]
        {
            assert!(!is_temporary(foreign, "churn"), "{foreign}");
        }
    }

    #[test]
    fn the_longest_name_that_a_file_can_have_can_be_written() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["x".repeat(255), "\u{8a9e}".repeat(85), format!("x{}", "\u{8a9e}".repeat(84))] {
            let path = folder.path().join(&name);
            write(&path, b"one").expect("written");
            assert_eq!(fs_err::read(&path).expect("read"), b"one");
            let staged = temporary(&path);
            assert!(is_temporary(&staged.file_name().expect("a name").to_string_lossy(), &name));
        }
    }

    #[test]
    fn a_file_of_another_writer_is_never_written_into() {
        let folder = tempfile::tempdir().expect("folder");
        let staged = temporary(&folder.path().join("model"));
        fs_err::write(&staged, b"theirs").expect("written");
        let error = create(&staged).expect_err("it is there");
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read(&staged).expect("read"), b"theirs");
    }

    #[cfg(unix)]
    #[test]
    fn another_process_draws_another_name() {
        // The test's own program, asked for the name alone.
        const ASKED: &str = "MODELGATE_TEST_TEMPORARY";
        if std::env::var_os(ASKED).is_some() {
            let line = format!("\n{}\n", temporary(Path::new("a")).display());
            std::io::stderr().write_all(line.as_bytes()).expect("written");
            return;
        }
        let drawn = || {
            let mut program = std::process::Command::new(std::env::current_exe().expect("a program"));
            let own = "atomic::tests::another_process_draws_another_name";
            let output =
                program.args(["--exact", own, "--nocapture"]).env(ASKED, "1").output().expect("started");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let name = said.split_whitespace().find(|word| word.starts_with(".a.")).expect("a name");
            name.split('.').nth(3).expect("a random part").to_owned()
        };
        assert_ne!(drawn(), drawn());
    }

    #[test]
    fn what_is_staged_for_a_longer_name_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let other = temporary(&folder.path().join("churn.eu"));
        fs_err::create_dir(&other).expect("staged");
        recover_folder(&folder.path().join("churn")).expect("recovered");
        assert!(other.is_dir());
        recover_folder(&folder.path().join("churn.eu")).expect("recovered");
        assert!(!other.exists());
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
        // A mount point can be moved by nobody.
        let busy: Exchange = |_, _| Err(ErrorKind::ResourceBusy.into());
        let error = replace_folder_by(&target, &files("new"), busy).expect_err("refused").to_string();
        assert!(error.contains("model`: ") && error.contains("mount it at the folder above"), "{error}");
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
