//! What a column holds, and how one value of it is read from text.

use std::fmt;

use modelgate_core::schema::{FeatureType, NULL_TOKENS};
use serde::{Deserialize, Serialize};

use crate::time;

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers of 64 bits.
    Float,
    /// `true` or `false`; 1 or 0 to a model.
    Bool,
    /// Text.
    String,
    /// Text with few different values.
    Category,
    /// A day; kept as days since 1970-01-01.
    Date,
    /// A moment; kept as microseconds since 1970-01-01T00:00:00Z. Text without a zone is taken as UTC.
    Timestamp,
    /// A decimal number, read as [`ColumnType::Float`]: its digits beyond 15 are lost.
    Decimal,
}

impl ColumnType {
    /// Returns the name as files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Category => "category",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Decimal => "decimal",
        }
    }

    /// Returns whether values are dates or times, which are no feature as they stand.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp)
    }

    /// Returns whether values are numbers that can be added and compared.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal)
    }

    /// Returns the type that values of both types can be read as: that of all numbers, of all moments, or text.
    #[must_use]
    pub fn widened(self, other: Self) -> Self {
        if self == other {
            self
        } else if self.is_number() && other.is_number() {
            Self::Float
        } else if self.is_time() && other.is_time() {
            Self::Timestamp
        } else {
            Self::String
        }
    }

    /// Returns whether values are kept as text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::String | Self::Category)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl From<FeatureType> for ColumnType {
    fn from(feature: FeatureType) -> Self {
        match feature {
            FeatureType::Int => Self::Int,
            FeatureType::Float => Self::Float,
            FeatureType::Text => Self::String,
        }
    }
}

/// A declared type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeclaredType {
    /// The type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// For dates and times in a form that is not recognised: a `strptime` format such as `%d.%m.%Y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl From<ColumnType> for DeclaredType {
    fn from(column_type: ColumnType) -> Self {
        Self { column_type, format: None }
    }
}

/// Returns the value without the white space around it.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && first.is_ascii_whitespace()
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && last.is_ascii_whitespace()
    {
        value = rest;
    }
    value
}

/// Returns whether the trimmed value is one of [`NULL_TOKENS`].
pub fn is_null(value: &[u8]) -> bool {
    let Some(first) = value.first() else { return true };
    // Most values are turned away by their first letter or their length.
    matches!(first, b'#' | b'-' | b'1' | b'<' | b'N' | b'n')
        && value.len() <= 9
        && NULL_TOKENS.iter().any(|token| token.as_bytes() == value)
}

/// Reads a whole number of 64 bits from a trimmed value.
pub(crate) fn parse_int(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() > 18 {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    let number = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -number } else { number })
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Reads a number from a trimmed value; what is beyond the range of a double is infinite.
///
/// Short decimals take the exact path of W. D. Clinger, "How to read floating point numbers accurately" (1990): a
/// mantissa below 2^53 divided by an exact power of ten is rounded once. All else is the standard library's.
pub(crate) fn parse_float(value: &[u8]) -> Option<f64> {
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, value),
    };
    let (mut mantissa, mut count, mut fraction, mut point) = (0_u64, 0_usize, 0_usize, false);
    for byte in digits {
        match byte {
            b'0'..=b'9' if count < 15 => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                count += 1;
                fraction += usize::from(point);
            }
            b'.' if !point => point = true,
            _ => return parse_float_slowly(value),
        }
    }
    if count == 0 {
        return None;
    }
    let number = mantissa as f64 / EXACT_POWERS[fraction];
    Some(if negative { -number } else { number })
}

fn parse_float_slowly(value: &[u8]) -> Option<f64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads `true` or `false`, as Python, R and JSON write them, from a trimmed value.
pub fn parse_bool(value: &[u8]) -> Option<bool> {
    match value {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// Reads a bool, a day or a moment as it is kept, from text as a person writes it: the other way round of [`show_int`].
pub fn read_int(column_type: ColumnType, text: &str) -> Option<i64> {
    let text = text.trim().as_bytes();
    match column_type {
        ColumnType::Bool => parse_bool(text).map(i64::from),
        ColumnType::Date => time::parse(text).map(time::as_day),
        ColumnType::Timestamp => time::parse(text).map(time::as_micros),
        _ => None,
    }
}

/// Returns a kept value of a type as a person writes it.
pub fn show_int(column_type: ColumnType, value: i64) -> String {
    match column_type {
        ColumnType::Bool => (value != 0).to_string(),
        ColumnType::Date => time::show_date(value),
        ColumnType::Timestamp => time::show_timestamp(value),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(text in r"[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?") {
            prop_assert_eq!(parse_float(text.as_bytes()), text.parse::<f64>().ok());
            prop_assert_eq!(parse_int(text.as_bytes()), text.parse::<i64>().ok());
        }
    }

    #[test]
    fn null_tokens_are_null_and_numbers_are_not() {
        assert!(NULL_TOKENS.iter().all(|token| is_null(token.as_bytes())));
        assert!(!["0", "-1", "1.5", "No", "name", "nano", "#"].iter().any(|text| is_null(text.as_bytes())));
    }

    #[test]
    fn white_space_is_trimmed() {
        assert_eq!(trim(b" \t1 2\r "), b"1 2");
        assert_eq!(trim(b"  "), b"");
    }
}
