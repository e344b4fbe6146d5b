//! Large files of the fake Hub: the batch that says where they go, whole or in parts, and the store behind it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::files::key;
use super::state::sha256;
use super::{Shared, may_write, origin, parsed, refuse};

const MEDIA: &str = "application/vnd.git-lfs+json";

fn batch(
    state: &Shared,
    headers: &HeaderMap,
    kind: &str,
    owner: String,
    name: &str,
    body: &[u8],
) -> Response {
    let asked = match may_write(headers, &owner).and_then(|()| parsed(body)) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let media =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if !media("accept").starts_with(MEDIA) || asked["operation"] != "upload" || asked["hash_algo"] != "sha256"
    {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, None, "no batch of the form that is known");
    }
    let hub = state.lock().expect("a state");
    let name = name.strip_suffix(".git").unwrap_or_default().to_owned();
    if !hub.repositories.contains_key(&key(&(kind.to_owned(), owner, name))) {
        return refuse(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found");
    }
    let in_parts = asked["transfers"].as_array().is_some_and(|known| known.contains(&json!("multipart")));
    let base = origin(headers);
    let mut objects = Vec::new();
    for object in asked["objects"].as_array().into_iter().flatten() {
        let (Some(oid), Some(size)) = (object["oid"].as_str(), object["size"].as_u64()) else {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, None, "objects need oid and size");
        };
        if oid.len() != 64 {
            let error = json!({ "code": 422, "message": "the oid is no SHA-256" });
            objects.push(json!({ "oid": oid, "size": size, "error": error }));
            continue;
        }
        let mut answer = json!({ "oid": oid, "size": size, "authenticated": true });
        if !hub.objects.contains_key(oid) {
            let mut header = Map::new();
            let mut href = format!("{base}/storage/{oid}");
            if in_parts && hub.part_bytes > 0 && size > hub.part_bytes {
                href = format!("{base}/complete/{oid}");
                header.insert("chunk_size".to_owned(), json!(hub.part_bytes.to_string()));
                for part in 1..=size.div_ceil(hub.part_bytes) {
                    header.insert(format!("{part:05}"), json!(format!("{base}/storage/{oid}/{part}")));
                }
            }
            answer["actions"] = json!({
                "upload": { "href": href, "header": header },
                "verify": { "href": format!("{base}/verify/{oid}"), "header": {} },
            });
        }
        objects.push(answer);
    }
    let mut response = axum::Json(json!({ "transfer": "basic", "objects": objects })).into_response();
    response.headers_mut().insert("content-type", MEDIA.parse().expect("a header"));
    response
}

pub(super) async fn model_batch(
    State(state): State<Shared>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    batch(&state, &headers, "models", owner, &name, &body)
}

pub(super) async fn space_batch(
    State(state): State<Shared>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    batch(&state, &headers, "spaces", owner, &name, &body)
}

pub(super) async fn put_whole(State(state): State<Shared>, Path(oid): Path<String>, body: Bytes) -> Response {
    if sha256(&body) != oid {
        return (StatusCode::BAD_REQUEST, "<Code>BadDigest</Code>").into_response();
    }
    state.lock().expect("a state").objects.insert(oid, body.to_vec());
    StatusCode::OK.into_response()
}

pub(super) async fn put_part(
    State(state): State<Shared>,
    Path((oid, part)): Path<(String, usize)>,
    body: Bytes,
) -> Response {
    let mut hub = state.lock().expect("a state");
    if body.len() as u64 > hub.part_bytes {
        return (StatusCode::BAD_REQUEST, "<Code>EntityTooLarge</Code>").into_response();
    }
    let etag = format!("\"{}\"", &sha256(&body)[..32]);
    hub.parts.insert((oid, part), body.to_vec());
    let mut response = StatusCode::OK.into_response();
    response.headers_mut().insert("etag", etag.parse().expect("a header"));
    response
}

pub(super) async fn complete(State(state): State<Shared>, Path(oid): Path<String>, body: Bytes) -> Response {
    let asked: Value = match parsed(&body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let mut hub = state.lock().expect("a state");
    let mut whole = Vec::new();
    for (at, part) in asked["parts"].as_array().into_iter().flatten().enumerate() {
        let number = at + 1;
        let Some(bytes) = hub.parts.get(&(oid.clone(), number)) else {
            return refuse(StatusCode::BAD_REQUEST, None, &format!("part {number} is missing"));
        };
        let etag = format!("\"{}\"", &sha256(bytes)[..32]);
        if part["partNumber"] != number || part["etag"] != etag {
            return refuse(StatusCode::BAD_REQUEST, None, &format!("part {number} is another one"));
        }
        whole.extend_from_slice(bytes);
    }
    if asked["oid"] != oid || sha256(&whole) != oid {
        return refuse(StatusCode::BAD_REQUEST, None, "the parts do not make the file");
    }
    hub.parts.retain(|(known, _), _| *known != oid);
    hub.objects.insert(oid, whole);
    axum::Json(json!({ "success": true })).into_response()
}

pub(super) async fn verify(State(state): State<Shared>, Path(oid): Path<String>, body: Bytes) -> Response {
    let size = parsed(&body).ok().and_then(|asked| asked["size"].as_u64());
    let hub = state.lock().expect("a state");
    match hub.objects.get(&oid) {
        Some(bytes) if Some(bytes.len() as u64) == size => axum::Json(json!({})).into_response(),
        _ => refuse(StatusCode::NOT_FOUND, None, "the object is not there"),
    }
}

pub(super) async fn content(State(state): State<Shared>, Path(oid): Path<String>) -> Response {
    let hub = state.lock().expect("a state");
    match hub.objects.get(&oid) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
