//! Values that are not of their column's type: where the first one stands, and what is said of it.

use super::{Dataset, ReadColumn};
use crate::batch::{BadValue, Batch, BatchColumn, Position};
use crate::error::{DataError, at_line};
use crate::types::ColumnType;

impl Dataset {
    pub(super) fn bad_places(&self, columns: &[ReadColumn], batch: &Batch) -> Option<BadPlace> {
        let first = |(column, read): (&BatchColumn, &ReadColumn)| {
            let bad = column.bad.first()?;
            let column = &self.schema.columns[read.position].name;
            Some(BadPlace {
                row: bad.row,
                line: batch.line(bad.row),
                column: column.clone(),
                column_type: read.declared.column_type,
                format: read.declared.format.clone(),
                value: bad.value.clone(),
                problem: bad.problem,
            })
        };
        batch.columns.iter().zip(columns).filter_map(first).min_by_key(|bad| bad.row)
    }

    pub(super) fn bad_value(&self, bad: &BadPlace, position: Position) -> DataError {
        let file = &self.members[position.file].file;
        let (before, after) = match bad.problem {
            BadValue::Infinite => (
                "",
                " is infinite or beyond ±3.4e38, the range of `f32`, which models compute in; mend or remove it".to_owned(),
            ),
            BadValue::NotUtf8 => ("the bytes of ", " are not UTF-8; save the file as UTF-8".to_owned()),
            BadValue::Type => {
                let expected = expected(bad.column_type, bad.format.as_deref());
                ("", format!(" is not {expected}, as the declared type says"))
            }
        };
        let place = if let Some(line) = bad.line {
            at_line(&file.name, line, &bad.column)
        } else {
            let row = position.row_in_file + bad.row as u64 + 1;
            format!("{}: row {row}, column `{}`", file.name, bad.column)
        };
        DataError::Value { place, before: before.to_owned(), value: bad.value.clone(), after }
    }
}

/// Returns what a value of a type is, for a message.
pub(crate) fn expected(column_type: ColumnType, format: Option<&str>) -> String {
    if let Some(format) = format {
        return format!("a {column_type} such as `{format}`");
    }
    match column_type {
        ColumnType::Int => "a whole number of 64 bits",
        ColumnType::Float | ColumnType::Decimal => "a number",
        ColumnType::Bool => "`true` or `false`",
        ColumnType::String | ColumnType::Category => "text",
        ColumnType::Date => "a date such as `2014-10-13`",
        ColumnType::Timestamp => "a timestamp such as `2014-10-13T00:00:00` or `20141013T000000`",
    }
    .to_owned()
}

pub(super) struct BadPlace {
    row: usize,
    line: Option<u64>,
    column: String,
    column_type: ColumnType,
    format: Option<String>,
    value: String,
    problem: BadValue,
}
