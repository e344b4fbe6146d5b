//! A key that more than one row has, by which no row can be known.

use crate::error::DataError;

/// What repeats on one side.
pub(super) struct Repeated {
    pub(super) source_name: String,
    /// How many rows have a key that a row before them has.
    pub(super) rows: usize,
    pub(super) first: Option<Twice>,
}

/// The first key that stands twice.
pub(super) struct Twice {
    /// The columns and their values.
    pub(super) key: String,
    pub(super) places: String,
}

impl Repeated {
    fn rows(&self) -> String {
        if self.rows == 1 { "1 row has".to_owned() } else { format!("{} rows have", self.rows) }
    }

    /// Returns what is told where rows are compared by their content for that reason.
    pub(super) fn note(&self, key: &[String]) -> String {
        let (source, rows, key) = (&self.source_name, self.rows(), key.join(", "));
        format!(
            "{source}: {rows} a key (`{key}`) that another row has, so rows are compared by their content"
        )
    }

    pub(super) fn into_error(self) -> DataError {
        let what = format!("{} a key that another row has", self.rows());
        let advice = "; name a `--key` that is unique, or compare by content with `--no-key`";
        match self.first {
            Some(Twice { key, places }) => DataError::Value {
                place: self.source_name,
                before: format!("{what}, such as "),
                value: key,
                after: format!(" in {places}{advice}"),
            },
            None => DataError::File { source_name: self.source_name, message: format!("{what}{advice}") },
        }
    }
}
