//! What can be wrong with data, with the place and what to do.

/// The data cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DataError {
    /// Something is wrong at a line of the file.
    #[error("{source_name}: line {line}{}: {message}", column.as_ref().map_or_else(String::new, |name| format!(", column `{name}`")))]
    Line {
        /// The file.
        source_name: String,
        /// The line, from 1.
        line: u64,
        /// The column, when it is about one.
        column: Option<String>,
        /// What is wrong and what to do.
        message: String,
    },
    /// Something is wrong with the file or a column as a whole.
    #[error("{source_name}: {message}")]
    File {
        /// The file.
        source_name: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// Something is wrong with a value of a row, which the message quotes.
    #[error("{place}: {before}{value}{after}")]
    Value {
        /// The file, and where in it.
        place: String,
        /// What comes before the value.
        before: String,
        /// The value.
        value: String,
        /// What comes behind it, with what to do.
        after: String,
    },
    /// The rows cannot be split as asked.
    #[error("the data cannot be split: {0}")]
    Split(String),
    /// The preprocessing cannot be fitted or applied.
    #[error("column `{column}`: {message}")]
    Preprocess {
        /// The column.
        column: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// How the advice ends on a value among numbers, where a model was to learn from the column.
pub(crate) const OR_DROP: &str = ", or add the column to `preprocess.drop`";

impl DataError {
    /// Returns the error of a column that no model learns from: to drop it is no way out, and `instead` is.
    #[must_use]
    pub fn of_unlearned(self, instead: &str) -> Self {
        match self {
            Self::Value { place, before, value, after } => {
                let after = match after.strip_suffix(OR_DROP) {
                    Some(advice) => format!("{advice}, or {instead}"),
                    None => after,
                };
                Self::Value { place, before, value, after }
            }
            other => other,
        }
    }

    /// Returns the error as it may leave: where it is and what to do, and nothing that stands in a row.
    #[must_use]
    pub fn without_values(&self) -> String {
        match self {
            Self::Value { place, before, after, .. } => format!("{place}: {before}a value{after}"),
            other => other.to_string(),
        }
    }
}

/// Returns the place in a file that a line is, or a column of it.
pub(crate) fn at_line(source_name: &str, line: u64, column: &str) -> String {
    format!("{source_name}: line {line}, column `{column}`")
}

/// Cuts a value for a message.
pub(crate) fn clipped(value: &str) -> String {
    let cut: String =
        value.chars().take(40).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if value.chars().count() > 40 { format!("`{cut}…`") } else { format!("`{cut}`") }
}

/// Returns names for a message, not more than can be read.
pub(crate) fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(20);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Returns the sentence for a setting that names a column that is not there, with the nearest of those that are.
pub(crate) fn names_unknown(setting: &str, name: &str, known: &[&str]) -> String {
    format!("{setting} names the column `{name}`, which is not there; {}", what_is_there(name, known))
}

/// Returns the sentence for a column that is not there, with the nearest of those that are.
#[must_use]
pub fn not_there(what: &str, name: &str, known: &[&str]) -> String {
    format!("{what} `{name}` is not there; {}", what_is_there(name, known))
}

fn what_is_there(name: &str, known: &[&str]) -> String {
    let near = |other: &&&str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let nearest = known.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
    let nearest = nearest.filter(|other| near(other) > 0.8);
    let hint = nearest.map_or_else(String::new, |other| format!("did you mean `{other}`? "));
    let alone = match known {
        // A header read with the wrong delimiter is one long name.
        [only] if only.contains([';', '\t', '|', ',']) => {
            "; is the delimiter another one (`data.delimiter`)?"
        }
        _ => "",
    };
    format!("{hint}there is {}{alone}", listed(known))
}
