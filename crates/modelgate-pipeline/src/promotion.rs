//! What follows a promotion: the package where production loads it from, and the baseline.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::ledger::{LedgerEvent, Registration};
use modelgate_core::lifecycle::{Event, ModelState};
use modelgate_core::rollout::Rollout;
use modelgate_core::rule::Subset;
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, ModelName, VersionNumber, canonical};
use modelgate_model::{LEFT_FILE, LeftPackages, Package};
use modelgate_registry::Registry;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::deployment;
use crate::error::PipelineError;
use crate::evaluation::{Evaluation, SubsetEvaluation};
use crate::learned::SplitRecord;
use crate::measured_on::{MeasuredOn, MeasuredRows};
use crate::notify::Notice;
use crate::options::{ApprovalRequest, MetricDifference, Surroundings};
use crate::packaged::{MANIFEST, check_packaged, files_of, loaded_from};
use crate::policy;
use crate::production::{self, Baseline, Production};
use crate::project::Project;
use crate::run::check_manual_promotion;
use crate::trained_on::TrainedOn;
use crate::unfinished::{self, Work};

/// The figures that are attached to a version as `metrics.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AttachedMetrics {
    pub(crate) schema_version: u32,
    pub(crate) digest: Digest,
    pub(crate) classes: Vec<String>,
    pub(crate) subsets: BTreeMap<Subset, SubsetEvaluation>,
    /// The pipeline's settings, so that a later run can say what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) configuration: Option<serde_json::Value>,
    /// How its rows were split, so that a later run compares it on none that it learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<SplitRecord>,
    /// Which rows it was trained on, where that does not follow from how they were split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trained_on: Option<TrainedOn>,
    /// On which rows the figures were measured: those of a package from elsewhere on others than it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) measured_on: Option<MeasuredRows>,
}

impl From<&Evaluation> for AttachedMetrics {
    fn from(evaluation: &Evaluation) -> Self {
        Self {
            schema_version: 1,
            digest: evaluation.digest,
            classes: evaluation.classes.clone(),
            subsets: evaluation.subsets.clone(),
            configuration: None,
            split: None,
            trained_on: None,
            measured_on: None,
        }
    }
}

/// What is to go to production.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromotionRequest {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// The version that was in production when this was decided; when it is another by then, nothing happens.
    pub over: Option<VersionNumber>,
    /// Why; may be empty.
    pub reason: String,
    /// Take it out of quarantine; the ledger keeps it.
    pub override_quarantine: bool,
}

/// Promotes an approved version, then brings its package to `models/packaged/<model>/`.
///
/// # Errors
/// Fails when the policy or the lifecycle does not allow it, when its package is not whole, or when another version
/// reached production since it was decided; production is then what it was.
pub fn promote(
    project: &Project,
    registry: &mut Registry,
    request: &PromotionRequest,
    surroundings: &Surroundings<'_>,
) -> Result<Production, PipelineError> {
    promote_behind(project, registry, request, None, surroundings)
}

/// Promotes a canary that has taken its steps: the end of its rollout and the promotion are written together. `seen` is the
/// rollout as it stood when this was decided.
///
/// # Errors
/// As [`promote`], and where the policy forbids promotions by hand.
pub fn promote_canary(
    project: &Project,
    registry: &mut Registry,
    request: &PromotionRequest,
    seen: &Rollout,
    surroundings: &Surroundings<'_>,
) -> Result<Production, PipelineError> {
    check_manual_promotion(project, &request.model)?;
    let end = Event::PromoteRollout { seen: Some(Box::new(seen.clone())), reason: request.reason.clone() };
    promote_behind(project, registry, request, Some(end), surroundings)
}

/// Asks everything that could stand against a promotion, as [`promote`] does, and writes nothing.
///
/// # Errors
/// Says what stands against it.
pub fn rehearse_promotion(
    project: &Project,
    registry: &Registry,
    request: &PromotionRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    planned(project, registry, request, None, &(surroundings.now)(), surroundings).map(drop)
}

