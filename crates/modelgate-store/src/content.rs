//! The content-addressed store: contents named by their digest, see [`crate::hashing`].

mod listing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use modelgate_core::Digest;

use crate::link::{Staged, bring, protect, sync};
use crate::{DigestIndex, FileIdentity, Link, LinkPolicy, StoreError, atomic, hashing};

pub use listing::Listed;

/// A folder of objects, `store/sha256/ab/cdef…` below a root.
#[derive(Clone, Debug)]
pub struct ContentStore {
    root: PathBuf,
    /// The folder that the state folder lies in: what is outside of it is not linked.
    project: PathBuf,
    /// Set when the file system has refused a reflink once: asking for every file costs more than small files do.
    no_reflink: Arc<AtomicBool>,
}

/// What became of a file that was put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The content's name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// How the object was made; `None` when it was there.
    pub made: Option<Link>,
    /// Whether the file had to be read.
    pub read: bool,
    /// An object that is gone: the file was a hard link to it and was written to in place.
    pub lost: Option<Digest>,
}

impl ContentStore {
    /// Returns the store below `state_folder`; nothing is made until something is put.
    pub fn new(state_folder: &Path) -> Self {
        Self {
            root: state_folder.join("store").join("sha256"),
            project: state_folder.parent().unwrap_or(state_folder).to_owned(),
            no_reflink: Arc::default(),
        }
    }

