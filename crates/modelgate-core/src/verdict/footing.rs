//! Whether candidate and reference stand on equal ground: on rows from which the reference learned it looks better than it
//! is, and on rows that it does not answer it has no figure.
//!
//! The key type is [`Footing`]. Which rows these are is found elsewhere; here is what they mean for a rule.

use std::collections::BTreeMap;

use super::{Evidence, FEW_ROWS, Outcome, Scores, SubsetScores};
use crate::rule::{Check, GateRule, Subset};

/// Why a reference is not compared on all rows, or should not be.
#[derive(Clone, PartialEq, Debug)]
pub enum Footing {
    /// Rows are left out.
    Fewer {
        /// The candidate's figures on the rows that are left; a subset of which none is left has none.
        candidate: BTreeMap<Subset, SubsetScores>,
        /// Which rows are left out, in words, of each subset that loses some.
        left_out: BTreeMap<Subset, String>,
    },
    /// The reference may have learned from the rows, and which cannot be told; why, in words.
    Unsure(String),
}

/// With fewer rows left nothing is judged, unless the rule says with `min_samples` how many are enough: what was left out
/// says that there were more.
pub const FEW_LEFT: u64 = 30;

/// Returns what is left out of `on` for a rule, where something is.
fn left_out<'a>(
    rule: &GateRule,
    evidence: &'a Evidence,
    on: Subset,
) -> Option<(&'a BTreeMap<Subset, SubsetScores>, &'a String)> {
    match evidence.footings.get(rule.check.versus()?)? {
        Footing::Fewer { candidate, left_out } => Some((candidate, left_out.get(&on)?)),
        Footing::Unsure(_) => None,
    }
}

/// Returns the candidate's figures on the rows that `rule` looks at.
pub(super) fn candidate_scores<'a>(
    rule: &GateRule,
    evidence: &'a Evidence,
    on: Subset,
) -> Option<&'a SubsetScores> {
    match left_out(rule, evidence, on) {
        Some((candidate, _)) => candidate.get(&on),
        None => evidence.candidate.subsets.get(&on),
    }
}

/// Returns below how many rows nothing is judged.
pub(super) fn fewest_rows(rule: &GateRule, evidence: &Evidence, on: Subset) -> u64 {
    left_out(rule, evidence, on).map_or(FEW_ROWS, |_| FEW_LEFT)
}

/// Adds to how a rule came out what its rows are like. A rule does not fail by rows from which the reference may have
/// learned: what holds on them holds all the more.
pub(super) fn told(
    rule: &GateRule,
    evidence: &Evidence,
    on: Subset,
    outcome: Outcome,
    sentence: String,
) -> (Outcome, String) {
    let is_schema = matches!(rule.check, Check::SchemaCompatible { .. });
    if is_schema || outcome == Outcome::NotApplicable {
        return (outcome, sentence);
    }
    if let Some((_, which)) = left_out(rule, evidence, on) {
        return (outcome, format!("{sentence}; {which}"));
    }
    match rule.check.versus().and_then(|versus| evidence.footings.get(versus)) {
        Some(Footing::Unsure(why)) if outcome == Outcome::Failed => {
            (Outcome::Inconclusive, format!("{sentence}; this does not count against the candidate: {why}"))
        }
        _ => (outcome, sentence),
    }
}

/// Returns the number of rows of `on` when the model answers none of them with a number.
pub(super) fn answers_nothing(scores: &Scores, on: Subset) -> Option<u64> {
    let found = scores.subsets.get(&on)?;
    found.rows.filter(|rows| *rows > 0 && found.unanswered >= *rows)
}

/// Says that the candidate leaves rows of `on` without an answer.
pub(super) fn answers_all(evidence: &Evidence, on: Subset) -> Result<(), String> {
    match evidence.candidate.subsets.get(&on) {
        Some(found) if found.unanswered > 0 => {
            let of = found.rows.map_or_else(String::new, |rows| format!(" of {rows}"));
            Err(format!(
                "{}{of} rows of {on} have no answer of the candidate that is a finite number: its parts cannot be compared",
                found.unanswered
            ))
        }
        _ => Ok(()),
    }
}
