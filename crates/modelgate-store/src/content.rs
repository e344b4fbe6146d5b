//! The content-addressed store: bytes named by their SHA-256.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;

use crate::{StoreError, atomic};

/// A folder of objects, `store/sha256/ab/cdef…` below a root.
#[derive(Clone, Debug)]
pub struct ContentStore {
    root: PathBuf,
}

impl ContentStore {
    /// Returns the store below `state_folder`; nothing is made until something is put.
    pub fn new(state_folder: &Path) -> Self {
        Self { root: state_folder.join("store").join("sha256") }
    }

    /// Returns where the object lies or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join(&hex[..2]).join(&hex[2..])
    }

    /// Keeps `bytes` and returns their digest; an object that is there is not written again.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        // A damaged object of the right length is found when it is read.
        if fs_err::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes.len() as u64) {
            return Ok(digest);
        }
        atomic::write(&path, bytes)?;
        Ok(digest)
    }

    /// Returns whether the object is there; its bytes are not checked.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Returns every object with its size in bytes, in the order of the names.
    ///
    /// # Errors
    /// Names the folder that cannot be read.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let mut found = Vec::new();
        if !self.root.is_dir() {
            return Ok(found);
        }
        for folder in fs_err::read_dir(&self.root)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            let first = folder.file_name().to_string_lossy().into_owned();
            for object in fs_err::read_dir(folder.path())? {
                let object = object?;
                let rest = object.file_name().to_string_lossy().into_owned();
                if let Ok(digest) = format!("sha256:{first}{rest}").parse() {
                    found.push((digest, object.metadata()?.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Names the file that cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        match fs_err::remove_file(self.path(digest)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Returns the object's bytes, checked against its name.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { digest: *digest, root: self.root.clone() });
            }
            Err(error) => return Err(error.into()),
        };
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::Damaged { path, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back_and_a_changed_byte_is_found() {
        let folder = tempfile::tempdir().expect("folder");
        let store = ContentStore::new(folder.path());
        let digest = store.put(b"abc").expect("put");
        assert_eq!(store.get(&digest).expect("get"), b"abc");
        fs_err::write(store.path(&digest), b"abd").expect("damaged");
        assert!(matches!(store.get(&digest), Err(StoreError::Damaged { .. })));
        assert!(matches!(store.get(&Digest::of(b"x")), Err(StoreError::Missing { .. })));
    }
}
