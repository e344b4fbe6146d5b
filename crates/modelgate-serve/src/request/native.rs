//! `POST /predict/{name}`, `/predict` and `/api/predict`: `{"features": …}`, or the features themselves.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::json::{ListSeed, RowSeed, named_cell, refusal_of_rows};
use super::rows::{Batch, Cell, Rows};
use crate::refusal::Refusal;

/// Reads a body. `flat` says whether an object without `features` is a row itself.
pub(crate) fn read(body: &[u8], mut rows: Rows<'_>, flat: bool) -> Result<Batch, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Body { rows: &mut rows, flat }.deserialize(&mut deserializer);
    match read.and_then(|()| deserializer.end()) {
        Ok(()) => rows.finish(),
        Err(error) => Err(refusal_of_rows(&error, body, &rows)),
    }
}

struct Body<'r, 'm> {
    rows: &'r mut Rows<'m>,
    flat: bool,
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "an object such as {\"features\": {…}}, {\"features\": [{…}, …]} or {\"features\": [[…], …]}",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(first) = map.next_key::<String>()? else {
            return Err(A::Error::custom("`features` is missing"));
        };
        if first == FEATURES {
            let flat = map.next_value_seed(Features { rows: &mut *self.rows, flat: self.flat })?;
            if let Some(at) = flat {
                return rest_of_row(self.rows, map, at + 1);
            }
            if let Some(other) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                let sentence = if other == FEATURES {
                    "`features` is given twice"
                } else {
                    "beside `features` nothing else is taken"
                };
                return Err(A::Error::custom(sentence));
            }
            return Ok(());
        }
        if !self.flat {
            return Err(A::Error::custom("expected `features` first and nothing else"));
        }
        self.rows.begin().map_err(A::Error::custom)?;
        let at = self.rows.find(&first, 0);
        let guess = named_cell(self.rows, &mut map, at, 0)?;
        rest_of_row(self.rows, map, guess)
    }
}

/// Reads what is left of a row that is the body itself.
fn rest_of_row<'de, A: MapAccess<'de>>(
    rows: &mut Rows<'_>,
    mut map: A,
    mut guess: usize,
) -> Result<(), A::Error> {
    while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
        let at = rows.find(&name, guess);
        guess = named_cell(rows, &mut map, at, guess)?;
    }
    rows.end();
    Ok(())
}

/// The key with the rows; a feature may have this name as well.
const FEATURES: &str = "features";

/// The value of [`FEATURES`]: rows, or, in a row that is the body itself, a cell of the feature of that name. Returns the
/// place of that feature.
struct Features<'r, 'm> {
    rows: &'r mut Rows<'m>,
    flat: bool,
}

impl Features<'_, '_> {
    fn cell<E: Error>(self, cell: Cell<'_>, unexpected: Unexpected<'_>) -> Result<Option<usize>, E> {
        let feature = self.rows.has(FEATURES).filter(|_| self.flat);
        let Some(at) = feature else { return Err(E::invalid_type(unexpected, &self)) };
        self.rows.begin().map_err(E::custom)?;
        self.rows.set(at, cell);
        Ok(feature)
    }
}

