//! What the seals of the index do not cover: what was registered, and what was in production when. Each of these rows says where
//! its line stands in the ledger, and of a ledger that is too long to be searched the line itself is read before the row is gone by.

use std::io::{Read, Seek, SeekFrom};

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration};
use modelgate_core::{ModelName, VersionNumber};

use super::Registry;
use crate::RegistryError;
use crate::chain_file::Place;
use crate::index_state::{Followed, microseconds};

/// The longest line that is read: more than any event is.
const LONGEST: u64 = 64 << 20;

/// The lines of a ledger, each read where an index says that it stands.
struct Lines<'a> {
    file: fs_err::File,
    end: &'a Followed,
}

impl Lines<'_> {
    /// Returns whether a place is behind what was followed.
    fn is_new(&self, place: Place) -> bool {
        place.end > self.end.position.end
    }

    /// Returns the entry at `place`; `None` where no line of the ledger stands there.
    fn entry(&mut self, place: Place) -> Result<Option<LedgerEntry>, RegistryError> {
        let length = place.end.saturating_sub(place.start);
        if length > LONGEST || self.is_new(place) {
            return Ok(None);
        }
        // A line begins behind a line feed.
        let from = place.start.saturating_sub(1);
        self.file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(place.end.saturating_sub(from)).read_to_end(&mut bytes)?;
        let line = if place.start == 0 { Some(&bytes[..]) } else { bytes.strip_prefix(b"\n") };
        let line =
            line.and_then(|line| line.strip_suffix(b"\n")).and_then(|line| std::str::from_utf8(line).ok());
        Ok(line.and_then(|line| modelgate_core::chain::read_line(line).ok()))
    }
}

impl Registry {
    /// Returns the lines of the ledger, where what the index says of `model` is to be held against them.
    fn lines(&self, model: &ModelName) -> Result<Option<Lines<'_>>, RegistryError> {
        let Some(end) = self.followed.as_ref().filter(|end| end.position.end > self.searched) else {
            return Ok(None);
        };
        if self.belief.borrow().is_in_ledger(model) {
            return Ok(None);
        }
        Ok(Some(Lines { file: fs_err::File::open(self.home.ledger())?, end }))
    }

    /// Holds a registration against its line.
    ///
    /// # Errors
    /// Fails when the index said something else, which is made anew then.
    pub(super) fn believe_registration(
        &self,
        model: &ModelName,
        version: VersionNumber,
        (registration, time): (&Registration, &str),
        place: Place,
    ) -> Result<(), RegistryError> {
        let Some(mut lines) = self.lines(model)? else { return Ok(()) };
        let holds = lines.entry(place)?.is_some_and(|entry| {
            matches!(&entry.event, LedgerEvent::Registered { model: of, version: number, registration: written }
                if of == model && *number == version && **written == *registration)
                && entry.time == time
        });
        if holds { Ok(()) } else { Err(self.refute(model, lines.end)?) }
    }

    /// Holds that a version came into production against the line that says so. What another process has written since is not
    /// so yet.
    ///
    /// # Errors
    /// As [`Self::believe_registration`].
    pub(super) fn believe_arrival(
        &self,
        model: &ModelName,
        version: VersionNumber,
        place: Place,
    ) -> Result<bool, RegistryError> {
        let Some(mut lines) = self.lines(model)? else { return Ok(true) };
        if lines.is_new(place) {
            return Ok(false);
        }
        let holds = lines.entry(place)?.is_some_and(|entry| {
            entry.event.model() == model
                && arrival(&entry.event).is_some_and(|(arrived, _)| arrived == Some(version))
        });
        if holds { Ok(true) } else { Err(self.refute(model, lines.end)?) }
    }

    /// Holds what was in production, the newest first and with `whole` to the first, against the lines that say so: each names
    /// what was there before.
    ///
    /// # Errors
    /// As [`Self::believe_registration`].
    pub(super) fn believe_tenures(
        &self,
        model: &ModelName,
        found: &[(VersionNumber, i64, Place)],
        whole: bool,
    ) -> Result<(), RegistryError> {
        let Some(mut lines) = self.lines(model)? else { return Ok(()) };
        let mut expected = self.model(model)?.production();
        // What another process has written since is not of this state.
        let mut is_new = true;
        for (version, time, place) in found {
            is_new = is_new && lines.is_new(*place);
            if is_new {
                continue;
            }
            let now = Some(*version).filter(|version| version.0 > 0);
            let entry = lines.entry(*place)?.filter(|entry| entry.event.model() == model);
            let said = entry.as_ref().and_then(|entry| arrival(&entry.event));
            match said {
                Some((arrived, before))
                    if arrived == now
                        && now == expected
                        && entry.as_ref().is_some_and(|entry| microseconds(&entry.time) == *time) =>
                {
                    expected = before;
                }
                _ => return Err(self.refute(model, lines.end)?),
            }
        }
        if whole && !found.is_empty() && expected.is_some() {
            return Err(self.refute(model, lines.end)?);
        }
        Ok(())
    }
}

/// Returns what an event brings into production, which may be nothing, and what was there before.
fn arrival(event: &LedgerEvent) -> Option<(Option<VersionNumber>, Option<VersionNumber>)> {
    match event {
        LedgerEvent::Promoted { version, previous, .. } => Some((Some(*version), *previous)),
        LedgerEvent::RolledBack { version, quarantined, .. } => Some((Some(*version), Some(*quarantined))),
        LedgerEvent::Quarantined { version, .. } => Some((None, Some(*version))),
        _ => None,
    }
}
