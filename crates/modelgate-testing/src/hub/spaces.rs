//! Spaces of the fake Hub: variables, secrets, and whether they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::files::{Id, key, visible};
use super::state::{Hub, Space, Started};
use super::{Shared, may_write, parsed, refuse};

pub(super) fn runtime_of(space: &Space) -> Value {
    json!({
        "stage": space.stage, "hardware": { "current": "cpu-basic", "requested": "cpu-basic" }, "storage": null,
        "gcTimeout": 172_800, "replicas": { "current": 1, "requested": 1 }, "devMode": false,
        "errorMessage": space.error,
    })
}

/// Builds and starts a Space, as a commit, a variable and a restart do; it runs in a thread, so that it can ask this server.
pub(super) fn start(state: &Shared, hub: &mut Hub, id: &str) {
    let files = hub.files(&format!("spaces/{id}"));
    let (runner, broken) = (hub.runner.clone(), hub.broken.clone());
    let repository = hub.repositories.get_mut(&format!("spaces/{id}"));
    let Some(space) = repository.and_then(|repository| repository.space.as_mut()) else { return };
    // What was stopped is neither built nor started by a commit or a variable.
    if space.stage == "PAUSED" {
        return;
    }
    space.starts += 1;
    space.error = None;
    if !files.contains_key("Dockerfile") && space.sdk == "docker" {
        "NO_APP_FILE".clone_into(&mut space.stage);
        return;
    }
    if let Some((_, stage, error)) = broken.filter(|(broken, ..)| broken == id) {
        // A build takes its time before it fails.
        "BUILDING".clone_into(&mut space.stage);
        let (state, id, starts) = (Arc::clone(state), format!("spaces/{id}"), space.starts);
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            let mut hub = state.lock().expect("a state");
            let repository = hub.repositories.get_mut(&id);
            let space = repository.and_then(|repository| repository.space.as_mut());
            if let Some(space) = space.filter(|space| space.starts == starts) {
                (space.stage, space.error) = (stage, Some(error));
            }
        });
        return;
    }
    let Some(runner) = runner else {
        "RUNNING".clone_into(&mut space.stage);
        return;
    };
    "RUNNING_BUILDING".clone_into(&mut space.stage);
    let mut environment = space.variables.clone();
    environment.extend(space.secrets.clone());
    let started = Started { id: id.to_owned(), starts: space.starts, environment, files };
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        // Several variables in a row start a Space once.
        std::thread::sleep(std::time::Duration::from_millis(150));
        let newest = |hub: &Hub| {
            let space = hub
                .repositories
                .get(&format!("spaces/{}", started.id))
                .and_then(|found| found.space.as_ref());
            space.is_some_and(|space| space.starts == started.starts)
        };
        if !newest(&state.lock().expect("a state")) {
            return;
        }
        let outcome = runner(&started);
        let mut hub = state.lock().expect("a state");
        // A newer start has the last word.
        if !newest(&hub) {
            return;
        }
        let repository = hub.repositories.get_mut(&format!("spaces/{}", started.id));
        let Some(space) = repository.and_then(|repository| repository.space.as_mut()) else { return };
        match outcome {
            Ok(host) => {
                space.host = Some(host);
                "RUNNING".clone_into(&mut space.stage);
            }
            Err(error) => {
                space.error = Some(error);
                "RUNTIME_ERROR".clone_into(&mut space.stage);
            }
        }
    });
}

/// Does something with a Space that the caller may change.
fn change(
    state: &Shared,
    headers: &HeaderMap,
    id: &Id,
    act: impl FnOnce(&mut Space) -> Response,
) -> Response {
    if let Err(refusal) = may_write(headers, &id.1) {
        return refusal;
    }
    let mut hub = state.lock().expect("a state");
    let found = hub.repositories.get_mut(&key(id)).and_then(|repository| repository.space.as_mut());
    let Some(space) = found else {
        return refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found");
    };
    let response = act(space);
    if response.status().is_success() {
        start(state, &mut hub, &format!("{}/{}", id.1, id.2));
    }
    response
}

