//! A subset of the Open Data Contract Standard v3.1, in and out, so that other tools read our contracts and we theirs.
//!
//! Source: <https://bitol-io.github.io/open-data-contract-standard/v3.1.0/>. Carried over: the first object of `schema`
//! with its properties (`logicalType`, `required`, `unique`, `primaryKey`, `description`, `logicalTypeOptions`), the quality
//! rules `rowCount`, `duplicateValues`, `nullValues` and `invalidValues`, row rules as `custom` of the engine `modelgate`,
//! and the age of the data as the `latency` of `slaProperties`. What the standard has no words for stands in
//! `customProperties`; what is not carried over is told.

mod export;
mod import;

use crate::error::DataError;

pub use export::to_odcs;
pub use import::from_odcs;

/// The version that is written.
const API_VERSION: &str = "v3.1.0";

/// The custom property of the object that holds what the standard has no words for.
const OURS: &str = "modelgate";

fn wrong(source: &str, message: impl Into<String>) -> DataError {
    DataError::File { source_name: source.to_owned(), message: message.into() }
}
