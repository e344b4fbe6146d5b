//! What can be wrong with training.

/// A model could not be fitted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LearnError {
    /// There is nothing to learn from.
    #[error("{0}")]
    Data(String),
    /// There is no learning from a row; the message has `{row}` in the place of its number.
    #[error("{}", message.replace("{row}", &format!("training row {}", row + 1)))]
    Row {
        /// Its position among the rows of the matrix, from 0.
        row: usize,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A setting names what the data do not have, or asks for more than there is.
    #[error("{0}")]
    Setting(String),
    /// The algorithm is for another task.
    #[error("{0}")]
    Task(String),
}

impl LearnError {
    /// Returns the error with the number that a row has in its file; `data_row` gives it, from 1, for the position of a row.
    #[must_use]
    pub fn in_data(self, data_row: impl Fn(usize) -> Option<u64>) -> Self {
        match self {
            Self::Row { row, message } => match data_row(row) {
                Some(number) => Self::Data(message.replace("{row}", &format!("data row {number}"))),
                None => Self::Row { row, message },
            },
            other => other,
        }
    }
}

/// A setting of the trainer is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ParamError(pub String);
