//! Parts of workflows: texts of YAML, and the secrets that one workflow hands on to another.

/// What a bucket is opened with, by the names of the secrets.
pub(crate) const CLOUD: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"];

/// The same where the code of pull requests runs: each variable by the secret that it comes from. The keys are others, which
/// may only read.
pub(crate) const CLOUD_TO_READ: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AWS_READ_ACCESS_KEY_ID"),
    ("AWS_SECRET_ACCESS_KEY", "AWS_READ_SECRET_ACCESS_KEY"),
    ("AWS_REGION", "AWS_REGION"),
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL"),
];

/// A text of YAML in double quotes, without these.
pub(crate) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A line for each name.
pub(crate) fn lines(names: &[&str], indent: &str, line: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| format!("{indent}{}\n", line(name))).collect()
}

/// A secret as a variable, or as it is given to a workflow that is called.
pub(crate) fn secret(name: &str) -> String {
    format!("{name}: ${{{{ secrets.{name} }}}}")
}

/// Variables of a step, a line each, by the secrets that they come from.
pub(crate) fn variables(pairs: &[(&str, &str)]) -> String {
    pairs
        .iter()
        .map(|(variable, secret)| format!("          {variable}: ${{{{ secrets.{secret} }}}}\n"))
        .collect()
}

/// The variables of a step that has no others; nothing when there are none.
pub(crate) fn environment(variables: &str) -> String {
    if variables.is_empty() { String::new() } else { format!("        env:\n{variables}") }
}

/// A secret that a workflow takes when it is called.
pub(crate) fn declared(name: &str) -> String {
    format!("{name}:\n        required: false")
}

/// What a workflow that is called gets of its caller; nothing when there are no secrets.
pub(crate) fn handed_on(secrets: &[&str], line: impl Fn(&str) -> String) -> String {
    if secrets.is_empty() {
        String::new()
    } else {
        format!("    secrets:\n{}", lines(secrets, "      ", line))
    }
}
