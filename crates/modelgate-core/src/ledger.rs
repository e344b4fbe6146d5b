//! The ledger: append-only, hash-chained events, the truth about versions.
//!
//! The key types are [`LedgerEvent`] and [`LedgerEntry`]. Where the lines are kept is `modelgate-registry`'s
//! business; what an event does to a version is in [`crate::lifecycle`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lifecycle::{ModelState, Refusal};
use crate::rollout::{Percent, Steps};
use crate::schema::Task;
use crate::verdict::Verdict;
use crate::{Alias, Digest, ModelName, RunId, VersionNumber, canonical};

/// The version of the ledger's own form.
pub const LEDGER_VERSION: u32 = 1;

/// Where a version comes from; complete or the version is not registered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that registered it; an earlier one may have trained it.
    pub run_id: RunId,
    /// The digest of the settings that make the model.
    pub config: Digest,
    /// The digest of the data set.
    pub dataset: Digest,
    /// What the model is for.
    pub task: Task,
    /// The trainer.
    pub algorithm: String,
    /// The seed.
    pub seed: u64,
    /// When it was trained, RFC 3339 in UTC; when it was taken in, of a model that was made elsewhere.
    pub trained_at: String,
    /// The version of modelgate.
    pub tool_version: String,
}

/// A new version with its verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The package.
    pub digest: Digest,
    /// The verdict of its gate.
    pub verdict: Verdict,
    /// The digest of `verdict.json`.
    pub verdict_digest: Digest,
    /// Whether there was nothing to compare it with.
    pub bootstrap: bool,
    /// Where it comes from.
    pub lineage: Lineage,
    /// The figures on the gate's subset.
    pub metrics: BTreeMap<String, f64>,
    /// The package's files and the attached ones, by name.
    pub files: BTreeMap<String, Digest>,
    /// What the registry keeps to check it by and never ships, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Digest>,
}

/// Whether the target of a rollback was verified before anything moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Digests hold, it loads, and it gives its stored answers.
    Verified,
    /// Somebody asked not to.
    Skipped,
}

