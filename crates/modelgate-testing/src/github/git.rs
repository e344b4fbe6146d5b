//! The part of the API that is git itself: references, blobs, trees and commits, under the names that git gives them.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Github, Shared, refuse, unprocessable};

pub(super) async fn reference(State(state): State<Shared>, Path(branch): Path<String>) -> Response {
    let state = state.lock().expect("a state");
    match state.branches.get(&branch) {
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        Some(sha) => axum::Json(
            json!({ "ref": format!("refs/heads/{branch}"), "object": { "type": "commit", "sha": sha } }),
        )
        .into_response(),
    }
}

/// Another run commits to the branch.
fn somebody(state: &mut Github, branch: &str) {
    state.somebody_puts(branch, "other/plot.png", b"of another run");
    state.someone_is_first = false;
}

pub(super) async fn create_reference(State(state): State<Shared>, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (name, sha) =
        (wanted["ref"].as_str().unwrap_or_default(), wanted["sha"].as_str().unwrap_or_default());
    let Some(branch) = name.strip_prefix("refs/heads/").filter(|branch| !branch.is_empty()) else {
        return unprocessable("Reference name must start with 'refs'");
    };
    let mut state = state.lock().expect("a state");
    if state.someone_is_first {
        somebody(&mut state, branch);
    }
    if !state.objects.contains_key(sha) {
        return unprocessable("Object does not exist");
    }
    if state.branches.contains_key(branch) {
        return unprocessable("Reference already exists");
    }
    state.branches.insert(branch.to_owned(), sha.to_owned());
    (StatusCode::CREATED, axum::Json(json!({ "ref": name, "object": { "sha": sha } }))).into_response()
}

pub(super) async fn move_reference(
    State(state): State<Shared>,
    Path(branch): Path<String>,
    body: Bytes,
) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let sha = wanted["sha"].as_str().unwrap_or_default().to_owned();
    let mut state = state.lock().expect("a state");
    if state.someone_is_first {
        somebody(&mut state, &branch);
    }
    let Some(head) = state.branches.get(&branch).cloned() else {
        return unprocessable("Reference does not exist");
    };
    let forced = wanted["force"] == true;
    let follows = state.objects.get(&sha).is_some_and(|commit| commit["parents"] == json!([head]));
    if !forced && !follows {
        return unprocessable("Update is not a fast forward");
    }
    state.branches.insert(branch, sha.clone());
    axum::Json(json!({ "object": { "sha": sha } })).into_response()
}

pub(super) async fn blob(State(state): State<Shared>, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let content = wanted["content"].as_str().filter(|_| wanted["encoding"] == "base64");
    let Some(bytes) = content.and_then(|content| STANDARD.decode(content).ok()) else {
        return unprocessable("Invalid request: a blob of another form");
    };
    let sha = state.lock().expect("a state").object("blob", &bytes, wanted);
    (StatusCode::CREATED, axum::Json(json!({ "sha": sha }))).into_response()
}

pub(super) async fn tree(State(state): State<Shared>, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut state = state.lock().expect("a state");
    let known = |name: &Value| name.as_str().is_some_and(|name| state.objects.contains_key(name));
    let entries = wanted["tree"].as_array().cloned().unwrap_or_default();
    let good = |entry: &Value| {
        entry["path"].is_string()
            && entry["mode"] == "100644"
            && entry["type"] == "blob"
            && known(&entry["sha"])
    };
    let based = wanted.get("base_tree").is_none_or(known);
    if entries.is_empty() || !entries.iter().all(good) || !based {
        return unprocessable("Invalid tree info");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let files: Vec<_> = entries.iter().map(|entry| (text(&entry["path"]), text(&entry["sha"]))).collect();
    let sha = state.folder(wanted["base_tree"].as_str(), &files);
    (
        StatusCode::CREATED,
        axum::Json(json!({ "sha": sha, "tree": state.objects[&sha]["tree"], "truncated": false })),
    )
        .into_response()
}

pub(super) async fn read_tree(State(state): State<Shared>, Path(sha): Path<String>) -> Response {
    let state = state.lock().expect("a state");
    match state.objects.get(&sha).filter(|object| object["tree"].is_array()) {
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        Some(tree) => {
            axum::Json(json!({ "sha": sha, "tree": tree["tree"], "truncated": false })).into_response()
        }
    }
}

pub(super) async fn commit(State(state): State<Shared>, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut state = state.lock().expect("a state");
    let known = |name: &Value| name.as_str().is_some_and(|name| state.objects.contains_key(name));
    if !known(&wanted["tree"]) || !wanted["message"].is_string() {
        return unprocessable("Tree SHA does not exist");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let author = &wanted["author"];
    // Without a time it would be of now, and nobody could know its name before.
    let Ok(time) = text(&author["date"]).parse::<jiff::Timestamp>() else {
        return unprocessable("Invalid request: the author has no date");
    };
    let who = format!("{} <{}>", text(&author["name"]), text(&author["email"]));
    let parents: Vec<String> = wanted["parents"].as_array().into_iter().flatten().map(text).collect();
    let (tree, message) = (text(&wanted["tree"]), text(&wanted["message"]));
    let sha = state.committed(&tree, &parents, &message, &who, time.as_second());
    (StatusCode::CREATED, axum::Json(shown(&sha, &state.objects[&sha]))).into_response()
}

/// A commit as the API gives it.
fn shown(sha: &str, commit: &Value) -> Value {
    let parents = commit["parents"].as_array().into_iter().flatten();
    let parents: Vec<Value> = parents.map(|parent| json!({ "sha": parent })).collect();
    json!({ "sha": sha, "tree": commit["tree"], "parents": parents, "message": commit["message"] })
}

pub(super) async fn read_commit(State(state): State<Shared>, Path(sha): Path<String>) -> Response {
    let state = state.lock().expect("a state");
    match state.objects.get(&sha).filter(|object| object["parents"].is_array()) {
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        Some(commit) => axum::Json(shown(&sha, commit)).into_response(),
    }
}
