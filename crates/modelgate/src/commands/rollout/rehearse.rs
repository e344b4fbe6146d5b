//! `--dry-run` of `modelgate rollout start`, `step`, `pause`, `promote` and `abort`: what stands against it is asked, and
//! nothing is written or told.

use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::Event;
use modelgate_core::rollout::{Rollout as Standing, RolloutEvent, step};
use modelgate_pipeline::policy::{self, Admission};
use modelgate_pipeline::{abort_events, registry};
use modelgate_registry::{Registry, RegistryError};

use super::Controller;
use super::abort::needs_reason;
use super::moves::{is_asked_for, next, promoted_before};
use super::settle::{Gap, gap, is_quarantine, other_production};
use crate::arguments::rollout::{Move, Rollout, Start};
use crate::commands::model;
use crate::exit::Exit;

impl Controller<'_> {
    /// Says what a command would do; `None` for one that is no move.
    pub(super) fn rehearsed(&self, rollout: &Rollout) -> Option<anyhow::Result<Exit>> {
        let asks = |one: &Move| one.dry_run;
        match rollout {
            Rollout::Start(start) if start.dry_run => Some(self.rehearse_start(start)),
            Rollout::Step(one) if asks(one) => Some(self.rehearse_step(&one.reason)),
            Rollout::Pause(one) if asks(one) => Some(self.rehearse_pause(&one.reason)),
            Rollout::Promote(one) if asks(one) => Some(self.rehearse_promote(&one.reason)),
            Rollout::Abort(one) if asks(one) => Some(self.rehearse_abort(&one.reason)),
            _ => None,
        }
    }

    /// Prints what would be done with a version.
    fn would(&self, version: VersionNumber, what: &str) -> anyhow::Result<Exit> {
        self.printer.would(&self.model, version, what)?;
        Ok(Exit::Passed)
    }

    fn allows(
        &self,
        registry: &Registry,
        version: VersionNumber,
        events: impl IntoIterator<Item = Event>,
    ) -> anyhow::Result<()> {
        let events: Vec<_> = events.into_iter().map(|event| (version, event)).collect();
        Ok(registry.allows(&self.model, &events, &self.now(), &self.around.actor)?)
    }

    /// Says what the command would first bring to an end; returns whether the service would first be told what the ledger has.
    fn before(&self, registry: &Registry) -> anyhow::Result<bool> {
        let standing = self.client.standing(self.model.as_str())?;
        let state = registry.model(&self.model)?;
        if let Some(other) = other_production(state, &standing, self.client.url()) {
            self.printer.warning(&format!(
                "{other}: this one would first make it look again, and do nothing while it still has it"
            ));
        }
        let Some(gap) = gap(state.rollout.as_ref(), &standing) else { return Ok(false) };
        self.printer.warning(&format!("{}; this one would first bring it to an end", gap.sentence()));
        if matches!(gap, Gap::AbortedThere(_)) {
            anyhow::bail!("no rollout of {} would be under way then", self.model);
        }
        Ok(gap == Gap::Behind)
    }

    /// Says that the service alone would be told: the ledger has what was asked for.
    fn would_be_told(&self, rollout: &Standing) -> anyhow::Result<Exit> {
        let (share, url) = (rollout.split().canary(), self.client.url());
        self.would(rollout.canary, &format!("be at {share} at {url} too, as the ledger has it"))
    }

    /// Opens the registry, and returns the rollout that is under way and whether the service would first be told of it.
    fn under_way(&self) -> anyhow::Result<(Registry, Standing, bool)> {
        let registry = registry(self.project)?;
        let told = self.before(&registry)?;
        let rollout = self.active(&registry)?;
        Ok((registry, rollout, told))
    }

    fn rehearse_start(&self, start: &Start) -> anyhow::Result<Exit> {
        let (steps, shadow) = self.shares(start)?;
        let registry = registry(self.project)?;
        let version = model::chosen(&registry, &self.model, start.version.as_ref())?;
        policy::check_canary(self.project, &registry, &self.model, version)?;
        let told = self.before(&registry)?;
        if let Some(begun) = registry.model(&self.model)?.active_rollout()
            && told
            && is_asked_for(begun, version, &steps, shadow)
        {
            return self.would_be_told(begun);
        }
        let event = Event::StartRollout { steps: steps.clone(), shadow, reason: start.reason.clone() };
        if self.admitted(&registry, version, steps.first(), &event)? == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        let stable = registry.model(&self.model)?.production();
        let beside = stable.map_or_else(String::new, |stable| format!(" beside {stable}"));
        let url = self.client.url();
        self.would(
            version,
            &format!("be loaded by {url} and start{beside}, steps {steps}, {shadow} mirrored"),
        )
    }

    fn rehearse_step(&self, reason: &str) -> anyhow::Result<Exit> {
        let (registry, rollout, told) = self.under_way()?;
        if told {
            return self.would_be_told(&rollout);
        }
        let to = next(&rollout)?;
        let event = Event::StepRollout { to, seen: None, reason: reason.to_owned() };
        if self.admitted(&registry, rollout.canary, to, &event)? == Admission::Waits {
            return Ok(Exit::WaitingForApproval);
        }
        self.would(rollout.canary, &format!("go from {} to {to}", rollout.split().canary()))
    }

    fn rehearse_pause(&self, reason: &str) -> anyhow::Result<Exit> {
        let (registry, rollout, _) = self.under_way()?;
        self.allows(&registry, rollout.canary, [Event::PauseRollout { reason: reason.to_owned() }])?;
        let share = rollout.split().canary();
        self.would(rollout.canary, &format!("stay at {share} until somebody takes a step"))
    }

    fn rehearse_promote(&self, reason: &str) -> anyhow::Result<Exit> {
        let name = &self.model;
        let registry = registry(self.project)?;
        let before = promoted_before(registry.model(name)?);
        if let Some(version) = before
            && self.has_other_production(&registry, &self.client.standing(name.as_str())?)?
        {
            return self
                .would(version, &format!("be looked for by {}, as the ledger has it", self.client.url()));
        }
        self.before(&registry)?;
        let rollout = self.active(&registry)?;
        let version = rollout.canary;
        step(&rollout, RolloutEvent::Promote)
            .map_err(|refusal| RegistryError::Refused { model: name.clone(), refusal })?;
        policy::check_canary(self.project, &registry, name, version)?;
        let approved =
            policy::is_approved(&policy::governed(self.project, name)?, &registry, version, &self.now())?;
        let automatic = policy::is_automatic(self.project, &registry, name, version)?;
        let reason = reason.to_owned();
        let approval = (!approved && automatic).then(|| Event::Approve { reason: reason.clone() });
        if !approved && !automatic {
            self.printer.talk(&format!("{name} {version} waits for approval; nothing was done"));
            return Ok(Exit::WaitingForApproval);
        }
        if approved {
            policy::check_promotion(self.project, &registry, name, version, &self.now())?;
        } else {
            // An approval that has grown old is given anew, so that its age says nothing; the package was asked above.
            policy::check_automatic(self.project, &registry, name, version)?;
        }
        let end = Event::PromoteRollout { seen: None, reason: reason.clone() };
        let promotion = Event::Promote { over: Some(rollout.stable), reason };
        self.allows(&registry, version, approval.into_iter().chain([end, promotion]))?;
        self.would(version, &format!("be in production in place of {}", rollout.stable))
    }

    fn rehearse_abort(&self, reason: &str) -> anyhow::Result<Exit> {
        needs_reason(reason)?;
        let registry = registry(self.project)?;
        // A service that does not answer does not stand in the way of an abort.
        if let Err(error) = self.client.standing(self.model.as_str()) {
            self.printer.warning(&format!("{error}; the ledger would be written all the same"));
        }
        let rollout = self.active(&registry)?;
        let state = registry.model(&self.model)?;
        let events = abort_events(state, &rollout, reason);
        registry.allows(&self.model, &events, &self.now(), &self.around.actor)?;
        let end = if is_quarantine(&events) { "be quarantined" } else { "be taken out" };
        let stable = state.production().unwrap_or(rollout.stable);
        self.would(rollout.canary, &format!("{end}, and all requests go to {stable}"))
    }
}
