//! Figures that lie in files: of the committed baseline, and of earlier runs. They are believed where the registry, whose
//! objects are named by their digests, says nothing else.

use std::collections::BTreeMap;

use modelgate_core::rule::{GateRule, Versus};
use modelgate_core::verdict::{Reference, Scores};
use modelgate_core::{Digest, ModelName, RunId, VersionNumber};
use modelgate_evaluate::Average;
use modelgate_registry::Registry;

use crate::averaged;
use crate::error::PipelineError;
use crate::evaluation::Evaluation;
use crate::outputs;
use crate::production::{self, Baseline};
use crate::project::Pipeline;
use crate::promotion::AttachedMetrics;

/// Returns the baseline of `pipeline`: its file, or where there is none, as in a fresh clone that nobody committed it to, what
/// the version in production was registered with, from which a promotion writes that file.
///
/// # Errors
/// Fails when the file is no baseline.
pub(crate) fn known(pipeline: &Pipeline<'_>, registry: &Registry) -> Result<Option<Baseline>, PipelineError> {
    let model = &pipeline.model;
    if let Some(stored) = production::baseline(pipeline.project, model)? {
        return Ok(Some(stored));
    }
    let Some(found) = production::find(registry, model) else { return Ok(None) };
    let metrics = attached(registry, model, found.version)?;
    Ok(metrics.map(|metrics| Baseline::of(model, &found, metrics.classes, metrics.subsets)))
}

/// Returns the baseline of `pipeline` as rules compare with it.
///
/// A file whose figures are not those that its version was registered with switches no rule off: it cannot be compared
/// with.
///
/// # Errors
/// Fails when the file is no baseline.
pub(crate) fn baseline(pipeline: &Pipeline<'_>, registry: &Registry) -> Result<Reference, PipelineError> {
    let model = &pipeline.model;
    let in_production = production::version(registry, model);
    let Some(stored) = known(pipeline, registry)? else {
        return Ok(in_production.map_or(Reference::None, |version| {
            Reference::Unavailable(format!(
                "there is no `baselines/{model}.json`, and the registry keeps no figures of {version}, which is in production: \
                 restore the file from git"
            ))
        }));
    };
    if let Some(attached) = attached(registry, model, stored.version)?
        && let Some(what) = differs(&stored, &attached)
    {
        return Ok(Reference::Unavailable(format!(
            "`baselines/{model}.json` has {what} than {} was registered with: restore the file from git",
            stored.version
        )));
    }
    let other = in_production.filter(|version| *version != stored.version);
    let of = other.map_or_else(String::new, |version| format!(" (in production is {version})"));
    Ok(Reference::Scores(Box::new(scores(&stored, averaged::average(pipeline), &of))))
}

/// Returns the figures of a baseline as `average` has them, with a word behind its name.
fn scores(stored: &Baseline, average: Average, behind: &str) -> Scores {
    let mut evaluation = stored.evaluation();
    averaged::restate(&mut evaluation.subsets, average);
    evaluation.scores(format!("baseline {}{behind}", stored.version), None)
}

/// Returns the figures that are attached to a version; `None` when the registry does not know it, or keeps them no more.
pub(crate) fn attached(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<AttachedMetrics>, PipelineError> {
    let known = registry.state().models.get(model).is_some_and(|state| state.versions.contains_key(&version));
    if !known {
        return Ok(None);
    }
    let registration = registry.registration(model, version)?;
    let Some(digest) = registration.files.get("metrics.json") else { return Ok(None) };
    match registry.object(digest) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        // They are there: going on without them would believe a file that they may say otherwise of.
        Err(error) if !error.is_of_version() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn differs(stored: &Baseline, attached: &AttachedMetrics) -> Option<&'static str> {
    if stored.digest != attached.digest {
        Some("another package")
    } else if stored.subsets != attached.subsets || stored.classes != attached.classes {
        Some("other figures")
    } else {
        None
    }
}

fn named(rules: &[GateRule]) -> impl Iterator<Item = &RunId> {
    rules.iter().filter_map(|rule| match rule.check.versus() {
        Some(Versus::Run(run)) => Some(run),
        _ => None,
    })
}

/// Returns the digest of what each run left that rules compare with; `None` for one that left nothing. A file that comes
/// back is judged by again.
pub(crate) fn digests_of_runs(
    pipeline: &Pipeline<'_>,
    rules: &[GateRule],
) -> BTreeMap<String, Option<Digest>> {
    let digest =
        |run: &RunId| fs_err::read(outputs::path_of_run(pipeline, run)).ok().map(|bytes| Digest::of(&bytes));
    named(rules).map(|run| (run.to_string(), digest(run))).collect()
}

/// Returns the runs that rules compare with, as their own figures tell of them.
///
/// # Errors
/// Fails when the registry cannot be reached.
pub(crate) fn runs(
    pipeline: &Pipeline<'_>,
    rules: &[GateRule],
    registry: &Registry,
) -> Result<BTreeMap<Versus, Reference>, PipelineError> {
    let figures = |run: &RunId| match run_figures(pipeline, registry, run) {
        Ok(mut evaluation) => {
            averaged::restate(&mut evaluation.subsets, averaged::average(pipeline));
            Ok::<_, PipelineError>(Reference::Scores(Box::new(evaluation.scores(format!("run {run}"), None))))
        }
        Err(PipelineError::Registry(error)) if !error.is_of_version() => Err(error.into()),
        Err(error) => Ok(Reference::Unavailable(error.to_string())),
    };
    named(rules).map(|run| Ok((Versus::Run(run.clone()), figures(run)?))).collect()
}

/// Reads what a run left, and holds it against what it registered, if it registered a version.
fn run_figures(
    pipeline: &Pipeline<'_>,
    registry: &Registry,
    run: &RunId,
) -> Result<Evaluation, PipelineError> {
    let found = outputs::evaluation_of_run(pipeline, run)?;
    let versions = registry.state().models.get(&pipeline.model).map(|state| &state.versions);
    for (version, _) in versions.into_iter().flatten().filter(|(_, state)| state.digest == found.digest) {
        if registry.registration(&pipeline.model, *version)?.lineage.run_id != *run {
            continue;
        }
        let differ = attached(registry, &pipeline.model, *version)?
            .is_some_and(|attached| attached.subsets != found.subsets);
        if differ {
            return Err(PipelineError::Policy(format!(
                "`outputs/{}/evaluations/{run}.json` has other figures than {version} was registered with: restore the file",
                pipeline.name
            )));
        }
    }
    Ok(found)
}
