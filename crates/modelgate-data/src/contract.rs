//! Data contracts: what a data set must be like, checked in one pass.
//!
//! The key types are [`Contract`], the file, and [`ContractReport`], what checking it found. Two layers: the structure
//! (columns and types) first, and only where it holds the content (values, rows, relations). A violation has a
//! severity, a count and the first rows it is found in.

mod bound;
mod check;
mod columns;
mod expression;
mod feature;
mod infer;
mod odcs;
mod report;
#[cfg(test)]
mod tests;
mod unique;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::types::{ColumnType, DeclaredType};

pub use bound::{Bound, Tolerance};
pub use check::{check, check_for_run};
pub use feature::describe;
pub use infer::infer;
pub use odcs::{from_odcs, to_odcs};
pub use report::{ContractReport, Layer, Offender, Violation};
pub use unique::UniqueKey;

/// How bad a violation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The data is not to be used.
    #[default]
    Error,
    /// A person should know.
    Warning,
}

impl Severity {
    fn is_error(&self) -> bool {
        *self == Self::Error
    }

    /// Returns the name as files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What becomes of columns that the contract does not name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraColumns {
    /// They are a violation.
    #[default]
    Error,
    /// They are told.
    Warning,
    /// They do not matter.
    Allow,
}

/// A contract file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The version of this form: 1.
    pub version: u32,
    /// What it is called in reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the data is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many rows there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCount>,
    /// How old the newest row may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// Columns that are not named here.
    #[serde(default)]
    pub extra_columns: ExtraColumns,
    /// The columns by name.
    pub columns: BTreeMap<String, ColumnContract>,
    /// Columns that together have no value twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<UniqueKey>,
    /// The classes and their balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelContract>,
    /// Relations between the columns of a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RowRule>,
}

/// How many rows there are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowCount {
    /// At least so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// How bad it is otherwise.
    #[serde(skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

/// How old the newest row may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// A date or timestamp column.
    pub column: String,
    /// A time such as `36h`, `30d` or `2w`.
    pub max_age: String,
    /// How bad it is otherwise.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

/// One column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnContract {
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// For dates and timestamps in a form that is not recognised: a `strptime` format such as `%d.%m.%Y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What people call it, on forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What a number of it is counted in, such as `kg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether the file may be without it.
    #[serde(default, skip_serializing_if = "is_false", deserialize_with = "words::flag")]
    pub optional: bool,
    /// Whether a row may be without a value.
    #[serde(default = "yes", skip_serializing_if = "is_true", deserialize_with = "words::flag")]
    pub nullable: bool,
    /// The smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Bound>,
    /// The largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Bound>,
    /// The only values there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Bound>>,
    /// A regular expression that the whole text matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The least number of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// The largest number of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Whether no value stands twice.
    #[serde(default, skip_serializing_if = "is_false", deserialize_with = "words::flag")]
    pub unique: bool,
    /// How many rows may break what is asked of the values: a number, or a share such as `0.1%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Tolerance>,
    /// How bad it is when the values are not so; a wrong type is always an error.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

impl ColumnContract {
    /// Returns a column of this type of which nothing else is asked.
    pub fn of(column_type: ColumnType) -> Self {
        Self {
            column_type,
            format: None,
            description: None,
            label: None,
            unit: None,
            optional: false,
            nullable: true,
            min: None,
            max: None,
            values: None,
            pattern: None,
            min_length: None,
            max_length: None,
            unique: false,
            allow: None,
            severity: Severity::Error,
        }
    }

    pub(crate) fn declared(&self) -> DeclaredType {
        DeclaredType { column_type: self.column_type, format: self.format.clone() }
    }
}

fn yes() -> bool {
    true
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_true(value: &bool) -> bool {
    *value
}

/// The classes and their balance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelContract {
    /// The column with the class.
    pub column: String,
    /// The classes, all of which occur, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Bound>>,
    /// The smallest share of rows that a class may have, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_share: Option<f64>,
    /// How bad it is otherwise.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

/// A relation that each row keeps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowRule {
    /// Unique; the check itself by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What holds, such as `sqft_above + sqft_basement == sqft_living`; a row with a null in it keeps it.
    pub check: String,
    /// How many rows may break it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Tolerance>,
    /// How bad it is otherwise.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

/// Reads a contract; `source` is only for messages.
///
/// # Errors
/// Names the line of what cannot be read, and the key of what makes no sense.
pub fn parse(text: &str, source: &str) -> Result<Contract, DataError> {
    let wrong = |line: u64, message: String| DataError::Line {
        source_name: source.to_owned(),
        line,
        column: None,
        message,
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(wrong(
            1,
            "the contract is empty; `modelgate data validate --infer` writes one".to_owned(),
        ));
    }
    let read = serde_saphyr::from_str_with_options(text, words::options());
    let mut contract: Contract = read.map_err(|error: serde_saphyr::Error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |place| place.line());
        let message = match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                format!("unknown key `{field}`; valid keys here: {}", expected.join(", "))
            }
            other => {
                let text = other.to_string();
                text.split(" at line ")
                    .next()
                    .unwrap_or_default()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
        };
        wrong(line, message)
    })?;
    if contract.version != 1 {
        return Err(wrong(
            1,
            format!("this modelgate reads contracts of version 1, not {}", contract.version),
        ));
    }
    contract.settle_words();
    check::compile(&contract)
        .map_err(|message| DataError::File { source_name: source.to_owned(), message })?;
    Ok(contract)
}

