//! Removing objects that nothing names any more, in homes where others register at the same time.

use std::collections::BTreeSet;

use modelgate_core::Digest;
use modelgate_core::lifecycle::Stage;

use crate::home::Objects;
use crate::{Registry, RegistryError};

/// Larger objects are not removed where others may register them meanwhile: they could not be put back.
const HELD: usize = 256 << 20;

impl Registry {
    /// Returns every object that a version needs whose artefacts are not removed. What the index says is held against the
    /// ledger first: what it left out would be lost.
    ///
    /// # Errors
    /// Fails when the registry cannot be read, or when the index said something else than the ledger.
    pub fn needed(&self) -> Result<BTreeSet<Digest>, RegistryError> {
        self.hold_against_ledger(self.state().models.keys())?;
        let mut needed = BTreeSet::new();
        for (model, state) in &self.state().models {
            for (version, found) in state.versions.iter().filter(|(_, found)| found.stage != Stage::Removed) {
                let registration = self.registration(model, *version)?;
                needed.extend(registration.files.values().chain(registration.checks.values()).copied());
                needed.extend(found.signature);
                needed.insert(registration.lineage.dataset);
            }
        }
        Ok(needed)
    }

    /// Removes objects that no version needs; what somebody registers meanwhile stays, or comes back.
    ///
    /// In a bucket no lock keeps others out. There each object is held while it is removed, and put back when the ledger
    /// then names it; who registers an object looks after its event whether it is there. So it is lost to neither.
    ///
    /// # Errors
    /// Fails when the home cannot be read or written; what was removed until then was needed by nobody.
    pub fn remove_objects(&mut self, digests: &[Digest]) -> Result<(), RegistryError> {
        if self.home.removes_alone() {
            return self.remove_alone(digests);
        }
        let mut at = self.position();
        let mut needed = self.needed()?;
        for digest in digests {
            self.follow_needed(&mut at, &mut needed)?;
            if needed.contains(digest) {
                continue;
            }
            let bytes = match self.home.get(digest) {
                Ok(bytes) if bytes.len() <= HELD => bytes,
                Ok(_) | Err(RegistryError::MissingObject { .. }) => continue,
                Err(error) => return Err(error),
            };
            self.home.remove(&at, &[*digest])?;
            self.follow_needed(&mut at, &mut needed)?;
            if needed.contains(digest) {
                self.home.keep(&Objects::from([(*digest, bytes)]))?;
            }
        }
        Ok(())
    }

    /// Asks again what is needed whenever another writer was faster.
    fn remove_alone(&mut self, digests: &[Digest]) -> Result<(), RegistryError> {
        const TRIES: u32 = 20;
        for _ in 0..TRIES {
            self.refresh()?;
            let needed = self.needed()?;
            let gone: Vec<Digest> =
                digests.iter().filter(|digest| !needed.contains(digest)).copied().collect();
            if gone.is_empty() || self.home.remove(&self.position(), &gone)? {
                return Ok(());
            }
        }
        Err(RegistryError::Busy { home: self.home(), tries: TRIES })
    }

    fn follow_needed(
        &mut self,
        at: &mut crate::Position,
        needed: &mut BTreeSet<Digest>,
    ) -> Result<(), RegistryError> {
        self.refresh()?;
        if self.position() != *at {
            *at = self.position();
            *needed = self.needed()?;
        }
        Ok(())
    }
}
