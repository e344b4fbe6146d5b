//! What somebody may want to happen to a version; [`decide`](super::decide) makes an event of the ledger of it.

use crate::ledger::Verification;
use crate::rollout::{Percent, Rollout, Steps};
use crate::verdict::Verdict;
use crate::{Alias, Digest, VersionNumber};

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
        /// Whether it was in production when this was decided; where that is otherwise by then, nothing happens. `None` takes
        /// it as it stands.
        was_production: Option<bool>,
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
        /// The rollout as it stood when this was decided; where it stands otherwise by then, nothing happens. `None` takes
        /// it as it stands.
        seen: Option<Box<Rollout>>,
        /// Why; may be empty.
        reason: String,
    },
    /// Let it have no larger share until somebody has looked.
    PauseRollout {
        /// Why; may be empty.
        reason: String,
    },
    /// Write down what a look at it found.
    WatchRollout {
        /// The share that it had.
        at: Percent,
        /// What was judged.
        verdict: Verdict,
        /// On what; needed.
        reason: String,
    },
    /// Say that it has taken its steps; its promotion follows.
    PromoteRollout {
        /// As of a step.
        seen: Option<Box<Rollout>>,
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
