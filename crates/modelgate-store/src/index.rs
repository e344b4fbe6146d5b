//! Digests of files by their identity, so that unchanged files are not read again.
//!
//! The key type is [`DigestIndex`]: one small binary file, read and written as a whole. Losing it costs reading files
//! again. It is only told of files whose identity is settled; see [`FileIdentity::is_settled`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use modelgate_core::Digest;

use crate::hashing::Md5;
use crate::{FileIdentity, StoreError, atomic};

/// The first bytes of the file; the last is the version of the form.
const MAGIC: &[u8; 8] = b"mgindex\x01";
/// Bytes of an entry: kind, device, inode, size, modified, changed and digest.
const ENTRY: usize = 8 + 8 * 5 + 32;
/// With more entries than this, only those that were used are kept.
const MANY: usize = 2_000_000;

/// Which digest an entry has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
enum Kind {
    Content = 1,
    Md5 = 2,
    /// Of the MD5s of its parts, whose length follows from the file's.
    PartsMd5 = 3,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    identity: FileIdentity,
    digest: [u8; 32],
    used: bool,
}

#[derive(Default, Debug)]
struct Entries {
    by_file: HashMap<(Kind, u64, u64), Entry>,
    changed: bool,
    /// The file that these were read from.
    read_from: Option<FileIdentity>,
}

/// The digests of files that were read before. One value may be used by several threads at a time.
#[derive(Debug)]
pub struct DigestIndex {
    path: PathBuf,
    entries: Mutex<Entries>,
}

impl DigestIndex {
    /// Reads the index of a project's state folder; one that is missing or damaged is empty.
    pub fn open(state_folder: &Path) -> Self {
        let path = state_folder.join("cache").join("files.index");
        // Looked at before it is read: one that is replaced meanwhile is read again before it is written.
        let read_from = identity_of(&path);
        let by_file = fs_err::read(&path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { path, entries: Mutex::new(Entries { by_file, changed: false, read_from }) }
    }

    fn lookup(&self, kind: Kind, identity: &FileIdentity) -> Option<[u8; 32]> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_file.get_mut(&(kind, identity.device, identity.inode))?;
        entry.used = true;
        (entry.identity == *identity).then_some(entry.digest)
    }

    fn insert(&self, kind: Kind, identity: FileIdentity, digest: [u8; 32]) {
        if identity.inode == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.changed = true;
        let key = (kind, identity.device, identity.inode);
        entries.by_file.insert(key, Entry { identity, digest, used: true });
    }

    /// Returns the digest of a file that has not changed since it was read.
    pub fn digest(&self, identity: &FileIdentity) -> Option<Digest> {
        self.lookup(Kind::Content, identity).map(Digest::from_bytes)
    }

    /// Returns the digest that this file had when it was last read, changed since or not.
    pub fn last_digest(&self, identity: &FileIdentity) -> Option<Digest> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_file.get(&(Kind::Content, identity.device, identity.inode))?;
        Some(Digest::from_bytes(entry.digest))
    }

    /// Remembers a file's digest; `identity` must be settled before the reading began.
    pub fn remember(&self, identity: FileIdentity, digest: &Digest) {
        self.insert(Kind::Content, identity, *digest.as_bytes());
    }

    /// Returns the digest of the file at `path`, read only if it has changed.
    ///
    /// # Errors
    /// As [`crate::hashing::of_file`].
    pub fn digest_of(&self, path: &Path) -> Result<(Digest, FileIdentity), StoreError> {
        let identity = FileIdentity::of(&fs_err::metadata(path)?);
        if let Some(digest) = self.digest(&identity) {
            return Ok((digest, identity));
        }
        let now = SystemTime::now();
        let (digest, identity) = crate::hashing::of_file(path)?;
        if identity.is_settled(now) {
            self.remember(identity, &digest);
        }
        Ok((digest, identity))
    }

    /// Returns the MD5 of the file at `path`, read only if it has changed.
    ///
    /// # Errors
    /// As [`crate::hashing::of_file`].
    pub fn md5_of(&self, path: &Path) -> Result<Md5, StoreError> {
        self.md5_by(Kind::Md5, path, crate::hashing::md5_of_file)
    }

    /// Returns what [`crate::hashing::md5_of_parts`] does, read only if the file has changed; `part` must follow from the
    /// file's length alone.
    ///
    /// # Errors
    /// As [`crate::hashing::of_file`].
    pub(crate) fn md5_of_parts(&self, path: &Path, part: u64) -> Result<Md5, StoreError> {
        self.md5_by(Kind::PartsMd5, path, |path| crate::hashing::md5_of_parts(path, part))
    }

    fn md5_by(
        &self,
        kind: Kind,
        path: &Path,
        read: impl FnOnce(&Path) -> Result<(Md5, FileIdentity), StoreError>,
    ) -> Result<Md5, StoreError> {
        let identity = FileIdentity::of(&fs_err::metadata(path)?);
        if let Some(bytes) = self.lookup(kind, &identity) {
            let mut md5 = [0; 16];
            md5.copy_from_slice(&bytes[..16]);
            return Ok(Md5::from_bytes(md5));
        }
        let now = SystemTime::now();
        let (md5, identity) = read(path)?;
        if identity.is_settled(now) {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(md5.as_bytes());
            self.insert(kind, identity, bytes);
        }
        Ok(md5)
    }

    /// Writes the index if it has changed.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn save(&self) -> Result<(), StoreError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.changed {
            return Ok(());
        }
        // Another process, or another part of this one, may have written since this was read. A file that is replaced by
        // rename is another file.
        if entries.read_from.is_none() || entries.read_from != identity_of(&self.path) {
            let there = fs_err::read(&self.path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
            for (key, entry) in there {
                entries.by_file.entry(key).or_insert(entry);
            }
        }
        if entries.by_file.len() > MANY {
            entries.by_file.retain(|_, entry| entry.used);
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + entries.by_file.len() * ENTRY + 32);
        bytes.extend_from_slice(MAGIC);
        let mut sorted: Vec<_> = entries.by_file.iter().collect();
        sorted.sort_unstable_by_key(|((kind, device, inode), _)| (*kind as u8, *device, *inode));
        for ((kind, ..), entry) in sorted {
            let identity = &entry.identity;
            bytes.extend_from_slice(&u64::from(*kind as u8).to_le_bytes());
            for number in [identity.device, identity.inode, identity.size] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for time in [identity.modified, identity.changed] {
                bytes.extend_from_slice(&time.to_le_bytes());
            }
            bytes.extend_from_slice(&entry.digest);
        }
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        atomic::write_cache(&self.path, &bytes)?;
        entries.changed = false;
        entries.read_from = None;
        Ok(())
    }
}

