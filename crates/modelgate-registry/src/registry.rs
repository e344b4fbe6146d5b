//! A registry in one of its homes: opened, and asked what it says. It reads its ledger in `following.rs` and writes it
//! in `writing.rs`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration, RegistryState};
use modelgate_core::lifecycle::{ModelState, Stage, reserved_alias};
use modelgate_core::{Alias, Digest, ModelName, VersionNumber};
use modelgate_store::remote::without_credentials;

use crate::chain_file::for_each_entry;
use crate::folder_home::FolderHome;
use crate::git_home::GitBranchHome;
use crate::home::{Home, Position, StoredObject};
use crate::index::Index;
use crate::index_queries::{ListedVersion, WasInProduction};
use crate::index_state::Followed;
use crate::object_home::ObjectStoreHome;
use crate::{RegistryError, RegistryUri};

mod acceptance;
mod belief;
mod elsewhere;
mod following;
mod lines;
mod on_disk;
mod writing;

pub use acceptance::Accepted;
use belief::Belief;
pub use on_disk::OnDisk;
pub(crate) use writing::CLOCKS_DIFFER;

/// How often reading or writing is tried when other writers are faster.
const TRIES: u32 = 20;

/// A registry.
pub struct Registry {
    pub(crate) home: Box<dyn Home>,
    pub(crate) index: RefCell<Index>,
    pub(crate) followed: Option<Followed>,
    pub(crate) state: RegistryState,
    /// How far `state` is known to be that of the ledger.
    belief: RefCell<Belief>,
    /// Whether the index was made anew since it said something else than the ledger, which nobody was told by `verify` yet.
    pub(crate) remade: Cell<bool>,
    /// The project's `.modelgate/`.
    state_folder: PathBuf,
    /// The longest ledger that is searched for what the index says of a model, in bytes.
    searched: u64,
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
        Self::in_home(Self::home_of(uri, project, variable)?, &state_folder)
    }

    fn home_of(
        uri: &RegistryUri,
        project: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Box<dyn Home>, RegistryError> {
        let state_folder = project.join(".modelgate");
        Ok(match uri {
            RegistryUri::Folder => Box::new(FolderHome::new(&state_folder)),
            RegistryUri::ObjectStore(uri) => {
                let objects = modelgate_store::remote::open(uri, project, variable).map_err(|error| {
                    RegistryError::Uri { uri: without_credentials(uri), reason: error.to_string() }
                })?;
                Box::new(ObjectStoreHome::new(objects, &state_folder))
            }
            RegistryUri::GitBranch(branch) => Box::new(GitBranchHome::new(project, branch, &state_folder)?),
        })
    }

    /// Opens the registry in `home`, with its index below `state_folder`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_home(home: Box<dyn Home>, state_folder: &Path) -> Result<Self, RegistryError> {
        let mut registry = Self::unread(home, state_folder)?;
        registry.refresh()?;
        registry.tell_of_others()?;
        Ok(registry)
    }

    /// Returns the registry in `home`, of which nothing is read yet.
    fn unread(home: Box<dyn Home>, state_folder: &Path) -> Result<Self, RegistryError> {
        let index = RefCell::new(Index::open(state_folder)?);
        let state_folder = state_folder.to_owned();
        let (state, belief) = (RegistryState::default(), RefCell::default());
        let (remade, searched) = (Cell::new(false), belief::SEARCHED);
        Ok(Self { home, index, followed: None, state, belief, remade, state_folder, searched })
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
        let key = self.home.key();
        if let Some((registration, time, place)) =
            self.ask(|index| index.registration(&key, model, version))?
        {
            self.believe_registration(model, version, (&registration, &time), place)?;
            return Ok((registration, time));
        }
        // Where the index could not be written, as on a full disk, it is behind the ledger, which has the event.
        let mut found = None;
        self.for_each_entry(|entry| {
            if let LedgerEvent::Registered { model: of, version: number, registration } = &entry.event
                && (of, *number) == (model, version)
            {
                found = Some((registration.as_ref().clone(), entry.time.clone()));
            }
            Ok(())
        })?;
        found.ok_or_else(|| RegistryError::UnknownVersion {
            model: model.clone(),
            reference: version.to_string(),
            known: "another state of the index: run `modelgate ledger verify`".to_owned(),
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
        let key = self.home.key();
        let mut handed = 0;
        self.ask(|index| {
            // The order is always the same: what was handed on before the damage is not handed on again.
            let mut at = 0;
            index.list(&key, model, &mut |one| {
                at += 1;
                if at > handed {
                    handed = at;
                    each(one);
                }
            })
        })
    }

    /// Returns what was in production at `time`, of each model that had something there.
    ///
    /// # Errors
    /// Fails when the index cannot be read.
    pub fn production_at(&self, time: jiff::Timestamp) -> Result<Vec<WasInProduction>, RegistryError> {
        let (key, time) = (self.home.key(), time.as_microsecond());
        self.ask(|index| index.production_at(&key, self.state.models.keys(), time))
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
        let key = self.home.key();
        // Nothing may have been there between two of them.
        let most = at_most.saturating_mul(2);
        let found = self.ask(|index| index.tenures(&key, model, most))?;
        self.believe_tenures(model, &found, found.len() < most)?;
        let stays = found.into_iter().filter(|(version, _, _)| version.0 > 0);
        Ok(stays.map(|(version, time, _)| (version, time)).take(at_most).collect())
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
        let stage = self.state.models.get(model).and_then(|state| Some(state.versions.get(&version)?.stage));
        if matches!(stage, Some(Stage::Production | Stage::Archived)) {
            return Ok(true);
        }
        let key = self.home.key();
        let Some(place) = self.ask(|index| index.was_in_production(&key, model, version))? else {
            return Ok(false);
        };
        self.believe_arrival(model, version, place)
    }

    /// Returns the version that `reference` names: `3`, `v003` or an alias.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn resolve(&self, model: &ModelName, reference: &str) -> Result<VersionNumber, RegistryError> {
        let state = self.model(model)?;
        // What reads as a number is one: an older ledger may have an alias `v005` of another version.
        let found = if let Ok(version) = reference.parse::<VersionNumber>() {
            Some(version).filter(|version| state.versions.contains_key(version))
        } else {
            // So it is with `Production`: it is what is in production.
            let reference = reserved_alias(reference).unwrap_or(reference);
            reference.parse::<Alias>().ok().and_then(|alias| state.aliases.get(&alias).copied())
        };
        found.ok_or_else(|| {
            let versions = state.versions.keys().map(ToString::to_string);
            let aliases = state.aliases.keys().map(ToString::to_string);
            let known = versions.chain(aliases).collect::<Vec<_>>().join(", ");
            RegistryError::UnknownVersion { model: model.clone(), reference: reference.to_owned(), known }
        })
    }

    /// Returns an object, checked against its digest.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    pub fn object(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        self.home.get(digest)
    }

    /// Returns the package's files and the attached ones of a version, checked against their digests. What the index says of
    /// the model is held against the ledger first.
    ///
    /// # Errors
    /// Fails when there is no such version, when one of its files is missing or damaged, or when the index said something
    /// else than the ledger.
    pub fn version_files(
        &self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<BTreeMap<String, Vec<u8>>, RegistryError> {
        self.hold_against_ledger([model])?;
        let registration = self.registration(model, version)?;
        let state = self.model(model)?.versions.get(&version);
        if state.is_some_and(|state| state.stage == Stage::Removed) {
            return Err(RegistryError::ArtefactsRemoved { model: model.clone(), version });
        }
        let signature =
            state.and_then(|state| state.signature).map(|digest| ("model.sig".to_owned(), digest));
        let files = registration.files.into_iter().chain(signature);
        let file = |(name, digest): (String, Digest)| match self.home.get(&digest) {
            Ok(bytes) => Ok((name, bytes)),
            Err(source) => Err(file_of(model, version, name, source)),
        };
        files.map(file).collect()
    }

    /// Returns the index, for the tracking tables.
    pub fn index(&mut self) -> &mut Index {
        self.index.get_mut()
    }

    /// Returns every object of the home.
    ///
    /// # Errors
    /// Fails when the home cannot be read.
    pub fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        self.home.objects()
    }
}

/// Says which file of which version an error is about.
pub(crate) fn file_of(
    model: &ModelName,
    version: VersionNumber,
    name: String,
    source: RegistryError,
) -> RegistryError {
    match &source {
        RegistryError::MissingObject { .. } | RegistryError::DamagedObject { .. } => {
            RegistryError::File { model: model.clone(), version, name, source: Box::new(source) }
        }
        _ => source,
    }
}

#[cfg(test)]
mod tests;
