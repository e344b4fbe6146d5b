//! The gate alone: rules over figures that any tool wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use modelgate_core::rule::{GateRule, Subset};
use modelgate_core::verdict::{Comparisons, Evidence, GateVerdict, Scores, SubsetScores, judge};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::PipelineError;

/// Figures by name, each a number or null.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures {
    /// The figures.
    pub values: BTreeMap<String, Option<f64>>,
    /// What stands under a name and is no figure, in words.
    #[serde(skip)]
    others: BTreeMap<String, &'static str>,
}

impl Figures {
    /// Returns figures that were measured.
    pub fn of(values: BTreeMap<String, Option<f64>>) -> Self {
        Self { values, others: BTreeMap::new() }
    }

    /// Reads a JSON file of figures. Objects inside objects become dotted names, so that `{"val": {"auc": 0.9}}` is
    /// `val.auc`; a `metrics` object at the top (MLflow's form) is taken as the whole.
    ///
    /// # Errors
    /// Names the file when it is not JSON, not an object, holds no number, or two figures of one name.
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let wrong = |reason: String| PipelineError::Figures { path: path.to_owned(), reason };
        let bytes = fs_err::read(path)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // Python writes NaN and Infinity, which JSON does not have; they are figures that are not numbers.
        let value: Node =
            serde_json::from_str(&finite(text)).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
        let Node::Object(entries) = &value else {
            return Err(wrong("expected an object of figures, such as {\"val_auc\": 0.93}".to_owned()));
        };
        let inner = entries.iter().find(|(name, node)| name == "metrics" && matches!(node, Node::Object(_)));
        let mut figures = Self::default();
        figures.take("", inner.map_or(&value, |(_, inner)| inner), 0).map_err(|name| {
            wrong(format!("`{name}` stands in it twice: which of them is meant cannot be told"))
        })?;
        if figures.values.is_empty() {
            return Err(wrong("it holds no figure".to_owned()));
        }
        Ok(figures)
    }

    /// Takes what is below `prefix`; fails with a name that stands twice.
    fn take(&mut self, prefix: &str, node: &Node, depth: usize) -> Result<(), String> {
        let what = match node {
            Node::Object(entries) if depth < 32 => {
                for (name, node) in entries {
                    let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    self.take(&name, node, depth + 1)?;
                }
                return Ok(());
            }
            Node::Figure(value) => {
                let before = self.values.insert(prefix.to_owned(), *value);
                let twice = before.is_some() || self.others.contains_key(prefix);
                return if twice { Err(prefix.to_owned()) } else { Ok(()) };
            }
            Node::Object(_) => "an object too deep to look into",
            Node::Other(what) => what,
        };
        let twice = self.others.insert(prefix.to_owned(), what).is_some() || self.values.contains_key(prefix);
        if twice { Err(prefix.to_owned()) } else { Ok(()) }
    }
}

