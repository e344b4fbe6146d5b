//! How a registry writes: decide on fresh state, append, and try again when another writer was faster.

use std::collections::BTreeMap;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration};
use modelgate_core::lifecycle::{Event, ModelState, Refusal, check_who_acts, decide};
use modelgate_core::{Alias, ModelName, VersionNumber};

use super::{Registry, TRIES};
use crate::RegistryError;
use crate::chain_file::{Place, ReadError};
use crate::home::{Objects, Position};
use crate::index::{Index, RunRow};
use crate::index_state::{Changes, Followed, microseconds};
use crate::notice;
use crate::stamp::Stamp;

impl Registry {
    /// Decides on fresh state and appends what was decided.
    ///
    /// # Errors
    /// As `decide`, or when the registry cannot be written.
    fn transact<T>(
        &mut self,
        time: &str,
        actor: &str,
        objects: &Objects,
        decide: impl Fn(&Self) -> Result<(Vec<LedgerEvent>, T), RegistryError>,
    ) -> Result<T, RegistryError> {
        for attempt in 0..TRIES {
            self.refresh()?;
            let (events, value) = self.decided(&decide)?;
            if events.is_empty() {
                return Ok(value);
            }
            let before = self.followed.clone();
            let position = self.position();
            let mut changes = Changes::default();
            let empty = ModelState::default();
            let (mut head, mut end) = (position.head, position.end);
            let last_time = before.as_ref().map(|before| before.time.clone()).unwrap_or_default();
            let event_time = time_behind(&last_time, time);
            let mut lines = String::new();
            // Of several events, each stands on what those before it led to.
            let several = events.len() > 1;
            let mut between: BTreeMap<ModelName, ModelState> = BTreeMap::new();
            for event in events {
                // The actor is checked where the event is acted on: here, before it is written.
                check_who_acts(actor).map_err(|refusal| refused(event.model(), refusal))?;
                let digests = if several {
                    let model = event.model().clone();
                    let before = || self.state.models.get(&model).cloned().unwrap_or_default();
                    let state = between.entry(model.clone()).or_insert_with(before);
                    let digests = state.digests(&event);
                    state.apply(&event, actor, time).map_err(|refusal| refused(&model, refusal))?;
                    digests
                } else {
                    self.state.models.get(event.model()).unwrap_or(&empty).digests(&event)
                };
                let entry = LedgerEntry::seal(event, digests, event_time.to_owned(), actor.to_owned(), head)?;
                let line = entry.to_line()?;
                let place = Place { start: end, end: end + line.len() as u64 };
                head = Some(entry.head());
                end = place.end;
                lines.push_str(&line);
                changes.note(entry, place);
            }
            let Some(stamp) = self.home.append(&position, &lines, objects)? else {
                // Writers that met once should not meet again: each waits for a time of its own.
                let spread = u64::from(std::process::id() % 17) + u64::from(attempt) * 13;
                std::thread::sleep(std::time::Duration::from_millis(5 + spread));
                continue;
            };
            self.took(&lines, before.as_ref(), &changes, &stamp)?;
            if event_time == time && microseconds(&last_time) > microseconds(time) {
                notice::tell(&format!(
                    "the ledger's last event is of {last_time}, and the clock here says {time}: one of the two clocks is wrong. \
                     What was written has the time of this one"
                ));
            }
            return Ok(value);
        }
        Err(self.home.busy(TRIES))
    }

    /// Decides, on what the ledger itself says of the models that are concerned: an event that the index alone allows would
    /// make the ledger unreadable for everybody, and a refusal must be the ledger's too.
    fn decided<T>(
        &mut self,
        decide: impl Fn(&Self) -> Result<(Vec<LedgerEvent>, T), RegistryError>,
    ) -> Result<(Vec<LedgerEvent>, T), RegistryError> {
        let decided = decide(self);
        let held = match &decided {
            Ok((events, _)) => self.hold_against_ledger(events.iter().map(LedgerEvent::model)),
            Err(RegistryError::Refused { model, .. }) => self.hold_against_ledger([model]),
            Err(_) => Ok(()),
        };
        if let Err(error) = held {
            // Whoever goes on with this registry does so with what the ledger says.
            self.refresh()?;
            return Err(error);
        }
        decided
    }

