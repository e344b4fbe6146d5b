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
    /// Whether a `.env` file may hold them: not who is at work, nor what a step of CI or git is told.
    pub in_file: bool,
    /// The variables.
    pub variables: &'static [Variable],
}

/// What is said of variables that have a drift watched.
const NO_DRIFT: &str = "leave it out: this version watches no drift of live requests";

/// Variables of other services that would mean something here and are not honoured, with what takes their place. The
/// service does not start while one is set; of one in a `.env` file, which is that of other programs too, it says so.
pub const REFUSED: [(&str, &str); 15] = [
    ("MODEL_BASE_DIR", "use MODEL_PATH with the whole path"),
    ("MODEL_NAME", "use --model"),
    ("MODEL_VERSION", "use --model NAME@VERSION"),
    ("REGISTERED_MODEL_NAME", "use --model, or MLFLOW_MODEL_NAME with an MLflow server"),
    ("MLFLOW_EXPERIMENT_NAME", "leave it out: no experiment is read, and --model names what is served"),
    ("LOKI_BASE_URL", "use --log loki:URL or MODELGATE_PREDICTION_LOG, which log predictions there"),
    ("LOKI_QUERY", NO_DRIFT),
    ("LOKI_RANGE_MINUTES", NO_DRIFT),
    ("LOKI_BATCH_SIZE", NO_DRIFT),
    ("LOKI_MAX_ENTRIES", NO_DRIFT),
    ("REFERENCE_DATASET_URI", NO_DRIFT),
    ("CURRENT_DATASET_URI", NO_DRIFT),
    ("DRIFT_EVALUATION_INTERVAL_SECONDS", NO_DRIFT),
    ("DRIFT_MIN_ROWS", NO_DRIFT),
    ("DRIFT_MAX_ROWS", NO_DRIFT),
];

/// The beginning of names that are all honoured or refused.
const TRACES: &str = "OTEL_";

/// Secrets of modelgate's own service and of who watches it: no program that trains has a use for them.
const SERVICE_SECRETS: [&str; 6] = [
    "ADMIN_API_TOKEN",
    "MODELGATE_API_KEYS",
    "MODELGATE_API_KEY",
    "MODELGATE_LOKI_PASSWORD",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
];

/// Secrets that a program which trains may need as much as modelgate does: for the data, a base model, or a server of
/// experiments.
const SHARED_SECRETS: [&str; 6] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
];

/// Returns the variables that hold secrets.
pub fn secrets() -> impl Iterator<Item = &'static str> {
    SERVICE_SECRETS.into_iter().chain(SHARED_SECRETS)
}

/// Returns whether a variable holds a secret of the service alone.
pub fn is_secret_of_service(name: &str) -> bool {
    SERVICE_SECRETS.contains(&name)
}

/// Returns whether a variable is taken from a `.env` file: one that modelgate reads. What else is there is for others.
pub fn is_taken_from_file(name: &str) -> bool {
    // Of a proxy the small letters mean the same.
    let same = |known: &str| known == name || (known.ends_with("_PROXY") && known.eq_ignore_ascii_case(name));
    let mut listed = GROUPS.iter().filter(|group| group.in_file).flat_map(|group| group.variables);
    name.starts_with(TRACES) || listed.any(|variable| same(variable.name))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_settings_and_secrets_and_not_who_is_at_work() {
        for name in [
            "PORT",
            "ADMIN_API_TOKEN",
            "MODELGATE_SEED",
            "AWS_ACCESS_KEY_ID",
            "HF_TOKEN",
            "https_proxy",
            "OTEL_UNHEARD_OF",
        ] {
            assert!(is_taken_from_file(name), "{name}");
        }
        for name in [
            "PATH",
            "MODELGATE_ACTOR",
            "GITHUB_ACTOR",
            "USER",
            "HOME",
            "GIT_AUTHOR_NAME",
            "port",
            "MODEL_NAME",
        ] {
            assert!(!is_taken_from_file(name), "{name}");
        }
    }

    #[test]
    fn what_the_list_calls_a_secret_is_known_as_one() {
        let all = GROUPS.iter().flat_map(|group| group.variables);
        let called = all.filter(|variable| variable.what.contains("secret")).map(|variable| variable.name);
        let (mut called, mut known): (Vec<&str>, Vec<&str>) = (called.collect(), secrets().collect());
        called.push("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
        called.sort_unstable();
        known.sort_unstable();
        assert_eq!(called, known);
    }
}
