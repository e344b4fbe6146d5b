//! Taking a snapshot: every file's content into the store, side by side, those that did not change without reading.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use modelgate_core::Digest;
use modelgate_store::{ContentStore, DigestIndex, Link, LinkPolicy};
use rayon::prelude::*;

use super::{Pointer, SnapshotError, SnapshotFile, find};
use crate::not_tables;

/// What a snapshot found and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// What the data set is now.
    pub pointer: Pointer,
    /// The files.
    pub files: Vec<SnapshotFile>,
    /// How many files had to be read.
    pub read: u64,
    /// How new objects were made, and how many each way.
    pub made: BTreeMap<Link, u64>,
    /// Objects that are gone, with the file that was a hard link to each and was written to in place.
    pub lost: Vec<(String, Digest)>,
}

/// Takes a snapshot of `source` below `root`; `moved` hears of the bytes of each file that is done.
///
/// The caller saves the index and writes the pointer.
///
/// # Errors
/// Names the first file, by name, that cannot be read or kept.
pub fn take(
    root: &Path,
    source: &str,
    store: &ContentStore,
    index: &DigestIndex,
    policy: LinkPolicy,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Taken, SnapshotError> {
    let found = find(root, source)?;
    if let Some(file) = found.iter().find(|file| file.name.contains('\\')) {
        let reason = "a backslash in its name stands between folders elsewhere; rename it".to_owned();
        return Err(SnapshotError::Source { source_name: file.name.clone(), reason });
    }
    // Nothing is kept of data that are elsewhere.
    if let Some(pointer) = found.par_iter().find_first(|file| not_tables::is_lfs_pointer(&file.path)) {
        let (source_name, reason) = (pointer.name.clone(), not_tables::LFS_POINTER.to_owned());
        return Err(SnapshotError::Source { source_name, reason });
    }
    let read = AtomicU64::new(0);
    let kept: Vec<_> = found
        .par_iter()
        .map(|file| {
            let kept = store.put_file(&file.path, policy, index);
            if let Ok(kept) = &kept {
                read.fetch_add(u64::from(kept.read), Ordering::Relaxed);
                moved(kept.size);
            }
            kept
        })
        .collect();
    let mut files = Vec::with_capacity(found.len());
    let (mut made, mut lost) = (BTreeMap::new(), Vec::new());
    for (file, kept) in found.into_iter().zip(kept) {
        let kept = kept.map_err(|error| match &error {
            modelgate_store::StoreError::Io(wrong)
                if wrong.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                let reason = format!("it may not be read or linked: {wrong}");
                SnapshotError::Source { source_name: file.name.clone(), reason }
            }
            _ => error.into(),
        })?;
        if let Some(link) = kept.made {
            *made.entry(link).or_insert(0) += 1;
        }
        if let Some(digest) = kept.lost {
            lost.push((file.name.clone(), digest));
        }
        files.push(SnapshotFile { name: file.name, size: kept.size, digest: kept.digest });
    }
    // What one file lost, another file of the same content may have brought back.
    lost.retain(|(_, digest)| !store.contains(digest));
    let listed = || -> Result<Pointer, SnapshotError> {
        let (pointer, list) = Pointer::with_manifest(source.trim_end_matches('/'), &files)?;
        // What no pull would take back is not kept either.
        let refused = |reason| SnapshotError::Source { source_name: source.to_owned(), reason };
        pointer.check_names(&files).map_err(refused)?;
        if let Some(list) = list {
            store.put(&list)?;
        }
        Ok(pointer)
    };
    // With many files, index and list are what a snapshot of one changed file costs.
    let (pointer, saved) = rayon::join(listed, || index.save());
    saved?;
    let pointer = pointer?;
    Ok(Taken { pointer, files, read: read.into_inner(), made, lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_of_git_lfs_is_not_kept_as_the_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let state = root.join(".modelgate");
        let (store, index) = (ContentStore::new(&state), DigestIndex::open(&state));
        fs_err::create_dir_all(root.join("data")).expect("a folder");
        fs_err::write(root.join("data/a.csv"), "a\n1\n").expect("written");
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{:064}\nsize 119913\n", 1);
        fs_err::write(root.join("data/b.png"), pointer).expect("written");
        let taken = |source: &str| take(root, source, &store, &index, LinkPolicy::Copy, &|_| ());
        let error = taken("data").expect_err("refused").to_string();
        assert_eq!(error, "`data/b.png`: it is a pointer of Git LFS and not the data; run `git lfs pull`");
        assert!(!store.contains(&Digest::of(b"a\n1\n")));
        assert_eq!(taken("data/a.csv").expect("taken").files.len(), 1);
    }
}