    /// Follows own lines, which the ledger has taken.
    fn took(
        &mut self,
        lines: &str,
        before: Option<&Followed>,
        changes: &Changes,
        stamp: &Stamp,
    ) -> Result<(), RegistryError> {
        for (index, line) in lines.lines().enumerate() {
            let applied = modelgate_core::chain::read_line(line)
                .map_err(|bad| ReadError::Chain(bad.at(index as u64 + 1)))
                .and_then(|entry| Ok(self.state.apply(&entry)?));
            applied.map_err(|error| self.unreadable(error))?;
        }
        if let Some(end) = changes.end(stamp.as_str()) {
            // The events are written: an index that cannot be is caught up by the next command.
            let key = self.home.key();
            let written = self.index.get_mut().extend(&key, before, false, &self.state, changes, &end);
            if let Ok(true) = written {
                self.followed = Some(end);
                return Ok(());
            }
            let state = self.state.clone();
            self.followed = None;
            let caught_up = match written {
                Err(error) if error.is_unwritable_index() => self.go_on_beside(error),
                _ => self.refresh(),
            };
            if let Err(error) = caught_up {
                // Whatever cannot be read now, the event is written: an error would say that it may not be.
                notice::tell(&format!("what was done is in the ledger, and the index lacks it: {error}"));
                (self.followed, self.state) = (Some(end), state);
            }
        }
        Ok(())
    }

    /// Registers a judged package as the next version of `model`, together with its files.
    ///
    /// # Errors
    /// Fails when the registry cannot be written.
    pub fn register(
        &mut self,
        model: &ModelName,
        registration: &Registration,
        files: &Objects,
        time: &str,
        actor: &str,
    ) -> Result<VersionNumber, RegistryError> {
        self.register_unless(model, registration, files, time, actor, |_| None).map(|(version, _)| version)
    }

