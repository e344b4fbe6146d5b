//! The rows as models are measured on them: with columns that no model learns from, and that are asked for all the same.
//!
//! A column of `preprocess.drop` is not read for training. A slice may go by it, and the model in production may take it or
//! have been split by it: then it is read here, beside the others.

use std::collections::BTreeSet;
use std::rc::Rc;

use modelgate_core::rule::GateRule;
use modelgate_data::{DataSchema, Dataset, Mixed, ReadOptions, Table};

use crate::error::PipelineError;
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::{data, dataset};

/// The rows with the columns that are asked for.
pub(crate) struct Measured {
    pub(crate) table: Rc<Table>,
    /// The types of its columns.
    pub(crate) schema: DataSchema,
}

/// Returns the columns that slices go by: those of `evaluate.slices` and of the slices of rules.
pub(crate) fn sliced(runner: &Runner<'_>, rules: &[GateRule]) -> BTreeSet<String> {
    let declared = runner.pipeline.config.evaluate.slices.iter();
    declared.chain(rules.iter().flat_map(|rule| rule.slice.keys())).cloned().collect()
}

/// Returns the rows of the snapshot with those of the columns `asked` that `preprocess.drop` leaves out.
///
/// # Errors
/// Names the place of a value that is not of its column's type.
pub(crate) fn measured(runner: &mut Runner<'_>, asked: &BTreeSet<String>) -> Result<Measured, PipelineError> {
    let table = data::table(runner)?;
    let mut schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
    let dropped = &runner.pipeline.config.preprocess.drop;
    let left_out = |name: &&String| dropped.contains(name) && schema.column(name).is_none();
    let wanted: BTreeSet<String> = asked.iter().filter(left_out).cloned().collect();
    let files = if wanted.is_empty() { Vec::new() } else { dataset::stored(runner)? };
    let Some(first) = files.first() else { return Ok(Measured { table, schema }) };
    let options = dataset::read_options(runner.pipeline);
    let mut header = Dataset::column_names(first, &options)?;
    header.retain(|name| !wanted.contains(name));
    let found = Dataset::open(files, &ReadOptions { drop: header, ..options }, Mixed::Refuse)?;
    let more = modelgate_data::read_table(&found)?;
    let mut table = Table::clone(&table);
    table.columns.extend(more.columns);
    table.meanings.extend(more.meanings);
    schema.columns.extend(found.schema.columns.iter().cloned());
    Ok(Measured { table: Rc::new(table), schema })
}
