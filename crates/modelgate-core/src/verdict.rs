//! The judgement: rules and evidence in, one of three verdicts out, with a sentence per rule.
//!
//! The key function is [`judge`]. Nothing is measured here; NaN, too few rows or a missing figure are
//! inconclusive and never passed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::metric::{CLASSIFICATION, REGRESSION, pinball_quantile};
use crate::rule::{Check, GateRule, Subset, Versus, is_of_contract, slice_name};
use crate::schema::FeatureSchema;

mod against;
mod comparisons;
mod footing;
mod operator;

use against::Side;
pub use comparisons::{Comparisons, PairedFigure, SliceFigure, SliceFigures};
pub use footing::{FEW_LEFT, Footing};
pub use operator::Operator;

/// The outcome of a gate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every rule that applies holds.
    Passed,
    /// At least one rule does not hold.
    Failed,
    /// No rule failed, and at least one could not be judged.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The outcome of one rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The rule holds.
    Passed,
    /// The rule does not hold.
    Failed,
    /// The rule could not be judged.
    Inconclusive,
    /// There is nothing to compare with: the first model of a name, or the production model itself.
    NotApplicable,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not applicable",
        })
    }
}

/// The metrics of one model on one subset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SubsetScores {
    /// Number of rows; `None` when another tool did not say.
    pub rows: Option<u64>,
    /// Value by metric; `None` is undefined or not finite.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Lower and upper end of a metric's interval, where one is known.
    #[serde(default)]
    pub intervals: BTreeMap<String, (f64, f64)>,
    /// The figures of parts of the rows, by the name of [`slice_name`].
    #[serde(default)]
    pub slices: BTreeMap<String, SliceScores>,
    /// Rows whose answer is no finite number.
    #[serde(default)]
    pub unanswered: u64,
}

/// The metrics of one model on a part of a subset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SliceScores {
    /// Number of rows.
    pub rows: u64,
    /// Value by metric; `None` is undefined or not finite.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Lower and upper end of a metric's interval, where one is known.
    #[serde(default)]
    pub intervals: BTreeMap<String, (f64, f64)>,
}

/// What is known of one model.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Scores {
    /// How a sentence calls it, such as `production v003`.
    pub name: String,
    /// The package's digest, so that no model is compared with itself.
    pub digest: Option<Digest>,
    /// The figures.
    pub subsets: BTreeMap<Subset, SubsetScores>,
    /// The package's schema.
    pub schema: Option<FeatureSchema>,
    /// Why there are no figures, of a model that is there and could not be scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscored: Option<String>,
}

/// What a candidate is compared with.
#[derive(Clone, PartialEq, Debug)]
pub enum Reference {
    /// A model with figures.
    Scores(Box<Scores>),
    /// There is none yet: this is the first model of its name.
    None,
    /// There is one but it could not be scored; the text says why.
    Unavailable(String),
}

/// Everything a gate looks at.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// The model that is judged.
    pub candidate: Scores,
    /// The references by name; one that is not here is unavailable.
    pub references: BTreeMap<Versus, Reference>,
    /// The subset of a rule that names none.
    pub on: Subset,
    /// What was measured of candidate and reference together.
    pub comparisons: Comparisons,
    /// The references that not every row is fair to; for one that is not here every row is.
    pub footings: BTreeMap<Versus, Footing>,
}

/// How one rule came out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule's id.
    pub id: String,
    /// The metric's name, or `schema`.
    pub metric: String,
    /// The rows it was measured on.
    pub on: Subset,
    /// The outcome.
    pub outcome: Outcome,
    /// The candidate's value.
    pub value: Option<f64>,
    /// The bound that the value was held against, in units of the metric.
    pub limit: Option<f64>,
    /// Which way that bound holds; `None` in a verdict of an older modelgate, and where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// The reference's value.
    pub reference: Option<f64>,
    /// What the reference is, such as `production v003`.
    pub reference_name: Option<String>,
    /// Number of rows; `None` for what a data contract found.
    pub samples: Option<u64>,
    /// The part of the rows; `None` for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// Lower and upper end of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// Lower and upper end of the value less the reference, where both models answered the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_interval: Option<(f64, f64)>,
    /// What so many rows can show of a difference, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// The digest of the whole rule, by which a rule of today is known to be the one that was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Digest>,
    /// The outcome in words.
    pub sentence: String,
}

