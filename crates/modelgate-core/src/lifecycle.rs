//! The lifecycle of a version, and the one door to production.
//!
//! [`step`] is the only way to make an event, and [`ModelState::apply`] the only way to act on one; both ask
//! the same [`ModelState::check`], so a ledger written past the door does not replay. A transition is a row of `check.rs` and one of
//! `apply.rs`.

use self::conditions::{no_version, not_reserved_in_capitals, overtaken, refuse_unless};
use crate::ledger::LedgerEvent;
use crate::{ModelName, VersionNumber};

mod apply;
mod check;
mod conditions;
mod event;
mod state;

pub use conditions::{check_actor, check_reason, check_who_acts, reserved_alias};
pub use event::Event;
pub use state::{Approval, ModelState, PendingRollback, Stage, VersionState};

/// Aliases that follow the lifecycle and cannot be set by hand.
pub const RESERVED_ALIASES: [&str; 4] = ["champion", "production", "challenger", "staging"];

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 4096;

/// Why an event is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

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
        Event::Quarantine { was_production, reason } => {
            state.in_production_as(version, was_production)?;
            LedgerEvent::Quarantined { model, version, digest, reason }
        }
        Event::Sign { signature, reason } => {
            LedgerEvent::Signed { model, version, digest, signature, reason }
        }
        Event::Deploy { target, reason } => {
            // Asked of what is new alone: a ledger from before is still read.
            let rejected = state.get(version)?.stage == Stage::Rejected;
            refuse_unless(!rejected, || format!("{version} is rejected and cannot be deployed"))?;
            LedgerEvent::Deployed { model, version, digest, target, reason }
        }
        Event::RemoveArtefacts { reason } => LedgerEvent::ArtefactsRemoved { model, version, reason },
        Event::Override { reason } => LedgerEvent::Overridden { model, version, reason },
        Event::StartRollout { steps, shadow, reason } => {
            let stable = production()?;
            state.approved_for_share(version, steps.first())?;
            LedgerEvent::RolloutStarted { model, version, digest, stable, steps, shadow, reason }
        }
        Event::StepRollout { to, seen, reason } => {
            state.stands_as(seen.as_deref())?;
            state.approved_for_share(version, to)?;
            LedgerEvent::RolloutStepped { model, version, digest, weight: to, reason }
        }
        Event::PauseRollout { reason } => LedgerEvent::RolloutPaused { model, version, digest, reason },
        Event::WatchRollout { at, verdict, reason } => {
            LedgerEvent::RolloutWatched { model, version, digest, weight: at, verdict, reason }
        }
        Event::PromoteRollout { seen, reason } => {
            state.stands_as(seen.as_deref())?;
            LedgerEvent::RolloutPromoted { model, version, digest, reason }
        }
        Event::AbortRollout { reason } => LedgerEvent::RolloutAborted { model, version, digest, reason },
        Event::SetAlias { alias, reason } => {
            no_version(&alias)?;
            not_reserved_in_capitals(&alias)?;
            LedgerEvent::AliasSet { model, version, alias, reason }
        }
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
