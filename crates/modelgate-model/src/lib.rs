//! The package: flat trees, linear models and their predictor; ONNX out and in; the manifest.

pub mod estimator;
