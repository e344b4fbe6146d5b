//! Metrics and plots.
//!
//! Owns: figures of predictions, and their pictures. Refuses: deciding whether a figure is good enough.

mod classification;
mod error;
mod font;
mod plot;
mod regression;
mod sum;

pub use classification::{Average, ClassMetrics, ClassificationInput, ClassificationMetrics, classification};
pub use error::EvaluateError;
pub use plot::{Plot, confusion_matrix_plot, residual_plot};
pub use regression::{RegressionMetrics, regression};
