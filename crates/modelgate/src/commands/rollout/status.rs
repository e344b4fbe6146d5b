//! `modelgate rollout status`: what the ledger says, what the service does, and what was counted.

use modelgate_pipeline::registry;
use modelgate_serve::rollout::{Counted, figures};
use serde_json::json;

use super::Controller;
use super::moves::shown;
use super::settle::{gap, other_production};
use crate::exit::Exit;
use crate::printer::Printer;

/// Prints figures of both versions side by side.
pub(super) fn print(counted: &Counted, printer: &Printer) -> std::io::Result<()> {
    printer.data(&format!("  {:<28}{:>12}{:>12}", "", "stable", "canary"))?;
    for (name, stable, canary) in figures(counted) {
        printer.data(&format!("  {name:<28}{:>12}{:>12}", shown(stable), shown(canary)))?;
    }
    if counted.shadow.dropped > 0 {
        printer.data(&format!("  {} copies were dropped", counted.shadow.dropped))?;
    }
    Ok(())
}

impl Controller<'_> {
    pub(super) fn status(&self) -> anyhow::Result<Exit> {
        let registry = registry(self.project)?;
        let rollout = registry.model(&self.model)?.rollout.clone();
        let standing = self.client.standing(self.model.as_str());
        let between = standing.as_ref().ok().and_then(|standing| gap(rollout.as_ref(), standing));
        let other = standing.as_ref().ok().and_then(|standing| {
            other_production(registry.model(&self.model).ok()?, standing, self.client.url())
        });
        if self.printer.is_json() {
            let (service, problem) = match &standing {
                Ok(standing) => (Some(standing), None),
                Err(error) => (None, Some(error.to_string())),
            };
            self.printer.json(&json!({
                "schema_version": 1, "model": self.model, "rollout": rollout, "service": service,
                "problem": problem.or(between.map(|gap| gap.sentence())).or(other),
            }))?;
            return Ok(Exit::Passed);
        }
        match &rollout {
            None => self.printer.data(&format!("{}: there was no rollout yet", self.model))?,
            Some(rollout) => {
                self.printer.data(&format!("{}: {}", self.model, rollout.sentence()))?;
                let reason =
                    if rollout.reason.is_empty() { String::new() } else { format!(": {}", rollout.reason) };
                self.printer.data(&format!("  since {}, by {}{reason}", rollout.time, rollout.actor))?;
                self.printer.data(&format!("  steps {}, {} mirrored", rollout.steps, rollout.shadow))?;
            }
        }
        match standing {
            Err(error) => self.printer.warning(&error.to_string()),
            Ok(standing) => {
                if let Some(canary) = &standing.canary {
                    let loaded = match (&canary.refused, canary.loaded) {
                        (Some(reason), _) => format!(", not loaded: {reason}"),
                        (None, false) => ", not loaded yet".to_owned(),
                        (None, true) => String::new(),
                    };
                    self.printer.data(&format!(
                        "  {}: {} at {}, {} at {}{loaded}",
                        self.client.url(),
                        canary.version,
                        canary.weight,
                        standing.stable.version,
                        canary.weight.rest()
                    ))?;
                } else {
                    self.printer.data(&format!(
                        "  {}: {} at 100%",
                        self.client.url(),
                        standing.stable.version
                    ))?;
                }
                if let Some(counted) = &standing.counted {
                    print(counted, self.printer)?;
                }
            }
        }
        if let Some(other) = other {
            self.printer
                .warning(&format!("{other}: it has not looked at the registry yet, or follows another"));
        }
        if let Some(gap) = between {
            self.printer.warning(&format!(
                "{}; the next of step, pause, promote, abort and watch brings it to an end",
                gap.sentence()
            ));
        }
        Ok(Exit::Passed)
    }
}
