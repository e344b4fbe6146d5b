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

/// Returns who is at work: `MODELGATE_ACTOR`, the CI's actor, or the user.
pub(crate) fn actor() -> String {
    let names = ["MODELGATE_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "USERNAME"];
    names.iter().find_map(|name| variable(name)).unwrap_or_else(|| "unknown".to_owned())
}

/// Returns the surroundings of a command.
pub(crate) fn surroundings() -> Surroundings<'static> {
    Surroundings { now: &now, actor: actor() }
}
