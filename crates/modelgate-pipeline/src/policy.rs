//! What `modelgate.yaml` says about who may do what: approvers, the age of approvals, signatures, required rules.

mod canary;
mod compared;
mod judged_by;
mod rejected;
mod required;

use modelgate_config as config;
use modelgate_core::lifecycle::{Approval, Event, Stage as Lifecycle};
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{ModelName, Verdict, VersionNumber};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::project::{Pipeline, Project};

pub use canary::{Admission, admission, check_canary};
pub use compared::check_compared;
pub use judged_by::{OtherRules, other_rules};
pub use rejected::{Rejection, rejection};
pub(crate) use required::{check as check_required, with_required_rules};

/// By how many seconds the clocks of two machines may differ: an approval that is later than that has no age.
const CLOCK_TOLERANCE: i64 = 300;

/// Who approves where the policy does it itself.
pub const AUTOMATIC: &str = "policy:automatic";

fn refuse<T>(sentence: String) -> Result<T, PipelineError> {
    Err(PipelineError::Policy(sentence))
}

fn pipeline_of<'a>(project: &'a Project, model: &ModelName) -> Result<Option<Pipeline<'a>>, PipelineError> {
    Ok(project.pipelines()?.into_iter().find(|pipeline| pipeline.model == *model))
}

/// Returns the pipeline that makes a model, whose policy decides of it.
///
/// # Errors
/// Refuses a model that none makes: in a registry that projects share, the policy of another project is not known here.
pub fn governed<'a>(project: &'a Project, model: &ModelName) -> Result<Pipeline<'a>, PipelineError> {
    pipeline_of(project, model)?.ok_or_else(|| {
        PipelineError::Policy(format!(
            "no pipeline of this project makes {model}: who may bring it to production, and what it needs, stands in the \
             modelgate.yaml of the project that does; decide there"
        ))
    })
}

/// Returns whether somebody is among `approvers`. Code hosts take a login in letters of either case for the same person, and
/// tell it in the case that it was once typed in.
fn names(approvers: &[String], actor: &str) -> bool {
    approvers.iter().any(|name| name.eq_ignore_ascii_case(actor))
}

/// Refuses an approval or a rejection by somebody whom the policy does not name, and of a model whose policy is that of
/// another project.
///
/// # Errors
/// Names who may.
pub fn check_approver(project: &Project, model: &ModelName, actor: &str) -> Result<(), PipelineError> {
    let pipeline = governed(project, model)?;
    let promotion = &pipeline.config.promotion;
    if actor == AUTOMATIC {
        // The policy is not anybody: what it approved by itself counts as long as it does so.
        return match promotion.approval {
            config::ApprovalPolicy::Automatic => Ok(()),
            config::ApprovalPolicy::Required => refuse(format!(
                "`{actor}` may not approve {model}: promotion.approval of pipeline `{}` is `required`, and no person has \
                 approved it",
                pipeline.name
            )),
        };
    }
    if promotion.approvers.is_empty() || names(&promotion.approvers, actor) {
        return Ok(());
    }
    refuse(format!(
        "`{actor}` may not approve {model}: promotion.approvers of pipeline `{}` names {}",
        pipeline.name,
        promotion.approvers.join(", ")
    ))
}

