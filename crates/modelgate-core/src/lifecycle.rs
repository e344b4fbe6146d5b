//! The lifecycle of a version, and the one door to production.
//!
//! [`step`] is the only way to make an event, and [`ModelState::apply`] the only way to act on one; both ask
//! the same [`ModelState::check`], so a ledger written past the door does not replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ledger::{LedgerEvent, Verification};
use crate::rollout::{self, Percent, Rollout, RolloutEvent, RolloutState, Steps};
use crate::verdict::Verdict;
use crate::{Alias, Digest, ModelName, VersionNumber};

/// Aliases that follow the lifecycle and cannot be set by hand.
pub const RESERVED_ALIASES: [&str; 4] = ["champion", "production", "challenger", "staging"];

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 4096;

/// Where a version stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Registered with a verdict.
    Candidate,
    /// Approved, not yet in production.
    Approved,
    /// In staging.
    Staging,
    /// In production.
    Production,
    /// Was in production.
    Archived,
    /// Rejected by a person.
    Rejected,
    /// Rolled back from, or found to be bad: it cannot reach production.
    Quarantined,
    /// Its artefacts are gone.
    Removed,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Candidate => "candidate",
            Self::Approved => "approved",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Archived => "archived",
            Self::Rejected => "rejected",
            Self::Quarantined => "quarantined",
            Self::Removed => "removed",
        })
    }
}

impl std::str::FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Candidate,
            Self::Approved,
            Self::Staging,
            Self::Production,
            Self::Archived,
            Self::Rejected,
            Self::Quarantined,
            Self::Removed,
        ]
        .into_iter()
        .find(|stage| stage.to_string() == text)
        .ok_or_else(|| format!("`{text}` is not a stage"))
    }
}

/// Who approved which package, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// The package.
    pub digest: Digest,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
}

/// A rollback that was intended and neither done nor undone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PendingRollback {
    /// The version to go back to.
    pub version: VersionNumber,
    /// The version in production.
    pub from: VersionNumber,
    /// The checkout that does it.
    pub origin: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
}

/// One version, as far as it decides what is allowed; what was registered is kept by the registry.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionState {
    /// Where it stands.
    pub stage: Stage,
    /// The verdict of its gate.
    pub verdict: Verdict,
    /// Its package.
    pub digest: Digest,
    /// Its approval.
    pub approval: Option<Approval>,
    /// The digest of its `verdict.json`.
    pub verdict_digest: Digest,
    /// The digest of its newest `model.sig`.
    pub signature: Option<Digest>,
    /// Whether its package is quarantined through it: a mark that outlives its artefacts.
    pub quarantined: bool,
}

/// All versions and aliases of one model.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ModelState {
    /// The versions.
    pub versions: BTreeMap<VersionNumber, VersionState>,
    /// What each alias points at.
    pub aliases: BTreeMap<Alias, VersionNumber>,
    /// A rollback that is under way.
    pub pending: Option<PendingRollback>,
    /// The newest rollout, also when it has ended.
    pub rollout: Option<Rollout>,
    /// Follows from `versions`: kept, since a ledger of a million events asks for it each time.
    production: Option<VersionNumber>,
    /// Follows from `versions`: the packages that are quarantined, each with its version.
    quarantined: BTreeSet<(Digest, VersionNumber)>,
}