/// One thing that happened to a version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// A judged candidate became a version.
    Registered {
        /// The model.
        model: ModelName,
        /// The version, one above the last.
        version: VersionNumber,
        /// What it is.
        registration: Box<Registration>,
    },
    /// A person or a policy approved it.
    Approved {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// The package that was approved.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// A person rejected it.
    Rejected {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// It went to production; the one before was archived.
    Promoted {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// The package.
        digest: Digest,
        /// The version that was in production before.
        previous: Option<VersionNumber>,
        /// Why.
        reason: String,
    },
    /// It went to staging.
    Staged {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// Production is about to go back to it; nothing has changed yet.
    RollbackIntended {
        /// The model.
        model: ModelName,
        /// The version to go back to.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// The version in production.
        from: VersionNumber,
        /// Whether the target was verified before this record was written.
        verification: Verification,
        /// The checkout that does it, so that no other takes it for its own.
        origin: String,
        /// Why.
        reason: String,
    },
    /// An intended rollback did not take place; production is what it was.
    RollbackUndone {
        /// The model.
        model: ModelName,
        /// The version that was to be gone back to.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// Production went back to it; the one before was quarantined.
    RolledBack {
        /// The model.
        model: ModelName,
        /// The version that is in production again.
        version: VersionNumber,
        /// The version that was in production and is quarantined.
        quarantined: VersionNumber,
        /// Why.
        reason: String,
    },
    /// It may not reach production any more.
    Quarantined {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// Its package was signed.
    Signed {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// The digest of `model.sig`.
        signature: Digest,
        /// Why.
        reason: String,
    },
    /// It was brought to a place that serves it.
    Deployed {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// The place, such as `kubernetes/prod`.
        target: String,
        /// Why.
        reason: String,
    },
    /// Its artefacts were removed: nothing needed them any more.
    ArtefactsRemoved {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// A quarantined version became a candidate again.
    Overridden {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// It began to answer a share of the requests beside the version in production.
    RolloutStarted {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// The version in production.
        stable: VersionNumber,
        /// The shares it is to get, one after another.
        steps: Steps,
        /// The share of the other requests that it gets a copy of.
        shadow: Percent,
        /// Why.
        reason: String,
    },
    /// The canary got a larger share.
    RolloutStepped {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Its share.
        weight: Percent,
        /// Why.
        reason: String,
    },
    /// The canary keeps its share until somebody has looked.
    RolloutPaused {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// Somebody looked at the canary at its share.
    RolloutWatched {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Its share.
        weight: Percent,
        /// What was judged.
        verdict: Verdict,
        /// On what.
        reason: String,
    },
    /// The canary took all of its steps; its promotion follows.
    RolloutPromoted {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// The canary was taken out; its quarantine follows.
    RolloutAborted {
        /// The model.
        model: ModelName,
        /// The canary.
        version: VersionNumber,
        /// Its package.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// An alias was pointed at it.
    AliasSet {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// The alias.
        alias: Alias,
        /// Why; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// An alias was removed.
    AliasDeleted {
        /// The model.
        model: ModelName,
        /// The alias.
        alias: Alias,
        /// Why; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
}

impl LedgerEvent {
    /// Returns the model it is about.
    pub fn model(&self) -> &ModelName {
        match self {
            Self::Registered { model, .. }
            | Self::Approved { model, .. }
            | Self::Rejected { model, .. }
            | Self::Promoted { model, .. }
            | Self::Staged { model, .. }
            | Self::RollbackIntended { model, .. }
            | Self::RollbackUndone { model, .. }
            | Self::RolledBack { model, .. }
            | Self::Quarantined { model, .. }
            | Self::Signed { model, .. }
            | Self::Deployed { model, .. }
            | Self::ArtefactsRemoved { model, .. }
            | Self::Overridden { model, .. }
            | Self::RolloutStarted { model, .. }
            | Self::RolloutStepped { model, .. }
            | Self::RolloutPaused { model, .. }
            | Self::RolloutWatched { model, .. }
            | Self::RolloutPromoted { model, .. }
            | Self::RolloutAborted { model, .. }
            | Self::AliasSet { model, .. }
            | Self::AliasDeleted { model, .. } => model,
        }
    }

    /// Returns the version it is about, if it is about one.
    pub fn version(&self) -> Option<VersionNumber> {
        match self {
            Self::Registered { version, .. }
            | Self::Approved { version, .. }
            | Self::Rejected { version, .. }
            | Self::Promoted { version, .. }
            | Self::Staged { version, .. }
            | Self::RollbackIntended { version, .. }
            | Self::RollbackUndone { version, .. }
            | Self::RolledBack { version, .. }
            | Self::Quarantined { version, .. }
            | Self::Signed { version, .. }
            | Self::Deployed { version, .. }
            | Self::ArtefactsRemoved { version, .. }
            | Self::Overridden { version, .. }
            | Self::RolloutStarted { version, .. }
            | Self::RolloutStepped { version, .. }
            | Self::RolloutPaused { version, .. }
            | Self::RolloutWatched { version, .. }
            | Self::RolloutPromoted { version, .. }
            | Self::RolloutAborted { version, .. }
            | Self::AliasSet { version, .. } => Some(*version),
            Self::AliasDeleted { .. } => None,
        }
    }

    /// Returns the versions that it changes.
    pub fn touches(&self) -> Vec<VersionNumber> {
        let second = match self {
            Self::Promoted { previous, .. } => *previous,
            Self::RolledBack { quarantined, .. } => Some(*quarantined),
            _ => None,
        };
        self.version().into_iter().chain(second).collect()
    }

    /// Returns the event in words.
    pub fn sentence(&self) -> String {
        // A line feed in a reason must not make a second line that looks like an event.
        let because = |reason: &str| {
            if reason.is_empty() { String::new() } else { format!(": {}", reason.replace('\n', " / ")) }
        };
        match self {
            Self::Registered { version, registration, .. } => {
                let bootstrap = if registration.bootstrap { ", bootstrap" } else { "" };
                format!(
                    "{version} registered, {}{bootstrap}, sha256:{}",
                    registration.verdict,
                    registration.digest.short()
                )
            }
            Self::Approved { version, reason, .. } => format!("{version} approved{}", because(reason)),
            Self::Rejected { version, reason, .. } => format!("{version} rejected{}", because(reason)),
            Self::Promoted { version, previous, reason, .. } => {
                let before = previous.map_or_else(String::new, |previous| format!(", {previous} archived"));
                format!("{version} promoted to production{before}{}", because(reason))
            }
            Self::Staged { version, reason, .. } => format!("{version} staged{}", because(reason)),
            Self::RollbackIntended { version, from, verification, reason, .. } => {
                let skipped =
                    if *verification == Verification::Skipped { ", verification skipped" } else { "" };
                format!("rollback from {from} to {version} intended{skipped}{}", because(reason))
            }
            Self::RollbackUndone { version, reason, .. } => {
                format!("rollback to {version} undone{}", because(reason))
            }
            Self::Quarantined { version, reason, .. } => format!("{version} quarantined{}", because(reason)),
            Self::Signed { version, signature, reason, .. } => {
                format!("{version} signed, sha256:{}{}", signature.short(), because(reason))
            }
            Self::Deployed { version, target, reason, .. } => {
                format!("{version} deployed to {target}{}", because(reason))
            }
            Self::ArtefactsRemoved { version, reason, .. } => {
                format!("artefacts of {version} removed{}", because(reason))
            }
            Self::RolledBack { version, quarantined, reason, .. } => {
                format!("production rolled back to {version}, {quarantined} quarantined{}", because(reason))
            }
            Self::Overridden { version, reason, .. } => {
                format!("{version} left quarantine{}", because(reason))
            }
            Self::RolloutStarted { version, stable, steps, shadow, reason, .. } => {
                let mirrored =
                    if *shadow == Percent::ZERO { String::new() } else { format!(", {shadow} mirrored") };
                format!(
                    "rollout of {version} beside {stable} started, steps {steps}{mirrored}{}",
                    because(reason)
                )
            }
            Self::RolloutStepped { version, weight, reason, .. } => {
                format!("rollout of {version} at {weight}{}", because(reason))
            }
            Self::RolloutPaused { version, reason, .. } => {
                format!("rollout of {version} paused{}", because(reason))
            }
            Self::RolloutWatched { version, weight, reason, .. } => {
                format!("rollout of {version} watched at {weight}{}", because(reason))
            }
            Self::RolloutPromoted { version, reason, .. } => {
                format!("rollout of {version} has taken its steps{}", because(reason))
            }
            Self::RolloutAborted { version, reason, .. } => {
                format!("rollout of {version} aborted{}", because(reason))
            }
            Self::AliasSet { version, alias, reason, .. } => {
                format!("alias {alias} set to {version}{}", because(reason))
            }
            Self::AliasDeleted { alias, reason, .. } => format!("alias {alias} removed{}", because(reason)),
        }
    }
}

/// The last event of a ledger, as far as the next one needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// One line of the ledger.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// The version of this form, [`LEDGER_VERSION`].
    pub schema_version: u32,
    /// The line's number, from 1.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Who.
    pub actor: String,
    /// What.
    pub event: LedgerEvent,
    /// The package that stood in the event's place before: production, the alias, or the version itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The package that stands there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// The hash of the line before; `None` in the first.
    pub previous: Option<Digest>,
    /// The digest of this line's canonical JSON without this key.
    pub hash: Digest,
}

impl LedgerEntry {
    /// Returns the entry that follows `previous`, with its hash; `digests` stood before and stand after it.
    ///
    /// # Errors
    /// Fails when the event holds a float that JSON cannot hold.
    pub fn seal(
        event: LedgerEvent,
        digests: (Option<Digest>, Option<Digest>),
        time: String,
        actor: String,
        previous: Option<Head>,
    ) -> Result<Self, serde_json::Error> {
        let mut entry = Self {
            schema_version: LEDGER_VERSION,
            seq: previous.map_or(1, |previous| previous.seq + 1),
            time,
            actor,
            event,
            before: digests.0,
            after: digests.1,
            previous: previous.map(|previous| previous.hash),
            hash: Digest::of(&[]),
        };
        entry.hash = entry.compute_hash()?;
        Ok(entry)
    }

    pub(crate) fn compute_hash(&self) -> Result<Digest, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            object.remove("hash");
        }
        canonical::digest(&value)
    }

    /// Returns what the next entry needs to know of this one.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// Returns the line, with its line feed.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(canonical::to_string(self)? + "\n")
    }
}

/// Every model that the ledger knows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RegistryState {
    /// The models by name.
    pub models: BTreeMap<ModelName, ModelState>,
}

/// An entry that the lifecycle does not allow: somebody wrote it past the door.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("ledger line {seq} is not allowed: {refusal}")]
pub struct ReplayError {
    /// The line.
    pub seq: u64,
    /// Why.
    pub refusal: Refusal,
}

impl RegistryState {
    /// Applies one entry.
    ///
    /// # Errors
    /// Fails when the lifecycle does not allow the event.
    pub fn apply(&mut self, entry: &LedgerEntry) -> Result<(), ReplayError> {
        let name = entry.event.model();
        if !self.models.contains_key(name) {
            self.models.insert(name.clone(), ModelState::default());
        }
        let Some(model) = self.models.get_mut(name) else { return Ok(()) };
        model
            .apply(&entry.event, &entry.actor, &entry.time)
            .map_err(|refusal| ReplayError { seq: entry.seq, refusal })
    }

    /// Returns the state that `entries` lead to.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a LedgerEntry>) -> Result<Self, ReplayError> {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry)?;
        }
        Ok(state)
    }
}
