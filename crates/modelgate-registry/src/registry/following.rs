//! How a registry follows its ledger: what the index has seen is not read again, what is behind it is read and checked.

use std::path::Path;

use modelgate_core::chain::ChainError;
use modelgate_core::ledger::{LedgerEntry, RegistryState};

use super::belief::Belief;
use super::{Registry, TRIES};
use crate::RegistryError;
use crate::chain_file::{ReadError, for_each_entry};
use crate::index::Index;
use crate::index_state::{Changes, Followed};
use crate::notice;
use crate::stamp::Stamp;

impl Registry {
    /// Makes what this holds follow the ledger. What the index has seen is read again only when the file was touched
    /// by another hand; lines behind it are read and checked.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn refresh(&mut self) -> Result<(), RegistryError> {
        self.home.pull(false)?;
        match self.follow_up() {
            // What is wrong with a copy need not be wrong with what it is of.
            Err(
                RegistryError::Tampered { .. }
                | RegistryError::NotAllowed { .. }
                | RegistryError::NewerLedger { .. }
                | RegistryError::Shortened { .. },
            ) if self.home.keeps_a_copy() => {
                self.home.pull(true)?;
                self.follow_up()
            }
            other => other,
        }
    }

    fn follow_up(&mut self) -> Result<(), RegistryError> {
        for _ in 0..TRIES {
            match self.follow() {
                Ok(true) => return Ok(()),
                Ok(false) => std::thread::sleep(std::time::Duration::from_millis(2)),
                Err(error) if error.is_damaged_index() => self.index.get_mut().renew()?,
                Err(error) if error.is_unwritable_index() => return self.go_on_beside(error),
                Err(error) => return Err(error),
            }
        }
        Err(RegistryError::Busy { home: self.home.name(), tries: TRIES })
    }

    /// Reads the ledger as a whole, against what the index has seen of it, and goes on without writing the index.
    ///
    /// # Errors
    /// Returns `reason`, why it cannot be written, when it cannot be read either; or as [`Self::open`].
    pub(super) fn go_on_beside(&mut self, reason: RegistryError) -> Result<(), RegistryError> {
        let key = self.home.key();
        let Ok(seen) = self.index.get_mut().followed(&key) else { return Err(reason) };
        let stamp = Stamp::of(self.home.ledger())?;
        let (state, changes) = self.read_all(seen.as_ref(), stamp.size())?;
        let end = changes.end(stamp.as_str());
        let index = self.index.get_mut();
        index.go_on_beside()?;
        if let Some(end) = &end {
            index.extend(&key, None, true, &state, &changes, end)?;
        }
        (self.followed, self.state) = (end, state);
        self.belief.replace(Belief::in_ledger());
        if matches!(reason, RegistryError::IndexBusy { .. }) {
            notice::tell(&format!("{reason}; this command goes on without it, from the ledger"));
        }
        Ok(())
    }

    /// Asks the index; one that turns out damaged is made anew from the ledger first.
    pub(super) fn ask<T>(
        &self,
        mut question: impl FnMut(&Index) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let error = match question(&self.index.borrow()) {
            Err(error) if error.is_damaged_index() => error,
            other => return other,
        };
        // Held only by whoever asks from within an answer.
        let Ok(mut index) = self.index.try_borrow_mut() else { return Err(error) };
        index.renew()?;
        if let Some(end) = &self.followed {
            let (state, changes) = self.read_all(None, end.position.end)?;
            index.extend(&self.home.key(), None, true, &state, &changes, end)?;
        }
        drop(index);
        question(&self.index.borrow())
    }

    /// Returns `false` when another process has written the index meanwhile. An index whose rows are not those that were
    /// written is made anew.
    fn follow(&mut self) -> Result<bool, RegistryError> {
        match self.follow_index() {
            Err(RegistryError::IndexRefuted { path, model }) => {
                notice::tell(&format!(
                    "the index `{path}` has rows of {model} that modelgate did not write there: it was edited or damaged, and is \
                     made anew from the ledger"
                ));
                let key = self.home.key();
                let seen = self.index.get_mut().followed(&key)?;
                let stamp = Stamp::of(self.home.ledger())?;
                let made = self.follow_all(&key, seen.as_ref(), &stamp)?;
                self.remade.set(made);
                Ok(made)
            }
            other => other,
        }
    }

    fn follow_index(&mut self) -> Result<bool, RegistryError> {
        let key = self.home.key();
        if self.belief.get_mut().is_refuted() {
            self.followed = None;
        }
        // In this order: what the index has seen is then never newer than the file that is looked at.
        let seen = self.index.get_mut().followed(&key)?;
        let stamp = Stamp::of(self.home.ledger())?;
        if let Some(seen) = &seen
            && seen.stamp == stamp.as_str()
        {
            if self.followed.as_ref().map(|own| own.position) != Some(seen.position) {
                let (end, state) = self.index.get_mut().load(&key)?;
                (self.followed, self.state) = (end, state);
                self.belief.replace(Belief::in_index());
            }
            return Ok(true);
        }
        if seen.is_none() && stamp.size() == 0 {
            (self.followed, self.state) = (None, RegistryState::default());
            return Ok(true);
        }
        if let Some(seen) = &seen
            && stamp.size() > seen.position.end
            && self.last_line_stands(seen)
        {
            return self.follow_tail(&key, seen, &stamp);
        }
        self.follow_all(&key, seen.as_ref(), &stamp)
    }

    /// Returns whether the last line that was seen is still there. Only its own hash counts: the line before it is not
    /// read.
    pub(super) fn last_line_stands(&self, seen: &Followed) -> bool {
        let line = read_range(self.home.ledger(), seen.line_start, seen.position.end);
        let entry =
            line.ok().and_then(|line| modelgate_core::chain::read_line(line.strip_suffix('\n')?).ok());
        entry.map(|entry| entry.head()) == seen.position.head
    }

    fn follow_tail(&mut self, key: &str, seen: &Followed, stamp: &Stamp) -> Result<bool, RegistryError> {
        let (end, mut state) = self.index.get_mut().load(key)?;
        if end.as_ref().map(|end| end.position) != Some(seen.position) {
            return Ok(false);
        }
        let mut changes = Changes::default();
        let read = for_each_entry(
            self.home.ledger(),
            seen.position.end,
            stamp.size(),
            seen.position.head,
            |entry, place| {
                state.apply(&entry)?;
                changes.note(entry, place);
                Ok(())
            },
        );
        read.map_err(|error| self.unreadable(error))?;
        let mut end = changes.end(stamp.as_str()).unwrap_or_else(|| seen.clone());
        stamp.as_str().clone_into(&mut end.stamp);
        let written = self.index.get_mut().extend(key, Some(seen), false, &state, &changes, &end)?;
        if written {
            (self.followed, self.state) = (Some(end), state);
            self.belief.replace(Belief::in_index());
        }
        Ok(written)
    }

    fn follow_all(
        &mut self,
        key: &str,
        seen: Option<&Followed>,
        stamp: &Stamp,
    ) -> Result<bool, RegistryError> {
        let (state, changes) = self.read_all(seen, stamp.size())?;
        let end = changes.end(stamp.as_str());
        let Some(end) = end else {
            (self.followed, self.state) = (None, state);
            return Ok(true);
        };
        let written = self.index.get_mut().extend(key, seen, true, &state, &changes, &end)?;
        if written {
            (self.followed, self.state) = (Some(end), state);
            self.belief.replace(Belief::in_ledger());
        }
        Ok(written)
    }

    /// Reads and checks the ledger up to byte `size`, and that it still holds what was seen of it.
    pub(crate) fn read_all(
        &self,
        seen: Option<&Followed>,
        size: u64,
    ) -> Result<(RegistryState, Changes), RegistryError> {
        self.read_all_with(seen, size, |_, _| Ok(()))
    }

    /// Reads the ledger as [`Self::read_all`], and hands each entry and the state before it to `look`.
    pub(crate) fn read_all_with(
        &self,
        seen: Option<&Followed>,
        size: u64,
        mut look: impl FnMut(&RegistryState, &LedgerEntry) -> Result<(), ChainError>,
    ) -> Result<(RegistryState, Changes), RegistryError> {
        let mut state = RegistryState::default();
        let mut changes = Changes::default();
        let expected = seen.and_then(|seen| seen.position.head);
        let (mut last, mut hash) = (None, None);
        let read = for_each_entry(self.home.ledger(), 0, size, None, |entry, place| {
            look(&state, &entry)?;
            state.apply(&entry)?;
            last = Some(entry.head());
            if expected.is_some_and(|expected| expected.seq == entry.seq) {
                hash = Some(entry.hash);
            }
            changes.note(entry, place);
            Ok(())
        });
        read.map_err(|error| self.unreadable(error))?;
        match expected {
            Some(seen) if hash != Some(seen.hash) => Err(RegistryError::Shortened {
                home: self.home.name(),
                found: last.map_or(0, |last| last.seq),
                head: last.map_or_else(|| "none".to_owned(), |last| last.hash.to_string()),
                seen: seen.seq,
                hash: seen.hash,
                kept: self.home.kept(&seen.hash),
            }),
            _ => Ok((state, changes)),
        }
    }

    pub(super) fn unreadable(&self, error: ReadError) -> RegistryError {
        RegistryError::of_ledger(self.home.name(), error)
    }
}

fn read_range(path: &Path, start: u64, end: u64) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = String::new();
    file.take(end.saturating_sub(start)).read_to_string(&mut text)?;
    Ok(text)
}
