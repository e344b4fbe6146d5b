//! What was done to production and is not told yet: a file of each notice beside the ledger, until the webhook and the service
//! were told. Who is killed meanwhile leaves it to the next command.
//!
//! A file is locked while somebody tells: the system frees the lock of a process that dies, so that nothing is told twice.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use modelgate_core::{Digest, canonical};

use crate::error::PipelineError;
use crate::notify::Notice;
use crate::project::Project;

/// A notice that this process has to tell, and its file, which is locked.
struct Kept {
    notice: Notice,
    path: PathBuf,
    _locked: File,
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

fn folder(project: &Project) -> PathBuf {
    project.state_folder().join("untold")
}

fn hold(notice: Notice, path: PathBuf, locked: File) {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(Kept { notice, path, _locked: locked });
}

/// Notes what is to be told, before the mark of an unfinished command goes; nothing where nobody wants to hear of it.
pub(crate) fn keep(project: &Project, notices: &[Notice]) -> Result<(), PipelineError> {
    if project.config.serve.reload_url.is_none() && project.config.notify.url.is_none() {
        return Ok(());
    }
    let folder = folder(project);
    fs_err::create_dir_all(&folder)?;
    for notice in notices {
        let text = canonical::to_string(notice)?;
        let path = folder.join(format!("{}.json", Digest::of(text.as_bytes()).hex()));
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path)?.into_file();
        match file.try_lock() {
            Ok(()) => {}
            // Somebody is about to tell just that.
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        hold(notice.clone(), path, file);
    }
    Ok(())
}

/// Forgets what was told, or could not be told, which is told of.
pub fn told(notice: &Notice) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|one| {
        let is_it = one.notice.is_same(notice);
        if is_it {
            // A file that stays is told of once more, which is better than never.
            let _ = fs_err::remove_file(&one.path);
        }
        !is_it
    });
}

/// Takes what killed commands left to be told.
pub(crate) fn left(project: &Project) -> Vec<Notice> {
    let Ok(listing) = fs_err::read_dir(folder(project)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let mut found = Vec::new();
    for path in paths {
        let opened = fs_err::OpenOptions::new().read(true).write(true).open(&path);
        let Ok(mut file) = opened.map(fs_err::File::into_file) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        // Who told it removed it between the two looks.
        if read.is_err() || !path.exists() {
            continue;
        }
        // One that broke off is one whose command is not finished either: that is found by its mark.
        let Ok(notice) = serde_json::from_str::<Notice>(&text) else {
            let _ = fs_err::remove_file(&path);
            continue;
        };
        hold(notice.clone(), path, file);
        found.push(notice);
    }
    found
}
