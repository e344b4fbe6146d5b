//! What changed between the production model and the candidate: settings, and the training rows by their profiles.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::Digest;
use modelgate_core::verdict::figure;
use serde_json::{Map, Value, json};

use crate::error::PipelineError;
use crate::project::Pipeline;
use crate::record;
use crate::stages::contract::read_contract;

/// What is attached to a version beside its pipeline's settings: what the project says for all its pipelines, and the files that
/// settings name, whose content decides.
const BESIDE: [&str; 4] = ["policy", "signing", CONTRACT, KEYS];

/// The contract, limit by limit.
const CONTRACT: &str = "contract";

/// The digest of each file of `signing.public_keys`.
const KEYS: &str = "public key";

/// Returns what decides how a model is made and let in: the pipeline's settings with its contract, and the project's rules and
/// signatures with the keys.
pub(crate) fn settings(pipeline: &Pipeline<'_>) -> Result<Value, PipelineError> {
    let mut settings = serde_json::to_value(pipeline.config)?;
    if let Value::Object(settings) = &mut settings {
        let project = &pipeline.project.config;
        settings.insert(BESIDE[0].to_owned(), json!(project.policy));
        settings.insert(BESIDE[1].to_owned(), json!(project.signing));
        settings.extend(of_files(pipeline)?);
    }
    Ok(settings)
}

/// Returns what stands in the files that settings name.
pub(crate) fn of_files(pipeline: &Pipeline<'_>) -> Result<Map<String, Value>, PipelineError> {
    let contract = read_contract(pipeline)?.map(|(contract, _)| contract);
    let digest = |name: &String| {
        // A key that cannot be read is told by what asks for it.
        fs_err::read(pipeline.project.root.join(name)).ok().map(|bytes| Digest::of(&bytes))
    };
    let names = &pipeline.project.config.signing.public_keys;
    let keys: BTreeMap<&String, Option<Digest>> = names.iter().map(|name| (name, digest(name))).collect();
    Ok(Map::from_iter([(CONTRACT.to_owned(), json!(contract)), (KEYS.to_owned(), json!(keys))]))
}

/// Returns how the settings of two versions differ, in words; first of all how the rules do that they were judged by.
pub(crate) fn configuration(before: &Value, now: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(now)) = (before, now) else { return Vec::new() };
    let (mut before, mut now) = (before.clone(), now.clone());
    for name in BESIDE {
        // An older record does not say: that is no change.
        if !(before.contains_key(name) && now.contains_key(name)) {
            before.remove(name);
            now.remove(name);
        }
    }
    let mut lines = rules::told(&mut before, &mut now);
    lines.extend(record::changes(&before.into_iter().collect(), &now.into_iter().collect()));
    lines
}

/// A mean that moved by less than this many standard deviations is not told.
const SHIFT: f64 = 0.1;
/// A spread and a move of so small a part of the mean are how a sum is rounded.
const ROUNDING: f64 = 1e-9;
/// A share that moved by less than this is not told.
const SHARE: f64 = 0.02;

/// Returns how two training profiles (`reference.json`) differ, in words; the largest movements first within a kind.
pub(crate) fn data(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let rows = |profile: &Value| profile.get("rows").and_then(Value::as_u64).unwrap_or(0);
    if rows(before) != rows(now) {
        lines.push(format!("training rows: {} → {}", rows(before), rows(now)));
    }
    let empty = Map::new();
    let columns = |profile: &'_ Value| profile.get("columns").and_then(Value::as_object).cloned();
    let (old, new) = (columns(before).unwrap_or_else(|| empty.clone()), columns(now).unwrap_or(empty));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut moved: Vec<(f64, String)> = Vec::new();
    for name in names {
        match (old.get(name), new.get(name)) {
            (None, Some(_)) => lines.push(format!("column `{name}` is new")),
            (Some(_), None) => lines.push(format!("column `{name}` is gone")),
            (Some(old), Some(new)) => column(name, old, new, &mut lines, &mut moved),
            (None, None) => {}
        }
    }
    moved.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    lines.extend(moved.into_iter().map(|(_, line)| line));
    lines
}

