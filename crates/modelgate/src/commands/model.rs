//! `modelgate model`.

mod alias;
mod archive;
mod pull;
mod rollback;
mod sign;

use std::collections::BTreeMap;

use anyhow::Context;
use modelgate_core::lifecycle::Event;
use modelgate_core::verdict::figure;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::rollback::{check_quarantine, quarantine};
use modelgate_pipeline::{
    Project, PromotionRequest, approval_request, lock, policy, production_version, promote, registry,
    rehearse_promotion,
};
use modelgate_registry::Registry;
use serde_json::{Value, json};

use crate::arguments::model::{Decision, Model, Promote};
use crate::commands::notify;
use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::{Printer, coloured};

pub(crate) fn execute(command: &Model, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        Model::List { model } => list(model.as_ref(), project, printer),
        Model::Show { model, version } => show(model, version, project, printer),
        Model::Compare(compare) => super::compare::execute(compare, project, printer),
        Model::Import(import) if !import.file.exists() => {
            Err(UsageError(format!("there is no file `{}`", import.file.display())).into())
        }
        Model::Import(import) if import.file.extension().is_some_and(|ending| ending == "tar") => {
            archive::import(&import.file, project, printer)
        }
        Model::Import(import) => super::import::execute(import, project, printer),
        Model::Approve(decision) => decide(decision, project, printer, "approve"),
        Model::Reject(decision) => decide(decision, project, printer, "reject"),
        Model::Stage(decision) => decide(decision, project, printer, "stage"),
        Model::Promote(arguments) => promotion(arguments, project, printer),
        Model::Rollback(arguments) => rollback::execute(arguments, project, printer),
        Model::Quarantine(decision) => decide(decision, project, printer, "quarantine"),
        Model::Sign(arguments) => sign::sign(arguments, project, printer),
        Model::Verify(arguments) => sign::verify(arguments, project, printer),
        Model::Gc { dry_run, yes } => archive::gc(*dry_run, *yes, project, printer),
        Model::Export { file, leave_out_damaged } => {
            archive::export(file, *leave_out_damaged, project, printer)
        }
        Model::Alias { model, alias, version, delete: _, reason, dry_run } => {
            alias::execute((model, alias), version.as_deref(), reason, *dry_run, project, printer)
        }
        Model::Pull { model, version, to } => pull::pull(model, version, to.as_deref(), project, printer),
    }
}

/// The one figure that stands for a version in a list; the others are not read.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Headline {
    f1: Option<f64>,
    rmse: Option<f64>,
}

fn list(model: Option<&ModelName>, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    if let Some(model) = model {
        registry.model(model)?;
    }
    let models = &registry.state().models;
    // Which aliases point at a version is asked for each: turned round once.
    let mut aliases: BTreeMap<(&ModelName, VersionNumber), Vec<&str>> = BTreeMap::new();
    for (name, state) in models {
        for (alias, version) in &state.aliases {
            aliases.entry((name, *version)).or_default().push(alias.as_str());
        }
    }
    let mut rows: Vec<Value> = Vec::new();
    let shown = models.keys().filter(|name| model.is_none_or(|model| model == *name));
    // A name and ` v001` are at least as wide as their head.
    let width = shown.map(|name| name.as_str().len()).max().unwrap_or_default().max(2);
    let mut text = format!(
        "{:<head$} {:<11} {:<12} {:<14} {:<19} {:<24} aliases\n",
        "version",
        "stage",
        "verdict",
        "figure",
        "package",
        "trained at",
        head = width + " v001".len()
    );
    registry.list(model, &mut |row| {
        let Some(found) = models.get(&row.model).and_then(|state| state.versions.get(&row.version)) else {
            return;
        };
        let own = aliases.get(&(&row.model, row.version)).map(Vec::as_slice).unwrap_or_default();
        if printer.is_json() {
            let metrics: BTreeMap<String, f64> = serde_json::from_str(&row.metrics).unwrap_or_default();
            rows.push(json!({
                "model": row.model, "version": row.version, "stage": found.stage, "verdict": found.verdict,
                "digest": found.digest, "aliases": own, "metrics": metrics, "run": row.run,
                "trained_at": row.trained_at, "signed": found.signature.is_some(),
            }));
            return;
        }
        let stage = found.stage.to_string();
        let stage = format!("{stage:<11}").replacen(&stage, &coloured(&stage), 1);
        let main: Headline = serde_json::from_str(&row.metrics).unwrap_or_default();
        let main = main
            .f1
            .map(|value| format!("f1 {}", figure(value)))
            .or_else(|| main.rmse.map(|value| format!("rmse {}", figure(value))));
        let line = format!(
            "{:<width$} {} {stage} {:<12} {:<14} sha256:{} {:<24} {}",
            row.model.as_str(),
            row.version,
            found.verdict.to_string(),
            main.unwrap_or_default(),
            found.digest.short(),
            row.trained_at,
            own.join(",")
        );
        text.push_str(line.trim_end());
        text.push('\n');
    })?;
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "versions": rows }))?;
    } else if models.is_empty() {
        printer.talk("there is no model yet; `modelgate run` makes one");
    } else {
        printer.data(text.trim_end())?;
    }
    Ok(Exit::Passed)
}

