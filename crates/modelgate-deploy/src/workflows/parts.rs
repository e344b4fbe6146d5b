//! Parts of workflows: texts of YAML, and the secrets that one workflow hands on to another.

/// What a bucket is opened with, by the names of the secrets.
pub(crate) const CLOUD: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"];

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
