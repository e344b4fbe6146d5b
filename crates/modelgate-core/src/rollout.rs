//! The rollout of a canary: a new version gets a growing share of the requests until it is promoted or aborted.
//!
//! The key type is [`Rollout`]; [`step`] is the only way it changes. Where requests are sent follows from it by
//! [`Rollout::split`]: who routes does what this says. Whether a version may be a canary is in [`crate::lifecycle`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lifecycle::Refusal;
use crate::{Digest, Verdict, VersionNumber};

mod meanwhile;

pub use meanwhile::{Meanwhile, meanwhile};

/// A whole share of a hundred.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Returns the share, if it is one.
    pub fn new(value: u8) -> Option<Self> {
        (value <= 100).then_some(Self(value))
    }

    /// Returns the number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Returns whether it is more than half: who answers so many requests is production under another name.
    pub fn is_most(self) -> bool {
        self.0 > 50
    }

    /// Returns what is left of the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100 - self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().strip_suffix('%').unwrap_or(text.trim());
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let value = digits.then(|| number.parse().ok().and_then(Self::new)).flatten();
        value.ok_or_else(|| format!("`{text}` is not a share: expected a whole number from 0 to 100"))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u8::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{value}` is not a share: expected 0 to 100"));
        Self::new(value).ok_or_else(wrong)
    }
}

/// Who gets how much; the two are always the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrafficSplit {
    canary: Percent,
}

impl TrafficSplit {
    /// Returns the split that gives the canary this share.
    pub fn to_canary(canary: Percent) -> Self {
        Self { canary }
    }

    /// Returns the share of the new version.
    pub fn canary(self) -> Percent {
        self.canary
    }

    /// Returns the share of the version in production.
    pub fn stable(self) -> Percent {
        self.canary.rest()
    }
}

/// The shares a canary gets one after another: each above the one before. The first may be 0, for a canary that only
/// sees copies of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Steps(Vec<Percent>);

impl Steps {
    /// The most.
    pub const MOST: usize = 20;

    /// Returns the steps, if they are some.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn new(steps: Vec<Percent>) -> Result<Self, String> {
        if steps.is_empty() || steps.len() > Self::MOST {
            return Err(format!("expected 1 to {} steps such as 5, 25, 50, 100", Self::MOST));
        }
        let falls = |pair: &[Percent]| match pair {
            [one, other] if one >= other => Some((*one, *other)),
            _ => None,
        };
        if let Some((one, other)) = steps.windows(2).find_map(falls) {
            return Err(format!("the step {other} stands behind {one}: each is above the one before"));
        }
        if steps.last() == Some(&Percent::ZERO) {
            return Err("the last step gives the canary nothing".to_owned());
        }
        Ok(Self(steps))
    }

    /// Returns the shares.
    pub fn as_slice(&self) -> &[Percent] {
        &self.0
    }

    /// Returns the share that a canary begins with.
    pub fn first(&self) -> Percent {
        self.get(0).unwrap_or(Percent::ZERO)
    }

    fn get(&self, at: usize) -> Option<Percent> {
        self.0.get(at).copied()
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self([5, 25, 50, 100].map(Percent).to_vec())
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&steps.join(", "))
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How a rollout stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// The canary has the share of its step.
    Running,
    /// It has that share too, and somebody must look before it gets more.
    Paused,
    /// The canary went to production.
    Promoted,
    /// The canary was taken out.
    Aborted,
}

impl fmt::Display for RolloutState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
        })
    }
}

/// What a look at a canary found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// What was judged.
    pub verdict: Verdict,
    /// On what, in words.
    pub sentence: String,
}

/// A canary beside the version in production.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rollout {
    /// The new version.
    pub canary: VersionNumber,
    /// Its package.
    pub canary_digest: Digest,
    /// The version in production when it began.
    pub stable: VersionNumber,
    /// Its package.
    pub stable_digest: Digest,
    /// The shares, one after another.
    pub steps: Steps,
    /// The share of the other requests that the canary gets a copy of.
    pub shadow: Percent,
    /// The step it is at.
    pub at: usize,
    /// How it stands.
    pub state: RolloutState,
    /// Why it stands so.
    pub reason: String,
    /// Who made it stand so.
    pub actor: String,
    /// Since when, RFC 3339 in UTC.
    pub time: String,
    /// What the last look that was written down found since it stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Finding>,
}

/// What somebody wants of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RolloutEvent {
    /// Give the canary the share of the next step. Naming it keeps two who saw the same from moving twice.
    Step {
        /// The share.
        to: Percent,
    },
    /// Let nobody go on without a look.
    Pause,
    /// Write down what a look found, at the share that it is about.
    Watch {
        /// The share.
        at: Percent,
    },
    /// End it: the canary is production.
    Promote,
    /// End it: the canary is taken out.
    Abort,
}

impl Rollout {
    /// Returns whether the canary is beside production.
    pub fn is_active(&self) -> bool {
        matches!(self.state, RolloutState::Running | RolloutState::Paused)
    }

    /// Returns where requests go. Once it has ended there is no canary: what is in production gets everything.
    pub fn split(&self) -> TrafficSplit {
        let share = if self.is_active() { self.steps.get(self.at) } else { None };
        TrafficSplit::to_canary(share.unwrap_or(Percent::ZERO))
    }

    /// Returns the share of requests to production that the canary gets a copy of.
    pub fn mirrored(&self) -> Percent {
        if self.is_active() { self.shadow } else { Percent::ZERO }
    }

    /// Returns the share of the next step, if there is one.
    pub fn next(&self) -> Option<Percent> {
        if self.is_active() { self.steps.get(self.at + 1) } else { None }
    }

    /// Returns how it stands, in words.
    pub fn sentence(&self) -> String {
        let Self { canary, stable, state, .. } = self;
        if self.is_active() {
            let (at, of) = (self.at + 1, self.steps.0.len());
            format!("{canary} beside {stable}, {state} at {} (step {at} of {of})", self.split().canary())
        } else {
            format!("{canary} beside {stable}, {state}")
        }
    }
}

/// Returns the rollout after `event`.
///
/// # Errors
/// Says why it is not allowed.
pub fn step(rollout: &Rollout, event: RolloutEvent) -> Result<Rollout, Refusal> {
    let refuse = |sentence: String| Err(Refusal(sentence));
    let canary = rollout.canary;
    if !rollout.is_active() {
        return refuse(format!("the rollout of {canary} is {} already", rollout.state));
    }
    let mut after = rollout.clone();
    let now = rollout.split().canary();
    match event {
        RolloutEvent::Step { to } => match rollout.next() {
            None => {
                return refuse(format!(
                    "{canary} has the share of its last step, {now}: promote it or abort it"
                ));
            }
            Some(next) if next != to => {
                return refuse(format!("{canary} has {now} and the next step is {next}, not {to}"));
            }
            Some(_) => {
                after.at += 1;
                after.state = RolloutState::Running;
                after.watched = None;
            }
        },
        RolloutEvent::Pause => {
            if rollout.state == RolloutState::Paused {
                return refuse(format!("the rollout of {canary} is paused already"));
            }
            after.state = RolloutState::Paused;
            after.watched = None;
        }
        RolloutEvent::Watch { at } => {
            if at != now {
                return refuse(format!("{canary} has {now} by now, and was looked at with {at}"));
            }
        }
        RolloutEvent::Promote => {
            if let Some(next) = rollout.next() {
                return refuse(format!(
                    "{canary} has {now} and has not taken all of its steps: the next is {next}"
                ));
            }
            after.state = RolloutState::Promoted;
        }
        RolloutEvent::Abort => after.state = RolloutState::Aborted,
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rollout(steps: &[u8]) -> Rollout {
        let steps = steps.iter().filter_map(|step| Percent::new(*step)).collect();
        Rollout {
            canary: VersionNumber(2),
            canary_digest: Digest::of(b"two"),
            stable: VersionNumber(1),
            stable_digest: Digest::of(b"one"),
            steps: Steps::new(steps).expect("steps"),
            shadow: Percent(10),
            at: 0,
            state: RolloutState::Running,
            reason: String::new(),
            actor: String::new(),
            time: String::new(),
            watched: None,
        }
    }

    fn said(rollout: &Rollout, event: RolloutEvent) -> String {
        step(rollout, event).expect_err("refused").0
    }

    #[test]
    fn a_canary_goes_up_step_by_step_and_is_promoted_at_the_end() {
        let mut now = rollout(&[0, 25, 100]);
        assert!(
            said(&now, RolloutEvent::Promote).contains("has not taken all of its steps: the next is 25%")
        );
        assert!(
            said(&now, RolloutEvent::Step { to: Percent(100) }).contains("the next step is 25%, not 100%")
        );
        for share in [25, 100] {
            now = step(&now, RolloutEvent::Step { to: Percent(share) }).expect("allowed");
            assert_eq!(now.split().canary().get(), share);
        }
        assert!(said(&now, RolloutEvent::Step { to: Percent(100) }).contains("promote it or abort it"));
        let ended = step(&now, RolloutEvent::Promote).expect("allowed");
        assert_eq!((ended.split().canary(), ended.mirrored()), (Percent::ZERO, Percent::ZERO));
        assert!(said(&ended, RolloutEvent::Abort).contains("is promoted already"));
    }

    #[test]
    fn a_pause_keeps_the_share_and_a_step_goes_on() {
        let paused = step(&rollout(&[5, 50]), RolloutEvent::Pause).expect("allowed");
        assert_eq!((paused.split().canary(), paused.mirrored()), (Percent(5), Percent(10)));
        assert!(said(&paused, RolloutEvent::Pause).contains("paused already"));
        assert!(paused.sentence().contains("v002 beside v001, paused at 5% (step 1 of 2)"));
        let on = step(&paused, RolloutEvent::Step { to: Percent(50) }).expect("allowed");
        assert_eq!(on.state, RolloutState::Running);
    }

    #[test]
    fn what_a_look_found_holds_for_the_share_that_it_was_about() {
        let finding = Finding { verdict: Verdict::Passed, sentence: "passed on 31 requests".to_owned() };
        let seen = Rollout { watched: Some(finding.clone()), ..rollout(&[5, 50]) };
        let kept = step(&seen, RolloutEvent::Watch { at: Percent(5) }).expect("allowed");
        assert_eq!(kept, seen);
        let other = said(&seen, RolloutEvent::Watch { at: Percent(50) });
        assert_eq!(other, "v002 has 5% by now, and was looked at with 50%");
        for event in [RolloutEvent::Step { to: Percent(50) }, RolloutEvent::Pause] {
            assert_eq!(step(&seen, event).expect("allowed").watched, None, "{event:?}");
        }
        // An index of before has no word of it.
        let text = serde_json::to_string(&rollout(&[5])).expect("JSON");
        assert!(!text.contains("watched"), "{text}");
        assert_eq!(serde_json::from_str::<Rollout>(&text).expect("a rollout").watched, None);
    }

    #[test]
    fn what_are_no_steps_is_refused() {
        for (steps, expected) in [
            (vec![], "expected 1 to 20 steps"),
            (vec![0], "gives the canary nothing"),
            (vec![5, 5], "the step 5% stands behind 5%"),
            (vec![50, 5], "the step 5% stands behind 50%"),
            ((1..=21).collect(), "expected 1 to 20 steps"),
        ] {
            let message = Steps::new(steps.into_iter().map(Percent).collect()).expect_err("refused");
            assert!(message.contains(expected), "{message}");
        }
        for text in ["101", "-1", "x", "", "1.5", "+5"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        assert_eq!((" 5 % ".trim_end().parse::<Percent>().is_err(), "5%".parse()), (true, Ok(Percent(5))));
        assert!(serde_json::from_str::<Steps>("[5,101]").is_err());
        assert!(serde_json::from_str::<Steps>("[25,5]").is_err());
    }

    fn events() -> impl Strategy<Value = Vec<RolloutEvent>> {
        let one = prop_oneof![
            6 => (0..=100_u8).prop_map(|to| RolloutEvent::Step { to: Percent(to) }),
            2 => Just(RolloutEvent::Pause),
            1 => (0..=100_u8).prop_map(|at| RolloutEvent::Watch { at: Percent(at) }),
            1 => Just(RolloutEvent::Promote),
            1 => Just(RolloutEvent::Abort),
        ];
        prop::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn shares_are_the_whole_never_fall_before_the_end_and_nothing_follows_the_end(
            steps in prop::collection::btree_set(1..=100_u8, 1..6),
            events in events(),
            honest in prop::bool::ANY,
        ) {
            let mut now = rollout(&steps.into_iter().collect::<Vec<_>>());
            for event in events {
                // Half of the time the next step is asked for by its name, so that long ways are walked too.
                let event = match (event, now.next()) {
                    (RolloutEvent::Step { .. }, Some(next)) if honest => RolloutEvent::Step { to: next },
                    (event, _) => event,
                };
                let Ok(after) = step(&now, event) else { continue };
                prop_assert!(now.is_active());
                let split = after.split();
                prop_assert_eq!(split.canary().get() + split.stable().get(), 100);
                if after.is_active() {
                    prop_assert!(split.canary() >= now.split().canary());
                    prop_assert!(after.steps.as_slice().contains(&split.canary()));
                } else {
                    prop_assert_eq!(split.stable().get(), 100);
                }
                if after.state == RolloutState::Promoted {
                    prop_assert_eq!(now.next(), None);
                }
                now = after;
            }
        }
    }
}
