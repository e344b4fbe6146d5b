//! CSV and Parquet in, snapshots and what DVC tracks, contracts, profiles, splits and the preprocessing plan.
//!
//! Owns: rows and columns, and what happens to them before a model sees them. Refuses: models.

pub mod batch;
pub mod contract;
mod csv;
pub mod dataset;
pub mod describe;
pub mod diff;
pub mod dvc;
mod error;
mod exact;
mod glob;
mod infer;
mod not_tables;
mod parquet;
pub mod preprocess;
pub mod profile;
mod read;
pub mod rows;
pub mod snapshot;
pub mod source;
pub mod split;
mod table;
pub mod target;
mod time;
mod types;

pub use csv::Quoting;
pub use dataset::{DataSchema, Dataset, Mixed, ReadColumn, ReadOptions, is_pandas_index};
pub use error::{DataError, not_there as column_not_there};
pub use glob::{KeyPattern, finds as source_finds};
pub use modelgate_core::schema::NULL_TOKENS;
pub use read::{read_columns, read_csv, read_table};
pub use source::{NO_SUCH_NAME, SourceFile, find_files};
pub use table::{Column, Table, Values};
pub use time::is_recognised as is_recognised_form;
pub use types::{ColumnType, DeclaredType, is_null, parse_bool, read_int, show_int};
