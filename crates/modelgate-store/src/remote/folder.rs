//! Objects in a folder, which may be a mounted share.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modelgate_core::Digest;

use super::{Moved, ObjectHome, RemoteError, Version};
use crate::{DigestIndex, atomic};

/// How much is copied between two words of progress.
const BLOCK: usize = 1 << 20;

/// A folder of objects, each a file at its key.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    root: PathBuf,
    /// The folders below that have been looked through for what killed writers left.
    looked_through: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl FolderObjects {
    /// Returns the home in `root`; nothing is made until something is put.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), looked_through: Arc::default() }
    }

    /// Returns where the object lies; a key never leaves the folder.
    fn path(&self, key: &str) -> Result<PathBuf, RemoteError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if key.split('/').all(plain) {
            return Ok(self.root.join(key));
        }
        Err(RemoteError::Uri { uri: key.to_owned(), reason: "it is not the key of an object".to_owned() })
    }

    fn read(path: &Path) -> Result<Option<Vec<u8>>, RemoteError> {
        match fs_err::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes beside `path` the half copies that writers who were killed have left on their way, in each folder once.
    fn remove_left(&self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        if !self.looked_through.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
            return;
        }
        let is_old = |metadata: std::fs::Metadata| {
            metadata.modified().is_ok_and(|written| written.elapsed().is_ok_and(|age| age > AT_WORK))
        };
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            let is_half = atomic::is_half_written(&entry.file_name().to_string_lossy());
            if is_half && entry.metadata().is_ok_and(is_old) {
                // They cost room, and nothing hangs on them.
                let _ = fs_err::remove_file(entry.path());
            }
        }
    }

    /// Runs `work` while no other process that asks for it changes an object.
    fn locked<T>(&self, work: impl FnOnce() -> Result<T, RemoteError>) -> Result<T, RemoteError> {
        fs_err::create_dir_all(&self.root)?;
        let mut options = fs_err::OpenOptions::new();
        let lock =
            options.write(true).create(true).truncate(false).open(self.root.join(".lock"))?.into_file();
        lock.lock()?;
        work()
    }
}

fn version(bytes: &[u8]) -> Version {
    Version(Digest::of(bytes).to_string())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RemoteError> {
    Ok(atomic::write(path, bytes)?)
}

/// Copies `from` behind the bytes that `to` already has.
fn append(from: &mut impl Read, to: &mut impl Write, moved: Moved<'_>) -> std::io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&block[..read])?;
        moved(read as u64);
    }
}

/// What was written to within this time may be on its way still.
const AT_WORK: Duration = Duration::from_secs(24 * 60 * 60);

impl ObjectHome for FolderObjects {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, RemoteError> {
        let bytes = Self::read(&self.path(key)?)?;
        Ok(bytes.map(|bytes| {
            let version = version(&bytes);
            (bytes, version)
        }))
    }

    fn head(&self, key: &str) -> Result<Option<(u64, Version)>, RemoteError> {
        let Some(size) = self.size(key)? else { return Ok(None) };
        let (digest, _) = crate::hashing::of_file(&self.path(key)?)?;
        Ok(Some((size, Version(digest.to_string()))))
    }

    fn size(&self, key: &str) -> Result<Option<u64>, RemoteError> {
        match fs_err::metadata(self.path(key)?) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        write(&self.path(key)?, bytes)
    }

