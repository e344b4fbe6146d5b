//! A rule against a reference: what there is to compare with, how far a figure moved, and what callers would notice.

use super::{
    Evidence, Judged, Outcome, POWER_CONFIDENCE, Reference, RuleResult, Scores, candidate_value, comparisons,
    defined_value, figure, footing, metrics_of, place,
};
use crate::rule::{Amount, GateRule, Subset, Versus, slice_name};
use crate::schema::{incompatibilities, lost_values, other_target};

/// Returns the reference with figures, or the outcome when there is nothing to compare with.
pub(super) fn reference<'a>(evidence: &'a Evidence, versus: &Versus) -> Result<&'a Scores, Judged> {
    let scores = match evidence.references.get(versus) {
        Some(Reference::Scores(scores)) => scores,
        Some(Reference::None) => {
            let sentence = format!(
                "there is no {versus} model of this name yet: bootstrap, the rule applies from the next run"
            );
            return Err((Outcome::NotApplicable, sentence));
        }
        Some(Reference::Unavailable(reason)) => {
            return Err((Outcome::Inconclusive, format!("{versus} could not be compared with: {reason}")));
        }
        None => return Err((Outcome::Inconclusive, format!("{versus} is not known here"))),
    };
    if scores.digest.is_some() && scores.digest == evidence.candidate.digest {
        let sentence = format!(
            "the candidate is {} itself (same digest): a model is not compared with itself",
            scores.name
        );
        return Err((Outcome::NotApplicable, sentence));
    }
    Ok(scores)
}

/// Returns the reference of a rule on a figure. Where there is nothing to compare with, the candidate's own figure must be
/// a number all the same: a model that answers nothing is no first model.
pub(super) fn compared<'a>(
    rule: &GateRule,
    evidence: &'a Evidence,
    on: Subset,
    versus: &Versus,
) -> Result<&'a Scores, Judged> {
    let found = reference(evidence, versus).and_then(|scores| match of_another_target(evidence, scores) {
        Some(why) => Err((Outcome::Inconclusive, why)),
        None => Ok(scores),
    });
    let own = || defined_value(rule, evidence.candidate.subsets.get(&on), on);
    match (found, evidence.footings.get(versus)) {
        (Err((Outcome::NotApplicable, sentence)), _) => Err(match own() {
            Ok(_) => (Outcome::NotApplicable, sentence),
            Err(reason) => (Outcome::Inconclusive, reason),
        }),
        // Rows that are left out of the comparison are not left out of what the candidate has to answer.
        (Ok(scores), Some(_)) => own().map(|_| scores).map_err(|reason| (Outcome::Inconclusive, reason)),
        (found, _) => found,
    }
}

/// Says why figures of both mean nothing beside each other, where the models predict different columns: the reference was
/// scored on labels that it was never asked for.
pub(super) fn of_another_target(evidence: &Evidence, scores: &Scores) -> Option<String> {
    let (candidate, old) = (evidence.candidate.schema.as_ref()?, scores.schema.as_ref()?);
    other_target(candidate, old).map(|why| format!("{} cannot be compared with: {why}", scores.name))
}

/// Returns the candidate's value and what it is compared with, or how the rule ends without.
pub(super) fn sides<'a>(
    rule: &GateRule,
    evidence: &'a Evidence,
    result: &mut RuleResult,
    versus: &Versus,
) -> Result<(f64, &'a Scores), Judged> {
    let candidate = candidate_value(rule, evidence, result);
    result.value = candidate.as_ref().ok().copied();
    let scores = compared(rule, evidence, result.on, versus)?;
    result.reference_name = Some(scores.name.clone());
    candidate.map(|value| (value, scores)).map_err(|reason| (Outcome::Inconclusive, reason))
}

