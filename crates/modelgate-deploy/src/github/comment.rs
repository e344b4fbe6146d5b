//! One comment per pull request and report: found by its marker and its author, written again in place.

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

/// Returns the comment's text: the marker, then the report, cut to what fits.
pub(super) fn body(saying: &Saying, context: &Context) -> String {
    let more = context.run_url.as_deref().map(|url| format!("the whole report is in [the run]({url})"));
    let more = more.unwrap_or_else(|| "the whole report is in the run".to_owned());
    let marker = marker(&saying.name);
    let room = LONGEST - marker.chars().count() - 1;
    format!("{marker}\n{}", escape::cut(&saying.report, room, &more))
}

/// Returns who we are: the token's user, or, since the token of a workflow may not ask that, the author of workflows.
fn author(client: &Client, context: &Context) -> Result<String, DeployError> {
    match client.get(&format!("{}/user", context.api)) {
        Ok(answer) => Ok(answer.body["login"].as_str().unwrap_or(WORKFLOW_AUTHOR).to_owned()),
        Err(DeployError::Refused { status: 403 | 404, .. }) => Ok(WORKFLOW_AUTHOR.to_owned()),
        Err(error) => Err(error),
    }
}

/// Returns the numbers of our comments with the marker, oldest first.
fn ours(
    client: &Client,
    context: &Context,
    pull: &PullRequest,
    marker: &str,
) -> Result<Vec<u64>, DeployError> {
    let author = author(client, context)?;
    let mut found = Vec::new();
    let mut url = Some(context.at(&format!("issues/{}/comments?per_page=100", pull.number)));
    let mut pages = 0;
    while let Some(page) = url.take().filter(|_| pages < PAGES) {
        pages += 1;
        let answer = client.get(&page)?;
        for comment in answer.body.as_array().into_iter().flatten() {
            let marked = comment["body"].as_str().is_some_and(|body| body.starts_with(marker));
            let written_by_us = comment["user"]["login"].as_str() == Some(author.as_str());
            if let Some(id) = comment["id"].as_u64().filter(|_| marked && written_by_us) {
                found.push(id);
            }
        }
        // A page of another server is not followed: the token would go there.
        url = answer.next.filter(|next| next.starts_with(&context.api));
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes the comment; returns its address and what was done. Further ones of ours, left by two runs at a time, are removed.
pub(super) fn upsert(
    client: &Client,
    context: &Context,
    pull: &PullRequest,
    saying: &Saying,
) -> Result<(String, &'static str), DeployError> {
    let marker = marker(&saying.name);
    let body = json!({ "body": body(saying, context) });
    let found = ours(client, context, pull, &marker)?;
    let (answer, how) = if let Some(id) = found.first() {
        let url = context.at(&format!("issues/comments/{id}"));
        (client.send("PATCH", &url, Some(body))?, "wrote again")
    } else {
        let url = context.at(&format!("issues/{}/comments", pull.number));
        (client.send("POST", &url, Some(body))?, "wrote")
    };
    for id in found.iter().skip(1) {
        let _ = client.send("DELETE", &context.at(&format!("issues/comments/{id}")), None)?;
    }
    Ok((address(&answer.body), how))
}

fn address(comment: &Value) -> String {
    comment["html_url"].as_str().unwrap_or_default().to_owned()
}
