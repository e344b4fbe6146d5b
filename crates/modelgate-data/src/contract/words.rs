//! Words of YAML that are truth values to some of its readers and text to others: `yes`, `no`, `on`, `off`, `y`, `n`.
//!
//! Where a contract asks for a value they are text, as YAML 1.2 has them: `no` may be a class. Where it asks for a truth
//! value, by a key of its own or for a column of bools, they are one.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

use super::{Bound, Contract};
use crate::types::ColumnType;

/// Returns how contracts are read.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true }
}

/// Returns the truth value that a word is.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// Reads a truth value, also from a word.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct FlagVisitor;
    impl Visitor<'_> for FlagVisitor {
        type Value = bool;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("`true` or `false`")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
            truth(value).ok_or_else(|| E::custom(format!("expected `true` or `false`, got `{value}`")))
        }
    }
    deserializer.deserialize_any(FlagVisitor)
}

impl Contract {
    /// Makes truth values of the words that are asked of columns of bools.
    pub(super) fn settle_words(&mut self) {
        let settle = |values: &mut Vec<Bound>| {
            for value in values {
                if let Bound::Text(word) = value
                    && let Some(found) = truth(word)
                {
                    *value = Bound::Bool(found);
                }
            }
        };
        let is_bool = |column_type: ColumnType| column_type == ColumnType::Bool;
        let columns = self.columns.values_mut().filter(|column| is_bool(column.column_type));
        columns.filter_map(|column| column.values.as_mut()).for_each(settle);
        if let Some(label) = &mut self.label
            && self.columns.get(&label.column).is_some_and(|column| is_bool(column.column_type))
            && let Some(classes) = &mut label.classes
        {
            settle(classes);
        }
    }
}
