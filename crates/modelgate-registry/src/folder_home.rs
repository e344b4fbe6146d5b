//! A registry in the project's `.modelgate/`.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::{ContentStore, StoreError};

use crate::RegistryError;
use crate::home::{Home, Objects, whole_lines};

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

fn read_text(path: &Path) -> Result<String, RegistryError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

impl Home for FolderHome {
    fn name(&self) -> String {
        self.ledger.display().to_string()
    }

    fn read(&mut self) -> Result<String, RegistryError> {
        Ok(whole_lines(&read_text(&self.ledger)?).to_owned())
    }

    fn append(&mut self, expected: &str, lines: &str, objects: &Objects) -> Result<bool, RegistryError> {
        for bytes in objects.values() {
            self.store.put(bytes)?;
        }
        if let Some(folder) = self.ledger.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let mut options = fs_err::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&self.ledger)?;
        let mut file = file.into_file();
        // Held until the file is closed: compare and append are one step to every other process.
        file.lock()?;
        let text = read_text(&self.ledger)?;
        let whole = whole_lines(&text);
        if whole != expected {
            return Ok(false);
        }
        // What a killed writer left behind the last whole line is overwritten.
        file.set_len(whole.len() as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        Ok(true)
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        match self.store.get(digest) {
            Err(StoreError::Missing { digest, .. }) => {
                Err(RegistryError::MissingObject { digest, home: self.name() })
            }
            other => Ok(other?),
        }
    }
}
