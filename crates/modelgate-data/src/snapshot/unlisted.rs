//! Files below a source that no version names: what a pull of another version leaves where it was.

use std::collections::BTreeSet;
use std::path::Path;

use modelgate_store::{ContentStore, DigestIndex, FileIdentity};

use super::{Found, SnapshotError, find, inside};

/// Returns the files of `source` below `root` whose names are not `listed`.
///
/// # Errors
/// As [`find`].
pub fn unlisted(root: &Path, source: &str, listed: &BTreeSet<String>) -> Result<Vec<Found>, SnapshotError> {
    let found = find(root, source)?;
    Ok(found.into_iter().filter(|file| !listed.contains(&file.name)).collect())
}

/// Removes those of `files` whose content the store has, whole; returns the names of those that are gone and of those that
/// stay. Links, and what lies behind one that leads out of `root`, stay.
///
/// # Errors
/// Names the file that cannot be read or removed.
pub fn prune(
    root: &Path,
    files: &[Found],
    store: &ContentStore,
    index: &DigestIndex,
) -> Result<(Vec<String>, Vec<String>), SnapshotError> {
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    for file in files {
        let is_file = fs_err::symlink_metadata(&file.path)?.is_file();
        let kept = is_file && inside(root, &file.path, &file.name).is_ok() && {
            let (digest, identity) = index.digest_of(&file.path)?;
            // What was written to since it was read is another content.
            store.check(&digest, index).is_ok()
                && FileIdentity::of(&fs_err::symlink_metadata(&file.path)?) == identity
        };
        if kept {
            fs_err::remove_file(&file.path)?;
            gone.push(file.name.clone());
        } else {
            left.push(file.name.clone());
        }
    }
    Ok((gone, left))
}

#[cfg(test)]
mod tests {
    use modelgate_store::LinkPolicy;

    use super::*;

    #[test]
    fn only_what_the_store_has_is_removed() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        fs_err::create_dir_all(root.join("data")).expect("folder");
        let state = root.join(".modelgate");
        let (store, index) = (ContentStore::new(&state), DigestIndex::open(&state));
        for name in ["a.csv", "kept.csv", "new.csv", "damaged.csv"] {
            fs_err::write(root.join("data").join(name), name).expect("written");
        }
        let put = |name: &str| {
            store.put_file(&root.join("data").join(name), LinkPolicy::Copy, &index).expect("put").digest
        };
        put("kept.csv");
        let object = store.path(&put("damaged.csv"));
        fs_err::remove_file(&object).expect("removed");
        fs_err::write(&object, "d@maged.csv").expect("written");
        let listed = BTreeSet::from(["data/a.csv".to_owned()]);
        let mut found = unlisted(root, "data/*.csv", &listed).expect("found");
        let names: Vec<&str> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["data/damaged.csv", "data/kept.csv", "data/new.csv"]);
        #[cfg(unix)]
        {
            fs_err::write(root.join("elsewhere.csv"), "kept.csv").expect("written");
            std::os::unix::fs::symlink("../elsewhere.csv", root.join("data/link.csv")).expect("linked");
            found = unlisted(root, "data/*.csv", &listed).expect("found");
        }
        let (gone, left) = prune(root, &found, &store, &index).expect("pruned");
        assert_eq!(gone, ["data/kept.csv"]);
        assert!(left.contains(&"data/new.csv".to_owned()) && left.contains(&"data/damaged.csv".to_owned()));
        assert_eq!(left.len() + 1, found.len());
        assert!(!root.join("data/kept.csv").exists() && root.join("data/a.csv").exists());
    }
}
