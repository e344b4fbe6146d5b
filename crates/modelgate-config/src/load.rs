//! Reading the project file: strict, with the place of what is wrong.

use std::path::{Path, PathBuf};

use crate::env;
use crate::error::ConfigError;
use crate::governance::ROLLBACK_TARGETS;
use crate::params;
use crate::place::key_at;
use crate::project::{ProjectConfig, TaskKind};
use crate::rules::default_rules;
use crate::serving::{STARTUP_TIMEOUT_SECONDS, Unusual};
use crate::syntax;
use crate::undeclared::filled_in;
use crate::validate::validate;

/// A project file that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, with environment and defaults applied.
    pub config: ProjectConfig,
    /// The file.
    pub path: PathBuf,
}

/// Reads the project file `path`; the layers are defaults, file, environment.
///
/// # Errors
/// Names file, line and column, and what to do.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    load_as(path, environment, parse)
}

/// As [`load`], for who needs neither a target nor a task: a pipeline that declares none has the target [`crate::UNDECLARED`].
///
/// # Errors
/// As [`load`].
pub fn load_open(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    load_as(path, environment, |text, shown| {
        parse(text, shown).or_else(|error| {
            let filled = ["classification", "regression"].into_iter();
            let mut filled = filled.filter_map(|task| parse(&filled_in(text, task)?, shown).ok());
            filled.next().ok_or(error)
        })
    })
}

fn load_as(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    parse: impl Fn(&str, &Path) -> Result<ProjectConfig, ConfigError>,
) -> Result<Loaded, ConfigError> {
    let bytes = fs_err::read(path)?;
    let shown = PathBuf::from(path.file_name().unwrap_or(path.as_os_str()));
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        ConfigError::Yaml {
            path: shown.clone(),
            line,
            column: 1,
            message: "the file is not UTF-8; save it as UTF-8".to_owned(),
        }
    })?;
    let text = params::resolve(&text, path.parent().unwrap_or(Path::new("")), &shown)?;
    let mut config = parse(&text, &shown)?;
    if let Some(uri) = environment(env::MODELGATE_REGISTRY_URI) {
        // Whoever works beside a registry that is down, in a copy of the project, has no other way to its own folder.
        config.registry.uri = (uri != env::OWN_FOLDER).then_some(uri);
    }
    if let Some(uri) = environment(env::MODELGATE_DATA_REMOTE) {
        config.data.remote = Some(uri);
    }
    if let Some(path) = environment(env::ORT_DYLIB_PATH) {
        config.serve.onnxruntime = Some(path);
    }
    if let Some(value) = environment(env::MODELGATE_SEED) {
        let expected = "expected a whole number from 0";
        let seed = value.parse().map_err(|_| ConfigError::Environment {
            name: env::MODELGATE_SEED,
            value,
            expected,
        })?;
        for pipeline in config.pipelines.values_mut() {
            pipeline.seed = seed;
        }
    }
    Ok(Loaded { config, path: path.to_owned() })
}

/// Reads the text of a project file; `path` is only for messages.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path) -> Result<ProjectConfig, ConfigError> {
    let content =
        text.lines().any(|line| !line.trim_start().is_empty() && !line.trim_start().starts_with('#'));
    if !content {
        let message = "the file is empty; `modelgate init` writes a first one".to_owned();
        return Err(ConfigError::Yaml { path: path.to_owned(), line: 1, column: 1, message });
    }
    let config: ProjectConfig =
        serde_saphyr::from_str(text).map_err(|error| yaml_error(&error, text, path))?;
    validate(&config, text, path)?;
    Ok(config)
}

/// A task that is asked for and not there yet.
const LATER_TASK: &str = "image_classification_cnn";

