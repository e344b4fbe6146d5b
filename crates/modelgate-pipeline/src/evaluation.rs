//! The figures of one package on the rows of a split; what `evaluation_report.json` holds.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use modelgate_core::rule::{Slice, Subset, slice_name};
use modelgate_core::schema::{Classes, FeatureSchema};
use modelgate_core::verdict::{Scores, SliceScores, SubsetScores};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_evaluate::{
    Average, BootstrapOptions, ClassMetrics, Interval, Part, SearchOptions, SliceSearch, bootstrap, parts,
    worst_slices,
};
use modelgate_model::LoadedModel;
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, answers, slice_column};
use crate::error::PipelineError;
use crate::rule_slices::slice_rows;

/// The figures on one subset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SubsetEvaluation {
    /// Number of rows.
    pub rows: u64,
    /// Rows whose answer is no finite number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unanswered: u64,
    /// Value by metric; null is undefined, and `undefined` says why.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, String>,
    /// Precision, recall and F1 of each class; empty for regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<ClassMetrics>,
    /// Counts `[actual][predicted]`; empty for regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// Where a metric could lie with other rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The figures of parts of the rows: declared columns, and parts that a rule names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceEvaluation>,
    /// The parts of the rows where the model does worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SliceSearch>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The figures on a part of a subset.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SliceEvaluation {
    /// The part in words; for one that a rule names, the name of [`slice_name`].
    pub name: String,
    /// Whether a rule names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_rule: bool,
    /// Number of rows.
    pub rows: u64,
    /// Value by metric.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Where a metric could lie with other rows; empty for few rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
}

/// The figures of one package.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The version of this form.
    pub schema_version: u32,
    /// The package.
    pub digest: Digest,
    /// The names of the classes in the order of the confusion matrix; empty for regression.
    pub classes: Vec<String>,
    /// The figures by subset.
    pub subsets: BTreeMap<Subset, SubsetEvaluation>,
}

impl Evaluation {
    /// Returns the figures in the form the gate judges.
    pub fn scores(&self, name: String, schema: Option<FeatureSchema>) -> Scores {
        let ends = |intervals: &BTreeMap<String, Interval>| {
            intervals.iter().map(|(metric, found)| (metric.clone(), (found.low, found.high))).collect()
        };
        let subsets = self.subsets.iter().map(|(subset, found)| {
            let slices = found.slices.iter().filter(|slice| slice.of_rule).map(|slice| {
                let metrics = slice.metrics.clone();
                let intervals = ends(&slice.intervals);
                (slice.name.clone(), SliceScores { rows: slice.rows, metrics, intervals })
            });
            let scores = SubsetScores {
                rows: Some(found.rows),
                metrics: found.metrics.clone(),
                intervals: ends(&found.intervals),
                slices: slices.collect(),
                unanswered: found.unanswered,
            };
            (*subset, scores)
        });
        Scores { name, digest: Some(self.digest), subsets: subsets.collect(), schema, unscored: None }
    }
}

/// What is measured beside the plain figures.
#[derive(Clone, PartialEq, Debug)]
pub struct EvaluateOptions {
    /// How figures per class become one.
    pub average: Average,
    /// The quantile that the model is trained for, whose pinball loss is measured.
    pub quantile: Option<f64>,
    /// How intervals are made; `None` makes none.
    pub bootstrap: Option<BootstrapOptions>,
    /// Columns whose parts get figures.
    pub slices: Vec<String>,
    /// Parts that rules name.
    pub rule_slices: Vec<Slice>,
    /// How the worst parts are searched; `None` searches none.
    pub search: Option<SearchOptions>,
    /// Columns that are searched.
    pub searched: Vec<String>,
}

impl EvaluateOptions {
    /// Returns options for the plain figures alone.
    pub fn plain(average: Average) -> Self {
        Self {
            average,
            quantile: None,
            bootstrap: None,
            slices: Vec::new(),
            rule_slices: Vec::new(),
            search: None,
            searched: Vec::new(),
        }
    }
}