    fn remove(&self, key: &str) -> Result<(), RemoteError> {
        match fs_err::remove_file(self.path(key)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        let path = self.path(key)?;
        self.locked(|| {
            if fs_err::exists(&path)? {
                return Ok(false);
            }
            write(&path, bytes).map(|()| true)
        })
    }

    fn put_if_unchanged(&self, key: &str, bytes: &[u8], expected: &Version) -> Result<bool, RemoteError> {
        let path = self.path(key)?;
        self.locked(|| match Self::read(&path)? {
            Some(found) if version(&found) == *expected => write(&path, bytes).map(|()| true),
            _ => Ok(false),
        })
    }

    fn upload(&self, key: &str, from: &Path, _progress: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        let path = self.path(key)?;
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        // What a broken copy left is gone on with by nobody: a folder is fast, and two writers may meet here.
        self.remove_left(&path);
        let staged = atomic::temporary(&path);
        let mut source = fs_err::File::open(from)?;
        let mut target = atomic::create(&staged)?;
        let mut copy = || -> std::io::Result<()> {
            append(&mut source, &mut target, moved)?;
            target.sync_data()?;
            fs_err::rename(&staged, &path)
        };
        copy().map_err(|error| {
            let _ = fs_err::remove_file(&staged);
            error.into()
        })
    }

    fn download(&self, key: &str, to: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        let mut source = match fs_err::File::open(self.path(key)?) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(RemoteError::Missing { key: key.to_owned(), home: self.name() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut target = fs_err::OpenOptions::new().append(true).create(true).open(to)?;
        source.seek(SeekFrom::Start(target.metadata()?.len()))?;
        append(&mut source, &mut target, moved)?;
        Ok(target.sync_data()?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, RemoteError> {
        let mut found = Vec::new();
        let mut folders = vec![if prefix.is_empty() { self.root.clone() } else { self.path(prefix)? }];
        while let Some(folder) = folders.pop() {
            let listing = match fs_err::read_dir(&folder) {
                Ok(listing) => listing,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in listing {
                let entry = entry?;
                let kind = entry.file_type()?;
                let path = entry.path();
                // A name with a leading dot is a copy in progress or the lock.
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let key = path.strip_prefix(&self.root).unwrap_or(&path);
                    let parts: Vec<_> =
                        key.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                    found.push((parts.join("/"), entry.metadata()?.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn list_versions(&self, prefix: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        let found = self.list(prefix)?.into_iter();
        Ok(found.map(|(key, size)| (key, size, Version(String::new()))).collect())
    }

    fn file(&self, key: &str) -> Result<Option<PathBuf>, RemoteError> {
        self.path(key).map(Some)
    }

    fn agrees(&self, _: &Version, _: &Path, _: &DigestIndex) -> Result<Option<bool>, RemoteError> {
        // A folder makes no checksums; its files can be read.
        Ok(None)
    }

    fn parallel(&self) -> usize {
        4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditional_writes_hold_their_condition() {
        let folder = tempfile::tempdir().expect("folder");
        let home = FolderObjects::new(&folder.path().join("new"));
        assert!(home.get("a/b").expect("get").is_none());
        assert!(home.put_if_absent("a/b", b"one").expect("put"));
        assert!(!home.put_if_absent("a/b", b"two").expect("put"));
        let (bytes, version) = home.get("a/b").expect("get").expect("there");
        assert_eq!(bytes, b"one");
        assert!(home.put_if_unchanged("a/b", b"three", &version).expect("put"));
        assert!(!home.put_if_unchanged("a/b", b"four", &version).expect("put"));
        assert_eq!(home.list("").expect("listing"), [("a/b".to_owned(), 5)]);
        assert_eq!(home.list("a").expect("listing"), [("a/b".to_owned(), 5)]);
        assert!(home.list("c").expect("listing").is_empty());
    }

    #[test]
    fn of_many_writers_one_is_first() {
        let folder = tempfile::tempdir().expect("folder");
        let home = FolderObjects::new(folder.path());
        let wins: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8u8)
                .map(|number| {
                    let home = &home;
                    scope.spawn(move || home.put_if_absent("head", &[number]).expect("put"))
                })
                .collect();
            writers.into_iter().map(|writer| usize::from(writer.join().expect("joined"))).sum()
        });
        assert_eq!(wins, 1);
    }

    #[test]
    fn a_download_goes_on_behind_what_has_arrived() {
        let folder = tempfile::tempdir().expect("folder");
        let home = FolderObjects::new(&folder.path().join("home"));
        home.put("x", b"0123456789").expect("put");
        let partial = folder.path().join("partial");
        fs_err::write(&partial, b"0123").expect("written");
        let moved = std::sync::atomic::AtomicU64::new(0);
        let count = |bytes| {
            moved.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        };
        home.download("x", &partial, &count).expect("download");
        assert_eq!(fs_err::read(&partial).expect("read"), b"0123456789");
        assert_eq!(moved.into_inner(), 6);
    }

    #[test]
    fn what_killed_writers_left_goes_when_the_object_comes() {
        let folder = tempfile::tempdir().expect("folder");
        let home = FolderObjects::new(&folder.path().join("home"));
        home.put("aa/other", b"x").expect("put");
        let here = home.path("aa/bb").expect("a path");
        let (old, new) = (atomic::temporary(&here), atomic::temporary(&here));
        for left in [&old, &new] {
            fs_err::write(left, b"half").expect("written");
        }
        let file = fs_err::OpenOptions::new().write(true).open(&old).expect("open").into_file();
        file.set_modified(std::time::SystemTime::now() - 2 * AT_WORK).expect("set");
        let source = folder.path().join("source");
        fs_err::write(&source, b"whole").expect("written");
        home.upload("aa/bb", &source, &source, &|_| {}).expect("uploaded");
        assert!(!old.exists() && new.exists() && here.exists());
    }

    #[test]
    fn a_key_never_leaves_the_folder() {
        let folder = tempfile::tempdir().expect("folder");
        let home = FolderObjects::new(folder.path());
        for key in ["../x", "/x", "a//b", "", ".", "a/../b"] {
            assert!(matches!(home.put(key, b"x"), Err(RemoteError::Uri { .. })), "{key}");
        }
    }
}
