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

fn asks(rule: &GateRule, on: Subset) -> String {
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
    let spread = interval.standard_error * (rows as f64).sqrt();
    let confidence = match rule.check {
        Check::NonInferior { confidence, .. } => confidence,
        _ => POWER_CONFIDENCE,
    };
    let visible = smallest_visible_drop(spread, rows, confidence);
    let worse = if direction(&rule.metric) == Some(Direction::LowerIsBetter) { "rise" } else { "drop" };
    Some(format!(
        "{rows} rows of {on} place {} between {} and {}; with {}% confidence; with {rows} rows a {worse} below {} is \
         missed in more than one of five cases, unless both models answer the same rows",
        rule.metric,
        figure(interval.low),
        figure(interval.high),
        figure(interval.confidence * 100.0),
        figure(visible)
    ))
}
