//! The part of the project file that says where models are brought to.

use std::collections::BTreeMap;

use modelgate_core::metric::SMOKE;
use modelgate_core::rule::{GateRule, parse_expression};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where models are brought to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeployConfig {
    /// A Space of the Hugging Face Hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<SpaceConfig>,
}

/// A Space of the Hugging Face Hub.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpaceConfig {
    /// The Space, `owner/name`.
    pub repository: String,
    /// The model; that of the only pipeline by default.
    #[serde(default)]
    pub model: Option<String>,
    /// The Space that is tried first, `owner/name`; `<repository>-staging` by default.
    #[serde(default)]
    pub staging: Option<String>,
    /// The model repository with the weights, `owner/name`; named as the Space by default.
    #[serde(default)]
    pub model_repository: Option<String>,
    /// Whether new repositories are private.
    #[serde(default)]
    pub private: bool,
    /// The title on the Space's page; the project's name by default.
    #[serde(default)]
    pub title: Option<String>,
    /// Folders and files of the project that make an application of your own, each with its folder in the Space, such as
    /// `{app: src, model: model, results: metrics}`; nothing for the prediction service of modelgate.
    #[serde(default)]
    pub upload: BTreeMap<String, String>,
    /// The kind of a new Space with an application of your own.
    #[serde(default)]
    pub sdk: SpaceSdk,
    /// The path at which an application of your own answers 200 when it is well.
    #[serde(default = "default_health")]
    pub health: String,
    /// Variables of the Space that everybody can read.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Secrets of the Space, each with the environment variable that `deploy space` takes it from.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// What the prediction service must show before production follows, such as `p95_ms <= 800`; the rules of `serve smoke`
    /// by default.
    #[serde(default)]
    pub rules: Vec<String>,
    /// How long a Space may take to build and start, such as `15m`.
    #[serde(default = "default_timeout")]
    pub timeout: String,
}

fn default_health() -> String {
    "/".to_owned()
}

fn default_timeout() -> String {
    "15m".to_owned()
}

/// The kind of a Space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpaceSdk {
    /// A container, built from the Dockerfile in the Space.
    #[default]
    Docker,
    /// A Gradio application.
    Gradio,
    /// Files alone.
    Static,
}

impl SpaceSdk {
    /// Returns the Hub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Gradio => "gradio",
            Self::Static => "static",
        }
    }
}

/// Says what makes no sense: the key below `deploy.space`, and why.
pub(crate) fn check(space: &SpaceConfig) -> Result<(), (String, String)> {
    let wrong = |key: &str, message: String| Err((format!("deploy.space.{key}"), message));
    let ids = [
        ("repository", Some(&space.repository)),
        ("staging", space.staging.as_ref()),
        ("model_repository", space.model_repository.as_ref()),
    ];
    for (key, id) in ids {
        if let Some(id) = id.filter(|id| !modelgate_core::is_hub_repository(id)) {
            return wrong(key, format!("`{id}`: expected `owner/name`"));
        }
    }
    if let Some(Err(error)) = space.model.as_ref().map(|model| model.parse::<modelgate_core::ModelName>()) {
        return wrong("model", error.to_string());
    }
    if space.staging.as_ref() == Some(&space.repository) {
        return wrong("staging", "it is the Space itself: a model is tried in another one first".to_owned());
    }
    for (from, to) in &space.upload {
        let inside = |path: &str| {
            let path = path.trim_matches('/');
            !path.split(['/', '\\']).any(|part| part == "..") && !path.contains(':')
        };
        if from.is_empty() || from.starts_with('/') || !inside(from) || !inside(to) {
            return wrong(
                "upload",
                format!("`{from}: {to}`: expected a path in the project and a folder in the Space"),
            );
        }
    }
    let named = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for name in space.variables.keys() {
        if !named(name) {
            return wrong("variables", format!("`{name}` is no name of a variable"));
        }
        if name.starts_with("MODELGATE_MODEL_") {
            return wrong("variables", format!("`{name}` is set by each deployment"));
        }
    }
    for (name, from) in &space.secrets {
        if !named(name) || !named(from) {
            return wrong(
                "secrets",
                format!("`{name}: {from}`: expected the names of two variables, never a value"),
            );
        }
        if space.variables.contains_key(name) {
            return wrong("secrets", format!("`{name}` is a variable already"));
        }
    }
    if space.private && space.upload.is_empty() && !space.secrets.contains_key("HF_TOKEN") {
        let message = "the service could not read the weights of a private repository: add \
                       `secrets: {HF_TOKEN: NAME}`, where NAME holds a token that can read and no more";
        return wrong("private", message.to_owned());
    }
    if !space.health.starts_with('/') {
        return wrong("health", format!("`{}`: expected a path that begins with `/`", space.health));
    }
    for rule in &space.rules {
        if let Err(message) = smoke_rule(rule) {
            return wrong("rules", format!("`{rule}`: {message}"));
        }
    }
    crate::governance::duration_seconds(&space.timeout)
        .map(drop)
        .map_err(|message| ("deploy.space.timeout".to_owned(), message))
}

/// Reads a rule for a look at a running service, such as `p95_ms <= 50`.
///
/// # Errors
/// Says what is no rule, or what such a look does not measure.
pub fn smoke_rule(text: &str) -> Result<GateRule, String> {
    let rule = parse_expression(text).map_err(|error| error.to_string())?;
    if SMOKE.contains(&rule.metric.as_str()) {
        return Ok(rule);
    }
    Err(format!("`{}` is not measured there: measured are {}", rule.metric, SMOKE.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_about_what_is_not_measured_is_refused_with_what_is() {
        assert!(SMOKE.iter().all(|name| smoke_rule(&format!("{name} <= 1")).is_ok()));
        let error = smoke_rule("zzz <= 1").expect_err("refused");
        assert!(error.contains("`zzz` is not measured there") && error.contains("refused_rate"), "{error}");
        assert!(smoke_rule("p95_ms").expect_err("refused").contains("is not a rule"));
    }
}
