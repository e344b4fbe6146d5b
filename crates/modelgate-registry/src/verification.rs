//! Whether a ledger is what was written: read again from its beginning, with the index and every object that it names.

use std::path::Path;

use modelgate_core::chain::ChainError;
use modelgate_core::ledger::{LedgerEntry, RegistryState};
use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{Digest, ModelName, VersionNumber};

use crate::chain_file::{ReadError, for_each_entry};
use crate::index::Index;
use crate::index_state::microseconds;
use crate::notice;
use crate::registry::{CLOCKS_DIFFER, file_of};
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
    /// The numbers of the events that are minutes later than the one behind them: a clock was wrong.
    pub out_of_time: Vec<u64>,
}

/// What is only looked at where everything is: whether an event says what led to it and when it was, as it was written.
#[derive(Default)]
struct Scrutiny {
    /// The number and time of the event before.
    last: Option<(u64, i64)>,
    out_of_time: Vec<u64>,
}

impl Scrutiny {
    /// Looks at an entry that is about to be applied to `state`.
    fn look(&mut self, state: &RegistryState, entry: &LedgerEntry) -> Result<(), ChainError> {
        let wrong = |what: String| Err(ChainError::changed(entry.seq, what));
        let time = microseconds(&entry.time);
        if time == i64::MIN {
            return wrong(format!("its time `{}` is no time", entry.time.escape_debug()));
        }
        if let Some((seq, last)) = self.last
            && last.saturating_sub(time) > CLOCKS_DIFFER
        {
            self.out_of_time.push(seq);
        }
        self.last = Some((entry.seq, time));
        let empty = ModelState::default();
        let digests = state.models.get(entry.event.model()).unwrap_or(&empty).digests(&entry.event);
        // Ledgers of before there were digests in the entries have none.
        let told = (entry.before, entry.after);
        if told != (None, None) && told != digests {
            return wrong("`before` and `after` are not the packages that stood there".to_owned());
        }
        Ok(())
    }
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
        let seen = self.index.get_mut().followed(&key)?;
        let stamp = Stamp::of(self.home.ledger())?;
        let mut scrutiny = Scrutiny::default();
        let look = |state: &RegistryState, entry: &LedgerEntry| scrutiny.look(state, entry);
        let (state, changes) = self.read_all_with(seen.as_ref(), stamp.size(), look)?;
        let end = changes.end(stamp.as_str());
        let same_end = seen.as_ref().map(|seen| seen.position) == end.as_ref().map(|end| end.position);
        let mut index_rebuilt = false;
        if let Some(end) = end {
            // Every row of the index, not only what decides: lists, `ledger at` and lineage are read from it.
            index_rebuilt = same_end && {
                let mut fresh = Index::in_memory("registry.db".into())?;
                fresh.extend(&key, None, true, &state, &changes, &end)?;
                !self.index.get_mut().has_rows_of(&fresh, &key, None)?
            };
            if index_rebuilt || !same_end || seen.is_some_and(|seen| seen.stamp != end.stamp) {
                let index = self.index.get_mut();
                let written =
                    index.forget(&key).and_then(|()| index.extend(&key, None, true, &state, &changes, &end));
                match written {
                    // Who may only read still finds out whether the ledger is whole.
                    Err(error) if error.is_unwritable_index() => {
                        index.go_on_beside()?;
                        index.extend(&key, None, true, &state, &changes, &end)?;
                        let says =
                            if index_rebuilt { " and says something else than the ledger" } else { "" };
                        notice::tell(&format!("the index was not written{says}: {error}"));
                        index_rebuilt = false;
                    }
                    other => drop(other?),
                }
            }
            (self.followed, self.state) = (Some(end), state);
        }
        // Also what was found when the registry was opened for this, and mended there.
        index_rebuilt |= self.remade.replace(false);
        let objects = self.verify_objects()?;
        let position = self.position();
        Ok(VerifyReport {
            entries: position.head.map_or(0, |head| head.seq),
            head: position.head.map(|head| head.hash),
            models: self.state.models.len(),
            objects,
            index_rebuilt,
            out_of_time: scrutiny.out_of_time,
        })
    }

    /// Looks at every object; those that are missing or damaged are told together.
    fn verify_objects(&self) -> Result<usize, RegistryError> {
        let mut looked_at = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        self.for_each_file(|model, version, name, digest| {
            if looked_at.insert(*digest) {
                let got = self.home.get(digest).map(drop);
                match got.map_err(|source| file_of(model, version, name.to_owned(), source)) {
                    Err(error) if error.is_of_files() => found.push(error),
                    other => other?,
                }
            }
            Ok(())
        })?;
        if found.is_empty() { Ok(looked_at.len()) } else { Err(RegistryError::Files { found }) }
    }

    /// Hands every file of every version whose artefacts are not removed to `each`, the attached ones and the signature too.
    pub(crate) fn for_each_file(
        &self,
        mut each: impl FnMut(&ModelName, VersionNumber, &str, &Digest) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        for (model, state) in &self.state.models {
            for (version, found) in state.versions.iter().filter(|(_, found)| found.stage != Stage::Removed) {
                let registration = self.registration(model, *version)?;
                for (name, digest) in registration.files.iter().chain(&registration.checks) {
                    each(model, *version, name, digest)?;
                }
                if let Some(signature) = &found.signature {
                    each(model, *version, "model.sig", signature)?;
                }
            }
        }
        Ok(())
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
    let mut scrutiny = Scrutiny::default();
    let read = for_each_entry(path, 0, size, None, |entry, place| {
        scrutiny.look(&state, &entry)?;
        state.apply(&entry)?;
        if known == Some(&entry.hash) {
            found = Some(entry.seq);
        }
        last = Some(entry.head());
        end = place.end;
        Ok(())
    });
    read.map_err(|error: ReadError| RegistryError::of_ledger(home.clone(), error))?;
    let line = last.map_or(0, |head: modelgate_core::ledger::Head| head.seq) + 1;
    if end != size {
        let what = "it has no line feed: the file was cut off".to_owned();
        return Err(RegistryError::Tampered { home, source: ChainError::changed(line, what) });
    }
    Ok((line - 1, last.map(|head| head.hash), found))
}
