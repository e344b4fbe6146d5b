//! What can be wrong with a project file, with the place and what to do.

use std::path::PathBuf;

use crate::place::Place;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not the YAML it should be.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong and what to do.
        message: String,
    },
    /// A value has the right form and makes no sense.
    #[error("{}{}: {key}: {message}", path.display(), place.map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column)))]
    Value {
        /// The file.
        path: PathBuf,
        /// Where the key stands, or what is above it, when it is known.
        place: Option<Place>,
        /// The key, dotted.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// An environment variable cannot be used.
    #[error("the environment variable {name} is `{value}`: {expected}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
}
