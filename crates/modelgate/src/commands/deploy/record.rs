//! `modelgate deploy record`: what runs where is an event like any other, and an unsigned version is no way around the
//! policy.

use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_pipeline::{Project, lock, policy, registry};
use serde_json::json;

use crate::arguments::deploy::Record;
use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::Printer;

/// Writes into the ledger that `version` was brought to `target`; returns the version and its package.
pub(super) fn record(
    project: &Project,
    model: &ModelName,
    version: &str,
    target: &str,
    reason: &str,
) -> anyhow::Result<(VersionNumber, Option<Digest>)> {
    let around = surroundings();
    let _lock = lock(project, "modelgate deploy", &around)?;
    let mut registry = registry(project)?;
    let version = registry.resolve(model, version)?;
    policy::check_passed(&registry, model, version, "be deployed")?;
    policy::check_signature(project, &registry, model, version)?;
    let event = Event::Deploy { target: target.to_owned(), reason: reason.to_owned() };
    registry.apply(model, version, &event, &(around.now)(), &around.actor)?;
    let digest = registry.model(model)?.versions.get(&version).map(|found| found.digest);
    Ok((version, digest))
}

pub(super) fn execute(arguments: &Record, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let Record { model, version, target, reason } = arguments;
    let (version, digest) = record(project, model, version, target, reason)?;
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "digest": digest, "target": target,
        }))?;
    }
    printer.talk(&format!("{model} {version} is recorded as deployed to {target}"));
    Ok(Exit::Passed)
}