    /// Returns where the object lies or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join(&hex[..2]).join(&hex[2..])
    }

    /// Keeps `bytes` and returns their digest, the plain SHA-256; an object that is there is not written again.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        // A damaged object of the right length is found when it is read.
        if has_length(&path, bytes.len() as u64) {
            return Ok(digest);
        }
        atomic::write(&path, bytes)?;
        Ok(digest)
    }

    /// Keeps the content of the file `source`, without holding it in memory.
    ///
    /// A file that `index` knows is not read. A hard link makes `source` read-only; who writes to it in place all the
    /// same damages the object, which the next call notices and tells in [`Kept::lost`]. A file that a symbolic link leads
    /// out of the project is copied instead.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when somebody writes to the file meanwhile; otherwise names the file that could not be
    /// read or written, and leaves nothing.
    pub fn put_file(
        &self,
        source: &Path,
        policy: LinkPolicy,
        index: &DigestIndex,
    ) -> Result<Kept, StoreError> {
        let policy = match policy {
            LinkPolicy::Hardlink if !self.is_beside(source)? => LinkPolicy::Copy,
            other => other,
        };
        let identity = FileIdentity::of(&fs_err::metadata(source)?);
        let size = identity.size;
        let known = index.digest(&identity);
        if let Some(digest) = known
            && has_length(&self.path(&digest), size)
        {
            return Ok(Kept { digest, size, made: None, read: false, lost: None });
        }
        let now = SystemTime::now();
        let file = hashing::open(source)?;
        let staged = Staged(self.staging()?);
        // A clone is taken first: it cannot change while it is read.
        let cloned = policy.reflink() && size > 0 && self.reflink(source, &staged.0);
        let copying = !cloned && !policy.hardlink() && policy.copy();
        let copy = if copying { Some(atomic::create(&staged.0)?) } else { None };
        let (digest, read) = match known {
            // Linking needs no reading.
            Some(digest) if !copying => (digest, identity),
            _ if cloned => (hashing::of_file(&staged.0)?.0, identity),
            _ => hashing::of_open_file(&file, copy.as_ref())?,
        };
        // The path may lead to another file by now than the one that was opened, and a clone may be of a later one.
        if FileIdentity::of(&fs_err::metadata(source)?) != read {
            return Err(StoreError::Changed { path: source.to_owned() });
        }
        let lost = self.forget_damaged(&read, &digest, index)?;
        let path = self.path(&digest);
        let mut identity = read;
        let made = if has_length(&path, size) {
            None
        } else {
            fs_err::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let link = if cloned {
                self.install(staged, &path)?;
                Link::Reflink
            } else if let Some(copy) = copy {
                sync(&copy, size)?;
                self.install(staged, &path)?;
                Link::Copy
            } else {
                let link = self.link(source, &path, policy, &read)?;
                if link == Link::Hardlink {
                    // Linking and protecting moved the time of the last change of its rights, and nothing else.
                    identity = FileIdentity::of(&fs_err::metadata(source)?);
                    if (identity.inode, identity.size, identity.modified)
                        != (read.inode, read.size, read.modified)
                    {
                        fs_err::remove_file(&path)?;
                        return Err(StoreError::Changed { path: source.to_owned() });
                    }
                }
                link
            };
            Some(link)
        };
        if read.is_settled(now) {
            index.remember(identity, &digest);
        }
        Ok(Kept { digest, size, made, read: known.is_none() || copying, lost })
    }

    /// Returns whether a file, links followed, lies in the project that the store is of.
    fn is_beside(&self, source: &Path) -> Result<bool, StoreError> {
        Ok(fs_err::canonicalize(source)?.starts_with(fs_err::canonicalize(&self.project)?))
    }

    /// Makes `target` a reflink of `source`, if the file system has them.
    fn reflink(&self, source: &Path, target: &Path) -> bool {
        if self.no_reflink.load(Ordering::Relaxed) {
            return false;
        }
        let done = reflink_copy::reflink(source, target).is_ok();
        if !done {
            self.no_reflink.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Makes the object `path` a hard link to `source`, or a copy of it where that is allowed and links are not had.
    fn link(
        &self,
        source: &Path,
        path: &Path,
        policy: LinkPolicy,
        read: &FileIdentity,
    ) -> Result<Link, StoreError> {
        let reason = if policy.hardlink() {
            // An object of another length is damaged, and is replaced.
            if path.exists() {
                fs_err::remove_file(path)?;
            }
            // A symbolic link is followed first: an object is a file.
            let is_link = fs_err::symlink_metadata(source)?.is_symlink();
            let target = if is_link { fs_err::canonicalize(source)? } else { source.to_owned() };
            match std::fs::hard_link(target, path) {
                Ok(()) => {
                    protect(path)?;
                    return Ok(Link::Hardlink);
                }
                Err(error) => error.to_string(),
            }
        } else {
            "the file system has none".to_owned()
        };
        if !policy.copy() {
            return Err(StoreError::NoLink { path: source.to_owned(), kind: policy.only(), reason });
        }
        let staged = Staged(self.staging()?);
        let copy = atomic::create(&staged.0)?;
        let (_, again) = hashing::of_open_file(&hashing::open(source)?, Some(&copy))?;
        if again != *read {
            return Err(StoreError::Changed { path: source.to_owned() });
        }
        sync(&copy, read.size)?;
        self.install(staged, path)?;
        Ok(Link::Copy)
    }

    /// Removes the object that the file was when it was last read, if both are one file and its bytes have changed.
    fn forget_damaged(
        &self,
        read: &FileIdentity,
        digest: &Digest,
        index: &DigestIndex,
    ) -> Result<Option<Digest>, StoreError> {
        let Some(before) = index.last_digest(read).filter(|before| before != digest) else { return Ok(None) };
        let path = self.path(&before);
        match fs_err::metadata(&path) {
            Ok(metadata) if FileIdentity::of(&metadata).same_file(read) => {
                fs_err::remove_file(&path)?;
                Ok(Some(before))
            }
            _ => Ok(None),
        }
    }

    /// Returns a name in the store for a file that is being made.
    fn staging(&self) -> Result<PathBuf, StoreError> {
        fs_err::create_dir_all(&self.root)?;
        Ok(atomic::temporary(&self.root.join("object")))
    }

    fn install(&self, staged: Staged, path: &Path) -> Result<(), StoreError> {
        protect(&staged.0)?;
        fs_err::rename(&staged.0, path)?;
        std::mem::forget(staged);
        Ok(())
    }

    /// Takes the finished file `staged` into the store if its content is `digest`; returns what it is if it is not,
    /// and leaves it where it is. `staged` must be on the store's file system.
    ///
    /// # Errors
    /// Names the file that cannot be read or moved.
    pub fn adopt(&self, staged: &Path, digest: &Digest) -> Result<Result<(), Digest>, StoreError> {
        let size = fs_err::metadata(staged)?.len();
        let found = Self::name_of(staged, digest, size)?;
        if found != *digest {
            return Ok(Err(found));
        }
        let path = self.path(digest);
        fs_err::create_dir_all(path.parent().unwrap_or(&self.root))?;
        protect(staged)?;
        fs_err::rename(staged, &path)?;
        Ok(Ok(()))
    }

    /// Returns the name of the content of `path`: `wanted` if it is that in either of the two ways a long content can
    /// be named, by its chunks or by its plain SHA-256.
    fn name_of(path: &Path, wanted: &Digest, size: u64) -> Result<Digest, StoreError> {
        let (found, _) = hashing::of_file(path)?;
        if found == *wanted || size <= hashing::CHUNK {
            return Ok(found);
        }
        let plain = hashing::plain_of_file(path)?;
        Ok(if plain == *wanted { plain } else { found })
    }

    /// Brings the object to `target` in the project, over what is there. The object must have been checked.
    ///
    /// # Errors
    /// Names the file; `target` is then as it was.
    pub fn materialise(
        &self,
        digest: &Digest,
        target: &Path,
        policy: LinkPolicy,
        index: &DigestIndex,
    ) -> Result<Link, StoreError> {
        let path = self.path(digest);
        let policy = match policy {
            LinkPolicy::Auto if self.no_reflink.load(Ordering::Relaxed) => policy.no_reflink(),
            other => other,
        };
        let link = bring(&path, target, policy)?;
        if policy.reflink() && link != Link::Reflink {
            self.no_reflink.store(true, Ordering::Relaxed);
        }
        let identity = FileIdentity::of(&fs_err::metadata(target)?);
        if link == Link::Hardlink {
            // The object was settled when it was checked; a copy will be when it is next read.
            index.remember(identity, digest);
        }
        Ok(link)
    }

    /// Returns whether the object is there; its bytes are not checked.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Returns the object's size in bytes if it is there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs_err::metadata(self.path(digest)).ok().filter(std::fs::Metadata::is_file).map(|found| found.len())
    }

    /// Returns the path of the object after checking its bytes against its name; read only if `index` does not know
    /// it unchanged.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn check(&self, digest: &Digest, index: &DigestIndex) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        let metadata = match fs_err::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { digest: *digest, root: self.root.clone() });
            }
            Err(error) => return Err(error.into()),
        };
        match Self::content_of(&path, &metadata, digest, index)? {
            found if found == *digest => Ok(path),
            found => Err(StoreError::Damaged { path, found }),
        }
    }

    fn content_of(
        path: &Path,
        metadata: &std::fs::Metadata,
        digest: &Digest,
        index: &DigestIndex,
    ) -> Result<Digest, StoreError> {
        let identity = FileIdentity::of(metadata);
        if index.digest(&identity) == Some(*digest) {
            return Ok(*digest);
        }
        let now = SystemTime::now();
        let found = Self::name_of(path, digest, identity.size)?;
        if found == *digest && identity.is_settled(now) {
            index.remember(identity, digest);
        }
        Ok(found)
    }

    /// Returns whether a file, which may be of another store, has the content `digest`; with an `index` it is read only
    /// if that does not know it unchanged.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn is_content(path: &Path, digest: &Digest, index: Option<&DigestIndex>) -> Result<bool, StoreError> {
        let metadata = fs_err::metadata(path)?;
        Ok(*digest
            == match index {
                Some(index) => Self::content_of(path, &metadata, digest, index)?,
                None => Self::name_of(path, digest, metadata.len())?,
            })
    }

    /// Returns the path of the object after reading it and checking its bytes against its name.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn verified(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        let Some(size) = self.size(digest) else {
            return Err(StoreError::Missing { digest: *digest, root: self.root.clone() });
        };
        let found = Self::name_of(&path, digest, size)?;
        if found == *digest { Ok(path) } else { Err(StoreError::Damaged { path, found }) }
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
        let found = hashing::of_bytes(&bytes);
        if found == *digest || (bytes.len() as u64 > hashing::CHUNK && Digest::of(&bytes) == *digest) {
            Ok(bytes)
        } else {
            Err(StoreError::Damaged { path, found })
        }
    }
}

fn has_length(path: &Path, length: u64) -> bool {
    fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == length)
}

#[cfg(test)]
mod tests;
