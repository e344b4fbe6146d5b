//! The gate alone: rules over figures that any tool wrote.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::rule::{GateRule, Subset};
use modelgate_core::verdict::{Comparisons, Evidence, GateVerdict, Scores, SubsetScores, judge};
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;

/// Figures by name, each a number or null.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures(pub BTreeMap<String, Option<f64>>);

impl Figures {
    /// Reads a JSON file of figures. Objects inside objects become dotted names, so that `{"val": {"auc": 0.9}}` is
    /// `val.auc`; a `metrics` object at the top (MLflow's form) is taken as the whole.
    ///
    /// # Errors
    /// Names the file when it is not JSON, not an object, or holds no number.
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let wrong = |reason: String| PipelineError::Figures { path: path.to_owned(), reason };
        let bytes = fs_err::read(path)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        // Python writes NaN and Infinity, which JSON does not have; they are figures that are not numbers.
        let value: serde_json::Value = serde_json::from_str(&without_nan(&text))
            .map_err(|error| wrong(format!("it is not JSON: {error}")))?;
        let serde_json::Value::Object(object) = &value else {
            return Err(wrong("expected an object of figures, such as {\"val_auc\": 0.93}".to_owned()));
        };
        let inner = object.get("metrics").filter(|inner| inner.is_object()).unwrap_or(&value);
        let mut figures = BTreeMap::new();
        flatten("", inner, &mut figures, 0);
        if figures.is_empty() {
            return Err(wrong("it holds no figure".to_owned()));
        }
        Ok(Self(figures))
    }
}

fn flatten(
    prefix: &str,
    value: &serde_json::Value,
    figures: &mut BTreeMap<String, Option<f64>>,
    depth: usize,
) {
    match value {
        serde_json::Value::Object(object) if depth < 32 => {
            for (name, value) in object {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, figures, depth + 1);
            }
        }
        serde_json::Value::Number(number) => {
            figures.insert(prefix.to_owned(), number.as_f64());
        }
        serde_json::Value::Null => {
            figures.insert(prefix.to_owned(), None);
        }
        _ => {}
    }
}

/// Replaces the words `NaN`, `Infinity` and `-Infinity` outside of strings by `null`.
fn without_nan(text: &str) -> String {
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
        let length = if let Some(word) = word {
            kept.push_str("null");
            word.len()
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
    let scores = SubsetScores { rows: None, metrics: figures.0.clone(), ..SubsetScores::default() };
    let subsets = [Subset::Validation, Subset::Test, Subset::Window].map(|subset| (subset, scores.clone()));
    let candidate = Scores {
        name: "the candidate".to_owned(),
        digest: None,
        subsets: BTreeMap::from(subsets),
        schema: None,
    };
    let comparisons = Comparisons::default();
    judge(rules, &Evidence { candidate, references: BTreeMap::new(), on, comparisons })
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
        assert_eq!(figures.0, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(read(r#"{"metrics": {"f1": 1}, "tags": {}}"#).expect("figures").0.len(), 1);
    }

    #[test]
    fn what_holds_no_figure_is_refused() {
        for (text, expected) in
            [("", "not JSON"), ("[1]", "expected an object"), ("{\"a\": \"b\"}", "no figure")]
        {
            let message = read(text).expect_err("refused");
            assert!(message.contains(expected), "{message}");
        }
    }
}
