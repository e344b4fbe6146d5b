//! `modelgate status`.

use std::path::Path;

use modelgate_core::lifecycle::{ModelState, Stage as Lifecycle, VersionState};
use modelgate_core::{Digest, Verdict, VersionNumber};
use modelgate_model::PackageError;
use modelgate_pipeline::datasets::{self, Reading, dvc_stages};
use modelgate_pipeline::outputs::{self, PromotionDecision, RunReport};
use modelgate_pipeline::policy::OtherRules;
use modelgate_pipeline::reports::EndedRun;
use modelgate_pipeline::rollback;
use modelgate_pipeline::{
    Pipeline, PipelineError, Project, find_production, policy, registry, signature, source_files,
};
use modelgate_registry::Registry;
use serde_json::{Value, json};

use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::{Printer, coloured};

pub(crate) fn execute(project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let mut found: Vec<Value> = Vec::new();
    for pipeline in project.pipelines()? {
        let last: Option<RunReport> = outputs::read(&pipeline, "run_report.json");
        let unread = outputs::unread::<RunReport>(&pipeline, "run_report.json");
        let ended = EndedRun::read(&pipeline);
        let sample = last.as_ref().and_then(|last| outputs::sampled(&pipeline, last));
        let production = find_production(&registry, &pipeline.model);
        let state = registry.state().models.get(&pipeline.model);
        let waiting = waiting(&pipeline, &registry, state)?;
        let pending = state.and_then(|state| state.pending.as_ref());
        // What became of it behind its gate: a verdict that passed is not all there is to know.
        let stopped = last.as_ref().filter(|_| ended.is_none()).and_then(|last| stopped(&pipeline, last));
        // The folder that is served must be what the ledger says.
        let folder = project.packaged(&pipeline.model);
        let packaged = modelgate_model::verify(&folder);
        let package = match (&packaged, production) {
            (Ok(digest), None) if state.is_some_and(|state| state.quarantined(digest).is_some()) => {
                "a quarantined version; `modelgate model pull` takes it away".to_owned()
            }
            (Ok(_), None) if state.is_none() => {
                "one of which the registry knows nothing: `.modelgate` is lost, or this is another registry; before a run \
                 begins anew, look for a backup or another clone"
                    .to_owned()
            }
            (_, None) => "none".to_owned(),
            (Ok(digest), Some(found)) if *digest == found.digest => {
                if signature::has_registered_verdict(&registry, &pipeline.model, found.version, &folder)? {
                    "verified".to_owned()
                } else {
                    "its verdict.json is not what the gate wrote; `modelgate model pull` brings it again".to_owned()
                }
            }
            (Ok(_), Some(_)) => {
                "another version; `modelgate run` or `modelgate model pull` mends it".to_owned()
            }
            (Err(PackageError::NotAPackage(_)), Some(_)) if !folder.exists() => {
                "not here; `modelgate model pull` brings it".to_owned()
            }
            (Err(error), Some(_)) => error.to_string(),
        };
        let signed = production
            .and_then(|found| state?.versions.get(&found.version))
            .map(|found| signed(project, &folder, found.signature));
        let against = match production {
            Some(_) => policy::against_production(project, &registry, &pipeline.model)?,
            None => Vec::new(),
        };
        let differs = differs(&pipeline);
        if printer.is_json() {
            found.push(json!({
                "pipeline": pipeline.name, "model": pipeline.model, "production": production.map(|found| found.version),
                "digest": production.map(|found| found.digest), "package": package,
                "waiting": waiting.iter().map(|one| one.version).collect::<Vec<_>>(),
                "lapsed": waiting.iter().filter(|one| one.has_lapsed).map(|one| one.version).collect::<Vec<_>>(),
                "other_rules": waiting.iter().filter_map(|one| Some((one.version.to_string(), &one.other.as_ref()?.0)))
                    .collect::<std::collections::BTreeMap<_, _>>(),
                "signature": signed, "refused_today": against, "rollback": pending, "last_stopped": stopped,
                "last_run": last.as_ref().map(|run| &run.run_id), "last_unread": unread, "last_verdict": last.as_ref().filter(|_| ended.is_none()).and_then(|run| run.verdict),
                "last_ending": last.as_ref().map(|_| ended.as_ref().map_or("judged", EndedRun::code)),
                "last_said": ended.as_ref().map(EndedRun::sentence), "last_sample": sample,
                "data_warning": differs,
            }));
            continue;
        }
        printer.data(&format!("{} (model {})", pipeline.name, pipeline.model))?;
        let text = production.map_or_else(
            || match state.and_then(|_| rollback::default_target(&registry, &pipeline.model).ok()) {
                None => "nothing yet".to_owned(),
                Some(last) => {
                    format!("nothing; `modelgate model rollback {}` brings {last} back", pipeline.model)
                }
            },
            |found| format!("{} sha256:{}", found.version, found.digest.short()),
        );
        printer.data(&format!("  production  {text}"))?;
        printer.data(&format!("  package     {package}"))?;
        if let Some(signed) = signed {
            printer.data(&format!("  signature   {signed}"))?;
        }
        for against in &against {
            printer.data(&format!("  policy      would not let it in today: {against}"))?;
        }
        let names: Vec<String> = waiting.iter().map(Waiting::name).collect();
        if let Some(pending) = pending {
            printer.data(&format!(
                "  rollback    from {} to {} is under way since {}, by {}",
                pending.from, pending.version, pending.time, pending.actor
            ))?;
        }
        printer.data(&format!(
            "  waiting     {}",
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        ))?;
        for (version, other) in waiting.iter().filter_map(|one| Some((one.version, one.other.as_ref()?))) {
            printer.data(&format!("              {version} was {other}"))?;
        }
        // An approval of what was judged by other rules needs more than this line.
        let mut candidates =
            waiting.iter().filter(|one| one.stage == Lifecycle::Candidate && one.other.is_none());
        if let Some(newest) = candidates.next_back() {
            let line = format!("`modelgate model approve {} {}`", pipeline.model, newest.version);
            printer.data(&format!("  next        {line}"))?;
        }
        if let Some(differs) = &differs {
            printer.data(&format!("  data        {differs}"))?;
        }
        let text = last.map_or_else(
            || {
                unread.as_ref().map_or_else(
                    || "none; `modelgate run` makes one".to_owned(),
                    |why| format!("it cannot be read: {why}"),
                )
            },
            |run| {
                let verdict = match &ended {
                    Some(ended) => ended.word(),
                    None => run.verdict.map_or_else(String::new, |verdict| verdict.to_string()),
                };
                let on = sample.as_ref().map_or_else(String::new, |sample| format!(" on a {sample}"));
                format!("{} at {}, {}{on}", run.run_id, run.started_at, coloured(&verdict))
            },
        );
        printer.data(&format!("  last run    {text}"))?;
        if let Some(stopped) = &stopped {
            printer.data(&format!("              {stopped}"))?;
        }
        if let Some(ended) = &ended {
            printer.data(&format!("              {}", ended.sentence()))?;
            printer.data(&format!("              {}", ended.figures()))?;
        }
    }
    let stages = dvc_stages(project)?;
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "registry": registry.home(), "pipelines": found, "dvc_stages": stages,
        }))?;
        return Ok(Exit::Passed);
    }
    if !stages.is_empty() {
        printer.data("stages of DVC")?;
    }
    for stage in stages {
        let mut state = if stage.stale.is_empty() {
            "up to date".to_owned()
        } else {
            format!("stale: {}", stage.stale.join("; "))
        };
        if !stage.absent.is_empty() {
            let names: Vec<String> = stage.absent.iter().map(|name| format!("`{name}`")).collect();
            let names = names.join(", ");
            state = format!(
                "{state}, deleted here: {names} (`modelgate data pull` brings it back from DVC's cache)"
            );
        }
        printer.data(&format!("  {:<12}{state}", format!("{} ", stage.name)))?;
    }
    Ok(Exit::Passed)
}

