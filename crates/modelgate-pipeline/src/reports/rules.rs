//! The rules as a table shows them: each beside what it is compared with, and beside production and baseline.

use modelgate_core::rule::Subset;
use modelgate_core::verdict::{RuleResult, figure};

use super::RunEvidence;

/// One rule with what stands in its row.
pub(super) struct RuleLine<'a> {
    pub(super) rule: &'a RuleResult,
    /// What the rule itself compares with, and its figure.
    pub(super) compared: Option<(&'a str, Option<f64>)>,
    /// Candidate less that figure.
    pub(super) difference: Option<f64>,
    /// Candidate less production's figure, where both are of the same rows.
    pub(super) to_production: Option<f64>,
    /// Candidate less the baseline's, where the candidate's is of all rows, as the baseline's is.
    pub(super) to_baseline: Option<f64>,
}

/// Returns the heads of the two last columns, such as `to production v001`.
pub(super) fn heads(evidence: &RunEvidence) -> [String; 2] {
    let comparison = &evidence.comparison;
    let production = comparison.production.as_deref().unwrap_or("production");
    let baseline = comparison.baseline.as_ref().map_or("baseline", |baseline| baseline.name.as_str());
    [format!("to {production}"), format!("to {baseline}")]
}

/// Returns how sure the intervals of values are, in percent; `None` without any.
fn certainty(evidence: &RunEvidence) -> Option<String> {
    let subsets = evidence.evaluation.subsets.values();
    let interval = subsets.flat_map(|found| found.intervals.values()).next()?;
    Some(figure(interval.confidence * 100.0))
}

/// Returns `interval`, with how sure it is of what it holds.
pub(super) fn interval_head(evidence: &RunEvidence) -> String {
    certainty(evidence).map_or_else(|| "interval".to_owned(), |sure| format!("{sure}% interval"))
}

/// Says what the ends of differences are, where there are any.
pub(super) fn note(evidence: &RunEvidence) -> Option<&'static str> {
    evidence.verdict.rules.iter().any(|rule| rule.difference_interval.is_some()).then_some(
        "Each end of a difference holds by itself with the confidence of its rule; with 95%, where it names none, both hold \
         together with 90%.",
    )
}

/// Returns the limit of a rule with the way in which it holds.
pub(super) fn limit(rule: &RuleResult) -> Option<String> {
    let limit = figure(rule.limit?);
    Some(rule.operator.map_or_else(|| limit.clone(), |operator| format!("{operator} {limit}")))
}

/// Returns the rules in their order.
pub(super) fn lines(evidence: &RunEvidence) -> Vec<RuleLine<'_>> {
    evidence.verdict.rules.iter().map(|rule| line(evidence, rule)).collect()
}

fn line<'a>(evidence: &RunEvidence, rule: &'a RuleResult) -> RuleLine<'a> {
    let RuleResult { value, reference, reference_name, .. } = rule;
    let less = |other: Option<f64>| Some((*value)? - other?);
    let is = |name: Option<&str>| name.is_some() && name == reference_name.as_deref();
    let comparison = &evidence.comparison;
    // Only what is held against production itself is of the rows that are left of all.
    let fewer = comparison.rows.contains_key(&rule.on);
    let is_production = is(comparison.production.as_deref());
    let production = match (is_production, fewer) {
        (true, _) => *reference,
        (false, true) => None,
        (false, false) => production_figure(evidence, rule, rule.on),
    };
    let baseline = comparison.baseline.as_ref().and_then(|baseline| {
        if is(Some(baseline.name.as_str())) {
            return *reference;
        }
        let whole = rule.slice.is_none() && !(fewer && is_production);
        baseline.subsets.get(&rule.on).filter(|_| whole)?.get(&rule.metric).copied()
    });
    RuleLine {
        rule,
        compared: reference_name.as_deref().map(|name| (name, *reference)),
        difference: less(*reference),
        to_production: less(production),
        to_baseline: less(baseline),
    }
}

/// Returns production's figure on all rows; a part of them has none beside the rule's own.
fn production_figure(evidence: &RunEvidence, rule: &RuleResult, on: Subset) -> Option<f64> {
    if rule.slice.is_some() {
        return None;
    }
    let figures = evidence.comparison.subsets.get(&on)?;
    figures.iter().find(|figure| figure.metric == rule.metric)?.production
}