/// The keys of a column in the order in which they read well.
const COLUMN_KEYS: [&str; 16] = [
    "type",
    "format",
    "optional",
    "nullable",
    "unique",
    "min",
    "max",
    "values",
    "pattern",
    "min_length",
    "max_length",
    "allow",
    "severity",
    "label",
    "unit",
    "description",
];

/// The keys of `label`, `freshness` and a rule in that order.
const OTHER_KEYS: [&str; 11] = [
    "id",
    "column",
    "columns",
    "check",
    "classes",
    "min",
    "max",
    "min_share",
    "max_age",
    "allow",
    "severity",
];

/// Returns a contract as YAML, a line per column; the columns stand in the order of `order`, then by name.
///
/// # Errors
/// Fails when a value cannot be written as YAML.
pub fn to_yaml(contract: &Contract, order: &[&str]) -> Result<String, DataError> {
    let wrong = |message: String| DataError::File { source_name: "the contract".to_owned(), message };
    let value = serde_json::to_value(contract).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    for key in ["version", "name", "description", "rows", "freshness", "extra_columns"] {
        if let Some(part) = value.get(key) {
            text.push_str(&format!("{key}: {}\n", plain(part)));
        }
    }
    text.push_str("columns:\n");
    let names = order.iter().copied().filter(|name| contract.columns.contains_key(*name));
    let ordered: BTreeSet<&str> = order.iter().copied().collect();
    let others = contract.columns.keys().map(String::as_str).filter(|name| !ordered.contains(name));
    for name in names.chain(others) {
        let column = value.pointer("/columns").and_then(|columns| columns.get(name));
        let keys = COLUMN_KEYS.iter().filter_map(|key| {
            // JSON is YAML, and a plain word needs no quotes.
            Some(format!("{key}: {}", plain(column?.get(*key)?)))
        });
        let name = plain(&serde_json::Value::from(name));
        // A key that stands before its colon has an end in YAML.
        let key = if name.len() > LONGEST_KEY { format!("? {name}\n  ") } else { name };
        text.push_str(&format!("  {key}: {{{}}}\n", keys.collect::<Vec<_>>().join(", ")));
    }
    for key in ["unique", "label"] {
        if let Some(part) = value.get(key) {
            text.push_str(&format!("{key}: {}\n", plain(part)));
        }
    }
    if let Some(rules) = value.get("rules").and_then(serde_json::Value::as_array) {
        text.push_str("rules:\n");
        rules.iter().for_each(|rule| text.push_str(&format!("- {}\n", plain(rule))));
    }
    Ok(text)
}

/// How long a key may be that needs no mark before it: YAML's 1024 letters, with room for its escapes.
const LONGEST_KEY: usize = 1000;

/// Returns a value in flow style; text that YAML could take for something else is quoted.
fn plain(value: &serde_json::Value) -> String {
    let is_word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && !matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | "nan" | "inf"
            )
    };
    match value {
        serde_json::Value::String(text) if is_word(text) => text.clone(),
        serde_json::Value::String(text) => quoted(text),
        serde_json::Value::Array(values) => {
            format!("[{}]", values.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(parts) => {
            let place = |key: &str| OTHER_KEYS.iter().position(|other| *other == key).unwrap_or(usize::MAX);
            let mut parts: Vec<_> = parts.iter().collect();
            parts.sort_by_key(|(key, _)| place(key));
            let parts = parts.into_iter().map(|(key, part)| format!("{key}: {}", plain(part)));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns text in quotes, with the escapes of JSON, which YAML has as well; what YAML does not take as it is, is escaped.
fn quoted(text: &str) -> String {
    let mut found = String::with_capacity(text.len() + 2);
    for letter in serde_json::Value::from(text).to_string().chars() {
        // DEL, the C1 controls, both separators of lines, the byte-order mark and what is no letter at all.
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                found.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => found.push(letter),
        }
    }
    found
}