/// A version that can go on to production.
struct Waiting {
    version: VersionNumber,
    stage: Lifecycle,
    /// Whether its approval counts no more, as one that has expired.
    has_lapsed: bool,
    /// How the rules that it was judged by are not those of this project.
    other: Option<OtherRules>,
}

/// Of so many versions that wait, the newest, the verdicts are read: each is one more thing that the registry is asked for.
const READ: usize = 20;

impl Waiting {
    fn name(&self) -> String {
        let Self { version, stage, has_lapsed, other: _ } = self;
        match (stage, has_lapsed) {
            (Lifecycle::Candidate, false) => version.to_string(),
            (stage, false) => format!("{version} ({stage})"),
            (Lifecycle::Approved, true) => format!("{version} (its approval counts no more)"),
            (stage, true) => format!("{version} ({stage}, its approval counts no more)"),
        }
    }
}

/// Returns whether a version that is newer than production waits for a person.
///
/// # Errors
/// Fails when the registry cannot be asked.
pub(super) fn is_any_waiting(pipeline: &Pipeline<'_>, registry: &Registry) -> Result<bool, PipelineError> {
    let state = registry.state().models.get(&pipeline.model);
    let production = state.and_then(ModelState::production);
    Ok(waiting(pipeline, registry, state)?.iter().any(|one| Some(one.version) > production))
}

