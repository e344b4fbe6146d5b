//! Single values in a contract, and how many rows may break it.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{self, Moment};
use crate::types::ColumnType;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A value: a number, a bool, or text (which a date is as well).
#[derive(Clone, PartialEq, Debug)]
pub enum Bound {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// Text, or a date or moment.
    Text(String),
}

impl Bound {
    /// Returns the value as the cells of a column of this type hold it, in doubles; `None` when it is of another type.
    pub(crate) fn number(&self, column_type: ColumnType) -> Option<f64> {
        match (self, column_type) {
            (Self::Int(value), ColumnType::Int | ColumnType::Float | ColumnType::Decimal) => {
                Some(*value as f64)
            }
            (Self::Float(value), ColumnType::Int | ColumnType::Float | ColumnType::Decimal) => {
                Some(*value).filter(|value| value.is_finite())
            }
            _ => self.whole(column_type).map(|value| value as f64),
        }
    }

    /// Returns the value as the whole number, day or microsecond that a cell of such a column holds, if it is one.
    pub(crate) fn whole(&self, column_type: ColumnType) -> Option<i64> {
        match (self, column_type) {
            (Self::Int(value), ColumnType::Int) => Some(*value),
            (Self::Bool(value), ColumnType::Bool) => Some(i64::from(*value)),
            (Self::Text(text), ColumnType::Date) => time::parse(text.as_bytes()).map(time::as_day),
            (Self::Text(text), ColumnType::Timestamp) => time::parse(text.as_bytes()).map(time::as_micros),
            _ => None,
        }
    }

    /// Returns what [`Self::whole`] does of the last value that the bound stands for: a day of a timestamp lasts to its end.
    pub(crate) fn last(&self, column_type: ColumnType) -> Option<i64> {
        let whole = self.whole(column_type)?;
        let is_day = column_type == ColumnType::Timestamp
            && matches!(self, Self::Text(text) if matches!(time::parse(text.as_bytes()), Some(Moment::Day(_))));
        Some(if is_day { whole.saturating_add(DAY - 1) } else { whole })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value}"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Text(value) => formatter.write_str(value),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoundVisitor;
        impl Visitor<'_> for BoundVisitor {
            type Value = Bound;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, `true`, `false`, or text")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Bound, E> {
                Ok(Bound::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Bound, E> {
                Ok(Bound::Int(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Bound, E> {
                Ok(i64::try_from(value).map_or(Bound::Float(value as f64), Bound::Int))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Bound, E> {
                Ok(Bound::Float(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Bound, E> {
                Ok(Bound::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(BoundVisitor)
    }
}

/// How many rows may break a rule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Tolerance {
    /// So many rows.
    Rows(u64),
    /// Such a share of the rows, from 0 to 1.
    Share(f64),
}

impl Tolerance {
    /// Returns the number of rows.
    pub fn of(self, rows: u64) -> u64 {
        match self {
            Self::Rows(count) => count,
            Self::Share(share) => {
                let allowed = share * rows as f64;
                // 0.7% of 1000 is 7, and in binary a little less.
                let whole = allowed.round();
                let is_whole = (allowed - whole).abs() <= 4.0 * f64::EPSILON * allowed;
                (if is_whole { whole } else { allowed.floor() }) as u64
            }
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(count) => write!(formatter, "{count}"),
            Self::Share(share) => write!(formatter, "{}%", (share * 1e10).round() / 1e8),
        }
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(count) => serializer.serialize_u64(*count),
            Self::Share(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong =
            || D::Error::custom("`allow` is a number of rows such as `12`, or a share such as `0.1%`");
        match Bound::deserialize(deserializer)? {
            Bound::Int(count) => u64::try_from(count).map(Self::Rows).map_err(|_| wrong()),
            Bound::Text(text) => {
                let share = text.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
                let share = share.filter(|share| (0.0..=100.0).contains(share));
                share.map(|share| Self::Share(share / 100.0)).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_a_whole_number_of_rows_allows_all_of_them() {
        let allowed = |text: &str, rows: u64| {
            let read: Tolerance = serde_json::from_value(text.into()).expect("a share");
            read.of(rows)
        };
        for thousandths in 1..=1000 {
            let text = format!("{}.{:03}%", thousandths / 1000, thousandths % 1000);
            assert_eq!(allowed(&text, 100_000), thousandths, "{text}");
            assert_eq!(allowed(&text, 700_000_000), thousandths * 7000, "{text}");
            assert_eq!(allowed(&text, 99_999), thousandths - 1, "{text}");
        }
        assert_eq!((allowed("0.7%", 1000), allowed("0.7%", 999), allowed("100%", 3)), (7, 6, 3));
    }
}
