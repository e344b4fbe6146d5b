//! Whom a wrong value is blamed on: what came from an environment variable is not called by a flag that nobody typed.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

/// Returns the error with the variable beside the flag, where that is where the value came from.
pub(crate) fn blamed(error: clap::Error, command: &Command, typed: &[String]) -> clap::Error {
    blamed_by(error, command, typed, |name| std::env::var_os(name).is_some())
}

fn blamed_by(
    mut error: clap::Error,
    command: &Command,
    typed: &[String],
    is_set: impl Fn(&str) -> bool,
) -> clap::Error {
    let arguments = arguments(command, typed);
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let Some(ContextValue::String(shown)) = error.get(kind) else { continue };
        let flag = shown.split([' ', '=']).next().unwrap_or_default();
        let of =
            |argument: &&&Arg| argument.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long));
        let Some(argument) = arguments.iter().find(of) else { continue };
        let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else { continue };
        if is_set(variable) && !is_typed(argument, typed) {
            let place = crate::dotenv::place_of(variable);
            let place = place.map_or_else(String::new, |place| format!(", {place}"));
            let shown = format!("{shown} (from {variable}{place})");
            error.insert(kind, ContextValue::String(shown));
        }
    }
    error
}

/// Returns the arguments of the command that was typed, and of those above it.
fn arguments<'c>(mut command: &'c Command, typed: &[String]) -> Vec<&'c Arg> {
    let mut all: Vec<&Arg> = command.get_arguments().collect();
    for word in typed {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
            all.extend(command.get_arguments());
        }
    }
    all
}

fn is_typed(argument: &Arg, typed: &[String]) -> bool {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let is = |word: &String| {
        let is_long = long.as_ref().is_some_and(|long| {
            word.strip_prefix(long.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        is_long || short.as_ref().is_some_and(|short| word.starts_with(short.as_str()))
    };
    typed.iter().take_while(|word| *word != "--").any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(typed: &[&str], set: bool) -> String {
        let below = || {
            let number = clap::value_parser!(u64).range(1..);
            let argument = Arg::new("max")
                .long("max-batch")
                .value_name("ROWS")
                .env("MAX_BATCH_SIZE")
                .value_parser(number);
            Command::new("serve").arg(argument)
        };
        let command = Command::new("tool").subcommand(below()).subcommand(Command::new("other"));
        let words: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
        // As with a variable: the value comes to clap by the same door.
        let given = ["tool", "serve", "--max-batch", "0"];
        let error = command.clone().try_get_matches_from(given).expect_err("refused");
        blamed_by(error, &command, &words, |name| set && name == "MAX_BATCH_SIZE").to_string()
    }

    #[test]
    fn a_value_of_a_variable_is_blamed_on_it() {
        let expected = "for '--max-batch <ROWS> (from MAX_BATCH_SIZE)'";
        assert!(said(&["serve"], true).contains(expected), "{}", said(&["serve"], true));
        for (typed, set) in [
            (&["serve", "--max-batch", "0"][..], true),
            (&["serve", "--max-batch=0"], true),
            (&["serve"], false),
            (&["other"], true),
        ] {
            assert!(!said(typed, set).contains("(from"), "{typed:?}");
        }
    }
}
