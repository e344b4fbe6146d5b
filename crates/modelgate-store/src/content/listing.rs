//! What is in the store, and taking it out: for retention.

use modelgate_core::Digest;

use super::ContentStore;
use crate::StoreError;

impl ContentStore {
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
        assert_eq!(store.list().expect("listed"), expected);
        store.remove(&one).expect("removed");
        store.remove(&one).expect("no error");
        assert_eq!(store.list().expect("listed"), [(two, 5)]);
    }
}
