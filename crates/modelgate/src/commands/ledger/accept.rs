//! `modelgate ledger accept`: going on from a ledger that lacks what was seen of it, or rather than with another one.

use modelgate_core::Digest;
use modelgate_core::ledger::Head;
use modelgate_core::lifecycle::check_who_acts;
use modelgate_pipeline::{Project, lock};
use modelgate_registry::{Acceptance, Registry, RegistryUri, accept};
use serde_json::json;

use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(super) fn execute(
    head: Option<&Digest>,
    reason: &str,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    if reason.trim().is_empty() {
        return Err(UsageError("--reason: say why, it is kept".to_owned()).into());
    }
    let around = surroundings();
    check_who_acts(&around.actor)?;
    let _lock = lock(project, "modelgate ledger accept", &around)?;
    let address = project.config.registry.uri.as_deref();
    let uri = RegistryUri::parse(address)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut kept = None;
    let accepted = Registry::accept(&uri, &project.root, head, &variable, &mut |accepted| {
        let (time, actor) = ((around.now)(), around.actor.clone());
        let record = Acceptance::new(accepted, address.unwrap_or_default(), time, actor, reason.to_owned());
        accept(&project.state_folder(), &record)?;
        kept = Some(record);
        Ok(())
    })?;
    match &kept {
        Some(record) => printer.talk(&record.sentence()),
        None => printer.talk("nothing was given up: the ledger holds all that this project has seen of it"),
    }
    said(accepted.given_up, accepted.found, printer)
}

fn said(given_up: bool, found: Option<Head>, printer: &Printer) -> anyhow::Result<Exit> {
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "given_up": given_up, "entries": found.map_or(0, |head| head.seq),
            "head": found.map(|head| head.hash),
        }))?;
    }
    Ok(Exit::Passed)
}
