//! Tests through the binary, as a user runs it.

mod bad_input;
mod browser;
mod ci;
mod comfort;
mod data;
mod data_page;
mod data_sets;
mod deploy;
mod documentation;
mod dvc;
mod evidence;
mod examples;
mod governance;
mod interop;
mod last_run;
mod lost_answers;
mod main_job;
mod missing_words;
mod object_registry;
mod onnx_runtime;
mod registry;
mod runbooks;
mod search;
mod serving;
mod splitting;
mod stdout;
mod terminal;
mod torture;
mod train_command;
mod training;
mod undeclared;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_modelgate");
