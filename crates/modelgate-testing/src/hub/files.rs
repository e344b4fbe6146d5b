//! Repositories of the fake Hub: making them, committing, reading.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::state::{Entry, Hub, Repository};
use super::{Shared, may_write, origin, parsed, refuse, spaces, token};

/// What a repository's routes begin with: kind, owner and name.
pub(super) type Id = (String, String, String);

fn no_repository() -> Response {
    refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found")
}

pub(super) fn key(id: &Id) -> String {
    format!("{}/{}/{}", id.0, id.1, id.2)
}

/// Returns a repository that the caller may see.
pub(super) fn visible<'a>(hub: &'a Hub, headers: &HeaderMap, id: &Id) -> Result<&'a Repository, Response> {
    let found = hub.repositories.get(&key(id));
    match found {
        Some(repository) if !repository.private => Ok(repository),
        Some(repository) if token(headers).is_some_and(|token| token != super::STRANGER_TOKEN) => {
            Ok(repository)
        }
        // Nobody learns whether there is a private one.
        _ if token(headers).is_none() => {
            Err(refuse(StatusCode::UNAUTHORIZED, Some("RepoNotFound"), "Invalid username or password."))
        }
        _ => Err(no_repository()),
    }
}

pub(super) async fn create(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = match parsed(&body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let kind = match asked["type"].as_str() {
        None | Some("model") => "models",
        Some("space") => "spaces",
        Some("dataset") => "datasets",
        Some(_) => {
            return refuse(StatusCode::BAD_REQUEST, None, "\"type\" must be one of [model, dataset, space]");
        }
    };
    let owner = asked["organization"].as_str().unwrap_or("me").to_owned();
    let Some(name) = asked["name"].as_str().filter(|name| !name.is_empty() && name.len() <= 96) else {
        return refuse(StatusCode::BAD_REQUEST, None, "\"name\" is required");
    };
    if let Err(refusal) = may_write(&headers, &owner) {
        return refusal;
    }
    let sdk = asked["sdk"].as_str().map(ToOwned::to_owned);
    let sdks = ["docker", "gradio", "static", "streamlit"];
    if kind == "spaces" && !sdk.as_deref().is_some_and(|sdk| sdks.contains(&sdk)) {
        return refuse(
            StatusCode::BAD_REQUEST,
            None,
            "\"sdk\" must be one of [streamlit, gradio, docker, static]",
        );
    }
    let private = asked["private"] == true || asked["visibility"] == "private";
    let id = (kind.to_owned(), owner, name.to_owned());
    let page = if kind == "models" { String::new() } else { format!("{kind}/") };
    let url = format!("{}/{page}{}/{}", origin(&headers), id.1, id.2);
    let mut hub = state.lock().expect("a state");
    if hub.repositories.contains_key(&key(&id)) {
        let mut response = refuse(StatusCode::CONFLICT, None, "You already created this repo");
        *response.body_mut() =
            json!({ "error": "You already created this repo", "url": url }).to_string().into();
        return response;
    }
    let made = Repository::new(&key(&id), private, sdk.filter(|_| kind == "spaces"));
    hub.repositories.insert(key(&id), made);
    axum::Json(json!({ "url": url, "name": format!("{}/{}", id.1, id.2), "id": "1" })).into_response()
}

fn about(hub: &Hub, headers: &HeaderMap, id: &Id, revision: &str) -> Response {
    let repository = match visible(hub, headers, id) {
        Ok(repository) => repository,
        Err(refusal) => return refusal,
    };
    let Some(commit) = repository.at(revision) else { return no_revision(revision) };
    let name = format!("{}/{}", id.1, id.2);
    let siblings: Vec<Value> = commit.tree.keys().map(|path| json!({ "rfilename": path })).collect();
    let mut answer = json!({
        "_id": "1", "id": name, "author": id.1, "sha": commit.oid, "private": repository.private, "gated": false,
        "disabled": false, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
        "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
    });
    if let Some(space) = &repository.space {
        answer["sdk"] = json!(space.sdk);
        answer["subdomain"] = json!(format!("{}-{}", id.1, id.2));
        answer["host"] = json!(space.host);
        answer["runtime"] = spaces::runtime_of(space);
    }
    axum::Json(answer).into_response()
}

pub(super) async fn info(State(state): State<Shared>, Path(id): Path<Id>, headers: HeaderMap) -> Response {
    about(&state.lock().expect("a state"), &headers, &id, "main")
}

pub(super) async fn info_at(
    State(state): State<Shared>,
    Path((kind, owner, name, revision)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    about(&state.lock().expect("a state"), &headers, &(kind, owner, name), &revision)
}

fn no_revision(revision: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}"))
}

pub(super) async fn tree(
    State(state): State<Shared>,
    Path(parts): Path<Vec<String>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let [kind, owner, name, revision, below @ ..] = parts.as_slice() else { return no_repository() };
    let hub = state.lock().expect("a state");
    let repository = match visible(&hub, &headers, &(kind.clone(), owner.clone(), name.clone())) {
        Ok(repository) => repository,
        Err(refusal) => return refusal,
    };
    let Some(commit) = repository.at(revision) else { return no_revision(revision) };
    if query.get("recursive").is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
        return refuse(StatusCode::BAD_REQUEST, None, "this fake lists recursively alone");
    }
    let below = below.first().map(|path| format!("{path}/")).unwrap_or_default();
    let listed: Vec<Value> =
        commit.tree.iter().filter(|(path, _)| path.starts_with(&below)).map(listed).collect();
    // Pages of 50, so that clients have to turn them.
    let at: usize = query.get("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let page: Vec<&Value> = listed.iter().skip(at).take(50).collect();
    let mut response = axum::Json(page).into_response();
    if listed.len() > at + 50 {
        let base = format!("{}/api/{kind}/{owner}/{name}/tree/{revision}", origin(&headers));
        let next = format!("<{base}?recursive=true&cursor={}>; rel=\"next\"", at + 50);
        response.headers_mut().insert("link", next.parse().expect("a header"));
    }
    response
}

fn listed((path, entry): (&String, &Entry)) -> Value {
    let mut one = json!({ "type": "file", "path": path, "size": entry.size(), "oid": entry.oid() });
    if let Entry::Large(oid, size) = entry {
        // The name of the pointer that git has in the place of the content.
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n");
        one["oid"] = json!(super::state::blob(pointer.as_bytes()));
        one["lfs"] = json!({ "oid": oid, "size": size, "pointerSize": pointer.len() });
    }
    one
}

pub(super) async fn refs(State(state): State<Shared>, Path(id): Path<Id>, headers: HeaderMap) -> Response {
    let hub = state.lock().expect("a state");
    let repository = match visible(&hub, &headers, &id) {
        Ok(repository) => repository,
        Err(refusal) => return refusal,
    };
    let head = repository.at("main").map(|commit| commit.oid.clone());
    let tags: Vec<Value> = repository
        .tags
        .iter()
        .map(|(name, oid)| json!({ "name": name, "ref": format!("refs/tags/{name}"), "targetCommit": oid }))
        .collect();
    let branches = json!([{ "name": "main", "ref": "refs/heads/main", "targetCommit": head }]);
    axum::Json(json!({ "branches": branches, "converts": [], "tags": tags })).into_response()
}

pub(super) async fn tag(
    State(state): State<Shared>,
    Path((kind, owner, name, revision)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match may_write(&headers, &owner).and_then(|()| parsed(&body)) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let mut hub = state.lock().expect("a state");
    let Some(repository) = hub.repositories.get_mut(&key(&(kind, owner, name))) else {
        return no_repository();
    };
    let Some(oid) = repository.at(&revision).map(|commit| commit.oid.clone()) else {
        return no_revision(&revision);
    };
    let Some(tag) = asked["tag"].as_str().filter(|tag| !tag.is_empty()) else {
        return refuse(StatusCode::BAD_REQUEST, None, "\"tag\" is required");
    };
    if repository.tags.contains_key(tag) {
        return refuse(StatusCode::CONFLICT, None, "Tag reference exists already");
    }
    repository.tags.insert(tag.to_owned(), oid);
    axum::Json(json!({ "success": true })).into_response()
}

pub(super) async fn validate_yaml(body: Bytes) -> Response {
    let content = parsed(&body).ok().and_then(|asked| asked["content"].as_str().map(ToOwned::to_owned));
    let Some(content) = content else {
        return refuse(StatusCode::BAD_REQUEST, None, "\"content\" is required");
    };
    // A README of a Space begins with what the Hub reads.
    let errors: Vec<Value> =
        if content.starts_with("---\n") && content[4..].contains("\n---") || !content.starts_with("---") {
            Vec::new()
        } else {
            vec![json!({ "message": "the metadata has no end" })]
        };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (status, axum::Json(json!({ "errors": errors, "warnings": [] }))).into_response()
}

pub(super) async fn preupload(
    State(state): State<Shared>,
    Path((kind, owner, name, revision)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match may_write(&headers, &owner).and_then(|()| parsed(&body)) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let hub = state.lock().expect("a state");
    let Some(repository) = hub.repositories.get(&key(&(kind, owner, name))) else { return no_repository() };
    let Some(commit) = repository.at(&revision) else { return no_revision(&revision) };
    let from = if hub.large_from == 0 { 10_000_000 } else { hub.large_from };
    let mut files = Vec::new();
    for file in asked["files"].as_array().into_iter().flatten() {
        let (Some(path), Some(size), Some(sample)) =
            (file["path"].as_str(), file["size"].as_u64(), file["sample"].as_str())
        else {
            return refuse(StatusCode::BAD_REQUEST, None, "\"files\" need path, size and sample");
        };
        let Ok(sample) = STANDARD.decode(sample) else {
            return refuse(StatusCode::BAD_REQUEST, None, "\"sample\" must be base64");
        };
        // Content that is no text goes where large files go, as the Hub has it for Spaces and models alike.
        let large = size >= from || sample.contains(&0);
        let mode = if large && size > 0 { "lfs" } else { "regular" };
        let oid = commit.tree.get(path).map(Entry::oid);
        files.push(json!({ "path": path, "uploadMode": mode, "shouldIgnore": false, "oid": oid }));
    }
    if files.is_empty() || files.len() > 256 {
        return refuse(StatusCode::BAD_REQUEST, None, "\"files\" must contain 1 to 256 items");
    }
    axum::Json(json!({ "files": files, "commitOid": commit.oid })).into_response()
}

/// Applies the lines of a commit to a tree.
fn apply(
    hub: &Hub,
    mut tree: BTreeMap<String, Entry>,
    body: &[u8],
) -> Result<(Value, BTreeMap<String, Entry>), Response> {
    let wrong = |message: &str| refuse(StatusCode::BAD_REQUEST, None, message);
    let mut header = Value::Null;
    for (number, line) in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let line = parsed(line)?;
        let (key, value) = (line["key"].as_str().unwrap_or_default(), &line["value"]);
        let path = value["path"].as_str().unwrap_or_default().to_owned();
        if (number == 0) != (key == "header") {
            return Err(wrong("the header comes first, and once"));
        }
        let unsafe_path = path.is_empty()
            || path.starts_with('/')
            || path.split('/').any(|part| part == ".." || part.is_empty());
        if key != "header" && key != "deletedFolder" && unsafe_path {
            return Err(wrong(&format!("Invalid path: {path}")));
        }
        match key {
            "header" => {
                if value["summary"].as_str().is_none_or(str::is_empty) {
                    return Err(wrong("\"summary\" is required"));
                }
                header = value.clone();
            }
            "file" => {
                let content = value["content"].as_str().filter(|_| value["encoding"] == "base64");
                let bytes = content.and_then(|content| STANDARD.decode(content).ok());
                let bytes = bytes.ok_or_else(|| wrong("\"content\" must be base64"))?;
                let from = if hub.large_from == 0 { 10_000_000 } else { hub.large_from };
                if bytes.len() as u64 >= from {
                    return Err(refuse(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        None,
                        &format!("Your push was rejected because {path} is too large: use git-lfs"),
                    ));
                }
                tree.insert(path, Entry::Regular(bytes));
            }
            "lfsFile" => {
                let oid = value["oid"].as_str().unwrap_or_default().to_owned();
                let object = hub.objects.get(&oid);
                if object.is_none_or(|bytes| value["size"].as_u64() != Some(bytes.len() as u64)) {
                    return Err(wrong(&format!("LFS pointer pointed to a file that does not exist: {oid}")));
                }
                let size = value["size"].as_u64().unwrap_or_default();
                tree.insert(path, Entry::Large(oid, size));
            }
            "deletedFile" => {
                if tree.remove(&path).is_none() {
                    return Err(refuse(
                        StatusCode::NOT_FOUND,
                        Some("EntryNotFound"),
                        "A file with this name doesn't exist",
                    ));
                }
            }
            "deletedFolder" => tree.retain(|known, _| !known.starts_with(&path)),
            _ => return Err(wrong("an operation of no kind")),
        }
    }
    Ok((header, tree))
}

pub(super) async fn commit(
    State(state): State<Shared>,
    Path((kind, owner, name, revision)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refusal) = may_write(&headers, &owner) {
        return refusal;
    }
    if headers.get("content-type") != Some(&HeaderValue::from_static("application/x-ndjson")) {
        return refuse(StatusCode::BAD_REQUEST, None, "a commit is application/x-ndjson");
    }
    let id = (kind, owner, name);
    let mut hub = state.lock().expect("a state");
    if !hub.repositories.contains_key(&key(&id)) {
        return no_repository();
    }
    if revision != "main" {
        return no_revision(&revision);
    }
    if hub.strangers > 0 {
        hub.strangers -= 1;
        let count = hub.asked.len();
        let repository = hub.repositories.get_mut(&key(&id)).expect("a repository");
        let mut tree = repository.tree();
        tree.insert("stranger.txt".to_owned(), Entry::Regular(count.to_string().into_bytes()));
        repository.commit(&format!("somebody else {count}"), tree);
    }
    let repository = hub.repositories.get(&key(&id)).expect("a repository");
    let (head, before) = (repository.at("main").map(|commit| commit.oid.clone()), repository.tree());
    let (header, tree) = match apply(&hub, before.clone(), &body) {
        Ok(applied) => applied,
        Err(refusal) => return refusal,
    };
    if header["parentCommit"].as_str().is_some_and(|parent| Some(parent) != head.as_deref()) {
        return refuse(
            StatusCode::PRECONDITION_FAILED,
            None,
            "A commit has happened since. Please refresh and try again.",
        );
    }
    let repository = hub.repositories.get_mut(&key(&id)).expect("a repository");
    let oid = if tree == before {
        head.unwrap_or_default()
    } else {
        repository.commit(header["summary"].as_str().unwrap_or_default(), tree)
    };
    let page = if id.0 == "models" { String::new() } else { format!("{}/", id.0) };
    let url = format!("{}/{page}{}/{}/commit/{oid}", origin(&headers), id.1, id.2);
    if id.0 == "spaces" {
        spaces::start(&state, &mut hub, &format!("{}/{}", id.1, id.2));
    }
    axum::Json(json!({ "success": true, "commitOid": oid, "commitUrl": url, "hookOutput": "" }))
        .into_response()
}

type File = (String, String, String, String);

fn resolve(state: &Shared, headers: &HeaderMap, kind: &str, (owner, name, revision, path): File) -> Response {
    let hub = state.lock().expect("a state");
    let repository = match visible(&hub, headers, &(kind.to_owned(), owner, name)) {
        Ok(repository) => repository,
        Err(refusal) => return refusal,
    };
    let Some(commit) = repository.at(&revision) else { return no_revision(&revision) };
    let mut response = match commit.tree.get(&path) {
        None => refuse(StatusCode::NOT_FOUND, Some("EntryNotFound"), "Entry not found"),
        Some(Entry::Regular(bytes)) => {
            let mut response = bytes.clone().into_response();
            let etag = format!("\"{}\"", super::state::blob(bytes));
            response.headers_mut().insert("etag", etag.parse().expect("a header"));
            response
        }
        Some(Entry::Large(oid, size)) => {
            let mut response = StatusCode::FOUND.into_response();
            let headers_out = response.headers_mut();
            // Another host, as the store is: clients must not take the token there.
            let location = format!("{}/cdn/{oid}", origin(headers).replace("127.0.0.1", "localhost"));
            headers_out.insert("location", location.parse().expect("a header"));
            headers_out.insert("x-linked-etag", format!("\"{oid}\"").parse().expect("a header"));
            headers_out.insert("x-linked-size", (*size).into());
            response
        }
    };
    response.headers_mut().insert("x-repo-commit", commit.oid.parse().expect("a header"));
    response
}

pub(super) async fn resolve_model(
    State(state): State<Shared>,
    Path(file): Path<File>,
    headers: HeaderMap,
) -> Response {
    resolve(&state, &headers, "models", file)
}

pub(super) async fn resolve_space(
    State(state): State<Shared>,
    Path(file): Path<File>,
    headers: HeaderMap,
) -> Response {
    resolve(&state, &headers, "spaces", file)
}