/// Returns what passed its gate and is not decided on; a package that is quarantined goes nowhere under any number, nor does
/// one that was judged beside nothing, or another version, and would have to follow what is in production now.
fn waiting(
    pipeline: &Pipeline<'_>,
    registry: &Registry,
    state: Option<&ModelState>,
) -> Result<Vec<Waiting>, PipelineError> {
    let Some(state) = state else { return Ok(Vec::new()) };
    let now = (surroundings().now)();
    let can_go_on = |found: &VersionState| {
        matches!(found.stage, Lifecycle::Candidate | Lifecycle::Approved | Lifecycle::Staging)
            && found.verdict == Verdict::Passed
            && state.quarantined(&found.digest).is_none()
    };
    let mut waiting = Vec::new();
    for (version, found) in state.versions.iter().rev().filter(|(_, found)| can_go_on(found)) {
        let mut other = None;
        if waiting.len() < READ {
            match policy::check_compared(registry, &pipeline.model, *version) {
                Err(error) if error.is_unanswered() => return Err(error),
                Err(PipelineError::Policy(_)) => continue,
                // A version whose verdict is damaged is told of by who decides on it.
                _ => {}
            }
            other = policy::other_rules(pipeline.project, registry, &pipeline.model, *version).ok().flatten();
        }
        let approval = found.approval.as_ref();
        let lapsed =
            approval.and_then(|approval| policy::approval_lapsed(pipeline, *version, approval, &now));
        let (version, stage, has_lapsed) = (*version, found.stage, lapsed.is_some());
        waiting.push(Waiting { version, stage, has_lapsed, other });
    }
    waiting.reverse();
    Ok(waiting)
}

/// Says who signed what is in production, by the package that is here.
fn signed(project: &Project, folder: &Path, registered: Option<Digest>) -> String {
    let asked = project.config.signing.require_signature;
    let Some(registered) = registered else {
        return if asked { "none, and signing.require_signature asks for one" } else { "none" }.to_owned();
    };
    let file = folder.join("model.sig");
    if fs_err::read(&file).ok().map(|bytes| Digest::of(&bytes)) != Some(registered) {
        return "of the version; the package here has it not".to_owned();
    }
    let checked = signature::trusted_keys(project).and_then(|keys| {
        if keys.is_empty() {
            return Ok("there, and not looked at: signing.public_keys is empty".to_owned());
        }
        signature::verify_folder(folder, &file, &keys).map(|key| format!("by `{key}`"))
    });
    checked.unwrap_or_else(|error| format!("not believed: {error}"))
}

/// Says how the data are not those that git versions, or that they are not here and which command brings them.
fn differs(pipeline: &Pipeline<'_>) -> Option<String> {
    if pipeline.config.data.source.contains("://") {
        return None;
    }
    match source_files(pipeline) {
        Ok(files) => datasets::warning(pipeline, &files, Reading::Little),
        Err(error @ PipelineError::Sharing(_)) => Some(error.to_string()),
        // A source that is nowhere is told by who reads it.
        Err(_) => None,
    }
}

/// Says what kept a run that was judged from production, such as a quarantine of its package, or from its end, such as a full
/// disk behind its promotion.
fn stopped(pipeline: &Pipeline<'_>, last: &RunReport) -> Option<String> {
    let decision: Option<PromotionDecision> = outputs::read(pipeline, "promotion_decision.json");
    let is_stopped = |decision: &PromotionDecision| {
        decision.run_id == last.run_id
            && last.verdict == Some(Verdict::Passed)
            && matches!(decision.decision.as_str(), "blocked" | "rejected" | "failed")
    };
    match decision.filter(is_stopped) {
        Some(decision) => Some(format!("{}: {}", decision.decision, decision.reason)),
        None => last.error.as_ref().map(|error| format!("not finished behind its gate: {error}")),
    }
}
