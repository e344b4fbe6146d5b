//! Delimited text in: the dialect, blocks of whole records, and the fields of a block.
//!
//! Blocks are what makes reading parallel and its memory bounded: each ends at the end of a record, so each can be
//! taken apart alone.

pub(crate) mod blocks;
pub(crate) mod dialect;
pub(crate) mod fields;
mod records;

pub use dialect::Quoting;
