//! The part of the project file that says who may do what: policies, notifications, signatures, retention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::RuleConfig;

/// What holds for every pipeline, whatever the pipeline says.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Rules of every gate; a pipeline adds its own and can neither drop nor change these. One on a figure of the other task
    /// is no rule of a pipeline.
    pub required_rules: Vec<RuleConfig>,
}

/// Where and of what a webhook tells.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// An `https://` address, or `http://` to a private one; nothing for no notification.
    pub url: Option<String>,
    /// The environment variable with the key that signs each message.
    pub secret_env: Option<String>,
    /// What is told; everything by default.
    pub events: Vec<NotifyEvent>,
    /// Whether the address may be one of a private network or this machine.
    pub allow_private: bool,
}

/// What a webhook can tell of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    /// A gate said no.
    VerdictFailed,
    /// A version waits for a person.
    ApprovalWanted,
    /// A version went to production.
    Promoted,
    /// Production went back.
    RolledBack,
    /// A version may not reach production any more.
    Quarantined,
}

/// Signatures of packages.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SigningConfig {
    /// Whether only a signed version reaches production.
    pub require_signature: bool,
    /// Files with the public keys that are believed, PEM, relative to the project.
    pub public_keys: Vec<String>,
}

/// How many versions that were in production before stay ready to be gone back to, where nothing is said.
pub const ROLLBACK_TARGETS: u32 = 2;

/// How long things are kept.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// For how long a version's artefacts are kept behind its last event, such as `90d`; for ever by default.
    pub keep: Option<String>,
    /// How many of the versions that were in production before stay ready to be gone back to; 2 by default.
    pub rollback_targets: Option<u32>,
}

/// Reads a duration such as `90d`, `12h`, `30m` or `45s`, in seconds.
///
/// # Errors
/// Says what is expected.
pub fn duration_seconds(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a duration: expected a number and `d`, `h`, `m` or `s`, such as `90d`");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = if digits { number.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    // A hundred years is as good as for ever, and stays inside what a clock can add.
    count.checked_mul(seconds).filter(|total| *total <= 100 * 366 * 86_400).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::duration_seconds;

    #[test]
    fn durations_are_read_and_others_refused() {
        assert_eq!(duration_seconds("90d"), Ok(7_776_000));
        assert_eq!(duration_seconds("0s"), Ok(0));
        for text in ["", "d", "90", "-1d", "1.5h", "1w", "99999999999999999999d", "9999999999d", "é"] {
            assert!(duration_seconds(text).is_err(), "{text}");
        }
    }
}
