//! The ledger: append-only, hash-chained events, the truth about versions.
//!
//! The key types are [`LedgerEvent`] and [`LedgerEntry`]. Where the lines are kept is `modelgate-registry`'s
//! business; what an event does to a version is in [`crate::lifecycle`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lifecycle::{ModelState, Refusal};
use crate::schema::Task;
use crate::verdict::Verdict;
use crate::{Alias, Digest, ModelName, RunId, VersionNumber, canonical};

/// The version of the ledger's own form.
pub const LEDGER_VERSION: u32 = 1;

/// Where a version comes from; complete or the version is not registered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that made it.
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
    /// When it was trained, RFC 3339 in UTC.
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
    /// A quarantined version became a candidate again.
    Overridden {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
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
    },
    /// An alias was removed.
    AliasDeleted {
        /// The model.
        model: ModelName,
        /// The alias.
        alias: Alias,
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
            | Self::RolledBack { model, .. }
            | Self::Overridden { model, .. }
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
            | Self::RolledBack { version, .. }
            | Self::Overridden { version, .. }
            | Self::AliasSet { version, .. } => Some(*version),
            Self::AliasDeleted { .. } => None,
        }
    }

    /// Returns the event in words.
    pub fn sentence(&self) -> String {
        let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
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
            Self::RolledBack { version, quarantined, reason, .. } => {
                format!("production rolled back to {version}, {quarantined} quarantined{}", because(reason))
            }
            Self::Overridden { version, reason, .. } => {
                format!("{version} left quarantine{}", because(reason))
            }
            Self::AliasSet { version, alias, .. } => format!("alias {alias} set to {version}"),
            Self::AliasDeleted { alias, .. } => format!("alias {alias} removed"),
        }
    }
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
    /// The hash of the line before; `None` in the first.
    pub previous: Option<Digest>,
    /// The digest of this line's canonical JSON without this key.
    pub hash: Digest,
}

/// The ledger is not what was written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the ledger was changed: line {line}: {what}")]
pub struct ChainError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

impl LedgerEntry {
    /// Returns the entry that follows `previous`, with its hash.
    ///
    /// # Errors
    /// Fails when the event holds a float that JSON cannot hold.
    pub fn seal(
        event: LedgerEvent,
        time: String,
        actor: String,
        previous: Option<&Self>,
    ) -> Result<Self, serde_json::Error> {
        let mut entry = Self {
            schema_version: LEDGER_VERSION,
            seq: previous.map_or(1, |previous| previous.seq + 1),
            time,
            actor,
            event,
            previous: previous.map(|previous| previous.hash),
            hash: Digest::of(&[]),
        };
        entry.hash = entry.compute_hash()?;
        Ok(entry)
    }

    fn compute_hash(&self) -> Result<Digest, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            object.remove("hash");
        }
        canonical::digest(&value)
    }

    /// Returns the line, with its line feed.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(canonical::to_string(self)? + "\n")
    }
}

/// Reads the lines of a ledger and checks the chain: a changed, removed, added or reordered line is found.
/// What this cannot see is lines removed at the end; the index remembers the head for that.
///
/// # Errors
/// Names the first line that is not what was written.
pub fn read_chain(text: &str) -> Result<Vec<LedgerEntry>, ChainError> {
    let mut entries: Vec<LedgerEntry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index as u64 + 1;
        let error = |what: String| ChainError { line: number, what };
        let entry: LedgerEntry = serde_json::from_str(line)
            .map_err(|parse| error(format!("it is not a ledger entry: {parse}")))?;
        if entry.schema_version != LEDGER_VERSION {
            let version = entry.schema_version;
            return Err(error(format!(
                "it has schema version {version}; this modelgate reads {LEDGER_VERSION}"
            )));
        }
        let hash = entry.compute_hash().map_err(|parse| error(parse.to_string()))?;
        if hash != entry.hash {
            return Err(error("its content does not match its hash".to_owned()));
        }
        let previous = entries.last().map(|previous| previous.hash);
        if entry.previous != previous || entry.seq != number {
            return Err(error(
                "it does not follow the line before it: a line was removed, added or moved".to_owned(),
            ));
        }
        // The same values in another spelling would be another file with the same chain.
        if canonical::to_string(&entry).ok().as_deref() != Some(line) {
            return Err(error("it is not in canonical form".to_owned()));
        }
        entries.push(entry);
    }
    Ok(entries)
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
        let model = self.models.entry(entry.event.model().clone()).or_default();
        model.apply(&entry.event, &entry.actor).map_err(|refusal| ReplayError { seq: entry.seq, refusal })
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
