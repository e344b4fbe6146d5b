//! `gate explain`: what each rule asks, what was found, and what so many rows can show.

use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Check, GateRule, Subset, slice_name};
use modelgate_core::verdict::{GateVerdict, Outcome, POWER_CONFIDENCE, RuleResult, figure};
use modelgate_evaluate::Interval;
use modelgate_evaluate::statistics::smallest_visible_drop;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::evaluation::SubsetEvaluation;
use crate::outputs::{self, EvaluationReport};
use crate::project::Pipeline;
use crate::stages::judge::pipeline_rules;

/// One rule in words.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleExplanation {
    /// The rule's id.
    pub id: String,
    /// What it asks.
    pub asks: String,
    /// How it came out in the last run; `None` before the first.
    pub outcome: Option<Outcome>,
    /// What was found, in words.
    pub found: Option<String>,
    /// Whether that was found for another rule of this id: the file was changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_rule: bool,
    /// How far the value is from where the rule turns, in units of the metric; negative is beyond it.
    pub room: Option<f64>,
    /// What so many rows can show.
    pub power: Option<String>,
}

/// Explains the rules of `pipeline` with what its last run left.
///
/// # Errors
/// Fails when a rule makes no sense.
pub fn explain(pipeline: &Pipeline<'_>) -> Result<Vec<RuleExplanation>, PipelineError> {
    let rules = pipeline_rules(pipeline)?;
    let verdict: Option<GateVerdict> = outputs::read(pipeline, "verdict.json");
    let evaluation: Option<EvaluationReport> = outputs::read(pipeline, "evaluation_report.json");
    let on = match pipeline.config.gate.on {
        modelgate_config::SubsetName::Validation => Subset::Validation,
        modelgate_config::SubsetName::Test => Subset::Test,
    };
    let explained = rules.iter().map(|rule| {
        let on = rule.on.unwrap_or(on);
        let result = verdict.iter().flat_map(|verdict| &verdict.rules).find(|result| result.id == rule.id);
        let figures = evaluation.as_ref().and_then(|evaluation| evaluation.subsets.get(&on));
        let other_rule = result.is_some_and(|result| is_other(rule, result));
        RuleExplanation {
            id: rule.id.clone(),
            asks: asks(rule, on),
            outcome: result.map(|result| result.outcome),
            found: result.map(|result| result.sentence.clone()),
            room: result.and_then(|result| room(rule, on, result)),
            other_rule,
            // What was found on the same rows says more than what either model's rows say.
            power: result
                .filter(|_| !other_rule)
                .and_then(|result| result.power.clone())
                .or_else(|| figures.and_then(|figures| power(rule, on, figures))),
        }
    });
    Ok(explained.collect())
}

/// Returns whether the last run was judged by another rule of this id; a verdict of an older modelgate does not say.
fn is_other(rule: &GateRule, result: &RuleResult) -> bool {
    result.rule.is_some_and(|judged| rule.digest() != Some(judged))
}

/// Returns how far the value that was found is from where the rule of today turns, where that is known.
fn room(rule: &GateRule, on: Subset, result: &RuleResult) -> Option<f64> {
    let slice = result.slice.clone().unwrap_or_default();
    let is_its_value = result.metric == rule.metric && result.on == on && slice == slice_name(&rule.slice);
    let value = result.value.filter(|_| is_its_value)?;
    let limit = match rule.check {
        Check::Equals(_) => return None,
        Check::AtLeast(limit) | Check::AtMost(limit) => limit,
        // The limit of another rule says nothing of this one's.
        _ => result.limit.filter(|_| !is_other(rule, result))?,
    };
    let rises = matches!(rule.check, Check::AtMost(_) | Check::MaxRise { .. } | Check::SlicesNotWorse { .. })
        || (matches!(rule.check, Check::NonInferior { .. })
            && direction(&rule.metric) == Some(Direction::LowerIsBetter));
    Some(if rises { limit - value } else { value - limit })
}

/// Returns what a rule asks, in words, of the rows that it looks at.
pub(crate) fn asks(rule: &GateRule, on: Subset) -> String {
    let metric = &rule.metric;
    let mut place = format!("on {}", on.rows_of(metric));
    if !rule.slice.is_empty() {
        place.push_str(&format!(", where {},", slice_name(&rule.slice)));
    }
    let asked = match &rule.check {
        Check::AtLeast(limit) => format!("{metric} {place} is at least {limit}"),
        Check::AtMost(limit) => format!("{metric} {place} is at most {limit}"),
        Check::Equals(limit) => format!("{metric} {place} is {limit}"),
        Check::MaxDrop { versus, limit } => {
            format!("{metric} {place} is not below that of {versus} by more than {limit}")
        }
        Check::MaxRise { versus, limit } => {
            format!("{metric} {place} is not above that of {versus} by more than {limit}")
        }
        Check::NonInferior { versus, margin, confidence } => format!(
            "{metric} {place} is shown, with {}% confidence on the same rows, to be worse than that of {versus} by no more \
             than {margin}; what the rows cannot tell is inconclusive",
            figure(confidence * 100.0)
        ),
        Check::SlicesNotWorse { versus } => {
            format!(
                "no part {place} does worse than with {versus} beyond chance, corrected for the number of parts"
            )
        }
        Check::SchemaCompatible { versus } => {
            format!(
                "the candidate takes and gives what {versus} does: no feature is removed, retyped or new, none takes fewer \
                 values, no class changed"
            )
        }
    };
    match rule.min_samples {
        Some(rows) => format!("{asked}; with fewer than {rows} rows it is inconclusive"),
        None => asked,
    }
}

