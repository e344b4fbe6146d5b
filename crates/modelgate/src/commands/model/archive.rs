//! `modelgate model gc`, `export`, `import`, and `promote --from-run`.

use std::path::Path;

use modelgate_config::NotifyEvent;
use modelgate_core::lifecycle::Stage;
use modelgate_core::{ModelName, Verdict};
use modelgate_pipeline::choice::{Choice, choose, stage_newest};
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::{
    PipelineError, Project, PromotionRequest, foreign, lock, policy, production_version, promote, registry,
    retention,
};
use serde_json::json;

use crate::commands::exported::has_folder;
use crate::commands::notify;
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
    // Nothing is written: nobody has to wait for it, and it is seen on a disk that cannot be written too.
    let _lock = if dry_run { None } else { Some(lock(project, "modelgate model gc", &around)?) };
    let mut registry = registry(project)?;
    let plan = retention::plan(project, &registry, &(around.now)())?;
    if yes {
        retention::collect(project, &mut registry, &plan, &around)?;
    }
    let verb = if yes { "removed" } else { "would be removed" };
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "dry_run": dry_run, "versions": plan.versions, "objects": plan.count(),
            "bytes": plan.bytes(), "leftovers": plan.leftovers, "others": plan.others,
        }))?;
        return Ok(Exit::Passed);
    }
    for one in &plan.leftovers {
        let path = one.path.strip_prefix(&project.root).unwrap_or(&one.path).display();
        printer.data(&format!("{path} was left by a killed command, {} bytes, {verb}", one.bytes))?;
    }
    if project.config.retention.keep.is_none() {
        printer.talk("every version is kept: modelgate.yaml has no `retention.keep`");
        return Ok(Exit::Passed);
    }
    for model in &plan.others {
        printer.talk(&format!("{model} is kept: no pipeline of this project makes it"));
    }
    for one in &plan.versions {
        let stage = one.stage;
        printer.data(&format!("{} {} {stage}, last event {}", one.model, one.version, one.last_event))?;
    }
    printer.data(&format!(
        "{} versions and {} objects, {} bytes, {verb}",
        plan.versions.len(),
        plan.count(),
        plan.bytes()
    ))?;
    Ok(Exit::Passed)
}

pub(crate) fn export(
    file: &Path,
    leave_out_damaged: bool,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    if file.as_os_str() == "-" {
        return Err(UsageError("an archive goes into a file, such as `registry.tar`".to_owned()).into());
    }
    has_folder(file)?;
    let registry = registry(project)?;
    let manifest = if leave_out_damaged {
        let (manifest, left_out) = modelgate_registry::export_what_is_whole(&registry, file)?;
        for one in &left_out {
            printer.warning(&format!("left out: {one}"));
        }
        manifest
    } else {
        modelgate_registry::export(&registry, file).map_err(or_leave_out)?
    };
    printer.talk(&format!("{} written to {}", content(&manifest), file.display()));
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "file": file.display().to_string(), "events": manifest.events,
            "objects": manifest.objects, "runs": manifest.runs.as_ref().map(|runs| runs.count),
        }))?;
    }
    Ok(Exit::Passed)
}

pub(crate) fn import(file: &Path, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let around = surroundings();
    let _lock = lock(project, "modelgate model import", &around)?;
    let mut registry = registry(project)?;
    let manifest = modelgate_registry::import(&mut registry, file, &project.state_folder())?;
    printer.talk(&format!("{} read in", content(&manifest)));
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "file": file.display().to_string(), "events": manifest.events,
            "objects": manifest.objects, "runs": manifest.runs.as_ref().map(|runs| runs.count),
        }))?;
    }
    for one in &manifest.left_out {
        printer.warning(&format!(
            "the archive lacks the object {one}, which was missing or damaged when it was written"
        ));
    }
    // The ledger is in: what cannot be brought of one model keeps back no other.
    for model in registry.state().models.keys() {
        if let Err(error) = modelgate_pipeline::materialise(project, &registry, model) {
            printer.warning(&format!(
                "{model}: production was read in, and its package could not be brought to models/packaged/{model}/: {error}; \
                 `modelgate model pull {model}` brings it once that is mended, `modelgate model rollback {model}` goes back \
                 to another version"
            ));
        }
    }
    if manifest.runs.is_none() {
        printer.talk("the archive is of a modelgate that kept no runs in it: parameters and figures of runs stay behind");
    }
    Ok(Exit::Passed)
}

