//! Tests through the binary, as a user runs it.

mod bad_input;
mod documentation;
mod evidence;
mod interop;
mod main_job;
mod registry;
mod train_command;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
