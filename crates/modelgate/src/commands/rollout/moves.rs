//! `modelgate rollout start`, `step`, `pause` and `promote`.

use anyhow::Context;
use modelgate_core::lifecycle::{Event, decide};
use modelgate_core::rollout::{Percent, Rollout, RolloutEvent, Steps};
use modelgate_core::verdict::figure;
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::{PromotionRequest, lock, policy, promote_canary, registry};
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

    /// Loads the canary without giving it anything, writes the ledger, then gives it its first share.
    pub(super) fn start(&self, start: &Start) -> anyhow::Result<Exit> {
        let (steps, shadow) = self.shares(start)?;
        let _lock = lock(self.project, "modelgate rollout start", &self.around)?;
        let mut registry = registry(self.project)?;
        let name = &self.model;
        let version = model::chosen(&registry, name, start.version.as_ref())?;
        self.settle(&mut registry)?;
        let event = Event::StartRollout { steps, shadow, reason: start.reason.clone() };
        let state = registry.model(name)?;
        decide(state, name, version, &event)
            .map_err(|refusal| RegistryError::Refused { model: name.clone(), refusal })?;
        policy::check_signature(self.project, &registry, name, version)?;
        let digest = state.versions.get(&version).map(|found| found.digest);
        let digest = digest.with_context(|| format!("the registry has no {name} {version}"))?;
        let nothing = Order {
            version: version.to_string(),
            digest,
            weight: Percent::ZERO,
            shadow: Percent::ZERO,
            sequence: sequence(&registry),
            start: true,
        };
        match self.client.order(name.as_str(), &nothing) {
            Err(ClientError::Refused { status: 422, sentence, .. }) => {
                self.printer
                    .error(&anyhow::anyhow!("the service does not take {name} {version}: {sentence}"));
                return Ok(Exit::Blocked);
            }
            other => other?,
        };
        registry.apply(name, version, &event, &self.now(), &self.around.actor)?;
        let rollout = self.active(&registry)?;
        self.client.order(name.as_str(), &order(&rollout, sequence(&registry), true))?;
        self.printer.talk(&format!("{name}: {}", rollout.sentence()));
        Ok(Exit::Passed)
    }

    pub(super) fn step(&self, reason: &str) -> anyhow::Result<Exit> {
        let _lock = lock(self.project, "modelgate rollout step", &self.around)?;
        let mut registry = registry(self.project)?;
        self.settle(&mut registry)?;
        let rollout = self.active(&registry)?;
        let to = next(&rollout)?;
        let event = Event::StepRollout { to, reason: reason.to_owned() };
        registry.apply(&self.model, rollout.canary, &event, &self.now(), &self.around.actor)?;
        let rollout = self.active(&registry)?;
        self.client.order(self.model.as_str(), &order(&rollout, sequence(&registry), false))?;
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
        let found = promote_canary(self.project, &mut registry, &request, &self.around)?;
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
