//! What the policy asks of a version before it answers requests as a canary: what it asks of a promotion by hand, which a
//! rollout leads to, and the approval before its share is more than half.

use modelgate_core::rollout::Percent;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::{check_package, check_promotion, governed, is_automatic, lapsed};
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
/// Says why an approval that is there does not count.
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
    let automatic = is_automatic(project, model)?;
    let found = registry.model(model)?.versions.get(&version);
    if found.is_none_or(|found| found.approval.is_none()) {
        return Ok(if automatic { Admission::ByPolicy } else { Admission::Waits });
    }
    // What the policy approved it approves again where that is too old.
    if automatic && lapsed(&governed(project, model)?, registry, version, now)?.is_some() {
        return Ok(Admission::ByPolicy);
    }
    check_promotion(project, registry, model, version, now)?;
    Ok(Admission::Open)
}
