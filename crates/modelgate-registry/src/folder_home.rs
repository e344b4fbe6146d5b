//! A registry in the project's `.modelgate/`.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use modelgate_core::Digest;
use modelgate_store::{ContentStore, StoreError};

use crate::RegistryError;
use crate::home::{Home, Objects, Position, StoredObject};
use crate::stamp::Stamp;

/// `ledger.jsonl` and the store of a folder.
pub(crate) struct FolderHome {
    ledger: PathBuf,
    store: ContentStore,
}

impl FolderHome {
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self { ledger: state_folder.join("ledger.jsonl"), store: ContentStore::new(state_folder) }
    }
}

/// How long another process may hold the ledger.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock of the ledger's file, which is held for the time of one append.
fn lock(file: &std::fs::File, path: &Path) -> Result<(), RegistryError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            Err(std::fs::TryLockError::WouldBlock) if began.elapsed() > PATIENCE => {
                return Err(RegistryError::LedgerBusy { path: path.display().to_string() });
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Returns whether a line ends in what is left of a file. A line may be of any length.
fn holds_a_line(file: &mut std::fs::File) -> std::io::Result<bool> {
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(false),
            Ok(read) if block[..read].contains(&b'\n') => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Adds `lines` behind `end`, over what a killed writer left there; `None` when whole lines stand there.
pub(crate) fn append_behind(path: &Path, end: u64, lines: &str) -> Result<Option<Stamp>, RegistryError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let mut options = fs_err::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    let mut file = file.into_file();
    // Held until the file is closed: compare and append are one step to every other process.
    lock(&file, path)?;
    let size = file.metadata()?.len();
    if size < end {
        return Ok(None);
    }
    if size > end {
        file.seek(SeekFrom::Start(end))?;
        if holds_a_line(&mut file)? {
            return Ok(None);
        }
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end))?;
    let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // A part of the lines on a full disk must not be taken for events.
        let _ = file.set_len(end);
        return Err(RegistryError::Append { path: path.display().to_string(), source: error });
    }
    Ok(Some(Stamp::of_metadata(&file.metadata()?)))
}

impl Home for FolderHome {
    fn name(&self) -> String {
        self.ledger.display().to_string()
    }

    fn key(&self) -> String {
        "folder".to_owned()
    }

    fn ledger(&self) -> &Path {
        &self.ledger
    }

    fn pull(&mut self, _again: bool) -> Result<(), RegistryError> {
        Ok(())
    }

    fn append(
        &mut self,
        expected: &Position,
        lines: &str,
        objects: &Objects,
    ) -> Result<Option<Stamp>, RegistryError> {
        self.keep(objects)?;
        append_behind(&self.ledger, expected.end, lines)
    }

    fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError> {
        for bytes in objects.values() {
            self.store.put(bytes)?;
        }
        Ok(())
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        match self.store.get(digest) {
            Err(StoreError::Missing { digest, .. }) => {
                Err(RegistryError::MissingObject { digest, home: self.name() })
            }
            Err(StoreError::Damaged { path, .. }) => {
                Err(RegistryError::DamagedObject { digest: *digest, home: path.display().to_string() })
            }
            other => Ok(other?),
        }
    }

    fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        let found = self.store.list()?;
        let object = |found: modelgate_store::Listed| StoredObject {
            digest: found.digest,
            bytes: found.bytes,
            touched: Some(found.touched),
        };
        Ok(found.into_iter().map(object).collect())
    }

    fn remove(&mut self, _expected: &Position, digests: &[Digest]) -> Result<bool, RegistryError> {
        for digest in digests {
            self.store.remove(digest)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_any_length_that_another_has_written_is_not_cut_off() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ledger.jsonl");
        let long = format!("first\n{}\n", "x".repeat(3 << 20));
        fs_err::write(&path, &long).expect("written");
        assert!(append_behind(&path, 6, "mine\n").expect("looked").is_none());
        assert_eq!(fs_err::read_to_string(&path).expect("text"), long);
        // The rest of a write that was killed has no end, however long it is.
        fs_err::write(&path, long.trim_end()).expect("written");
        assert!(append_behind(&path, 6, "mine\n").expect("added").is_some());
        assert_eq!(fs_err::read_to_string(&path).expect("text"), "first\nmine\n");
    }
}