fn power(rule: &GateRule, on: Subset, figures: &SubsetEvaluation) -> Option<String> {
    let name = slice_name(&rule.slice);
    let (rows, interval): (u64, &Interval) = if rule.slice.is_empty() {
        (figures.rows, figures.intervals.get(&rule.metric)?)
    } else {
        let slice = figures.slices.iter().find(|slice| slice.of_rule && slice.name == name)?;
        (slice.rows, slice.intervals.get(&rule.metric)?)
    };
    let place = format!(
        "{rows} rows of {on} place {} between {} and {}, with {}% confidence",
        rule.metric,
        figure(interval.low),
        figure(interval.high),
        figure(interval.confidence * 100.0)
    );
    // A fixed limit has no rows of its own: where the figure could lie is all that there is to say.
    if rule.check.versus().is_none() {
        return Some(place);
    }
    // Each of two models that answer rows of their own has such an error.
    let spread = std::f64::consts::SQRT_2 * interval.standard_error * (rows as f64).sqrt();
    let confidence = match rule.check {
        Check::NonInferior { confidence, .. } => confidence,
        _ => POWER_CONFIDENCE,
    };
    let visible = smallest_visible_drop(spread, rows, confidence);
    let worse = if direction(&rule.metric) == Some(Direction::LowerIsBetter) { "rise" } else { "drop" };
    Some(format!(
        "{place}; with {rows} rows a {worse} below {} is missed in more than one of five cases, unless both models answer the \
         same rows",
        figure(visible)
    ))
}

#[cfg(test)]
mod tests {
    use modelgate_core::rule::{Amount, Slice, Versus};

    use super::*;

    #[test]
    fn a_rule_that_was_changed_is_held_against_what_was_found_and_not_against_the_rule_of_before() {
        let (versus, margin) = (Versus::Production, Amount::Absolute(0.01));
        let rule = |metric: &str, check| {
            let (id, metric) = ("f".to_owned(), metric.to_owned());
            GateRule { id, metric, on: None, check, slice: Slice::new(), min_samples: None }
        };
        let [strict, loose] = [0.99, 0.5].map(|limit| rule("accuracy", Check::AtLeast(limit)));
        let mut result =
            RuleResult::without_figures("f", "accuracy", Subset::Validation, Outcome::Failed, "");
        (result.value, result.limit, result.rule) = (Some(0.75), Some(0.99), strict.digest());
        let room = |rule: &GateRule| room(rule, Subset::Validation, &result);
        assert!(!is_other(&strict, &result) && is_other(&loose, &result));
        assert_eq!((room(&strict), room(&loose)), (Some(0.75 - 0.99), Some(0.25)));
        assert_eq!(room(&rule("accuracy", Check::AtMost(1.0))), Some(0.25));
        // Of another figure, or of another limit against another model, nothing is known.
        assert_eq!(room(&rule("f1", Check::AtLeast(0.5))), None);
        assert_eq!(room(&rule("accuracy", Check::MaxDrop { versus, limit: margin })), None);
    }

    #[test]
    fn a_drop_between_two_models_is_seen_less_well_than_one_model_is_known() {
        let interval =
            Interval { low: 0.8, high: 0.88, standard_error: 0.02, confidence: 0.95, rounds: 1000 };
        let intervals = [("f1".to_owned(), interval)].into();
        let figures = SubsetEvaluation { rows: 400, intervals, ..SubsetEvaluation::default() };
        let said = |check| {
            let (id, metric) = ("f1".to_owned(), "f1".to_owned());
            let rule = GateRule { id, metric, on: None, check, slice: Slice::new(), min_samples: None };
            power(&rule, Subset::Validation, &figures).expect("words")
        };
        let place = "400 rows of validation place f1 between 0.8 and 0.88, with 95% confidence";
        assert_eq!(said(Check::AtLeast(0.8)), place);
        // (1.645 + 0.842) · 0.02 · √2.
        let check = Check::MaxDrop { versus: Versus::Baseline, limit: Amount::Absolute(0.01) };
        let drop = "; with 400 rows a drop below 0.0703281 is missed in more than one of five cases, unless both models \
                    answer the same rows";
        assert_eq!(said(check), format!("{place}{drop}"));
    }
}
