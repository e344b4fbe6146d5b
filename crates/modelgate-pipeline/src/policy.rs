//! What `modelgate.yaml` says about who may do what: approvers, the age of approvals, signatures, required rules.

use modelgate_config as config;
use modelgate_core::lifecycle::{Event, Stage as Lifecycle};
use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::GateRule;
use modelgate_core::{ModelName, Verdict, VersionNumber};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::project::{Pipeline, Project};

/// Who approves where the policy does it itself.
pub(crate) const AUTOMATIC: &str = "policy:automatic";

fn refuse<T>(sentence: String) -> Result<T, PipelineError> {
    Err(PipelineError::Policy(sentence))
}

fn pipeline_of<'a>(project: &'a Project, model: &ModelName) -> Result<Option<Pipeline<'a>>, PipelineError> {
    Ok(project.pipelines()?.into_iter().find(|pipeline| pipeline.model == *model))
}

/// Refuses an approval or a rejection by somebody whom the policy does not name.
///
/// # Errors
/// Names who may.
pub fn check_approver(project: &Project, model: &ModelName, actor: &str) -> Result<(), PipelineError> {
    let Some(pipeline) = pipeline_of(project, model)? else { return Ok(()) };
    let promotion = &pipeline.config.promotion;
    let automatic = actor == AUTOMATIC && promotion.approval == config::ApprovalPolicy::Automatic;
    if promotion.approvers.is_empty() || automatic || promotion.approvers.iter().any(|name| name == actor) {
        return Ok(());
    }
    refuse(format!(
        "`{actor}` may not approve {model}: promotion.approvers of pipeline `{}` names {}",
        pipeline.name,
        promotion.approvers.join(", ")
    ))
}

/// Refuses a promotion whose approval is too old or by somebody whom the policy does not name, or whose package is not
/// signed where it has to be.
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
    check_signature(project, registry, model, version)?;
    let state = registry.model(model)?;
    let approval = state.versions.get(&version).and_then(|found| found.approval.as_ref());
    // Without an approval the lifecycle refuses, in its own words.
    let (Some(approval), Some(pipeline)) = (approval, pipeline_of(project, model)?) else { return Ok(()) };
    check_approver(project, model, &approval.actor)?;
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
    if now.as_second() - given.as_second() > seconds as i64 {
        return refuse(format!(
            "the approval of {model} {version} of {} has expired: promotion.approval_expires is {expires}; approve it again",
            approval.time
        ));
    }
    Ok(())
}

/// Refuses a version without a signature that is believed, where the policy asks for one.
///
/// # Errors
/// Says what is missing, or what is wrong with the signature.
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
    if !state.versions.contains_key(&version) {
        // The lifecycle refuses it in its own words.
        return Ok(());
    }
    crate::signature::verify_registered(project, registry, model, version).map(drop).map_err(|error| {
        PipelineError::Policy(format!("signing.require_signature: {model} {version}: {error}"))
    })
}

/// Takes a version out of quarantine and approves it again, both with the same reason; one that is not quarantined is
/// left alone.
///
/// # Errors
/// Fails when the actor may not approve, or without a reason.
pub fn override_quarantine(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    let state = registry.model(model)?;
    let Some(found) = state.versions.get(&version) else { return Ok(()) };
    let Some(holder) = state.quarantined(&found.digest) else { return Ok(()) };
    check_approver(project, model, &surroundings.actor)?;
    let now = (surroundings.now)();
    let free = Event::Override { reason: reason.to_owned() };
    registry.apply(model, holder, &free, &now, &surroundings.actor)?;
    let stage = registry.model(model)?.versions.get(&version).map(|found| found.stage);
    if matches!(stage, Some(Lifecycle::Candidate | Lifecycle::Staging)) {
        let approve = Event::Approve { reason: reason.to_owned() };
        registry.apply(model, version, &approve, &now, &surroundings.actor)?;
    }
    Ok(())
}

/// Adds the required rules to those of a pipeline.
///
/// # Errors
/// Fails when the pipeline has another rule of the same id.
pub(crate) fn with_required_rules(
    pipeline: &Pipeline<'_>,
    mut rules: Vec<GateRule>,
) -> Result<Vec<GateRule>, PipelineError> {
    let wrong = |reason: String| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "gate.rules",
        reason,
    };
    for required in &pipeline.project.config.policy.required_rules {
        let required = required.to_rule().map_err(wrong)?;
        match rules.iter().find(|rule| rule.id == required.id) {
            Some(same) if *same == required => {}
            Some(_) => {
                let id = &required.id;
                return Err(wrong(format!(
                    "`{id}` is a rule of policy.required_rules and cannot be another here"
                )));
            }
            None => rules.push(required),
        }
    }
    Ok(rules)
}

/// Returns the version that `best_by` chooses among those that passed and could be in production, and its figure.
///
/// # Errors
/// Fails when the registry cannot be read.
pub(crate) fn best_by(
    registry: &Registry,
    model: &ModelName,
    metric: &str,
) -> Result<Option<(VersionNumber, f64)>, PipelineError> {
    let state = registry.model(model)?;
    let mut best: Option<(VersionNumber, f64)> = None;
    for (version, found) in &state.versions {
        let eligible = matches!(
            found.stage,
            Lifecycle::Candidate | Lifecycle::Approved | Lifecycle::Staging | Lifecycle::Production
        );
        if !eligible || found.verdict != Verdict::Passed || state.quarantined(&found.digest).is_some() {
            continue;
        }
        let Some(value) = registry.registration(model, *version)?.metrics.get(metric).copied() else {
            continue;
        };
        let better = |before: f64| match direction(metric) {
            Some(Direction::LowerIsBetter) => value < before,
            _ => value > before,
        };
        // Of equals, the older: production does not move without a gain.
        if !value.is_nan() && best.is_none_or(|(_, before)| better(before)) {
            best = Some((*version, value));
        }
    }
    Ok(best)
}
