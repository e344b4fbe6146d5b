//! `POST /predict/{name}`, `/predict` and `/api/predict`: `{"features": …}`, or the features themselves.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{ListSeed, RowSeed, named_cell, refusal};
use super::rows::{Batch, Rows};
use crate::refusal::Refusal;

/// Reads a body. `flat` says whether an object without `features` is a row itself.
pub(crate) fn read(body: &[u8], mut rows: Rows<'_>, flat: bool) -> Result<Batch, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Body { rows: &mut rows, flat }.deserialize(&mut deserializer).map_err(|error| refusal(&error))?;
    deserializer.end().map_err(|error| refusal(&error))?;
    rows.finish()
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
        if first == "features" {
            map.next_value_seed(Features(self.rows))?;
            if let Some(other) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                let sentence = if other == "features" {
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
        let mut guess = named_cell(self.rows, &mut map, at, 0)?;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let at = self.rows.find(&name, guess);
            guess = named_cell(self.rows, &mut map, at, guess)?;
        }
        self.rows.end();
        Ok(())
    }
}

struct Features<'r, 'm>(&'r mut Rows<'m>);

impl<'de> DeserializeSeed<'de> for Features<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Features<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`features` as an object, a list of objects, or a list of lists")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        RowSeed(self.0).visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<(), A::Error> {
        ListSeed(self.0).visit_seq(sequence)
    }
}
