//! What can be wrong with training.

/// A model could not be fitted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LearnError {
    /// There is nothing to learn from.
    #[error("{0}")]
    Data(String),
    /// The algorithm is for another task.
    #[error("{0}")]
    Task(String),
}

/// A setting of the trainer is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ParamError(pub String);
