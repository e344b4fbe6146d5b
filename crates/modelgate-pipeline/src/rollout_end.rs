//! How a rollout ends whose canary is taken out.

use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::{Event, ModelState};
use modelgate_core::rollout::Rollout;

/// Returns what ends a rollout. Its canary is quarantined, unless the version that it stood beside left production: then the
/// rollout can do nothing but end, and that says nothing against the canary.
pub fn abort_events(state: &ModelState, rollout: &Rollout, reason: &str) -> Vec<(VersionNumber, Event)> {
    let reason = if reason.trim().is_empty() { "aborted" } else { reason };
    let mut events = vec![(rollout.canary, Event::AbortRollout { reason: reason.to_owned() })];
    if state.production() == Some(rollout.stable) {
        events.push((rollout.canary, Event::Quarantine { was_production: None, reason: reason.to_owned() }));
    }
    events
}
