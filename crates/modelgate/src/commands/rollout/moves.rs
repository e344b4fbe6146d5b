//! `modelgate rollout start`, `step`, `pause` and `promote`.

use anyhow::Context;
use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::{Event, ModelState};
use modelgate_core::rollout::{Meanwhile, Percent, Rollout, RolloutEvent, RolloutState, Steps, meanwhile};
use modelgate_core::verdict::figure;
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::policy::{self, Admission};
use modelgate_pipeline::{PromotionRequest, lock, promote_canary, registry};
use modelgate_registry::{Registry, RegistryError};
use modelgate_serve::rollout::{ClientError, Order, Standing};

use super::settle::other_production;
use super::{Controller, order, sequence};
use crate::arguments::rollout::Start;
use crate::commands::{model, notify};
use crate::exit::{Exit, UsageError};

impl Controller<'_> {
    /// Returns the steps and the share of copies that a rollout starts with.
    pub(super) fn shares(&self, start: &Start) -> Result<(Steps, Percent), UsageError> {
        let config = &self.project.config.serve.rollout;
        let steps = if start.steps.is_empty() { config.steps() } else { Steps::new(start.steps.clone()) };
        let steps = steps.map_err(|message| UsageError(format!("--steps: {message}")))?;
        let shadow = match start.shadow {
            Some(shadow) => shadow,
            None => config.shadow().map_err(UsageError)?,
        };
        Ok((steps, shadow))
    }

    /// Asks whether the policy and the lifecycle let a version have a share by `event`; says so where it waits for a person.
    pub(super) fn admitted(
        &self,
        registry: &Registry,
        version: VersionNumber,
        share: Percent,
        event: &Event,
    ) -> anyhow::Result<Admission> {
        let (name, now) = (&self.model, self.now());
        policy::check_canary(self.project, registry, name, version)?;
        let admission = policy::admission(self.project, registry, name, version, share, &now)?;
        let approval = Event::Approve { reason: String::new() };
        // What else stands against it is told first: an approval would not help.
        let approval = (admission != Admission::Open).then_some((version, approval));
        let events: Vec<_> = approval.into_iter().chain([(version, event.clone())]).collect();
        registry.allows(name, &events, &now, &self.around.actor)?;
        if admission == Admission::Waits {
            if let Some(rejection) = policy::rejection(registry, name, version)? {
                self.printer.warning(&rejection.to_string());
            }
            self.printer.talk(&format!(
                "{name} {version} waits for approval: {share} is more than half of the requests; `modelgate model approve \
                 {name} {version}`, then this again"
            ));
        }
        Ok(admission)
    }

    /// Loads the canary without giving it anything, writes the ledger, then gives it its first share.
    pub(super) fn start(&self, start: &Start) -> anyhow::Result<Exit> {
        let (steps, shadow) = self.shares(start)?;
        let share = steps.first();
        let _lock = lock(self.project, "modelgate rollout start", &self.around)?;
        let mut registry = registry(self.project)?;
        let name = &self.model;
        let version = model::chosen(&registry, name, start.version.as_ref())?;
        // Before the service is asked: it does not know a model of which nothing is in production.
        policy::check_canary(self.project, &registry, name, version)?;
        let settled = self.settle(&mut registry)?;
        let begun = registry.model(name)?.active_rollout();
        if settled.told && begun.is_some_and(|begun| is_asked_for(begun, version, &steps, shadow)) {
            return self.told_alone(&registry, settled.standing);
        }
        let event = Event::StartRollout { steps: steps.clone(), shadow, reason: start.reason.clone() };
        let admission = self.admitted(&registry, version, share, &event)?;
        if admission == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        self.beside_production(&registry, settled.standing)?;
        let digest = registry.model(name)?.versions.get(&version).map(|found| found.digest);
        let digest = digest.with_context(|| format!("the registry has no {name} {version}"))?;
        let nothing = Order {
            version: version.to_string(),
            digest,
            weight: Percent::ZERO,
            shadow: Percent::ZERO,
            sequence: sequence(&registry),
            start: true,
            supersedes: None,
        };
        match self.tell(&mut registry, &nothing) {
            Err(ClientError::Refused { status: 422, sentence, .. }) => {
                self.printer
                    .error(&anyhow::anyhow!("the service does not take {name} {version}: {sentence}"));
                return Ok(Exit::Blocked);
            }
            other => other?,
        };
        self.approve(&mut registry, version, admission)?;
        registry.apply(name, version, &event, &self.now(), &self.around.actor)?;
        let rollout = self.active(&registry)?;
        let order = order(&rollout, sequence(&registry), true);
        self.tell(&mut registry, &order)?;
        self.printer.talk(&format!("{name}: {}", rollout.sentence()));
        Ok(Exit::Passed)
    }

    /// Ends a command that found a service which lacked what the ledger has: it was told, and nothing else is done. Behind a
    /// load balancer so every service but the first is told.
    fn told_alone(&self, registry: &Registry, standing: Standing) -> anyhow::Result<Exit> {
        self.beside_production(registry, standing)?;
        self.printer.talk(&format!(
            "{}: {} at {} too; the ledger had it, and nothing else was done",
            self.model,
            self.active(registry)?.sentence(),
            self.client.url()
        ));
        Ok(Exit::Passed)
    }

    /// Approves what the policy approves by itself.
    fn approve(
        &self,
        registry: &mut Registry,
        version: VersionNumber,
        admission: Admission,
    ) -> anyhow::Result<()> {
        if admission == Admission::ByPolicy {
            policy::approve_by_policy(self.project, registry, &self.model, version, &self.now())?;
        }
        Ok(())
    }

    pub(super) fn step(&self, reason: &str) -> anyhow::Result<Exit> {
        self.step_from(None, reason)
    }

    /// Takes the next step, if the rollout still stands as somebody has `seen` it and the service has the share before it.
    pub(super) fn step_from(&self, seen: Option<&Rollout>, reason: &str) -> anyhow::Result<Exit> {
        let _lock = lock(self.project, "modelgate rollout step", &self.around)?;
        let mut registry = registry(self.project)?;
        let settled = self.settle(&mut registry)?;
        let rollout = self.active(&registry)?;
        if settled.told && seen.is_none() {
            return self.told_alone(&registry, settled.standing);
        }
        let since = seen.map_or(Meanwhile::Same, |seen| meanwhile(seen, Some(&rollout)));
        if since != Meanwhile::Same {
            self.printer.warning(&format!("no step was taken: {since}"));
            return Ok(Exit::Inconclusive);
        }
        if settled.told {
            self.printer.warning("no step was taken: the canary did not have its share while it was watched");
            return Ok(Exit::Inconclusive);
        }
        let to = next(&rollout)?;
        let event =
            Event::StepRollout { to, seen: Some(Box::new(rollout.clone())), reason: reason.to_owned() };
        let admission = self.admitted(&registry, rollout.canary, to, &event)?;
        if admission == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        self.beside_production(&registry, settled.standing)?;
        self.approve(&mut registry, rollout.canary, admission)?;
        registry.apply(&self.model, rollout.canary, &event, &self.now(), &self.around.actor)?;
        let rollout = self.active(&registry)?;
        let order = order(&rollout, sequence(&registry), false);
        self.tell(&mut registry, &order)?;
        self.printer.talk(&format!("{}: {}", self.model, rollout.sentence()));
        Ok(Exit::Passed)
    }

    pub(super) fn pause(&self, reason: &str) -> anyhow::Result<Exit> {
        let _lock = lock(self.project, "modelgate rollout pause", &self.around)?;
        let mut registry = registry(self.project)?;
        self.settle(&mut registry)?;
        let rollout = self.active(&registry)?;
        let event = Event::PauseRollout { reason: reason.to_owned() };
        registry.apply(&self.model, rollout.canary, &event, &self.now(), &self.around.actor)?;
        self.printer.talk(&format!("{}: {}", self.model, self.active(&registry)?.sentence()));
        Ok(Exit::Passed)
    }

    /// Brings the canary to production through the same door as everything else.
    pub(super) fn promote(&self, reason: &str) -> anyhow::Result<Exit> {
        let lock = lock(self.project, "modelgate rollout promote", &self.around)?;
        let mut registry = registry(self.project)?;
        let (name, now) = (&self.model, self.now());
        let settled = self.settle(&mut registry)?;
        let behind = settled.told || self.has_other_production(&registry, &settled.standing)?;
        if let Some(version) = promoted_before(registry.model(name)?).filter(|_| behind) {
            self.look_again(&registry, version);
            self.printer.talk(&format!(
                "{name} {version} is in production already: {} looked again, and nothing else was done",
                self.client.url()
            ));
            return Ok(Exit::Passed);
        }
        let rollout = self.active(&registry)?;
        let version = rollout.canary;
        modelgate_core::rollout::step(&rollout, RolloutEvent::Promote)
            .map_err(|refusal| RegistryError::Refused { model: name.clone(), refusal })?;
        policy::check_canary(self.project, &registry, name, version)?;
        if !policy::approve_by_policy(self.project, &mut registry, name, version, &now)? {
            self.printer.talk(&format!(
                "{name} {version} waits for approval: `modelgate model approve {name} {version}`, then this again"
            ));
            return Ok(Exit::WaitingForApproval);
        }
        let known = known(&rollout);
        let reason = if reason.is_empty() { known.as_str() } else { reason };
        let request = PromotionRequest {
            model: name.clone(),
            version,
            over: Some(rollout.stable),
            reason: reason.to_owned(),
            override_quarantine: false,
        };
        let found = promote_canary(self.project, &mut registry, &request, &rollout, &self.around)?;
        self.printer.talk(&format!("{name} {} is in production, models/packaged/{name}/", found.version));
        // Whoever is told may be slow: others need not wait for it.
        drop(lock);
        let notice = Notice::promoted(name, found.version, found.digest, reason);
        notify::tell(self.project, &notice, &self.around, self.printer);
        self.look_again(&registry, found.version);
        Ok(Exit::Passed)
    }

    /// Returns whether the service has another version in production than the ledger.
    pub(super) fn has_other_production(
        &self,
        registry: &Registry,
        standing: &Standing,
    ) -> anyhow::Result<bool> {
        Ok(other_production(registry.model(&self.model)?, standing, self.client.url()).is_some())
    }

    /// Makes the service serve what is in production now; what goes wrong is a warning, since it looks by itself too.
    fn look_again(&self, registry: &Registry, version: modelgate_core::VersionNumber) {
        let standing = self.client.reload().and_then(|()| self.client.standing(self.model.as_str()));
        let production = registry.model(&self.model).ok().and_then(|state| state.versions.get(&version));
        match (standing, production) {
            (Err(error), _) => {
                self.printer.warning(&format!("{error}; it finds the promotion at its next look"));
            }
            (Ok(standing), Some(production)) if standing.stable.digest != production.digest => {
                self.printer.warning(&format!(
                    "the service still has {} in production: it does not follow this registry",
                    standing.stable.version
                ));
            }
            _ => {}
        }
    }
}

