//! What the types of a Parquet file are here.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Schema};

use crate::types::ColumnType;

/// A type that is not read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Unread {
    /// What the file calls it, and what is wrong with it.
    pub(crate) what: String,
    /// What to write instead.
    pub(crate) instead: &'static str,
}

impl Unread {
    /// Says it of a type.
    pub(super) fn of(data_type: &DataType) -> Self {
        let is_flat = !data_type.is_nested();
        let (reason, instead) = if is_flat {
            ("is not read here", "write it as a number or a text")
        } else {
            ("is not flat", "write it as columns of its own")
        };
        Self { what: format!("{data_type}, which {reason}"), instead }
    }
}

/// Returns the type of the values: of a dictionary, which a file has for what repeats, those that it holds.
pub(super) fn of_values(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    }
}

/// Returns the type of a column, and what is lost on the way; `None` for what is not read.
pub(super) fn column_type(data_type: &DataType) -> Option<(ColumnType, Option<String>)> {
    Some(match data_type {
        DataType::Null => (ColumnType::Float, None),
        DataType::Boolean => (ColumnType::Bool, None),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => (ColumnType::Int, None),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => (ColumnType::Float, None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            (ColumnType::Decimal, Some(format!("decimal({precision}, {scale}), read as float")))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (ColumnType::String, None),
        DataType::Dictionary(_, values) if matches!(**values, DataType::Utf8 | DataType::LargeUtf8) => {
            (ColumnType::Category, None)
        }
        DataType::Dictionary(_, values) if !matches!(**values, DataType::Dictionary(..)) => {
            return column_type(values);
        }
        DataType::Date32 | DataType::Date64 => (ColumnType::Date, None),
        DataType::Timestamp(..) => (ColumnType::Timestamp, None),
        _ => return None,
    })
}

/// Returns a schema by which texts are not copied out of their pages: a text that stands once in the file stands once in memory,
/// however many rows have it. Other values of a dictionary are read as themselves.
pub(super) fn as_views(schema: &Schema) -> Schema {
    let field = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Dictionary(_, values) => match **values {
                DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
                ref values => values.clone(),
            },
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            _ => return Arc::clone(field),
        };
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}