/// What somebody wants to happen to a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Approve it.
    Approve {
        /// Why; may be empty.
        reason: String,
    },
    /// Reject it.
    Reject {
        /// Why; needed.
        reason: String,
    },
    /// Move it to production.
    Promote {
        /// The version in production when this was decided: of two who decide at once, one is told.
        over: Option<VersionNumber>,
        /// Why; may be empty.
        reason: String,
    },
    /// Move it to staging.
    Stage {
        /// Why; may be empty.
        reason: String,
    },
    /// Say that it is to be production again.
    IntendRollBack {
        /// Why; needed.
        reason: String,
        /// Whether it was verified.
        verification: Verification,
        /// The checkout that does it.
        origin: String,
    },
    /// Leave production as it is after all.
    UndoRollBack {
        /// Why; needed.
        reason: String,
    },
    /// Keep it from production.
    Quarantine {
        /// Why; needed.
        reason: String,
    },
    /// Attach a signature.
    Sign {
        /// The digest of `model.sig`.
        signature: Digest,
        /// Why; may be empty.
        reason: String,
    },
    /// Record that it was brought to a place that serves it.
    Deploy {
        /// The place.
        target: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Record that its artefacts are removed.
    RemoveArtefacts {
        /// Why; needed.
        reason: String,
    },
    /// Make it production again and quarantine the version that is; it was intended before.
    RollBack {
        /// Why; needed.
        reason: String,
    },
    /// Take it out of quarantine.
    Override {
        /// Why; needed.
        reason: String,
    },
    /// Let it answer a share of the requests beside production.
    StartRollout {
        /// The shares, one after another.
        steps: Steps,
        /// The share of the other requests that it gets a copy of.
        shadow: Percent,
        /// Why; may be empty.
        reason: String,
    },
    /// Give it the share of the next step.
    StepRollout {
        /// The share.
        to: Percent,
        /// Why; may be empty.
        reason: String,
    },
    /// Let it have no larger share until somebody has looked.
    PauseRollout {
        /// Why; may be empty.
        reason: String,
    },
    /// Say that it has taken its steps; its promotion follows.
    PromoteRollout {
        /// Why; may be empty.
        reason: String,
    },
    /// Take it out; its quarantine follows.
    AbortRollout {
        /// Why; needed.
        reason: String,
    },
    /// Point an alias at it.
    SetAlias {
        /// The alias.
        alias: Alias,
        /// Why; may be empty.
        reason: String,
    },
}