impl RuleResult {
    /// Returns the result of a rule that has no figures, or whose figures come later.
    pub fn without_figures(
        id: impl Into<String>,
        metric: impl Into<String>,
        on: Subset,
        outcome: Outcome,
        sentence: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            metric: metric.into(),
            on,
            outcome,
            value: None,
            limit: None,
            operator: None,
            reference: None,
            reference_name: None,
            samples: None,
            slice: None,
            interval: None,
            difference_interval: None,
            power: None,
            rule: None,
            sentence: sentence.into(),
        }
    }
}

/// The verdict with its reasons; what `verdict.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GateVerdict {
    /// The version of this form.
    pub schema_version: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether there was no production model to compare with.
    pub bootstrap: bool,
    /// The package that was judged; `None` when only figures were.
    pub digest: Option<Digest>,
    /// The verdict in words.
    pub sentence: String,
    /// One result per rule, in the order of the rules.
    pub rules: Vec<RuleResult>,
    /// Why no policy approves it by itself though it passed, in words: a person looks at these first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// Judges `rules` on `evidence`: failed if a rule failed; else inconclusive if one was, or if there is no rule; else passed.
pub fn judge(rules: &[GateRule], evidence: &Evidence) -> GateVerdict {
    let results = rules.iter().map(|rule| judge_rule(rule, evidence)).collect();
    let bootstrap = matches!(evidence.references.get(&Versus::Production), Some(Reference::None));
    GateVerdict::of(results, bootstrap, evidence.candidate.digest)
}

impl GateVerdict {
    /// Returns the verdict over what became of each rule; `bootstrap` says that there was no production model to compare
    /// with.
    pub fn of(results: Vec<RuleResult>, bootstrap: bool, digest: Option<Digest>) -> Self {
        let count = |outcome| results.iter().filter(|result| result.outcome == outcome).count();
        let (failed, inconclusive) = (count(Outcome::Failed), count(Outcome::Inconclusive));
        let rules = if results.len() == 1 { "rule" } else { "rules" };
        let (verdict, mut sentence) = if failed > 0 {
            let verb = if failed == 1 { "does" } else { "do" };
            (Verdict::Failed, format!("{failed} of {} {rules} {verb} not hold", results.len()))
        } else if results.is_empty() {
            (Verdict::Inconclusive, "there is no rule to judge by".to_owned())
        } else if inconclusive > 0 {
            (
                Verdict::Inconclusive,
                format!("{inconclusive} of {} {rules} could not be judged", results.len()),
            )
        } else {
            let applied = results.len() - count(Outcome::NotApplicable);
            let sentence = match applied {
                0 => "no rule applies yet".to_owned(),
                1 => "the rule that applies holds".to_owned(),
                _ => format!("all {applied} rules that apply hold"),
            };
            (Verdict::Passed, sentence)
        };
        if bootstrap {
            sentence.push_str("; bootstrap: there is no production model of this name yet");
        }
        Self { schema_version: 1, verdict, bootstrap, digest, sentence, rules: results, doubts: Vec::new() }
    }

    /// Returns in which way this is no verdict of a gate: its rules make another one. That is what becomes of a word that was
    /// edited, or of rules that were taken out.
    pub fn contradiction(&self) -> Option<String> {
        let made = Self::of(self.rules.clone(), self.bootstrap, self.digest);
        (made.verdict != self.verdict).then(|| {
            format!("it says `{}`, and its rules make it `{}`: {}", self.verdict, made.verdict, made.sentence)
        })
    }