/// Returns what is known of a rollout that has taken its steps: what the last look at its last share found, if there was one.
fn known(rollout: &Rollout) -> String {
    let Rollout { watched, state, reason, actor, .. } = rollout;
    let share = rollout.split().canary();
    let found = match watched {
        Some(found) => format!("watched at its last share, {share}: {}", found.sentence),
        None if *state == RolloutState::Paused => {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            format!("paused at its last share, {share}, by {actor}{why}")
        }
        None => format!("no `rollout watch --step` of its last share, {share}, is recorded"),
    };
    found.chars().take(1000).collect()
}

/// Returns whether a rollout that is under way is the one that somebody asks for.
pub(super) fn is_asked_for(begun: &Rollout, version: VersionNumber, steps: &Steps, shadow: Percent) -> bool {
    (begun.canary, &begun.steps, begun.shadow) == (version, steps, shadow)
}

/// Returns what is in production by its rollout.
pub(super) fn promoted_before(state: &ModelState) -> Option<VersionNumber> {
    let last = state.rollout.as_ref().filter(|last| last.state == RolloutState::Promoted)?;
    state.production().filter(|production| *production == last.canary)
}

/// Returns the share of the next step.
pub(super) fn next(rollout: &Rollout) -> anyhow::Result<Percent> {
    let last = rollout.split().canary();
    rollout.next().ok_or_else(|| {
        anyhow::anyhow!(
            "{} has the share of its last step, {last}: `rollout promote` or `rollout abort` ends it",
            rollout.canary
        )
    })
}

