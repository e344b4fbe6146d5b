//! What became of a rollout since somebody looked at it: who decides by an older look is told.

use std::fmt;

use super::{Percent, Rollout, RolloutState};

/// How a rollout stands now, against how it stood when somebody looked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meanwhile {
    /// As it stood then.
    Same,
    /// The canary has the share that it had, and somebody wants a look before it gets more. Holds who and why, in words.
    Paused(String),
    /// The canary was taken out. Holds why.
    TakenOut(String),
    /// The canary has another share, or it is another rollout. Holds what it is, in words.
    Moved(String),
}

impl fmt::Display for Meanwhile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => formatter.write_str("nothing happened meanwhile"),
            Self::TakenOut(reason) => write!(formatter, "the canary was taken out meanwhile: {reason}"),
            Self::Paused(what) | Self::Moved(what) => formatter.write_str(what),
        }
    }
}

/// Returns what became of the rollout that was `seen`; `now` is the model's newest one.
pub fn meanwhile(seen: &Rollout, now: Option<&Rollout>) -> Meanwhile {
    let canary = seen.canary;
    let Some(now) = now else {
        return Meanwhile::Moved(format!("the ledger does not know the rollout of {canary} any more"));
    };
    // What somebody else found of the same canary moves nothing.
    if (Rollout { watched: seen.watched.clone(), ..now.clone() }) == *seen {
        return Meanwhile::Same;
    }
    let by = &now.actor;
    let same = (now.canary, now.canary_digest, now.stable_digest, &now.steps)
        == (canary, seen.canary_digest, seen.stable_digest, &seen.steps);
    let share = |rollout: &Rollout| rollout.steps.get(rollout.at).unwrap_or(Percent::ZERO);
    match now.state {
        _ if !same => Meanwhile::Moved(format!("another rollout was started meanwhile: {}", now.sentence())),
        RolloutState::Aborted => Meanwhile::TakenOut(now.reason.clone()),
        RolloutState::Promoted => Meanwhile::Moved(format!("{canary} was promoted meanwhile, by {by}")),
        _ if now.at != seen.at => Meanwhile::Moved(format!(
            "{canary} went from {} to {} meanwhile, by {by}",
            share(seen),
            share(now)
        )),
        RolloutState::Paused => {
            let why = if now.reason.is_empty() { String::new() } else { format!(": {}", now.reason) };
            Meanwhile::Paused(format!("{canary} was paused meanwhile by {by}{why}"))
        }
        RolloutState::Running => {
            Meanwhile::Moved(format!("the rollout of {canary} was begun anew meanwhile, by {by}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{Finding, Steps};
    use crate::{Digest, Verdict, VersionNumber};

    fn rollout() -> Rollout {
        Rollout {
            canary: VersionNumber(2),
            canary_digest: Digest::of(b"two"),
            stable: VersionNumber(1),
            stable_digest: Digest::of(b"one"),
            steps: Steps::new([10, 50, 90].map(Percent).to_vec()).expect("steps"),
            shadow: Percent::ZERO,
            at: 0,
            state: RolloutState::Running,
            reason: String::new(),
            actor: "ann".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            watched: None,
        }
    }

    #[test]
    fn whatever_happened_since_a_look_is_told() {
        let seen = rollout();
        let by = |state: RolloutState, reason: &str| Rollout {
            state,
            reason: reason.to_owned(),
            actor: "bob".to_owned(),
            time: "2026-01-01T00:01:00Z".to_owned(),
            ..rollout()
        };
        let stepped = Rollout { at: 1, ..by(RolloutState::Running, "") };
        let other = Rollout { canary: VersionNumber(3), ..by(RolloutState::Running, "") };
        let moved = |what: &str| Meanwhile::Moved(what.to_owned());
        let finding = Finding { verdict: Verdict::Passed, sentence: String::new() };
        let watched = Rollout { watched: Some(finding), ..rollout() };
        for (now, expected) in [
            (Some(&seen), Meanwhile::Same),
            (Some(&watched), Meanwhile::Same),
            (
                Some(&by(RolloutState::Paused, "odd answers")),
                Meanwhile::Paused("v002 was paused meanwhile by bob: odd answers".to_owned()),
            ),
            (Some(&by(RolloutState::Aborted, "worse")), Meanwhile::TakenOut("worse".to_owned())),
            (Some(&by(RolloutState::Promoted, "")), moved("v002 was promoted meanwhile, by bob")),
            (Some(&stepped), moved("v002 went from 10% to 50% meanwhile, by bob")),
            (
                Some(&by(RolloutState::Running, "")),
                moved("the rollout of v002 was begun anew meanwhile, by bob"),
            ),
            (
                Some(&other),
                moved(
                    "another rollout was started meanwhile: v003 beside v001, running at 10% (step 1 of 3)",
                ),
            ),
            (None, moved("the ledger does not know the rollout of v002 any more")),
        ] {
            assert_eq!(meanwhile(&seen, now), expected);
        }
    }
}
