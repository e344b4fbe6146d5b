//! `modelgate ci approver`: who said yes to the environment that a job waited for.

use modelgate_deploy::github::{self, Context};

use super::client;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Prints the login of who approved this run's deployment; of who started it where nobody had to be asked.
pub(super) fn execute(printer: &Printer) -> anyhow::Result<Exit> {
    let context = Context::of_step(&environment::variable).map_err(|error| UsageError(error.to_string()))?;
    let approver = github::approver(&client()?, &context)?;
    let login = if let Some(login) = approver {
        login
    } else {
        printer.talk("nobody had to approve this run's deployment: whoever started it answers for it");
        let missing = "GITHUB_ACTOR is not set: this command is for a step of GitHub Actions";
        environment::variable("GITHUB_ACTOR").ok_or_else(|| UsageError(missing.to_owned()))?
    };
    printer.data(&login)?;
    Ok(Exit::Passed)
}
