//! Moving contents between the store and a home elsewhere: only what is missing, checked, and gone on with after a
//! break.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use modelgate_core::Digest;
use modelgate_store::remote::{ObjectHome, RemoteError, Version};
use modelgate_store::{ContentStore, DigestIndex, StoreError};

use super::SnapshotError;

/// With more objects than this, one listing of the home is cheaper than asking for each.
const LISTING_FROM: usize = 64;

/// What has moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Objects that were sent or fetched.
    pub objects: u64,
    /// Their bytes; those of an earlier try that were gone on with are not counted.
    pub bytes: u64,
    /// Objects that were there already.
    pub already: u64,
    /// Of those that were sent, objects in whose place there were other bytes.
    pub replaced: u64,
    /// Of those that were there, objects that are known by their size alone.
    pub by_size: u64,
}

/// What there is under the key of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// Other bytes than those of the name.
    Other,
    Same,
    /// An object of the right size; its bytes are not known.
    SameSize,
}

/// What a listing says of the objects, by key.
type Listing = HashMap<String, (u64, Version)>;

/// One way between a store and a home.
pub struct Transfer<'a> {
    /// The contents here.
    pub store: &'a ContentStore,
    /// What was checked before.
    pub index: &'a DigestIndex,
    /// The contents there.
    pub home: &'a dyn ObjectHome,
    /// Only look: count what would move.
    pub dry_run: bool,
    /// In a push, read every object that is there already.
    pub verify: bool,
    /// Where what is under way is kept.
    pub cache: PathBuf,
    /// Hears of bytes as they move.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// Returns the key of a content in a home.
pub fn key(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("sha256/{}/{}", &hex[..2], &hex[2..])
}

