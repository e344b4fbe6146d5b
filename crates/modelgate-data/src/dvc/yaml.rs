//! YAML as DVC reads it: of version 1.2, in which `yes` is a word and `010` is ten, and with mappings in the order in which they
//! are written, which the names of a `matrix` follow.
//!
//! The key type is [`Yaml`].

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

use crate::snapshot::SnapshotError;

/// A value of a file of DVC.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) enum Yaml {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Map(Mapping),
}

/// A mapping, in the order in which it is written.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Mapping(Vec<(String, Yaml)>);

impl Mapping {
    pub(crate) fn get(&self, key: &str) -> Option<&Yaml> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Yaml> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets the value of a key, in its place where it is there.
    pub(crate) fn insert(&mut self, key: String, value: Yaml) {
        match self.get_mut(&key) {
            Some(found) => *found = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|(key, _)| wanted(key));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Yaml)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(String, Yaml)> for Mapping {
    fn from_iter<I: IntoIterator<Item = (String, Yaml)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for Mapping {
    type Item = (String, Yaml);
    type IntoIter = std::vec::IntoIter<(String, Yaml)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Yaml {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    pub(crate) fn as_map(&self) -> Option<&Mapping> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_))
    }

    /// Returns a plain value as DVC writes it into a text: as Python does, but for `true` and `false`.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Self::Null => Some("None".to_owned()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(as_python(*number)),
            Self::Text(text) => Some(text.clone()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Compares as Python does: `1` and `1.0` are one, and the order of a mapping does not count.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
            }
            (Self::Map(one), Self::Map(other)) => {
                let same =
                    |(key, value): (&str, &Self)| other.get(key).is_some_and(|found| value.is_same(found));
                one.len() == other.len() && one.iter().all(same)
            }
            _ => match (self.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => one == other,
                _ => self == other,
            },
        }
    }

    /// Returns the value at a dotted key.
    pub(crate) fn at(&self, key: &str) -> Option<&Self> {
        key.split('.').try_fold(self, |value, part| value.step(part))
    }

    /// Returns the value of one part of a key: of a name, or of a place in a list.
    pub(crate) fn step(&self, part: &str) -> Option<&Self> {
        match self {
            Self::List(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        }
    }
}

/// Writes it as JSON does, for messages.
impl fmt::Display for Yaml {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Text(text) => write!(formatter, "{}", serde_json::Value::from(text.as_str())),
            Self::List(items) => {
                formatter.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(formatter, "{comma}{item}")?;
                }
                formatter.write_str("]")
            }
            Self::Map(entries) => {
                formatter.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(formatter, "{comma}{}:{value}", serde_json::Value::from(key))?;
                }
                formatter.write_str("}")
            }
            plain => formatter.write_str(&plain.written().unwrap_or_default()),
        }
    }
}

/// Returns a number as `repr` of Python writes it: with an exponent below a ten-thousandth and from 1e16 on.
fn as_python(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}").to_lowercase();
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// Reads a file of DVC, or one of parameters.
pub(crate) fn read(path: &Path) -> Result<Yaml, SnapshotError> {
    let text = fs_err::read_to_string(path)?;
    let node = parse::<Spanned<Node>>(&text, path)?;
    Ok(settled(node, &text))
}

/// Reads the text of the file `path` of DVC.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, SnapshotError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.without_snippet().to_string();
        let message = text.lines().next().unwrap_or_default().to_owned();
        SnapshotError::Dvc { path: path.to_owned(), message }
    })
}

/// A value with the places of what is in it: how it is written decides what it is.
enum Node {
    Leaf(Yaml),
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

/// Returns what a value of `text` is.
fn settled(node: Spanned<Node>, text: &str) -> Yaml {
    let written = || {
        let span = node.defined.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        Some(text.get(start..end)?.trim())
    };
    match node.value {
        Node::Leaf(leaf) => match (&leaf, written()) {
            (Yaml::Float(_), Some(written)) => whole(written).map_or(leaf, Yaml::Int),
            (Yaml::Bool(_), Some(written)) if !is_truth(written) => Yaml::Text(written.to_owned()),
            _ => leaf,
        },
        Node::List(items) => Yaml::List(items.into_iter().map(|item| settled(item, text)).collect()),
        Node::Map(entries) => {
            Yaml::Map(entries.into_iter().map(|(key, value)| (key, settled(value, text))).collect())
        }
    }
}

/// Returns a whole number that the reader takes for one with a fraction: with zeros before it, or too large for it.
fn whole(written: &str) -> Option<i128> {
    let digits = written.strip_prefix(['-', '+']).unwrap_or(written);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    written.replace('_', "").parse().ok()
}

fn is_truth(written: &str) -> bool {
    matches!(written, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

impl<'de> Deserialize<'de> for Yaml {
    /// Reads what DVC itself wrote, in which every number is as plain as can be.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Ok(settled(Spanned::new(node, Location::UNKNOWN, Location::UNKNOWN), ""))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Int(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Int(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Yaml::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(Node::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            found.push(entry);
        }
        Ok(Node::Map(found))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a value as a file of parameters would have it.
    pub(crate) fn yaml(text: &str) -> Yaml {
        let node = parse(text, Path::new("params.yaml")).expect("YAML");
        settled(node, text)
    }

    #[test]
    fn scalars_are_what_dvc_takes_them_for() {
        for (written, value) in [
            ("yes", "\"yes\""),
            ("on", "\"on\""),
            ("n", "\"n\""),
            ("tRUE", "\"tRUE\""),
            ("True", "true"),
            ("FALSE", "false"),
            ("010", "10"),
            ("-08", "-8"),
            ("1_000", "1000"),
            ("0o10", "8"),
            ("0x1F", "31"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("010.5", "10.5"),
            ("1e3", "1000.0"),
            ("1e-05", "1e-05"),
            (".inf", "inf"),
            ("-.inf", "-inf"),
            (".nan", "nan"),
            ("'010'", "\"010\""),
            ("\"yes\"", "\"yes\""),
            ("~", "null"),
            ("Null", "null"),
            ("2020-01-01", "\"2020-01-01\""),
        ] {
            let read = yaml(&format!("# ä\na: {{}}\nb: {written} # ö\nlist: [1, {written}]\n"));
            assert_eq!(read.get("b").map(ToString::to_string).as_deref(), Some(value), "{written}");
            assert_eq!(read.at("list.1").map(ToString::to_string).as_deref(), Some(value), "{written}");
        }
        let anchored = yaml("a: &ten 010\nb: *ten\nc: {<<: {d: yes}, e: 1}\n");
        assert_eq!(anchored.to_string(), "{\"a\":10,\"b\":10,\"c\":{\"e\":1,\"d\":\"yes\"}}");
    }

    #[test]
    fn numbers_compare_as_in_python() {
        assert!(yaml("[1, {a: 2.0, b: 1}]").is_same(&yaml("[1.0, {b: 1, a: 2}]")));
        assert!(!yaml("1").is_same(&yaml("'1'")) && !yaml("{a: 1}").is_same(&yaml("{a: 1, b: 2}")));
        assert!(yaml(".inf").is_same(&yaml(".Inf")));
        assert_eq!(yaml("{a: [{b: 3}]}").at("a.0.b"), Some(&Yaml::Int(3)));
    }
}
