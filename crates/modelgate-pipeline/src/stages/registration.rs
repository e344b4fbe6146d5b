//! Register, approve and promote: from a verdict to production.

use std::collections::BTreeMap;
use std::time::Duration;

use modelgate_config::ManualPolicy;
use modelgate_core::ledger::{Lineage, Registration};
use modelgate_core::lifecycle::{Event, ModelState, Stage as Lifecycle};
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, RunId, Verdict, VersionNumber, canonical};
use modelgate_registry::{Objects, Registry};
use modelgate_store::{ProjectLock, StoreError};

use crate::choice::{Choice, choose, stage_newest};
use crate::error::PipelineError;
use crate::learned::SplitRecord;
use crate::measured_on::MeasuredRows;
use crate::options::{ApprovalAnswer, Approver, StageStatus};
use crate::policy;
use crate::probe;
use crate::production::Production;
use crate::promotion::{self, AttachedMetrics, PromotionRequest};
use crate::run;
use crate::runner::Runner;
use crate::stage::{Stage, Wanted};
use crate::stages::{confirmed, data, judge, model};

/// Reports a stage that is not wanted, hidden by a dry run, or would write in one; returns whether it is to be done.
fn begins(runner: &mut Runner<'_>, stage: Stage, would: &str) -> bool {
    if runner.options.selection.wants(stage) == Wanted::No || runner.hidden(stage) {
        return false;
    }
    if runner.options.dry_run {
        runner.would_run(stage, would.to_owned());
        return false;
    }
    true
}

/// Returns the version that was registered for this package with this verdict, or that is in production with it.
fn registered(
    state: &ModelState,
    package: Digest,
    (verdict, outcome): (Digest, Verdict),
) -> Option<VersionNumber> {
    // In a fresh clone the model in production is judged again, with nothing to compare it with but itself; it keeps the
    // judgement that it got. A verdict that is no longer passed is news.
    let production = state.production().filter(|version| {
        let same = |found: &modelgate_core::lifecycle::VersionState| found.digest == package;
        outcome == Verdict::Passed && state.versions.get(version).is_some_and(same)
    });
    if production.is_some() {
        return production;
    }
    // A version whose artefacts are removed can go nowhere: its package comes in anew, under a number of its own.
    let same = |found: &modelgate_core::lifecycle::VersionState| {
        found.digest == package && found.verdict_digest == verdict && found.stage != Lifecycle::Removed
    };
    state.versions.iter().rev().find(|(_, found)| same(found)).map(|(version, _)| *version)
}

/// Returns `verdict.json` as it is attached to a version.
pub(crate) fn verdict_file(verdict: &GateVerdict) -> Result<Vec<u8>, PipelineError> {
    Ok(canonical::to_pretty(verdict)?.into_bytes())
}

