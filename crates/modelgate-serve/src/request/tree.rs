//! JSON as a tree that keeps what is given twice, for the forms whose keys come in any order.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::{is_number_without_end, refusal};
use super::rows::{self, Rows, TOO_MANY};
use super::words;
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
    /// Reads a body that holds values for no more rows than are taken: a byte of text can become a value of many bytes.
    pub(crate) fn read(body: &[u8], rows: &Rows<'_>) -> Result<Self, Refusal> {
        Self::of_json(body, rows, false).map_err(|error| {
            let refusal = refusal(&error);
            if !is_number_without_end(&error, body) {
                return refusal;
            }
            let message = format!("{}: JSON has neither `NaN` nor `Infinity`; write null", refusal.message);
            Refusal { message, ..refusal }
        })
    }

    /// As [`Self::read`], of a client that may write numbers as Python does: a bare `NaN` is null, a bare `Infinity` a number
    /// that no feature takes.
    pub(crate) fn read_with_words(body: &[u8], rows: &Rows<'_>) -> Result<Self, Refusal> {
        let error = match Self::of_json(body, rows, false) {
            Ok(tree) => return Ok(tree),
            Err(error) => error,
        };
        match words::as_json(body) {
            Cow::Borrowed(_) => Err(refusal(&error)),
            Cow::Owned(body) => Self::of_json(&body, rows, true).map_err(|error| {
                let refusal = refusal(&error);
                // Each of them moves what is behind it.
                let message = format!("{}, where each `NaN` is read as `null`", refusal.message);
                Refusal { message, ..refusal }
            }),
        }
    }

    fn of_json(body: &[u8], rows: &Rows<'_>, words: bool) -> serde_json::Result<Self> {
        let left = Cell::new(rows.values());
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let tree = Reader { left: &left, most: rows.max_rows(), words }.deserialize(&mut deserializer)?;
        deserializer.end().map(|()| tree)
    }

    pub(crate) fn cell(&self) -> rows::Cell<'_> {
        match self {
            Self::Null => rows::Cell::Null,
            Self::Bool(value) => rows::Cell::Bool(*value),
            Self::Int(value) => rows::Cell::Int(*value),
            Self::Number(value) => rows::Cell::Number(*value),
            Self::Text(value) => rows::Cell::Text(value),
            Self::List(_) => rows::Cell::List,
            Self::Object(_) => rows::Cell::Object,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// Returns the values of `keys`; another key, or one that is given twice, is refused. Clients write what they were not
    /// given as null: it is not there.
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
        Ok(found.map(|value| value.filter(|value| !matches!(value, Self::Null))))
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

/// Reads a value, of as many as are left.
#[derive(Clone, Copy)]
struct Reader<'c> {
    left: &'c Cell<usize>,
    /// Rows of a request, for the sentence.
    most: usize,
    /// Whether a number may stand for a word.
    words: bool,
}

impl Reader<'_> {
    fn count<E: Error>(self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                Err(E::custom(format!("{TOO_MANY} {}, and it holds more values than those have", self.most)))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
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
        Ok(Tree::Number(if self.words { words::meant(value) } else { value }))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key()? {
            entries.push((name, map.next_value_seed(self)?));
        }
        Ok(Tree::Object(entries))
    }
}
