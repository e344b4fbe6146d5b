//! The environment variables that stand for settings of the project file, or for settings of all commands.
//!
//! This crate reads those that override the project file; the names of the others are here because its list tells of them.

/// Overrides `registry.uri`.
pub const MODELGATE_REGISTRY_URI: &str = "MODELGATE_REGISTRY_URI";
/// What [`MODELGATE_REGISTRY_URI`] says where the registry is in the project's own folder, whatever the file says.
pub const OWN_FOLDER: &str = "folder";
/// Overrides `data.remote`.
pub const MODELGATE_DATA_REMOTE: &str = "MODELGATE_DATA_REMOTE";
/// Overrides `serve.onnxruntime`, also where there is no project; a name that other programs know too.
pub const ORT_DYLIB_PATH: &str = "ORT_DYLIB_PATH";
/// Takes the place of `serve` for the service, also where there is no project; JSON.
pub const MODELGATE_SERVE: &str = "MODELGATE_SERVE";
/// Overrides every pipeline's `seed`; a whole number from 0.
pub const MODELGATE_SEED: &str = "MODELGATE_SEED";
/// The number of threads for training and prediction, 1 to 1024; results do not depend on it.
pub const MODELGATE_THREADS: &str = "MODELGATE_THREADS";
