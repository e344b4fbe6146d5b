//! A package that was made elsewhere: its digests are verified, it is judged here on this project's rows, and becomes
//! a version like any other.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::ledger::{Lineage, Registration};
use modelgate_core::lifecycle::{ModelState, Stage as Lifecycle, VersionState};
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, Verdict, VersionNumber, canonical};
use modelgate_model::{ATTACHED_FILES, Package};
use modelgate_registry::{Objects, Registry};

use crate::error::PipelineError;
use crate::learned::recorded;
use crate::measured_on::MeasuredRows;
use crate::options::{Reporter, RunOptions, Surroundings};
use crate::probe;
use crate::project::Pipeline;
use crate::promotion::AttachedMetrics;
use crate::rejudge::Court;
use crate::reports;
use crate::run::new_run_id;
use crate::runner::Runner;
use crate::stage::{Selection, Stage};
use crate::stages::{contract, data, dataset, registration};

/// A package that became a version, or is the one in production.
#[derive(Clone, PartialEq, Debug)]
pub struct Taken {
    /// The version.
    pub version: VersionNumber,
    /// What the gate said here.
    pub verdict: GateVerdict,
}

/// Verifies the package in `folder`, judges it by the gate of `pipeline`, and registers it, unless it is in production, or a
/// version that was judged alike waits for its way there. The caller holds the lock.
///
/// # Errors
/// Fails when the package is not whole, is of another model, or cannot be scored on this project's rows.
pub fn take(
    pipeline: &Pipeline<'_>,
    registry: &mut Registry,
    folder: &Path,
    surroundings: &Surroundings<'_>,
    reporter: &mut dyn Reporter,
) -> Result<Taken, PipelineError> {
    let package = modelgate_model::open(folder)?;
    if package.manifest.name != pipeline.model {
        return Err(PipelineError::Policy(format!(
            "`{}` holds a package of `{}`, not of `{}`",
            folder.display(),
            package.manifest.name,
            pipeline.model
        )));
    }
    // One whose artefacts are removed has no other way back than in again, as a version that is quarantined too.
    let known = registry.state().models.get(&pipeline.model);
    let there = |state: &ModelState, version: &VersionNumber| {
        state.versions.get(version).is_some_and(|found| found.stage != Lifecycle::Removed)
    };
    let quarantined =
        known.and_then(|state| state.quarantined_as(&package.digest).find(|version| there(state, version)));
    if let Some(version) = quarantined {
        return Err(PipelineError::Policy(format!(
            "`{}` holds the package of {} {version}, which is quarantined: it was not registered; \
             `modelgate model promote {} {version} --override-quarantine --reason …` takes it out",
            folder.display(),
            pipeline.model,
            pipeline.model
        )));
    }
    let options = RunOptions { selection: Selection::Until(Stage::Split), ..RunOptions::default() };
    let mut runner = Runner::new(pipeline, &options, surroundings, reporter);
    let stages: [fn(&mut Runner<'_>) -> Result<bool, PipelineError>; 3] =
        [dataset::snapshot, contract::contract, data::split];
    for stage in stages {
        stage(&mut runner)?;
    }
    if contract::blocks(&runner)? {
        return Err(PipelineError::NotPassed {
            verdict: Verdict::Failed,
            sentence: "the data do not keep their contract: nothing is judged on them".to_owned(),
        });
    }
    let attached = attached(registry, pipeline, &package, folder)?;
    let court = Court::of(&mut runner, registry, Some((&package, attached.as_ref())))?;
    let schema = &package.manifest.schema;
    let (evaluation, verdict) = court.judge(&package.model, package.digest, "the package", schema)?;
    let verdict_bytes = registration::verdict_file(&verdict)?;
    let verdict_digest = Digest::of(&verdict_bytes);
    let known = |state: &ModelState| judged_alike(state, package.digest, (verdict_digest, verdict.verdict));
    if let Some(version) = registry.state().models.get(&pipeline.model).and_then(known) {
        return Ok(Taken { version, verdict });
    }
    let mut files = own_files(&package, folder)?;
    let metrics = AttachedMetrics {
        measured_on: Some(MeasuredRows::of(&runner)?),
        // What it was trained on is known by nothing else when it is production, and another is compared with it.
        split: recorded(attached.as_ref(), "split"),
        trained_on: recorded(attached.as_ref(), "trained_on"),
        ..AttachedMetrics::from(&evaluation)
    };
    let metrics = canonical::to_pretty(&metrics)?.into_bytes();
    let card = reports::model_card(&package.manifest, &evaluation, &verdict, &runner.warnings());
    files.insert(METRICS.to_owned(), metrics);
    files.insert("verdict.json".to_owned(), verdict_bytes.clone());
    files.insert("MODEL_CARD.md".to_owned(), card.into_bytes());
    let now = (surroundings.now)();
    let figures = evaluation.subsets.get(&court.on()).map(|found| found.metrics.clone()).unwrap_or_default();
    let lineage = &package.manifest.lineage;
    let probes = canonical::to_pretty(&probe::make(&package)?)?.into_bytes();
    let registration = Registration {
        digest: package.digest,
        verdict: verdict.verdict,
        verdict_digest,
        bootstrap: verdict.bootstrap,
        lineage: Lineage {
            run_id: new_run_id(&now)?,
            config: lineage.config,
            dataset: lineage.dataset,
            task: package.manifest.task,
            algorithm: lineage.algorithm.clone(),
            seed: lineage.seed,
            trained_at: now.clone(),
            tool_version: lineage.tool_version.clone(),
        },
        metrics: figures.into_iter().filter_map(|(metric, value)| Some((metric, value?))).collect(),
        files: files.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect(),
        checks: BTreeMap::from([(probe::PROBES.to_owned(), Digest::of(&probes))]),
    };
    let objects: Objects =
        files.into_values().chain([probes]).map(|bytes| (Digest::of(&bytes), bytes)).collect();
    let (model, actor) = (&pipeline.model, &surroundings.actor);
    let (version, _) = registry.register_unless(model, &registration, &objects, &now, actor, known)?;
    Ok(Taken { version, verdict })
}

/// Returns the version that a package is already, judged as it is now: one in production, which it would be promoted over; one
/// that is on its way there, which is gone on with; or one that a person rejected. What was in production and was replaced comes
/// in anew, and so does what did not pass: it was asked for again.
fn judged_alike(
    state: &ModelState,
    package: Digest,
    (verdict, outcome): (Digest, Verdict),
) -> Option<VersionNumber> {
    if outcome != Verdict::Passed {
        return None;
    }
    let is_this = |found: &VersionState| match found.stage {
        Lifecycle::Production => true,
        Lifecycle::Candidate | Lifecycle::Approved | Lifecycle::Staging | Lifecycle::Rejected => {
            found.verdict_digest == verdict
        }
        Lifecycle::Archived | Lifecycle::Quarantined | Lifecycle::Removed => false,
    };
    let versions = state.versions.iter().filter(|(_, found)| found.digest == package && is_this(found));
    // Of what is in production and what waits, the former.
    versions
        .max_by_key(|(version, found)| (found.stage == Lifecycle::Production, **version))
        .map(|(version, _)| *version)
}

/// Returns the `metrics.json` of a package: that of a version of it here, else the one that lies beside it. No digest stands for
/// that one; it is asked for nothing but which rows the package was trained on, and its lineage is held against that.
fn attached(
    registry: &Registry,
    pipeline: &Pipeline<'_>,
    package: &Package,
    folder: &Path,
) -> Result<Option<serde_json::Value>, PipelineError> {
    let known = registry.state().models.get(&pipeline.model).map(|state| &state.versions);
    for (version, _) in known.into_iter().flatten().filter(|(_, found)| found.digest == package.digest) {
        let registration = registry.registration(&pipeline.model, *version)?;
        let Some(bytes) = registration.files.get(METRICS).and_then(|digest| registry.object(digest).ok())
        else {
            continue;
        };
        let value: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        if value.as_ref().is_some_and(|value| value.get("split").is_some()) {
            return Ok(value);
        }
    }
    let beside = modelgate_model::read_file(&folder.join(METRICS)).ok();
    Ok(beside.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The file of a version's figures.
const METRICS: &str = "metrics.json";

/// Returns the package's own files; what was attached elsewhere says nothing here.
fn own_files(package: &Package, folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
    let names = package.manifest.files.keys().map(String::as_str).chain(["manifest.json"]);
    names
        .filter(|name| !ATTACHED_FILES.contains(name))
        .map(|name| Ok((name.to_owned(), fs_err::read(folder.join(name))?)))
        .collect()
}
