//! Candidate and production on the same rows: paired intervals, paired tests, and the parts that got worse.

use modelgate_core::rule::{Check, GateRule, Subset, Versus, slice_name};
use modelgate_core::verdict::{Comparisons, PairedFigure, SliceFigure, SliceFigures, figure};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_evaluate::statistics::{holm, mcnemar, paired_t, smallest_visible_drop};
use modelgate_evaluate::{Average, BootstrapOptions, SearchOptions, paired_bootstrap};
use modelgate_model::LoadedModel;

use crate::answers::{Answers, answers};
use crate::error::PipelineError;
use crate::evaluation::{compared_parts, slice_rows};

/// What two models are compared on.
pub(crate) struct PairedInput<'a> {
    pub(crate) candidate: &'a LoadedModel,
    pub(crate) reference: &'a LoadedModel,
    pub(crate) table: &'a Table,
    pub(crate) target: &'a Target,
    pub(crate) split: &'a SplitAssignment,
    pub(crate) average: Average,
    pub(crate) bootstrap: BootstrapOptions,
    pub(crate) search: SearchOptions,
    /// Columns whose parts are compared.
    pub(crate) columns: &'a [String],
    /// The rows of a rule that names none.
    pub(crate) on: Subset,
}

/// Measures what the rules ask of candidate and production together.
pub(crate) fn compare(input: &PairedInput<'_>, rules: &[GateRule]) -> Result<Comparisons, PipelineError> {
    let mut found = Comparisons::default();
    for subset in [Subset::Validation, Subset::Test] {
        let asked: Vec<&GateRule> = rules
            .iter()
            .filter(|rule| rule.on.unwrap_or(input.on) == subset)
            .filter(|rule| matches!(rule.check, Check::NonInferior { .. } | Check::SlicesNotWorse { .. }))
            .collect();
        let rows = if subset == Subset::Validation { &input.split.validation } else { &input.split.test };
        if asked.is_empty() || rows.is_empty() {
            continue;
        }
        let candidate = answers(input.candidate, input.table, input.target, rows)?;
        let reference = answers(input.reference, input.table, input.target, rows)?;
        for rule in asked {
            match &rule.check {
                Check::NonInferior { versus, confidence, .. } => {
                    let members = slice_rows(input.table, rows, &rule.slice);
                    let pair = (candidate.take(&members), reference.take(&members));
                    if let Some(figures) = paired_figure(input, rule, subset, *confidence, versus, &pair) {
                        found.paired.push(figures);
                    }
                }
                Check::SlicesNotWorse { versus } => {
                    let figures = slice_figures(input, rows, &candidate, &reference);
                    found.slices.insert((versus.clone(), subset), figures);
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
    confidence: f64,
    versus: &Versus,
    (candidate, reference): &(Answers, Answers),
) -> Option<PairedFigure> {
    let options = BootstrapOptions { confidence, ..input.bootstrap };
    let (one, other) = (candidate.resampled(input.average)?, reference.resampled(input.average)?);
    let found = paired_bootstrap(one.as_ref(), other.as_ref(), &rule.metric, &options)?;
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
        visible: smallest_visible_drop(spread, rows, confidence),
        beside: beside(candidate, reference),
    })
}

/// Says what a test of its own makes of the same rows: `McNemar`'s of classes, a paired t-test of absolute errors.
fn beside(candidate: &Answers, reference: &Answers) -> String {
    let (_, losses) = candidate.losses();
    let (_, others) = reference.losses();
    match candidate {
        Answers::Classes { .. } => {
            let only = |one: &[f64], other: &[f64]| {
                one.iter().zip(other).filter(|(one, other)| **one == 0.0 && **other > 0.0).count() as u64
            };
            let test = mcnemar(only(&losses, &others), only(&others, &losses));
            format!(
                "McNemar's test: {} rows right here only, {} there only, p = {}",
                test.only_candidate,
                test.only_reference,
                figure(test.p_value)
            )
        }
        Answers::Values { .. } => match paired_t(&losses, &others) {
            Some(test) => format!(
                "paired t-test of absolute errors: {:+.4} on average, p = {}",
                test.mean_difference,
                figure(test.p_value)
            ),
            None => String::new(),
        },
    }
}

fn slice_figures(
    input: &PairedInput<'_>,
    rows: &[u32],
    candidate: &Answers,
    reference: &Answers,
) -> SliceFigures {
    let (words, losses) = candidate.losses();
    let (_, others) = reference.losses();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    let mut slices = Vec::new();
    for (part, members) in compared_parts(input.table, rows, input.columns, &input.search) {
        let pick = |losses: &[f64]| members.iter().map(|row| losses[*row as usize]).collect::<Vec<f64>>();
        let (one, other) = (pick(&losses), pick(&others));
        let Some(test) = paired_t(&one, &other) else { continue };
        // One-sided: a part that got better is no trouble.
        let p_value = if test.mean_difference > 0.0 { test.p_value / 2.0 } else { 1.0 - test.p_value / 2.0 };
        slices.push(SliceFigure {
            name: part.to_string(),
            rows: members.len() as u64,
            candidate: mean(&one),
            reference: mean(&other),
            p_value,
        });
    }
    let corrected = holm(&slices.iter().map(|slice| slice.p_value).collect::<Vec<_>>());
    for (slice, p_value) in slices.iter_mut().zip(corrected) {
        slice.p_value = p_value;
    }
    let min_rise = match candidate {
        Answers::Classes { .. } => 0.01,
        Answers::Values { .. } => 0.02 * mean(&others),
    };
    SliceFigures { loss: words.to_owned(), min_rows: input.search.min_rows as u64, min_rise, slices }
}
