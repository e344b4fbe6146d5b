//! Bringing ledger and service together where a command was interrupted between the two.

use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::{Event, ModelState};
use modelgate_core::rollout::{Rollout, RolloutState};
use modelgate_pipeline::abort_events;
use modelgate_pipeline::notify::Notice;
use modelgate_registry::Registry;
use modelgate_serve::rollout::{ClientError, Standing};

use super::{Controller, order, sequence};
use crate::commands::notify;

/// The reason that a service keeps of a canary that was taken out since the ledger did not know it.
const UNKNOWN: &str = "the ledger does not know this canary";

/// What stands between the ledger and the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Gap {
    /// The service took the canary out, and the ledger does not know.
    AbortedThere(String),
    /// The service does not do what the ledger says: it is another than the one that was told, or nobody was told.
    Behind,
    /// The canary was rejected or quarantined, and the service has not looked since.
    Ended {
        /// The canary.
        canary: VersionNumber,
        /// Why.
        reason: String,
    },
    /// The ledger knows of no such canary.
    Unknown(String),
}

/// Where a service stands once the two were brought together.
pub(super) struct Settled {
    pub(super) standing: Standing,
    /// Whether it had to be told what the ledger says.
    pub(super) told: bool,
}

/// Returns what the next command has to bring together, if anything. A canary that only the ledger of some command did not
/// know, when that looked, is told again: nothing was said against it.
pub(super) fn gap(rollout: Option<&Rollout>, standing: &Standing) -> Option<Gap> {
    let ended =
        |package| rollout.filter(|last| last.state == RolloutState::Aborted && last.canary_digest == package);
    match (rollout.filter(|rollout| rollout.is_active()), &standing.aborted, &standing.canary) {
        (Some(rollout), Some(aborted), _) if aborted.digest == rollout.canary_digest && !aborted.unknown => {
            Some(Gap::AbortedThere(aborted.reason.clone()))
        }
        (Some(rollout), _, Some(canary)) => {
            let same = canary.digest == rollout.canary_digest
                && canary.weight == rollout.split().canary()
                && canary.shadow == rollout.mirrored();
            (!same).then_some(Gap::Behind)
        }
        (Some(_), _, None) => Some(Gap::Behind),
        (None, _, Some(canary)) => Some(match ended(canary.digest) {
            Some(last) => Gap::Ended { canary: last.canary, reason: last.reason.clone() },
            None => Gap::Unknown(canary.version.clone()),
        }),
        (None, _, None) => None,
    }
}

/// Says so where the service has another version in production than the ledger: what stands beside a canary there is then
/// not what it is compared with.
pub(super) fn other_production(state: &ModelState, standing: &Standing, url: &str) -> Option<String> {
    let production = state.production()?;
    let digest = state.versions.get(&production)?.digest;
    let other = &standing.stable;
    (other.digest != digest).then(|| {
        format!("the service at {url} has {} in production, and the ledger {production}", other.version)
    })
}

/// Returns whether what ends a rollout quarantines its canary.
pub(super) fn is_quarantine(events: &[(VersionNumber, Event)]) -> bool {
    events.iter().any(|(_, event)| matches!(event, Event::Quarantine { .. }))
}

impl Gap {
    /// Returns what stands, in words.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::AbortedThere(reason) => format!(
                "a command was interrupted: the service took the canary out ({reason}) and the ledger does not know"
            ),
            Self::Behind => {
                "the service does not do what the ledger says: it is another than the one that was told, \
                             or a command was interrupted"
                    .to_owned()
            }
            Self::Ended { canary, reason } => {
                format!("the rollout of {canary} has ended ({reason}), and the service still has it")
            }
            Self::Unknown(version) => format!(
                "a command was interrupted: the service has the canary {version}, of which the ledger does not know"
            ),
        }
    }
}

