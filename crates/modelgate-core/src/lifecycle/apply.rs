//! What an event does to the state of a model, once it is allowed.

use super::conditions::check_actor;
use super::{Approval, ModelState, PendingRollback, RESERVED_ALIASES, Refusal, Stage, VersionState};
use crate::VersionNumber;
use crate::ledger::LedgerEvent;
use crate::rollout::{self, Finding, Rollout, RolloutEvent, RolloutState};

impl ModelState {
    /// Acts on an event that [`Self::check`] allows.
    ///
    /// # Errors
    /// As [`Self::check`]; the state is then unchanged.
    pub fn apply(&mut self, event: &LedgerEvent, actor: &str, time: &str) -> Result<(), Refusal> {
        check_actor(actor)?;
        self.check(event)?;
        match event {
            LedgerEvent::Registered { version, registration, .. } => {
                let state = VersionState {
                    stage: Stage::Candidate,
                    verdict: registration.verdict,
                    digest: registration.digest,
                    approval: None,
                    verdict_digest: registration.verdict_digest,
                    signature: None,
                    quarantined: false,
                };
                self.versions.insert(*version, state);
            }
            LedgerEvent::Approved { version, digest, reason, .. } => {
                if let Some(state) = self.versions.get_mut(version) {
                    let (actor, reason, time) = (actor.to_owned(), reason.clone(), time.to_owned());
                    state.approval = Some(Approval { digest: *digest, actor, reason, time });
                    state.stage = Stage::Approved;
                }
            }
            LedgerEvent::Rejected { version, reason, .. } => {
                self.set_stage(*version, Stage::Rejected);
                self.leave_staging(*version);
                self.take_out(|rollout| rollout.canary == *version, reason, actor, time);
            }
            LedgerEvent::Promoted { version, previous, .. } => {
                if let Some(previous) = previous {
                    self.set_stage(*previous, Stage::Archived);
                }
                self.enter_production(*version);
            }
            LedgerEvent::Staged { version, .. } => {
                self.set_stage(*version, Stage::Staging);
                self.point(&["challenger", "staging"], *version);
            }
            LedgerEvent::RollbackIntended { version, from, origin, reason, .. } => {
                self.pending = Some(PendingRollback {
                    version: *version,
                    from: *from,
                    origin: origin.clone(),
                    actor: actor.to_owned(),
                    reason: reason.clone(),
                    time: time.to_owned(),
                });
            }
            LedgerEvent::RollbackUndone { .. } => self.pending = None,
            LedgerEvent::RolledBack { version, quarantined, .. } => {
                self.pending = None;
                self.quarantine(*quarantined);
                self.enter_production(*version);
            }
            LedgerEvent::Quarantined { version, digest, reason, .. } => {
                self.quarantine(*version);
                // Quarantine is of a package, under whichever version it answers.
                self.take_out(|rollout| rollout.canary_digest == *digest, reason, actor, time);
            }
            LedgerEvent::Signed { version, signature, .. } => {
                if let Some(state) = self.versions.get_mut(version) {
                    state.signature = Some(*signature);
                }
            }
            LedgerEvent::Deployed { .. } => {}
            LedgerEvent::ArtefactsRemoved { version, .. } => self.set_stage(*version, Stage::Removed),
            LedgerEvent::Overridden { version, .. } => {
                // What it was approved for has failed once: it must be approved again.
                let Some(state) = self.versions.get_mut(version) else { return Ok(()) };
                state.approval = None;
                state.quarantined = false;
                self.quarantined.remove(&(state.digest, *version));
                if state.stage == Stage::Quarantined {
                    self.set_stage(*version, Stage::Candidate);
                }
            }
            LedgerEvent::RolloutStarted { version, digest, stable, steps, shadow, reason, .. } => {
                let stable_digest = self.get(*stable)?.digest;
                self.rollout = Some(Rollout {
                    canary: *version,
                    canary_digest: *digest,
                    stable: *stable,
                    stable_digest,
                    steps: steps.clone(),
                    shadow: *shadow,
                    at: 0,
                    state: RolloutState::Running,
                    reason: reason.clone(),
                    actor: actor.to_owned(),
                    time: time.to_owned(),
                    watched: None,
                });
            }
            LedgerEvent::RolloutStepped { version, digest, weight, reason, .. } => {
                let after = self.rolled(*version, digest, RolloutEvent::Step { to: *weight })?;
                self.stands(after, reason, actor, time);
            }
            LedgerEvent::RolloutPaused { version, digest, reason, .. } => {
                let after = self.rolled(*version, digest, RolloutEvent::Pause)?;
                self.stands(after, reason, actor, time);
            }
            LedgerEvent::RolloutWatched { version, digest, weight, verdict, reason, .. } => {
                let after = self.rolled(*version, digest, RolloutEvent::Watch { at: *weight })?;
                let finding = Finding { verdict: *verdict, sentence: reason.clone() };
                self.rollout = Some(Rollout { watched: Some(finding), ..after });
            }
            LedgerEvent::RolloutPromoted { version, digest, reason, .. } => {
                let after = self.rolled(*version, digest, RolloutEvent::Promote)?;
                self.stands(after, reason, actor, time);
            }
            LedgerEvent::RolloutAborted { version, digest, reason, .. } => {
                let after = self.rolled(*version, digest, RolloutEvent::Abort)?;
                self.stands(after, reason, actor, time);
            }
            LedgerEvent::AliasSet { version, alias, .. } => {
                self.aliases.insert(alias.clone(), *version);
            }
            LedgerEvent::AliasDeleted { alias, .. } => {
                self.aliases.remove(alias);
            }
        }
        Ok(())
    }

