//! The content-addressed store: bytes named by their SHA-256.

use std::io::Read;
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_core::digest::DigestHasher;

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

    /// Keeps the file `path`, whose content has this digest, without having all of it in memory.
    ///
    /// # Errors
    /// As [`atomic::write`]; and when the file's content has another digest by now.
    pub fn put_file(&self, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        let object = self.path(digest);
        let length = fs_err::metadata(path)?.len();
        if fs_err::metadata(&object).is_ok_and(|metadata| metadata.len() == length) {
            return Ok(());
        }
        let found = atomic::copy(path, &object, digest)?;
        if found == *digest { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), found }) }
    }

    /// Checks an object against its name, and returns where it lies.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn verified(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        if !path.is_file() {
            return Err(StoreError::Missing { digest: *digest, root: self.root.clone() });
        }
        let found = hash_file(&path)?;
        if found == *digest { Ok(path) } else { Err(StoreError::Damaged { path, found }) }
    }

    /// Returns whether the object is there; its bytes are not checked.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
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

/// Returns the digest of a file, read a piece at a time.
///
/// # Errors
/// Names the file when it cannot be read.
pub fn hash_file(path: &Path) -> Result<Digest, StoreError> {
    let mut hasher = DigestHasher::default();
    let mut file = fs_err::File::open(path)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&piece[..read]);
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
