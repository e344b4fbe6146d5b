//! Candidate and production on the same rows: paired intervals, paired tests, and the parts that got worse.

use modelgate_core::rule::{Amount, Check, GateRule, Subset, Versus, slice_name};
use modelgate_core::verdict::{Comparisons, POWER_CONFIDENCE, PairedFigure, SliceFigures, figure};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_evaluate::statistics::{mcnemar, paired_t, smallest_visible_drop};
use modelgate_evaluate::{Average, BootstrapOptions, SearchOptions};
use modelgate_model::LoadedModel;

use crate::answers::{Answers, answers};
use crate::error::PipelineError;
use crate::evaluation::compared_parts;
use crate::rule_slices::slice_rows;

mod made_up;
mod measure;

pub use measure::{Difference, difference, parts};

/// What two models are compared on.
pub(crate) struct PairedInput<'a> {
    pub(crate) candidate: &'a LoadedModel,
    pub(crate) reference: &'a LoadedModel,
    pub(crate) table: &'a Table,
    pub(crate) target: &'a Target,
    pub(crate) split: &'a SplitAssignment,
    pub(crate) average: Average,
    pub(crate) bootstrap: BootstrapOptions,
    /// Whether rules that do not ask for it get an interval of the difference too.
    pub(crate) intervals: bool,
    pub(crate) search: SearchOptions,
    /// Columns whose parts are compared.
    pub(crate) columns: &'a [String],
    /// The rows of a rule that names none.
    pub(crate) on: Subset,
}

/// With more rows than this the difference of a rule that asks for no interval has none: it would be thin, and the rounds
/// would take longer than the training.
const MOST_ROWS: usize = 100_000;

/// Measures what the rules ask of candidate and production together.
pub(crate) fn compare(input: &PairedInput<'_>, rules: &[GateRule]) -> Result<Comparisons, PipelineError> {
    let mut found = Comparisons::default();
    for subset in [Subset::Validation, Subset::Test] {
        let asked: Vec<&GateRule> = rules
            .iter()
            .filter(|rule| rule.on.unwrap_or(input.on) == subset)
            .filter(|rule| rule.check.versus() == Some(&Versus::Production))
            .filter(|rule| !matches!(rule.check, Check::SchemaCompatible { .. }))
            .collect();
        let rows = if subset == Subset::Validation { &input.split.validation } else { &input.split.test };
        if asked.is_empty() || rows.is_empty() {
            continue;
        }
        let candidate = answers(input.candidate, input.table, input.target, rows)?;
        let reference = answers(input.reference, input.table, input.target, rows)?;
        for rule in asked {
            match &rule.check {
                Check::SlicesNotWorse { versus } => {
                    let figures = slice_figures(input, rows, &candidate, &reference);
                    found.slices.insert((versus.clone(), subset), figures);
                }
                Check::NonInferior { versus, confidence, .. } => {
                    found.paired.extend(paired_figure(
                        input,
                        rule,
                        subset,
                        rows,
                        *confidence,
                        versus,
                        (&candidate, &reference),
                    ));
                }
                Check::MaxDrop { versus, .. } | Check::MaxRise { versus, .. }
                    if input.intervals && rows.len() <= MOST_ROWS =>
                {
                    let pair = (&candidate, &reference);
                    let figure = paired_figure(input, rule, subset, rows, POWER_CONFIDENCE, versus, pair);
                    found.paired.extend(figure);
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn paired_figure(
    input: &PairedInput<'_>,
    rule: &GateRule,
    on: Subset,
    rows: &[u32],
    confidence: f64,
    versus: &Versus,
    (candidate, reference): (&Answers, &Answers),
) -> Option<PairedFigure> {
    let options = BootstrapOptions { confidence, ..input.bootstrap };
    let members = slice_rows(input.table, rows, &rule.slice);
    let (candidate, reference) = (candidate.take(&members), reference.take(&members));
    let share = match rule.check {
        Check::NonInferior { margin: Amount::Relative(share), .. } => share,
        _ => 0.0,
    };
    let found = difference(&candidate, &reference, (&rule.metric, share), input.average, &options)?;
    let rows = candidate.rows() as u64;
    let spread = found.standard_error * (rows as f64).sqrt();
    Some(PairedFigure {
        versus: versus.clone(),
        on,
        slice: slice_name(&rule.slice),
        metric: rule.metric.clone(),
        confidence,
        difference: found.difference,
        low: found.low,
        high: found.high,
        share,
        held: found.held,
        visible: smallest_visible_drop(spread, rows, confidence),
        rows,
        least_rows: found.least_rows,
        beside: beside(&candidate, &reference),
    })
}

/// Says what tests of their own make of the same rows: of classes `McNemar`'s, and a paired t-test of Brier scores; of
/// numbers a paired t-test of absolute errors.
fn beside(candidate: &Answers, reference: &Answers) -> String {
    let paired = |what: &str| {
        paired_t(&candidate.fine_losses(), &reference.fine_losses()).map(|test| {
            format!(
                "paired t-test of {what}: {:+.4} on average, p = {}",
                test.mean_difference,
                figure(test.p_value)
            )
        })
    };
    match candidate {
        Answers::Classes { .. } => {
            let (only_candidate, only_reference) = measure::right_alone(candidate, reference);
            let test = mcnemar(only_candidate, only_reference);
            let mut said = format!(
                "McNemar's test: {only_candidate} rows right here only, {only_reference} there only, p = {}",
                figure(test.p_value)
            );
            if let Some(scores) = paired("Brier scores") {
                said.push_str("; ");
                said.push_str(&scores);
            }
            said
        }
        Answers::Values { .. } => paired("absolute errors").unwrap_or_default(),
    }
}

fn slice_figures(
    input: &PairedInput<'_>,
    rows: &[u32],
    candidate: &Answers,
    reference: &Answers,
) -> SliceFigures {
    let compared = compared_parts(input.table, rows, input.columns, &input.search);
    let named: Vec<(String, Vec<u32>)> =
        compared.into_iter().map(|(part, members)| (part.to_string(), members)).collect();
    parts(candidate, reference, &named, input.search.min_rows as u64)
}
