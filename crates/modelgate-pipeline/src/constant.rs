//! Whether a gate would let a model through that answers the same to every row: a bound on accuracy says little where one class
//! is frequent.

use modelgate_core::rule::{Check, GateRule, Subset};
use modelgate_core::verdict::figure;
use modelgate_evaluate::{Average, constant_answer};

use crate::evaluation::Evaluation;

/// Figures by which a model that always answers the most frequent class is worth nothing, whatever its share.
const BLIND_TO_SHARES: &str = "`balanced_accuracy`, `f1_macro` or `mcc`";

/// Says that every bound of `rules` on the whole of the rows holds for a model that always answers the most frequent class.
///
/// A rule of which that is not known, such as one on probabilities, is taken to see it, and so is one on a part of the rows. One
/// that compares with another model says nothing of what a model is worth.
pub(crate) fn warning(
    rules: &[GateRule],
    evaluation: &Evaluation,
    on: Subset,
    average: Average,
) -> Option<String> {
    let mut passed = Vec::new();
    for rule in rules.iter().filter(|rule| rule.check.versus().is_none()) {
        if ["contract.", "latency."].iter().any(|kind| rule.metric.starts_with(kind)) {
            continue;
        }
        let found = evaluation.subsets.get(&rule.on.unwrap_or(on))?;
        let support: Vec<u64> = found.confusion.iter().map(|row| row.iter().sum()).collect();
        let value = *constant_answer(&support, average).get(rule.metric.as_str())?;
        let holds = match rule.check {
            Check::AtLeast(limit) => value >= limit,
            Check::AtMost(limit) => value <= limit,
            _ => return None,
        };
        if !holds || !rule.slice.is_empty() {
            return None;
        }
        passed.push(format!("{} ({} {})", rule.id, rule.metric, figure(value)));
    }
    let most = evaluation.subsets.get(&on)?.confusion.iter().map(|row| row.iter().sum::<u64>());
    let (class, _) = most.enumerate().reduce(|one, other| if other.1 > one.1 { other } else { one })?;
    let (class, passed) = (evaluation.classes.get(class)?, Some(passed).filter(|passed| !passed.is_empty())?);
    Some(format!(
        "a model that always answers `{class}` keeps each bound of the gate, {}: a bound on {BLIND_TO_SHARES} stands against it",
        passed.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use modelgate_core::rule::parse_expression;

    use super::*;
    use crate::evaluation::SubsetEvaluation;

    #[test]
    fn bounds_that_a_constant_answer_keeps_are_told() {
        let confusion = vec![vec![90, 5], vec![3, 2]];
        let found = SubsetEvaluation { rows: 100, confusion, ..SubsetEvaluation::default() };
        let evaluation = Evaluation {
            schema_version: 1,
            digest: Digest::of(b"d"),
            classes: vec!["no".to_owned(), "yes".to_owned()],
            subsets: [(Subset::Validation, found)].into(),
        };
        let said = |rules: &[&str]| {
            let rules: Vec<GateRule> =
                rules.iter().map(|rule| parse_expression(rule).expect("a rule")).collect();
            warning(&rules, &evaluation, Subset::Validation, Average::Weighted)
        };
        let told = said(&["accuracy >= 0.8", "f1 >= 0.9", "latency.p99_ms <= 5"]).expect("told");
        assert!(told.starts_with("a model that always answers `no` keeps each bound of the gate"), "{told}");
        assert!(told.contains("accuracy >= 0.8 (accuracy 0.95)"), "{told}");
        for sees in
            ["balanced_accuracy >= 0.6", "f1_macro >= 0.5", "mcc >= 0.1", "roc_auc >= 0.6", "brier <= 0.2"]
        {
            assert_eq!(said(&["accuracy >= 0.8", sees]), None, "{sees}");
        }
        assert_eq!(said(&["accuracy >= 0.96"]), None);
        // No bound at all is another matter.
        assert_eq!(said(&["contract.errors <= 0"]), None);
        assert_eq!(said(&[]), None);
    }
}
