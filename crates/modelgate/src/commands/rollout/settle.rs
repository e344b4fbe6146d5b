//! Bringing ledger and service together where a command was interrupted between the two.

use modelgate_core::lifecycle::Event;
use modelgate_core::rollout::Rollout;
use modelgate_registry::Registry;
use modelgate_serve::rollout::Standing;

use super::{Controller, order, sequence};

/// What stands between the ledger and the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Gap {
    /// The service took the canary out, and the ledger does not know.
    AbortedThere(String),
    /// The service does not do what the ledger says.
    Behind,
    /// The ledger knows of no such canary.
    Unknown(String),
}

/// Returns what the next command has to bring together, if anything.
pub(super) fn gap(rollout: Option<&Rollout>, standing: &Standing) -> Option<Gap> {
    match (rollout.filter(|rollout| rollout.is_active()), &standing.aborted, &standing.canary) {
        (Some(rollout), Some(aborted), _) if aborted.digest == rollout.canary_digest => {
            Some(Gap::AbortedThere(aborted.reason.clone()))
        }
        (Some(rollout), _, Some(canary)) => {
            let same = canary.digest == rollout.canary_digest
                && canary.weight == rollout.split().canary()
                && canary.shadow == rollout.mirrored();
            (!same).then_some(Gap::Behind)
        }
        (Some(_), _, None) => Some(Gap::Behind),
        (None, _, Some(canary)) => Some(Gap::Unknown(canary.version.clone())),
        (None, _, None) => None,
    }
}

impl Gap {
    /// Returns what stands, in words.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::AbortedThere(reason) => {
                format!("the service took the canary out ({reason}) and the ledger does not know")
            }
            Self::Behind => "the service does not do what the ledger says".to_owned(),
            Self::Unknown(version) => {
                format!("the service has the canary {version}, of which the ledger does not know")
            }
        }
    }
}

impl Controller<'_> {
    /// Completes what an interrupted command left; the project is locked. Returns where the service stands then.
    pub(super) fn settle(&self, registry: &mut Registry) -> anyhow::Result<Standing> {
        let standing = self.client.standing(self.model.as_str())?;
        let rollout = registry.model(&self.model)?.rollout.clone();
        let Some(gap) = gap(rollout.as_ref(), &standing) else { return Ok(standing) };
        let did = match (&gap, &rollout) {
            (Gap::AbortedThere(reason), Some(rollout)) => {
                self.write_abort(registry, rollout, reason)?;
                "the abort is completed: the canary is quarantined"
            }
            (Gap::Behind, Some(rollout)) => {
                self.client.order(self.model.as_str(), &order(rollout, sequence(registry), true))?;
                "it is told again"
            }
            _ => {
                let production = registry.model(&self.model)?.production();
                let digest = production.and_then(|version| {
                    Some(registry.model(&self.model).ok()?.versions.get(&version)?.digest)
                });
                if standing.canary.as_ref().map(|canary| canary.digest) == digest {
                    self.client.reload()?;
                    "it is in production: the service looks again"
                } else {
                    self.client.abort(self.model.as_str(), "the ledger does not know this canary", None)?;
                    "it is taken out"
                }
            }
        };
        self.printer.warning(&format!("a command was interrupted: {}; {did}", gap.sentence()));
        Ok(self.client.standing(self.model.as_str())?)
    }

    /// Ends a rollout in the ledger and quarantines its canary, both or neither.
    pub(super) fn write_abort(
        &self,
        registry: &mut Registry,
        rollout: &Rollout,
        reason: &str,
    ) -> anyhow::Result<()> {
        let reason = if reason.trim().is_empty() { "aborted" } else { reason }.to_owned();
        let events = [Event::AbortRollout { reason: reason.clone() }, Event::Quarantine { reason }];
        let events = events.map(|event| (rollout.canary, event));
        registry.apply_all(&self.model, &events, &self.now(), &self.around.actor)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::rollout::{Percent, RolloutState, Steps};
    use modelgate_core::{Digest, VersionNumber};
    use modelgate_serve::rollout::{Aborted, CanaryStanding, VersionStanding};

    use super::*;

    fn rollout(state: RolloutState) -> Rollout {
        Rollout {
            canary: VersionNumber(2),
            canary_digest: Digest::of(b"two"),
            stable: VersionNumber(1),
            stable_digest: Digest::of(b"one"),
            steps: Steps::default(),
            shadow: Percent::ZERO,
            at: 0,
            state,
            reason: String::new(),
            actor: String::new(),
            time: String::new(),
        }
    }

    fn standing(canary: Option<(&[u8], u8)>, aborted: Option<&[u8]>) -> Standing {
        let canary = canary.map(|(package, weight)| CanaryStanding {
            version: "v002".to_owned(),
            digest: Digest::of(package),
            weight: Percent::new(weight).expect("a share"),
            shadow: Percent::ZERO,
            loaded: true,
            refused: None,
            since: String::new(),
        });
        let aborted = aborted.map(|package| Aborted {
            version: "v002".to_owned(),
            digest: Digest::of(package),
            reason: "worse".to_owned(),
            time: String::new(),
        });
        Standing {
            schema_version: 1,
            model: "shop".to_owned(),
            stable: VersionStanding { version: "v001".to_owned(), digest: Digest::of(b"one") },
            canary,
            aborted,
            sequence: 1,
            counted: None,
        }
    }

    #[test]
    fn what_stands_between_ledger_and_service_is_found() {
        let running = rollout(RolloutState::Running);
        let ended = rollout(RolloutState::Aborted);
        let worse = Gap::AbortedThere("worse".to_owned());
        for (rollout, standing, expected) in [
            (Some(&running), standing(Some((b"two", 5)), None), None),
            (Some(&running), standing(Some((b"two", 0)), None), Some(Gap::Behind)),
            (Some(&running), standing(Some((b"three", 5)), None), Some(Gap::Behind)),
            (Some(&running), standing(None, None), Some(Gap::Behind)),
            (Some(&running), standing(None, Some(b"two")), Some(worse)),
            (Some(&running), standing(None, Some(b"three")), Some(Gap::Behind)),
            (Some(&ended), standing(None, Some(b"two")), None),
            (Some(&ended), standing(Some((b"two", 5)), None), Some(Gap::Unknown("v002".to_owned()))),
            (None, standing(None, None), None),
            (None, standing(Some((b"two", 0)), None), Some(Gap::Unknown("v002".to_owned()))),
        ] {
            assert_eq!(gap(rollout, &standing), expected, "{standing:?}");
        }
    }
}