/// Says that the reference has no such figure, and why; passes where it answers nothing that one could be worse than.
pub(super) fn without_reference(rule: &GateRule, scores: &Scores, on: Subset, value: f64) -> Judged {
    let (metric, place, name) = (&rule.metric, place(rule, on), &scores.name);
    if let Some(rows) = footing::answers_nothing(scores, on) {
        let sentence = format!(
            "{metric} on {place} is {}, and {name} answers none of {rows} rows with a number: there is nothing to be worse \
             than",
            figure(value)
        );
        return (Outcome::Passed, sentence);
    }
    let sentence = match &scores.unscored {
        Some(why) => format!(
            "{metric} on {place} is not known for {name}, which cannot be scored on these rows: {why}; give the data what \
             {name} takes, or leave this rule out of the run that replaces it"
        ),
        None => format!("{metric} on {place} is not known for {name}"),
    };
    (Outcome::Inconclusive, sentence)
}

#[derive(Clone, Copy)]
pub(super) enum Side {
    Drop,
    Rise,
}

pub(super) fn movement(
    rule: &GateRule,
    evidence: &Evidence,
    result: &mut RuleResult,
    versus: &Versus,
    limit: Amount,
    side: Side,
) -> Judged {
    let (value, scores) = match sides(rule, evidence, result, versus) {
        Ok(sides) => sides,
        Err(judged) => return judged,
    };
    let (metric, on, name) = (&rule.metric, place(rule, result.on), &scores.name);
    let Some(old) = reference_value(rule, scores, result.on) else {
        return without_reference(rule, scores, result.on, value);
    };
    result.reference = Some(old);
    let (moved, allowed, verb) = match side {
        Side::Drop => (old - value, old - limit.of(old), "dropped"),
        Side::Rise => (value - old, old + limit.of(old), "rose"),
    };
    result.limit = Some(allowed);
    let sought = (POWER_CONFIDENCE, None);
    if let Some(found) = comparisons::paired_figure(rule, evidence, result.on, versus, sought) {
        comparisons::tell_difference(found, result);
    }
    // 0.9 - 0.89 is a little more than 0.01: what is the limit but for how numbers are kept is within it.
    let rounding = 8.0 * f64::EPSILON * value.abs().max(old.abs());
    let failed = moved > limit.of(old) + rounding;
    let change = value - old;
    // What misses by little must not read as if it did not.
    let reads_within = format!("{:.4}", change.abs()).parse().is_ok_and(|read: f64| read <= limit.of(old));
    let change = if failed && reads_within { format!("{change:+}") } else { format!("{change:+.4}") };
    let change = format!("{metric} on {on} is {} and {name} has {} ({change})", figure(value), figure(old));
    if failed {
        (Outcome::Failed, format!("{change}: it {verb} by more than {limit}"))
    } else {
        // Of what got better, "within" would read as if it had got worse.
        let held = if moved < 0.0 { ", which is better".to_owned() } else { format!(", within {limit}") };
        (Outcome::Passed, format!("{change}{held}"))
    }
}

pub(super) fn reference_value(rule: &GateRule, scores: &Scores, on: Subset) -> Option<f64> {
    let metrics = metrics_of(scores.subsets.get(&on)?, &slice_name(&rule.slice))?;
    metrics.get(&rule.metric).copied().flatten().filter(|old| old.is_finite())
}

/// So many differences of schemas stand in a sentence: of a table whose columns were all renamed it would fill a screen.
const MOST_NAMED: usize = 6;

