//! Canaries at a look at the source: loaded when they are asked for, back after a restart, gone when the source says so.

use std::sync::Arc;
use std::time::Instant;

use modelgate_core::{Digest, ModelName};

use super::{CanaryError, Loaded, Reloader};
use crate::caught::caught;
use crate::error::SourceError;

impl Reloader {
    /// Loads and verifies a canary like anything that is served, against what it stands beside.
    pub(super) fn load_canary(&mut self, name: &ModelName, version: &str, digest: &Digest) -> Loaded {
        caught(|| self.find_canary(name, version, digest)).unwrap_or_else(|what| {
            let reason = format!("the look for it broke off, which is a fault of modelgate: {what}");
            Err(CanaryError::Source(SourceError::Unavailable(reason)))
        })
    }

    fn find_canary(&mut self, name: &ModelName, version: &str, digest: &Digest) -> Loaded {
        let began = Instant::now();
        let offer = self.source.candidate(name, version).map_err(CanaryError::Source)?;
        if offer.digest != *digest {
            return Err(CanaryError::Refused(format!("{name} {version} is the package {}", offer.digest)));
        }
        let files = self.source.files(&offer).map_err(CanaryError::Source)?;
        let loaded = self.start.verify_canary(offer, files.clone()).map_err(CanaryError::Refused)?;
        if let Some(Err(error)) = self.start.cache.as_ref().map(|cache| cache.keep(digest, &files)) {
            self.cache_failed(&error);
        }
        self.metrics.loaded(began.elapsed());
        Ok(loaded)
    }

    /// Brings canaries to what the source says of them: those that were promoted or may not answer any more go, those
    /// that a restart lost come back.
    pub(super) fn follow_rollouts(&mut self) {
        let catalog = Arc::clone(&self.catalog);
        let rollouts = &catalog.rollouts;
        for (name, record) in rollouts.active() {
            let served = catalog.served();
            let Some(stable) = served.models.get(&name) else { continue };
            if stable.offer.digest == record.digest {
                rollouts.promoted(&catalog, &self.metrics, &name, &record.digest);
                continue;
            }
            let Ok(model) = name.parse::<ModelName>() else { continue };
            let here =
                served.canaries.get(&name).is_some_and(|canary| canary.model.offer.digest == record.digest);
            drop(served);
            let gone = match self.source.candidate(&model, &record.version) {
                Ok(offer) if offer.digest == record.digest => {
                    if !here {
                        let loaded = self.load_canary(&model, &record.version, &record.digest);
                        match loaded {
                            Ok(loaded) => rollouts.resume(&catalog, &self.metrics, &name, loaded),
                            Err(error) => rollouts.refuse(&name, &record.digest, &error.to_string()),
                        }
                    }
                    continue;
                }
                Err(SourceError::Unavailable(reason)) => {
                    if !here && let Err(own) = self.start.resume(&name, &record) {
                        rollouts.refuse(&name, &record.digest, &format!("{reason}; {own}"));
                    }
                    continue;
                }
                Ok(_) => "the source has another package of this version".to_owned(),
                Err(error) => error.to_string(),
            };
            if let Err(error) = rollouts.abort(&catalog, &self.metrics, &name, &gone, None) {
                self.cache_failed(&error);
            }
        }
    }
}