    fn stands(&mut self, rollout: Rollout, reason: &str, actor: &str, time: &str) {
        let (reason, actor, time) = (reason.to_owned(), actor.to_owned(), time.to_owned());
        self.rollout = Some(Rollout { reason, actor, time, ..rollout });
    }

    /// Ends the rollout of what may not answer any more.
    fn take_out(&mut self, is_its: impl Fn(&Rollout) -> bool, reason: &str, actor: &str, time: &str) {
        let own = self.active_rollout().filter(|rollout| is_its(rollout));
        if let Some(Ok(after)) = own.map(|rollout| rollout::step(rollout, RolloutEvent::Abort)) {
            self.stands(after, reason, actor, time);
        }
    }

    fn set_stage(&mut self, version: VersionNumber, stage: Stage) {
        let Some(state) = self.versions.get_mut(&version) else { return };
        let before = std::mem::replace(&mut state.stage, stage);
        if before == Stage::Production && self.production == Some(version) {
            self.production = None;
        }
        if stage == Stage::Production {
            self.production = Some(version);
        }
    }

    /// Marks the package of `version`; whoever has the same package leaves the aliases that follow its stage too.
    fn quarantine(&mut self, version: VersionNumber) {
        // Artefacts that are removed do not come back by it.
        if self.versions.get(&version).is_some_and(|found| found.stage != Stage::Removed) {
            self.set_stage(version, Stage::Quarantined);
        }
        let Some(state) = self.versions.get_mut(&version) else { return };
        state.quarantined = true;
        let digest = state.digest;
        self.quarantined.insert((digest, version));
        let versions = &self.versions;
        self.aliases.retain(|alias, target| {
            let same = versions.get(target).is_some_and(|found| found.digest == digest);
            !same || !RESERVED_ALIASES.contains(&alias.as_str())
        });
    }

    fn enter_production(&mut self, version: VersionNumber) {
        self.set_stage(version, Stage::Production);
        self.point(&["champion", "production"], version);
        self.leave_staging(version);
    }

    fn leave_staging(&mut self, version: VersionNumber) {
        self.aliases.retain(|alias, target| {
            *target != version || !matches!(alias.as_str(), "challenger" | "staging")
        });
    }

    fn point(&mut self, aliases: &[&str], version: VersionNumber) {
        for alias in aliases {
            if let Ok(alias) = alias.parse() {
                self.aliases.insert(alias, version);
            }
        }
    }
}
