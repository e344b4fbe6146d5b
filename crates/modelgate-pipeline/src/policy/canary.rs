//! What the policy asks of a version before it answers requests as a canary: what it asks of a promotion by hand, which a
//! rollout leads to, and the approval before its share is more than half.

use modelgate_core::rollout::Percent;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::{check_automatic, check_package, check_passed, check_promotion, governed, is_automatic, lapsed};
use crate::error::PipelineError;
use crate::project::Project;
use crate::run::check_manual_promotion;

/// Refuses a version that its rollout could not bring to production, whoever approved it: its package does not do, nobody
/// may promote by hand, or nothing is in production that it could stand beside.
///
/// # Errors
/// Says what stands against it.
pub fn check_canary(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    governed(project, model)?;
    check_manual_promotion(project, model)?;
    if registry.model(model)?.production().is_none() {
        return Err(PipelineError::Policy(format!(
            "nothing of {model} is in production, and a canary gets a share beside it: `modelgate model promote {model} \
             {version}` promotes the first version"
        )));
    }
    check_passed(registry, model, version, "answer requests")?;
    check_package(project, registry, model, version)
}

/// Whether a canary may have a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It may.
    Open,
    /// The policy approves it by itself.
    ByPolicy,
    /// A person has to approve it first.
    Waits,
}

/// Returns whether a canary may have `share`: more than half of the requests is for what is approved.
///
/// # Errors
/// Says why an approval that is there does not count, or why the policy does not give one.
pub fn admission(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    share: Percent,
    now: &str,
) -> Result<Admission, PipelineError> {
    if !share.is_most() {
        return Ok(Admission::Open);
    }
    let automatic = is_automatic(project, registry, model, version)?;
    let found = registry.model(model)?.versions.get(&version);
    let is_given = found.is_some_and(|found| found.approval.is_some());
    if !is_given && !automatic {
        return Ok(Admission::Waits);
    }
    // What the policy approved it approves again where that is too old.
    if automatic && (!is_given || lapsed(&governed(project, model)?, registry, version, now)?.is_some()) {
        // Here, before the service is told of a canary that the ledger would not take.
        check_automatic(project, registry, model, version)?;
        return Ok(Admission::ByPolicy);
    }
    check_promotion(project, registry, model, version, now)?;
    Ok(Admission::Open)
}
