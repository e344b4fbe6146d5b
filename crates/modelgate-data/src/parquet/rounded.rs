//! The values of a Parquet column that the cells of a batch hold with fewer digits than the file.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Int64Type, TimestampNanosecondType,
    UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};

use crate::batch::Cells;
use crate::exact;

/// Whole numbers up to here are doubles.
const MOST_SURE: u64 = 1 << 53;

/// A row, and its value to the last digit.
type Rounded = Vec<(usize, Box<str>)>;

/// Returns the rows of `array` whose value is rounded in `cells`.
pub(super) fn rounded(array: &dyn Array, cells: &Cells) -> Rounded {
    match (array.data_type(), cells) {
        (DataType::Int64, Cells::Float(_)) => each::<Int64Type>(array, cells, |value| {
            (value.unsigned_abs() > MOST_SURE).then(|| value.to_string())
        }),
        (DataType::UInt64, Cells::Float(_)) => {
            each::<UInt64Type>(array, cells, |value| (value > MOST_SURE).then(|| value.to_string()))
        }
        (DataType::Decimal64(precision, scale), _) => each::<Decimal64Type>(array, cells, |value| {
            let is_sure = value.unsigned_abs() <= MOST_SURE;
            (!is_sure).then(|| Decimal64Type::format_decimal(value, *precision, *scale))
        }),
        (DataType::Decimal128(precision, scale), _) => each::<Decimal128Type>(array, cells, |value| {
            let is_sure = value.unsigned_abs() <= u128::from(MOST_SURE);
            (!is_sure).then(|| Decimal128Type::format_decimal(value, *precision, *scale))
        }),
        (DataType::Decimal256(precision, scale), _) => each::<Decimal256Type>(array, cells, |value| {
            Some(Decimal256Type::format_decimal(value, *precision, *scale))
        }),
        (DataType::Timestamp(TimeUnit::Nanosecond, _), Cells::Int(_)) => {
            let values = array.as_primitive::<TimestampNanosecondType>().iter().enumerate();
            values.filter_map(|(row, value)| Some((row, exact::rounded_nanos(value?)?))).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the rows whose number, as `written` for those that may be, is not what its cell holds.
fn each<T: ArrowPrimitiveType>(
    array: &dyn Array,
    cells: &Cells,
    written: impl Fn(T::Native) -> Option<String>,
) -> Rounded {
    let values = array.as_primitive::<T>().iter().enumerate();
    let rounded = |(row, value): (usize, Option<T::Native>)| {
        let held = match cells {
            Cells::Float(values) => values.get(row).copied().filter(|value| !value.is_nan()),
            Cells::Int(values) => values.get(row).copied().flatten().map(|value| value as f64),
            Cells::Text(_) => None,
        }?;
        Some((row, exact::rounded_number(written(value?)?.as_bytes(), held)?))
    };
    values.filter_map(rounded).collect()
}
