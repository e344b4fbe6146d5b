//! The rows as models are measured on them: with columns that no model learns from, and that are asked for all the same.
//!
//! A column of `preprocess.drop`, or an index of pandas, is not read for training. A slice may go by it, and the model in
//! production may take it or have been split by it: then it is read here, beside the others.

use std::collections::BTreeSet;
use std::rc::Rc;

use modelgate_core::rule::GateRule;
use modelgate_data::{DataSchema, Dataset, Mixed, ReadOptions, Table, is_pandas_index};

use crate::error::PipelineError;
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::{data, dataset};

/// The rows with the columns that are asked for.
pub(crate) struct Measured {
    pub(crate) table: Rc<Table>,
    /// The types of its columns.
    pub(crate) schema: DataSchema,
    /// How columns that only stand here were read, where a person should know.
    pub(crate) notes: Vec<String>,
}

/// Returns why a model could not be measured on rows that were read with these `notes`: without a value that stands in a row,
/// since it goes into the verdict.
pub(crate) fn unmeasured(error: &PipelineError, notes: &[String]) -> String {
    let mut said = error.without_values();
    let as_text: Vec<&String> = notes.iter().filter(|note| note.ends_with("taken as text")).collect();
    as_text.iter().for_each(|note| said.push_str(&format!("; {note}")));
    if !as_text.is_empty() {
        said.push_str(": mend the value, or name it in `data.nulls` if it means that there is none");
    }
    said
}

/// Returns the columns that slices go by: those of `evaluate.slices` and of the slices of rules.
pub(crate) fn sliced(runner: &Runner<'_>, rules: &[GateRule]) -> BTreeSet<String> {
    let declared = runner.pipeline.config.evaluate.slices.iter();
    declared.chain(rules.iter().flat_map(|rule| rule.slice.keys())).cloned().collect()
}

/// Returns the rows of the snapshot with those of the columns `asked` that are left out of training; `mixed` says what becomes
/// of numbers with text among them.
///
/// # Errors
/// Fails when the snapshot cannot be read, and with [`Mixed::Refuse`] names the place of a value that is no number.
pub(crate) fn measured(
    runner: &mut Runner<'_>,
    asked: &BTreeSet<String>,
    mixed: Mixed,
) -> Result<Measured, PipelineError> {
    let table = data::table(runner)?;
    let mut schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
    let dropped = &runner.pipeline.config.preprocess.drop;
    let left_out =
        |name: &&String| (dropped.contains(name) || is_pandas_index(name)) && schema.column(name).is_none();
    let mut wanted: BTreeSet<String> = asked.iter().filter(left_out).cloned().collect();
    let files = if wanted.is_empty() { Vec::new() } else { dataset::stored(runner)? };
    let Some(first) = files.first() else { return Ok(Measured { table, schema, notes: Vec::new() }) };
    let options = dataset::read_options(runner.pipeline);
    let mut header = Dataset::column_names(first, &options)?;
    wanted.retain(|name| header.contains(name));
    if wanted.is_empty() {
        return Ok(Measured { table, schema, notes: Vec::new() });
    }
    header.retain(|name| !wanted.contains(name));
    let found = Dataset::open(files, &ReadOptions { drop: header, named: wanted, ..options }, mixed)
        .map_err(|error| error.of_unlearned("take it out of `evaluate.slices` and the slices of rules"))?;
    let more = modelgate_data::read_table(&found)?;
    let mut table = Table::clone(&table);
    table.columns.extend(more.columns);
    table.meanings.extend(more.meanings);
    schema.columns.extend(found.schema.columns.iter().cloned());
    Ok(Measured { table: Rc::new(table), schema, notes: found.schema.notes.clone() })
}