/// Writes the version into the ledger, unless this package was registered with this verdict before.
pub(crate) fn register(
    runner: &mut Runner<'_>,
    registry: &mut Registry,
    run_id: &RunId,
    started_at: &str,
) -> Result<Option<VersionNumber>, PipelineError> {
    if runner.options.selection.wants(Stage::Register) == Wanted::No || runner.hidden(Stage::Register) {
        return Ok(None);
    }
    let started = std::time::Instant::now();
    let verdict = judge::verdict(runner)?;
    // The package is its manifest: it is read as a whole only where it is registered.
    let digest = runner.output(Stage::Assemble, model::MANIFEST)?;
    let verdict_bytes = verdict_file(&verdict)?;
    let verdict_digest = Digest::of(&verdict_bytes);
    let name = runner.pipeline.model.clone();
    let outcome = verdict.verdict;
    let known = |state: &ModelState| registered(state, digest, (verdict_digest, outcome));
    let skip = |runner: &mut Runner<'_>, version: VersionNumber| {
        let summary = format!("{} {version}", runner.pipeline.model);
        let why = "this package was registered with this verdict".to_owned();
        let seconds = started.elapsed().as_secs_f64();
        runner.report(Stage::Register, StageStatus::Skipped, summary, why, seconds, Vec::new());
    };
    if let Some(version) = registry.state().models.get(&name).and_then(known) {
        skip(runner, version);
        return Ok(Some(version));
    }
    if !begins(runner, Stage::Register, "the package with this verdict is not registered") {
        return Ok(None);
    }
    confirmed::confirm(runner, registry)?;
    let files = model::package_files(runner)?;
    let package = modelgate_model::from_files(files.clone())?;
    let evaluation = judge::evaluation(runner)?;
    let on = judge::gate_subset(runner);
    let figures = evaluation.subsets.get(&on).map(|found| found.metrics.clone()).unwrap_or_default();
    let mut objects: BTreeMap<String, Vec<u8>> = files;
    let split = SplitRecord::of(runner)?;
    let metrics = AttachedMetrics {
        configuration: Some(crate::changes::settings(runner.pipeline)?),
        trained_on: split.trained_on(runner)?,
        measured_on: Some(MeasuredRows::of(runner)?),
        split: Some(split),
        ..AttachedMetrics::from(&evaluation)
    };
    let metrics = canonical::to_pretty(&metrics)?.into_bytes();
    let card = crate::reports::model_card(&package.manifest, &evaluation, &verdict, &runner.warnings());
    objects.insert("metrics.json".to_owned(), metrics);
    objects.insert("verdict.json".to_owned(), verdict_bytes);
    objects.insert("MODEL_CARD.md".to_owned(), card.into_bytes());
    let probes = canonical::to_pretty(&probe::make(&package)?)?.into_bytes();
    let lineage = &package.manifest.lineage;
    let registration = Registration {
        digest: package.digest,
        verdict: verdict.verdict,
        verdict_digest,
        bootstrap: verdict.bootstrap,
        lineage: Lineage {
            run_id: run_id.clone(),
            config: lineage.config,
            dataset: lineage.dataset,
            task: data::task(runner),
            algorithm: lineage.algorithm.clone(),
            seed: lineage.seed,
            // An earlier run may have trained it.
            trained_at: runner
                .json(Stage::Train, model::TRAINED_AT)
                .unwrap_or_else(|_| started_at.to_owned()),
            tool_version: lineage.tool_version.clone(),
        },
        metrics: figures.into_iter().filter_map(|(metric, value)| Some((metric, value?))).collect(),
        files: objects.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect(),
        checks: BTreeMap::from([(probe::PROBES.to_owned(), Digest::of(&probes))]),
    };
    let objects: Objects =
        objects.into_values().chain([probes]).map(|bytes| (Digest::of(&bytes), bytes)).collect();
    let now = (runner.surroundings.now)();
    let actor = &runner.surroundings.actor;
    let (version, is_new) = registry.register_unless(&name, &registration, &objects, &now, actor, known)?;
    if !is_new {
        // Another run at the same time made the same.
        skip(runner, version);
        return Ok(Some(version));
    }
    let summary = format!("{name} {version}, {}", registry.home());
    let seconds = started.elapsed().as_secs_f64();
    runner.report(
        Stage::Register,
        StageStatus::Ran,
        summary,
        "a new verdict".to_owned(),
        seconds,
        Vec::new(),
    );
    Ok(Some(version))
}

/// What became of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    pub(crate) word: &'static str,
    pub(crate) reason: String,
    pub(crate) actor: Option<String>,
    /// What this run brought to production.
    pub(crate) promoted: Option<Production>,
}

impl Decision {
    pub(crate) fn new(word: &'static str, reason: impl Into<String>) -> Self {
        Self { word, reason: reason.into(), actor: None, promoted: None }
    }

    fn by(word: &'static str, reason: impl Into<String>, actor: String) -> Self {
        Self { actor: Some(actor), ..Self::new(word, reason) }
    }
}

fn lifecycle(
    registry: &Registry,
    runner: &Runner<'_>,
    version: VersionNumber,
) -> Result<Lifecycle, PipelineError> {
    let state = registry.model(&runner.pipeline.model)?;
    let found = state.versions.get(&version).map(|found| found.stage);
    found.ok_or_else(|| PipelineError::Policy(format!("there is no version {version}")))
}

/// Asks a person. Who is asked may be long in answering: meanwhile others may work on the project, as on an incident.
fn ask(
    runner: &mut Runner<'_>,
    registry: &mut Registry,
    version: VersionNumber,
    approver: &mut dyn Approver,
) -> Result<ApprovalAnswer, PipelineError> {
    if !approver.is_there() {
        return Ok(ApprovalAnswer::Nobody);
    }
    let name = &runner.pipeline.model;
    let request = promotion::approval_request(registry, name, version)?;
    let held = runner.lock.take().is_some();
    let answer = approver.ask(&request);
    if held {
        runner.lock = Some(lock_again(runner)?);
    }
    if matches!(answer, ApprovalAnswer::Approve(_) | ApprovalAnswer::Reject(_)) {
        registry.refresh()?;
    }
    if matches!(answer, ApprovalAnswer::Approve(_)) {
        // It was shown beside a production that may have been left since.
        policy::check_compared(registry, name, version)?;
    }
    Ok(answer)
}

/// How often the lock is asked for behind an answer, and the pause between.
const LOOKS: (u32, Duration) = (300, Duration::from_millis(200));

