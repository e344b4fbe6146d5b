//! A production that has to go, whether or not another can take over.

use std::collections::BTreeSet;

use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::{latest_before, verify_target};
use crate::error::PipelineError;
use crate::notify::Notice;
use crate::options::Surroundings;
use crate::policy;
use crate::project::Project;
use crate::promotion::{materialise, package_of};
use crate::unfinished::{self, Work};
use crate::untold;

/// How many stays in production are looked at for a version that can take over.
const LOOKED_AT: usize = 10_000;

/// Where a production that has to go can go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WayOut {
    /// The latest production before this one that can take over; `None` where none can.
    pub to: Option<VersionNumber>,
    /// Later ones that cannot, and why.
    pub passed_over: Vec<(VersionNumber, String)>,
}

/// Looks for the latest production before this one that can take over: signed as the policy asks, whole, and answering as
/// it did, of which nothing but the first is asked where `skip_verification` is set.
///
/// # Errors
/// Fails when the registry or the keys that signatures are believed from cannot be read: that passes no version over.
pub fn way_out(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    skip_verification: bool,
) -> Result<WayOut, PipelineError> {
    let mut found = WayOut { to: None, passed_over: Vec::new() };
    let state = registry.model(model)?;
    if project.config.signing.require_signature {
        crate::signature::trusted_keys(project)?;
    }
    let mut asked = BTreeSet::new();
    for (version, _) in registry.tenures(model, LOOKED_AT)? {
        if !state.can_be_gone_back_to(version) || !asked.insert(version) {
            continue;
        }
        let usable = policy::check_signature(project, registry, model, version).and_then(|()| {
            if skip_verification {
                package_of(registry, model, version).map(|_| ())
            } else {
                verify_target(project, registry, model, version)
            }
        });
        match usable {
            Ok(()) => {
                found.to = Some(version);
                break;
            }
            Err(error) if error.is_unanswered() => return Err(error),
            Err(error) => found.passed_over.push((version, error.to_string())),
        }
    }
    Ok(found)
}

/// Refuses the quarantine of the version in production where another can be gone back to.
///
/// # Errors
/// Names the ways there are.
pub fn check_quarantine(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    if registry.model(model)?.production() != Some(version) {
        return Ok(());
    }
    match latest_before(registry, model)? {
        None => Ok(()),
        Some(before) => Err(PipelineError::Policy(format!(
            "{version} is in production: `modelgate model rollback {model}` goes back to {before} and quarantines it; with \
             `--or-none` it is quarantined too where {before} and those before it cannot take over"
        ))),
    }
}

/// Quarantines the version in production, beside which no other can take over: nothing is in production then.
/// Returns its package. What was brought to `models/packaged/` of it goes.
///
/// # Errors
/// Says what stands against it; production is then what it was.
pub fn take_out(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Digest, PipelineError> {
    let event = Event::Quarantine { reason: reason.to_owned() };
    let digest = registry.model(model)?.versions.get(&version).map(|found| found.digest);
    let digest = digest.ok_or_else(|| PipelineError::Policy(format!("there is no version {version}")))?;
    let (now, actor) = ((surroundings.now)(), &surroundings.actor);
    registry.allows(model, &[(version, event.clone())], &now, actor)?;
    unfinished::begin(project, Work::TakeOut, model, version)?;
    if let Err(error) = registry.apply(model, version, &event, &now, actor) {
        if error.appended_nothing() {
            unfinished::end(project)?;
        }
        return Err(error.into());
    }
    materialise(project, registry, model)?;
    untold::keep(project, &[Notice::quarantined(model, version, digest, reason)])?;
    unfinished::end(project)?;
    Ok(digest)
}
