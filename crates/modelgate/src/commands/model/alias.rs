//! `modelgate model alias`.

use modelgate_core::ledger::LedgerEvent;
use modelgate_core::lifecycle::Event;
use modelgate_core::{Alias, ModelName, VersionNumber};
use modelgate_pipeline::{Project, lock, registry};
use modelgate_registry::RegistryError;
use serde_json::json;

use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::Printer;

/// Points an alias at `version`; removes it where there is none.
pub(super) fn execute(
    (model, alias): (&ModelName, &Alias),
    version: Option<&str>,
    reason: &str,
    dry_run: bool,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let around = surroundings();
    let _lock = if dry_run { None } else { Some(lock(project, "modelgate model alias", &around)?) };
    let mut registry = registry(project)?;
    let (now, reason) = ((around.now)(), reason.to_owned());
    if let Some(version) = version {
        let version = registry.resolve(model, version)?;
        let event = Event::SetAlias { alias: alias.clone(), reason };
        if dry_run {
            registry.allows(model, &[(version, event)], &now, &around.actor)?;
            printer.would(model, version, &format!("be what `{alias}` points at"))?;
            return Ok(Exit::Passed);
        }
        registry.apply(model, version, &event, &now, &around.actor)?;
        printer.talk(&format!("{model}: {alias} is {version}"));
        tell(model, alias, Some(version), printer)?;
        return Ok(Exit::Passed);
    }
    if dry_run {
        let state = registry.model(model)?;
        let event = LedgerEvent::AliasDeleted { model: model.clone(), alias: alias.clone(), reason };
        let refused = |refusal| RegistryError::Refused { model: model.clone(), refusal };
        state.check(&event).map_err(refused)?;
        if let Some(version) = state.aliases.get(alias) {
            printer.would(model, *version, &format!("no longer be what `{alias}` points at"))?;
        }
        return Ok(Exit::Passed);
    }
    registry.delete_alias(model, alias, &reason, &now, &around.actor)?;
    printer.talk(&format!("{model}: {alias} is removed"));
    tell(model, alias, None, printer)?;
    Ok(Exit::Passed)
}

/// Says to programs what an alias points at now.
fn tell(
    model: &ModelName,
    alias: &Alias,
    version: Option<VersionNumber>,
    printer: &Printer,
) -> anyhow::Result<()> {
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "model": model, "alias": alias, "version": version }))?;
    }
    Ok(())
}
