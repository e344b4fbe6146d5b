//! Whether a version was judged by the rules that this checkout has: its verdict is that of a gate, and a gate may be another
//! one on another branch, or was another one before.
//!
//! A gate that asks for more by now is no ground to refuse what was judged by the one before: a person decides, and is told.
//! What nobody looks at goes by the rules of today alone.

use std::fmt;

use modelgate_core::rule::{GateRule, Subset};
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use super::pipeline_of;
use super::required::{Judged, Lack, missing};
use crate::averaged;
use crate::error::PipelineError;
use crate::explain::asks;
use crate::project::Project;
use crate::stages::judge::pipeline_rules;

/// How the rules of a project differ from those that a version was judged by, one entry for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherRules(pub Vec<String>);

impl fmt::Display for OtherRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "judged by other rules than this project's: {}", self.0.join("; "))
    }
}

/// Returns how the rules of this project differ from those that `version` was judged by; `None` where each of them was
/// asked. Rules that it was asked beyond them take nothing from its verdict. A model that no pipeline of this project makes
/// has no rules here.
///
/// # Errors
/// Fails when the verdict cannot be read, or the rules of the project make no sense.
pub fn other_rules(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<OtherRules>, PipelineError> {
    let Some(pipeline) = pipeline_of(project, model)? else { return Ok(None) };
    let Some(found) = registry.model(model)?.versions.get(&version) else { return Ok(None) };
    let verdict: GateVerdict = serde_json::from_slice(&registry.object(&found.verdict_digest)?)?;
    let on = match pipeline.config.gate.on {
        modelgate_config::SubsetName::Validation => Subset::Validation,
        modelgate_config::SubsetName::Test => Subset::Test,
    };
    let figures = registry.registration(model, version)?.metrics;
    let average = Some(averaged::average(&pipeline));
    let judged = Judged { results: &verdict.rules, figures: &figures, average };
    Ok(differences(&pipeline_rules(&pipeline)?, on, &judged))
}

fn differences(rules: &[GateRule], on: Subset, judged: &Judged<'_>) -> Option<OtherRules> {
    let lacks = rules.iter().filter_map(|rule| {
        let asked = asks(rule, rule.on.unwrap_or(on));
        Some(match missing(rule, on, judged)? {
            Lack::Averaged(result) => format!(
                "`{}` was on what another `evaluate.average` made ({}), and asks here: {asked}",
                rule.id, result.sentence
            ),
            Lack::Missing => format!("`{}` is missing ({asked})", rule.id),
            Lack::Other(result) => {
                format!("`{}` was another ({}), and asks here: {asked}", rule.id, result.sentence)
            }
        })
    });
    Some(lacks.collect::<Vec<_>>()).filter(|lacks| !lacks.is_empty()).map(OtherRules)
}

#[cfg(test)]
mod tests {
    use modelgate_core::rule::parse_expression;
    use std::collections::BTreeMap;

    use modelgate_core::verdict::{Outcome, RuleResult};
    use modelgate_evaluate::Average;

    use super::*;

    fn rule(id: &str, text: &str) -> GateRule {
        GateRule { id: id.to_owned(), ..parse_expression(text).expect("a rule") }
    }

    fn judged(rule: &GateRule, on: Subset, sentence: &str) -> RuleResult {
        RuleResult {
            rule: rule.digest(),
            ..RuleResult::without_figures(&*rule.id, &*rule.metric, on, Outcome::Passed, sentence)
        }
    }

    #[test]
    fn a_verdict_of_another_gate_is_told_rule_by_rule() {
        let (weak, strong) =
            (rule("min-accuracy", "accuracy >= 0.1"), rule("min-accuracy", "accuracy >= 0.9"));
        let (loss, on) = (rule("max-loss", "log_loss <= 1"), Subset::Validation);
        let results = [judged(&weak, on, "accuracy is 0.4, at least 0.1"), judged(&loss, on, "")];
        let figures = BTreeMap::new();
        let results = Judged { results: &results, figures: &figures, average: None };
        assert_eq!(differences(&[weak.clone(), loss.clone()], on, &results), None);
        // What it was asked beyond the rules of today takes nothing from it.
        assert_eq!(differences(std::slice::from_ref(&weak), on, &results), None);
        let other = differences(&[strong, loss, rule("floor", "f1 >= 0.6")], on, &results).expect("other");
        assert_eq!(
            other.to_string(),
            "judged by other rules than this project's: `min-accuracy` was another (accuracy is 0.4, at least 0.1), and asks \
             here: accuracy on validation is at least 0.9; `floor` is missing (f1 on validation is at least 0.6)"
        );
        // The same rule on other rows is another one.
        assert!(differences(std::slice::from_ref(&weak), Subset::Test, &results).is_some());
        // Rows that are named are those that the gate would name.
        let named = GateRule { on: Some(on), ..weak };
        assert_eq!(differences(std::slice::from_ref(&named), Subset::Test, &results), None);
        let results = [judged(&named, on, "")];
        let results = Judged { results: &results, figures: &figures, average: None };
        assert_eq!(differences(&[GateRule { on: None, ..named }], on, &results), None);
    }

    #[test]
    fn a_figure_of_another_average_is_another_rule() {
        let floor = rule("floor", "f1 >= 0.95");
        let results = [judged(&floor, Subset::Validation, "f1 is 0.96, at least 0.95")];
        let names = ["precision", "recall", "f1"];
        let figures: BTreeMap<String, f64> = names
            .into_iter()
            .flat_map(|name| {
                [(name.to_owned(), 0.96), (format!("{name}_weighted"), 0.96), (format!("{name}_macro"), 0.9)]
            })
            .collect();
        let by = |average, rule: &GateRule| {
            let judged = Judged { results: &results, figures: &figures, average };
            differences(std::slice::from_ref(rule), Subset::Validation, &judged)
                .map(|other| other.to_string())
        };
        assert_eq!(by(Some(Average::Weighted), &floor), None);
        assert_eq!(by(None, &floor), None);
        let told = by(Some(Average::Macro), &floor).expect("another");
        assert!(told.contains("`floor` was on what another `evaluate.average` made (f1 is 0.96"), "{told}");
    }
}
