//! A data set as a table in memory.

use crate::batch::{Batch, Cells};
use crate::dataset::{DataSchema, Dataset, Mixed, ReadOptions};
use crate::error::DataError;
use crate::source::SourceFile;
use crate::table::{Column, Table, Values};

/// Reads a CSV file that is in memory; `source` is only for messages.
///
/// # Errors
/// As [`Dataset::open`] and [`read_table`].
pub fn read_csv(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Table, DataError> {
    read_table(&Dataset::open(vec![SourceFile::bytes(source, bytes)], options, Mixed::Refuse)?)
}

/// Reads all columns of a data set; bools are 1 and 0, dates days and timestamps microseconds since 1970.
///
/// # Errors
/// Names the place of a value that is not of its column's type, or that is infinite.
pub fn read_table(dataset: &Dataset) -> Result<Table, DataError> {
    read_columns(dataset, &dataset.schema.names())
}

/// As [`read_table`], for the columns called `names`.
///
/// # Errors
/// As [`read_table`]; and for a name that is not there.
pub fn read_columns(dataset: &Dataset, names: &[&str]) -> Result<Table, DataError> {
    let columns = dataset.columns(names)?;
    let mut table = empty(&dataset.schema, names);
    dataset.scan_strictly(&columns, Clone::clone, |batch: Batch, _| {
        table.rows += batch.rows;
        for (column, found) in table.columns.iter_mut().zip(batch.columns) {
            match (&mut column.values, found.cells) {
                (Values::Int(all), Cells::Int(some)) => all.extend(some),
                (Values::Float(all), Cells::Float(some)) => {
                    all.extend(some.into_iter().map(|value| (!value.is_nan()).then_some(value)));
                }
                (Values::Text(all), Cells::Text(some)) => {
                    all.extend(some.iter().map(|value| value.map(str::to_owned)));
                }
                // A type has one kind of cells.
                _ => {}
            }
        }
    })?;
    Ok(table)
}

fn empty(schema: &DataSchema, names: &[&str]) -> Table {
    let column = |column: &crate::dataset::SchemaColumn| {
        let column_type = column.declared.column_type;
        let values = if column_type.is_text() {
            Values::Text(Vec::new())
        } else if column_type.is_number() && column_type != crate::ColumnType::Int {
            Values::Float(Vec::new())
        } else {
            Values::Int(Vec::new())
        };
        Column { name: column.name.clone(), values }
    };
    let places = schema.places();
    let found: Vec<_> = names.iter().filter_map(|name| schema.columns.get(*places.get(name)?)).collect();
    let meaning = |column: &&crate::dataset::SchemaColumn| {
        let column_type = column.declared.column_type;
        let meant = !column_type.is_text() && !column_type.is_number();
        meant.then(|| (column.name.clone(), column_type))
    };
    let meanings = found.iter().filter_map(meaning).collect();
    Table { columns: found.into_iter().map(column).collect(), rows: 0, meanings }
}

#[cfg(test)]
mod tests;