/// Takes the project's lock again; a command that has it meanwhile is waited for, since somebody has just answered.
fn lock_again(runner: &mut Runner<'_>) -> Result<ProjectLock, PipelineError> {
    for look in 0..LOOKS.0 {
        match run::lock(runner.pipeline.project, run::COMMAND, runner.surroundings) {
            Err(PipelineError::Store(error @ StoreError::Locked { .. })) => {
                if look == 0 {
                    runner.reporter.note(&format!("{error}; it is waited for"));
                }
                std::thread::sleep(LOOKS.1);
            }
            taken => return taken,
        }
    }
    run::lock(runner.pipeline.project, run::COMMAND, runner.surroundings)
}

/// Says which commands go on with a version that waits. What is imported is not what the pipeline makes: a run would make
/// another version.
fn goes_on(runner: &Runner<'_>, version: VersionNumber) -> String {
    let name = &runner.pipeline.model;
    let next = match (&runner.options.import, runner.pipeline.config.promotion.manual) {
        (None, _) => "`modelgate run` go on".to_owned(),
        (Some(_), ManualPolicy::Forbidden) => "`modelgate model import` of the same file go on".to_owned(),
        (Some(_), _) => format!("`modelgate model promote {name} {version}` go on"),
    };
    format!("`modelgate model approve {name} {version}` and {next}")
}

/// Asks for approval, or grants it by policy; returns a decision when the version goes no further.
pub(crate) fn approve(
    runner: &mut Runner<'_>,
    registry: &mut Registry,
    version: VersionNumber,
    approver: &mut dyn Approver,
) -> Result<Option<Decision>, PipelineError> {
    let stage = lifecycle(registry, runner, version)?;
    let name = runner.pipeline.model.clone();
    let state = registry.model(&name)?;
    let found = state.versions.get(&version);
    let quarantined = found.and_then(|found| state.quarantined(&found.digest));
    let verdict = found.map_or(Verdict::Failed, |found| found.verdict);
    let approval = found.and_then(|found| found.approval.as_ref());
    let now = (runner.surroundings.now)();
    let lapsed = policy::lapsed(runner.pipeline, registry, version, &now)?;
    // What is in staging was decided on; it is asked for again when it is to leave it.
    let is_approved = approval.is_some() && (lapsed.is_none() || stage == Lifecycle::Staging);
    if verdict != Verdict::Passed {
        let reason = format!("{version} did not pass its gate ({verdict}): it cannot be approved");
        runner.report(Stage::Approve, StageStatus::Refused, reason.clone(), reason.clone(), 0.0, Vec::new());
        return Ok(Some(Decision::new("blocked", reason)));
    }
    if let Some(other) = quarantined.filter(|other| *other != version) {
        let reason = format!("the package of {version} is quarantined as {other}");
        runner.report(Stage::Approve, StageStatus::Refused, reason.clone(), reason.clone(), 0.0, Vec::new());
        return Ok(Some(Decision::new("blocked", reason)));
    }
    match stage {
        // What was approved for too long ago, or by another than is named now, is asked for again.
        Lifecycle::Candidate | Lifecycle::Approved | Lifecycle::Staging if !is_approved => {}
        Lifecycle::Approved | Lifecycle::Production | Lifecycle::Staging | Lifecycle::Candidate => {
            let summary = format!("{version} is {stage}");
            runner.report(
                Stage::Approve,
                StageStatus::Skipped,
                summary,
                "decided".to_owned(),
                0.0,
                Vec::new(),
            );
            return Ok(None);
        }
        Lifecycle::Rejected | Lifecycle::Archived | Lifecycle::Quarantined | Lifecycle::Removed => {
            let mut reason = format!("{version} is {stage}");
            if stage == Lifecycle::Archived {
                reason.push_str(&match registry.model(&name)?.production() {
                    None => format!(
                        ", and nothing is in production: `modelgate model rollback {name} --to-version {version}` brings it \
                         back, or `modelgate model promote {name} {version}`"
                    ),
                    Some(production) => format!(
                        ": `modelgate model rollback {name} --to-version {version}` goes back to it, and quarantines \
                         {production}"
                    ),
                });
            }
            runner.report(
                Stage::Approve,
                StageStatus::Refused,
                reason.clone(),
                reason.clone(),
                0.0,
                Vec::new(),
            );
            let word = if stage == Lifecycle::Rejected { "rejected" } else { "blocked" };
            return Ok(Some(Decision::new(word, reason)));
        }
    }
    if !begins(runner, Stage::Approve, "the version is not approved") {
        return Ok(Some(Decision::new("waiting_for_approval", "it was not asked for")));
    }
    let started = std::time::Instant::now();
    let (event, actor) = if policy::is_automatic(runner.pipeline.project, registry, &name, version)? {
        let reason = "promotion.approval is automatic and the gate passed".to_owned();
        (Event::Approve { reason }, policy::AUTOMATIC.to_owned())
    } else {
        let rejection = policy::for_a_person(runner.pipeline.project, registry, &name, version)?;
        if let Some(rejection) = &rejection {
            runner.reporter.note(rejection);
        }
        let actor = runner.surroundings.actor.clone();
        match ask(runner, registry, version, approver)? {
            ApprovalAnswer::Approve(reason) => (Event::Approve { reason }, actor),
            ApprovalAnswer::Reject(reason) => (Event::Reject { reason }, actor),
            ApprovalAnswer::Cancel | ApprovalAnswer::Nobody => {
                let before = lapsed.or(rejection).map_or_else(String::new, |why| format!("{why}; "));
                let why = before + &goes_on(runner, version);
                let summary = format!("{version} waits for approval: {why}");
                runner.report(Stage::Approve, StageStatus::Waiting, summary.clone(), why, 0.0, Vec::new());
                return Ok(Some(Decision::new("waiting_for_approval", summary)));
            }
        }
    };
    policy::check_approver(runner.pipeline.project, &name, &actor)?;
    registry.apply(&name, version, &event, &(runner.surroundings.now)(), &actor)?;
    let seconds = started.elapsed().as_secs_f64();
    if let Event::Reject { reason } = event {
        let summary = format!("{version} rejected by {actor}: {reason}");
        runner.report(Stage::Approve, StageStatus::Refused, summary, reason.clone(), seconds, Vec::new());
        return Ok(Some(Decision::by("rejected", reason, actor)));
    }
    let summary = format!("{version} approved by {actor}");
    runner.report(
        Stage::Approve,
        StageStatus::Ran,
        summary,
        "it passed its gate".to_owned(),
        seconds,
        Vec::new(),
    );
    Ok(None)
}

