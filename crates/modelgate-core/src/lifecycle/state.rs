//! Where the versions of a model stand: what a ledger has led to, and what can be asked of it.
//!
//! Nothing changes here: what is allowed is `check.rs`, what an event does is `apply.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::ledger::LedgerEvent;
use crate::rollout::Rollout;
use crate::verdict::Verdict;
use crate::{Alias, Digest, VersionNumber};

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
    pub(super) production: Option<VersionNumber>,
    /// Follows from `versions`: the packages that are quarantined, each with its version.
    pub(super) quarantined: BTreeSet<(Digest, VersionNumber)>,
}

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
            | LedgerEvent::RolloutWatched { version, .. }
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

    /// Returns the rollout that is under way.
    pub fn active_rollout(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.is_active())
    }

    /// Returns the number of the next version; numbers are never used again.
    pub fn next_version(&self) -> VersionNumber {
        VersionNumber(self.versions.keys().next_back().map_or(1, |last| last.0 + 1))
    }

    pub(super) fn get(&self, version: VersionNumber) -> Result<&VersionState, Refusal> {
        self.versions.get(&version).ok_or_else(|| Refusal(format!("there is no version {version}")))
    }
}
