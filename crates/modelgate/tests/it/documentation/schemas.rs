//! The schemas that people validate against: whole, and with a page of their own.

use std::path::Path;

use modelgate_core::rule::Subset;
use modelgate_core::verdict::{Outcome, Verdict};
use serde_json::Value;

use super::fresh;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn read(name: &str) -> Value {
    let text = fs_err::read_to_string(folder().join(name)).expect("a schema");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Panics where `value` is not as `schema` has it; a keyword that is not known here is a panic too.
#[track_caller]
fn follows(value: &Value, schema: &Value, whole: &Value, at: &str) {
    for (keyword, wanted) in schema.as_object().unwrap_or_else(|| panic!("{at}: no schema")) {
        let fine = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = wanted.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("a name");
                follows(value, &whole["$defs"][name], whole, at);
                true
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("words").contains(value),
            "type" => {
                let kinds = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                kinds.iter().any(|kind| match kind.as_str().expect("a word") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64(),
                    other => panic!("{at}: the type {other} is not known here"),
                })
            }
            "required" => {
                let names = wanted.as_array().expect("names");
                value.as_object().is_none_or(|object| {
                    names.iter().all(|name| object.contains_key(name.as_str().expect("a name")))
                })
            }
            "properties" => {
                for (name, inner) in wanted.as_object().expect("properties") {
                    if let Some(value) = value.get(name) {
                        follows(value, inner, whole, &format!("{at}.{name}"));
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(wanted, false, "{at}: only `false` is known here");
                let known = schema["properties"].as_object().expect("properties");
                value.as_object().is_none_or(|object| object.keys().all(|name| known.contains_key(name)))
            }
            "items" => {
                for (place, one) in value.as_array().into_iter().flatten().enumerate() {
                    follows(one, wanted, whole, &format!("{at}[{place}]"));
                }
                true
            }
            "minItems" | "maxItems" => value.as_array().is_none_or(|list| {
                let count = list.len() as u64;
                let limit = wanted.as_u64().expect("a number");
                if keyword == "minItems" { count >= limit } else { count <= limit }
            }),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().expect("a number")),
            "pattern" => {
                assert_eq!(wanted, "^(sha256:)?[0-9a-f]{64}$", "{at}: only this pattern is known here");
                value.as_str().is_none_or(|text| {
                    let text = text.strip_prefix("sha256:").unwrap_or(text);
                    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                })
            }
            other => panic!("{at}: the keyword {other} is not known here"),
        };
        assert!(fine, "{at}: {value} is not as `{keyword}: {wanted}` has it");
    }
}

/// Panics where `verdict` is not as `schemas/verdict.schema.json` has it.
#[track_caller]
pub(crate) fn is_verdict(verdict: &Value) {
    let schema = read("verdict.schema.json");
    follows(verdict, &schema, &schema, "verdict");
}

/// Returns every word of an enum, which its reader names when it is given another.
fn words<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>("\"no such word\"") else { panic!("it takes any word") };
    let error = error.to_string();
    let words = error.split('`').skip(1).step_by(2).filter(|word| *word != "no such word");
    words.map(str::to_owned).collect()
}

#[test]
fn the_schema_of_verdicts_has_every_word_that_a_verdict_can_have() {
    let schema = read("verdict.schema.json");
    let known = |place: &Value| -> Vec<String> {
        let words = place["enum"].as_array().expect("words").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let rule = &schema["$defs"]["rule"]["properties"];
    let subsets = words::<Subset>();
    assert!(subsets.len() >= 5, "{subsets:?}");
    assert_eq!(known(&rule["on"]), subsets);
    for word in &subsets {
        let subset: Subset = serde_json::from_value(Value::from(word.as_str())).expect("a subset");
        assert_eq!(subset.as_str(), word);
    }
    assert_eq!(known(&rule["outcome"]), words::<Outcome>());
    assert_eq!(known(&schema["properties"]["verdict"]), words::<Verdict>());
}

#[test]
fn a_verdict_that_is_none_does_not_follow_the_schema() {
    let rule = serde_json::json!({
        "id": "a", "metric": "accuracy", "on": "shadow", "outcome": "passed", "value": 0.9, "limit": 0.8,
        "reference": null, "reference_name": null, "samples": 12, "sentence": "fine",
    });
    let verdict = serde_json::json!({
        "schema_version": 1, "verdict": "passed", "bootstrap": false, "digest": null, "sentence": "fine", "rules": [rule],
    });
    is_verdict(&verdict);
    for (path, wrong) in [
        ("/rules/0/on", Value::from("everywhere")),
        ("/rules/0/samples", Value::from(-1)),
        ("/rules/0/value", Value::from("0.9")),
        ("/digest", Value::from("sha256:12")),
        ("/schema_version", Value::from(2)),
    ] {
        let mut other = verdict.clone();
        *other.pointer_mut(path).expect("a place") = wrong;
        assert!(std::panic::catch_unwind(|| is_verdict(&other)).is_err(), "{path}");
    }
    let mut other = verdict.clone();
    other["more"] = Value::Null;
    assert!(std::panic::catch_unwind(|| is_verdict(&other)).is_err());
    let mut other = verdict;
    other.as_object_mut().expect("an object").remove("sentence");
    assert!(std::panic::catch_unwind(|| is_verdict(&other)).is_err());
}

#[test]
fn the_reference_of_schemas_is_fresh() {
    let mut names: Vec<String> = fs_err::read_dir(folder())
        .expect("schemas")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut page = String::from(
        "# Schemas\n\nGenerated from `schemas/`. JSON Schema, draft 2020-12, for editors and for programs that read what modelgate writes.\n\n| file | of what |\n|---|---|\n",
    );
    let mut texts = String::new();
    for name in &names {
        let schema = read(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        if name == "modelgate.schema.json" {
            page.push_str(&format!(
                "| `schemas/{name}` | the project file, which is described in [Configuration](configuration.md); `modelgate config schema` prints it |\n"
            ));
            continue;
        }
        let [title, about] = ["title", "description"].map(|key| schema[key].as_str().expect("a text"));
        page.push_str(&format!("| `schemas/{name}` | `{title}`: {about} |\n"));
        let text = fs_err::read_to_string(folder().join(name)).expect("a schema").replace("\r\n", "\n");
        texts.push_str(&format!("\n## {title}\n\n{about}\n\n```json\n{}\n```\n", text.trim_end()));
    }
    page.push_str(
        "\nThe schema of a service's requests and answers is its own `/openapi.json`, described in [Serve a model](../serving.md).\n",
    );
    page.push_str(&texts);
    fresh("reference/schemas.md", &page);
}