/// Returns what is to be written, once nothing that can be known stands against it.
fn planned(
    project: &Project,
    registry: &Registry,
    request: &PromotionRequest,
    first: Option<Event>,
    now: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<(VersionNumber, Event)>, PipelineError> {
    let (model, version, reason) = (&request.model, request.version, request.reason.clone());
    let mut events = if request.override_quarantine {
        policy::override_quarantine(project, registry, model, version, &reason, surroundings)?
    } else {
        Vec::new()
    };
    let found = registry.model(model)?.versions.get(&version);
    if events.is_empty() && found.is_some_and(|found| is_quarantined(registry, model, &found.digest)) {
        // What else stands against it would be told to no purpose.
        let promote = Event::Promote { over: request.over, reason: reason.clone() };
        registry.allows(model, &[(version, promote)], now, &surroundings.actor)?;
    }
    let is_approved_now =
        events.iter().any(|(one, event)| *one == version && matches!(event, Event::Approve { .. }));
    if is_approved_now {
        policy::check_package(project, registry, model, version)?;
    } else {
        policy::check_promotion(project, registry, model, version, now)?;
    }
    events.extend(first.map(|event| (version, event)));
    events.push((version, Event::Promote { over: request.over, reason }));
    registry.allows(model, &events, now, &surroundings.actor)?;
    package_of(registry, model, version)?;
    check_packaged(project, model)?;
    Ok(events)
}

fn is_quarantined(registry: &Registry, model: &ModelName, digest: &Digest) -> bool {
    registry.state().models.get(model).is_some_and(|state| state.quarantined(digest).is_some())
}

fn promote_behind(
    project: &Project,
    registry: &mut Registry,
    request: &PromotionRequest,
    first: Option<Event>,
    surroundings: &Surroundings<'_>,
) -> Result<Production, PipelineError> {
    let (model, version, now) = (&request.model, request.version, (surroundings.now)());
    let events = planned(project, registry, request, first, &now, surroundings)?;
    bring(project, registry, (Work::Promotion, model, version), &events, &request.reason, &now, surroundings)
}

/// Writes the events behind which `version` is in production, and brings its package to where production loads it from.
pub(crate) fn bring(
    project: &Project,
    registry: &mut Registry,
    (work, model, version): (Work, &ModelName, VersionNumber),
    events: &[(VersionNumber, Event)],
    reason: &str,
    now: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Production, PipelineError> {
    let mark = unfinished::begin(project, work, model, version)?;
    if let Err(error) = registry.apply_all(model, events, now, &surroundings.actor) {
        // An answer that was lost leaves open what the ledger holds: the mark lets the next command look.
        if error.appended_nothing() {
            mark.undo()?;
        }
        return Err(error.into());
    }
    let moved = production::find(registry, model);
    let notices = moved.map(|found| Notice::promoted(model, found.version, found.digest, reason));
    let done = format!("{model} {version} is in production");
    let notices = notices.into_iter().collect();
    let found = mark.follow(project, done, notices, || materialise(project, registry, model))?;
    found.ok_or_else(|| PipelineError::Policy(format!("{version} left production while it was promoted")))
}

/// Makes `models/packaged/<model>/`, `baselines/<model>.json` and the deployment manifest those of the version in
/// production, if they are not yet: after a promotion, and after a process was killed between the ledger and the files.
///
/// Returns the version in production, if there is one.
///
/// # Errors
/// Fails when the package is not what was registered or cannot be written.
pub fn materialise(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<Option<Production>, PipelineError> {
    // Whoever sees the new package knows whether the one before it may be kept.
    note_quarantined(project, registry, model)?;
    let Some(found) = production::find(registry, model) else {
        withdraw(project, registry, model)?;
        return Ok(None);
    };
    place_package(project, registry, model, found.version)?;
    deployment::follow(project, registry, model, found)?;
    let baseline = production::baseline(project, model).ok().flatten();
    if baseline.is_some_and(|baseline| baseline.digest == found.digest && baseline.version == found.version) {
        return Ok(Some(found));
    }
    let registration = registry.registration(model, found.version)?;
    if let Some(digest) = registration.files.get("metrics.json") {
        let metrics: AttachedMetrics = serde_json::from_slice(&registry.object(digest)?)?;
        let baseline = Baseline::of(model, &found, metrics.classes, metrics.subsets);
        atomic::write(&project.baseline(model), canonical::to_pretty(&baseline)?.as_bytes())?;
    }
    Ok(Some(found))
}

/// With nothing in production, a quarantined package does not stay where production loads it from.
fn withdraw(project: &Project, registry: &Registry, model: &ModelName) -> Result<(), PipelineError> {
    let Some(state) = registry.state().models.get(model) else { return Ok(()) };
    let folder = loaded_from(project, model);
    if check_packaged(project, model).is_err() {
        disarm(state, &folder)?;
    } else {
        atomic::recover_folder(&folder)?;
        let placed = modelgate_model::verify(&folder).ok();
        if placed.is_some_and(|digest| state.quarantined(&digest).is_some()) {
            atomic::remove_folder(&folder)?;
        }
    }
    deployment::leave(project, registry, model)
}

/// Takes a quarantined package out of a folder that holds files of others too, which stay. Its manifest goes last: who is killed
/// meanwhile leaves what the next command knows again, and no service loads what lacks a file.
fn disarm(state: &ModelState, folder: &Path) -> Result<(), PipelineError> {
    let manifest = folder.join(MANIFEST);
    let Ok(bytes) = fs_err::read(&manifest) else { return Ok(()) };
    if state.quarantined(&Digest::of(&bytes)).is_none() {
        return Ok(());
    }
    for name in files_of(&bytes) {
        match fs_err::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(fs_err::remove_file(&manifest)?)
}

/// Says beside the packages which of the model are quarantined, for a service that has the folder alone.
pub(crate) fn note_quarantined(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<(), PipelineError> {
    let folder = project.packaged(model);
    // Nobody serves from a folder that is not there.
    let Some(folder) = folder.parent().filter(|folder| folder.is_dir()) else { return Ok(()) };
    let versions = registry.state().models.get(model).map(|state| &state.versions);
    // A quarantine outlives the artefacts in the registry: a copy of the package may be anywhere.
    let quarantined = versions.into_iter().flatten().filter(|(_, state)| state.quarantined);
    let quarantined: BTreeMap<_, _> = quarantined.map(|(number, state)| (state.digest, *number)).collect();
    let before = LeftPackages::read(folder);
    let gone = before.of(model).filter(|(digest, _)| !quarantined.contains_key(digest)).collect();
    let unknown = unknown_marks(registry, model, gone)?;
    for (digest, version) in &unknown {
        modelgate_registry::tell(&format!(
            "`{}` has the package {digest} as quarantined ({model} {version}), and the ledger knows neither of that nor of an \
             override: it was taken back to an earlier day, or is another one. The mark stays, and no service loads the package; \
             restore the ledger from a copy, or take the mark out of the file if the package is good",
            folder.join(LEFT_FILE).display()
        ));
    }
    let now = before.clone().with(model, quarantined.into_iter().chain(unknown));
    if now != before {
        atomic::write(&folder.join(LEFT_FILE), canonical::to_pretty(&now)?.as_bytes())?;
    }
    Ok(())
}

/// Returns those of the marks `gone`, which the ledger does not have any more, that no override took out.
fn unknown_marks(
    registry: &Registry,
    model: &ModelName,
    mut gone: BTreeMap<Digest, VersionNumber>,
) -> Result<BTreeMap<Digest, VersionNumber>, PipelineError> {
    let versions = registry.state().models.get(model).map(|state| &state.versions);
    let (Some(versions), false) = (versions, gone.is_empty()) else { return Ok(gone) };
    registry.for_each_entry(|entry| {
        if let LedgerEvent::Overridden { model: of, version, .. } = &entry.event
            && of == model
            && let Some(found) = versions.get(version)
        {
            gone.remove(&found.digest);
        }
        Ok(())
    })?;
    Ok(gone)
}

/// Makes `models/packaged/<model>/` the package of `version`, if it is not yet.
pub(crate) fn place_package(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    let state = registry.model(model)?.versions.get(&version);
    let Some(state) = state else {
        return Err(PipelineError::Policy(format!("there is no version {version}")));
    };
    check_packaged(project, model)?;
    let folder = loaded_from(project, model);
    atomic::recover_folder(&folder)?;
    let signature = modelgate_model::read_file(&folder.join("model.sig")).ok();
    let signature = signature.map(|bytes| Digest::of(&bytes));
    // A package that was judged twice has the verdict of the version that it is here.
    let packaged = modelgate_model::verify(&folder)
        .is_ok_and(|digest| digest == state.digest && signature == state.signature)
        && crate::signature::has_registered_verdict(registry, model, version, &folder)?;
    if packaged {
        return Ok(());
    }
    let (files, _) = package_of(registry, model, version)?;
    Ok(atomic::replace_folder(&folder, &files)?)
}

/// Reads the files of `version` and the package that they are, which must be the registered one.
pub(crate) fn package_of(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(BTreeMap<String, Vec<u8>>, Package), PipelineError> {
    let registered = registry.registration(model, version)?.digest;
    let files = registry.version_files(model, version)?;
    let package = modelgate_model::from_files(files.clone())?;
    if package.digest != registered {
        return Err(PipelineError::Policy(format!(
            "the registry holds the package {} for {version}, whose digest is {registered}",
            package.digest
        )));
    }
    Ok((files, package))
}

/// Returns what a person needs to know to approve `version`.
pub fn approval_request(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<ApprovalRequest, PipelineError> {
    let version = registry.resolve(model, &version.to_string())?;
    let state = registry.model(model)?;
    let production = state.production();
    let own = registry.registration(model, version)?;
    let of_production = production.map(|version| registry.registration(model, version)).transpose()?;
    let measured = |registration: &Registration| MeasuredOn::of(registry, registration).0;
    let other_rows = of_production.as_ref().and_then(|found| measured(found).differs(&measured(&own)));
    let comparable = of_production.filter(|_| other_rows.is_none()).map(|found| found.metrics);
    let metrics = own.metrics.into_iter().map(|(metric, value)| {
        let production = comparable.as_ref().and_then(|figures| figures.get(&metric)).copied();
        MetricDifference { metric, candidate: Some(value), production }
    });
    let Some(found) = state.versions.get(&version) else {
        return Err(PipelineError::Policy(format!("there is no version {version}")));
    };
    let verdict = registry
        .object(&found.verdict_digest)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<GateVerdict>(&bytes).ok());
    let (sentence, rules) = verdict.map_or_else(Default::default, |verdict| {
        let rules =
            verdict.rules.iter().map(|rule| format!("{} {}: {}", rule.outcome, rule.id, rule.sentence));
        (verdict.sentence.clone(), rules.collect())
    });
    Ok(ApprovalRequest {
        model: model.clone(),
        version,
        digest: found.digest,
        verdict: found.verdict,
        sentence,
        production,
        rules,
        other_rows,
        metrics: metrics.collect(),
    })
}
