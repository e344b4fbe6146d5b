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

/// Returns a path as a relative reference of URIs has it.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

/// Returns the log; results stand where the rules are, in the project file, which is `file` from the root of the repository,
/// on the line that `line_of` finds for a rule.
///
/// What is uploaded takes the place of what was uploaded before under the same name: projects in other folders have others.
pub fn sarif(verdict: &GateVerdict, pipeline: &str, file: &str, line_of: &dyn Fn(&str) -> u64) -> Value {
    let whose = match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{pipeline}"),
        None => pipeline.to_owned(),
    };
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
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(file) },
                    "region": { "startLine": line_of(&rule.id) },
                } }],
                "partialFingerprints": { "modelgate/v1": format!("{whose}/{}", plain(&rule.id)) },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "modelgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "automationDetails": { "id": format!("modelgate/{whose}/") },
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use modelgate_core::Verdict;
    use modelgate_core::rule::Subset;
    use modelgate_core::verdict::RuleResult;

    use super::*;

    #[test]
    fn results_stand_on_the_line_of_their_rule_in_the_file_of_their_project() {
        let rule = RuleResult::without_figures("floor", "f1", Subset::Validation, Outcome::Failed, "too low");
        let verdict = GateVerdict {
            schema_version: 1,
            verdict: Verdict::Failed,
            bootstrap: false,
            digest: None,
            sentence: String::new(),
            rules: vec![rule],
            doubts: Vec::new(),
        };
        let log = sarif(&verdict, "wine", "teams/our us/modelgate.yaml", &|_| 13);
        let (run, result) = (&log["runs"][0], &log["runs"][0]["results"][0]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "teams/our%20us/modelgate.yaml");
        assert_eq!(place["region"]["startLine"], 13);
        assert_eq!(result["partialFingerprints"]["modelgate/v1"], "teams/our us/wine/floor");
        assert_eq!(run["automationDetails"]["id"], "modelgate/teams/our us/wine/");
        // A project that is the repository has the names that it always had.
        let log = sarif(&verdict, "wine", "modelgate.yaml", &|_| 1);
        assert_eq!(log["runs"][0]["automationDetails"]["id"], "modelgate/wine/");
        assert_eq!(log["runs"][0]["results"][0]["partialFingerprints"]["modelgate/v1"], "wine/floor");
    }
}
