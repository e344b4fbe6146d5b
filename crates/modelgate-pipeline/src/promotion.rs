//! What follows a promotion: the package where production loads it from, and the baseline.

use std::collections::BTreeMap;

use modelgate_core::lifecycle::Event;
use modelgate_core::rule::Subset;
use modelgate_core::{Digest, ModelName, VersionNumber, canonical};
use modelgate_registry::Registry;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::evaluation::{Evaluation, SubsetEvaluation};
use crate::options::{ApprovalRequest, MetricDifference, Surroundings};
use crate::production::{self, Baseline, Production};
use crate::project::Project;

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
}

impl From<&Evaluation> for AttachedMetrics {
    fn from(evaluation: &Evaluation) -> Self {
        Self {
            schema_version: 1,
            digest: evaluation.digest,
            classes: evaluation.classes.clone(),
            subsets: evaluation.subsets.clone(),
            configuration: None,
        }
    }
}

/// Promotes an approved version, then brings its package to `models/packaged/<model>/`.
pub fn promote(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Production, PipelineError> {
    let event = Event::Promote { reason: reason.to_owned() };
    registry.apply(model, version, &event, &(surroundings.now)(), &surroundings.actor)?;
    materialise(project, registry, model)?
        .ok_or_else(|| PipelineError::Policy(format!("{version} left production while it was promoted")))
}

/// Makes `models/packaged/<model>/` and `baselines/<model>.json` those of the version in production, if they are not
/// yet: after a promotion, and after a process was killed between the ledger and the files.
///
/// Returns the version in production, if there is one.
pub fn materialise(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<Option<Production>, PipelineError> {
    let Some(found) = production::find(registry, model) else { return Ok(None) };
    let folder = project.packaged(model);
    atomic::recover_folder(&folder)?;
    let current = fs_err::read(folder.join("manifest.json")).map(|bytes| Digest::of(&bytes));
    let baseline = production::baseline(project, model).ok().flatten();
    let packaged =
        current.is_ok_and(|digest| digest == found.digest) && modelgate_model::open(&folder).is_ok();
    if packaged
        && baseline
            .is_some_and(|baseline| baseline.digest == found.digest && baseline.version == found.version)
    {
        return Ok(Some(found));
    }
    let files = registry.version_files(model, found.version)?;
    let package = modelgate_model::from_files(files.clone())?;
    if package.digest != found.digest {
        return Err(PipelineError::Policy(format!(
            "the registry holds the package {} for {}, whose digest is {}",
            package.digest, found.version, found.digest
        )));
    }
    atomic::replace_folder(&folder, &files)?;
    if let Some(bytes) = files.get("metrics.json") {
        let metrics: AttachedMetrics = serde_json::from_slice(bytes)?;
        let baseline = Baseline {
            schema_version: 1,
            model: model.clone(),
            version: found.version,
            digest: found.digest,
            classes: metrics.classes,
            subsets: metrics.subsets,
        };
        atomic::write(&project.baseline(model), canonical::to_pretty(&baseline)?.as_bytes())?;
    }
    Ok(Some(found))
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
    let figures =
        |version: VersionNumber| state.versions.get(&version).map(|found| &found.registration.metrics);
    let of_production = production.and_then(figures);
    let own = figures(version).cloned().unwrap_or_default();
    let metrics = own.into_iter().map(|(metric, value)| {
        let production = of_production.and_then(|figures| figures.get(&metric)).copied();
        MetricDifference { metric, candidate: Some(value), production }
    });
    let Some(found) = state.versions.get(&version) else {
        return Err(PipelineError::Policy(format!("there is no version {version}")));
    };
    let sentence = registry
        .object(&found.registration.verdict_digest)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<modelgate_core::verdict::GateVerdict>(&bytes).ok())
        .map_or_else(String::new, |verdict| verdict.sentence);
    Ok(ApprovalRequest {
        model: model.clone(),
        version,
        digest: found.digest,
        verdict: found.verdict,
        sentence,
        production,
        metrics: metrics.collect(),
    })
}