fn shown(variables: &BTreeMap<String, String>) -> Response {
    let shown: serde_json::Map<String, Value> =
        variables.iter().map(|(key, value)| (key.clone(), json!({ "key": key, "value": value }))).collect();
    axum::Json(shown).into_response()
}

pub(super) async fn runtime(State(state): State<Shared>, Path(id): Path<Id>, headers: HeaderMap) -> Response {
    let hub = state.lock().expect("a state");
    match visible(&hub, &headers, &id).map(|repository| repository.space.as_ref()) {
        Ok(Some(space)) => axum::Json(runtime_of(space)).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found"),
        Err(refusal) => refusal,
    }
}

pub(super) async fn restart(State(state): State<Shared>, Path(id): Path<Id>, headers: HeaderMap) -> Response {
    change(&state, &headers, &id, |space| {
        space.restarts += 1;
        "APP_STARTING".clone_into(&mut space.stage);
        axum::Json(runtime_of(space)).into_response()
    })
}

pub(super) async fn pause(State(state): State<Shared>, Path(id): Path<Id>, headers: HeaderMap) -> Response {
    if let Err(refusal) = may_write(&headers, &id.1) {
        return refusal;
    }
    let mut hub = state.lock().expect("a state");
    let found = hub.repositories.get_mut(&key(&id)).and_then(|repository| repository.space.as_mut());
    let Some(space) = found else {
        return refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found");
    };
    // A start that is under way comes to nothing.
    space.starts += 1;
    space.host = None;
    "PAUSED".clone_into(&mut space.stage);
    axum::Json(runtime_of(space)).into_response()
}

pub(super) async fn variables(
    State(state): State<Shared>,
    Path(id): Path<Id>,
    headers: HeaderMap,
) -> Response {
    let hub = state.lock().expect("a state");
    match visible(&hub, &headers, &id).map(|repository| repository.space.as_ref()) {
        Ok(Some(space)) => shown(&space.variables),
        Ok(None) => refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found"),
        Err(refusal) => refusal,
    }
}

/// Returns key and value of a body; a key is a name of a variable.
fn pair(body: &[u8]) -> Result<(String, String), Response> {
    let asked = parsed(body)?;
    let named = |key: &&str| {
        key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let key = asked["key"].as_str().filter(named);
    let key = key.ok_or_else(|| refuse(StatusCode::UNPROCESSABLE_ENTITY, None, "Invalid key"))?;
    Ok((key.to_owned(), asked["value"].as_str().unwrap_or_default().to_owned()))
}

pub(super) async fn set_variable(
    State(state): State<Shared>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match pair(&body) {
        Err(refusal) => refusal,
        Ok((key, _)) if key.is_empty() => refuse(StatusCode::UNPROCESSABLE_ENTITY, None, "Invalid key"),
        Ok((key, value)) => change(&state, &headers, &id, |space| {
            // A name is a variable or a secret, never both.
            if space.secrets.contains_key(&key) {
                return refuse(StatusCode::CONFLICT, None, "Collision on secrets names");
            }
            space.variables.insert(key, value);
            shown(&space.variables)
        }),
    }
}

pub(super) async fn unset_variable(
    State(state): State<Shared>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match pair(&body) {
        Err(refusal) => refusal,
        Ok((key, _)) => change(&state, &headers, &id, |space| {
            space.variables.remove(&key);
            shown(&space.variables)
        }),
    }
}

pub(super) async fn set_secret(
    State(state): State<Shared>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match pair(&body) {
        Err(refusal) => refusal,
        Ok((key, value)) => change(&state, &headers, &id, |space| {
            if space.variables.contains_key(&key) {
                return refuse(StatusCode::CONFLICT, None, "Collision on variables names");
            }
            space.secrets.insert(key, value);
            axum::Json(json!({})).into_response()
        }),
    }
}
