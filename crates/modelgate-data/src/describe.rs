//! What a data set looks like: counts, moments, quantiles, frequent values, histograms and correlations.
//!
//! The key type is [`Description`]. Two passes: the first finds moments, quantiles and frequent values, the second,
//! which knows the ranges, histograms and correlations. Everything but the quantiles is exact; these have an error in
//! rank that is stated (`describe/sketch.rs`).

mod column;
mod html;
mod pairs;
mod sketch;
mod text;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::types::ColumnType;

pub use column::{ColumnDescription, Frequent, Histogram, NumberDescription, Quantile};
pub use html::to_html;
pub use pairs::Correlation;
pub use text::to_text;

/// What a data set looks like.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The version of this form.
    pub schema_version: u32,
    /// The files.
    pub files: Vec<String>,
    /// The number of rows.
    pub rows: u64,
    /// The columns, in the order of the file.
    pub columns: Vec<ColumnDescription>,
    /// Pairs of number columns that move together, strongest first.
    pub correlations: Vec<Correlation>,
    /// Columns that no value can be read of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What a person should know of the types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Describes a data set.
///
/// # Errors
/// Names the place of a value that is not of its column's type.
pub fn describe(dataset: &Dataset) -> Result<Description, DataError> {
    describe_as(dataset, Depth::Whole, &mut |_, _| {})
}

/// How much is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Everything.
    Whole,
    /// What a contract is made of: no histograms and no correlations, which take a second pass.
    Values,
}

/// Describes a data set; `told` hears how many rows of how many were read.
///
/// # Errors
/// As [`describe`].
pub fn describe_as(
    dataset: &Dataset,
    depth: Depth,
    told: &mut dyn FnMut(u64, u64),
) -> Result<Description, DataError> {
    let passes = if depth == Depth::Whole { 2 } else { 1 };
    let schema = &dataset.schema;
    let read = dataset.all_columns();
    let types: Vec<ColumnType> = schema.columns.iter().map(|column| column.declared.column_type).collect();
    let mut totals: Vec<column::Summary> = types.iter().map(|_| column::Summary::default()).collect();
    let full: Vec<std::sync::atomic::AtomicBool> = types.iter().map(|_| false.into()).collect();
    let mut rows = 0;
    dataset.scan_strictly(
        &read,
        |batch| {
            let look = |(at, found): (usize, &crate::batch::BatchColumn)| {
                column::Part::of(found, types[at], &full[at])
            };
            (batch.rows, batch.columns.iter().enumerate().map(look).collect::<Vec<_>>())
        },
        |(count, parts), _| {
            rows += count as u64;
            told(rows, dataset.schema.rows * passes);
            totals
                .par_iter_mut()
                .zip(parts)
                .zip(&full)
                .for_each(|((total, part), full)| total.add(part, full));
        },
    )?;
    let numbers: Vec<usize> =
        (0..types.len()).filter(|at| !types[*at].is_text() && totals[*at].has_numbers()).collect();
    let (mut histograms, mut correlations) = (Vec::new(), Vec::new());
    if depth == Depth::Whole {
        let empty = pairs::Spread::new(&numbers, &totals);
        let mut spread = pairs::Spread::new(&numbers, &totals);
        let columns: Vec<_> = numbers.iter().map(|at| read[*at].clone()).collect();
        let mut seen = rows;
        dataset.scan_strictly(
            &columns,
            |batch| (batch.rows, empty.look(batch)),
            |(count, part), _| {
                seen += count as u64;
                told(seen, dataset.schema.rows * passes);
                spread.add(part);
            },
        )?;
        (histograms, correlations) = spread.finish(&schema.names(), &types);
    }
    let mut notes = schema.notes.clone();
    for (total, column) in totals.iter().zip(&schema.columns).filter(|(total, _)| total.infinite > 0) {
        notes.push(format!(
            "column `{}`: {} values are infinite, and the figures are those of the others",
            column.name, total.infinite
        ));
    }
    let compared = numbers.len().min(pairs::COMPARED);
    if compared < numbers.len() && depth == Depth::Whole {
        notes.push(format!(
            "correlations are those of the first {compared} of {} columns of numbers",
            numbers.len()
        ));
    }
    let mut described: Vec<ColumnDescription> = totals
        .into_iter()
        .zip(&schema.columns)
        .map(|(total, column)| total.finish(&column.name, column.declared.column_type, rows))
        .collect();
    // Without a second pass there is none, and none is missing.
    for (at, histogram) in numbers.into_iter().zip(histograms) {
        if let Some(number) = &mut described[at].number {
            number.histogram = histogram;
        }
        notes.extend(described[at].left_out());
    }
    Ok(Description {
        schema_version: 1,
        files: dataset.files().into_iter().map(str::to_owned).collect(),
        rows,
        columns: described,
        correlations,
        left_out: dataset.nested().map(str::to_owned).collect(),
        notes,
    })
}

#[cfg(test)]
mod tests;
