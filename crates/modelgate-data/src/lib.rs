//! CSV in, splits and the preprocessing plan.
//!
//! Owns: rows and columns, and what happens to them before a model sees them. Refuses: models.

mod csv;
mod error;
pub mod preprocess;
pub mod profile;
pub mod split;
mod table;
pub mod target;

pub use csv::{CsvOptions, NULL_TOKENS, read_csv};
pub use error::DataError;
pub use table::{Column, Table, Values};
