//! Tests through the binary, as a user runs it.

mod bad_input;
mod data;
mod data_sets;
mod dvc;
mod governance;
mod interop;
mod main_job;
mod object_registry;
mod registry;
mod runbooks;
mod torture;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
