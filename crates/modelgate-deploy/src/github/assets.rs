//! Plots on a branch of their own, since GitHub's API takes no images for a comment: blobs, a tree, a commit, a reference.
//!
//! Links name the commit, so that a comment shows for ever what it showed when it was written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::Client;
use super::context::Context;
use super::objects::{self, Commit, Folder};
use crate::error::DeployError;

/// The branch.
pub(super) const BRANCH: &str = "modelgate-assets";
/// Who commits: whoever writes with the token of a workflow.
const NAME: &str = "github-actions[bot]";
const EMAIL: &str = "41898282+github-actions[bot]@users.noreply.github.com";
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

/// Commits `plots` to the branch, as of `seconds` since 1970; returns Markdown that shows them.
pub(super) fn publish(
    client: &Client,
    context: &Context,
    name: &str,
    seconds: i64,
    plots: &[(String, Vec<u8>)],
) -> Result<String, DeployError> {
    let folder = format!("{}/{}", part(name), context.sha);
    let mut entries = Vec::new();
    for (plot, bytes) in plots {
        let body = json!({ "content": STANDARD.encode(bytes), "encoding": "base64" });
        let blob = client.send("POST", &context.at("git/blobs"), Some(body))?;
        let sha = made(client, &blob.body, "git/blobs", || Ok(objects::blob(bytes)))?;
        entries.push((format!("{folder}/{}", part(plot)), sha));
    }
    let commit = commit(client, context, name, seconds, &entries)?;
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

/// Returns the name of what was made: GitHub's answer, or in a dry run, which has none, what it would be.
fn made(
    client: &Client,
    answer: &Value,
    what: &str,
    named: impl FnOnce() -> Result<String, DeployError>,
) -> Result<String, DeployError> {
    if client.is_dry() { named() } else { Ok(text(answer, "/sha", what)?.to_owned()) }
}

/// Reads what a folder of the repository holds.
fn folder(client: &Client, context: &Context, name: &str) -> Result<Folder, DeployError> {
    let answer = client.get(&context.at(&format!("git/trees/{name}")))?;
    if answer.body["truncated"] == true {
        return Err(DeployError::Unreachable {
            what: format!("git/trees/{name}"),
            reason: format!("a folder of the branch `{BRANCH}` is too large to be listed"),
        });
    }
    let entries = answer.body["tree"].as_array().into_iter().flatten();
    let entry = |entry: &Value| {
        let mode = entry["mode"].as_str()?.trim_start_matches('0').to_owned();
        Some((entry["path"].as_str()?.to_owned(), (mode, entry["sha"].as_str()?.to_owned())))
    };
    Ok(entries.filter_map(entry).collect())
}

/// Puts a commit with `files`, pairs of a path and a blob, on top of the branch; again where the branch moved meanwhile.
fn commit(
    client: &Client,
    context: &Context,
    name: &str,
    seconds: i64,
    files: &[(String, String)],
) -> Result<String, DeployError> {
    let entry = |(path, sha): &(String, String)| json!({ "path": path, "mode": "100644", "type": "blob", "sha": sha });
    let entries: Vec<Value> = files.iter().map(entry).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, sha)| (path.as_str(), sha.as_str())).collect();
    let message = format!("plots of {name}");
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
        let mut base = None;
        if let Some(head) = &head {
            let answer = client.get(&context.at(&format!("git/commits/{head}")))?;
            let there = text(&answer.body, "/tree/sha", "git/commits")?.to_owned();
            tree["base_tree"] = json!(there);
            base = Some(there);
        }
        let answer = client.send("POST", &context.at("git/trees"), Some(tree))?;
        let tree = made(client, &answer.body, "git/trees", || {
            objects::tree_with(base.as_deref(), &files, &|name: &str| folder(client, context, name))
        })?;
        let parents: Vec<String> = head.iter().cloned().collect();
        // With its author and its time the commit has a name of its own before GitHub makes it.
        let wanted = json!({
            "message": message,
            "tree": tree,
            "parents": parents,
            "author": { "name": NAME, "email": EMAIL, "date": date(seconds) },
        });
        let answer = client.send("POST", &context.at("git/commits"), Some(wanted))?;
        let sha = made(client, &answer.body, "git/commits", || {
            let (tree, parents, message) = (tree.as_str(), parents.as_slice(), message.as_str());
            Ok(objects::commit(&Commit { tree, parents, name: NAME, email: EMAIL, seconds, message }))
        })?;
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

/// Writes seconds since 1970 as GitHub reads times.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}
