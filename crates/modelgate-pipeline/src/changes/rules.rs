//! How the rules of two gates differ, rule by rule: a list that changed somewhere hides that a rule is gone.

use std::collections::{BTreeMap, BTreeSet};

use modelgate_config::{RuleConfig, TaskKind, default_rules};
use serde::Deserialize as _;
use serde_json::{Map, Value};

/// The rules of a list by their ids, each as it is written.
type Rules = BTreeMap<String, Map<String, Value>>;

/// Takes the rules out of two pipelines' settings and returns in words how they differ, those that no pipeline may drop
/// first. What cannot be read as rules stays where it is.
pub(super) fn told(before: &mut Map<String, Value>, now: &mut Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, place) in [("required rule", ["policy", "required_rules"]), ("rule", ["gate", "rules"])] {
        let (Some(old), Some(new)) = (rules(before, place), rules(now, place)) else { continue };
        lines.extend(differences(what, &old, &new));
        for settings in [&mut *before, &mut *now] {
            if let Some(Value::Object(outer)) = settings.get_mut(place[0]) {
                outer.remove(place[1]);
            }
        }
    }
    lines
}

/// Returns the rules at a place of the settings; the default ones of the task where a gate names none.
fn rules(settings: &Map<String, Value>, [outer, inner]: [&str; 2]) -> Option<Rules> {
    let written = settings.get(outer)?.get(inner)?;
    let list: Vec<RuleConfig> = if written.is_null() {
        default_rules(TaskKind::deserialize(settings.get("task")?).ok()?)
    } else {
        Vec::deserialize(written).ok()?
    };
    let named = list.into_iter().map(|rule| {
        let id = rule.to_rule().ok()?.id;
        let Value::Object(mut said) = serde_json::to_value(rule).ok()? else { return None };
        said.remove("id");
        Some((id, said))
    });
    named.collect()
}

fn differences(what: &str, old: &Rules, new: &Rules) -> Vec<String> {
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (mut gone, mut other, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        match (old.get(id), new.get(id)) {
            (Some(_), None) => gone.push(format!("{what} `{id}` is gone")),
            (None, Some(_)) => added.push(format!("{what} `{id}` is new")),
            (Some(old), Some(new)) if old != new => {
                other.push(format!("{what} `{id}`: {}", settings(old, new)));
            }
            _ => {}
        }
    }
    [gone, other, added].concat()
}

/// Returns how a rule was written and how it is.
fn settings(old: &Map<String, Value>, new: &Map<String, Value>) -> String {
    let said = |value: Option<&Value>| match value {
        None => "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let words = changed.map(|key| format!("{key} {} → {}", said(old.get(key)), said(new.get(key))));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::configuration;

    #[test]
    fn a_rule_that_is_gone_or_asks_otherwise_is_told_first_and_by_its_name() {
        let before = json!({
            "gate": { "on": "validation", "rules": [
                { "id": "no-regression", "metric": "f1", "versus": "production", "max_drop": 0.01 },
                { "metric": "accuracy", "at_least": 0.9 },
            ]},
            "policy": { "required_rules": [{ "id": "floor", "metric": "f1", "at_least": 0.6 }] },
            "seed": 1,
            "signing": { "require_signature": true },
            "task": "classification",
        });
        let now = json!({
            "gate": { "on": "validation", "rules": [
                { "id": "no-regression", "metric": "f1", "versus": "production", "max_drop": 0.9, "min_samples": 5 },
                { "id": "calm", "metric": "log_loss", "at_most": 1.0 },
            ]},
            "policy": { "required_rules": [] },
            "seed": 2,
            "signing": { "require_signature": false },
            "task": "classification",
        });
        assert_eq!(
            configuration(&before, &now),
            [
                "required rule `floor` is gone",
                "rule `min-accuracy` is gone",
                "rule `no-regression`: max_drop 0.01 → 0.9, min_samples not set → 5",
                "rule `calm` is new",
                "`seed` was 1 and is 2",
                "`signing.require_signature` was true and is false",
            ]
        );
        assert!(configuration(&before, &before).is_empty());
    }

    #[test]
    fn a_record_that_does_not_say_what_the_project_asked_tells_no_change_of_it() {
        let mut before = json!({ "task": "classification", "gate": { "rules": null } });
        let mut now = before.clone();
        now["policy"] = json!({ "required_rules": [{ "id": "floor", "metric": "f1", "at_least": 0.6 }] });
        assert!(configuration(&before, &now).is_empty());
        // A gate that names no rules has those of its task.
        now["gate"]["rules"] = json!([]);
        let told = configuration(&before, &now);
        assert!(!told.is_empty() && told.iter().all(|line| line.ends_with("is gone")), "{told:?}");
        // What is no list of rules is told as any other setting.
        before["gate"]["rules"] = json!("none");
        assert_eq!(configuration(&before, &now), ["`gate.rules` was \"none\" and is []"]);
    }
}
