//! Every environment variable that modelgate reads or sets, with what there is to know of it. The page
//! `docs/reference/environment.md` is made from this list, and a test holds it against the code.

mod elsewhere;
mod project;
mod service;

/// One environment variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// What holds without it; empty for nothing.
    pub default: &'static str,
    /// What it may be; empty for any text.
    pub range: &'static str,
    /// When nothing goes on without it; empty for never.
    pub required: &'static str,
}

/// Variables that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Their title.
    pub title: &'static str,
    /// A sentence about all of them; may be empty.
    pub about: &'static str,
    /// The variables.
    pub variables: &'static [Variable],
}

/// Variables of other services that would mean something here and are not honoured, with what takes their place. The
/// service does not start while one is set.
pub const REFUSED: [(&str, &str); 3] = [
    ("MODEL_BASE_DIR", "use MODEL_PATH with the whole path"),
    ("MODEL_NAME", "use --model"),
    ("MODEL_VERSION", "use --model NAME@VERSION"),
];

const fn variable(
    name: &'static str,
    what: &'static str,
    default: &'static str,
    range: &'static str,
    required: &'static str,
) -> Variable {
    Variable { name, what, default, range, required }
}

/// All variables, those that a person sets first.
pub const GROUPS: &[Group] = &[
    project::EVERYWHERE,
    service::SERVICE,
    service::MLFLOW,
    service::TRACES,
    elsewhere::HUB,
    elsewhere::GITHUB,
    elsewhere::GIT,
    elsewhere::BUCKETS,
    project::PERSON,
    project::TRAINING,
];
