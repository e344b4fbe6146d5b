//! A package that a person rejected: the policy does not approve it under another number.

use std::fmt;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent};
use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::AUTOMATIC;
use crate::error::PipelineError;

/// A person's no to a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The version that was rejected.
    pub version: VersionNumber,
    /// Who rejected it.
    pub actor: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, actor, time, reason } = self;
        write!(formatter, "{version} is the same package, and {actor} rejected it on {time}: {reason}")
    }
}

/// Returns the no that a person said to the package of `version` under another number, if that is the last word on it.
///
/// # Errors
/// Fails when there is no such model, or the ledger cannot be read.
pub fn rejection(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<Rejection>, PipelineError> {
    let state = registry.model(model)?;
    let Some(digest) = state.versions.get(&version).map(|found| found.digest) else { return Ok(None) };
    // The ledger is read for who and why, and so that a no outlives its artefacts: only where there may be one.
    let may_be = |found: &modelgate_core::lifecycle::VersionState| {
        found.digest == digest && matches!(found.stage, Stage::Rejected | Stage::Removed)
    };
    if !state.versions.iter().any(|(other, found)| *other != version && may_be(found)) {
        return Ok(None);
    }
    let mut last = None;
    registry.for_each_entry(|entry| {
        hear(&mut last, entry, model, (state, digest));
        Ok(())
    })?;
    Ok(last.filter(|found| found.version != version))
}

/// Takes in what a person decided on the package.
fn hear(
    last: &mut Option<Rejection>,
    entry: &LedgerEntry,
    model: &ModelName,
    (state, digest): (&ModelState, Digest),
) {
    let is_this = |version: &VersionNumber| {
        entry.event.model() == model
            && state.versions.get(version).is_some_and(|found| found.digest == digest)
    };
    match &entry.event {
        LedgerEvent::Rejected { version, reason, .. } if is_this(version) => {
            let (actor, time) = (entry.actor.clone(), entry.time.clone());
            *last = Some(Rejection { version: *version, actor, time, reason: reason.clone() });
        }
        LedgerEvent::Approved { version, .. } if is_this(version) && entry.actor != AUTOMATIC => *last = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use modelgate_core::Verdict;
    use modelgate_core::lifecycle::VersionState;

    use super::*;

    fn heard(events: &[(&str, LedgerEvent)]) -> Option<Rejection> {
        let version = |package: &[u8]| VersionState {
            stage: Stage::Candidate,
            verdict: Verdict::Passed,
            digest: Digest::of(package),
            approval: None,
            verdict_digest: Digest::of(b"verdict"),
            signature: None,
            quarantined: false,
        };
        let versions = [(1, version(b"one")), (2, version(b"two")), (3, version(b"one"))];
        let versions: BTreeMap<_, _> =
            versions.into_iter().map(|(number, state)| (VersionNumber(number), state)).collect();
        let state = ModelState::from_parts(versions, BTreeMap::new(), None, None);
        let mut last = None;
        for (actor, event) in events {
            let (time, actor) = ("2026-01-01T00:00:00Z".to_owned(), (*actor).to_owned());
            let entry = LedgerEntry::seal(event.clone(), (None, None), time, actor, None).expect("sealed");
            hear(&mut last, &entry, &name(), (&state, Digest::of(b"one")));
        }
        last
    }

    fn name() -> ModelName {
        "p".parse().expect("a name")
    }

    fn rejected(version: u32) -> LedgerEvent {
        LedgerEvent::Rejected { model: name(), version: VersionNumber(version), reason: "biased".to_owned() }
    }

    fn approved(version: u32) -> LedgerEvent {
        let digest = Digest::of(b"one");
        LedgerEvent::Approved {
            model: name(),
            version: VersionNumber(version),
            digest,
            reason: String::new(),
        }
    }

    #[test]
    fn the_last_word_of_a_person_on_a_package_counts() {
        let found = heard(&[("alice", rejected(1)), (AUTOMATIC, approved(3))]).expect("a no");
        assert_eq!(
            found.to_string(),
            "v001 is the same package, and alice rejected it on 2026-01-01T00:00:00Z: biased"
        );
        assert_eq!(heard(&[("alice", rejected(1)), ("bob", approved(3))]), None);
        assert!(heard(&[("bob", approved(1)), ("alice", rejected(3))]).is_some());
        // That is another package.
        assert_eq!(heard(&[("alice", rejected(2))]), None);
    }
}
