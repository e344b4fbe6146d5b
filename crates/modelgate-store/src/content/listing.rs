//! What is in the store, and taking it out: for retention.

use modelgate_core::Digest;

use super::ContentStore;
use crate::StoreError;

/// An object of the store, as it lies there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// When something last happened to the file, in seconds since 1970: written, linked, or made read-only.
    pub touched: i64,
}

#[cfg(unix)]
fn touched(metadata: &std::fs::Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt;
    // A linked file has the time at which its owner wrote it; the change time is that of the link.
    metadata.mtime().max(metadata.ctime())
}

#[cfg(not(unix))]
fn touched(metadata: &std::fs::Metadata) -> i64 {
    let written = metadata.modified().ok();
    let since = written.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    // What cannot be told is taken for new: it stays.
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(i64::MAX)
}

impl ContentStore {
    /// Returns every object with its size in bytes, in the order of the names.
    ///
    /// # Errors
    /// Names the folder that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
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
                    let metadata = object.metadata()?;
                    found.push(Listed { digest, bytes: metadata.len(), touched: touched(&metadata) });
                }
            }
        }
        found.sort_unstable_by_key(|one| one.digest);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_listed_and_removed() {
        let folder = tempfile::tempdir().expect("folder");
        let store = ContentStore::new(folder.path());
        assert!(store.list().expect("listed").is_empty());
        let (one, two) = (store.put(b"one").expect("put"), store.put(b"three").expect("put"));
        let mut expected = vec![(one, 3), (two, 5)];
        expected.sort_unstable();
        let listed = || -> Vec<(Digest, u64)> {
            store.list().expect("listed").iter().map(|found| (found.digest, found.bytes)).collect()
        };
        assert_eq!(listed(), expected);
        assert!(store.list().expect("listed").iter().all(|found| found.touched > 1_700_000_000));
        store.remove(&one).expect("removed");
        store.remove(&one).expect("no error");
        assert_eq!(listed(), [(two, 5)]);
    }
}
