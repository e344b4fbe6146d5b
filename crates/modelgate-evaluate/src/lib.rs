//! Metrics, intervals, slices, importance and plots.
//!
//! Owns: figures of predictions, how sure they are, and their pictures. Refuses: deciding whether a figure is good enough.

mod agreement;
mod bootstrap;
mod classification;
mod curves;
mod error;
mod font;
mod importance;
mod plot;
mod probability;
mod random;
mod ranking;
mod regression;
mod resampled;
mod slices;
pub mod statistics;
mod sum;

pub use agreement::constant_answer;
pub use bootstrap::{BootstrapOptions, Interval, PairedInterval, Resampled, bootstrap, paired_bootstrap};
pub use classification::{
    Average, ClassMetrics, ClassificationInput, ClassificationMetrics, averaged_areas, classification,
};
pub use curves::{CalibrationBin, Curves, calibration_curve, curves};
pub use error::EvaluateError;
pub use importance::{Importance, PartialDependence, permutation_importance};
pub use plot::{
    Bar, Line, Plot, SliceRow, Theme, bars_plot, calibration_plot, confusion_matrix_plot, dependence_plot,
    lines_plot, precision_recall_plot, predicted_actual_plot, residual_plot, roc_plot, slice_table_plot,
};
pub use probability::{CALIBRATION_BINS, top_hits};
pub use regression::{RegressionMetrics, regression, regression_of};
pub use resampled::{ResampledClassifier, ResampledRegressor, rests_on_labels};
pub use slices::{
    Condition, MAX_TEXTS, Meaning, NamedColumn, Part, SearchOptions, SliceColumn, SliceSearch, WorstSlice,
    parts, texts, worst_slices,
};