/// Says how an archive can be had all the same.
fn or_leave_out(error: modelgate_registry::RegistryError) -> anyhow::Error {
    let damaged = error.is_of_files();
    let error = anyhow::Error::from(error);
    if damaged {
        error.context("nothing was written; `--leave-out-damaged` writes an archive of what is whole")
    } else {
        error
    }
}

/// Returns what an archive holds, in words.
fn content(manifest: &modelgate_registry::ArchiveManifest) -> String {
    let (events, objects) = (manifest.events, manifest.objects);
    match &manifest.runs {
        Some(runs) => format!("{events} events, {objects} objects and {} runs", runs.count),
        None => format!("{events} events and {objects} objects"),
    }
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
    let lock = lock(project, "modelgate model promote", &around)?;
    let mut registry = registry(project)?;
    let over = production_version(&registry, model);
    let taken = foreign::take(pipeline, &mut registry, folder, &around, &mut StageLines::new(printer))?;
    let version = taken.version;
    if Some(version) == over {
        // Whoever tries again after a word that was lost finds it done.
        printer.talk(&format!("{model} {version} is this package, and in production already"));
        return Ok(Exit::Passed);
    }
    printer.talk(&format!("{model} {version}: {} – {}", taken.verdict.verdict, taken.verdict.sentence));
    let digest = registry.model(model)?.versions.get(&version).map(|found| found.digest);
    let mut lock = Some(lock);
    // Whoever is told may be slow: others need not wait for it.
    let mut tell = |event: NotifyEvent, why: &str| {
        drop(lock.take());
        let notice = Notice::of(event, model, Some(version), digest, why);
        notify::tell(project, &notice, &around, printer);
    };
    if taken.verdict.verdict != Verdict::Passed {
        if taken.verdict.verdict == Verdict::Failed {
            tell(NotifyEvent::VerdictFailed, &taken.verdict.sentence);
        }
        return Ok(taken.verdict.verdict.into());
    }
    let stage = registry.model(model)?.versions.get(&version).map(|found| found.stage);
    if stage == Some(Stage::Rejected) {
        printer.talk(&format!("{model} {version} is this package, judged as it is now, and it is rejected"));
        return Ok(Exit::Blocked);
    }
    let quarantined = digest.and_then(|digest| registry.state().models.get(model)?.quarantined(&digest));
    if let Some(other) = quarantined {
        return Err(PipelineError::Policy(format!(
            "the package of {version} is quarantined as {other}: `modelgate model promote {model} {version} \
             --override-quarantine --reason …` takes it out"
        ))
        .into());
    }
    let now = (around.now)();
    if !policy::approve_by_policy(project, &mut registry, model, version, &now)? {
        let lapsed = policy::lapsed(pipeline, &registry, version, &now)?;
        let rejection = policy::for_a_person(project, &registry, model, version)?;
        let before = lapsed.or(rejection).map_or_else(String::new, |why| format!("{why}; "));
        printer.talk(&format!(
            "{model} {version} waits for approval: {before}`modelgate model approve {model} {version}`, then \
             `modelgate model promote {model} {version}`, or this import once more"
        ));
        tell(NotifyEvent::ApprovalWanted, &taken.verdict.sentence);
        return Ok(Exit::WaitingForApproval);
    }
    let (chosen, why) = match choose(pipeline, &registry, version, reason, &now)? {
        Choice::Promote { version, reason } => (Some(version), reason),
        Choice::Stage { reason } => (None, reason),
    };
    let mut notice = None;
    if let Some(chosen) = chosen {
        let request = PromotionRequest {
            model: model.clone(),
            version: chosen,
            over,
            reason: why.clone(),
            override_quarantine: false,
        };
        let found = promote(project, &mut registry, &request, &around)?;
        printer.talk(&format!("{model} {chosen} is in production, models/packaged/{model}/"));
        notice = Some(Notice::promoted(model, chosen, found.digest, &why));
    }
    if chosen != Some(version) {
        stage_newest(&mut registry, model, version, &why, &around)?;
        printer.talk(&format!("{model} {version} is in staging, {why}"));
    }
    drop(lock);
    if let Some(notice) = notice {
        notify::tell(project, &notice, &around, printer);
    }
    Ok(Exit::Passed)
}
