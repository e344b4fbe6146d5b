//! `modelgate rollout start`, `step`, `pause` and `promote`.

use anyhow::Context;
use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::Event;
use modelgate_core::rollout::{Meanwhile, Percent, Rollout, RolloutEvent, Steps, meanwhile};
use modelgate_core::verdict::figure;
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::policy::{self, Admission};
use modelgate_pipeline::{PromotionRequest, lock, promote_canary, registry};
use modelgate_registry::{Registry, RegistryError};
use modelgate_serve::rollout::{ClientError, Order};

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
        let standing = self.settle(&mut registry)?;
        let event = Event::StartRollout { steps, shadow, reason: start.reason.clone() };
        let admission = self.admitted(&registry, version, share, &event)?;
        if admission == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        self.beside_production(&registry, standing)?;
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

    /// Takes the next step, if the rollout still stands as somebody has `seen` it.
    pub(super) fn step_from(&self, seen: Option<&Rollout>, reason: &str) -> anyhow::Result<Exit> {
        let _lock = lock(self.project, "modelgate rollout step", &self.around)?;
        let mut registry = registry(self.project)?;
        let standing = self.settle(&mut registry)?;
        let rollout = self.active(&registry)?;
        let since = seen.map_or(Meanwhile::Same, |seen| meanwhile(seen, Some(&rollout)));
        if since != Meanwhile::Same {
            self.printer.warning(&format!("no step was taken: {since}"));
            return Ok(Exit::Inconclusive);
        }
        let to = next(&rollout)?;
        let event =
            Event::StepRollout { to, seen: Some(Box::new(rollout.clone())), reason: reason.to_owned() };
        let admission = self.admitted(&registry, rollout.canary, to, &event)?;
        if admission == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        self.beside_production(&registry, standing)?;
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
        self.settle(&mut registry)?;
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
        let reason = if reason.is_empty() { "its rollout passed" } else { reason };
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
