//! The verdict as SARIF 2.1.0, which code hosts show beside a change.

use modelgate_core::verdict::{GateVerdict, Outcome};
use serde_json::{Value, json};

use super::escape::plain;

/// Returns text of which nothing is a link: SARIF reads `[words](target)` and `{0}` in a message, with a backslash before a
/// bracket that is none and a brace twice. Marks that would turn the direction of a line are dropped.
fn text(said: &str) -> String {
    let mut escaped = String::with_capacity(said.len());
    for letter in plain(said).chars() {
        match letter {
            '[' | ']' | '\\' => escaped.extend(['\\', letter]),
            '{' | '}' => escaped.extend([letter, letter]),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns the log; results stand at the project file, where the rules are.
pub fn sarif(verdict: &GateVerdict, pipeline: &str) -> Value {
    let rules: Vec<Value> = verdict
        .rules
        .iter()
        .map(|rule| {
            let what = plain(&format!("{} on {}", rule.metric, rule.on.rows_of(&rule.metric)));
            json!({ "id": plain(&rule.id), "name": plain(&rule.metric), "shortDescription": { "text": what } })
        })
        .collect();
    let results: Vec<Value> = verdict
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            // `level` is none for every kind but `fail`.
            let (kind, level) = match rule.outcome {
                Outcome::Passed => ("pass", "none"),
                Outcome::Failed => ("fail", "error"),
                Outcome::Inconclusive => ("open", "none"),
                Outcome::NotApplicable => ("notApplicable", "none"),
            };
            json!({
                "ruleId": plain(&rule.id),
                "ruleIndex": index,
                "kind": kind,
                "level": level,
                "message": { "text": text(&rule.sentence) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "modelgate.yaml" } } }],
                "partialFingerprints": { "modelgate/v1": format!("{pipeline}/{}", plain(&rule.id)) },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "modelgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "automationDetails": { "id": format!("modelgate/{pipeline}/") },
            "results": results,
        }],
    })
}
