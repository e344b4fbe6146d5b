//! A variable that is empty is one that is not set: what a form or a compose file left blank is no value.

use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::builder::Resettable;

/// Returns the command without the variables that are empty.
pub(crate) fn without_empty(command: Command) -> Command {
    without(command, &|name| std::env::var_os(name))
}

fn without(command: Command, value: &dyn Fn(&OsStr) -> Option<OsString>) -> Command {
    let command = command.mut_args(|argument| {
        let empty = argument.get_env().and_then(value).is_some_and(|value| value.is_empty());
        if empty { argument.env(Resettable::Reset) } else { argument }
    });
    command.mut_subcommands(|below| without(below, value))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn only_variables_that_are_empty_are_left_out_at_any_depth() {
        let argument = |name: &'static str| Arg::new(name).long(name).env(name);
        let below = Command::new("below").args([argument("EMPTY"), argument("SET"), Arg::new("plain")]);
        let command = Command::new("above").arg(argument("NONE")).subcommand(below);
        let value = |name: &OsStr| match name.to_str() {
            Some("EMPTY") => Some(OsString::new()),
            Some("SET") => Some(OsString::from("1")),
            _ => None,
        };
        let found = without(command, &value);
        let names = |command: &Command| -> Vec<String> {
            let named = command.get_arguments().filter_map(clap::Arg::get_env);
            named.map(|name| name.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(&found), ["NONE"]);
        assert_eq!(found.find_subcommand("below").map(names), Some(vec!["SET".to_owned()]));
    }
}