/// Prints a figure that may not be there.
pub(super) fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

#[cfg(test)]
mod tests {
    use modelgate_core::rollout::Finding;
    use modelgate_core::{Digest, Verdict};

    use super::*;

    #[test]
    fn a_promotion_says_what_is_known_of_the_last_share_and_no_more() {
        let steps = Steps::new(vec![Percent::new(60).expect("a share")]).expect("steps");
        let unwatched = Rollout {
            canary: VersionNumber(2),
            canary_digest: Digest::of(b"two"),
            stable: VersionNumber(1),
            stable_digest: Digest::of(b"one"),
            steps,
            shadow: Percent::ZERO,
            at: 0,
            state: RolloutState::Running,
            // Of the share before.
            reason: "watched for 5m: passed on 31 requests".to_owned(),
            actor: "bob".to_owned(),
            time: String::new(),
            watched: None,
        };
        let finding = |verdict, sentence: &str| Some(Finding { verdict, sentence: sentence.to_owned() });
        let passed = Rollout {
            watched: finding(Verdict::Passed, "passed on 900 requests in 5m"),
            ..unwatched.clone()
        };
        let paused = Rollout {
            state: RolloutState::Paused,
            reason: "watched for 5m: 0 requests, 100 are needed".to_owned(),
            ..unwatched.clone()
        };
        for (rollout, expected) in [
            (&unwatched, "no `rollout watch --step` of its last share, 60%, is recorded"),
            (&passed, "watched at its last share, 60%: passed on 900 requests in 5m"),
            (&paused, "paused at its last share, 60%, by bob: watched for 5m: 0 requests, 100 are needed"),
        ] {
            assert_eq!(known(rollout), expected);
        }
    }
}
