//! `modelgate model`.

use modelgate_core::lifecycle::Event;
use modelgate_core::verdict::figure;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_pipeline::{Project, approval_request, lock, materialise, promote, registry};
use modelgate_registry::Registry;
use serde_json::{Value, json};

use crate::arguments::{Decision, Model};
use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::{Printer, coloured};

pub(crate) fn execute(command: &Model, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        Model::List { model } => list(model.as_ref(), project, printer),
        Model::Show { model, version } => show(model, version, project, printer),
        Model::Compare(compare) => super::compare::execute(compare, project, printer),
        Model::Import(import) => super::import::execute(import, project, printer),
        Model::Approve(decision) => decide(decision, project, printer, "approve"),
        Model::Reject(decision) => decide(decision, project, printer, "reject"),
        Model::Promote(decision) => decide(decision, project, printer, "promote"),
        Model::Alias { model, alias, version, delete } => {
            let around = surroundings();
            let _lock = lock(project, "modelgate model alias", &around)?;
            let mut registry = registry(project)?;
            let now = (around.now)();
            if let (Some(version), _) = (version, delete) {
                let version = registry.resolve(model, version)?;
                registry.apply(
                    model,
                    version,
                    &Event::SetAlias { alias: alias.clone() },
                    &now,
                    &around.actor,
                )?;
                printer.talk(&format!("{model}: {alias} is {version}"));
            } else {
                registry.delete_alias(model, alias, &now, &around.actor)?;
                printer.talk(&format!("{model}: {alias} is removed"));
            }
            Ok(Exit::Passed)
        }
        Model::Pull { model, version, to } => pull(model, version, to.as_deref(), project, printer),
    }
}

fn list(model: Option<&ModelName>, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    if let Some(model) = model {
        registry.model(model)?;
    }
    let mut rows: Vec<Value> = Vec::new();
    for (name, state) in &registry.state().models {
        if model.is_some_and(|model| model != name) {
            continue;
        }
        for (version, found) in &state.versions {
            let aliases: Vec<&str> = state
                .aliases
                .iter()
                .filter(|(_, target)| *target == version)
                .map(|(alias, _)| alias.as_str())
                .collect();
            let registration = &found.registration;
            if printer.is_json() {
                rows.push(json!({
                    "model": name, "version": version, "stage": found.stage, "verdict": found.verdict,
                    "digest": found.digest, "aliases": aliases, "metrics": registration.metrics,
                    "run": registration.lineage.run_id, "trained_at": registration.lineage.trained_at,
                }));
                continue;
            }
            let stage = found.stage.to_string();
            let stage = format!("{stage:<11}").replacen(&stage, &coloured(&stage), 1);
            let main = ["f1", "rmse"].iter().find_map(|metric| {
                registration.metrics.get(*metric).map(|value| format!("{metric} {}", figure(*value)))
            });
            printer.data(&format!(
                "{name} {version} {stage} {:<12} {:<14} sha256:{} {} {}",
                found.verdict.to_string(),
                main.unwrap_or_default(),
                found.digest.short(),
                registration.lineage.trained_at,
                aliases.join(",")
            ))?;
        }
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "versions": rows }))?;
    } else if registry.state().models.is_empty() {
        printer.talk("there is no model yet; `modelgate run` makes one");
    }
    Ok(Exit::Passed)
}

fn show(model: &ModelName, reference: &str, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let version = registry.resolve(model, reference)?;
    let state = registry.model(model)?;
    let Some(found) = state.versions.get(&version) else { return Ok(Exit::Error) };
    let registration = &found.registration;
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "stage": found.stage, "approval": found.approval,
            "registration": registration,
        }))?;
        return Ok(Exit::Passed);
    }
    let lineage = &registration.lineage;
    printer.data(&format!("{model} {version} is {}", coloured(&found.stage.to_string())))?;
    for (what, value) in [
        ("package", found.digest.to_string()),
        ("verdict", found.verdict.to_string()),
        ("run", lineage.run_id.to_string()),
        ("trained at", lineage.trained_at.clone()),
        ("algorithm", lineage.algorithm.clone()),
        ("seed", lineage.seed.to_string()),
        ("dataset", lineage.dataset.to_string()),
        ("config", lineage.config.to_string()),
    ] {
        printer.data(&format!("  {what:<11} {value}"))?;
    }
    if let Some(approval) = &found.approval {
        printer.data(&format!("  approved by {}: {}", approval.actor, approval.reason))?;
    }
    for (metric, value) in &registration.metrics {
        printer.data(&format!("  {metric:<18} {}", figure(*value)))?;
    }
    Ok(Exit::Passed)
}

/// Returns the version that is named, or the newest.
fn chosen(registry: &Registry, decision: &Decision) -> anyhow::Result<VersionNumber> {
    if let Some(version) = &decision.version {
        return Ok(registry.resolve(&decision.model, version)?);
    }
    let newest = registry.model(&decision.model)?.versions.keys().next_back().copied();
    newest.ok_or_else(|| UsageError(format!("{} has no version", decision.model)).into())
}

fn decide(
    decision: &Decision,
    project: &Project,
    printer: &Printer,
    verb: &'static str,
) -> anyhow::Result<Exit> {
    let around = surroundings();
    let _lock = lock(project, &format!("modelgate model {verb}"), &around)?;
    let mut registry = registry(project)?;
    let (model, version) = (&decision.model, chosen(&registry, decision)?);
    let reason = decision.reason.clone();
    if verb == "reject" && reason.trim().is_empty() {
        return Err(UsageError("--reason is needed: why is it rejected?".to_owned()).into());
    }
    if verb == "promote" {
        modelgate_pipeline::check_manual_promotion(project, model)?;
        let found = promote(project, &mut registry, model, version, &reason, &around)?;
        printer.talk(&format!("{model} {} is in production, models/packaged/{model}/", found.version));
        return Ok(Exit::Passed);
    }
    let event = if verb == "approve" { Event::Approve { reason } } else { Event::Reject { reason } };
    if verb == "approve" {
        printer.talk(crate::approval::summary(&approval_request(&registry, model, version)?).trim_start());
    }
    registry.apply(model, version, &event, &(around.now)(), &around.actor)?;
    if verb == "approve" {
        printer.talk(&format!("{model} {version} is approved; `modelgate run` promotes it"));
    } else {
        printer.talk(&format!("{model} {version} is rejected"));
    }
    Ok(Exit::Passed)
}

fn pull(
    model: &ModelName,
    reference: &str,
    to: Option<&std::path::Path>,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let version = registry.resolve(model, reference)?;
    let Some(folder) = to else {
        if registry.model(model)?.production() != Some(version) {
            let message = format!("{version} is not in production: name a folder with `--to`");
            return Err(UsageError(message).into());
        }
        let _lock = lock(project, "modelgate model pull", &surroundings())?;
        materialise(project, &registry, model)?;
        printer.data(&format!("models/packaged/{model}"))?;
        return Ok(Exit::Passed);
    };
    let occupied = folder.is_dir() && fs_err::read_dir(folder)?.next().is_some();
    if occupied && !folder.join("manifest.json").is_file() {
        return Err(UsageError(format!(
            "`{}` is not empty and no package: it was not touched",
            folder.display()
        ))
        .into());
    }
    let files = registry.version_files(model, version)?;
    modelgate_model::from_files(files.clone())?;
    modelgate_store::atomic::replace_folder(folder, &files)?;
    printer.data(&folder.display().to_string())?;
    Ok(Exit::Passed)
}
