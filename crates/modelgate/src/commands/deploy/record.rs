//! `modelgate deploy record`: what runs where is an event like any other, and an unsigned version is no way around the
//! policy.

use modelgate_core::lifecycle::Event;
use modelgate_pipeline::{Project, lock, policy, registry};
use serde_json::json;

use crate::arguments::deploy::Record;
use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::Printer;

pub(super) fn execute(arguments: &Record, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let around = surroundings();
    let _lock = lock(project, "modelgate deploy record", &around)?;
    let mut registry = registry(project)?;
    let Record { model, version, target, reason } = arguments;
    let version = registry.resolve(model, version)?;
    policy::check_signature(project, &registry, model, version)?;
    let event = Event::Deploy { target: target.clone(), reason: reason.clone() };
    registry.apply(model, version, &event, &(around.now)(), &around.actor)?;
    let digest = registry.model(model)?.versions.get(&version).map(|found| found.digest);
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "digest": digest, "target": target,
        }))?;
    }
    printer.talk(&format!("{model} {version} is recorded as deployed to {target}"));
    Ok(Exit::Passed)
}
