//! The command line of modelgate: CI/CD for machine-learning models in one binary.

mod approval;
mod arguments;
mod commands;
mod environment;
mod exit;
mod printer;
mod progress;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let typed: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
            let command = arguments::Arguments::command();
            return exit::of_usage(&arguments::blamed(error, &command, &typed));
        }
    };
    let printer = printer::Printer::new(&arguments);
    match commands::execute(&arguments, &printer) {
        Ok(exit) => exit.into(),
        Err(error) => exit::of_error(&error, &printer),
    }
}
