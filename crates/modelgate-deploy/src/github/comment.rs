//! One comment per pull request and report, or one issue per title: found by its marker and its author, written again in place.

use serde_json::{Value, json};

use super::client::Client;
use super::context::{Context, PullRequest};
use super::{Saying, escape};
use crate::error::DeployError;

/// Characters of a comment, as GitHub has it.
const LONGEST: usize = 65_536;
/// Who writes with the token of a workflow.
const WORKFLOW_AUTHOR: &str = "github-actions[bot]";
/// Pages of 100 comments that are looked through.
const PAGES: usize = 50;

fn marker(name: &str) -> String {
    // A name that would end the comment of HTML is no name of a pipeline, and could be one of a caller's.
    let name: String =
        name.chars().filter(|letter| letter.is_alphanumeric() || "-_. ".contains(*letter)).collect();
    format!("<!-- modelgate:report={name} -->")
}

/// Returns of which commit it is said, and by which run: a comment that an earlier push left is known by it.
fn whence(context: &Context) -> String {
    let run = context.run_url.as_deref().map(|url| format!(", in [this run]({url})"));
    format!("\n\n---\nOf the commit `{}`{}.\n", context.sha, run.unwrap_or_default())
}

/// Returns the comment's text: the marker, then the report, cut to what fits, then the plots, then whence it is.
fn body(saying: &Saying, context: &Context, plots: &str) -> String {
    let more = context.run_url.as_deref().map(|url| format!("the whole report is in [the run]({url})"));
    let more = more.unwrap_or_else(|| "the whole report is in the run".to_owned());
    let (marker, whence) = (marker(&saying.name), whence(context));
    let taken = marker.chars().count() + 1 + plots.chars().count() + whence.chars().count();
    let report = escape::cut(saying.report.trim_end(), LONGEST.saturating_sub(taken), &more);
    format!("{marker}\n{report}{plots}{whence}")
}

/// Returns who we are: the token's user; the application's, which may not ask for a user; or the author of workflows.
fn author(client: &Client, context: &Context) -> Result<String, DeployError> {
    let refused = |error: &DeployError| matches!(error, DeployError::Refused { status: 401..=404, .. });
    match client.get(&format!("{}/user", context.api)) {
        Ok(answer) => return Ok(answer.body["login"].as_str().unwrap_or(WORKFLOW_AUTHOR).to_owned()),
        Err(DeployError::Refused { status: 403 | 404, .. }) => {}
        Err(error) => return Err(error),
    }
    match client.query("{ viewer { login } }", &context.graphql()) {
        Ok(answer) => {
            let login = answer.body["data"]["viewer"]["login"].as_str();
            Ok(login.unwrap_or(WORKFLOW_AUTHOR).to_owned())
        }
        Err(error) if refused(&error) => Ok(WORKFLOW_AUTHOR.to_owned()),
        Err(error) => Err(error),
    }
}

/// Returns what the pages from `url` list, by what `keep` makes of each.
fn listed<T>(
    client: &Client,
    context: &Context,
    url: String,
    keep: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, DeployError> {
    let (mut found, mut url, mut pages) = (Vec::new(), Some(url), 0);
    let here = format!("{}/", context.api);
    while let Some(page) = url.take().filter(|_| pages < PAGES) {
        pages += 1;
        let answer = client.get(&page)?;
        let Some(all) = answer.body.as_array() else {
            return Err(DeployError::Place(format!(
                "{page} was answered with JSON that is no list: is GITHUB_API_URL the API of GitHub?"
            )));
        };
        found.extend(all.iter().filter_map(&keep));
        // A page of another server is not followed: the token would go there.
        url = answer.next.filter(|next| next.starts_with(&here));
    }
    Ok(found)
}

/// Returns the number (`field`) of what we wrote with the marker.
fn ours(one: &Value, field: &str, author: &str, marker: &str) -> Option<u64> {
    let marked = one["body"].as_str().is_some_and(|body| body.starts_with(marker));
    let written_by_us = one["user"]["login"].as_str() == Some(author);
    one[field].as_u64().filter(|_| marked && written_by_us)
}

/// Writes the comment; returns its address and what was done. Further ones of ours, left by two runs at a time, are removed.
pub(super) fn upsert(
    client: &Client,
    context: &Context,
    pull: &PullRequest,
    saying: &Saying,
    plots: &str,
) -> Result<(String, &'static str), DeployError> {
    let (marker, author) = (marker(&saying.name), author(client, context)?);
    let comments = context.at(&format!("issues/{}/comments", pull.number));
    let all = format!("{comments}?per_page=100");
    let mut found = listed(client, context, all, |comment| ours(comment, "id", &author, &marker))?;
    // Oldest first.
    found.sort_unstable();
    let body = json!({ "body": body(saying, context, plots) });
    let mut written = None;
    if let Some(id) = found.first() {
        let url = context.at(&format!("issues/comments/{id}"));
        match client.send("PATCH", &url, Some(body.clone())) {
            Ok(answer) => written = Some((answer, "wrote again")),
            // Somebody removed it meanwhile.
            Err(DeployError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let (answer, how) = match written {
        Some(written) => written,
        None => (client.send("POST", &comments, Some(body))?, "wrote"),
    };
    for id in found.iter().skip(1) {
        match client.send("DELETE", &context.at(&format!("issues/comments/{id}")), None) {
            Ok(_) | Err(DeployError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((address(client, &answer.body)?, how))
}

/// Keeps one open issue while the verdict is not `passed`, and closes it when it is; returns a sentence.
pub(super) fn issue(
    client: &Client,
    context: &Context,
    title: &str,
    saying: &Saying,
    plots: &str,
) -> Result<String, DeployError> {
    let (marker, author) = (marker(&saying.name), author(client, context)?);
    let all = context.at("issues?state=open&per_page=100");
    let found = listed(client, context, all, |issue| {
        // Pull requests are listed among issues.
        let is_it = issue["title"].as_str() == Some(title) && issue["pull_request"].is_null();
        ours(issue, "number", &author, &marker).filter(|_| is_it)
    })?;
    let open = found.iter().min();
    let passed = saying.verdict == modelgate_core::Verdict::Passed;
    let text = body(saying, context, plots);
    let (answer, how) = match (open, passed) {
        (None, true) => return Ok(format!("all is well: there is no issue `{title}` to close")),
        (None, false) => {
            let body = json!({ "title": title, "body": text });
            (client.send("POST", &context.at("issues"), Some(body))?, "opened")
        }
        (Some(number), _) => {
            let mut body = json!({ "body": text });
            // A sample does not say that all is well again.
            let passed = passed && !saying.sampled;
            if passed {
                body["state"] = json!("closed");
                body["state_reason"] = json!("completed");
            }
            let url = context.at(&format!("issues/{number}"));
            (client.send("PATCH", &url, Some(body))?, if passed { "closed" } else { "wrote again" })
        }
    };
    Ok(format!("{how} the issue {}", address(client, &answer.body)?))
}

/// Returns where people see what was written; an answer without it is of somebody else than GitHub.
fn address(client: &Client, written: &Value) -> Result<String, DeployError> {
    match written["html_url"].as_str() {
        Some(url) => Ok(url.to_owned()),
        None if client.is_dry() => Ok(String::new()),
        None => Err(DeployError::Place(
            "the answer names no address of what was written: is GITHUB_API_URL the API of GitHub?"
                .to_owned(),
        )),
    }
}
