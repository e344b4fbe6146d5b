//! What can be wrong with a model or a package.

use std::path::PathBuf;

use modelgate_core::Digest;

/// A model cannot be written, read or asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModelError {
    /// The bytes are not an ONNX model that this version runs.
    #[error("the ONNX model cannot be used: {0}")]
    Onnx(String),
    /// A model of another program cannot be used.
    #[error("{0}")]
    Foreign(String),
    /// The trees or coefficients make no sense.
    #[error("the model is not valid: {0}")]
    Invalid(String),
    /// Its ONNX form would be one that no program reads.
    #[error("{0}")]
    TooLarge(String),
    /// The rows do not fit the model.
    #[error("the rows do not fit the model: {0}")]
    Rows(String),
    /// What a run kept of a model cannot be read or written.
    #[error("the fitted model that was kept cannot be used: {0}")]
    Stored(String),
    /// A value could not be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(String),
}

/// A package is not what its manifest says.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is missing.
    #[error("{place}: the file `{file}` is missing")]
    Missing {
        /// The package.
        place: String,
        /// The file.
        file: String,
    },
    /// A file is not the one that was packaged.
    #[error("{place}: the file `{file}` was changed: its digest is {found}, the manifest says {expected}")]
    Changed {
        /// The package.
        place: String,
        /// The file.
        file: String,
        /// What the manifest says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// There is a file that the manifest does not name.
    #[error("{place}: the file `{file}` does not belong to the package{hint}")]
    Extra {
        /// The package.
        place: String,
        /// The file.
        file: String,
        /// What to do.
        hint: String,
    },
    /// The manifest cannot be read.
    #[error("{place}: manifest.json cannot be used: {reason}")]
    Manifest {
        /// The package.
        place: String,
        /// Why.
        reason: String,
    },
    /// The model cannot be used.
    #[error("{place}: {source}")]
    Model {
        /// The package.
        place: String,
        /// Why.
        source: ModelError,
    },
    /// The path is no folder.
    #[error("`{}` is not a package: it is no folder with a manifest.json", .0.display())]
    NotAPackage(PathBuf),
}