/// Why an event is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl ModelState {
    /// Returns the state of a model from what an index keeps of it.
    pub fn from_parts(
        versions: BTreeMap<VersionNumber, VersionState>,
        aliases: BTreeMap<Alias, VersionNumber>,
        pending: Option<PendingRollback>,
        rollout: Option<Rollout>,
    ) -> Self {
        let of = |stage: Stage| versions.iter().filter(move |(_, state)| state.stage == stage);
        let production = of(Stage::Production).map(|(version, _)| *version).next();
        let marked = versions.iter().filter(|(_, state)| state.quarantined);
        let quarantined = marked.map(|(version, state)| (state.digest, *version)).collect();
        Self { versions, aliases, pending, rollout, production, quarantined }
    }

    /// Returns the version in production.
    pub fn production(&self) -> Option<VersionNumber> {
        self.production
    }

    /// Returns the version through which the package `digest` is quarantined, if it is.
    pub fn quarantined(&self, digest: &Digest) -> Option<VersionNumber> {
        self.quarantined_as(digest).next()
    }

    /// Returns every version through which the package `digest` is quarantined.
    pub fn quarantined_as(&self, digest: &Digest) -> impl Iterator<Item = VersionNumber> {
        let range = (*digest, VersionNumber(0))..=(*digest, VersionNumber(u32::MAX));
        self.quarantined.range(range).map(|(_, version)| *version)
    }

    /// Returns the packages that stand in the place of `event` before it and after it.
    pub fn digests(&self, event: &LedgerEvent) -> (Option<Digest>, Option<Digest>) {
        let of = |version: Option<VersionNumber>| Some(self.versions.get(&version?)?.digest);
        match event {
            LedgerEvent::Registered { registration, .. } => (None, Some(registration.digest)),
            LedgerEvent::Promoted { version, .. }
            | LedgerEvent::RollbackIntended { version, .. }
            | LedgerEvent::RolledBack { version, .. } => (of(self.production), of(Some(*version))),
            LedgerEvent::RollbackUndone { .. } => (of(self.production), of(self.production)),
            // Beside each other: production first.
            LedgerEvent::RolloutStarted { version, .. }
            | LedgerEvent::RolloutStepped { version, .. }
            | LedgerEvent::RolloutPaused { version, .. }
            | LedgerEvent::RolloutPromoted { version, .. }
            | LedgerEvent::RolloutAborted { version, .. } => (of(self.production), of(Some(*version))),
            LedgerEvent::AliasSet { version, alias, .. } => {
                (of(self.aliases.get(alias).copied()), of(Some(*version)))
            }
            LedgerEvent::AliasDeleted { alias, .. } => (of(self.aliases.get(alias).copied()), None),
            LedgerEvent::ArtefactsRemoved { version, .. } => (of(Some(*version)), None),
            LedgerEvent::Approved { version, .. }
            | LedgerEvent::Rejected { version, .. }
            | LedgerEvent::Staged { version, .. }
            | LedgerEvent::Quarantined { version, .. }
            | LedgerEvent::Signed { version, .. }
            | LedgerEvent::Deployed { version, .. }
            | LedgerEvent::Overridden { version, .. } => (of(Some(*version)), of(Some(*version))),
        }
    }

    fn no_rollback(&self) -> Result<(), Refusal> {
        match &self.pending {
            None => Ok(()),
            Some(pending) => Err(Refusal(format!(
                "a rollback from {} to {} is under way since {}, by {}",
                pending.from, pending.version, pending.time, pending.actor
            ))),
        }
    }

    /// Returns the rollout that is under way.
    pub fn active_rollout(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.is_active())
    }

    fn no_rollout(&self) -> Result<(), Refusal> {
        match self.active_rollout() {
            None => Ok(()),
            Some(rollout) => Err(Refusal(format!(
                "a rollout is under way: {}; `rollout promote` or `rollout abort` ends it",
                rollout.sentence()
            ))),
        }
    }

    fn no_rollout_of(&self, version: VersionNumber) -> Result<(), Refusal> {
        refuse_unless(self.active_rollout().is_none_or(|rollout| rollout.canary != version), || {
            format!("a rollout of {version} is under way: promote or abort that")
        })
    }

    /// Returns the rollout of `version`, which is under way, after `event`.
    fn rolled(
        &self,
        version: VersionNumber,
        digest: &Digest,
        event: RolloutEvent,
    ) -> Result<Rollout, Refusal> {
        let own = self.rollout.as_ref().filter(|rollout| rollout.canary == version);
        let rollout = own.ok_or_else(|| Refusal(format!("there is no rollout of {version}")))?;
        refuse_unless(*digest == rollout.canary_digest, || {
            format!("the rollout is of another package than {version}'s")
        })?;
        let after = rollout::step(rollout, event)?;
        if matches!(event, RolloutEvent::Step { .. } | RolloutEvent::Promote) {
            refuse_unless(self.production == Some(rollout.stable), || {
                let stable = rollout.stable;
                format!("{stable} is not in production any more: abort this rollout and begin another")
            })?;
            self.no_rollback()?;
        }
        Ok(after)
    }

    fn not_quarantined(&self, version: VersionNumber, state: &VersionState) -> Result<(), Refusal> {
        match self.quarantined(&state.digest) {
            None => Ok(()),
            Some(other) => Err(Refusal(format!(
                "the package of {version} is quarantined{}: `--override-quarantine --reason …` takes it out",
                if other == version { String::new() } else { format!(" as {other}") }
            ))),
        }
    }

    /// Quarantine is of a package: what is in production, or about to be, cannot be put there under another number.
    fn not_at_work(&self, version: VersionNumber, digest: &Digest) -> Result<(), Refusal> {
        let is =
            |other: VersionNumber| self.versions.get(&other).is_some_and(|found| found.digest == *digest);
        if let Some(production) = self.production.filter(|production| is(*production)) {
            let what = if production == version {
                format!("{version} is in production")
            } else {
                format!("the package of {version} is in production as {production}")
            };
            return Err(Refusal(format!("{what}: roll back to another version, which quarantines it")));
        }
        match self.pending.as_ref().map(|pending| pending.version).filter(|target| is(*target)) {
            Some(target) => Err(Refusal(format!("a rollback to {target} is under way"))),
            None => Ok(()),
        }
    }

    fn approved_for_production(&self, version: VersionNumber, state: &VersionState) -> Result<(), Refusal> {
        passed(version, state, "reach production")?;
        let approved = state.approval.as_ref().is_some_and(|approval| approval.digest == state.digest);
        refuse_unless(approved, || format!("{version} is not approved"))
    }

    /// Returns the number of the next version; numbers are never used again.
    pub fn next_version(&self) -> VersionNumber {
        VersionNumber(self.versions.keys().next_back().map_or(1, |last| last.0 + 1))
    }

    fn get(&self, version: VersionNumber) -> Result<&VersionState, Refusal> {
        self.versions.get(&version).ok_or_else(|| Refusal(format!("there is no version {version}")))
    }

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
                in_stage(*version, state, &[Stage::Approved, Stage::Staging], "promoted")?;
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
                refuse_unless(!matches!(state.stage, Stage::Quarantined | Stage::Removed), || {
                    format!("{version} is {} already", state.stage)
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
                let kept = matches!(state.stage, Stage::Production | Stage::Staging | Stage::Removed);
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

    /// Marks the package of `version`; whoever has the same package leaves the aliases of staging too.
    fn quarantine(&mut self, version: VersionNumber) {
        self.set_stage(version, Stage::Quarantined);
        let Some(state) = self.versions.get_mut(&version) else { return };
        state.quarantined = true;
        let digest = state.digest;
        self.quarantined.insert((digest, version));
        let versions = &self.versions;
        self.aliases.retain(|alias, target| {
            let same = versions.get(target).is_some_and(|found| found.digest == digest);
            !same || !matches!(alias.as_str(), "challenger" | "staging")
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

fn refuse_unless(holds: bool, why: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal(why())) }
}

fn passed(version: VersionNumber, state: &VersionState, what: &str) -> Result<(), Refusal> {
    refuse_unless(state.verdict == Verdict::Passed, || {
        format!(
            "the verdict of {version} is {}: only a version that passed its gate can {what}",
            state.verdict
        )
    })
}

fn in_stage(
    version: VersionNumber,
    state: &VersionState,
    allowed: &[Stage],
    what: &str,
) -> Result<(), Refusal> {
    refuse_unless(allowed.contains(&state.stage), || match state.stage {
        Stage::Candidate => format!("{version} is a candidate: it must be approved before it can be {what}"),
        Stage::Removed => format!("the artefacts of {version} are removed: it cannot be {what}"),
        stage => format!("{version} is {stage} and cannot be {what}"),
    })
}

fn not_reserved(alias: &Alias) -> Result<(), Refusal> {
    refuse_unless(!RESERVED_ALIASES.contains(&alias.as_str()), || {
        format!("the alias {alias} follows promotion and staging: it cannot be set or removed by hand")
    })
}

fn check_reason(reason: &str, needed: bool) -> Result<(), Refusal> {
    refuse_unless(!needed || !reason.trim().is_empty(), || "a reason is needed".to_owned())?;
    refuse_unless(reason.len() <= MAX_REASON, || {
        format!("the reason has {} bytes; {MAX_REASON} are allowed", reason.len())
    })?;
    let control = reason.chars().any(|letter| is_hidden(letter) && letter != '\n' && letter != '\t');
    refuse_unless(!control, || "the reason holds control characters".to_owned())
}

/// Holds for what a terminal acts on, or reorders text or breaks lines by, without showing it.
fn is_hidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Refuses the name of an actor that a line of the log cannot hold.
///
/// # Errors
/// Says what a name may be.
pub fn check_actor(actor: &str) -> Result<(), Refusal> {
    check_words("the actor's name (`MODELGATE_ACTOR`)", actor)
}

fn overtaken(seen: Option<VersionNumber>, now: Option<VersionNumber>) -> String {
    let words = |version: Option<VersionNumber>| version.map_or("nothing".to_owned(), |one| one.to_string());
    format!(
        "{} reached production meanwhile, where {} was when this was decided: look at it, and promote again if it is \
         still meant",
        words(now),
        words(seen)
    )
}

fn check_words(what: &str, text: &str) -> Result<(), Refusal> {
    refuse_unless(!text.is_empty() && text.len() <= 512 && !text.chars().any(is_hidden), || {
        format!("{what} has 1 to 512 bytes and no control characters")
    })
}

/// Returns the ledger event that `event` leads to, which [`ModelState::check`] allows; the one door.
///
/// # Errors
/// Says why it is not allowed; nothing has then happened.
pub fn decide(
    state: &ModelState,
    model: &ModelName,
    version: VersionNumber,
    event: &Event,
) -> Result<LedgerEvent, Refusal> {
    let model = model.clone();
    let digest = state.get(version)?.digest;
    let production = || state.production().ok_or_else(|| Refusal("nothing is in production".to_owned()));
    let event = match event.clone() {
        Event::Approve { reason } => LedgerEvent::Approved { model, version, digest, reason },
        Event::Reject { reason } => LedgerEvent::Rejected { model, version, reason },
        Event::Promote { over, reason } => {
            let previous = state.production();
            refuse_unless(previous != Some(version), || format!("{version} is in production already"))?;
            refuse_unless(previous == over, || overtaken(over, previous))?;
            LedgerEvent::Promoted { model, version, digest, previous, reason }
        }
        Event::Stage { reason } => LedgerEvent::Staged { model, version, reason },
        Event::IntendRollBack { reason, verification, origin } => {
            let from = production()?;
            LedgerEvent::RollbackIntended { model, version, digest, from, verification, origin, reason }
        }
        Event::UndoRollBack { reason } => LedgerEvent::RollbackUndone { model, version, reason },
        Event::RollBack { reason } => {
            LedgerEvent::RolledBack { model, version, quarantined: production()?, reason }
        }
        Event::Quarantine { reason } => LedgerEvent::Quarantined { model, version, digest, reason },
        Event::Sign { signature, reason } => {
            LedgerEvent::Signed { model, version, digest, signature, reason }
        }
        Event::Deploy { target, reason } => LedgerEvent::Deployed { model, version, digest, target, reason },
        Event::RemoveArtefacts { reason } => LedgerEvent::ArtefactsRemoved { model, version, reason },
        Event::Override { reason } => LedgerEvent::Overridden { model, version, reason },
        Event::StartRollout { steps, shadow, reason } => {
            let stable = production()?;
            LedgerEvent::RolloutStarted { model, version, digest, stable, steps, shadow, reason }
        }
        Event::StepRollout { to, reason } => {
            LedgerEvent::RolloutStepped { model, version, digest, weight: to, reason }
        }
        Event::PauseRollout { reason } => LedgerEvent::RolloutPaused { model, version, digest, reason },
        Event::PromoteRollout { reason } => LedgerEvent::RolloutPromoted { model, version, digest, reason },
        Event::AbortRollout { reason } => LedgerEvent::RolloutAborted { model, version, digest, reason },
        Event::SetAlias { alias, reason } => LedgerEvent::AliasSet { model, version, alias, reason },
    };
    state.check(&event)?;
    Ok(event)
}

/// Returns the events that `event` leads to and the state behind them.
///
/// # Errors
/// Says why it is not allowed; nothing has then happened.
pub fn step(
    state: &ModelState,
    model: &ModelName,
    version: VersionNumber,
    event: &Event,
    actor: &str,
    time: &str,
) -> Result<(ModelState, Vec<LedgerEvent>), Refusal> {
    let event = decide(state, model, version, event)?;
    let mut next = state.clone();
    next.apply(&event, actor, time)?;
    Ok((next, vec![event]))
}
