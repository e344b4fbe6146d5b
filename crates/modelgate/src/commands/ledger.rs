//! `modelgate ledger`.

use modelgate_core::ledger::RegistryState;
use modelgate_pipeline::{Project, registry};
use serde_json::json;

use crate::arguments::Ledger;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(ledger: &Ledger, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let mut registry = registry(project)?;
    match ledger {
        Ledger::Log { model } => {
            for entry in registry.entries() {
                if model.as_ref().is_some_and(|model| model != entry.event.model()) {
                    continue;
                }
                if printer.is_json() {
                    printer.data(entry.to_line()?.trim_end())?;
                } else {
                    let (model, event) = (entry.event.model(), entry.event.sentence());
                    printer.data(&format!(
                        "{:>4} {} {:<18} {model}: {event}",
                        entry.seq, entry.time, entry.actor
                    ))?;
                }
            }
        }
        Ledger::Verify => {
            let report = registry.verify()?;
            if printer.is_json() {
                printer.json(&report)?;
            } else {
                let head = report.head.map_or_else(|| "none".to_owned(), |head| head.to_string());
                printer.data(&format!(
                    "the ledger is whole: {} events, {} models, {} objects checked, head {head}",
                    report.entries, report.models, report.objects
                ))?;
            }
        }
        Ledger::At { time } => {
            let wanted: jiff::Timestamp = time.parse().map_err(|_| {
                UsageError(format!(
                    "`{time}` is not a time: expected RFC 3339, such as `2026-10-03T12:00:00Z`"
                ))
            })?;
            let before = registry
                .entries()
                .iter()
                .take_while(|entry| entry.time.parse::<jiff::Timestamp>().is_ok_and(|time| time <= wanted));
            let state = RegistryState::replay(before)?;
            let mut found = Vec::new();
            for (model, state) in &state.models {
                let Some(version) = state.production() else { continue };
                let Some(digest) = state.versions.get(&version).map(|found| found.digest) else { continue };
                if printer.is_json() {
                    found.push(json!({ "model": model, "version": version, "digest": digest }));
                } else {
                    printer.data(&format!("{model} {version} {digest}"))?;
                }
            }
            if printer.is_json() {
                printer.json(&json!({ "schema_version": 1, "time": time, "production": found }))?;
            } else if !state.models.values().any(|state| state.production().is_some()) {
                printer.talk("nothing was in production then");
            }
        }
    }
    Ok(Exit::Passed)
}
