//! A check run with annotations; a commit status where the token may not make check runs.

use modelgate_core::Verdict;
use serde_json::{Value, json};

use super::client::Client;
use super::context::Context;
use super::{Saying, escape};
use crate::error::DeployError;

/// Characters of a check run's summary and text, each.
const LONGEST: usize = 65_535;
/// Annotations of one request.
const ANNOTATIONS: usize = 50;
/// Characters of a status's description.
const DESCRIPTION: usize = 140;

/// A sentence about a line of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// The file, from the repository's root.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// Whether it failed; else it is only worth a look.
    pub failed: bool,
    /// A few words.
    pub title: String,
    /// The sentence.
    pub message: String,
}

fn conclusion(saying: &Saying) -> &'static str {
    match saying.verdict {
        Verdict::Failed => "failure",
        Verdict::Passed if is_done(saying) => "success",
        Verdict::Inconclusive | Verdict::Passed => "neutral",
    }
}

/// What waits for a person, and what passed on a sample alone, is not done.
fn is_done(saying: &Saying) -> bool {
    !saying.waiting && !saying.sampled
}

/// Makes the check run or the status and says which.
pub(super) fn say(client: &Client, context: &Context, saying: &Saying) -> Result<String, DeployError> {
    let name = format!("modelgate: {}", saying.name);
    let annotations: Vec<Value> = saying
        .annotations
        .iter()
        .map(|one| {
            json!({
                "path": one.path,
                "start_line": one.line,
                "end_line": one.line,
                "annotation_level": if one.failed { "failure" } else { "warning" },
                "title": one.title,
                "message": one.message,
            })
        })
        .collect();
    let output = |annotations: &[Value]| {
        json!({
            "title": saying.title.chars().take(200).collect::<String>(),
            "summary": escape::cut(&saying.report, LONGEST, "the whole report is in the run"),
            "annotations": annotations,
        })
    };
    let mut pages = annotations.chunks(ANNOTATIONS);
    let mut body = json!({
        "name": name,
        "head_sha": context.sha,
        "status": "completed",
        "conclusion": conclusion(saying),
        "output": output(pages.next().unwrap_or_default()),
    });
    if let Some(url) = &context.run_url {
        body["details_url"] = json!(url);
    }
    match client.send("POST", &context.at("check-runs"), Some(body)) {
        Ok(made) => {
            // What did not fit into the first request is added to it.
            let id = made.body["id"].as_u64();
            for (page, id) in pages.zip(std::iter::repeat(id)) {
                let Some(id) = id else { break };
                let body = json!({ "output": output(page) });
                let _ = client.send("PATCH", &context.at(&format!("check-runs/{id}")), Some(body))?;
            }
            return Ok(format!("made the check run `{name}`: {}", conclusion(saying)));
        }
        // A person's token cannot make check runs, and one without `checks: write` may not.
        Err(DeployError::Refused { status: 403 | 404, .. }) => {}
        Err(error) => return Err(error),
    }
    let state = match conclusion(saying) {
        // A status knows no neutral: nothing was refused, and nothing is done.
        "neutral" => "pending",
        state => state,
    };
    let mut body = json!({
        "state": state,
        "context": name,
        "description": saying.title.chars().take(DESCRIPTION).collect::<String>(),
    });
    if let Some(url) = &context.run_url {
        body["target_url"] = json!(url);
    }
    match client.send("POST", &context.at(&format!("statuses/{}", context.sha)), Some(body)) {
        Ok(_) => Ok(format!("made the status `{name}`: {state}")),
        Err(DeployError::Refused { status: 403 | 404, reason, .. }) => {
            Ok(format!("the token may make neither a check run nor a status ({reason})"))
        }
        Err(error) => Err(error),
    }
}
