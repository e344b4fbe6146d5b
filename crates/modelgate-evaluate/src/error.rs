//! What can be wrong with an evaluation.

/// The figures or the plot could not be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvaluateError {
    /// The inputs do not fit together.
    #[error("{0}")]
    Input(String),
    /// The picture could not be drawn.
    #[error("cannot draw the plot: {0}")]
    Plot(String),
}
