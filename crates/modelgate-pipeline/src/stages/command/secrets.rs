//! What a program that trains is not given, and what of its output is not passed on.
//!
//! A `.env` file holds the secrets of modelgate's own service beside what a program may need. And whatever a program prints,
//! a dump of its environment too, goes to a terminal, into logs of CI and into errors.

use std::borrow::Cow;
use std::process::Command;
use std::sync::OnceLock;

use modelgate_config::variables::secrets;

use crate::project::Project;

/// Values shorter than this are no secrets worth the name, and hiding them would spoil what is read.
const SHORTEST: usize = 6;
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Variables that programs are not given.
static KEPT: OnceLock<Vec<String>> = OnceLock::new();

/// Keeps variables of this process from the programs that train: those that it took from a file, and that no program would have
/// of the environment that it was started in. What was said first holds.
pub fn keep_from_programs(names: Vec<String>) {
    let _ = KEPT.set(names);
}

/// Takes from a program's environment what it is not given.
pub(super) fn withhold(program: &mut Command) {
    without(program, KEPT.get().map_or(&[][..], Vec::as_slice));
}

fn without(program: &mut Command, names: &[String]) {
    for name in names {
        program.env_remove(name);
    }
}

/// The secrets that are known here.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Returns those of the environment: the variables that are known to hold some, and those that the project names.
    pub(super) fn of(project: &Project) -> Self {
        let config = &project.config;
        let space = config.deploy.space.iter().flat_map(|space| space.secrets.values());
        let named = config.notify.secret_env.iter().chain(space).map(String::as_str);
        let mut names: Vec<&str> = secrets().collect();
        names.extend(named);
        Self::from_values(names.iter().filter_map(|name| std::env::var(name).ok()))
    }

    pub(super) fn from_values(values: impl Iterator<Item = String>) -> Self {
        // One variable may hold several, and a key goes over lines: each part is one.
        let mut parts: Vec<String> = Vec::new();
        for value in values {
            parts.extend(value.split([',', '\n', '\r']).map(|part| part.trim().to_owned()));
            parts.extend(value.split([',', '\n', '\r']).filter_map(|part| {
                let (_, behind) = part.split_once(['=', ':'])?;
                Some(behind.trim().to_owned())
            }));
        }
        parts.retain(|part| part.len() >= SHORTEST);
        // The longest first: what another one is a part of is hidden whole.
        parts.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        parts.dedup();
        Self(parts)
    }

    /// Returns a line without them.
    pub(super) fn hidden<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let mut shown = Cow::Borrowed(line);
        for secret in self.0.iter().filter(|secret| line.contains(secret.as_str())) {
            shown = Cow::Owned(shown.replace(secret.as_str(), HIDDEN));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whole_and_in_their_parts() {
        let values = ["hf_0123456789", "one-key-1,ops:two-key-2", "authorization=Bearer t0ken", "abc", ""];
        let secrets = Secrets::from_values(values.iter().map(|value| (*value).to_owned()));
        for (line, shown) in [
            ("HF_TOKEN=hf_0123456789", "HF_TOKEN=***"),
            ("keys two-key-2 and one-key-1", "keys *** and ***"),
            ("keys one-key-1,ops:two-key-2", "keys ***,***"),
            ("sent Bearer t0ken", "sent ***"),
            ("abc of epoch 1", "abc of epoch 1"),
        ] {
            assert_eq!(secrets.hidden(line), shown);
        }
    }

    #[test]
    fn a_program_is_not_given_what_is_kept() {
        let mut program = Command::new("sh");
        program.env("KEPT", "secret").env("GIVEN", "1");
        without(&mut program, &["KEPT".to_owned()]);
        let set: Vec<_> =
            program.get_envs().map(|(name, value)| (name.to_owned(), value.is_some())).collect();
        assert_eq!(set, [("GIVEN".into(), true), ("KEPT".into(), false)]);
    }
}
