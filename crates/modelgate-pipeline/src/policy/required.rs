//! The rules that no pipeline may drop: added to those of each pipeline, and asked for again before production, since a
//! version may have been judged before they were.

use modelgate_core::metric::is_of;
use modelgate_core::rule::{Check, GateRule, Subset, slice_name};
use modelgate_core::schema::Task;
use modelgate_core::verdict::{GateVerdict, RuleResult};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::project::{Pipeline, Project};

/// Refuses a version whose verdict is not over the rules that are required now.
pub(crate) fn check(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    match lacking(project, registry, model, version)? {
        None => Ok(()),
        Some(lacking) => Err(PipelineError::Policy(format!(
            "{lacking}; `modelgate run` judges by the rules of today and registers what came of it"
        ))),
    }
}

/// Returns which required rule the verdict of a version is not over, in words, if there is one.
pub(super) fn lacking(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<String>, PipelineError> {
    let required = &project.config.policy.required_rules;
    let Some(found) = registry.model(model)?.versions.get(&version).filter(|_| !required.is_empty()) else {
        // The lifecycle refuses a version that is not there in its own words.
        return Ok(None);
    };
    let verdict: GateVerdict = serde_json::from_slice(&registry.object(&found.verdict_digest)?)?;
    let task = registry.registration(model, version)?.lineage.task;
    for rule in required.iter().filter(|rule| is_of(&rule.metric, task)) {
        let rule = rule.to_rule().map_err(PipelineError::Policy)?;
        if let Some(why) = missing(&rule, None, &verdict.rules).map(|lack| lack.words(&rule.id)) {
            return Ok(Some(format!("policy.required_rules: {model} {version} {why}")));
        }
    }
    Ok(None)
}

/// What a verdict lacks of a rule.
pub(super) enum Lack<'a> {
    /// There is none of this id.
    Missing,
    /// It is over another one of this id, which came out so.
    Other(&'a RuleResult),
}

impl Lack<'_> {
    fn words(&self, id: &str) -> String {
        match self {
            Self::Missing => format!("was judged without `{id}`"),
            Self::Other(result) => format!("was judged by another `{id}`: {}", result.sentence),
        }
    }
}

/// Returns what a verdict lacks of a rule, whose rows are those of `on` where it names none. A verdict of an older modelgate
/// does not keep the rules themselves: of those that compare, only id, figure and rows can be held against each other then.
pub(super) fn missing<'a>(
    rule: &GateRule,
    on: Option<Subset>,
    results: &'a [RuleResult],
) -> Option<Lack<'a>> {
    let Some(result) = results.iter().find(|result| result.id == rule.id) else {
        return Some(Lack::Missing);
    };
    let slice = slice_name(&rule.slice);
    let other_rows =
        rule.on.or(on).is_some_and(|on| on != result.on) || slice != result.slice.clone().unwrap_or_default();
    let other_limit = match rule.check {
        Check::AtLeast(limit) | Check::AtMost(limit) | Check::Equals(limit) => {
            result.limit.is_some_and(|held| held.to_bits() != limit.to_bits())
        }
        _ => false,
    };
    let other_rule = result.rule.is_some_and(|judged| rule.digest() != Some(judged));
    if result.metric != rule.metric || other_rows || other_limit || other_rule {
        return Some(Lack::Other(result));
    }
    None
}

/// Adds the required rules to those of a pipeline, but for those on figures that no model for its task has.
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
    let task = Task::from(pipeline.config.task);
    let required = &pipeline.project.config.policy.required_rules;
    for required in required.iter().filter(|rule| is_of(&rule.metric, task)) {
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