fn yaml_error(error: &serde_saphyr::Error, text: &str, path: &Path) -> ConfigError {
    let error = error.without_snippet();
    let location = error.location();
    let of_key = |what: String| {
        let key = location.and_then(|place| key_at(text, place.line(), place.column()));
        key.map_or_else(|| what.clone(), |key| format!("{key}: {what}"))
    };
    let message = match error {
        serde_saphyr::Error::NullIntoString { .. } => of_key("it is empty: expected a text".to_owned()),
        serde_saphyr::Error::InvalidScalar { ty, .. } => of_key(format!("expected {}", scalar(ty))),
        serde_saphyr::Error::Unexpected { expected: "mapping start", .. } => {
            of_key("expected keys with values, such as `key: value`".to_owned())
        }
        serde_saphyr::Error::Unexpected { expected: "sequence start", .. } => {
            of_key("expected a list, such as `[a, b]`".to_owned())
        }
        serde_saphyr::Error::Unexpected { expected: "string scalar" | "scalar", .. } => {
            of_key("expected one value".to_owned())
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. }
            if matches!(variant.as_str(), "" | "~" | "null") =>
        {
            of_key(format!("it is empty: expected one of {}", expected.join(", ")))
        }
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        serde_saphyr::Error::SerdeUnknownVariant { variant, .. } if variant == LATER_TASK => {
            format!("`{variant}` is not in this version; use `classification` or `regression`")
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` is not allowed here: expected one of {}", expected.join(", "))
        }
        serde_saphyr::Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            format!("the key `{}` stands here twice", key.as_deref().unwrap_or("?"))
        }
        // What the scanner says: the text is no YAML.
        serde_saphyr::Error::ExternalMessage { msg, .. } => {
            let place = location.map_or((1, 1), |place| (place.line(), place.column()));
            let (line, column, message) = syntax::told(&strip_location(msg), text, place);
            return ConfigError::Yaml { path: path.to_owned(), line, column, message };
        }
        other => strip_location(&other.to_string()),
    };
    let (line, column) = location.map_or((1, 1), |place| (place.line(), place.column()));
    ConfigError::Yaml { path: path.to_owned(), line, column, message }
}

/// Returns in words what a value is, by the library's name of it.
fn scalar(kind: &str) -> String {
    match kind {
        "floating point" => "a number, such as 0.5".to_owned(),
        "boolean" => "true or false".to_owned(),
        kind if kind.starts_with('u') => "a whole number from 0".to_owned(),
        kind if kind.starts_with('i') => "a whole number".to_owned(),
        kind => kind.to_owned(),
    }
}

/// The library ends its text with the place, which stands in front here.
fn strip_location(text: &str) -> String {
    let end = text.find(" at line ").unwrap_or(text.len());
    text[..end].lines().next().unwrap_or_default().to_owned()
}

/// Keys of what is asked for and not there yet, with what there is.
const LATER_KEYS: [(&str, &str); 3] = [
    ("drift", "drift is not measured in this version"),
    ("images", "models of images are not in this version"),
    (
        "mlflow",
        "an MLflow server of its own is not in this version; `model export` and `model import` exchange with one",
    ),
];

/// What other tools call a key, which no spelling brings near to ours.
const MEANT: [(&str, &str); 6] = [
    ("min", "at_least"),
    ("minimum", "at_least"),
    ("max", "at_most"),
    ("maximum", "at_most"),
    ("threshold", "at_least"),
    ("name", "id"),
];

fn unknown_key(field: &str, expected: &[&str]) -> String {
    if let Some((_, told)) = LATER_KEYS.iter().find(|(name, _)| *name == field) {
        return format!("unknown key `{field}`: {told}; take it out");
    }
    let meant = MEANT.iter().find(|(name, meant)| *name == field && expected.contains(meant));
    if let Some((_, meant)) = meant {
        return format!(
            "unknown key `{field}`; did you mean `{meant}`? valid keys here: {}",
            expected.join(", ")
        );
    }
    let nearest = expected
        .iter()
        .max_by(|one, other| strsim::jaro_winkler(field, one).total_cmp(&strsim::jaro_winkler(field, other)));
    let hint = nearest.filter(|name| strsim::jaro_winkler(field, name) > 0.7);
    let hint = hint.map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
    format!("unknown key `{field}`;{hint} valid keys here: {}", expected.join(", "))
}

/// Returns the configuration with what holds where nothing is said. What only the data tell stays open, such as `data.split.kind`.
pub fn with_defaults(config: &ProjectConfig) -> ProjectConfig {
    let mut config = config.clone();
    config.retention.rollback_targets.get_or_insert(ROLLBACK_TARGETS);
    let serve = &mut config.serve;
    serve.startup_timeout_seconds.get_or_insert(STARTUP_TIMEOUT_SECONDS);
    serve.out_of_range.get_or_insert(Unusual::Flag);
    serve.out_of_contract.get_or_insert(Unusual::Reject);
    serve.unknown_category.get_or_insert(Unusual::Reject);
    for pipeline in config.pipelines.values_mut() {
        let task = pipeline.task;
        if pipeline.train.command.is_some() {
            // It trains instead.
            pipeline.train.algorithm.clear();
        }
        pipeline.gate.rules.get_or_insert_with(|| default_rules(task));
        if let Some(search) = &mut pipeline.train.search {
            let metric = if task == TaskKind::Classification { "f1" } else { "rmse" };
            search.metric.get_or_insert_with(|| metric.to_owned());
        }
    }
    config
}

/// Returns the configuration as YAML with every default filled in.
///
/// # Errors
/// Fails when a parameter cannot be written as YAML.
pub fn show(config: &ProjectConfig) -> Result<String, String> {
    serde_saphyr::to_string(&with_defaults(config)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_shown() {
        let text = "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {source: a.csv, target: y}\n";
        let read = parse(text, Path::new("modelgate.yaml")).expect("valid");
        let shown = show(&read).expect("YAML");
        for line in [
            "rollback_targets: 2",
            "startup_timeout_seconds: 60",
            "out_of_range: flag",
            "out_of_contract: reject",
            "unknown_category: reject",
            "metric: rmse",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(shown.contains("algorithm: random_forest"), "{shown}");
        // What is shown can be used in its place.
        let again = parse(&shown, Path::new("modelgate.yaml")).expect("valid");
        assert_eq!(again, with_defaults(&read));
        // So can that of a program that trains, which no algorithm stands beside.
        let read = parse(&format!("{text}    train: {{command: x}}\n"), Path::new("modelgate.yaml"));
        let read = read.expect("valid");
        let shown = show(&read).expect("YAML");
        assert!(!shown.contains("algorithm"), "{shown}");
        let again = parse(&shown, Path::new("modelgate.yaml")).expect("valid");
        assert_eq!(with_defaults(&again), with_defaults(&read));
    }

    #[test]
    fn the_folders_own_registry_goes_before_the_address_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("modelgate.yaml");
        let text = "version: 1\nproject: p\nregistry: {uri: \"s3://b/p\"}\npipelines:\n  p:\n    task: regression\n    data: {source: a.csv, target: y}\n";
        fs_err::write(&path, text).expect("written");
        let uri = |set: Option<&str>| {
            let environment = |name: &str| (name == env::MODELGATE_REGISTRY_URI).then_some(set?.to_owned());
            load(&path, &environment).expect("a project").config.registry.uri
        };
        assert_eq!(uri(None).as_deref(), Some("s3://b/p"));
        assert_eq!(uri(Some("git+branch:modelgate")).as_deref(), Some("git+branch:modelgate"));
        assert_eq!(uri(Some("folder")), None);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_with_its_key_and_what_is_expected() {
        let text = "version: 1
project: p
pipelines:
  p:
    task: regression
    seed: 42
    data: {source: a.csv, target: y}
    train: {algorithm: ridge, params: {}}
    evaluate: {slices: [a]}
    gate:
      rules:
        - {metric: r2, at_least: 0.5}
";
        assert!(parse(text, Path::new("modelgate.yaml")).is_ok());
        for (right, wrong, told) in [
            ("project: p", "project:", "modelgate.yaml:2:8: project: it is empty: expected a text"),
            ("target: y", "target: ", "pipelines.p.data.target: it is empty: expected a text"),
            ("source: a.csv", "source: null", "pipelines.p.data.source: it is empty: expected a text"),
            ("algorithm: ridge", "algorithm: ", "pipelines.p.train.algorithm: it is empty"),
            (
                "task: regression",
                "task:",
                "pipelines.p.task: it is empty: expected one of classification, regression",
            ),
            ("seed: 42", "seed: -1", "pipelines.p.seed: expected a whole number from 0"),
            ("seed: 42", "seed: 4.2", "pipelines.p.seed: expected a whole number from 0"),
            ("at_least: 0.5", "at_least: 50%", "pipelines.p.gate.rules[0].at_least: expected a number"),
            ("slices: [a]", "slices: 3", "pipelines.p.evaluate.slices: expected a list"),
            ("data: {source: a.csv, target: y}", "data: []", "pipelines.p.data: expected keys with values"),
        ] {
            let error =
                parse(&text.replace(right, wrong), Path::new("modelgate.yaml")).expect_err(wrong).to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