pub(super) fn schema(evidence: &Evidence, result: &mut RuleResult, versus: &Versus) -> Judged {
    let scores = match reference(evidence, versus) {
        Ok(scores) => scores,
        Err(judged) => return judged,
    };
    result.reference_name = Some(scores.name.clone());
    let (Some(candidate), Some(old)) = (&evidence.candidate.schema, &scores.schema) else {
        return (Outcome::Inconclusive, format!("the schema of {} is not known", scores.name));
    };
    let mut found = incompatibilities(candidate, old);
    found.extend(lost_values(candidate, old));
    if found.is_empty() {
        (Outcome::Passed, format!("the schema is compatible with {}", scores.name))
    } else {
        (
            Outcome::Failed,
            format!(
                "the schema is not compatible with {}: {}",
                scores.name,
                comparisons::named_first(&found, MOST_NAMED)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Comparisons, Evidence, GateVerdict, SubsetScores, judge};
    use super::*;
    use crate::Verdict;
    use crate::rule::Check;
    use crate::schema::{FeatureSchema, SCHEMA_VERSION, Task};

    fn scores(name: &str, target: &str, value: f64) -> Scores {
        let metrics = BTreeMap::from([("f1".to_owned(), Some(value))]);
        let subset = SubsetScores { rows: Some(85), metrics, ..SubsetScores::default() };
        let schema = FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: Task::Classification,
            features: Vec::new(),
            target: target.to_owned(),
            classes: None,
            nulls: Vec::new(),
        };
        let subsets = BTreeMap::from([(Subset::Validation, subset)]);
        Scores { name: name.to_owned(), subsets, schema: Some(schema), ..Scores::default() }
    }

    fn judged(target: &str) -> GateVerdict {
        let versus = || Versus::Production;
        let rule = |id: &str, metric: &str, check| GateRule {
            id: id.to_owned(),
            metric: metric.to_owned(),
            on: None,
            check,
            slice: BTreeMap::new(),
            min_samples: None,
        };
        let rules = [
            rule("drop", "f1", Check::MaxDrop { versus: versus(), limit: Amount::Absolute(0.01) }),
            rule("parts", "slices", Check::SlicesNotWorse { versus: versus() }),
            rule("schema", "schema", Check::SchemaCompatible { versus: versus() }),
        ];
        let production = Reference::Scores(Box::new(scores("production v001", "t1", 0.63)));
        let evidence = Evidence {
            candidate: scores("candidate", target, 1.0),
            references: BTreeMap::from([(Versus::Production, production)]),
            on: Subset::Validation,
            comparisons: Comparisons::default(),
            footings: BTreeMap::new(),
        };
        judge(&rules, &evidence)
    }

    #[test]
    fn figures_of_models_of_different_columns_are_not_compared() {
        let verdict = judged("t2");
        let outcomes: Vec<Outcome> = verdict.rules.iter().map(|rule| rule.outcome).collect();
        assert_eq!(outcomes, [Outcome::Inconclusive, Outcome::Inconclusive, Outcome::Failed], "{verdict:#?}");
        for rule in &verdict.rules {
            assert!(rule.sentence.contains("predicts `t1` and the candidate `t2`"), "{}", rule.sentence);
        }
        assert_eq!(judged("t1").rules[0].outcome, Outcome::Passed);
    }

    #[test]
    fn what_got_better_is_not_told_as_within_a_limit_and_many_differences_are_counted() {
        let better = &judged("t1").rules[0];
        assert!(better.sentence.ends_with("(+0.3700), which is better"), "{}", better.sentence);
        assert_eq!(better.operator.map(|operator| operator.to_string()).as_deref(), Some("≥"));
        let names: Vec<String> = (0..120).map(|at| format!("c{at} is gone")).collect();
        assert_eq!(comparisons::named_first(&names, 2), "c0 is gone; c1 is gone; and 118 more");
        assert_eq!(comparisons::named_first(&names[..2], 2), "c0 is gone; c1 is gone");
    }

    #[test]
    fn what_a_person_has_to_look_at_stands_in_the_verdict() {
        let told = || vec!["production is worth nothing here".to_owned()];
        let passed = GateVerdict { verdict: Verdict::Passed, ..judged("t1") }.doubted(told());
        assert_eq!(passed.doubts, told());
        assert!(passed.sentence.ends_with("; a person decides of it: production is worth nothing here"));
        assert!(!judged("t2").doubted(told()).sentence.contains("a person decides"));
    }
}
