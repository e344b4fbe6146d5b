//! The command line of modelgate: CI/CD for machine-learning models in one binary.

mod approval;
mod arguments;
mod commands;
mod dotenv;
mod environment;
mod exit;
mod printer;
mod progress;
mod threads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_usage(&error),
    };
    let printer = printer::Printer::new(&arguments);
    let notices = printer::Printer::new(&arguments);
    modelgate_registry::listen(move |text| notices.warning(text));
    dotenv::doubts().for_each(|doubt| printer.warning(doubt));
    let ended = commands::execute(&arguments, &printer);
    let exit = ended.unwrap_or_else(|error| exit::of_error(&error, &printer));
    exit::of_stdout(exit, &printer).into()
}
