//! The part of the project file that says how models are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rollout::RolloutConfig;

/// How long a start without a model may take, where nothing is said.
pub(crate) const STARTUP_TIMEOUT_SECONDS: u64 = 60;

/// How models are served.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// What must be known of a package before it is served.
    pub require: ServeRequire,
    /// What becomes of a number outside of the range of the training rows: answered with a warning by default.
    pub out_of_range: Option<Unusual>,
    /// What becomes of a number that the data contract does not allow: refused by default.
    pub out_of_contract: Option<Unusual>,
    /// What becomes of a category that training did not see: refused by default.
    pub unknown_category: Option<Unusual>,
    /// Features whose values the prediction log does not hold.
    pub redact: Vec<String>,
    /// Whether the service ends with an error when no model is there after `startup_timeout_seconds`, instead of waiting for
    /// one.
    pub require_production_model: bool,
    /// How long a start without a model may take, from 1 to 3600; 60 by default.
    pub startup_timeout_seconds: Option<u64>,
    /// The service that a promotion or a rollback tells to look for the new version, with `ADMIN_API_TOKEN`; nothing for
    /// none. The address of its `/admin/reload`, with that path.
    pub reload_url: Option<String>,
    /// The library of ONNX Runtime, relative to the project, for models that the built-in engine does not know and a
    /// modelgate with the feature `ort`: wherever one is loaded, not in the service alone.
    pub onnxruntime: Option<String>,
    /// How a new version is let at the requests.
    pub rollout: RolloutConfig,
}

impl ServeConfig {
    /// Returns what of this the service itself goes by, as a line of JSON for a place without a project, such as a
    /// container; `None` where it is what holds anyway. It has no blank, no `'` and no `$`: in single quotes it can stand in a
    /// Dockerfile as it is.
    pub fn carried(&self) -> Option<String> {
        let rollout =
            RolloutConfig { key_header: self.rollout.key_header.clone(), ..RolloutConfig::default() };
        // Whoever promotes tells the service, and a library stays on its machine.
        let own = Self { reload_url: None, onnxruntime: None, rollout, ..self.clone() };
        let said = differing(serde_json::to_value(&own).ok()?, serde_json::to_value(Self::default()).ok()?)?;
        let text = said.to_string();
        Some(text.replace(' ', "\\u0020").replace('\'', "\\u0027").replace('$', "\\u0024"))
    }

    /// Reads what [`carried`](Self::carried) wrote, or a person did.
    ///
    /// # Errors
    /// Says what is no setting of the service.
    pub fn from_carried(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        read.rollout.check().map_err(|(key, message)| format!("{key}: {message}"))?;
        Ok(read)
    }
}

/// Returns what of `value` is not as in `default`, by the keys of objects.
fn differing(value: Value, default: Value) -> Option<Value> {
    match (value, default) {
        (Value::Object(value), Value::Object(mut default)) => {
            let own = |(key, one): (String, Value)| {
                let of_default = default.remove(&key).unwrap_or_default();
                differing(one, of_default).map(|one| (key, one))
            };
            let kept: Map<String, Value> = value.into_iter().filter_map(own).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (value, default) => (value != default).then_some(value),
    }
}

/// What must be known of a package before it is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServeRequire {
    /// A passed verdict, bound to its digest.
    #[default]
    Verdict,
    /// Its own digests; it is shown as not verified.
    Digest,
}

/// What becomes of an unusual cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unusual {
    /// The request is refused.
    Reject,
    /// The request is answered, with a warning.
    Flag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_goes_by_is_carried_whole_and_nothing_else() {
        assert_eq!(ServeConfig::default().carried(), None);
        let text = "
require: digest
out_of_range: reject
out_of_contract: flag
unknown_category: flag
redact: [mean radius, \"it's $5, \\\"so\\\"\", größe]
require_production_model: true
startup_timeout_seconds: 5
reload_url: http://127.0.0.1:8080/admin/reload
onnxruntime: lib/libonnxruntime.so
rollout: {key_header: x-user, shadow: 10}
";
        let config: ServeConfig = serde_saphyr::from_str(text).expect("settings");
        let line = config.carried().expect("something to say");
        assert!(!line.contains([' ', '\'', '$', '\n']), "{line}");
        assert!(
            !line.contains("reload") && !line.contains("onnxruntime") && !line.contains("shadow"),
            "{line}"
        );
        let mut expected = ServeConfig { reload_url: None, onnxruntime: None, ..config };
        expected.rollout.shadow = 0;
        assert_eq!(ServeConfig::from_carried(&line), Ok(expected));
        // What goes by without the service leaves nothing to say.
        let beside =
            ServeConfig { reload_url: Some("http://x/admin/reload".to_owned()), ..ServeConfig::default() };
        assert_eq!(beside.carried(), None);
    }

    #[test]
    fn what_is_no_setting_is_named() {
        let said = |text: &str| ServeConfig::from_carried(text).expect_err("refused");
        assert!(said("{\"redcat\":[]}").contains("redcat"));
        assert!(said("{\"out_of_range\":\"drop\"}").contains("drop"));
        assert!(said("{\"rollout\":{\"key_header\":\"a b\"}}").contains("serve.rollout.key_header"));
        assert!(said("out_of_range: reject").contains("line 1"));
    }
}
