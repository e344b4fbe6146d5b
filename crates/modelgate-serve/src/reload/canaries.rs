//! Canaries at a look at the source: loaded when they are asked for, back after a restart, gone when the source says so.

use std::sync::Arc;
use std::time::Instant;

use modelgate_core::schema::incompatibilities;
use modelgate_core::{Digest, ModelName};

use super::{CanaryError, Loaded, Reloader};
use crate::caught::caught;
use crate::error::SourceError;
use crate::served::ServedModel;

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
            let canary = served.canaries.get(&name).filter(|one| one.model.offer.digest == record.digest);
            let here = canary.is_some();
            // Production may have gone back to a version that others were trained beyond.
            let unfit = canary.and_then(|canary| unfit(&canary.model, stable));
            drop(served);
            let gone = match (unfit, self.source.candidate(&model, &record.version)) {
                (Some(reason), _) => reason,
                (None, Ok(offer)) if offer.digest == record.digest => {
                    if !here {
                        let loaded = self.load_canary(&model, &record.version, &record.digest);
                        match loaded {
                            Ok(loaded) => rollouts.resume(&catalog, &self.metrics, &name, loaded),
                            Err(error) => rollouts.refuse(&name, &record.digest, &error.to_string()),
                        }
                    }
                    continue;
                }
                (None, Err(SourceError::Unavailable(reason) | SourceError::Damaged(reason))) => {
                    let mut resumed = || self.start.resume(&name, &record, |offer| self.source.banned(offer));
                    if !here && let Err(own) = resumed() {
                        rollouts.refuse(&name, &record.digest, &format!("{reason}; {own}"));
                    }
                    continue;
                }
                (None, Ok(_)) => "the source has another package of this version".to_owned(),
                (None, Err(error)) => error.to_string(),
            };
            if let Err(error) = rollouts.abort(&catalog, &self.metrics, &name, &gone, None) {
                self.cache_failed(&error);
            }
        }
    }
}

/// Returns why requests to the model that is served do not fit a canary beside it.
fn unfit(canary: &ServedModel, stable: &ServedModel) -> Option<String> {
    let [new, old] = [canary, stable].map(|model| &model.package.manifest.schema);
    let reasons = incompatibilities(new, old);
    let version = &stable.offer.version;
    (!reasons.is_empty())
        .then(|| format!("its schema does not fit {version}, which is served now: {}", reasons.join("; ")))
}
