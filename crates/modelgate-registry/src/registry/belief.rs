//! What is believed of the index. Its rows decide what may be done, and anybody can edit a database: so before an event is
//! written, and before the files of a version are handed out, what it says of the model is held against the ledger itself.
//!
//! The lines of one model are found in a ledger without reading the others, and once in a process is enough: what was
//! derived from the ledger stays, whatever becomes of the index. Of a ledger that is too long to be searched each time the seals of the
//! index are gone by (`index_seal.rs`), which every change of a row breaks that is not meant to deceive; what they do not
//! cover is read from its line in the ledger (`lines.rs`).

use std::collections::BTreeSet;

use modelgate_core::ModelName;
use modelgate_core::ledger::RegistryState;

use super::Registry;
use crate::RegistryError;
use crate::chain_file::{ReadError, entries_with};
use crate::index::Index;
use crate::index_state::{Changes, Followed};
use crate::stamp::Stamp;

/// The longest ledger, in bytes, that is searched for the lines of a model before an event: some 125,000 events, and 20 ms.
pub(super) const SEARCHED: u64 = 64 << 20;

/// How far the state that a registry holds is known to be that of its ledger.
#[derive(Default)]
pub(super) struct Belief {
    /// Whether all of it was read from the ledger.
    all: bool,
    /// The models that were held against it.
    models: BTreeSet<ModelName>,
    /// The models of a longer ledger whose seals were gone by.
    sealed: BTreeSet<ModelName>,
    /// Whether the index was found to say something else: what was loaded from it is not gone on with.
    refuted: bool,
}

impl Belief {
    /// Returns the belief in what was loaded from the index.
    pub(super) fn in_index() -> Self {
        Self::default()
    }

    /// Returns the belief in what was read from the ledger.
    pub(super) fn in_ledger() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Returns whether the ledger says what is known of `model`.
    pub(super) fn is_in_ledger(&self, model: &ModelName) -> bool {
        self.all || self.models.contains(model)
    }

    pub(super) fn is_refuted(&self) -> bool {
        self.refuted
    }
}

impl Registry {
    /// Holds what is known of `models` against the ledger.
    ///
    /// # Errors
    /// Fails when the index said something else, which is made anew then: whatever was decided by it has to be decided again.
    pub(crate) fn hold_against_ledger<'a>(
        &self,
        models: impl IntoIterator<Item = &'a ModelName>,
    ) -> Result<(), RegistryError> {
        let open: BTreeSet<&ModelName> = {
            let belief = self.belief.borrow();
            models
                .into_iter()
                .filter(|model| !belief.is_in_ledger(model) && !belief.sealed.contains(*model))
                .collect()
        };
        let Some(end) = self.followed.as_ref().filter(|_| !open.is_empty()) else { return Ok(()) };
        if let Some(model) = self.first_that_differs(&open, end)? {
            return Err(self.refute(model, end)?);
        }
        // Of a ledger that was not searched the seals are gone by, and what they leave open stays open (`lines.rs`).
        if end.position.end <= self.searched {
            self.belief.borrow_mut().models.extend(open.into_iter().cloned());
        } else {
            self.belief.borrow_mut().sealed.extend(open.into_iter().cloned());
        }
        Ok(())
    }

    /// Makes the index anew, which said something else of `model` than the ledger up to `end`, and returns how that is told.
    pub(super) fn refute(&self, model: &ModelName, end: &Followed) -> Result<RegistryError, RegistryError> {
        self.make_index_anew(end)?;
        self.remade.set(true);
        self.belief.replace(Belief { refuted: true, ..Belief::default() });
        let path = self.index.borrow().path.display().to_string();
        Ok(RegistryError::IndexRefuted { path, model: model.clone() })
    }

    /// Returns the first of `models` of which the index says something else than the ledger up to `end`.
    fn first_that_differs<'a>(
        &self,
        models: &BTreeSet<&'a ModelName>,
        end: &Followed,
    ) -> Result<Option<&'a ModelName>, RegistryError> {
        let first = models.first().copied();
        // An event is sealed behind this line: what the index has of it must be what is there.
        if !self.last_line_stands(end) {
            return Ok(first);
        }
        if end.position.end > self.searched {
            return Ok(None);
        }
        let (state, changes) = self.derived(first.filter(|_| models.len() == 1), end)?;
        let key = self.home.key();
        let mut fresh = Index::in_memory("registry.db".into())?;
        fresh.extend(&key, None, true, &state, &changes, end)?;
        for model in models.iter().copied() {
            if self.state.models.get(model) != state.models.get(model)
                || !self.ask(|index| index.has_rows_of_model(&fresh, &key, model, end.position))?
            {
                return Ok(Some(model));
            }
        }
        Ok(None)
    }

    /// Derives the state of one model, or of all, from the ledger up to `end`.
    fn derived(
        &self,
        model: Option<&ModelName>,
        end: &Followed,
    ) -> Result<(RegistryState, Changes), RegistryError> {
        let Some(model) = model else { return self.read_all(None, end.position.end) };
        let of_model = || -> Result<(RegistryState, Changes), ReadError> {
            let (mut state, mut changes) = (RegistryState::default(), Changes::default());
            for (entry, place) in entries_with(self.home.ledger(), end.position.end, &format!("\"{model}\""))?
            {
                if entry.event.model() == model {
                    state.apply(&entry)?;
                    changes.note(entry, place);
                }
            }
            Ok((state, changes))
        };
        // What is wrong with a line is told by whoever reads all of them.
        of_model().or_else(|_| self.read_all(None, end.position.end))
    }

    /// Makes the index anew from the ledger, which has to hold what was seen of it.
    fn make_index_anew(&self, seen: &Followed) -> Result<(), RegistryError> {
        let stamp = Stamp::of(self.home.ledger())?;
        let (state, changes) = self.read_all(Some(seen), stamp.size())?;
        let Some(end) = changes.end(stamp.as_str()) else { return Ok(()) };
        let key = self.home.key();
        let mut index = self.index.borrow_mut();
        let made = index.forget(&key).and_then(|()| index.extend(&key, None, true, &state, &changes, &end));
        match made {
            // This process goes on by tables of its own; the next one finds the same out.
            Err(error) if error.is_unwritable_index() => {
                index.go_on_beside()?;
                index.extend(&key, None, true, &state, &changes, &end).map(drop)
            }
            other => other.map(drop),
        }
    }
}
