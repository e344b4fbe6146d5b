//! Tests through the binary, as a user runs it.

mod bad_input;
mod data;
mod dvc;
mod examples;
mod interop;
mod main_job;
mod registry;
mod search;
mod snapshots;
mod training;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
