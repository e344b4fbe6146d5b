//! What is measured of candidate and reference on the same rows, and the rules that look at it.

use std::collections::BTreeMap;

use super::against::{of_another_target, reference, reference_value, sides, without_reference};
use super::{Evidence, Judged, Outcome, RuleResult, enough_rows, figure, footing, place};
use crate::metric::{Direction, direction};
use crate::rule::{Amount, Check, GateRule, Subset, Versus, slice_name};

/// How a figure of the candidate differs from a reference's on the same rows.
#[derive(Clone, PartialEq, Debug)]
pub struct PairedFigure {
    /// The reference.
    pub versus: Versus,
    /// The rows.
    pub on: Subset,
    /// The part of them, by the name of [`slice_name`]; empty for all.
    pub slice: String,
    /// The figure.
    pub metric: String,
    /// One-sided confidence of each end.
    pub confidence: f64,
    /// Candidate less reference.
    pub difference: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The share of the reference's figure that `held` is for; 0 of a margin that is none.
    pub share: f64,
    /// The ends that such a margin is held against: other rows would move the reference's figure, and the margin with it.
    pub held: (f64, f64),
    /// The smallest worsening that so many rows would show with a chance of 80%.
    pub visible: f64,
    /// Rows that both answered.
    pub rows: u64,
    /// With fewer rows the ends say nothing, and nothing is judged by them.
    pub least_rows: u64,
    /// What other paired tests say, in words.
    pub beside: String,
}

/// A part of the rows with the mean loss of both.
#[derive(Clone, PartialEq, Debug)]
pub struct SliceFigure {
    /// The part in words.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Mean loss of the candidate.
    pub candidate: f64,
    /// Mean loss of the reference.
    pub reference: f64,
    /// A rise of this much at most is not worth a word, however sure it is.
    pub least: f64,
    /// Probability that the candidate is so much worse by chance, corrected for the number of parts.
    pub p_value: f64,
}

/// The parts that were compared.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SliceFigures {
    /// What the loss of a row is, in words.
    pub loss: String,
    /// A part with fewer rows is not looked at.
    pub min_rows: u64,
    /// Rows without a loss that is a number, of either model; with one of them nothing is judged.
    pub undefined: u64,
    /// The parts.
    pub slices: Vec<SliceFigure>,
}

/// What was measured of candidate and reference together.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Comparisons {
    /// Figures on the same rows.
    pub paired: Vec<PairedFigure>,
    /// Parts of the rows.
    pub slices: BTreeMap<(Versus, Subset), SliceFigures>,
}

/// Holds when the far end of the paired interval is within the margin, fails when the near end is beyond it; between
/// the two the rows cannot tell.
pub(super) fn non_inferior(
    rule: &GateRule,
    evidence: &Evidence,
    result: &mut RuleResult,
    versus: &Versus,
    margin: Amount,
    confidence: f64,
) -> Judged {
    let (value, scores) = match sides(rule, evidence, result, versus) {
        Ok(sides) => sides,
        Err(judged) => return judged,
    };
    let (metric, on, name) = (&rule.metric, place(rule, result.on), &scores.name);
    let share = if let Amount::Relative(share) = margin { share } else { 0.0 };
    let found = paired_figure(rule, evidence, result.on, versus, (confidence, Some(share)));
    let Some(old) = reference_value(rule, scores, result.on) else {
        return without_reference(rule, scores, result.on, value);
    };
    let Some(found) = found else {
        let sentence = format!("{metric} on {on} could not be compared with {name} row by row");
        return (Outcome::Inconclusive, sentence);
    };
    result.reference = Some(old);
    tell_difference(found, result);
    let allowed = margin.of(old);
    let higher = direction(metric) != Some(Direction::LowerIsBetter);
    result.limit = Some(if higher { old - allowed } else { old + allowed });
    // How much worse the candidate is, at best and at worst.
    let (low, high) = found.held;
    let (least, most) = if higher { (-high, -low) } else { (low, high) };
    let verb = if higher { "drop" } else { "rise" };
    if found.rows < found.least_rows {
        let sentence = format!(
            "{metric} on {on} differs from {name} by {:+.4} on {} rows: too few for an interval, which wants {}",
            found.difference, found.rows, found.least_rows
        );
        return (Outcome::Inconclusive, sentence);
    }
    let mut change = format!(
        "{metric} on {on} differs from {name} by {:+.4}, between {:+.4} and {:+.4} (each end with {}% confidence, both \
         with {}%)",
        found.difference,
        found.low,
        found.high,
        figure(confidence * 100.0),
        figure((2.0 * confidence - 1.0) * 100.0)
    );
    if share > 0.0 {
        change.push_str(&format!(
            ", beside a margin that would move with the rows too between {low:+.4} and {high:+.4}"
        ));
    }
    let beside = if found.beside.is_empty() { String::new() } else { format!(" ({})", found.beside) };
    if most <= allowed {
        return (Outcome::Passed, format!("{change}: not worse by more than {margin}{beside}"));
    }
    if least > allowed {
        return (Outcome::Failed, format!("{change}: worse by more than {margin}{beside}"));
    }
    let rows = found.rows;
    let sentence = format!(
        "{change}: a {verb} of more than {margin} can neither be shown nor ruled out; with {rows} rows a {verb} below {} \
         is missed in more than one of five cases{beside}",
        figure(found.visible)
    );
    (Outcome::Inconclusive, sentence)
}