/// Returns whether the policy approves by itself that a version passed its gate: not one whose package a person rejected, nor
/// one of which there are [`doubts`].
///
/// # Errors
/// Fails when the pipelines cannot be read, or the registry cannot be asked.
pub fn is_automatic(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<bool, PipelineError> {
    let automatic = pipeline_of(project, model)?
        .is_some_and(|pipeline| pipeline.config.promotion.approval == config::ApprovalPolicy::Automatic);
    Ok(automatic
        && rejection(registry, model, version)?.is_none()
        && doubts(registry, model, version)?.is_empty())
}

/// Returns why the policy does not approve a version by itself, where it approves others: a person rejected its package, or there
/// are [`doubts`].
///
/// # Errors
/// Fails when the pipelines or the version's verdict cannot be read.
pub fn for_a_person(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<String>, PipelineError> {
    if let Some(rejection) = rejection(registry, model, version)? {
        return Ok(Some(rejection.to_string()));
    }
    let automatic = pipeline_of(project, model)?
        .is_some_and(|pipeline| pipeline.config.promotion.approval == config::ApprovalPolicy::Automatic);
    let doubts = doubts(registry, model, version)?;
    Ok((automatic && !doubts.is_empty()).then(|| {
        format!("promotion.approval is automatic, and a person decides of {version}: {}", doubts.join("; "))
    }))
}

/// Returns what a person has to look at before a version is approved, though its gate passed.
///
/// # Errors
/// Fails when its verdict cannot be read.
pub fn doubts(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Vec<String>, PipelineError> {
    let Some(found) = registry.model(model)?.versions.get(&version) else { return Ok(Vec::new()) };
    let verdict: GateVerdict = serde_json::from_slice(&registry.object(&found.verdict_digest)?)?;
    Ok(verdict.doubts)
}

/// Approves a version where the policy does it itself; returns whether it is approved then.
///
/// # Errors
/// Fails when the lifecycle does not allow it, and as [`check_automatic`].
pub fn approve_by_policy(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    now: &str,
) -> Result<bool, PipelineError> {
    let pipeline = governed(project, model)?;
    let approved = |registry: &Registry| is_approved(&pipeline, registry, version, now);
    if !approved(registry)? && is_automatic(project, registry, model, version)? {
        check_automatic(project, registry, model, version)?;
        let reason = "promotion.approval is automatic and the gate passed".to_owned();
        registry.apply(model, version, &Event::Approve { reason }, now, AUTOMATIC)?;
    }
    approved(registry)
}

/// Refuses an approval by the policy of a version that was judged by other rules than this project's: that its gate passed is
/// all that the policy goes by, and that was another gate.
///
/// # Errors
/// Says which rules are others.
pub fn check_automatic(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    match other_rules(project, registry, model, version)? {
        None => Ok(()),
        Some(other) => refuse(format!(
            "promotion.approval is automatic, and {model} {version} was {other}; `modelgate run` judges by the rules of \
             today, or a person looks at it: `modelgate model approve {model} {version}`"
        )),
    }
}

/// Refuses a promotion whose approval is too old or by somebody whom the policy does not name, whose package is not signed
/// where it has to be, or was not judged by the required rules; and one of a model whose policy is that of another project.
///
/// # Errors
/// Says what is missing.
pub fn check_promotion(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    now: &str,
) -> Result<(), PipelineError> {
    let pipeline = governed(project, model)?;
    check_package(project, registry, model, version)?;
    let state = registry.model(model)?;
    let approval = state.versions.get(&version).and_then(|found| found.approval.as_ref());
    // Without an approval the lifecycle refuses, in its own words.
    let Some(approval) = approval else { return Ok(()) };
    check_approval(&pipeline, version, approval, now)?;
    match overruled(registry, model, version, approval)? {
        None => Ok(()),
        Some(why) => refuse(format!("{why}; `modelgate model approve {model} {version}`")),
    }
}

/// Returns whether a version has an approval that counts.
///
/// # Errors
/// Fails when there is no such model.
pub fn is_approved(
    pipeline: &Pipeline<'_>,
    registry: &Registry,
    version: VersionNumber,
    now: &str,
) -> Result<bool, PipelineError> {
    let found = registry.model(&pipeline.model)?.versions.get(&version);
    let is_given = found.is_some_and(|found| found.approval.is_some());
    Ok(is_given && lapsed(pipeline, registry, version, now)?.is_none())
}

/// Returns why the approval of `version` counts no more, if it has one that does not.
///
/// # Errors
/// Fails when there is no such model.
pub fn lapsed(
    pipeline: &Pipeline<'_>,
    registry: &Registry,
    version: VersionNumber,
    now: &str,
) -> Result<Option<String>, PipelineError> {
    let approval = registry.model(&pipeline.model)?.versions.get(&version);
    let Some(approval) = approval.and_then(|found| found.approval.as_ref()) else { return Ok(None) };
    match approval_lapsed(pipeline, version, approval, now) {
        None => overruled(registry, &pipeline.model, version, approval),
        lapsed => Ok(lapsed),
    }
}

/// Returns why an approval by the policy counts no more: a no to the model was said by then, under another number.
fn overruled(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    approval: &Approval,
) -> Result<Option<String>, PipelineError> {
    if approval.actor != AUTOMATIC {
        return Ok(None);
    }
    let why =
        |no| format!("{model} {version} was approved by the policy, and a person has to look at it: {no}");
    Ok(rejection(registry, model, version)?.map(why))
}

/// Returns why an approval counts no more, if it does not: it is too old, by somebody whom the policy does not name, or the
/// policy's own where a person's is asked for now.
pub fn approval_lapsed(
    pipeline: &Pipeline<'_>,
    version: VersionNumber,
    approval: &Approval,
    now: &str,
) -> Option<String> {
    check_approval(pipeline, version, approval, now).err().map(|error| error.to_string())
}

fn check_approval(
    pipeline: &Pipeline<'_>,
    version: VersionNumber,
    approval: &Approval,
    now: &str,
) -> Result<(), PipelineError> {
    let model = &pipeline.model;
    check_approver(pipeline.project, model, &approval.actor)?;
    let Some(expires) = &pipeline.config.promotion.approval_expires else { return Ok(()) };
    let seconds = config::duration_seconds(expires).map_err(|reason| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "promotion.approval_expires",
        reason,
    })?;
    let (Ok(given), Ok(now)) = (approval.time.parse::<jiff::Timestamp>(), now.parse::<jiff::Timestamp>())
    else {
        return refuse(format!("the approval of {version} has no time that can be read; approve it again"));
    };
    let age = now.as_second() - given.as_second();
    // An approval from the future would hold for as long as the clock that was set back stays behind it.
    if age < -CLOCK_TOLERANCE {
        return refuse(format!(
            "the approval of {model} {version} of {} is later than the clock of this machine, {now}, and counts as \
             expired (promotion.approval_expires is {expires}): set the clock right, or approve it again",
            approval.time
        ));
    }
    if age > seconds as i64 {
        return refuse(format!(
            "the approval of {model} {version} of {} has expired: promotion.approval_expires is {expires}; approve it again",
            approval.time
        ));
    }
    Ok(())
}

/// Refuses a version that did not pass its gate, as the lifecycle does too: here it is told as what a gate said.
///
/// # Errors
/// [`PipelineError::NotPassed`] says that it cannot `do_what`.
pub fn check_passed(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    do_what: &str,
) -> Result<(), PipelineError> {
    match registry.model(model)?.versions.get(&version).map(|found| found.verdict) {
        Some(verdict) if verdict != Verdict::Passed => {
            let sentence = format!(
                "{model}: the verdict of {version} is {verdict}: only a version that passed its gate can {do_what}"
            );
            Err(PipelineError::NotPassed { verdict, sentence })
        }
        // The lifecycle refuses a version that is not there in its own words.
        _ => Ok(()),
    }
}

/// Refuses a version whose package the policy does not let into production, whoever approved it: it is not signed where
/// it has to be, or was not judged by the required rules, or not beside a production that is there now.
///
/// # Errors
/// Says what is missing.
pub(crate) fn check_package(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    check_passed(registry, model, version, "reach production")?;
    check_signature(project, registry, model, version)?;
    check_compared(registry, model, version)?;
    required::check(project, registry, model, version)
}

/// Returns what the policy of today has against the version in production, but for its signature: it would not be let in
/// now. An approval that has grown old since says nothing, since it held when the version was promoted.
///
/// # Errors
/// Fails when the registry cannot be asked, or there is no such model.
pub fn against_production(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<Vec<String>, PipelineError> {
    let state = registry.model(model)?;
    let found = state.production().and_then(|version| Some((version, state.versions.get(&version)?)));
    let Some((version, found)) = found else { return Ok(Vec::new()) };
    if pipeline_of(project, model)?.is_none() {
        return Ok(Vec::new());
    }
    let approver =
        found.approval.as_ref().map_or(Ok(()), |given| check_approver(project, model, &given.actor));
    // A run on the same package keeps the judgement by which it came there.
    let lacking = required::lacking(project, registry, model, version)?
        .map(|lacking| format!("{lacking}; it stays so until another package is in production"));
    Ok(lacking.into_iter().chain(approver.err().map(|error| error.to_string())).collect())
}

/// Refuses a version without a signature that is believed, where the policy asks for one.
///
/// # Errors
/// Says what is missing, or what is wrong with the signature; and fails as the registry does where it cannot be asked.
pub fn check_signature(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    if !project.config.signing.require_signature {
        return Ok(());
    }
    let state = registry.model(model)?;
    let Some(found) = state.versions.get(&version) else {
        // The lifecycle refuses it in its own words.
        return Ok(());
    };
    // Without a signature there is nothing to look at keys for.
    let keys = found.signature.map_or_else(|| Ok(Vec::new()), |_| crate::signature::trusted_keys(project));
    let verified = keys.and_then(|keys| crate::signature::verify_registered(registry, model, version, &keys));
    verified.map(drop).map_err(|error| match error {
        // It is not the signature that is missing.
        PipelineError::Registry(error) if !error.is_of_version() => error.into(),
        error => PipelineError::Policy(format!("signing.require_signature: {model} {version}: {error}")),
    })
}

/// Returns what takes a version out of quarantine and approves it again, each with the same reason; nothing for one
/// that is not quarantined. The caller writes it together with what it is done for.
///
/// # Errors
/// Fails when the actor may not approve.
pub(crate) fn override_quarantine(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<(VersionNumber, Event)>, PipelineError> {
    let state = registry.model(model)?;
    let Some(found) = state.versions.get(&version) else { return Ok(Vec::new()) };
    let reason = || reason.to_owned();
    // The package is quarantined as long as one of its versions is.
    let holders = state.quarantined_as(&found.digest);
    let mut events: Vec<(VersionNumber, Event)> =
        holders.map(|holder| (holder, Event::Override { reason: reason() })).collect();
    if events.is_empty() {
        return Ok(events);
    }
    check_approver(project, model, &surroundings.actor)?;
    if matches!(found.stage, Lifecycle::Quarantined | Lifecycle::Candidate | Lifecycle::Staging) {
        events.push((version, Event::Approve { reason: reason() }));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approver_is_the_same_in_letters_of_either_case() {
        let approvers = ["Octo-Cat".to_owned()];
        assert!(names(&approvers, "octo-cat") && names(&approvers, "OCTO-CAT"));
        assert!(!names(&approvers, "octo-dog"));
    }
}
