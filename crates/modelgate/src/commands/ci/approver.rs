//! `modelgate ci approver`: who said yes to the environment that a job waited for.

use modelgate_deploy::github::{self, Context};

use super::client;
use crate::arguments::ci::Approver;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Prints the login of who approved this run's deployment; of who started it where nobody had to be asked.
pub(super) fn execute(arguments: &Approver, printer: &Printer) -> anyhow::Result<Exit> {
    let context = Context::of_step(&environment::variable).map_err(|error| UsageError(error.to_string()))?;
    let found = github::approver(&client()?, &context, &arguments.environment)?;
    let login = if let Some(login) = found.approver {
        login
    } else {
        let mut why = format!(
            "nobody had to approve `{}`: whoever started this run answers for it",
            arguments.environment
        );
        if !found.others.is_empty() {
            // A job that waited for one of these is asked about it by its name.
            let others: Vec<String> = found.others.iter().map(|name| format!("`{name}`")).collect();
            why.push_str(&format!(
                "; somebody approved {}, which `--environment` asks for",
                others.join(", ")
            ));
        }
        printer.talk(&why);
        let missing = "GITHUB_ACTOR is not set: this command is for a step of GitHub Actions";
        // Who runs a job again is another than who started it first.
        let names = ["GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"];
        let found = names.iter().find_map(|name| environment::variable(name));
        found.ok_or_else(|| UsageError(missing.to_owned()))?
    };
    printer.data(&login)?;
    Ok(Exit::Passed)
}