    /// Registers a judged package as [`Self::register`] does, unless `known` finds a version that it is already: asked again
    /// each time that another writer was faster. Returns the version, and whether it is new.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn register_unless(
        &mut self,
        model: &ModelName,
        registration: &Registration,
        files: &Objects,
        time: &str,
        actor: &str,
        known: impl Fn(&ModelState) -> Option<VersionNumber>,
    ) -> Result<(VersionNumber, bool), RegistryError> {
        self.transact(time, actor, files, |registry| {
            registry.look_elsewhere(model)?;
            let state = registry.state.models.get(model);
            if let Some(version) = state.and_then(&known) {
                return Ok((Vec::new(), (version, false)));
            }
            let version = state.map_or(VersionNumber(1), ModelState::next_version);
            let event = LedgerEvent::Registered {
                model: model.clone(),
                version,
                registration: Box::new(registration.clone()),
            };
            Ok((vec![event], (version, true)))
        })
    }

    /// Does `event` to a version, through the one door.
    ///
    /// # Errors
    /// Fails when the lifecycle does not allow it or the registry cannot be written.
    pub fn apply(
        &mut self,
        model: &ModelName,
        version: VersionNumber,
        event: &Event,
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.apply_with(model, version, event, &Objects::new(), time, actor)
    }

    /// Does `event` to a version, through the one door, and keeps the objects that it names.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_with(
        &mut self,
        model: &ModelName,
        version: VersionNumber,
        event: &Event,
        objects: &Objects,
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.transact(time, actor, objects, |registry| {
            let state = registry.model(model)?;
            let event = decide(state, model, version, event).map_err(|refusal| refused(model, refusal))?;
            Ok((vec![event], ()))
        })
    }

    /// Does several events to versions of one model, all of them or none.
    ///
    /// # Errors
    /// As [`Self::apply`]; nothing has then happened.
    pub fn apply_all(
        &mut self,
        model: &ModelName,
        events: &[(VersionNumber, Event)],
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.transact(time, actor, &Objects::new(), |registry| {
            Ok((decide_all(registry.model(model)?, model, events, time, actor)?, ()))
        })
    }

    /// Does several events to versions of several models, all of them or none; those of one model in their order.
    ///
    /// # Errors
    /// As [`Self::apply`]; nothing has then happened.
    pub fn apply_across(
        &mut self,
        events: &BTreeMap<ModelName, Vec<(VersionNumber, Event)>>,
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        if events.values().all(Vec::is_empty) {
            return Ok(());
        }
        self.transact(time, actor, &Objects::new(), |registry| {
            let mut decided = Vec::new();
            for (model, events) in events {
                decided.extend(decide_all(registry.model(model)?, model, events, time, actor)?);
            }
            Ok((decided, ()))
        })
    }

    /// Returns whether the lifecycle allows these events, one after another, as the ledger was read last.
    ///
    /// # Errors
    /// Says what stands against the first that it does not allow.
    pub fn allows(
        &self,
        model: &ModelName,
        events: &[(VersionNumber, Event)],
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.hold_against_ledger([model])?;
        decide_all(self.model(model)?, model, events, time, actor).map(drop)
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// Fails when there is none, when it is reserved, or when the registry cannot be written.
    pub fn delete_alias(
        &mut self,
        model: &ModelName,
        alias: &Alias,
        reason: &str,
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.transact(time, actor, &Objects::new(), |registry| {
            let (model, alias, reason) = (model.clone(), alias.clone(), reason.to_owned());
            let event = LedgerEvent::AliasDeleted { model, alias, reason };
            let model = event.model();
            registry.model(model)?.check(&event).map_err(|refusal| refused(model, refusal))?;
            Ok((vec![event], ()))
        })
    }

    /// Keeps a run in the tracking tables.
    ///
    /// # Errors
    /// Fails when the index cannot be written.
    pub fn record_run(&mut self, run: &RunRow) -> Result<(), RegistryError> {
        self.index.get_mut().record_run(run)
    }

    /// Returns every run of the tracking tables, in the order of their ids.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRow>, RegistryError> {
        self.ask(Index::runs)
    }

    /// Takes over a whole ledger into a registry that has none; its objects were kept before.
    ///
    /// # Errors
    /// Fails when there is a ledger already, or `lines` are not one.
    pub fn adopt(&mut self, lines: &str) -> Result<(), RegistryError> {
        self.refresh()?;
        if let Some(head) = self.position().head {
            return Err(RegistryError::NotEmpty { home: self.home.name(), events: head.seq });
        }
        if self.home.append(&Position::default(), lines, &Objects::new())?.is_none() {
            return Err(RegistryError::Busy { home: self.home.name(), tries: 1 });
        }
        self.refresh()
    }

    /// Keeps objects that a later event will name.
    ///
    /// # Errors
    /// Fails when the home cannot be written.
    pub fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError> {
        self.home.keep(objects)
    }
}

/// How far clocks that are right may differ, in microseconds.
pub(crate) const CLOCKS_DIFFER: i64 = 5 * 60 * 1_000_000;

/// Returns the time of an event that is written at `now`, behind one of the time `last`. Clocks that differ a little do not
/// take the ledger back. A last event that is far ahead was written by a clock that was wrong, and its time must not
/// become that of every event after it: the order of events is that of their lines.
fn time_behind<'a>(last: &'a str, now: &'a str) -> &'a str {
    let ahead = microseconds(last).saturating_sub(microseconds(now));
    if (1..=CLOCKS_DIFFER).contains(&ahead) || microseconds(now) == i64::MIN { last } else { now }
}

fn refused(model: &ModelName, refusal: Refusal) -> RegistryError {
    RegistryError::Refused { model: model.clone(), refusal }
}

fn decide_all(
    state: &ModelState,
    model: &ModelName,
    events: &[(VersionNumber, Event)],
    time: &str,
    actor: &str,
) -> Result<Vec<LedgerEvent>, RegistryError> {
    let mut decided = Vec::new();
    let mut state = std::borrow::Cow::Borrowed(state);
    for (place, (version, event)) in events.iter().enumerate() {
        let event = decide(&state, model, *version, event).map_err(|refusal| refused(model, refusal))?;
        if place + 1 < events.len() {
            state.to_mut().apply(&event, actor, time).map_err(|refusal| refused(model, refusal))?;
        }
        decided.push(event);
    }
    Ok(decided)
}
