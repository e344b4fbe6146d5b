//! JSON as a tree that keeps what is given twice, for the forms whose keys come in any order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::refusal;
use super::rows::{Cell, Rows};
use crate::refusal::Refusal;

/// A value of a request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    /// In the order of the text; a key may stand twice.
    Object(Vec<(String, Self)>),
}

impl Tree {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| refusal(&error))
    }

    pub(crate) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(*value),
            Self::Int(value) => Cell::Int(*value),
            Self::Number(value) => Cell::Number(*value),
            Self::Text(value) => Cell::Text(value),
            Self::List(_) => Cell::List,
            Self::Object(_) => Cell::Object,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// Returns the values of `keys`; another key, or one that is given twice, is refused.
    pub(crate) fn fields<const N: usize>(
        &self,
        place: &str,
        keys: [&str; N],
    ) -> Result<[Option<&Self>; N], Refusal> {
        let Self::Object(entries) = self else {
            return Err(Refusal::malformed(format!("{place} is not an object")));
        };
        let mut found = [None; N];
        for (key, value) in entries {
            let Some(at) = keys.iter().position(|known| known == key) else {
                return Err(Refusal::malformed(format!("{place} takes no keys but {}", keys.join(", "))));
            };
            if found[at].replace(value).is_some() {
                return Err(Refusal::malformed(format!("{place} has `{}` twice", keys[at])));
            }
        }
        Ok(found)
    }

    /// Reads a row: an object by names, or a list by position.
    pub(crate) fn row(&self, place: &str, rows: &mut Rows<'_>) -> Result<(), Refusal> {
        match self {
            Self::Object(entries) => {
                begin(rows)?;
                let mut guess = 0;
                for (name, value) in entries {
                    if let Some(at) = rows.find(name, guess) {
                        rows.set(at, value.cell());
                        guess = at + 1;
                    }
                }
                rows.end();
                Ok(())
            }
            Self::List(cells) => {
                begin(rows)?;
                let width = rows.width();
                for (at, value) in cells.iter().take(width).enumerate() {
                    rows.set(at, value.cell());
                }
                if cells.len() > width {
                    rows.beyond(cells.len());
                }
                rows.end();
                Ok(())
            }
            _ => Err(Refusal::malformed(format!("{place} is neither an object nor a list"))),
        }
    }
}

/// Begins a row, if there is room for one.
pub(crate) fn begin(rows: &mut Rows<'_>) -> Result<(), Refusal> {
    use axum::http::StatusCode;
    rows.begin().map_err(|sentence| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", sentence))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Number(value as f64), Tree::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = sequence.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Object(entries))
    }
}
