//! The verdict as SARIF 2.1.0, which code hosts show beside a change.

use modelgate_core::verdict::{GateVerdict, Outcome};
use serde_json::{Value, json};

/// Returns the log; results stand at the project file, where the rules are.
pub fn sarif(verdict: &GateVerdict, pipeline: &str) -> Value {
    let rules: Vec<Value> = verdict
        .rules
        .iter()
        .map(|rule| {
            let text = format!("{} on {}", rule.metric, rule.on);
            json!({ "id": rule.id, "name": rule.metric, "shortDescription": { "text": text } })
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
                "ruleId": rule.id,
                "ruleIndex": index,
                "kind": kind,
                "level": level,
                "message": { "text": rule.sentence },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "modelgate.yaml" } } }],
                "partialFingerprints": { "modelgate/v1": format!("{pipeline}/{}", rule.id) },
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