/// Returns what was measured of both models for `rule` with a confidence, and for a margin of a share where there is one.
pub(super) fn paired_figure<'a>(
    rule: &GateRule,
    evidence: &'a Evidence,
    on: Subset,
    versus: &Versus,
    (confidence, share): (f64, Option<f64>),
) -> Option<&'a PairedFigure> {
    let slice = slice_name(&rule.slice);
    evidence.comparisons.paired.iter().find(|found| {
        found.versus == *versus
            && found.on == on
            && found.slice == slice
            && found.metric == rule.metric
            && found.confidence == confidence
            && share.is_none_or(|share| found.share == share)
    })
}

/// Returns how many rows a paired interval for `rule` wants, where one was measured.
pub(super) fn rows_wanted(rule: &GateRule, evidence: &Evidence, on: Subset) -> Option<u64> {
    let Check::NonInferior { versus, confidence, .. } = &rule.check else { return None };
    paired_figure(rule, evidence, on, versus, (*confidence, None)).map(|found| found.least_rows)
}

/// Writes into `result` where the difference lies and what so many rows can show of it.
pub(super) fn tell_difference(found: &PairedFigure, result: &mut RuleResult) {
    if found.rows < found.least_rows {
        result.power = Some(format!("{} rows are too few to say what they can show", found.rows));
        return;
    }
    result.difference_interval = Some((found.low, found.high));
    let lower = direction(&found.metric) == Some(Direction::LowerIsBetter);
    let verb = if lower { "rise" } else { "drop" };
    result.power = Some(format!(
        "with {} rows a {verb} below {} is missed in more than one of five cases, at {}% confidence",
        found.rows,
        figure(found.visible),
        figure(found.confidence * 100.0)
    ));
}

/// Above this corrected probability a worse part is taken for chance.
const SLICE_LEVEL: f64 = 0.05;

/// Says how probable something is: `= 0.0123`, or `< 0.0001` for what is smaller.
fn probability(value: f64) -> String {
    if value < 1e-4 { "< 0.0001".to_owned() } else { format!("= {value:.4}") }
}

/// Puts the first of a list into a sentence, and says how many more there are.
pub(super) fn named_first(names: &[String], most: usize) -> String {
    let mut shown = names.iter().take(most).cloned().collect::<Vec<String>>();
    if names.len() > most {
        shown.push(format!("and {} more", names.len() - most));
    }
    shown.join("; ")
}