/// JSON as it stands in the file: what stands twice is there twice.
enum Node {
    Object(Vec<(String, Self)>),
    Figure(Option<f64>),
    /// What is no figure, in words.
    Other(&'static str),
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
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Object(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Other("a list"))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Figure(None))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Figure(Some(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Figure(Some(value as f64)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Figure(Some(value as f64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other("true or false"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Other("text"))
    }
}

/// Replaces what is no finite number by `null`, outside of strings: the words `NaN`, `Infinity` and `-Infinity`, and numbers
/// that are too large, such as `1e400`.
fn finite(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(letter) = rest.chars().next() {
        if quoted && letter == '\\' {
            let end = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
            kept.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        quoted ^= letter == '"';
        let word =
            ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let is_number = !quoted && (letter.is_ascii_digit() || letter == '-');
        let length = if let Some(word) = word {
            kept.push_str("null");
            word.len()
        } else if is_number {
            let part = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
            let end = rest.find(|letter| !part(letter)).unwrap_or(rest.len());
            let is_too_large = rest[..end].parse::<f64>().is_ok_and(f64::is_infinite);
            kept.push_str(if is_too_large { "null" } else { &rest[..end] });
            end
        } else {
            kept.push(letter);
            letter.len_utf8()
        };
        rest = &rest[length..];
    }
    kept
}

/// Judges figures of the rows `on` by rules that compare with nothing.
pub fn gate_check(figures: &Figures, rules: &[GateRule], on: Subset) -> GateVerdict {
    let scores = SubsetScores { rows: None, metrics: figures.values.clone(), ..SubsetScores::default() };
    let subsets = [Subset::Validation, Subset::Test, Subset::Window].map(|subset| (subset, scores.clone()));
    let candidate = Scores {
        name: "the candidate".to_owned(),
        digest: None,
        subsets: BTreeMap::from(subsets),
        schema: None,
        unscored: None,
    };
    let (references, comparisons, footings) = (BTreeMap::new(), Comparisons::default(), BTreeMap::new());
    let mut verdict = judge(rules, &Evidence { candidate, references, on, comparisons, footings });
    for result in &mut verdict.rules {
        if let Some(what) = figures.others.get(&result.metric) {
            result.sentence = format!("{} is {what}, and no figure", result.metric);
        } else if on == Subset::Validation {
            // A file does not say which rows its figures are of. A figure may be called anything.
            let name = result.metric.len() * usize::from(result.sentence.starts_with(&result.metric));
            let behind = result.sentence.split_off(name);
            result.sentence += &behind.replacen(&format!(" on {on}"), "", 1);
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Figures, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("metrics.json");
        fs_err::write(&path, text).expect("written");
        Figures::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn figures_of_other_tools_are_read() {
        let figures =
            read(r#"{"val": {"auc": 0.9, "NaN": 1}, "loss": NaN, "name": "a\"NaN"}"#).expect("figures");
        let expected = [("loss", None), ("val.NaN", Some(1.0)), ("val.auc", Some(0.9))];
        assert_eq!(figures.values, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(read(r#"{"metrics": {"f1": 1}, "tags": {}}"#).expect("figures").values.len(), 1);
    }

    #[test]
    fn what_holds_no_figure_is_refused() {
        for (text, expected) in [
            ("", "not JSON"),
            ("[1]", "expected an object"),
            ("{\"a\": \"b\"}", "no figure"),
            (r#"{"f1": 0.1, "f1": 0.9}"#, "`f1` stands in it twice"),
            (r#"{"a.b": 3, "a": {"b": 4}}"#, "`a.b` stands in it twice"),
            (r#"{"a": 1, "a": "x"}"#, "`a` stands in it twice"),
        ] {
            let message = read(text).expect_err("refused");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn one_odd_figure_costs_itself_alone() {
        let figures = read("\u{feff}{\"huge\": 1e400, \"low\": -1e999, \"f1\": 0.9, \"small\": 1e-400}")
            .expect("figures");
        let expected = [("f1", Some(0.9)), ("huge", None), ("low", None), ("small", Some(0.0))];
        assert_eq!(figures.values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn a_rule_says_what_stands_in_the_place_of_its_figure_and_no_rows_that_the_file_does_not_name() {
        let figures =
            read(r#"{"f1": 0.9, "name": "x", "ok": true, "list": [1, 2], "none": null}"#).expect("figures");
        let sentence = |rule: &str| {
            let rule = modelgate_core::rule::parse_expression(rule).expect("rule");
            gate_check(&figures, &[rule], Subset::Validation).rules[0].sentence.clone()
        };
        assert_eq!(sentence("name >= 1"), "name is text, and no figure");
        assert_eq!(sentence("ok >= 1"), "ok is true or false, and no figure");
        assert_eq!(sentence("list >= 1"), "list is a list, and no figure");
        assert_eq!(sentence("f1 >= 0.8"), "f1 is 0.9, at least 0.8");
        let figures = read(r#"{"macro avg": {"f1-score": 0.7}, "f1 on validation": 0.9}"#).expect("figures");
        let named = |rule: &str| {
            let rule = modelgate_core::rule::parse_expression(rule).expect("rule");
            gate_check(&figures, &[rule], Subset::Validation).rules[0].sentence.clone()
        };
        assert_eq!(named("macro avg.f1-score >= 0.6"), "macro avg.f1-score is 0.7, at least 0.6");
        assert_eq!(named("f1 on validation >= 0.6"), "f1 on validation is 0.9, at least 0.6");
        assert_eq!(sentence("none >= 1"), "none is undefined or not a finite number");
        assert!(sentence("auc >= 0.8").starts_with("auc was not measured; measured are "));
    }
}
