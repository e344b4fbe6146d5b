//! Models that other programs made: ONNX graphs, LightGBM's text, XGBoost's JSON.

pub(crate) mod boosted;
mod doubts;
mod lightgbm;
mod package;
mod recognise;
pub(crate) mod splits;
mod xgboost;

pub use package::assemble_foreign;
pub use recognise::ForeignModel;
