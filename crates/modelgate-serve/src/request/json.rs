//! Rows out of JSON, straight into columns: no tree of values is made in between.

use std::fmt;

use axum::http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::rows::{Cell, Rows, TOO_MANY};
use crate::refusal::Refusal;

/// Turns what serde says of rows into a refusal that names the cell that broke the body off, if it was one.
pub(crate) fn refusal_of_rows(error: &serde_json::Error, body: &[u8], rows: &Rows<'_>) -> Refusal {
    let refusal = refusal(error);
    let Some(place) = rows.broken_at() else { return refusal };
    let said = refusal.message.strip_prefix(NO_BODY).unwrap_or(&refusal.message);
    if is_number_without_end(error, body)
        && let Some(problem) = rows.broken_by_number()
    {
        let message = format!("{NO_BODY}{} ({said})", problem.sentence());
        return Refusal { problems: vec![problem], message, ..refusal };
    }
    Refusal { message: format!("{NO_BODY}{place}: {said}"), ..refusal }
}

/// Returns whether a body broke off at a number beyond all that there are, or at a word such as `NaN`.
pub(super) fn is_number_without_end(error: &serde_json::Error, body: &[u8]) -> bool {
    let said = error.to_string();
    if said.starts_with("number out of range") {
        return true;
    }
    // Anything else is no word, or a word in a string.
    if !["expected value", "expected ident", "invalid number"].iter().any(|one| said.starts_with(one)) {
        return false;
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The place may be inside the word: back to where it begins.
    let (before, rest) = line.split_at(error.column().saturating_sub(1).min(line.len()));
    let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = &line[before.len() - letters..];
    let begins = |name: &[u8]| word.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(name));
    !rest.is_empty() && (begins(b"nan") || begins(b"inf"))
}

/// How the sentence about a body begins that is none.
const NO_BODY: &str = "the body is not what this path takes: ";

/// Turns what serde says into a refusal; only syntax is told with its place, values never.
pub(crate) fn refusal(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    // At its beginning: further on it would be a word of the caller's.
    if text.starts_with(TOO_MANY) {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", text);
    }
    // "invalid type: string \"…\", expected …" has the value in it.
    let text = match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid") => format!("expected {expected}"),
        _ => text.to_owned(),
    };
    Refusal::malformed(format!("{NO_BODY}{text}{place}"))
}

/// One cell of feature `at`.
pub(crate) struct CellSeed<'r, 'm> {
    pub(crate) rows: &'r mut Rows<'m>,
    pub(crate) at: usize,
}

impl<'de> DeserializeSeed<'de> for CellSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.rows.reads(self.at);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.rows.set(self.at, Cell::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.rows.set(self.at, Cell::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.rows.set(self.at, Cell::Int(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.rows.set(self.at, Cell::unsigned(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.rows.set(self.at, Cell::Number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.rows.set(self.at, Cell::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        self.rows.set(self.at, Cell::List);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.rows.set(self.at, Cell::Object);
        Ok(())
    }
}

/// A row: an object by names, or a list by position.
pub(crate) struct RowSeed<'r, 'm>(pub(crate) &'r mut Rows<'m>);

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with the features of a row, or a list with one value per feature")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.begin().map_err(A::Error::custom)?;
        let mut guess = 0;
        while let Some(at) = map.next_key_seed(KeySeed { rows: self.0, guess })? {
            guess = named_cell(self.0, &mut map, at, guess)?;
        }
        self.0.end();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<(), A::Error> {
        self.0.begin().map_err(A::Error::custom)?;
        cells(self.0, sequence)
    }
}

/// Reads the value that belongs to a key; returns the place of the feature that is expected next.
pub(crate) fn named_cell<'de, A: MapAccess<'de>>(
    rows: &mut Rows<'_>,
    map: &mut A,
    at: Option<usize>,
    guess: usize,
) -> Result<usize, A::Error> {
    if let Some(at) = at {
        map.next_value_seed(CellSeed { rows, at })?;
        Ok(at + 1)
    } else {
        map.next_value::<IgnoredAny>()?;
        Ok(guess)
    }
}

fn cells<'de, A: SeqAccess<'de>>(rows: &mut Rows<'_>, mut sequence: A) -> Result<(), A::Error> {
    let width = rows.width();
    for at in 0..width {
        if sequence.next_element_seed(CellSeed { rows, at })?.is_none() {
            rows.end();
            return Ok(());
        }
    }
    let mut more = 0;
    while sequence.next_element::<IgnoredAny>()?.is_some() {
        more += 1;
    }
    if more > 0 {
        rows.beyond(width + more);
    }
    Ok(())
}

/// The name of a feature, as its place.
struct KeySeed<'r, 'm> {
    rows: &'r mut Rows<'m>,
    guess: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a feature")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.rows.find(name, self.guess))
    }
}

/// Rows in a list; each an object or a list.
pub(crate) struct ListSeed<'r, 'm>(pub(crate) &'r mut Rows<'m>);

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(RowSeed(self.0))?.is_some() {}
        Ok(())
    }
}
