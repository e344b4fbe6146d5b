//! A registry in one of its homes: read the ledger, decide on fresh state, append, and try again when another
//! writer was faster.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration, RegistryState, read_chain};
use modelgate_core::lifecycle::{Event, ModelState, Refusal, step};
use modelgate_core::{Alias, Digest, ModelName, VersionNumber};

use crate::folder_home::FolderHome;
use crate::git_home::GitBranchHome;
use crate::home::{Home, Objects};
use crate::index::{Index, RunRow};
use crate::{RegistryError, RegistryUri};

/// How often a write is tried when other writers are faster.
const TRIES: u32 = 20;

/// A registry.
pub struct Registry {
    home: Box<dyn Home>,
    index: Index,
    text: String,
    entries: Vec<LedgerEntry>,
    state: RegistryState,
}

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
}

impl Registry {
    /// Opens the registry of the project in `project`, whose state lies in `project/.modelgate`.
    ///
    /// # Errors
    /// Fails when it cannot be reached, or when its ledger was changed, shortened or written past the door.
    pub fn open(uri: &RegistryUri, project: &Path) -> Result<Self, RegistryError> {
        let state_folder = project.join(".modelgate");
        let home: Box<dyn Home> = match uri {
            RegistryUri::Folder => Box::new(FolderHome::new(&state_folder)),
            RegistryUri::GitBranch(branch) => Box::new(GitBranchHome::new(project, branch)?),
        };
        let index = Index::open(&state_folder)?;
        let mut registry =
            Self { home, index, text: String::new(), entries: Vec::new(), state: RegistryState::default() };
        registry.refresh()?;
        Ok(registry)
    }

    /// Reads the ledger again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn refresh(&mut self) -> Result<(), RegistryError> {
        let text = self.home.read()?;
        let home = self.home.name();
        let entries =
            read_chain(&text).map_err(|source| RegistryError::Tampered { home: home.clone(), source })?;
        let state = RegistryState::replay(&entries)
            .map_err(|source| RegistryError::NotAllowed { home: home.clone(), source })?;
        self.index.follow(&self.index_name(), &entries, &state)?;
        (self.text, self.entries, self.state) = (text, entries, state);
        Ok(())
    }

    /// The folder home of a project that was moved is the same home.
    fn index_name(&self) -> String {
        let name = self.home.name();
        if name.starts_with("git branch") { name } else { "folder".to_owned() }
    }

    /// Returns the place in words.
    pub fn home(&self) -> String {
        self.home.name()
    }

    /// Returns what the ledger says.
    pub fn state(&self) -> &RegistryState {
        &self.state
    }

    /// Returns the ledger.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
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
            let mut sealed: Vec<LedgerEntry> = Vec::new();
            for event in events {
                let previous = sealed.last().or(self.entries.last());
                // The clock may go back; the ledger does not.
                let time = previous.map_or(time, |previous| previous.time.as_str().max(time)).to_owned();
                sealed.push(LedgerEntry::seal(event, time, actor.to_owned(), previous)?);
            }
            let lines = sealed.iter().map(LedgerEntry::to_line).collect::<Result<String, _>>()?;
            if self.home.append(&self.text, &lines, objects)? {
                self.refresh()?;
                return Ok(value);
            }
            // Writers that met once should not meet again: each waits for a time of its own.
            let spread = u64::from(std::process::id() % 17) + u64::from(attempt) * 13;
            std::thread::sleep(std::time::Duration::from_millis(5 + spread));
        }
        Err(RegistryError::Busy { home: self.home.name(), tries: TRIES })
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
        self.transact(time, actor, &Objects::new(), |registry| {
            let state = registry.model(model)?;
            let (_, events) = step(state, model, version, event, actor)
                .map_err(|refusal| RegistryError::Refused { model: model.clone(), refusal })?;
            Ok((events, ()))
        })
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// Fails when there is none, when it is reserved, or when the registry cannot be written.
    pub fn delete_alias(
        &mut self,
        model: &ModelName,
        alias: &Alias,
        time: &str,
        actor: &str,
    ) -> Result<(), RegistryError> {
        self.transact(time, actor, &Objects::new(), |registry| {
            let event = LedgerEvent::AliasDeleted { model: model.clone(), alias: alias.clone() };
            let refused = |refusal: Refusal| RegistryError::Refused { model: model.clone(), refusal };
            registry.model(model)?.check(&event).map_err(refused)?;
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
        let state = self.model(model)?;
        let Some(found) = state.versions.get(&version) else {
            return self.resolve(model, &version.to_string()).map(|_| BTreeMap::new());
        };
        let files = &found.registration.files;
        files.iter().map(|(name, digest)| Ok((name.clone(), self.home.get(digest)?))).collect()
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

    /// Checks the chain, the door and the bytes of every object that a version names.
    ///
    /// # Errors
    /// Names the first thing that is not as it was written.
    pub fn verify(&mut self) -> Result<VerifyReport, RegistryError> {
        self.refresh()?;
        let mut checked = std::collections::BTreeSet::new();
        for model in self.state.models.values() {
            for version in model.versions.values() {
                for digest in version.registration.files.values() {
                    if checked.insert(*digest) {
                        self.home.get(digest)?;
                    }
                }
            }
        }
        Ok(VerifyReport {
            entries: self.entries.len() as u64,
            head: self.entries.last().map(|entry| entry.hash),
            models: self.state.models.len(),
            objects: checked.len(),
        })
    }
}