/// Moves an approved version to production, where `over` was when it was judged, and makes the packaged folder follow.
pub(crate) fn promote(
    runner: &mut Runner<'_>,
    registry: &mut Registry,
    version: VersionNumber,
    over: Option<VersionNumber>,
) -> Result<Decision, PipelineError> {
    let name = runner.pipeline.model.clone();
    if lifecycle(registry, runner, version)? == Lifecycle::Production {
        let project = runner.pipeline.project;
        if !runner.options.dry_run {
            promotion::materialise(project, registry, &name)?;
        }
        let summary = format!("{name} {version} is in production");
        let why = "it is in production".to_owned();
        runner.report(Stage::Promote, StageStatus::Skipped, summary.clone(), why, 0.0, Vec::new());
        return Ok(Decision::new("already_in_production", summary));
    }
    if !begins(runner, Stage::Promote, "the version is not in production") {
        return Ok(Decision::new("approved", "promotion was not asked for"));
    }
    let started = std::time::Instant::now();
    let actor = runner.surroundings.actor.clone();
    let project = runner.pipeline.project;
    let now = (runner.surroundings.now)();
    let (chosen, reason) = match choose(runner.pipeline, registry, version, "promoted by the run", &now)? {
        Choice::Promote { version, reason } => (version, reason),
        Choice::Stage { reason } => {
            let moved = stage_newest(registry, &name, version, &reason, runner.surroundings)?;
            let summary = format!("{name} {version} is in staging, {reason}");
            let (status, why) = if moved {
                (StageStatus::Ran, reason)
            } else {
                (StageStatus::Skipped, "it is in staging".to_owned())
            };
            let seconds = started.elapsed().as_secs_f64();
            runner.report(Stage::Promote, status, summary.clone(), why, seconds, Vec::new());
            return Ok(if moved {
                Decision::by("staged", summary, actor)
            } else {
                Decision::new("staged", summary)
            });
        }
    };
    let mut summary = format!("{name} {chosen} is in production, models/packaged/{name}/");
    let request = PromotionRequest {
        model: name.clone(),
        version: chosen,
        over,
        reason: reason.clone(),
        override_quarantine: false,
    };
    let promoted = promotion::promote(project, registry, &request, runner.surroundings)?;
    if chosen != version {
        stage_newest(registry, &name, version, &reason, runner.surroundings)?;
        summary.push_str(&format!("; {version} is in staging, {reason}"));
    }
    let seconds = started.elapsed().as_secs_f64();
    let why = if chosen == version { "it is approved".to_owned() } else { reason };
    runner.report(Stage::Promote, StageStatus::Ran, summary.clone(), why, seconds, Vec::new());
    let word = if chosen == version { "promoted" } else { "staged" };
    Ok(Decision { promoted: Some(promoted), ..Decision::by(word, summary, actor) })
}