impl Transfer<'_> {
    fn cache(&self, digest: &Digest, kind: &str) -> PathBuf {
        self.cache.join("transfers").join(format!("{}.{kind}", digest.hex()))
    }

    /// Returns what the home has, when asking for all at once is cheaper.
    fn listing(&self, wanted: usize) -> Result<Option<Listing>, RemoteError> {
        if wanted < LISTING_FROM {
            return Ok(None);
        }
        let found = self.home.list_versions("sha256")?.into_iter();
        Ok(Some(found.map(|(key, size, version)| (key, (size, version))).collect()))
    }

    /// Returns what the home has of the object, whose file here is `path`.
    fn there(
        &self,
        listing: Option<&Listing>,
        digest: &Digest,
        path: &Path,
        size: u64,
        opaque: &AtomicBool,
    ) -> Result<There, SnapshotError> {
        let key = key(digest);
        // A file is looked at as one, and read once: the index knows it from then on.
        if let Some(file) = self.home.file(&key)? {
            let found = match listing {
                Some(listing) => listing.get(&key).map(|(size, _)| *size),
                None => self.home.size(&key)?,
            };
            let index = (!self.verify).then_some(self.index);
            return Ok(match found {
                None => There::Nothing,
                Some(found) if found == size && ContentStore::is_content(&file, digest, index)? => {
                    There::Same
                }
                Some(_) => There::Other,
            });
        }
        let found = match listing {
            Some(listing) => listing.get(&key).cloned(),
            None => self.home.head(&key)?,
        };
        let Some((found, version)) = found else { return Ok(There::Nothing) };
        if found != size {
            return Ok(There::Other);
        }
        if !self.verify {
            match self.home.agrees(&version, path, self.index)? {
                Some(true) => return Ok(There::Same),
                None => return Ok(There::SameSize),
                // One object has shown that the checksums of this home are of another kind.
                Some(false) if opaque.load(Ordering::Relaxed) => return Ok(There::SameSize),
                Some(false) => {}
            }
        }
        let copy = self.cache(digest, "check");
        if let Some(folder) = copy.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let _ = fs_err::remove_file(&copy);
        self.home.download(&key, &copy, &|_| {})?;
        let is_same = ContentStore::is_content(&copy, digest, None);
        fs_err::remove_file(&copy)?;
        let is_same = is_same?;
        if is_same && !self.verify {
            opaque.store(true, Ordering::Relaxed);
        }
        Ok(if is_same { There::Same } else { There::Other })
    }

    /// Sends the objects that the home does not have, each checked against its name first.
    ///
    /// What is there under a name counts only with the bytes of that name: a folder's file is read once and then known by
    /// its times, an object's checksum is compared where its home makes one.
    ///
    /// # Errors
    /// Fails when an object is not in the store or damaged, and when the home cannot be used.
    pub fn push(&self, objects: &[(Digest, String)]) -> Result<Moved, SnapshotError> {
        let listing = self.listing(objects.len())?;
        let [sent, already, bytes, replaced, by_size] = [const { AtomicU64::new(0) }; 5];
        let opaque = AtomicBool::new(false);
        self.each(objects, |(digest, name)| {
            let path = match self.store.check(digest, self.index) {
                Err(StoreError::Missing { .. }) => {
                    let reason = format!(
                        "its content {digest} is not in the store; run `modelgate data snapshot`, or `data pull` from \
                         where it is"
                    );
                    return Err(SnapshotError::Source { source_name: name.clone(), reason });
                }
                other => other?,
            };
            let size = fs_err::metadata(&path)?.len();
            match self.there(listing.as_ref(), digest, &path, size, &opaque)? {
                There::Nothing => {}
                // The rest of a write by something else, or damage: it is written again.
                There::Other => {
                    replaced.fetch_add(1, Ordering::Relaxed);
                }
                same => {
                    already.fetch_add(1, Ordering::Relaxed);
                    by_size.fetch_add(u64::from(same == There::SameSize), Ordering::Relaxed);
                    (self.progress)(size);
                    return Ok(());
                }
            }
            let count = |more: u64| {
                bytes.fetch_add(more, Ordering::Relaxed);
                (self.progress)(more);
            };
            if self.dry_run {
                sent.fetch_add(1, Ordering::Relaxed);
                count(size);
                return Ok(());
            }
            self.home.upload(&key(digest), &path, &self.cache(digest, "upload"), &count)?;
            sent.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(Moved {
            objects: sent.into_inner(),
            bytes: bytes.into_inner(),
            already: already.into_inner(),
            replaced: replaced.into_inner(),
            by_size: by_size.into_inner(),
        })
    }

    /// Fetches the objects that the store does not have; each gets in only if its bytes are those of its name.
    ///
    /// # Errors
    /// Fails when an object is not there or has other bytes, and when the home cannot be used. What has arrived of a
    /// broken one is gone on with next time.
    pub fn pull(&self, objects: &[(Digest, String)]) -> Result<Moved, SnapshotError> {
        let mut wanted = Vec::new();
        let mut already = 0;
        for object in objects {
            match self.store.check(&object.0, self.index) {
                Ok(path) => {
                    already += 1;
                    (self.progress)(fs_err::metadata(path)?.len());
                }
                Err(StoreError::Missing { .. }) => wanted.push(object.clone()),
                // The good bytes are on the other side.
                Err(StoreError::Damaged { path, .. }) => {
                    fs_err::remove_file(path)?;
                    wanted.push(object.clone());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let bytes = AtomicU64::new(0);
        self.each(&wanted, |(digest, name)| {
            let partial = self.cache(digest, "partial");
            let count = |more: u64| {
                bytes.fetch_add(more, Ordering::Relaxed);
                (self.progress)(more);
            };
            self.fetch(digest, name, &partial, &count)
        })?;
        Ok(Moved { objects: wanted.len() as u64, bytes: bytes.into_inner(), already, ..Moved::default() })
    }

    fn fetch(
        &self,
        digest: &Digest,
        name: &str,
        partial: &Path,
        count: &(dyn Fn(u64) + Sync),
    ) -> Result<(), SnapshotError> {
        if let Some(folder) = partial.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let key = key(digest);
        loop {
            let resumed = fs_err::metadata(partial).is_ok_and(|found| found.len() > 0);
            match self.home.download(&key, partial, count) {
                Err(RemoteError::Missing { home, .. }) => {
                    let _ = fs_err::remove_file(partial);
                    return Err(SnapshotError::NotThere { name: name.to_owned(), digest: *digest, home });
                }
                other => other?,
            }
            let Err(found) = self.store.adopt(partial, digest)? else { return Ok(()) };
            fs_err::remove_file(partial)?;
            // What an earlier try left may be the rest of something else; the whole object is asked for once.
            if !resumed {
                let home = self.home.name();
                return Err(RemoteError::OtherBytes { key, home, found: found.to_string() }.into());
            }
        }
    }

    /// Does `work` on every object, some at a time; the first error ends it when what is under way is done.
    fn each<T: Sync>(
        &self,
        objects: &[T],
        work: impl Fn(&T) -> Result<(), SnapshotError> + Sync,
    ) -> Result<(), SnapshotError> {
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<(usize, SnapshotError)>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.home.parallel().min(objects.len()) {
                scope.spawn(|| {
                    loop {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(object) = objects.get(position) else { return };
                        let Err(error) = work(object) else { continue };
                        // The others take no more.
                        next.store(objects.len(), Ordering::Relaxed);
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        if failed.as_ref().is_none_or(|(first, _)| position < *first) {
                            *failed = Some((position, error));
                        }
                        return;
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}