fn identity_of(path: &Path) -> Option<FileIdentity> {
    fs_err::metadata(path)
        .ok()
        .map(|metadata| FileIdentity::of(&metadata))
        .filter(|identity| identity.inode != 0)
}

fn parse(bytes: &[u8]) -> Option<HashMap<(Kind, u64, u64), Entry>> {
    let (body, check) = bytes.split_last_chunk::<32>()?;
    let rest = body.strip_prefix(MAGIC)?;
    if Digest::of(body).as_bytes() != check || rest.len() % ENTRY != 0 {
        return None;
    }
    let mut by_file = HashMap::with_capacity(rest.len() / ENTRY);
    for entry in rest.chunks_exact(ENTRY) {
        let (numbers, digest) = entry.split_last_chunk::<32>()?;
        let mut values =
            numbers.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(u64::from_le_bytes));
        let mut next = || values.next();
        let kind = match next()? {
            1 => Kind::Content,
            2 => Kind::Md5,
            3 => Kind::PartsMd5,
            _ => return None,
        };
        let identity = FileIdentity {
            device: next()?,
            inode: next()?,
            size: next()?,
            modified: next()? as i64,
            changed: next()? as i64,
        };
        let key = (kind, identity.device, identity.inode);
        by_file.insert(key, Entry { identity, digest: *digest, used: false });
    }
    Some(by_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> FileIdentity {
        FileIdentity { device: 1, inode, size: 3, modified: -4, changed: 5 }
    }

    #[test]
    fn what_is_remembered_is_there_after_a_save() {
        let folder = tempfile::tempdir().expect("folder");
        let index = DigestIndex::open(folder.path());
        index.remember(identity(7), &Digest::of(b"a"));
        index.save().expect("saved");
        let index = DigestIndex::open(folder.path());
        assert_eq!(index.digest(&identity(7)), Some(Digest::of(b"a")));
        assert_eq!(index.digest(&FileIdentity { size: 4, ..identity(7) }), None);
        assert_eq!(index.digest(&FileIdentity { changed: 6, ..identity(7) }), None);
        assert_eq!(index.last_digest(&FileIdentity { size: 4, ..identity(7) }), Some(Digest::of(b"a")));
    }

    #[test]
    fn a_damaged_index_is_empty() {
        let folder = tempfile::tempdir().expect("folder");
        let index = DigestIndex::open(folder.path());
        index.remember(identity(7), &Digest::of(b"a"));
        index.save().expect("saved");
        let path = folder.path().join("cache/files.index");
        let good = fs_err::read(&path).expect("read");
        for place in [0, MAGIC.len() + 40, MAGIC.len() + 60, good.len() - 1] {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            fs_err::write(&path, &bytes).expect("written");
            assert_eq!(DigestIndex::open(folder.path()).digest(&identity(7)), None, "{place}");
        }
        fs_err::write(&path, &good[..good.len() - 5]).expect("written");
        assert_eq!(DigestIndex::open(folder.path()).digest(&identity(7)), None);
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_and_not_remembered_when_it_may_have() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        fs_err::write(&path, b"one").expect("written");
        let index = DigestIndex::open(folder.path());
        // Written to in this very moment: not remembered.
        let (digest, identity) = index.digest_of(&path).expect("hashed");
        assert_eq!((digest, index.digest(&identity)), (Digest::of(b"one"), None));
        fs_err::write(&path, b"two").expect("written");
        assert_eq!(index.digest_of(&path).expect("hashed").0, Digest::of(b"two"));
    }
}
