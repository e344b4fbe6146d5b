//! Plots on a branch of their own, since GitHub's API takes no images for a comment: blobs, a tree, a commit, a reference.
//!
//! Links name the commit, so that a comment shows for ever what it showed when it was written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::Client;
use super::context::Context;
use crate::error::DeployError;

/// The branch.
pub(super) const BRANCH: &str = "modelgate-assets";
/// Tries to move the branch, when others move it too.
const TRIES: usize = 5;

fn text<'a>(body: &'a Value, pointer: &str, what: &str) -> Result<&'a str, DeployError> {
    let missing = || DeployError::Unreachable {
        what: what.to_owned(),
        reason: format!("the answer has no `{}`", pointer.trim_start_matches('/')),
    };
    body.pointer(pointer).and_then(Value::as_str).ok_or_else(missing)
}

/// A name that is a path's part anywhere.
fn part(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' })
        .collect()
}

/// Commits `plots` to the branch; returns Markdown that shows them.
pub(super) fn publish(
    client: &Client,
    context: &Context,
    name: &str,
    plots: &[(String, Vec<u8>)],
) -> Result<String, DeployError> {
    let folder = format!("{}/{}", part(name), context.sha);
    let mut entries = Vec::new();
    for (plot, bytes) in plots {
        let body = json!({ "content": STANDARD.encode(bytes), "encoding": "base64" });
        let blob = client.send("POST", &context.at("git/blobs"), Some(body))?;
        // A dry run has no answers to go on with.
        let sha = blob.body["sha"].as_str().unwrap_or_default();
        entries.push(json!({ "path": format!("{folder}/{}", part(plot)), "mode": "100644", "type": "blob", "sha": sha }));
    }
    let commit = commit(client, context, name, &entries)?;
    let mut shown = String::from("\n<details><summary>Plots</summary>\n\n");
    for (plot, _) in plots {
        let title = plot.strip_suffix(".png").unwrap_or(plot).replace('_', " ");
        let place =
            format!("{}/{}/blob/{commit}/{folder}/{}", context.server, context.repository, part(plot));
        shown.push_str(&format!("![{}]({place}?raw=true)\n", part(&title).replace('-', " ")));
    }
    shown.push_str("\n</details>\n");
    Ok(shown)
}

/// Puts a commit with `entries` on top of the branch, again where the branch moved meanwhile.
fn commit(client: &Client, context: &Context, name: &str, entries: &[Value]) -> Result<String, DeployError> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let reference = context.at(&format!("git/ref/heads/{BRANCH}"));
        let head = match client.get(&reference) {
            Ok(answer) => answer.body.pointer("/object/sha").and_then(Value::as_str).map(str::to_owned),
            // No branch, or a repository without any commit.
            Err(DeployError::Refused { status: 404 | 409, .. }) => None,
            Err(error) => return Err(error),
        };
        let mut tree = json!({ "tree": entries });
        if let Some(head) = &head {
            let answer = client.get(&context.at(&format!("git/commits/{head}")))?;
            tree["base_tree"] = json!(text(&answer.body, "/tree/sha", "git/commits")?);
        }
        let tree = client.send("POST", &context.at("git/trees"), Some(tree))?;
        let parents: Vec<&String> = head.iter().collect();
        let made = json!({
            "message": format!("plots of {name}"),
            "tree": tree.body["sha"].as_str().unwrap_or_default(),
            "parents": parents,
        });
        let made = client.send("POST", &context.at("git/commits"), Some(made))?;
        let sha = made.body["sha"].as_str().unwrap_or_default().to_owned();
        let moved = if head.is_some() {
            let url = context.at(&format!("git/refs/heads/{BRANCH}"));
            client.send("PATCH", &url, Some(json!({ "sha": sha, "force": false })))
        } else {
            let body = json!({ "ref": format!("refs/heads/{BRANCH}"), "sha": sha });
            client.send("POST", &context.at("git/refs"), Some(body))
        };
        match moved {
            Ok(_) => return Ok(sha),
            // Another run was first: 422 says that the branch exists, or that this is no fast forward; 409 a conflict.
            Err(DeployError::Refused { status: 409 | 422, .. }) if left > 0 => {}
            Err(error) => return Err(error),
        }
    }
}
