//! A model that a person rejected, or that was quarantined: the policy does not approve it under another number. It is the same
//! where the package is, and where the file of the model is the same in another package: what is written beside it, such as
//! the settings that led to it, makes no other model of it.

use std::collections::BTreeMap;
use std::fmt;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Registration};
use modelgate_core::lifecycle::{ModelState, Stage, VersionState};
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::AUTOMATIC;
use crate::error::PipelineError;
use crate::stages::command::MODEL;

/// A no to a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The version that it was said to.
    pub version: VersionNumber,
    /// Who said it.
    pub actor: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Why.
    pub reason: String,
    /// Whether it was a quarantine.
    pub is_quarantine: bool,
    /// Whether it is the same package, rather than the same model in another one.
    pub is_same_package: bool,
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, actor, time, reason, is_quarantine, is_same_package } = self;
        let said = if *is_quarantine { "quarantined" } else { "rejected" };
        if *is_same_package {
            write!(formatter, "{version} is the same package, and {actor} {said} it on {time}: {reason}")
        } else {
            write!(
                formatter,
                "it has the same {MODEL} as {version}, which {actor} {said} on {time}: {reason}"
            )
        }
    }
}

/// Returns the no that was said to the model of `version` under another number, if that is the last word on it.
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
    let of_package = |found: &VersionState| {
        found.digest == digest && matches!(found.stage, Stage::Rejected | Stage::Removed)
    };
    let others = || state.versions.iter().filter(|(other, _)| **other != version);
    let file = registry.registration(model, version)?.files.get(MODEL).copied();
    let mut may_be = others().any(|(_, found)| of_package(found));
    if !may_be && file.is_some() {
        for (other, _) in others().filter(|(_, found)| found.stage == Stage::Rejected || found.quarantined) {
            if registry.registration(model, *other)?.files.get(MODEL).copied() == file {
                may_be = true;
                break;
            }
        }
    }
    if !may_be {
        return Ok(None);
    }
    let mut heard = Heard { state, digest, file, files: BTreeMap::new(), last: None };
    registry.for_each_entry(|entry| {
        if entry.event.model() == model {
            heard.hear(entry);
        }
        Ok(())
    })?;
    Ok(heard.last.filter(|found| found.version != version))
}

/// What was said of a model so far.
struct Heard<'a> {
    state: &'a ModelState,
    /// The package that is asked about.
    digest: Digest,
    /// Its file of the model.
    file: Option<Digest>,
    /// The file of the model of each version.
    files: BTreeMap<VersionNumber, Digest>,
    last: Option<Rejection>,
}

impl Heard<'_> {
    /// Returns whether a version is the same model, and then whether it is the same package.
    fn is_this(&self, version: VersionNumber) -> Option<bool> {
        let is_same_package =
            self.state.versions.get(&version).is_some_and(|found| found.digest == self.digest);
        let is_same_file = self.file.is_some() && self.files.get(&version).copied() == self.file;
        (is_same_package || is_same_file).then_some(is_same_package)
    }

    /// Takes in what was decided on the model.
    fn hear(&mut self, entry: &LedgerEntry) {
        match &entry.event {
            LedgerEvent::Registered { version, registration, .. } => self.registered(*version, registration),
            LedgerEvent::Rejected { version, reason, .. } => self.no(*version, entry, reason, false),
            LedgerEvent::Quarantined { version, reason, .. }
            | LedgerEvent::RolledBack { quarantined: version, reason, .. } => {
                self.no(*version, entry, reason, true);
            }
            LedgerEvent::Overridden { version, .. } => {
                self.last =
                    self.last.take().filter(|found| !found.is_quarantine || found.version != *version);
            }
            LedgerEvent::Approved { version, .. }
                if entry.actor != AUTOMATIC && self.is_this(*version).is_some() =>
            {
                self.last = None;
            }
            _ => {}
        }
    }

    fn registered(&mut self, version: VersionNumber, registration: &Registration) {
        if let Some(file) = registration.files.get(MODEL) {
            self.files.insert(version, *file);
        }
    }

    fn no(&mut self, version: VersionNumber, entry: &LedgerEntry, reason: &str, is_quarantine: bool) {
        let Some(is_same_package) = self.is_this(version) else { return };
        let (actor, time, reason) = (entry.actor.clone(), entry.time.clone(), reason.to_owned());
        self.last = Some(Rejection { version, actor, time, reason, is_quarantine, is_same_package });
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::Verdict;

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
        let versions =
            [(1, version(b"one")), (2, version(b"two")), (3, version(b"one")), (4, version(b"four"))];
        let versions: BTreeMap<_, _> =
            versions.into_iter().map(|(number, state)| (VersionNumber(number), state)).collect();
        let state = ModelState::from_parts(versions, BTreeMap::new(), None, None);
        // v004 is the model of the first in another package.
        let file = |package: &[u8]| Digest::of(if package == b"two" { b"other" } else { b"model" });
        let packages: [(u32, &[u8]); 4] = [(1, b"one"), (2, b"two"), (3, b"one"), (4, b"four")];
        let files = packages.map(|(number, package)| (VersionNumber(number), file(package)));
        let (digest, file) = (Digest::of(b"one"), Some(file(b"one")));
        let mut heard = Heard { state: &state, digest, file, files: files.into(), last: None };
        for (actor, event) in events {
            let (time, actor) = ("2026-01-01T00:00:00Z".to_owned(), (*actor).to_owned());
            let entry = LedgerEntry::seal(event.clone(), (None, None), time, actor, None).expect("sealed");
            heard.hear(&entry);
        }
        heard.last
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

    #[test]
    fn a_quarantine_of_the_same_model_in_another_package_counts_until_a_person_looked_at_it() {
        let quarantined = |version| LedgerEvent::Quarantined {
            model: name(),
            version: VersionNumber(version),
            digest: Digest::of(b"package"),
            reason: "leaked".to_owned(),
        };
        let rolled_back = LedgerEvent::RolledBack {
            model: name(),
            version: VersionNumber(2),
            quarantined: VersionNumber(4),
            reason: "leaked".to_owned(),
        };
        for event in [quarantined(4), rolled_back] {
            let found = heard(&[("alice", event)]).expect("a no").to_string();
            let said =
                "it has the same model.onnx as v004, which alice quarantined on 2026-01-01T00:00:00Z: leaked";
            assert_eq!(found, said);
        }
        let overridden = |version| LedgerEvent::Overridden {
            model: name(),
            version: VersionNumber(version),
            reason: "x".into(),
        };
        assert_eq!(heard(&[("alice", quarantined(4)), ("bob", overridden(4))]), None);
        assert!(heard(&[("alice", quarantined(4)), ("bob", overridden(1))]).is_some());
        assert_eq!(heard(&[("alice", quarantined(4)), ("bob", approved(3))]), None);
        assert!(heard(&[("alice", quarantined(4)), (AUTOMATIC, approved(3))]).is_some());
        assert_eq!(heard(&[("alice", quarantined(2))]), None);
    }
}