impl<'de> DeserializeSeed<'de> for Features<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Features<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`features` as an object, a list of objects, or a list of lists")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RowSeed(self.rows).visit_map(map).map(|()| None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
        ListSeed(self.rows).visit_seq(sequence).map(|()| None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.cell(Cell::Null, Unexpected::Unit)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.cell(Cell::Bool(value), Unexpected::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.cell(Cell::Int(value), Unexpected::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.cell(Cell::unsigned(value), Unexpected::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.cell(Cell::Number(value), Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.cell(Cell::Text(value), Unexpected::Str(value))
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Feature, FeatureType};
    use modelgate_model::InputColumn;

    use super::*;
    use crate::request::inputs::{Inputs, of_features};
    use crate::settings::Leniency;

    fn inputs() -> Inputs {
        of_features(vec![
            Feature::of("features", FeatureType::Float, false),
            Feature { range: Some((18.0, 77.0)), ..Feature::of("age", FeatureType::Int, false) },
        ])
    }

    fn asked(body: &str, flat: bool) -> Result<Batch, Refusal> {
        let inputs = inputs();
        read(body.as_bytes(), Rows::new(&inputs, Leniency::default(), 10), flat)
    }

    #[test]
    fn a_feature_may_be_called_as_the_key_with_the_rows() {
        for body in [
            r#"{"age": 40, "features": 2.5}"#,
            r#"{"features": 2.5, "age": 40}"#,
            r#"{"features": {"features": 2.5, "age": 40}}"#,
            r#"{"features": [[2.5, 40]]}"#,
        ] {
            let batch = asked(body, true).unwrap_or_else(|refusal| panic!("{body}: {refusal:?}"));
            let InputColumn::Floats(values) = &batch.columns[0] else { panic!("{batch:?}") };
            assert_eq!((batch.rows, values.as_slice()), (1, [2.5].as_slice()), "{body}");
        }
        // What takes no row as the body itself does not take this one either.
        let refusal = asked(r#"{"features": 2.5, "age": 40}"#, false).expect_err("no rows");
        assert!(refusal.message.contains("expected `features` as an object"), "{}", refusal.message);
        // And what is wrong in such a row is told.
        let refusal = asked(r#"{"features": "much", "age": 40}"#, true).expect_err("no number");
        assert_eq!((refusal.reason(), refusal.problems[0].got), ("wrong_type", "a string"));
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_its_row_and_feature() {
        for number in ["1e999", "-1e999", "NaN", "nan", "Infinity", "-Infinity", "inf"] {
            let body = format!(
                "{{\"features\": [{{\"features\": 1, \"age\": 40}},\n{{\"features\": {number}, \"age\": 1}}]}}"
            );
            let refusal = asked(&body, true).expect_err(number);
            assert_eq!((refusal.status.as_u16(), refusal.code), (400, "malformed_request"), "{number}");
            let problem = &refusal.problems[0];
            assert_eq!(
                (problem.row, problem.feature.as_deref(), problem.reason, problem.got),
                (Some(1), Some("features"), "not_finite", "a number that is not finite"),
                "{number}"
            );
            let said = &refusal.message;
            assert!(said.contains("row 1: feature `features`") && said.contains("line 2 column"), "{said}");
        }
        // Another word is no number; it has its place too, and stays untold.
        let refusal = asked(r#"{"features": [[1, 2], [3, SECRET]]}"#, true).expect_err("no JSON");
        let said = &refusal.message;
        assert!(refusal.problems.is_empty() && !said.contains("SECRET"), "{refusal:?}");
        assert!(said.contains("row 1: feature `age`: expected value at line 1 column"), "{said}");
        for text in ["\"inf", "\"nan \\ud800\"", "[1, null, inf"] {
            let refusal = asked(&format!("{{\"features\": [[{text}"), true).expect_err("no JSON");
            assert_eq!(refusal.problems.len(), usize::from(!text.starts_with('"')), "{refusal:?}");
        }
        // What is wrong between two cells is no cell's.
        let refusal = asked(r#"{"features": [[1, 2]; [3, 4]]}"#, true).expect_err("no JSON");
        assert!(!refusal.message.contains("feature `"), "{}", refusal.message);
    }

    #[test]
    fn what_was_sent_is_told_as_it_was() {
        let refusal = asked(r#"{"features": 1e39, "age": 40}"#, true).expect_err("too large");
        let problem = &refusal.problems[0];
        assert_eq!((problem.reason, problem.got), ("not_finite", "a number too large for 32 bits"));
        let refusal = asked(r#"{"features": 1}"#, true).expect_err("no age");
        let problem = &refusal.problems[0];
        assert_eq!((problem.row, problem.reason, problem.got), (Some(0), "missing", "nothing"));
    }
}
