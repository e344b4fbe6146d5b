//! What comes from outside the arguments: variables, time and who is at work.

use modelgate_pipeline::Surroundings;

/// Returns a variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the names of the variables that begin with `prefix` and are set and not empty, sorted.
pub(crate) fn names(prefix: &str) -> Vec<String> {
    let names = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    let mut names: Vec<String> =
        names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Returns whether values of rows are printed: not into the logs and summaries of GitHub Actions, which whoever may read the
/// repository may read, unless that is asked for.
pub(crate) fn shows_values() -> bool {
    // What is neither yes nor no has been refused, or is about to be: until then nothing is shown.
    match variable(SHOW_VALUES) {
        Some(text) => yes_or_no(&text).unwrap_or(false),
        None => !in_actions(),
    }
}

/// Returns whether this is a step of a workflow that GitHub Actions started on a schedule.
pub(crate) fn is_scheduled() -> bool {
    in_actions() && variable("GITHUB_EVENT_NAME").as_deref() == Some("schedule")
}

/// Returns whether this is a step of GitHub Actions.
pub(crate) fn in_actions() -> bool {
    variable("GITHUB_ACTIONS").as_deref() == Some("true")
}

/// Says whether values of rows are printed.
pub(crate) const SHOW_VALUES: &str = "MODELGATE_SHOW_VALUES";

/// Returns what a variable that is on or off says.
pub(crate) fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Returns the time now, RFC 3339 in UTC with milliseconds.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    // Truncated to milliseconds: enough to order by, short enough to read.
    let milliseconds = now.as_millisecond();
    jiff::Timestamp::from_millisecond(milliseconds)
        .unwrap_or(now)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

/// Returns who is at work: `MODELGATE_ACTOR`, the CI's actor, the user by name, or by number as in a container.
pub(crate) fn actor() -> String {
    let names = ["MODELGATE_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME", "USERNAME"];
    let named = names.iter().find_map(|name| variable(name));
    named.or_else(account).unwrap_or_else(|| "unknown".to_owned())
}

/// Returns the account that this process runs under: its name in `/etc/passwd`, or its number.
#[cfg(unix)]
fn account() -> Option<String> {
    let number = own_uid()?;
    let known = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    Some(name_of(&number, &known).unwrap_or_else(|| format!("uid:{number}")))
}

#[cfg(not(unix))]
fn account() -> Option<String> {
    None
}

/// Returns the number of the account, as the system writes it of this process.
#[cfg(unix)]
fn own_uid() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    // Linux says it here; a file of this process is its account's own.
    fs_err::metadata("/proc/self").ok().map(|own| own.uid().to_string())
}

/// Returns the name of an account by its number.
#[cfg(unix)]
fn name_of(number: &str, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid == number && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_on_or_off_or_nothing() {
        assert_eq!(["1", "true", "0", "false"].map(yes_or_no), [true, true, false, false].map(Some));
        assert_eq!(["no", "off", "FALSE", "2", " 0"].map(yes_or_no), [None; 5]);
    }

    #[test]
    fn an_account_without_a_name_in_the_environment_is_named_by_the_system() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n:x:7:\nbroken\nci:x:1001:1001::/home/ci:/bin/sh\n";
        assert_eq!(name_of("1001", accounts).as_deref(), Some("ci"));
        assert_eq!((name_of("7", accounts), name_of("42", accounts)), (None, None));
        if let Some(number) = own_uid() {
            assert!(account().is_some_and(|name| !name.is_empty()), "{number}");
        }
    }
}

/// Returns the surroundings of a command.
pub(crate) fn surroundings() -> Surroundings<'static> {
    Surroundings { now: &now, actor: actor() }
}
