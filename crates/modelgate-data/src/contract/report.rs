//! What checking a contract found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::Severity;

/// Which of the two layers a violation is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Columns and their types.
    Structure,
    /// Values, rows and relations.
    Content,
}

/// A row that breaks a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offender {
    /// The file.
    pub file: String,
    /// The data row in the file, from 1.
    pub row: u64,
    /// The line in the file, from 1; none in a file without lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The values of the columns that the rule looks at; none in a report that may leave.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// The rule: what it is about and what it asks, such as `price.min`.
    pub id: String,
    /// Where it is found.
    pub layer: Layer,
    /// How bad it is.
    pub severity: Severity,
    /// The columns it looks at.
    pub columns: Vec<String>,
    /// What is wrong, a sentence.
    pub message: String,
    /// The number of rows that break it; 0 where it is not about rows.
    pub count: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Offender>,
}

/// What checking a contract found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContractReport {
    /// The version of this form.
    pub schema_version: u32,
    /// The contract.
    pub contract: String,
    /// The files.
    pub files: Vec<String>,
    /// The number of rows that were looked at.
    pub rows: u64,
    /// The number of rules that were checked.
    pub checks: u64,
    /// Whether the content was judged: it is not when the structure is broken.
    pub content_checked: bool,
    /// Until when this judgement holds, where the age of the data is asked for and time alone changes it; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_until: Option<String>,
    /// What a person should know of how values were judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is broken, structure first, errors first.
    pub violations: Vec<Violation>,
}

impl ContractReport {
    /// Returns the number of violations of a severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.violations.iter().filter(|violation| violation.severity == severity).count() as u64
    }

    /// Returns whether the data may be used.
    pub fn passed(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Returns the report as it may leave: which rows break which rule, and nothing that stands in them.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for row in self.violations.iter_mut().flat_map(|violation| &mut violation.rows) {
            row.values.clear();
        }
        self
    }

    /// Returns one line for people.
    pub fn summary(&self) -> String {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let plural = |count: u64, what: &str| {
            if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
        };
        let found = match (errors, warnings) {
            (0, 0) => "all hold".to_owned(),
            (0, _) => format!("hold, with {}", plural(warnings, "warning")),
            (_, 0) => format!("broken: {}", plural(errors, "error")),
            _ => format!("broken: {}, {}", plural(errors, "error"), plural(warnings, "warning")),
        };
        let content = if self.content_checked { "" } else { "; the content was not judged" };
        format!("{}: {} on {} rows, {found}{content}", self.contract, plural(self.checks, "check"), self.rows)
    }
}
