//! `modelgate rollout abort`: traffic first, whatever else works.

use modelgate_core::lifecycle::check_reason;
use modelgate_core::rollout::RolloutState;
use modelgate_pipeline::{lock, registry};
use modelgate_registry::Registry;
use modelgate_serve::rollout::{ClientError, Standing};

use super::{Controller, is_locked, sequence};
use crate::exit::{Exit, UsageError};

/// Refuses an abort that does not say why.
pub(super) fn needs_reason(reason: &str) -> Result<(), UsageError> {
    if reason.trim().is_empty() {
        return Err(UsageError("--reason is needed: what is wrong with the canary?".to_owned()));
    }
    // Here, before the service is told: neither it nor the ledger would take it, and the canary would keep its share.
    check_reason(reason, true).map_err(|refusal| UsageError(format!("--reason: {refusal}")))
}

impl Controller<'_> {
    /// Puts all traffic back, then ends the rollout in the ledger and quarantines the canary.
    pub(super) fn abort(&self, reason: &str) -> anyhow::Result<Exit> {
        needs_reason(reason)?;
        let model = &self.model;
        // Before the ledger is opened or the project locked: nothing may stand between a bad canary and its end.
        let told = self.client.abort(model.as_str(), reason, None);
        match &told {
            Ok(standing) => {
                let url = self.client.url();
                self.printer
                    .talk(&format!("{model}: at {url} all requests go to {}", standing.stable.version));
            }
            Err(error) => {
                self.printer.warning(&format!("{error}; the ledger is written all the same"));
            }
        }
        let lock = match lock(self.project, "modelgate rollout abort", &self.around) {
            Ok(lock) => lock,
            Err(error) => return Err(self.half_done(told.as_ref().ok(), error.into())),
        };
        let mut registry = registry(self.project)?;
        let rollout = match self.active(&registry) {
            Ok(rollout) => rollout,
            Err(none) => return self.ended_before(&registry, told.map(drop), none),
        };
        let quarantined = match self.write_abort(&mut registry, &rollout, reason) {
            Ok(quarantined) => quarantined,
            // Somebody else was faster: what was asked for is done.
            Err(error) => return self.ended_before(&registry, told.map(drop), error),
        };
        let canary = rollout.canary;
        let end = if quarantined {
            self.printer.talk(&format!("{model} {canary} is quarantined"));
            "is quarantined"
        } else {
            self.printer.talk(&format!(
                "{model} {canary} is taken out and not quarantined, since {} is not in production any more: `rollout start` \
                 begins again, `model quarantine` keeps it from production",
                rollout.stable
            ));
            "is taken out in the ledger"
        };
        // An order that is late must not find the record older than itself.
        let told = told.and_then(|_| self.client.abort(model.as_str(), reason, Some(sequence(&registry))));
        // Whoever is told may be slow: others need not wait for it.
        drop(lock);
        self.tell_of_abort(&rollout, quarantined, reason);
        match told {
            Ok(_) => Ok(Exit::Passed),
            Err(error) => Err(anyhow::Error::new(error).context(format!(
                "{canary} {end}, but the service could not be told: it takes the canary out when it next looks at the registry"
            ))),
        }
    }

    /// Says what is done and what is not where the ledger could not be written.
    fn half_done(&self, told: Option<&Standing>, error: anyhow::Error) -> anyhow::Error {
        match told {
            Some(standing) if is_locked(&error) => error.context(format!(
                "{}: at {} all requests go to {}, but the ledger is not written and the canary is not quarantined: `rollout abort` \
                 once more, or the next command of this rollout, does both",
                self.model,
                self.client.url(),
                standing.stable.version
            )),
            _ => error,
        }
    }

    /// Ends an abort of what the ledger has ended already, as a quarantine of the canary does: the service was told, and there
    /// is nothing to write.
    fn ended_before(
        &self,
        registry: &Registry,
        told: Result<(), ClientError>,
        none: anyhow::Error,
    ) -> anyhow::Result<Exit> {
        let last = registry.model(&self.model)?.rollout.as_ref();
        let Some(last) = last.filter(|last| last.state == RolloutState::Aborted) else { return Err(none) };
        told?;
        self.printer.talk(&format!("{}: {} since {}", self.model, last.sentence(), last.time));
        Ok(Exit::Passed)
    }
}
