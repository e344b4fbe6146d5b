//! What a stage did last time and from which inputs: the ground for not doing it again.
//!
//! The key type is [`StageRecord`], one small JSON file per stage in `.modelgate/cache/`.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::{Digest, canonical};
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::stage::Stage;

/// The inputs of a stage by name: digests, settings and the version of the code.
pub(crate) type Inputs = BTreeMap<String, serde_json::Value>;

/// What a stage read and what it left in the store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct StageRecord {
    /// The version of this form.
    pub(crate) schema_version: u32,
    /// The stage.
    pub(crate) stage: Stage,
    /// What it read.
    pub(crate) inputs: Inputs,
    /// What it left, by name; the bytes are in the store.
    pub(crate) outputs: BTreeMap<String, Digest>,
    /// One line for people.
    pub(crate) summary: String,
    /// What a person should know, such as a model that did not converge.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl StageRecord {
    /// Reads the record of `stage` in `folder`; `None` when there is none that can be read, since a damaged
    /// cache only costs doing the work again.
    pub(crate) fn load(folder: &Path, stage: Stage) -> Option<Self> {
        let text = fs_err::read_to_string(folder.join(format!("{stage}.json"))).ok()?;
        serde_json::from_str(&text)
            .ok()
            .filter(|record: &Self| record.schema_version == 1 && record.stage == stage)
    }

    /// Writes the record into `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), PipelineError> {
        atomic::write(&folder.join(format!("{}.json", self.stage)), canonical::to_pretty(self)?.as_bytes())?;
        Ok(())
    }
}

/// Returns in words how `now` differs from what a stage read last time; empty when it does not.
pub(crate) fn changes(before: &Inputs, now: &Inputs) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (before.get(name), now.get(name)) {
            (Some(old), Some(new)) if old != new => describe(name, old, new, &mut found),
            (Some(_), None) => found.push(format!("`{name}` is gone")),
            (None, Some(_)) => found.push(format!("`{name}` is new")),
            _ => {}
        }
    }
    found
}

fn describe(name: &str, old: &serde_json::Value, new: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value;
    match (old, new) {
        (Value::Object(before), Value::Object(now)) => {
            let keys: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for key in keys {
                let name = format!("{name}.{key}");
                // What is not there has another value than null, or none at all.
                let unset = |value: &Value| short(value).filter(|_| !value.is_null());
                match (before.get(key), now.get(key)) {
                    (Some(old), Some(new)) if old != new => describe(&name, old, new, found),
                    (Some(old), None) => found.push(match unset(old) {
                        Some(old) => format!("`{name}` was {old} and is not set"),
                        None => format!("`{name}` is gone"),
                    }),
                    (None, Some(new)) => found.push(match unset(new) {
                        Some(new) => format!("`{name}` was not set and is {new}"),
                        None => format!("`{name}` is new"),
                    }),
                    _ => {}
                }
            }
        }
        _ => match (short(old), short(new)) {
            (Some(old), Some(new)) => found.push(format!("`{name}` was {old} and is {new}")),
            _ => found.push(format!("`{name}` changed")),
        },
    }
}

/// Returns a value's text when it is short enough to be worth showing; a digest never is.
fn short(value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::String(text) if text.starts_with("sha256:") => return None,
        other => other.to_string(),
    };
    (text.len() <= 40).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_names_the_setting_and_both_values() {
        let inputs =
            |trees: u32| Inputs::from([("train".to_owned(), json!({"params": {"n_estimators": trees}}))]);
        assert_eq!(changes(&inputs(100), &inputs(50)), ["`train.params.n_estimators` was 100 and is 50"]);
        assert!(changes(&inputs(100), &inputs(100)).is_empty());
    }

    #[test]
    fn what_was_not_set_had_no_value() {
        let inputs =
            |params: serde_json::Value| Inputs::from([("train".to_owned(), json!({ "params": params }))]);
        let (one, other) = (inputs(json!({"max_depth": 3})), inputs(json!({"learning_rate": 0.1})));
        assert_eq!(
            changes(&one, &other),
            [
                "`train.params.learning_rate` was not set and is 0.1",
                "`train.params.max_depth` was 3 and is not set"
            ]
        );
        assert_eq!(
            changes(&inputs(json!({})), &inputs(json!({"x": Digest::of(b"a")}))),
            ["`train.params.x` is new"]
        );
    }

    #[test]
    fn a_changed_digest_is_not_printed() {
        let inputs = |text: &str| Inputs::from([("data".to_owned(), json!(Digest::of(text.as_bytes())))]);
        assert_eq!(changes(&inputs("a"), &inputs("b")), ["`data` changed"]);
    }
}