fn show(model: &ModelName, reference: &str, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let version = registry.resolve(model, reference)?;
    let state = registry.model(model)?;
    let found = state.versions.get(&version);
    let found = found.with_context(|| format!("the registry has no {model} {version}"))?;
    let registration = registry.registration(model, version)?;
    let other_rules = policy::other_rules(project, &registry, model, version);
    if printer.is_json() {
        // Of a verdict that cannot be read it is not known.
        let other_rules = other_rules.ok().map(|other| other.map_or_else(Vec::new, |other| other.0));
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "stage": found.stage, "approval": found.approval,
            "signature": found.signature, "other_rules": other_rules, "registration": registration,
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
    if let Ok(Some(other)) = other_rules {
        printer.data(&format!("  {other}"))?;
    }
    if let Some(approval) = &found.approval {
        let reason = approval.reason.trim();
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        printer.data(&format!("  approved by {}{reason}", approval.actor))?;
    }
    for (metric, value) in &registration.metrics {
        printer.data(&format!("  {metric:<18} {}", figure(*value)))?;
    }
    Ok(Exit::Passed)
}

/// Returns the version that is named, or the newest.
pub(crate) fn chosen(
    registry: &Registry,
    model: &ModelName,
    version: Option<&String>,
) -> anyhow::Result<VersionNumber> {
    if let Some(version) = version {
        return Ok(registry.resolve(model, version)?);
    }
    let newest = registry.model(model)?.versions.keys().next_back().copied();
    newest.ok_or_else(|| UsageError(format!("{model} has no version")).into())
}

/// Returns the version in production that a promotion was decided on.
fn seen(
    registry: &Registry,
    model: &ModelName,
    named: Option<&str>,
) -> anyhow::Result<Option<VersionNumber>> {
    match named {
        None => Ok(production_version(registry, model)),
        Some("none") => Ok(None),
        Some(named) => {
            let wrong = |_| UsageError(format!("--over: `{named}` is no version: expected `v003` or `none`"));
            Ok(Some(named.parse().map_err(wrong)?))
        }
    }
}

fn promotion(arguments: &Promote, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let around = surroundings();
    let Decision { model, version, reason, dry_run } = &arguments.decision;
    modelgate_pipeline::check_manual_promotion(project, model)?;
    if let Some(folder) = &arguments.from_run {
        return archive::from_run(folder, model, reason, project, printer);
    }
    // Before the lock: of two who promote over the same production, the lock lets both in, one after the other.
    let mut registry = registry(project)?;
    let over = seen(&registry, model, arguments.over.as_deref())?;
    // Nothing is written: nobody has to wait for it.
    let lock = if *dry_run { None } else { Some(lock(project, "modelgate model promote", &around)?) };
    registry.refresh()?;
    let version = chosen(&registry, model, version.as_ref())?;
    if arguments.override_quarantine {
        needs_reason(reason, "why may it leave quarantine?")?;
    }
    let request = PromotionRequest {
        model: model.clone(),
        version,
        over,
        reason: reason.clone(),
        override_quarantine: arguments.override_quarantine,
    };
    warn_of_other_rules(project, &registry, model, version, printer);
    if *dry_run {
        rehearse_promotion(project, &registry, &request, &around)?;
        let place = over.map_or_else(String::new, |over| format!(" in place of {over}"));
        printer.would(model, version, &format!("be in production{place}"))?;
        return Ok(Exit::Passed);
    }
    let found = promote(project, &mut registry, &request, &around)?;
    printer.talk(&format!("{model} {} is in production, models/packaged/{model}/", found.version));
    standing(&registry, model, found.version, printer)?;
    // Whoever is told may be slow: others need not wait for it.
    drop(lock);
    let event = Notice::promoted(model, found.version, found.digest, reason);
    notify::tell(project, &event, &around, printer);
    Ok(Exit::Passed)
}

/// Says that a version was judged by other rules than those of this checkout: whoever decides of it has to know. One that
/// cannot be asked is refused by what comes next.
fn warn_of_other_rules(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    printer: &Printer,
) {
    if let Ok(Some(other)) = policy::other_rules(project, registry, model, version) {
        printer
            .warning(&format!("{model} {version} was {other}; `modelgate run` judges by the rules of today"));
    }
}

/// Prints, as JSON, where a version stands after what was decided.
fn standing(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    printer: &Printer,
) -> anyhow::Result<()> {
    if !printer.is_json() {
        return Ok(());
    }
    let Some(found) = registry.model(model)?.versions.get(&version) else { return Ok(()) };
    printer.json(&json!({
        "schema_version": 1, "model": model, "version": version, "stage": found.stage, "digest": found.digest,
    }))
}

fn needs_reason(reason: &str, question: &str) -> anyhow::Result<()> {
    if reason.trim().is_empty() {
        return Err(UsageError(format!("--reason is needed: {question}")).into());
    }
    Ok(())
}

fn decide(
    decision: &Decision,
    project: &Project,
    printer: &Printer,
    verb: &'static str,
) -> anyhow::Result<Exit> {
    let around = surroundings();
    let waits = || lock(project, &format!("modelgate model {verb}"), &around);
    let lock = if decision.dry_run { None } else { Some(waits()?) };
    let mut registry = registry(project)?;
    let model = &decision.model;
    let version = chosen(&registry, model, decision.version.as_ref())?;
    let reason = decision.reason.clone();
    let event = match verb {
        "approve" => {
            policy::check_approver(project, model, &around.actor)?;
            policy::check_passed(&registry, model, version, "be approved")?;
            policy::check_compared(&registry, model, version)?;
            warn_of_other_rules(project, &registry, model, version, printer);
            printer
                .talk(crate::approval::summary(&approval_request(&registry, model, version)?).trim_start());
            Event::Approve { reason }
        }
        "reject" => {
            needs_reason(&reason, "why is it rejected?")?;
            policy::check_approver(project, model, &around.actor)?;
            Event::Reject { reason }
        }
        "stage" => {
            policy::check_passed(&registry, model, version, "be staged")?;
            Event::Stage { reason }
        }
        _ => {
            needs_reason(&reason, "why may it not reach production?")?;
            check_quarantine(&registry, model, version)?;
            Event::Quarantine { was_production: None, reason }
        }
    };
    let now = (around.now)();
    if decision.dry_run {
        let done = match event {
            Event::Approve { .. } => "be approved",
            Event::Reject { .. } => "be rejected",
            Event::Stage { .. } => "be in staging",
            _ => "be quarantined",
        };
        registry.allows(model, &[(version, event)], &now, &around.actor)?;
        printer.would(model, version, done)?;
        return Ok(Exit::Passed);
    }
    let rolled_out = registry.model(model)?.active_rollout().is_some();
    let mut notice = None;
    if matches!(event, Event::Quarantine { .. }) {
        let reason = &decision.reason;
        let digest = quarantine(project, &mut registry, model, version, reason, &around)?;
        notice = Some(Notice::quarantined(model, version, digest, reason));
    } else {
        registry.apply(model, version, &event, &now, &around.actor)?;
    }
    match event {
        Event::Approve { .. } => {
            // While a rollout is under way nothing else can promote.
            let rollout = registry.model(model)?.active_rollout();
            let next = match rollout.map(|rollout| rollout.canary == version) {
                Some(true) => {
                    "`modelgate rollout promote` promotes it once it has taken its steps".to_owned()
                }
                Some(false) => {
                    "the rollout that is under way has to end before it can be promoted".to_owned()
                }
                None => format!(
                    "`modelgate model promote {model} {version}` brings it to production, as `modelgate run` does where \
                     this is what the pipeline makes"
                ),
            };
            printer.talk(&format!("{model} {version} is approved; {next}"));
        }
        Event::Reject { .. } => printer.talk(&format!("{model} {version} is rejected")),
        Event::Stage { .. } => printer.talk(&format!(
            "{model} {version} is in staging; `modelgate serve --model {model} --stage staging` serves it"
        )),
        _ => printer.talk(&format!("{model} {version} is quarantined")),
    }
    if rolled_out && registry.model(model)?.active_rollout().is_none() {
        printer.talk(&format!(
            "{model}: its rollout has ended with that; the service finds it at its next look at the registry, and \
             `modelgate rollout abort {model} --reason …` takes it out at once"
        ));
    }
    standing(&registry, model, version, printer)?;
    drop(lock);
    if let Some(notice) = notice {
        notify::tell(project, &notice, &around, printer);
    }
    Ok(Exit::Passed)
}