fn column(name: &str, old: &Value, new: &Value, lines: &mut Vec<String>, moved: &mut Vec<(f64, String)>) {
    let number = |profile: &Value, key: &str| profile.get(key).and_then(Value::as_f64);
    if old.get("type") != new.get("type") {
        let word = |profile: &Value| profile.get("type").and_then(Value::as_str).unwrap_or("?").to_owned();
        lines.push(format!("column `{name}` was {} and is {}", word(old), word(new)));
        return;
    }
    let share = |profile: &Value| {
        let (count, nulls) =
            (number(profile, "count").unwrap_or(0.0), number(profile, "nulls").unwrap_or(0.0));
        if count + nulls > 0.0 { nulls / (count + nulls) } else { 0.0 }
    };
    let (before, now) = (share(old), share(new));
    if (before - now).abs() >= SHARE {
        lines.push(format!("column `{name}`: missing {:.1}% → {:.1}%", before * 100.0, now * 100.0));
    }
    if let (Some(before), Some(now), Some(std)) =
        (number(old, "mean"), number(new, "mean"), number(old, "std"))
    {
        let (was, is) = (figure(before), figure(now));
        if std <= ROUNDING * before.abs() {
            // No spread to measure it by: any move is farther than every other column's.
            if (now - before).abs() > ROUNDING * before.abs().max(now.abs()) {
                moved.push((f64::INFINITY, format!("column `{name}`: {was} in every row → mean {is}")));
            }
        } else if ((now - before) / std).abs() >= SHIFT {
            let shift = (now - before) / std;
            let line = format!("column `{name}`: mean {was} → {is} ({shift:+.2} standard deviations)");
            moved.push((shift.abs(), line));
        }
    }
    let categories = |profile: &Value| -> Map<String, Value> {
        profile.get("categories").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (before, now) = (categories(old), categories(new));
    for value in now.keys().filter(|value| !before.contains_key(*value)).take(10) {
        lines.push(format!("column `{name}`: `{value}` is new"));
    }
    for value in before.keys().filter(|value| !now.contains_key(*value)).take(10) {
        lines.push(format!("column `{name}`: `{value}` is gone"));
    }
    let total = |profile: &Value| number(profile, "count").unwrap_or(0.0).max(1.0);
    for (value, count) in &now {
        let Some(earlier) = before.get(value).and_then(Value::as_f64) else { continue };
        let (was, is) = (earlier / total(old), count.as_f64().unwrap_or(0.0) / total(new));
        if (is - was).abs() >= SHARE * 2.5 {
            let line = format!("column `{name}`: `{value}` {:.1}% → {:.1}%", was * 100.0, is * 100.0);
            moved.push(((is - was).abs() * 10.0, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_moved_in_the_data_is_told_in_order() {
        let before = json!({ "rows": 100, "columns": {
            "age": { "type": "float", "count": 100, "nulls": 0, "mean": 40.0, "std": 10.0 },
            "city": { "type": "text", "count": 100, "nulls": 0, "categories": { "Oslo": 50, "Rome": 50 } },
            "old": { "type": "int", "count": 100, "nulls": 0 },
        }});
        let mut now = before.clone();
        now["rows"] = json!(120);
        now["columns"]["age"]["mean"] = json!(45.0);
        now["columns"]["age"]["nulls"] = json!(25);
        now["columns"]["city"]["categories"] = json!({ "Oslo": 80, "Bern": 20 });
        now["columns"].as_object_mut().expect("columns").remove("old");
        assert_eq!(
            data(&before, &now),
            [
                "training rows: 100 → 120",
                "column `age`: missing 0.0% → 20.0%",
                "column `city`: `Bern` is new",
                "column `city`: `Rome` is gone",
                "column `old` is gone",
                "column `city`: `Oslo` 50.0% → 80.0%",
                "column `age`: mean 40 → 45 (+0.50 standard deviations)",
            ]
        );
        assert!(data(&before, &before).is_empty());
    }

    #[test]
    fn a_weakened_contract_and_an_exchanged_key_are_told() {
        let settings = |max: u32, key: &str| {
            json!({
                "contract": { "columns": { "age": { "type": "int", "max": max } } },
                "public key": { "release.pub": Digest::of(key.as_bytes()) },
                "seed": 1,
            })
        };
        assert_eq!(
            configuration(&settings(10, "one"), &settings(100, "other")),
            ["`contract.columns.age.max` was 10 and is 100", "`public key.release.pub` changed"]
        );
        assert!(configuration(&json!({ "seed": 1 }), &settings(10, "one")).is_empty());
    }

    #[test]
    fn a_constant_that_became_another_is_told_first() {
        let columns = |k: f64, std: f64, z: f64| {
            json!({ "rows": 100, "columns": {
                "k": { "type": "float", "count": 100, "nulls": 0, "mean": k, "std": std },
                "z": { "type": "float", "count": 100, "nulls": 0, "mean": z, "std": 1.0 },
            }})
        };
        let told =
            ["column `k`: 5 in every row → mean 100", "column `z`: mean 0 → 3 (+3.00 standard deviations)"];
        assert_eq!(data(&columns(5.0, 0.0, 0.0), &columns(100.0, 0.0, 3.0)), told);
        // A mean of equal numbers is not the number to the last digit.
        assert_eq!(data(&columns(5.0, 1e-15, 0.0), &columns(100.0, 0.0, 3.0)), told);
        assert!(data(&columns(0.1, 1e-17, 0.0), &columns(0.1 + 1e-16, 0.0, 0.0)).is_empty());
        assert!(data(&columns(0.0, 0.0, 0.0), &columns(0.0, 0.0, 0.0)).is_empty());
    }
}