pub(super) fn slices_not_worse(
    rule: &GateRule,
    evidence: &Evidence,
    result: &mut RuleResult,
    versus: &Versus,
) -> Judged {
    let answered = footing::answers_all(evidence, result.on);
    let scores = match (reference(evidence, versus), answered) {
        (Ok(scores), Ok(())) => scores,
        (Ok(_) | Err((Outcome::NotApplicable, _)), Err(reason)) => return (Outcome::Inconclusive, reason),
        (Err(judged), _) => return judged,
    };
    result.reference_name = Some(scores.name.clone());
    if let Some(why) = of_another_target(evidence, scores) {
        return (Outcome::Inconclusive, why);
    }
    let on = place(rule, result.on);
    if let Some(rows) = footing::answers_nothing(scores, result.on) {
        let name = &scores.name;
        let sentence = format!(
            "{name} answers none of {rows} rows of {on} with a number: no part can be worse than with it"
        );
        return (Outcome::Passed, sentence);
    }
    let Some(found) = evidence.comparisons.slices.get(&(versus.clone(), result.on)) else {
        let why = scores.unscored.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let sentence = format!("the parts of {on} could not be compared with {}{why}", scores.name);
        return (Outcome::Inconclusive, sentence);
    };
    if let Err(reason) = enough_rows(rule, result.samples, &format!("the parts of {on}"), "rows") {
        return (Outcome::Inconclusive, reason);
    }
    if found.undefined > 0 {
        let sentence = format!(
            "{} rows of {on} have no {} that is a number, of the candidate or of {}: its parts cannot be compared",
            found.undefined, found.loss, scores.name
        );
        return (Outcome::Inconclusive, sentence);
    }
    if found.slices.is_empty() {
        let sentence = format!(
            "no part of {on} has {} rows, so there is none to compare: hold more rows back, or lower \
             `evaluate.min_slice_rows`",
            found.min_rows
        );
        return (Outcome::Inconclusive, sentence);
    }
    // The surest that rows can be is that all of them got worse, each by a throw of a coin.
    let parts = found.slices.len() as f64;
    let surest = |slice: &SliceFigure| parts * 0.5_f64.powf(slice.rows as f64);
    if found.slices.iter().all(|slice| surest(slice) >= SLICE_LEVEL) {
        let most = found.slices.iter().map(|slice| slice.rows).max().unwrap_or(0);
        let sentence = format!(
            "none of {parts} parts of {on} has more than {most} rows: too few to show that it is worse; hold more rows \
             back, or name fewer columns in `evaluate.slices`"
        );
        return (Outcome::Inconclusive, sentence);
    }
    let rise = |slice: &SliceFigure| slice.candidate - slice.reference;
    let (mut worse, hardly): (Vec<&SliceFigure>, Vec<&SliceFigure>) = found
        .slices
        .iter()
        .filter(|slice| slice.p_value < SLICE_LEVEL)
        .partition(|slice| rise(slice) > slice.least);
    worse.sort_by(|one, other| rise(other).total_cmp(&rise(one)));
    result.value = Some(worse.len() as f64);
    result.limit = Some(0.0);
    let (count, name, loss) = (found.slices.len(), &scores.name, &found.loss);
    let told = |slice: &SliceFigure| {
        format!(
            "{} ({} against {} on {} rows, p {})",
            slice.name,
            figure(slice.candidate),
            figure(slice.reference),
            slice.rows,
            probability(slice.p_value)
        )
    };
    let listed = |slices: &[&SliceFigure]| {
        let named: Vec<String> = slices.iter().map(|slice| told(slice)).collect();
        named_first(&named, 3)
    };
    if worse.is_empty() {
        let few = listed(&hardly);
        let more = match hardly.len() {
            0 => String::new(),
            1 => format!(" and by more than counts: 1 is higher by too little, {few}"),
            number => format!(" and by more than counts: {number} are higher by too little, {few}"),
        };
        let sentence =
            format!("none of {count} parts of {on} has a higher {loss} than with {name} beyond chance{more}");
        return (Outcome::Passed, sentence);
    }
    let (number, verb) = (worse.len(), if worse.len() == 1 { "has" } else { "have" });
    let sentence = format!(
        "{number} of {count} parts of {on} {verb} a higher {loss} than with {name} beyond chance: {}",
        listed(&worse)
    );
    (Outcome::Failed, sentence)
}