    /// Returns the verdict with what a person has to look at before it counts as a ground for approval.
    #[must_use]
    pub fn doubted(mut self, doubts: Vec<String>) -> Self {
        if !doubts.is_empty() && self.verdict == Verdict::Passed {
            self.sentence.push_str(&format!("; a person decides of it: {}", doubts.join("; ")));
        }
        self.doubts = doubts;
        self
    }
}

fn judge_rule(rule: &GateRule, evidence: &Evidence) -> RuleResult {
    let on = rule.on.unwrap_or(evidence.on);
    let slice = slice_name(&rule.slice);
    let mut result = RuleResult {
        samples: rows_of(footing::candidate_scores(rule, evidence, on), &slice)
            .filter(|_| !is_of_contract(&rule.metric)),
        slice: (!slice.is_empty()).then_some(slice),
        rule: rule.digest(),
        ..RuleResult::without_figures(&*rule.id, &*rule.metric, on, Outcome::Inconclusive, "")
    };
    let (outcome, sentence) = match &rule.check {
        Check::AtLeast(limit) => bound(rule, evidence, &mut result, *limit, "at least", |value, limit| {
            value >= limit || near(value, limit)
        }),
        Check::AtMost(limit) => bound(rule, evidence, &mut result, *limit, "at most", |value, limit| {
            value <= limit || near(value, limit)
        }),
        Check::Equals(limit) => bound(rule, evidence, &mut result, *limit, "equal to", near),
        Check::MaxDrop { versus, limit } => {
            against::movement(rule, evidence, &mut result, versus, *limit, Side::Drop)
        }
        Check::MaxRise { versus, limit } => {
            against::movement(rule, evidence, &mut result, versus, *limit, Side::Rise)
        }
        Check::NonInferior { versus, margin, confidence } => {
            comparisons::non_inferior(rule, evidence, &mut result, versus, *margin, *confidence)
        }
        Check::SlicesNotWorse { versus } => {
            comparisons::slices_not_worse(rule, evidence, &mut result, versus)
        }
        Check::SchemaCompatible { versus } => against::schema(evidence, &mut result, versus),
    };
    result.operator = result.limit.and_then(|_| Operator::of(rule));
    (result.outcome, result.sentence) = footing::told(rule, evidence, on, outcome, sentence);
    result
}

type Judged = (Outcome, String);

fn rows_of(scores: Option<&SubsetScores>, slice: &str) -> Option<u64> {
    if slice.is_empty() { scores?.rows } else { scores?.slices.get(slice).map(|found| found.rows) }
}

/// Returns the metrics of the rows that a rule looks at.
fn metrics_of<'a>(scores: &'a SubsetScores, slice: &str) -> Option<&'a BTreeMap<String, Option<f64>>> {
    if slice.is_empty() {
        Some(&scores.metrics)
    } else {
        scores.slices.get(slice).map(|found| &found.metrics)
    }
}

/// Returns the rows in words, such as `validation where region=north`.
fn place(rule: &GateRule, on: Subset) -> String {
    let rows = on.rows_of(&rule.metric);
    if rule.slice.is_empty() { rows.to_owned() } else { format!("{on} where {}", slice_name(&rule.slice)) }
}

/// Returns the candidate's value, or why there is none that can be judged.
fn candidate_value(rule: &GateRule, evidence: &Evidence, result: &mut RuleResult) -> Result<f64, String> {
    let scores = footing::candidate_scores(rule, evidence, result.on);
    let (scores, value) = defined_value(rule, scores, result.on)?;
    let (metric, on, slice) = (&rule.metric, place(rule, result.on), slice_name(&rule.slice));
    let intervals = scores.slices.get(&slice).map_or(&scores.intervals, |found| &found.intervals);
    result.interval = intervals.get(metric).copied();
    let rows = rows_of(Some(scores), &slice);
    enough_rows(rule, rows, &format!("{metric} on {on}"), unit(result.on))?;
    let fewest = footing::fewest_rows(rule, evidence, result.on);
    match rows {
        Some(rows) if rows < fewest && rule.min_samples.is_none() && is_own(metric) => {
            let few = format!("{metric} on {on} is {} on {rows} rows, too few to judge by", figure(value));
            Err(match comparisons::rows_wanted(rule, evidence, result.on) {
                Some(wanted) if wanted > rows => format!("{few}: `non_inferior` wants {wanted}"),
                _ => format!("{few}; `min_samples: {rows}` judges by them"),
            })
        }
        _ => Ok(value),
    }
}

