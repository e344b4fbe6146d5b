//! Reading the project file: strict, with the place of what is wrong.

use std::path::{Path, PathBuf};

use crate::env;
use crate::error::ConfigError;
use crate::params;
use crate::project::ProjectConfig;
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
        config.registry.uri = Some(uri);
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
    let config: ProjectConfig = serde_saphyr::from_str(text).map_err(|error| yaml_error(&error, path))?;
    validate(&config, text, path)?;
    Ok(config)
}

/// A task that is asked for and not there yet.
const LATER_TASK: &str = "image_classification_cnn";

fn yaml_error(error: &serde_saphyr::Error, path: &Path) -> ConfigError {
    let error = error.without_snippet();
    let location = error.location();
    let message = match error {
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
        other => strip_location(&other.to_string()),
    };
    let (line, column) = location.map_or((1, 1), |place| (place.line(), place.column()));
    ConfigError::Yaml { path: path.to_owned(), line, column, message }
}

/// The library ends its text with the place, which stands in front here.
fn strip_location(text: &str) -> String {
    let end = text.find(" at line ").unwrap_or(text.len());
    text[..end].lines().next().unwrap_or_default().to_owned()
}

fn unknown_key(field: &str, expected: &[&str]) -> String {
    let nearest = expected
        .iter()
        .max_by(|one, other| strsim::jaro_winkler(field, one).total_cmp(&strsim::jaro_winkler(field, other)));
    let hint = nearest.filter(|name| strsim::jaro_winkler(field, name) > 0.7);
    let hint = hint.map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
    format!("unknown key `{field}`;{hint} valid keys here: {}", expected.join(", "))
}

/// Returns the configuration as YAML with every default filled in.
///
/// # Errors
/// Fails when a parameter cannot be written as YAML.
pub fn show(config: &ProjectConfig) -> Result<String, String> {
    serde_saphyr::to_string(config).map_err(|error| error.to_string())
}
