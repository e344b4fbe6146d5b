//! The lifecycle of a version, and the one door to production.
//!
//! [`step`] is the only way to make an event, and [`ModelState::apply`] the only way to act on one; both ask
//! the same [`ModelState::check`], so a ledger written past the door does not replay.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ledger::{LedgerEvent, Registration};
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
    /// Rolled back from.
    Quarantined,
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
        })
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
}

/// One version.
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
    /// What was registered.
    pub registration: Box<Registration>,
}

/// All versions and aliases of one model.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ModelState {
    /// The versions.
    pub versions: BTreeMap<VersionNumber, VersionState>,
    /// What each alias points at.
    pub aliases: BTreeMap<Alias, VersionNumber>,
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
        /// Why; may be empty.
        reason: String,
    },
    /// Move it to staging.
    Stage {
        /// Why; may be empty.
        reason: String,
    },
    /// Make it production again and quarantine the version that is.
    RollBack {
        /// Why; needed.
        reason: String,
    },
    /// Take it out of quarantine.
    Override {
        /// Why; needed.
        reason: String,
    },
    /// Point an alias at it.
    SetAlias {
        /// The alias.
        alias: Alias,
    },
}

/// Why an event is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl ModelState {
    /// Returns the version in production.
    pub fn production(&self) -> Option<VersionNumber> {
        self.versions.iter().find(|(_, state)| state.stage == Stage::Production).map(|(version, _)| *version)
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
                in_stage(*version, state, &[Stage::Candidate, Stage::Staging], "approved")?;
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
                passed(*version, state, "reach production")?;
                in_stage(*version, state, &[Stage::Approved, Stage::Staging], "promoted")?;
                let approved =
                    state.approval.as_ref().is_some_and(|approval| approval.digest == state.digest);
                refuse_unless(approved, || format!("{version} is not approved"))?;
                refuse_unless(*digest == state.digest, || {
                    format!("the promotion is for another package than {version}'s")
                })?;
                refuse_unless(*previous == self.production(), || {
                    "another version reached production meanwhile".to_owned()
                })
            }
            LedgerEvent::Staged { version, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, false)?;
                passed(*version, state, "be staged")?;
                in_stage(*version, state, &[Stage::Candidate, Stage::Approved], "staged")
            }
            LedgerEvent::RolledBack { version, quarantined, reason, .. } => {
                let state = self.get(*version)?;
                check_reason(reason, true)?;
                passed(*version, state, "reach production")?;
                in_stage(*version, state, &[Stage::Archived], "rolled back to")?;
                let approved =
                    state.approval.as_ref().is_some_and(|approval| approval.digest == state.digest);
                refuse_unless(approved, || format!("{version} is not approved"))?;
                let production = self.production();
                refuse_unless(production == Some(*quarantined), || {
                    format!("{quarantined} is not in production")
                })
            }
            LedgerEvent::Overridden { version, reason, .. } => {
                check_reason(reason, true)?;
                in_stage(*version, self.get(*version)?, &[Stage::Quarantined], "taken out of quarantine")
            }
            LedgerEvent::AliasSet { version, alias, .. } => {
                self.get(*version)?;
                not_reserved(alias)
            }
            LedgerEvent::AliasDeleted { alias, .. } => {
                not_reserved(alias)?;
                refuse_unless(self.aliases.contains_key(alias), || format!("there is no alias {alias}"))
            }
        }
    }

    /// Acts on an event that [`Self::check`] allows.
    ///
    /// # Errors
    /// As [`Self::check`]; the state is then unchanged.
    pub fn apply(&mut self, event: &LedgerEvent, actor: &str) -> Result<(), Refusal> {
        self.check(event)?;
        match event {
            LedgerEvent::Registered { version, registration, .. } => {
                let state = VersionState {
                    stage: Stage::Candidate,
                    verdict: registration.verdict,
                    digest: registration.digest,
                    approval: None,
                    registration: registration.clone(),
                };
                self.versions.insert(*version, state);
            }
            LedgerEvent::Approved { version, digest, reason, .. } => {
                if let Some(state) = self.versions.get_mut(version) {
                    let approval =
                        Approval { digest: *digest, actor: actor.to_owned(), reason: reason.clone() };
                    state.approval = Some(approval);
                    state.stage = Stage::Approved;
                }
            }
            LedgerEvent::Rejected { version, .. } => self.set_stage(*version, Stage::Rejected),
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
            LedgerEvent::RolledBack { version, quarantined, .. } => {
                self.set_stage(*quarantined, Stage::Quarantined);
                self.enter_production(*version);
            }
            LedgerEvent::Overridden { version, .. } => {
                // What it was approved for has failed once: it must be approved again.
                if let Some(state) = self.versions.get_mut(version) {
                    state.approval = None;
                }
                self.set_stage(*version, Stage::Candidate);
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

    fn set_stage(&mut self, version: VersionNumber, stage: Stage) {
        if let Some(state) = self.versions.get_mut(&version) {
            state.stage = stage;
        }
    }

    fn enter_production(&mut self, version: VersionNumber) {
        self.set_stage(version, Stage::Production);
        self.point(&["champion", "production"], version);
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
    let control = reason.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t');
    refuse_unless(!control, || "the reason holds control characters".to_owned())
}

/// Returns the events that `event` leads to and the state behind them; the one door.
///
/// # Errors
/// Says why it is not allowed; nothing has then happened.
pub fn step(
    state: &ModelState,
    model: &ModelName,
    version: VersionNumber,
    event: &Event,
    actor: &str,
) -> Result<(ModelState, Vec<LedgerEvent>), Refusal> {
    let model = model.clone();
    let digest = state.get(version)?.digest;
    let event = match event.clone() {
        Event::Approve { reason } => LedgerEvent::Approved { model, version, digest, reason },
        Event::Reject { reason } => LedgerEvent::Rejected { model, version, reason },
        Event::Promote { reason } => {
            let previous = state.production();
            refuse_unless(previous != Some(version), || format!("{version} is in production already"))?;
            LedgerEvent::Promoted { model, version, digest, previous, reason }
        }
        Event::Stage { reason } => LedgerEvent::Staged { model, version, reason },
        Event::RollBack { reason } => {
            let production =
                state.production().ok_or_else(|| Refusal("nothing is in production".to_owned()))?;
            refuse_unless(production != version, || format!("{version} is in production already"))?;
            LedgerEvent::RolledBack { model, version, quarantined: production, reason }
        }
        Event::Override { reason } => LedgerEvent::Overridden { model, version, reason },
        Event::SetAlias { alias } => LedgerEvent::AliasSet { model, version, alias },
    };
    let mut next = state.clone();
    next.apply(&event, actor)?;
    Ok((next, vec![event]))
}
