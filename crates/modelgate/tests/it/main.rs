//! Tests through the binary, as a user runs it.

mod bad_input;
mod data;
mod data_sets;
mod dvc;
mod interop;
mod main_job;
mod registry;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
