//! `modelgate model gc`, `export`, `import`, and `promote --from-run`.

use std::path::Path;

use modelgate_config::ApprovalPolicy;
use modelgate_core::lifecycle::Event;
use modelgate_core::{ModelName, Verdict};
use modelgate_pipeline::{Project, foreign, lock, promote, registry, retention};
use serde_json::json;

use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;
use crate::progress::StageLines;

pub(crate) fn gc(dry_run: bool, yes: bool, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    if !dry_run && !yes {
        let message = "`--dry-run` shows what would be removed, `--yes` removes it";
        return Err(UsageError(message.to_owned()).into());
    }
    let around = surroundings();
    let _lock = lock(project, "modelgate model gc", &around)?;
    let mut registry = registry(project)?;
    let plan = retention::plan(project, &registry, &(around.now)())?;
    if yes {
        retention::collect(&mut registry, &plan, &around)?;
    }
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "dry_run": dry_run, "versions": plan.versions, "objects": plan.objects.len(),
            "bytes": plan.bytes(),
        }))?;
        return Ok(Exit::Passed);
    }
    if project.config.retention.keep.is_none() {
        printer.talk("everything is kept: modelgate.yaml has no `retention.keep`");
        return Ok(Exit::Passed);
    }
    for one in &plan.versions {
        let stage = one.stage;
        printer.data(&format!("{} {} {stage}, last event {}", one.model, one.version, one.last_event))?;
    }
    let verb = if yes { "removed" } else { "would be removed" };
    printer.data(&format!(
        "{} versions and {} objects, {} bytes, {verb}",
        plan.versions.len(),
        plan.objects.len(),
        plan.bytes()
    ))?;
    Ok(Exit::Passed)
}

pub(crate) fn export(file: &Path, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let manifest = modelgate_registry::export(&registry, file)?;
    printer.talk(&format!(
        "{} events and {} objects written to {}",
        manifest.events,
        manifest.objects,
        file.display()
    ));
    Ok(Exit::Passed)
}

pub(crate) fn import(file: &Path, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let around = surroundings();
    let _lock = lock(project, "modelgate model import", &around)?;
    let mut registry = registry(project)?;
    let manifest = modelgate_registry::import(&mut registry, file, &project.state_folder())?;
    let models: Vec<ModelName> = registry.state().models.keys().cloned().collect();
    for model in &models {
        modelgate_pipeline::materialise(project, &registry, model)?;
    }
    printer.talk(&format!("{} events and {} objects read in", manifest.events, manifest.objects));
    Ok(Exit::Passed)
}

pub(crate) fn from_run(
    folder: &Path,
    model: &ModelName,
    reason: &str,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let pipelines = project.pipelines()?;
    let pipeline = pipelines.iter().find(|pipeline| pipeline.model == *model).ok_or_else(|| {
        UsageError(format!("no pipeline of modelgate.yaml makes `{model}`: there is no gate to judge it by"))
    })?;
    let around = surroundings();
    let _lock = lock(project, "modelgate model promote", &around)?;
    let mut registry = registry(project)?;
    let taken = foreign::take(pipeline, &mut registry, folder, &around, &mut StageLines::new(printer))?;
    let version = taken.version;
    printer.talk(&format!("{model} {version}: {} – {}", taken.verdict.verdict, taken.verdict.sentence));
    if taken.verdict.verdict != Verdict::Passed {
        return Ok(taken.verdict.verdict.into());
    }
    if pipeline.config.promotion.approval == ApprovalPolicy::Required {
        printer.talk(&format!(
            "{model} {version} waits for approval: `modelgate model approve {model} {version}`"
        ));
        return Ok(Exit::WaitingForApproval);
    }
    let event = Event::Approve { reason: "promotion.approval is automatic and the gate passed".to_owned() };
    registry.apply(model, version, &event, &(around.now)(), "policy:automatic")?;
    promote(project, &mut registry, model, version, reason, &around)?;
    printer.talk(&format!("{model} {version} is in production, models/packaged/{model}/"));
    Ok(Exit::Passed)
}
