//! A registry in one of its homes: read the ledger, decide on fresh state, append, and try again when another
//! writer was faster.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::chain::ChainError;
use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration, RegistryState};
use modelgate_core::lifecycle::{Event, ModelState, Refusal, check_actor, decide};
use modelgate_core::{Alias, Digest, ModelName, VersionNumber};

use crate::chain_file::{Place, ReadError, for_each_entry};
use crate::folder_home::FolderHome;
use crate::git_home::GitBranchHome;
use crate::home::{Home, Objects, Position, StoredObject};
use crate::index::{Index, RunRow};
use crate::index_state::{Changes, Followed, ListedVersion, WasInProduction, microseconds};
use crate::object_home::ObjectStoreHome;
use crate::stamp::Stamp;
use crate::uri::without_credentials;
use crate::{RegistryError, RegistryUri};

/// How often a write is tried when other writers are faster.
const TRIES: u32 = 20;

/// A registry.
pub struct Registry {
    pub(crate) home: Box<dyn Home>,
    pub(crate) index: Index,
    pub(crate) followed: Option<Followed>,
    pub(crate) state: RegistryState,
}

impl Registry {
    /// Opens the registry of the project in `project`, whose state lies in `project/.modelgate`.
    ///
    /// # Errors
    /// Fails when it cannot be reached, or when its ledger was changed, shortened or written past the door.
    pub fn open(uri: &RegistryUri, project: &Path) -> Result<Self, RegistryError> {
        Self::open_with(uri, project, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Opens the registry as [`Self::open`] does, with the credentials of an object store from `variable`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        uri: &RegistryUri,
        project: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, RegistryError> {
        let state_folder = project.join(".modelgate");
        let home: Box<dyn Home> = match uri {
            RegistryUri::Folder => Box::new(FolderHome::new(&state_folder)),
            RegistryUri::ObjectStore(uri) => {
                let objects = modelgate_store::remote::open(uri, project, variable).map_err(|error| {
                    RegistryError::Uri { uri: without_credentials(uri), reason: error.to_string() }
                })?;
                Box::new(ObjectStoreHome::new(objects, &state_folder))
            }
            RegistryUri::GitBranch(branch) => Box::new(GitBranchHome::new(project, branch, &state_folder)?),
        };
        Self::in_home(home, &state_folder)
    }

    /// Opens the registry in `home`, with its index below `state_folder`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_home(home: Box<dyn Home>, state_folder: &Path) -> Result<Self, RegistryError> {
        let index = Index::open(state_folder)?;
        let mut registry = Self { home, index, followed: None, state: RegistryState::default() };
        registry.refresh()?;
        Ok(registry)
    }

    /// Makes what this holds follow the ledger. What the index has seen is read again only when the file was touched
    /// by another hand; lines behind it are read and checked.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn refresh(&mut self) -> Result<(), RegistryError> {
        self.home.pull(false)?;
        for _ in 0..TRIES {
            if self.follow()? {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        Err(RegistryError::Busy { home: self.home.name(), tries: TRIES })
    }

    /// Returns `false` when another process has written the index meanwhile.
    fn follow(&mut self) -> Result<bool, RegistryError> {
        let key = self.home.key();
        // In this order: what the index has seen is then never newer than the file that is looked at.
        let seen = self.index.followed(&key)?;
        let stamp = Stamp::of(self.home.ledger())?;
        if let Some(seen) = &seen
            && seen.stamp == stamp.as_str()
        {
            if self.followed.as_ref().map(|own| own.position) != Some(seen.position) {
                let (end, state) = self.index.load(&key)?;
                (self.followed, self.state) = (end, state);
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
    fn last_line_stands(&self, seen: &Followed) -> bool {
        let line = read_range(self.home.ledger(), seen.line_start, seen.position.end);
        let entry =
            line.ok().and_then(|line| modelgate_core::chain::read_line(line.strip_suffix('\n')?).ok());
        entry.map(|entry| entry.head()) == seen.position.head
    }

    fn follow_tail(&mut self, key: &str, seen: &Followed, stamp: &Stamp) -> Result<bool, RegistryError> {
        let (end, mut state) = self.index.load(key)?;
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
        let written = self.index.extend(key, Some(seen), false, &state, &changes, &end)?;
        if written {
            (self.followed, self.state) = (Some(end), state);
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
        let written = self.index.extend(key, seen, true, &state, &changes, &end)?;
        if written {
            (self.followed, self.state) = (Some(end), state);
        }
        Ok(written)
    }

    /// Reads and checks the ledger up to byte `size`, and that it still holds what was seen of it.
    pub(crate) fn read_all(
        &self,
        seen: Option<&Followed>,
        size: u64,
    ) -> Result<(RegistryState, Changes), RegistryError> {
        let mut state = RegistryState::default();
        let mut changes = Changes::default();
        let expected = seen.and_then(|seen| seen.position.head);
        let (mut last, mut hash) = (0, None);
        let read = for_each_entry(self.home.ledger(), 0, size, None, |entry, place| {
            state.apply(&entry)?;
            last = entry.seq;
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
                found: last,
                seen: seen.seq,
                hash: seen.hash,
            }),
            _ => Ok((state, changes)),
        }
    }

    fn unreadable(&self, error: ReadError) -> RegistryError {
        let home = self.home.name();
        match error {
            ReadError::Chain(source) => RegistryError::Tampered { home, source },
            ReadError::Replay(source) => RegistryError::NotAllowed { home, source },
            ReadError::Io(error) => RegistryError::Io(error),
        }
    }

    /// Returns the place in words.
    pub fn home(&self) -> String {
        self.home.name()
    }

    /// Returns what the ledger says.
    pub fn state(&self) -> &RegistryState {
        &self.state
    }

    /// Returns where the ledger ends.
    pub fn position(&self) -> Position {
        self.followed.as_ref().map(|followed| followed.position).unwrap_or_default()
    }

    /// Hands each event to `each`, oldest first, checked again on the way.
    ///
    /// # Errors
    /// Fails when the ledger was changed, or as `each` does.
    pub fn for_each_entry(
        &self,
        mut each: impl FnMut(&LedgerEntry) -> std::io::Result<()>,
    ) -> Result<(), RegistryError> {
        let end = self.position().end;
        let read = for_each_entry(self.home.ledger(), 0, end, None, |entry, _| Ok(each(&entry)?));
        read.map_err(|error| self.unreadable(error))
    }

    /// Returns one model.
    ///
    /// # Errors
    /// Fails when there is none of that name.
    pub fn model(&self, model: &ModelName) -> Result<&ModelState, RegistryError> {
        self.state.models.get(model).ok_or_else(|| {
            let known: Vec<&str> = self.state.models.keys().map(ModelName::as_str).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            RegistryError::UnknownModel { model: model.clone(), known }
        })
    }

    /// Returns what was registered as a version.
    ///
    /// # Errors
    /// Fails when there is no such version.
    pub fn registration(
        &self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<Registration, RegistryError> {
        self.registered(model, version).map(|(registration, _)| registration)
    }

    /// Returns what was registered as a version, and when it was.
    ///
    /// # Errors
    /// Fails when there is no such version.
    pub fn registered(
        &self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<(Registration, String), RegistryError> {
        self.resolve(model, &version.to_string())?;
        self.index.registration(&self.home.key(), model, version)?.ok_or_else(|| {
            RegistryError::UnknownVersion {
                model: model.clone(),
                reference: version.to_string(),
                known: "another state of the index: run `modelgate ledger verify`".to_owned(),
            }
        })
    }

    /// Hands every version, or those of one model, to `each`, in the order of names and numbers.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn list(
        &self,
        model: Option<&ModelName>,
        each: &mut dyn FnMut(ListedVersion),
    ) -> Result<(), RegistryError> {
        self.index.list(&self.home.key(), model, each)
    }

    /// Returns what was in production at `time`, of each model that had something there.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn production_at(&self, time: jiff::Timestamp) -> Result<Vec<WasInProduction>, RegistryError> {
        self.index.production_at(&self.home.key(), self.state.models.keys(), time.as_microsecond())
    }

    /// Returns the versions of `model` that were in production, the newest first, each with the time in microseconds
    /// since 1970 at which it got there; at most `at_most`.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn tenures(
        &self,
        model: &ModelName,
        at_most: usize,
    ) -> Result<Vec<(VersionNumber, i64)>, RegistryError> {
        self.index.tenures(&self.home.key(), model, at_most)
    }

    /// Returns whether a version was ever in production.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn was_in_production(
        &self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<bool, RegistryError> {
        self.index.was_in_production(&self.home.key(), model, version)
    }

    /// Returns the version that `reference` names: `3`, `v003` or an alias.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn resolve(&self, model: &ModelName, reference: &str) -> Result<VersionNumber, RegistryError> {
        let state = self.model(model)?;
        if let Ok(version) = reference.parse::<VersionNumber>()
            && state.versions.contains_key(&version)
        {
            return Ok(version);
        }
        let aliased = reference.parse::<Alias>().ok().and_then(|alias| state.aliases.get(&alias).copied());
        aliased.ok_or_else(|| {
            let versions = state.versions.keys().map(ToString::to_string);
            let aliases = state.aliases.keys().map(ToString::to_string);
            let known = versions.chain(aliases).collect::<Vec<_>>().join(", ");
            RegistryError::UnknownVersion { model: model.clone(), reference: reference.to_owned(), known }
        })
    }

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
            let (events, value) = decide(self)?;
            let before = self.followed.clone();
            let position = self.position();
            let mut changes = Changes::default();
            let empty = ModelState::default();
            let (mut head, mut end) = (position.head, position.end);
            let mut last_time = before.as_ref().map(|before| before.time.clone()).unwrap_or_default();
            let mut lines = String::new();
            // Of several events, each stands on what those before it led to.
            let several = events.len() > 1;
            let mut between: BTreeMap<ModelName, ModelState> = BTreeMap::new();
            for event in events {
                // The actor is checked where the event is acted on: here, before it is written.
                check_actor(actor).map_err(|refusal| refused(event.model(), refusal))?;
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
                // The clock may go back; the ledger does not.
                if microseconds(time) > microseconds(&last_time) {
                    time.clone_into(&mut last_time);
                }
                let entry = LedgerEntry::seal(event, digests, last_time.clone(), actor.to_owned(), head)?;
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
            return Ok(value);
        }
        Err(RegistryError::Busy { home: self.home.name(), tries: TRIES })
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
                .map_err(|what| ReadError::Chain(ChainError { line: index as u64 + 1, what }))
                .and_then(|entry| Ok(self.state.apply(&entry)?));
            applied.map_err(|error| self.unreadable(error))?;
        }
        if let Some(end) = changes.end(stamp.as_str()) {
            // The events are written: an index that cannot be is caught up by the next command.
            let key = self.home.key();
            if !matches!(self.index.extend(&key, before, false, &self.state, changes, &end), Ok(true)) {
                self.followed = None;
                return self.refresh();
            }
            self.followed = Some(end);
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
        self.transact(time, actor, files, |registry| {
            let version = registry.state.models.get(model).map_or(VersionNumber(1), ModelState::next_version);
            let event = LedgerEvent::Registered {
                model: model.clone(),
                version,
                registration: Box::new(registration.clone()),
            };
            Ok((vec![event], version))
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

    /// Returns an object, checked against its digest.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn object(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        self.home.get(digest)
    }

    /// Returns the package's files and the attached ones of a version, checked against their digests.
    ///
    /// # Errors
    /// Fails when there is no such version, or one of its files is missing or damaged.
    pub fn version_files(
        &self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<BTreeMap<String, Vec<u8>>, RegistryError> {
        let registration = self.registration(model, version)?;
        let state = self.model(model)?.versions.get(&version);
        if state.is_some_and(|state| state.stage == modelgate_core::lifecycle::Stage::Removed) {
            return Err(RegistryError::ArtefactsRemoved { model: model.clone(), version });
        }
        let signature =
            state.and_then(|state| state.signature).map(|digest| ("model.sig".to_owned(), digest));
        let files = registration.files.into_iter().chain(signature);
        files.map(|(name, digest)| Ok((name, self.home.get(&digest)?))).collect()
    }

    /// Returns the index, for the tracking tables.
    pub fn index(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Keeps a run in the tracking tables.
    ///
    /// # Errors
    /// Fails when the index cannot be written.
    pub fn record_run(&mut self, run: &RunRow) -> Result<(), RegistryError> {
        self.index.record_run(run)
    }

    /// Returns every run of the tracking tables, in the order of their ids.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRow>, RegistryError> {
        self.index.runs()
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

    /// Returns every object of the home.
    ///
    /// # Errors
    /// Fails when the home cannot be read.
    pub fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        self.home.objects()
    }
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

fn read_range(path: &Path, start: u64, end: u64) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = String::new();
    file.take(end.saturating_sub(start)).read_to_string(&mut text)?;
    Ok(text)
}
