//! A registry that knows nothing of a model which this project knows from another one: its address was changed, or has a
//! typing error, and a beginning there would be one without what was decided, a quarantine above all.

use std::sync::Once;

use modelgate_core::ModelName;
use modelgate_core::ledger::LedgerEvent;

use super::Registry;
use crate::chain_file::for_each_entry;
use crate::folder_home::FolderHome;
use crate::home::Home as _;
use crate::{RegistryError, accepted, notice};

impl Registry {
    /// Returns the other registries in which this project has seen a version of `model`, or of any, in words.
    pub(super) fn others_with(&self, model: Option<&ModelName>) -> Result<Vec<String>, RegistryError> {
        let key = self.home.key();
        let folder = FolderHome::new(&self.state_folder);
        let mut others = self.ask(|index| index.others_with(&key, model))?;
        let held = std::mem::take(&mut others);
        let of_folder = folder.key();
        let mut in_folder = held.contains(&of_folder);
        if !in_folder && key != of_folder {
            // The index can be lost, and is made anew for the registry in use alone.
            let size = fs_err::metadata(folder.ledger()).map_or(0, |metadata| metadata.len());
            // A ledger that cannot be read is told of where it is used.
            let _ = for_each_entry(folder.ledger(), 0, size, None, |entry, _| {
                in_folder |= matches!(&entry.event, LedgerEvent::Registered { model: of, .. }
                    if model.is_none_or(|model| model == of));
                Ok(())
            });
        }
        if in_folder {
            others.push(format!("`{}`", folder.name()));
        }
        others.extend(held.into_iter().filter(|other| *other != of_folder));
        Ok(others)
    }

    /// Refuses the first version of a model here that this project knows from another registry.
    pub(super) fn look_elsewhere(&self, model: &ModelName) -> Result<(), RegistryError> {
        if self.state.models.contains_key(model) {
            return Ok(());
        }
        let others = self.others_with(Some(model))?;
        if others.is_empty() || accepted::is_begun(&self.state_folder, &self.home.key())? {
            return Ok(());
        }
        let head = self.position().head.map_or_else(|| "none".to_owned(), |head| head.hash.to_string());
        let what = format!(
            "it has no version of `{model}`, and this project knows versions of it from {}: set `registry.uri` (or \
             MODELGATE_REGISTRY_URI) to that registry, or take it along, by `modelgate model export FILE` there and \
             `modelgate model import FILE` here while this one is empty, or, to begin anew without what was decided there, \
             `modelgate ledger accept --head {head} --reason WHY`",
            others.join(" and ")
        );
        Err(RegistryError::Elsewhere { home: self.home.name(), what })
    }

    /// Says, once, that an empty registry is not the one that this project has seen.
    pub(super) fn tell_of_others(&self) -> Result<(), RegistryError> {
        static ONCE: Once = Once::new();
        if self.followed.is_some() || ONCE.is_completed() {
            return Ok(());
        }
        let others = self.others_with(None)?;
        if !others.is_empty() && !accepted::is_begun(&self.state_folder, &self.home.key())? {
            ONCE.call_once(|| {
                notice::tell(&format!(
                    "the registry {} is empty, and this project has seen another one: {}",
                    self.home.name(),
                    others.join(" and ")
                ));
            });
        }
        Ok(())
    }
}
