//! What a home of a registry must do: append to the ledger if its head is still the expected one, and keep objects.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::ledger::Head;

use crate::RegistryError;
use crate::stamp::Stamp;

/// Objects by digest, kept together with an append.
pub type Objects = BTreeMap<Digest, Vec<u8>>;

/// Returns the name of an object below a home, the same in each of them and in an archive.
pub(crate) fn object_key(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("objects/sha256/{}/{}", &hex[..2], &hex[2..])
}

/// Where a ledger ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Its last event; `None` in an empty ledger.
    pub head: Option<Head>,
    /// The byte behind its last whole line.
    pub end: u64,
}

/// An object of a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredObject {
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// When something last happened to it, in seconds since 1970, where the home knows that.
    pub touched: Option<i64>,
}

/// A place that keeps a ledger and objects. The ledger is always read from a local file: in a folder the ledger
/// itself, elsewhere a copy that [`Home::pull`] brings up to date.
pub trait Home: Send {
    /// Returns the place in words.
    fn name(&self) -> String;

    /// Returns the name of the place in the index; it stays the same when the project is moved.
    fn key(&self) -> String {
        self.name()
    }

    /// Returns the file to read the ledger from; it may not be there yet.
    fn ledger(&self) -> &Path;

    /// Returns whether the local file is a copy, which the place can give again when it is damaged.
    fn keeps_a_copy(&self) -> bool {
        false
    }

    /// Says where what was copied of a ledger is kept that had the event with this hash, and that the place no longer has.
    fn kept(&self, hash: &Digest) -> Option<String> {
        let _ = hash;
        None
    }

    /// Brings the local file up to date; with `again` it is fetched anew as a whole.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or read.
    fn pull(&mut self, again: bool) -> Result<(), RegistryError>;

    /// Keeps `objects`, then adds `lines` to the ledger if it still ends at `expected`.
    ///
    /// Returns what the local file looks like then, or `None`, having added nothing, when another writer was faster.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or written.
    fn append(
        &mut self,
        expected: &Position,
        lines: &str,
        objects: &Objects,
    ) -> Result<Option<Stamp>, RegistryError>;

    /// Says why nothing could be written in so many tries: other writers, unless the place knows better.
    fn busy(&self, tries: u32) -> RegistryError {
        RegistryError::Busy { home: self.name(), tries }
    }

    /// Keeps objects that a later append will name.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or written.
    fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError>;

    /// Returns an object, checked against its digest.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError>;

    /// Returns every object of the home.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or read.
    fn objects(&self) -> Result<Vec<StoredObject>, RegistryError>;

    /// Returns whether nobody can register an object while it is removed: under the project's lock, or a push's lease
    /// on what [`Home::pull`] read last.
    fn removes_alone(&self) -> bool {
        true
    }

    /// Removes objects, if nothing was written since the last [`Home::pull`], which read the ledger up to `expected`;
    /// one that is not there is no error. Returns `false`, having removed nothing, when another writer was faster.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or written.
    fn remove(&mut self, expected: &Position, digests: &[Digest]) -> Result<bool, RegistryError>;
}