/// Scores `model` on validation and test; a subset without rows is left out.
///
/// # Errors
/// Fails when the model and the data are for different tasks or classes, or a declared slice names no column.
pub fn evaluate(
    model: &LoadedModel,
    digest: Digest,
    table: &Table,
    target: &Target,
    split: &SplitAssignment,
    options: &EvaluateOptions,
) -> Result<Evaluation, PipelineError> {
    let mut subsets = BTreeMap::new();
    for (subset, rows) in [(Subset::Validation, &split.validation), (Subset::Test, &split.test)] {
        if rows.is_empty() {
            continue;
        }
        let found = answers(model, table, target, rows)?;
        let mut evaluation = found.figures(options.average, options.quantile)?;
        evaluation.intervals = intervals(&found, options);
        evaluation.slices = slices(&found, table, rows, options)?;
        evaluation.search = search(&found, table, rows, options);
        subsets.insert(subset, evaluation);
    }
    let classes = model.classes().map_or_else(Vec::new, Classes::names);
    Ok(Evaluation { schema_version: 1, digest, classes, subsets })
}

/// Below so many rows an interval would only repeat that they are few.
const MIN_INTERVAL_ROWS: usize = 10;

fn intervals(found: &Answers, options: &EvaluateOptions) -> BTreeMap<String, Interval> {
    let Some(bootstrap_options) = options.bootstrap.filter(|_| found.rows() >= MIN_INTERVAL_ROWS) else {
        return BTreeMap::new();
    };
    let Some(resampled) = found.resampled(options.average, options.quantile) else { return BTreeMap::new() };
    let found = bootstrap(resampled.as_ref(), &bootstrap_options);
    let named = resampled.names().iter().zip(found);
    named.filter_map(|(name, interval)| Some((name.clone(), interval?))).collect()
}

fn slices(
    found: &Answers,
    table: &Table,
    rows: &[u32],
    options: &EvaluateOptions,
) -> Result<Vec<SliceEvaluation>, PipelineError> {
    let bins = options.search.map_or(4, |search| search.bins);
    let mut all: Vec<(String, bool, Vec<u32>)> = Vec::new();
    for name in &options.slices {
        let column = slice_column(table, name, rows).ok_or_else(|| {
            PipelineError::Policy(format!("evaluate.slices names `{name}`, and the data has no such column"))
        })?;
        for part in parts(&column, bins) {
            let members = part.condition.rows(&column.values, rows.len());
            all.push((part.to_string(), false, members));
        }
    }
    for slice in &options.rule_slices {
        // A part that is gone leaves no figures, and its rule says so.
        let members = slice_rows(table, rows, slice);
        all.push((slice_name(slice), true, members));
    }
    let mut evaluations: Vec<SliceEvaluation> = Vec::new();
    for (name, of_rule, members) in all {
        if members.is_empty()
            || evaluations.iter().any(|known| known.name == name && known.of_rule == of_rule)
        {
            continue;
        }
        let part = found.take(&members);
        let metrics = part.figures(options.average, options.quantile)?.metrics;
        let rows = members.len() as u64;
        evaluations.push(SliceEvaluation {
            name,
            of_rule,
            rows,
            metrics,
            intervals: intervals(&part, options),
        });
    }
    Ok(evaluations)
}

fn search(found: &Answers, table: &Table, rows: &[u32], options: &EvaluateOptions) -> Option<SliceSearch> {
    let search = options.search?;
    let (words, losses) = found.losses();
    if losses.iter().any(|loss| !loss.is_finite()) {
        return None;
    }
    let columns: Vec<_> =
        options.searched.iter().filter_map(|name| slice_column(table, name, rows)).collect();
    let found = worst_slices(&columns, &losses, &search);
    Some(SliceSearch { loss: words.to_owned(), ..found })
}

/// Returns the parts of one column each that both models are compared on, with the rows of each. Few rows are cut into
/// fewer bins, so that a bin has as many rows as a part must have.
pub(crate) fn compared_parts(
    table: &Table,
    rows: &[u32],
    columns: &[String],
    search: &SearchOptions,
) -> Vec<(Part, Vec<u32>)> {
    let mut found = Vec::new();
    let bins = search.bins.min(rows.len() / search.min_rows.max(1)).max(1);
    for column in columns.iter().filter_map(|name| slice_column(table, name, rows)) {
        for part in parts(&column, bins) {
            let members = part.condition.rows(&column.values, rows.len());
            // All rows are no part of them.
            let whole = members.len() == rows.len();
            if !whole && members.len() >= search.min_rows.max(2) {
                found.push((part, members));
            }
        }
    }
    found
}
