//! The package: flat trees, linear models and their predictor; ONNX out and in; the manifest.
//!
//! Owns: what a package is and what it answers. Refuses: where packages are kept.

mod damage;
mod error;
pub mod estimator;
mod files;
mod foreign;
mod left;
mod linear;
pub mod manifest;
mod mlmodel;
mod onnx;
mod package;
mod predict;
pub mod processor;
pub mod shap;
pub mod signing;
mod varied;
mod weighed;

pub use error::{ModelError, PackageError};
pub use files::{is_file_name, read_file};
pub use foreign::{ForeignModel, assemble_foreign};
pub use left::{LEFT_FILE, LeftPackages};
pub use manifest::Manifest;
pub use onnx::library as onnxruntime;
pub use onnx::{InputColumn, LoadedModel, export, large_graph};
pub use package::{ATTACHED_FILES, Package, assemble, from_files, open, stranger_in, verify};
pub use predict::Prediction;
pub use varied::Varied;
