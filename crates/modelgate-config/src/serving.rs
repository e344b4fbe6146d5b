//! The part of the project file that says how models are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rollout::RolloutConfig;

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