/// Returns the value of a rule's metric in `scores`, or why there is none that is a number.
fn defined_value<'a>(
    rule: &GateRule,
    scores: Option<&'a SubsetScores>,
    on: Subset,
) -> Result<(&'a SubsetScores, f64), String> {
    let scores = scores.ok_or_else(|| format!("nothing was measured on {on}"))?;
    let slice = slice_name(&rule.slice);
    let metrics = metrics_of(scores, &slice)
        .ok_or_else(|| format!("{on} has no row where {slice}: check the column and the value"))?;
    let metric = &rule.metric;
    let value = metrics.get(metric).ok_or_else(|| {
        let known: Vec<&str> = metrics.keys().map(String::as_str).take(20).collect();
        format!("{metric} was not measured on {}; measured are {}", place(rule, on), known.join(", "))
    })?;
    let value = value.filter(|value| value.is_finite());
    if let (None, Some(needed), Some(0)) = (value, rule.min_samples, rows_of(Some(scores), &slice)) {
        let unit = unit(on);
        return Err(format!("{metric} on {}: 0 {unit}, {needed} are needed", place(rule, on)));
    }
    let value =
        value.ok_or_else(|| format!("{metric} on {} is undefined or not a finite number", place(rule, on)));
    Ok((scores, value?))
}

/// Below so many rows a figure of ours is not judged, unless the rule says with `min_samples` how many are enough.
pub const FEW_ROWS: u64 = 10;

/// Returns whether a metric is a mean over rows that modelgate makes: a count of violations or a time is none.
fn is_own(metric: &str) -> bool {
    CLASSIFICATION.contains(&metric) || REGRESSION.contains(&metric) || pinball_quantile(metric).is_some()
}

/// Returns what a canary's figures rest on, and what all others do.
fn unit(on: Subset) -> &'static str {
    if on == Subset::Canary { "requests" } else { "rows" }
}

/// Says that there are fewer rows than the rule wants.
fn enough_rows(rule: &GateRule, rows: Option<u64>, what: &str, unit: &str) -> Result<(), String> {
    match (rule.min_samples, rows) {
        (Some(needed), Some(rows)) if rows < needed => {
            Err(format!("{what} rests on {rows} {unit} and the rule wants {needed}"))
        }
        (Some(needed), None) => Err(format!("the number of {unit} is not known and the rule wants {needed}")),
        _ => Ok(()),
    }
}

fn bound(
    rule: &GateRule,
    evidence: &Evidence,
    result: &mut RuleResult,
    limit: f64,
    words: &str,
    holds: impl Fn(f64, f64) -> bool,
) -> Judged {
    result.limit = Some(limit);
    let value = match candidate_value(rule, evidence, result) {
        Ok(value) => value,
        Err(reason) => return (Outcome::Inconclusive, reason),
    };
    result.value = Some(value);
    let (metric, on) = (&rule.metric, place(rule, result.on));
    if holds(value, limit) {
        (Outcome::Passed, format!("{metric} on {on} is {}, {words} {limit}", figure(value)))
    } else {
        // What misses by little must not read like the limit.
        let told = if figure(value) == figure(limit) { value.to_string() } else { figure(value) };
        (Outcome::Failed, format!("{metric} on {on} is {told}, and must be {words} {limit}"))
    }
}

/// Returns whether two numbers are one but for how numbers are kept: 0.1 + 0.2 is a little more than 0.3.
fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 8.0 * f64::EPSILON * one.abs().max(other.abs())
}

/// How sure a rule that names no confidence would have to be for what its rows can show.
pub const POWER_CONFIDENCE: f64 = 0.95;

/// Prints a figure with six significant digits at most, without trailing zeros.
pub fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests;
