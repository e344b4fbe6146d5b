//! Values of the types that no model learns from, written out so that they can be compared: lists, bytes, times of day.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use modelgate_core::Digest;

use crate::batch::{BadCell, BadValue, BatchColumn, Cells, NumberRange, Texts};
use crate::error::clipped;
use crate::types::ColumnType;

/// Bytes of a value that are kept; of a longer one, its beginning and its digest are.
const LONGEST_KEPT: usize = 256;

/// Returns a column of such values; two of one type have the same text only where they are equal.
pub(crate) fn written_out(array: &dyn Array) -> BatchColumn {
    let (mut texts, mut bad) = (Texts::default(), Vec::new());
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.push(None);
            continue;
        }
        text.clear();
        if write(&mut text, array, row).is_none() {
            let value = format!("`{}`", array.data_type());
            bad.push(BadCell { row, value, problem: BadValue::Type });
            texts.push(None);
        } else if text.len() > LONGEST_KEPT {
            let digest = Digest::of(text.as_bytes());
            texts.push(Some(&format!("{} {digest}", clipped(&text).trim_matches('`'))));
        } else {
            texts.push(Some(&text));
        }
    }
    BatchColumn { bad_count: bad.len() as u64, bad, ..BatchColumn::new(Cells::Text(texts)) }
}

fn write(text: &mut String, array: &dyn Array, row: usize) -> Option<()> {
    if array.is_null(row) {
        text.push_str("null");
        return Some(());
    }
    match array.data_type() {
        DataType::List(_) => list(text, &array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(text, &array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(text, &array.as_fixed_size_list().value(row))?,
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            list(text, &(std::sync::Arc::new(entries) as ArrayRef))?;
        }
        DataType::Struct(fields) => {
            text.push('{');
            for (place, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                text.push_str(if place > 0 { ", " } else { "" });
                text.push_str(&format!("{:?}: ", field.name()));
                write(text, column, row)?;
            }
            text.push('}');
        }
        // The zone may be a name; the moment is the same.
        DataType::Timestamp(..) => {
            let one = array.slice(row, 1);
            let read = super::read_column(&one, &ColumnType::Timestamp.into(), NumberRange::All);
            text.push_str(&read.show(0, ColumnType::Timestamp));
        }
        plain if plain.is_primitive() => text.push_str(&array_value_to_string(array, row).ok()?),
        _ => text.push_str(&format!("{:?}", array_value_to_string(array, row).ok()?)),
    }
    Some(())
}

fn list(text: &mut String, values: &ArrayRef) -> Option<()> {
    text.push('[');
    for row in 0..values.len() {
        text.push_str(if row > 0 { ", " } else { "" });
        write(text, values, row)?;
    }
    text.push(']');
    Some(())
}
