//! Whether a ledger is what was written: read again from its beginning, with the index and every object that it names.

use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::chain::ChainError;
use modelgate_core::ledger::RegistryState;

use crate::chain_file::{ReadError, for_each_entry};
use crate::index::Index;
use crate::stamp::Stamp;
use crate::{Registry, RegistryError};

/// What [`Registry::verify`] found in order.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct VerifyReport {
    /// Number of ledger entries.
    pub entries: u64,
    /// The hash of the last one.
    pub head: Option<Digest>,
    /// Number of models.
    pub models: usize,
    /// Number of objects whose bytes were checked.
    pub objects: usize,
    /// Whether the index said something else than the ledger, and was made anew.
    pub index_rebuilt: bool,
}

impl Registry {
    /// Returns the number of the event with this hash, if the ledger holds it.
    ///
    /// # Errors
    /// Fails when the ledger was changed.
    pub fn event_of(&self, hash: &Digest) -> Result<Option<u64>, RegistryError> {
        let mut found = None;
        self.for_each_entry(|entry| {
            if entry.hash == *hash {
                found = Some(entry.seq);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Reads everything again: the chain, the door, the index, and the bytes of every object that a version names.
    ///
    /// # Errors
    /// Names the first thing that is not as it was written.
    pub fn verify(&mut self) -> Result<VerifyReport, RegistryError> {
        self.home.pull(true)?;
        let key = self.home.key();
        let seen = self.index.followed(&key)?;
        let stamp = Stamp::of(self.home.ledger())?;
        let (state, changes) = self.read_all(seen.as_ref(), stamp.size())?;
        let end = changes.end(stamp.as_str());
        let same_end = seen.as_ref().map(|seen| seen.position) == end.as_ref().map(|end| end.position);
        let mut index_rebuilt = false;
        if let Some(end) = end {
            // Every row of the index, not only what decides: lists, `ledger at` and lineage are read from it.
            index_rebuilt = same_end && {
                let mut fresh = Index::in_memory("registry.db".into())?;
                fresh.extend(&key, None, true, &state, &changes, &end)?;
                !self.index.has_rows_of(&fresh, &key)?
            };
            if index_rebuilt || !same_end || seen.is_some_and(|seen| seen.stamp != end.stamp) {
                self.index.forget(&key)?;
                self.index.extend(&key, None, true, &state, &changes, &end)?;
            }
            (self.followed, self.state) = (Some(end), state);
        }
        let objects = self.verify_objects()?;
        let position = self.position();
        Ok(VerifyReport {
            entries: position.head.map_or(0, |head| head.seq),
            head: position.head.map(|head| head.hash),
            models: self.state.models.len(),
            objects,
            index_rebuilt,
        })
    }

    fn verify_objects(&self) -> Result<usize, RegistryError> {
        let mut checked = std::collections::BTreeSet::new();
        for (model, state) in &self.state.models {
            for (version, found) in &state.versions {
                if found.stage == modelgate_core::lifecycle::Stage::Removed {
                    continue;
                }
                let registration = self.registration(model, *version)?;
                let own = registration.files.values().chain(registration.checks.values());
                for digest in own.chain(&found.signature) {
                    if checked.insert(*digest) {
                        self.home.get(digest)?;
                    }
                }
            }
        }
        Ok(checked.len())
    }
}

/// Checks a ledger that stands alone, such as an exported one: the chain and the door.
///
/// Returns the number of events and the hash of the last.
///
/// # Errors
/// Names the first line that is not as it was written.
pub fn verify_file(path: &Path) -> Result<(u64, Option<Digest>), RegistryError> {
    verify_file_with(path, None).map(|(events, head, _)| (events, head))
}

/// Checks a ledger as [`verify_file`] does, and also returns the number of the event whose hash is `known`, if it has
/// one: events removed at the end leave a whole ledger that lacks what is known to have been there.
///
/// # Errors
/// As [`verify_file`].
pub fn verify_file_with(
    path: &Path,
    known: Option<&Digest>,
) -> Result<(u64, Option<Digest>, Option<u64>), RegistryError> {
    let home = path.display().to_string();
    let size = fs_err::metadata(path)?.len();
    let mut state = RegistryState::default();
    let (mut last, mut found) = (None, None);
    let mut end = 0;
    let read = for_each_entry(path, 0, size, None, |entry, place| {
        state.apply(&entry)?;
        if known == Some(&entry.hash) {
            found = Some(entry.seq);
        }
        last = Some(entry.head());
        end = place.end;
        Ok(())
    });
    match read {
        Ok(()) => {}
        Err(ReadError::Chain(source)) => return Err(RegistryError::Tampered { home, source }),
        Err(ReadError::Replay(source)) => return Err(RegistryError::NotAllowed { home, source }),
        Err(ReadError::Io(error)) => return Err(error.into()),
    }
    let line = last.map_or(0, |head: modelgate_core::ledger::Head| head.seq) + 1;
    if end != size {
        let what = "it has no line feed: the file was cut off".to_owned();
        return Err(RegistryError::Tampered { home, source: ChainError { line, what } });
    }
    Ok((line - 1, last.map(|head| head.hash), found))
}
