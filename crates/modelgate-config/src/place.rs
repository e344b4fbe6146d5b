//! Where a key stands in the project file, so that an error behind the reader can say so too.
//!
//! The key type is [`Place`].

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::NonFiniteFloatPolicy;

use crate::params;

/// A place in the project file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
}

/// Returns where `key`, such as `pipelines.p.gate.rules[2].metric`, stands in `text`: the deepest part of it that is there.
///
/// `None` when not even its first part is there, or the text is no YAML.
pub fn place(text: &str, key: &str) -> Option<Place> {
    let root = read(text)?;
    let (mut node, mut rest, mut found) = (&root, key, None);
    while let Some((place, next, behind)) = node.step(rest) {
        (node, rest, found) = (next, behind, Some(place));
    }
    found
}

/// Returns the key that stands at a place of `text`, or last before it, dotted.
pub(crate) fn key_at(text: &str, line: u64, column: u64) -> Option<String> {
    let mut found = None;
    read(text)?.last_before((line, column), "", &mut found);
    found.map(|(_, key)| key)
}

fn read(text: &str) -> Option<Node> {
    // A limit that is no number has a place too.
    let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::PassThrough };
    serde_saphyr::from_str_with_options(text, options).ok()
}

/// The keys that stand in the project file, which is read once for all that is asked of it.
pub(crate) struct Keys(Option<Node>);

impl Keys {
    pub(crate) fn of(text: &str) -> Self {
        Self(read(text))
    }

    /// Returns whether `key` itself is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        let Some(root) = &self.0 else { return false };
        let (mut node, mut rest) = (root, key);
        while let Some((_, next, behind)) = node.step(rest) {
            (node, rest) = (next, behind);
        }
        rest.is_empty()
    }
}

/// Returns where `key` stands in the project file `path`; as [`place`].
pub fn place_in(path: &Path, key: &str) -> Option<Place> {
    let text = fs_err::read_to_string(path).ok()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    place(&params::resolve(&text, folder, path).ok()?, key)
}

/// The file with the place of everything in it.
enum Node {
    Map(Vec<(Spanned<String>, Self)>),
    List(Vec<Spanned<Self>>),
    Leaf,
}

impl Node {
    /// Finds the last key that does not stand behind a place.
    fn last_before(&self, place: (u64, u64), above: &str, found: &mut Option<((u64, u64), String)>) {
        match self {
            Self::Map(entries) => {
                for (name, value) in entries {
                    let (at, key) = (at(name), format!("{above}{}", name.value));
                    let at = (at.line, at.column);
                    if at <= place && found.as_ref().is_none_or(|(last, _)| *last < at) {
                        *found = Some((at, key.clone()));
                    }
                    value.last_before(place, &format!("{key}."), found);
                }
            }
            Self::List(items) => {
                let above = above.trim_end_matches('.');
                for (index, item) in items.iter().enumerate() {
                    item.value.last_before(place, &format!("{above}[{index}]."), found);
                }
            }
            Self::Leaf => {}
        }
    }

    /// Goes one step along `key`: the place of what it names first, that itself, and what is left of the key.
    fn step<'a, 'k>(&'a self, key: &'k str) -> Option<(Place, &'a Self, &'k str)> {
        match self {
            // A name may hold dots itself: the longest that fits is meant.
            Self::Map(entries) => {
                let fitting = entries.iter().filter_map(|(name, value)| {
                    let behind = key.strip_prefix(name.value.as_str())?;
                    let rest = behind.strip_prefix('.').unwrap_or(behind);
                    (behind.is_empty() || behind.starts_with(['.', '['])).then_some((name, value, rest))
                });
                let (name, value, rest) = fitting.max_by_key(|(name, ..)| name.value.len())?;
                Some((at(name), value, rest))
            }
            Self::List(items) => {
                let (index, behind) = key.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((at(item), &item.value, behind.strip_prefix('.').unwrap_or(behind)))
            }
            Self::Leaf => None,
        }
    }
}

fn at<T>(spanned: &Spanned<T>) -> Place {
    Place { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1
pipelines:
  a:
    task: regression
  a.b:
    task: classification
    data: {source: d.csv, target: y}
    train:
      params: {n_estimators: 3}
    gate:
      rules:
        - {metric: accuracy, at_least: 0.8}
        - metric: f1
          slice: {age: 30, 1: x}
        - {metric: f1, at_least: .nan}
        - {metric: f1, at_most: -.inf}
";

    #[test]
    fn a_key_is_found_where_it_stands_and_one_that_is_not_there_at_what_is_above_it() {
        for (key, line, column) in [
            ("version", 1, 1),
            ("pipelines.a.task", 4, 5),
            ("pipelines.a.b.task", 6, 5),
            ("pipelines.a.b.data.target", 7, 27),
            ("pipelines.a.b.data.split.train", 7, 5),
            ("pipelines.a.b.train.params", 9, 7),
            ("pipelines.a.b.train.search", 8, 5),
            ("pipelines.a.b.gate.rules[0].metric", 12, 12),
            ("pipelines.a.b.gate.rules[1].slice", 14, 11),
            ("pipelines.a.b.gate.rules[3].at_most", 16, 24),
            ("pipelines.a.b.gate.rules[7]", 11, 7),
        ] {
            assert_eq!(place(TEXT, key), Some(Place { line, column }), "{key}");
        }
        assert_eq!(place(TEXT, "retention.keep"), None);
        assert_eq!(place("a: [", "a"), None);
    }
}
