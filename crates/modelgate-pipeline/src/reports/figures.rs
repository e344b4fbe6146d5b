//! The figures as a table shows them: the candidate's on all rows with their intervals, and beside production's on the rows
//! that both are compared on, which may be fewer.

use modelgate_core::rule::Subset;

use super::RunEvidence;
use super::rules::interval_head;

/// The figures of one subset.
pub(super) struct FigureTable<'a> {
    pub(super) subset: Subset,
    /// Its rows.
    pub(super) rows: u64,
    /// The columns from the candidate's figures to production's.
    pub(super) heads: Vec<String>,
    /// The baseline, or that there is none.
    pub(super) baseline: &'a str,
    /// Whether both are compared on fewer rows.
    pub(super) is_fewer: bool,
    pub(super) lines: Vec<FigureLine<'a>>,
    /// Why a metric has no value.
    pub(super) undefined: Vec<(&'a str, &'a str)>,
}

/// One metric.
pub(super) struct FigureLine<'a> {
    pub(super) metric: &'a str,
    /// The candidate's on all rows, and where it could lie.
    pub(super) value: Option<f64>,
    pub(super) interval: Option<(f64, f64)>,
    /// Candidate and production on the rows that both are compared on.
    pub(super) candidate: Option<f64>,
    pub(super) production: Option<f64>,
    /// The baseline's.
    pub(super) baseline: Option<f64>,
}

impl FigureLine<'_> {
    /// Returns candidate less production, on the same rows.
    pub(super) fn difference(&self) -> Option<f64> {
        Some(self.candidate? - self.production?)
    }
}

/// Returns the tables, one for each subset that was measured.
pub(super) fn tables<'a>(evidence: &'a RunEvidence, without_production: &str) -> Vec<FigureTable<'a>> {
    let comparison = &evidence.comparison;
    let production = comparison.production.as_deref().unwrap_or(without_production);
    let tables = evidence.evaluation.subsets.iter().map(|(subset, found)| {
        let fewer = comparison.rows.get(subset);
        let mut heads = vec!["candidate".to_owned(), interval_head(evidence)];
        match fewer {
            Some(rows) => {
                heads.extend([format!("candidate on {rows} rows"), format!("{production} on {rows} rows")]);
            }
            None => heads.push(production.to_owned()),
        }
        let compared = comparison.subsets.get(subset);
        let stored = comparison.baseline.as_ref().and_then(|baseline| baseline.subsets.get(subset));
        let lines = found.metrics.iter().map(|(metric, value)| {
            let both = compared.and_then(|rows| rows.iter().find(|row| row.metric == *metric));
            FigureLine {
                metric,
                value: *value,
                interval: found.intervals.get(metric).map(|found| (found.low, found.high)),
                candidate: both.and_then(|row| row.candidate),
                production: both.and_then(|row| row.production),
                baseline: stored.and_then(|figures| figures.get(metric)).copied(),
            }
        });
        FigureTable {
            subset: *subset,
            rows: found.rows,
            heads,
            baseline: comparison.baseline.as_ref().map_or("baseline", |baseline| baseline.name.as_str()),
            is_fewer: fewer.is_some(),
            lines: lines.collect(),
            undefined: found.undefined.iter().map(|(metric, why)| (metric.as_str(), why.as_str())).collect(),
        }
    });
    tables.collect()
}
