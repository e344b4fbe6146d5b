//! What stands against an event: the table of transitions.

use super::conditions::{
    check_reason, check_words, in_stage, not_reserved, overtaken, passed, refuse_unless,
};
use super::{ModelState, Refusal, Stage};
use crate::ledger::LedgerEvent;
use crate::rollout::RolloutEvent;

impl ModelState {
    /// Returns whether `event` is allowed now.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check(&self, event: &LedgerEvent) -> Result<(), Refusal> {
        match event {
            LedgerEvent::Registered { version, .. } => {
                let next = self.next_version();
                refuse_unless(*version == next, || format!("the next version is {next}, not {version}"))
            }
            LedgerEvent::Approved { version, digest, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                passed(*version, state, "be approved")?;
                let is_former = state.stage == Stage::Archived && self.production.is_none();
                refuse_unless(!is_former, || {
                    format!(
                        "{version} is archived and needs no approval: it was in production, where nothing is now, and \
                         `modelgate model rollback` or `modelgate model promote` brings it back"
                    )
                })?;
                // An approval that has expired is renewed.
                let renewable = [Stage::Candidate, Stage::Staging, Stage::Approved];
                in_stage(*version, state, &renewable, "approved")?;
                self.not_quarantined(*version, state)?;
                refuse_unless(*digest == state.digest, || {
                    format!("the approval is for another package than {version}'s")
                })
            }
            LedgerEvent::Rejected { version, reason, .. } => {
                check_reason(reason, true)?;
                in_stage(*version, self.get(*version)?, &[Stage::Candidate, Stage::Staging], "rejected")
            }
            LedgerEvent::Promoted { version, digest, previous, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                self.no_rollback()?;
                self.no_rollout()?;
                passed(*version, state, "reach production")?;
                self.not_quarantined(*version, state)?;
                // While nothing is in production there is nothing to roll back from, and a former production may come back.
                let is_back = self.production.is_none() && state.stage == Stage::Archived;
                if !is_back {
                    in_stage(*version, state, &[Stage::Approved, Stage::Staging], "promoted")?;
                }
                self.approved_for_production(*version, state)?;
                refuse_unless(*digest == state.digest, || {
                    format!("the promotion is for another package than {version}'s")
                })?;
                refuse_unless(*previous == self.production(), || overtaken(*previous, self.production()))
            }
            LedgerEvent::Staged { version, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                passed(*version, state, "be staged")?;
                self.not_quarantined(*version, state)?;
                in_stage(*version, state, &[Stage::Candidate, Stage::Approved], "staged")
            }
            LedgerEvent::RollbackIntended { version, digest, from, reason, origin, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, true)?;
                check_words("the origin", origin)?;
                self.no_rollback()?;
                self.no_rollout_of(*version)?;
                passed(*version, state, "reach production")?;
                refuse_unless(self.production != Some(*version), || {
                    format!("{version} is in production already")
                })?;
                self.not_quarantined(*version, state)?;
                in_stage(*version, state, &[Stage::Archived, Stage::Approved], "rolled back to")?;
                self.approved_for_production(*version, state)?;
                refuse_unless(*digest == state.digest, || {
                    format!("the rollback is to another package than {version}'s")
                })?;
                refuse_unless(self.production == Some(*from), || format!("{from} is not in production"))?;
                // It would quarantine the very package that it brings back.
                let same = self.versions.get(from).is_some_and(|found| found.digest == state.digest);
                refuse_unless(!same, || {
                    format!("{version} is the same package as {from}, which is in production")
                })
            }
            LedgerEvent::RollbackUndone { version, reason, .. } => {
                check_reason(reason, true)?;
                let pending = self.pending.as_ref().is_some_and(|pending| pending.version == *version);
                refuse_unless(pending, || format!("no rollback to {version} is under way"))
            }
            LedgerEvent::RolledBack { version, quarantined, reason, .. } => {
                check_reason(reason, true)?;
                let pending = self.pending.as_ref();
                let intended = pending
                    .is_some_and(|pending| pending.version == *version && pending.from == *quarantined);
                refuse_unless(intended, || {
                    format!("no rollback from {quarantined} to {version} was intended")
                })?;
                let state = self.get(*version)?;
                self.not_quarantined(*version, state)?;
                in_stage(*version, state, &[Stage::Archived, Stage::Approved], "rolled back to")?;
                self.approved_for_production(*version, state)?;
                refuse_unless(self.production == Some(*quarantined), || {
                    format!("{quarantined} is not in production")
                })
            }
            LedgerEvent::Quarantined { version, digest, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, true)?;
                self.not_at_work(*version, &state.digest)?;
                // Of a removed version too: the same bytes may come in again under another number.
                refuse_unless(state.stage != Stage::Quarantined && !state.quarantined, || {
                    format!("{version} is quarantined already")
                })?;
                refuse_unless(*digest == state.digest, || {
                    format!("the quarantine is for another package than {version}'s")
                })
            }
            LedgerEvent::Signed { version, digest, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                refuse_unless(state.stage != Stage::Removed, || {
                    format!("the artefacts of {version} are removed")
                })?;
                refuse_unless(*digest == state.digest, || {
                    format!("the signature is of another package than {version}'s")
                })
            }
            LedgerEvent::Deployed { version, digest, target, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                check_words("the target", target)?;
                passed(*version, state, "be deployed")?;
                refuse_unless(!matches!(state.stage, Stage::Quarantined | Stage::Removed), || {
                    format!("{version} is {} and cannot be deployed", state.stage)
                })?;
                self.not_quarantined(*version, state)?;
                refuse_unless(*digest == state.digest, || {
                    format!("the deployment is of another package than {version}'s")
                })
            }
            LedgerEvent::ArtefactsRemoved { version, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, true)?;
                // What is in staging now has the alias of it.
                let kept = matches!(state.stage, Stage::Production | Stage::Removed);
                refuse_unless(!kept, || format!("{version} is {}: its artefacts stay", state.stage))?;
                self.no_rollout_of(*version)?;
                let target = self.pending.as_ref().is_some_and(|pending| pending.version == *version);
                refuse_unless(!target, || format!("a rollback to {version} is under way"))?;
                let alias = self.aliases.iter().find(|(_, aliased)| *aliased == version);
                refuse_unless(alias.is_none(), || format!("an alias points at {version}"))
            }
            LedgerEvent::Overridden { version, reason, .. } => {
                check_reason(reason, true)?;
                refuse_unless(self.get(*version)?.quarantined, || format!("{version} is not quarantined"))
            }
            LedgerEvent::RolloutStarted { version, digest, stable, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                self.no_rollback()?;
                self.no_rollout()?;
                passed(*version, state, "answer requests")?;
                self.not_quarantined(*version, state)?;
                let allowed = [Stage::Candidate, Stage::Approved, Stage::Staging];
                refuse_unless(allowed.contains(&state.stage), || {
                    format!("{version} is {} and cannot be a canary", state.stage)
                })?;
                refuse_unless(self.production == Some(*stable), || {
                    "another version reached production meanwhile".to_owned()
                })?;
                let same = self.get(*stable)?.digest == state.digest;
                refuse_unless(!same, || {
                    format!("{version} is the package of {stable}, which is in production")
                })?;
                refuse_unless(*digest == state.digest, || {
                    format!("the rollout is of another package than {version}'s")
                })
            }
            LedgerEvent::RolloutStepped { version, digest, weight, reason, .. } => {
                check_reason(reason, false)?;
                self.rolled(*version, digest, RolloutEvent::Step { to: *weight }).map(drop)
            }
            LedgerEvent::RolloutPaused { version, digest, reason, .. } => {
                check_reason(reason, false)?;
                self.rolled(*version, digest, RolloutEvent::Pause).map(drop)
            }
            LedgerEvent::RolloutWatched { version, digest, weight, reason, .. } => {
                check_reason(reason, true)?;
                self.rolled(*version, digest, RolloutEvent::Watch { at: *weight }).map(drop)
            }
            LedgerEvent::RolloutPromoted { version, digest, reason, .. } => {
                check_reason(reason, false)?;
                self.rolled(*version, digest, RolloutEvent::Promote)?;
                self.approved_for_production(*version, self.get(*version)?)
            }
            LedgerEvent::RolloutAborted { version, digest, reason, .. } => {
                check_reason(reason, true)?;
                self.rolled(*version, digest, RolloutEvent::Abort).map(drop)
            }
            LedgerEvent::AliasSet { version, alias, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                refuse_unless(state.stage != Stage::Removed, || {
                    format!("the artefacts of {version} are removed")
                })?;
                not_reserved(alias)
            }
            LedgerEvent::AliasDeleted { alias, reason, .. } => {
                check_reason(reason, false)?;
                not_reserved(alias)?;
                refuse_unless(self.aliases.contains_key(alias), || format!("there is no alias {alias}"))
            }
        }
    }
}