impl Controller<'_> {
    /// Returns what stands between the ledger and where the service stands. A ledger that was read before the service was
    /// asked may lack what the service was told since, so it is read again before anything is made of that.
    pub(super) fn between(
        &self,
        registry: &mut Registry,
        standing: &Standing,
    ) -> anyhow::Result<Option<Gap>> {
        if gap(registry.model(&self.model)?.rollout.as_ref(), standing).is_none() {
            return Ok(None);
        }
        registry.refresh()?;
        Ok(gap(registry.model(&self.model)?.rollout.as_ref(), standing))
    }

    /// Completes what an interrupted command left, and tells a service that is another than the one that was told; the
    /// project is locked. Returns where the service stands then.
    pub(super) fn settle(&self, registry: &mut Registry) -> anyhow::Result<Settled> {
        let model = self.model.as_str();
        let standing = self.client.standing(model)?;
        let Some(gap) = self.between(registry, &standing)? else {
            return Ok(Settled { standing, told: false });
        };
        let rollout = registry.model(&self.model)?.rollout.clone();
        let (mut told, mut sentence) = (gap == Gap::Behind, gap.sentence());
        let did = match (&gap, &rollout) {
            (Gap::AbortedThere(reason), Some(rollout)) => {
                let quarantined = self.write_abort(registry, rollout, reason)?;
                self.tell_of_abort(rollout, quarantined, reason);
                if quarantined {
                    "the abort is completed: the canary is quarantined"
                } else {
                    "the abort is completed"
                }
            }
            (Gap::Behind, Some(rollout)) => {
                let order = order(rollout, sequence(registry), true);
                self.tell(registry, &order)?;
                "it is told again"
            }
            (Gap::Ended { reason, .. }, _) => {
                self.client.abort(model, reason, Some(sequence(registry)))?;
                "it is taken out"
            }
            _ => {
                let production = registry.model(&self.model)?.production();
                let digest = production.and_then(|version| {
                    Some(registry.model(&self.model).ok()?.versions.get(&version)?.digest)
                });
                if standing.canary.as_ref().map(|canary| canary.digest) == digest {
                    self.client.reload()?;
                    told = true;
                    sentence = String::from("the service still has the canary that is in production by now");
                    "it looks again"
                } else {
                    self.take_out_unknown(standing.sequence)?;
                    "it is taken out"
                }
            }
        };
        self.printer.warning(&format!("{sentence}; {did}"));
        Ok(Settled { standing: self.client.standing(model)?, told })
    }

    /// Takes out a canary that the ledger does not know, as of the order that was `seen`: a newer one is of somebody who
    /// begins a rollout at this moment, and stays.
    fn take_out_unknown(&self, seen: u64) -> anyhow::Result<()> {
        match self.client.take_out_unknown(self.model.as_str(), UNKNOWN, seen) {
            Err(error @ ClientError::Refused { status: 409, .. }) => {
                Err(anyhow::Error::new(error).context(format!(
                    "another command works on a rollout of {} at this moment, and nothing was done: try again",
                    self.model
                )))
            }
            told => told.map(drop).map_err(Into::into),
        }
    }

    /// Makes a service look again that has another version in production than the ledger; returns where it stands then.
    pub(super) fn looked_again(
        &self,
        registry: &Registry,
        standing: Standing,
    ) -> Result<Standing, ClientError> {
        let state = registry.model(&self.model).ok();
        if state.and_then(|state| other_production(state, &standing, self.client.url())).is_none() {
            return Ok(standing);
        }
        self.client.reload()?;
        self.client.standing(self.model.as_str())
    }

    /// Refuses to go on where the service has another version in production than the ledger, also after another look.
    pub(super) fn beside_production(&self, registry: &Registry, standing: Standing) -> anyhow::Result<()> {
        let standing = self.looked_again(registry, standing)?;
        match other_production(registry.model(&self.model)?, &standing, self.client.url()) {
            None => Ok(()),
            Some(other) => Err(anyhow::anyhow!(
                "{other}: it follows another registry or a pinned version, or does not take {}, which its /health says",
                registry.model(&self.model)?.production().map_or_else(String::new, |one| one.to_string())
            )),
        }
    }

    /// Ends a rollout in the ledger and quarantines its canary, both or neither; returns whether it is quarantined, which it
    /// is not where production has changed.
    pub(super) fn write_abort(
        &self,
        registry: &mut Registry,
        rollout: &Rollout,
        reason: &str,
    ) -> anyhow::Result<bool> {
        let events = abort_events(registry.model(&self.model)?, rollout, reason);
        registry.apply_all(&self.model, &events, &self.now(), &self.around.actor)?;
        Ok(is_quarantine(&events))
    }

    /// Tells the webhook of a canary that was quarantined.
    pub(super) fn tell_of_abort(&self, rollout: &Rollout, quarantined: bool, reason: &str) {
        if quarantined {
            let notice = Notice::quarantined(&self.model, rollout.canary, rollout.canary_digest, reason);
            notify::tell(self.project, &notice, &self.around, self.printer);
        }
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use modelgate_core::rollout::{Percent, Steps};
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
            watched: None,
        }
    }

    fn standing(canary: Option<(&[u8], u8)>, aborted: Option<&[u8]>) -> Standing {
        standing_of(canary, aborted.map(|package| (package, false)))
    }

    fn standing_of(canary: Option<(&[u8], u8)>, aborted: Option<(&[u8], bool)>) -> Standing {
        let canary = canary.map(|(package, weight)| CanaryStanding {
            version: "v002".to_owned(),
            digest: Digest::of(package),
            weight: Percent::new(weight).expect("a share"),
            shadow: Percent::ZERO,
            loaded: true,
            refused: None,
            since: String::new(),
        });
        let aborted = aborted.map(|(package, unknown)| Aborted {
            version: "v002".to_owned(),
            digest: Digest::of(package),
            reason: "worse".to_owned(),
            time: String::new(),
            unknown,
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
        let over = Gap::Ended { canary: VersionNumber(2), reason: String::new() };
        for (rollout, standing, expected) in [
            (Some(&running), standing(Some((b"two", 5)), None), None),
            (Some(&running), standing(Some((b"two", 0)), None), Some(Gap::Behind)),
            (Some(&running), standing(Some((b"three", 5)), None), Some(Gap::Behind)),
            (Some(&running), standing(None, None), Some(Gap::Behind)),
            (Some(&running), standing(None, Some(b"two")), Some(worse)),
            (Some(&running), standing(None, Some(b"three")), Some(Gap::Behind)),
            // Taken out by a command that looked before the ledger knew of it: nothing is wrong with it.
            (Some(&running), standing_of(None, Some((b"two", true))), Some(Gap::Behind)),
            (Some(&ended), standing(None, Some(b"two")), None),
            (Some(&ended), standing(Some((b"two", 5)), None), Some(over)),
            (Some(&ended), standing(Some((b"three", 5)), None), Some(Gap::Unknown("v002".to_owned()))),
            (None, standing(None, None), None),
            (None, standing(Some((b"two", 0)), None), Some(Gap::Unknown("v002".to_owned()))),
        ] {
            assert_eq!(gap(rollout, &standing), expected, "{standing:?}");
        }
    }
}
