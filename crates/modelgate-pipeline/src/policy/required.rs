//! The rules that no pipeline may drop: added to those of each pipeline, and asked for again before production, since a
//! version may have been judged before they were.
//!
//! A pipeline does not say either what they are held on: the rows are those of validation where the rule names none, whatever its
//! `gate.on`, and a verdict on figures of another `evaluate.average` than today's is one by another rule.

use modelgate_config::SubsetName;
use modelgate_core::metric::is_of;
use modelgate_core::rule::{Check, GateRule, Subset, slice_name};
use modelgate_core::schema::Task;
use modelgate_core::verdict::{GateVerdict, RuleResult};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_evaluate::Average;
use modelgate_registry::Registry;

use std::collections::BTreeMap;

use crate::averaged;
use crate::error::PipelineError;
use crate::project::{Pipeline, Project};

use super::pipeline_of;

/// The rows of a required rule that names none: where each pipeline said it, the rule would ask of each something else.
const ON: Subset = Subset::Validation;

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
    let registration = registry.registration(model, version)?;
    let task = registration.lineage.task;
    let average = pipeline_of(project, model)?.map(|pipeline| averaged::average(&pipeline));
    let judged = Judged { results: &verdict.rules, figures: &registration.metrics, average };
    for rule in required.iter().filter(|rule| is_of(&rule.metric, task)) {
        let rule = rule.to_rule().map_err(PipelineError::Policy)?;
        if let Some(why) = missing(&rule, ON, &judged).map(|lack| lack.words(&rule.id)) {
            return Ok(Some(format!("policy.required_rules: {model} {version} {why}")));
        }
    }
    Ok(None)
}

/// What a version was judged by.
pub(super) struct Judged<'a> {
    /// How each rule came out.
    pub(super) results: &'a [RuleResult],
    /// The figures that it was registered with.
    pub(super) figures: &'a BTreeMap<String, f64>,
    /// How figures per class become one in this project; `None` where no pipeline says it.
    pub(super) average: Option<Average>,
}

/// What a verdict lacks of a rule.
pub(super) enum Lack<'a> {
    /// There is none of this id.
    Missing,
    /// It is over another one of this id, which came out so.
    Other(&'a RuleResult),
    /// It is over this one on a figure that another `evaluate.average` made, which came out so.
    Averaged(&'a RuleResult),
}

impl Lack<'_> {
    fn words(&self, id: &str) -> String {
        match self {
            Self::Missing => format!("was judged without `{id}`"),
            Self::Other(result) => format!("was judged by another `{id}`: {}", result.sentence),
            Self::Averaged(result) => {
                format!(
                    "was judged by another `{id}`, on what another `evaluate.average` made: {}",
                    result.sentence
                )
            }
        }
    }
}

/// Returns what a verdict lacks of a rule, whose rows are those of `on` where it names none. A verdict of an older modelgate
/// does not keep the rules themselves: of those that compare, only id, figure and rows can be held against each other then.
pub(super) fn missing<'a>(rule: &GateRule, on: Subset, judged: &Judged<'a>) -> Option<Lack<'a>> {
    let Some(result) = judged.results.iter().find(|result| result.id == rule.id) else {
        return Some(Lack::Missing);
    };
    let slice = slice_name(&rule.slice);
    let on = rule.on.unwrap_or(on);
    let other_rows = on != result.on || slice != result.slice.clone().unwrap_or_default();
    let other_limit = match rule.check {
        Check::AtLeast(limit) | Check::AtMost(limit) | Check::Equals(limit) => {
            result.limit.is_some_and(|held| held.to_bits() != limit.to_bits())
        }
        _ => false,
    };
    // Rows that are named and the same rows by the gate's word are the same rule.
    let written = |on| GateRule { on, ..rule.clone() }.digest();
    let other_rule = result.rule.is_some_and(|judged| ![None, Some(on)].map(written).contains(&Some(judged)));
    if result.metric != rule.metric || other_rows || other_limit || other_rule {
        return Some(Lack::Other(result));
    }
    let is_averaged_so = |average| averaged::is_made_by(judged.figures, &rule.metric, average);
    (!judged.average.is_none_or(is_averaged_so)).then_some(Lack::Averaged(result))
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
        let mut required = required.to_rule().map_err(wrong)?;
        let place = rules.iter().position(|rule| rule.id == required.id);
        let is_written_so = place.is_some_and(|place| rules.get(place) == Some(&required));
        // A gate on these rows says it already.
        if required.on.is_none() && pipeline.config.gate.on != SubsetName::Validation {
            required.on = Some(ON);
        }
        match place.and_then(|place| rules.get_mut(place)) {
            Some(same) if is_written_so || *same == required => *same = required,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::judge::pipeline_rules;

    #[test]
    fn a_pipeline_does_not_say_what_rows_a_required_rule_is_held_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = |required: &str, gate: &str| {
            let text = format!(
                "version: 1\nproject: p\npolicy: {{required_rules: [{{id: floor, metric: f1, at_least: 0.95{required}}}]}}\npipelines:\n  p:\n    task: classification\n    data: {{source: d.csv, target: y}}\n    gate: {{{gate}}}\n"
            );
            fs_err::write(folder.path().join("modelgate.yaml"), text).expect("written");
            let project = Project::find(folder.path(), &|_| None).expect("a project");
            let rules = pipeline_rules(&project.pipeline(None).expect("a pipeline")).expect("rules");
            let floors: Vec<Option<Subset>> =
                rules.iter().filter(|rule| rule.id == "floor").map(|rule| rule.on).collect();
            floors
        };
        assert_eq!(held("", "on: validation"), [None]);
        assert_eq!(held("", "on: test"), [Some(Subset::Validation)]);
        assert_eq!(held(", on: test", "on: test"), [Some(Subset::Test)]);
        let own = "on: test, rules: [{id: floor, metric: f1, at_least: 0.95}]";
        assert_eq!(held("", own), [Some(Subset::Validation)]);
    }
}
