//! Rules that can decide and are hardly what somebody meant: told and not refused.

use modelgate_config::{AverageName, rule_doubt};
use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Check, GateRule};

use crate::averaged;
use crate::error::PipelineError;
use crate::project::Pipeline;
use crate::stages::judge::pipeline_rules;

/// Returns what is odd about the rules of `pipeline`, those that it may not go without among them.
///
/// # Errors
/// Fails when a rule makes no sense.
pub fn rule_doubts(pipeline: &Pipeline<'_>) -> Result<Vec<String>, PipelineError> {
    let mut found = doubts(&pipeline_rules(pipeline)?);
    let required = &pipeline.project.config.policy.required_rules;
    if pipeline.config.evaluate.average != AverageName::default() {
        let by_average = required.iter().filter(|rule| averaged::is_counted(&rule.metric));
        found.extend(by_average.map(|rule| {
            let metric = &rule.metric;
            format!(
                "policy.required_rules: `{metric}` is what `evaluate.average` of each pipeline makes of it, and this one sets that: \
                 `{metric}_macro` or `{metric}_weighted` asks the same of all"
            )
        }));
    }
    Ok(found)
}

/// Returns what is odd about rules. Who bounds a figure on both sides means both.
pub(crate) fn doubts(rules: &[GateRule]) -> Vec<String> {
    let is_bounded = |metric: &str| {
        rules.iter().any(|rule| {
            let is_floor = match direction(metric) {
                Some(Direction::LowerIsBetter) => matches!(rule.check, Check::AtMost(_)),
                _ => matches!(rule.check, Check::AtLeast(_)),
            };
            rule.metric == metric && is_floor
        })
    };
    let is_bound = |rule: &GateRule| matches!(rule.check, Check::AtLeast(_) | Check::AtMost(_));
    let odd = rules.iter().filter(|rule| !(is_bound(rule) && is_bounded(&rule.metric)));
    odd.filter_map(rule_doubt).collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::rule::parse_expression;

    use super::*;

    #[test]
    fn a_bound_on_the_good_side_is_told_where_it_stands_alone() {
        let rules = |texts: &[&str]| -> Vec<GateRule> {
            texts.iter().map(|text| parse_expression(text).expect("a rule")).collect()
        };
        assert_eq!(doubts(&rules(&["accuracy >= 0.8", "log_loss <= 1"])), Vec::<String>::new());
        let told = doubts(&rules(&["accuracy <= 0.95", "log_loss <= 1"]));
        assert!(told.len() == 1 && told[0].contains("`accuracy` is better when it is higher"), "{told:?}");
        // Too good to be true, and good enough.
        assert_eq!(doubts(&rules(&["accuracy <= 0.99", "accuracy >= 0.8"])), Vec::<String>::new());
        assert_eq!(doubts(&rules(&["brier >= 0.01"])).len(), 1);
    }
}
