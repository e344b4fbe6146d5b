//! `modelgate deploy record`: what runs where is an event like any other, and an unsigned version is no way around the
//! policy.

use modelgate_core::lifecycle::{Event, Stage};
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_pipeline::{Project, lock, policy, registry};
use serde_json::json;

use crate::arguments::deploy::Record;
use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::Printer;

/// Writes into the ledger that `version` was brought to `target`; returns the version, its package and where it stands.
pub(super) fn record(
    project: &Project,
    model: &ModelName,
    version: &str,
    target: &str,
    reason: &str,
) -> anyhow::Result<(VersionNumber, Option<(Digest, Stage)>)> {
    let around = surroundings();
    let _lock = lock(project, "modelgate deploy", &around)?;
    let mut registry = registry(project)?;
    let version = registry.resolve(model, version)?;
    policy::check_passed(&registry, model, version, "be deployed")?;
    policy::check_signature(project, &registry, model, version)?;
    let event = Event::Deploy { target: target.to_owned(), reason: reason.to_owned() };
    registry.apply(model, version, &event, &(around.now)(), &around.actor)?;
    let found = registry.model(model)?.versions.get(&version).map(|found| (found.digest, found.stage));
    Ok((version, found))
}

/// Says what a person should know of a version that runs somewhere and is no one's decision for production. What runs is recorded
/// all the same: a ledger that kept silent would be wrong.
fn doubt(model: &ModelName, version: VersionNumber, stage: Stage) -> Option<String> {
    let what = match stage {
        Stage::Approved | Stage::Staging | Stage::Production => return None,
        Stage::Candidate => format!(
            "nobody has approved it: `modelgate model approve {model} {version}`, or bring there what is in production"
        ),
        _ => format!("it is no version for production: `modelgate status` says which one is, for {model}"),
    };
    Some(format!("{model} {version} is {stage}, and is recorded as deployed all the same; {what}"))
}

pub(super) fn execute(arguments: &Record, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let Record { model, version, target, reason } = arguments;
    let (version, found) = record(project, model, version, target, reason)?;
    if let Some(doubt) = found.and_then(|(_, stage)| doubt(model, version, stage)) {
        printer.warning(&doubt);
    }
    let digest = found.map(|(digest, _)| digest);
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "digest": digest, "target": target,
        }))?;
    }
    printer.talk(&format!("{model} {version} is recorded as deployed to {target}"));
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_nobody_decided_for_is_doubted() {
        let model: ModelName = "drug".parse().expect("a name");
        let told = |stage| doubt(&model, VersionNumber(1), stage).unwrap_or_default();
        assert!(
            told(Stage::Candidate).contains("nobody has approved it: `modelgate model approve drug v001`")
        );
        assert!(told(Stage::Archived).starts_with("drug v001 is archived"));
        assert!([Stage::Approved, Stage::Staging, Stage::Production].map(told).iter().all(String::is_empty));
    }
}
