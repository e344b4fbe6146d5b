//! The value of a column that a rule's slice names, as the project file writes it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text; a number or a bool as text; nothing is the empty text, which means the rows without a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceValue(pub String);

impl<'de> Deserialize<'de> for SliceValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SliceVisitor)
    }
}

struct SliceVisitor;

impl Visitor<'_> for SliceVisitor {
    type Value = SliceValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, a number, `true` or `false`, or a range such as `30..40`")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<SliceValue, E> {
        Ok(SliceValue(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<SliceValue, E> {
        Ok(SliceValue(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<SliceValue, E> {
        Ok(SliceValue(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<SliceValue, E> {
        if value.is_finite() {
            Ok(SliceValue(value.to_string()))
        } else {
            Err(E::custom("a part is of finite numbers"))
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<SliceValue, E> {
        Ok(SliceValue(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<SliceValue, E> {
        Ok(SliceValue(String::new()))
    }

    fn visit_none<E: Error>(self) -> Result<SliceValue, E> {
        self.visit_unit()
    }
}

/// Says that a range has its ends the wrong way round, or one end twice.
pub(crate) fn reversed(value: &str) -> bool {
    let Some((low, high)) = value.split_once("..").map(|(low, high)| (low.trim(), high.trim())) else {
        return false;
    };
    let is_day = |text: &str| text.len() >= 10 && text.as_bytes().get(4) == Some(&b'-');
    match (low.parse::<f64>(), high.parse::<f64>()) {
        (Ok(low), Ok(high)) => low >= high,
        // Days of one form have the order of their texts.
        _ => is_day(low) && is_day(high) && low >= high,
    }
}

impl Serialize for SliceValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for SliceValue {
    fn schema_name() -> Cow<'static, str> {
        "SliceValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "null"] })
    }
}

#[cfg(test)]
mod tests {
    fn rule(yaml: &str) -> Result<modelgate_core::rule::GateRule, String> {
        let rule: crate::RuleConfig = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        rule.to_rule()
    }

    fn value(slice: &str) -> String {
        let rule = rule(&format!("{{metric: accuracy, at_least: 0.5, slice: {slice}}}")).expect("a rule");
        rule.slice["c"].clone()
    }

    #[test]
    fn a_part_is_written_as_the_data_writes_it() {
        assert_eq!((value("{c: true}"), value("{c: false}")), ("true".to_owned(), "false".to_owned()));
        assert_eq!((value("{c: \"\"}"), value("{c: null}"), value("{c: }")), Default::default());
        assert_eq!(value("{c: 2024-05-01..2024-06-01}"), "2024-05-01..2024-06-01");
        assert_eq!(
            (value("{c: 9007199254740993}"), value("{c: 1.0}")),
            ("9007199254740993".to_owned(), "1".to_owned())
        );
    }

    #[test]
    fn a_range_that_holds_no_row_is_refused() {
        let refused =
            |text: &str| rule(&format!("{{metric: accuracy, at_least: 0.5, slice: {{c: {text}}}}}"));
        for text in ["40..30", "30..30", "2024-06-01..2024-05-01", "\" -1 .. -2 \""] {
            let said = refused(text).expect_err("refused");
            assert!(said.contains("holds no row: the lower end stands first"), "{text}: {said}");
        }
        for text in ["30..40", "-2..-1", "..5", "5..", "a..b", "2024-05-01..2024-06-01"] {
            assert!(refused(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_rule_is_one_line() {
        for id in ["\"\"", "\"  \"", "\"a\\nb\""] {
            let said = rule(&format!("{{id: {id}, metric: accuracy, at_least: 0.5}}")).expect_err("refused");
            assert!(said.contains("one line that is not empty"), "{id}: {said}");
        }
        assert_eq!(
            rule("{metric: accuracy, at_least: 0.5, slice: {c: \"\"}}").expect("a rule").id,
            "min-accuracy-where-c is missing"
        );
    }
}
