//! `gate explain`: what each rule asks, what was found, and what so many rows can show.

use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Check, GateRule, Subset, slice_name};
use modelgate_core::verdict::{GateVerdict, Outcome, POWER_CONFIDENCE, figure};
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
        let room = result.and_then(|result| {
            let (value, limit) = (result.value?, result.limit?);
            let rises =
                matches!(rule.check, Check::AtMost(_) | Check::MaxRise { .. } | Check::SlicesNotWorse { .. })
                    || (matches!(rule.check, Check::NonInferior { .. })
                        && direction(&rule.metric) == Some(Direction::LowerIsBetter));
            Some(if rises { limit - value } else { value - limit })
        });
        RuleExplanation {
            id: rule.id.clone(),
            asks: asks(rule, on),
            outcome: result.map(|result| result.outcome),
            found: result.map(|result| result.sentence.clone()),
            room: room.filter(|_| !matches!(rule.check, Check::Equals(_))),
            // What was found on the same rows says more than what either model's rows say.
            power: result
                .and_then(|result| result.power.clone())
                .or_else(|| figures.and_then(|figures| power(rule, on, figures))),
        }
    });
    Ok(explained.collect())
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
                "the candidate takes and gives what {versus} does: no feature is removed, retyped or new, no class changed"
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
