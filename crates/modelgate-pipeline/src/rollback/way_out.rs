//! A production that has to go, whether or not another can take over.

use std::collections::BTreeSet;

use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::{former, latest_before, verify_target};
use crate::error::PipelineError;
use crate::notify::Notice;
use crate::options::Surroundings;
use crate::policy;
use crate::project::Project;
use crate::promotion::{materialise, package_of};
use crate::unfinished::{self, Work};
use crate::untold;

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
    if project.config.signing.require_signature {
        crate::signature::trusted_keys(project)?;
    }
    for version in former(registry, model)?.into_iter().map(|one| one.version) {
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

/// Returns the versions that a collection leaves to be gone back to, also while nothing is in production: the latest
/// `at_most` that are whole, which a signature may be all that is missing of, and as many that can take over as they lie. What
/// is damaged fills no place.
pub(crate) fn kept_ready(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    at_most: usize,
) -> Result<BTreeSet<VersionNumber>, PipelineError> {
    if project.config.signing.require_signature {
        crate::signature::trusted_keys(project)?;
    }
    let holds = |asked: Result<(), PipelineError>| match asked {
        Ok(()) => Ok(true),
        Err(error) if error.is_unanswered() => Err(error),
        Err(_) => Ok(false),
    };
    let (mut kept, mut ready) = (BTreeSet::new(), 0);
    for version in former(registry, model)?.into_iter().map(|one| one.version) {
        if ready >= at_most {
            break;
        }
        let is_signed = holds(policy::check_signature(project, registry, model, version))?;
        if (is_signed || kept.len() < at_most) && holds(package_of(registry, model, version).map(drop))? {
            kept.insert(version);
            ready += usize::from(is_signed);
        }
    }
    Ok(kept)
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
    let event = Event::Quarantine { was_production: Some(true), reason: reason.to_owned() };
    let digest = registry.model(model)?.versions.get(&version).map(|found| found.digest);
    let digest = digest.ok_or_else(|| PipelineError::Policy(format!("there is no version {version}")))?;
    let (now, actor) = ((surroundings.now)(), &surroundings.actor);
    registry.allows(model, &[(version, event.clone())], &now, actor)?;
    let mark = unfinished::begin(project, Work::TakeOut, model, version)?;
    if let Err(error) = registry.apply(model, version, &event, &now, actor) {
        if error.appended_nothing() {
            mark.undo()?;
        }
        return Err(error.into());
    }
    let done = format!("{model} {version} is quarantined, and nothing is in production,");
    let notices = vec![Notice::quarantined(model, version, digest, reason)];
    mark.follow(project, done, notices, || materialise(project, registry, model))?;
    Ok(digest)
}

/// Quarantines a version and returns its package; the one in production where no other can be gone back to.
///
/// # Errors
/// Says what stands against it, which another version that reached production meanwhile does too.
pub fn quarantine(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Digest, PipelineError> {
    check_quarantine(registry, model, version)?;
    let state = registry.model(model)?;
    if state.production() == Some(version) {
        return take_out(project, registry, model, version, reason, surroundings);
    }
    let digest = state.versions.get(&version).map(|found| found.digest);
    let digest = digest.ok_or_else(|| PipelineError::Policy(format!("there is no version {version}")))?;
    let event = Event::Quarantine { was_production: Some(false), reason: reason.to_owned() };
    let (now, actor) = ((surroundings.now)(), &surroundings.actor);
    registry.allows(model, &[(version, event.clone())], &now, actor)?;
    // Kept before it is so: whoever finds it looks at the ledger before it tells anybody.
    let notice = Notice::quarantined(model, version, digest, reason);
    untold::keep(project, std::slice::from_ref(&notice))?;
    let mark = unfinished::begin(project, Work::Quarantine, model, version)?;
    if let Err(error) = registry.apply(model, version, &event, &now, actor) {
        if error.appended_nothing() {
            untold::told(&notice);
            mark.undo()?;
        }
        return Err(error.into());
    }
    let done = format!("{model} {version} is quarantined");
    mark.follow(project, done, vec![notice], || unfinished::follow_quarantine(project, registry, model))?;
    Ok(digest)
}
