//! Requests: what is sent becomes checked columns.

pub(crate) mod again;
pub(crate) mod cell;
pub(crate) mod csv;
pub(crate) mod inputs;
pub(crate) mod json;
pub(crate) mod mlflow;
pub(crate) mod native;
pub(crate) mod rows;
pub(crate) mod tree;
pub(crate) mod v2;
mod words;
