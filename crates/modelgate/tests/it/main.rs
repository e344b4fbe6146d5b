//! Tests through the binary, as a user runs it.

mod bad_input;
mod data;
mod data_sets;
mod documentation;
mod dvc;
mod evidence;
mod examples;
mod interop;
mod main_job;
mod registry;
mod search;
mod train_command;
mod training;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
