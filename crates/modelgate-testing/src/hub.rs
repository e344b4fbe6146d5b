//! A Hugging Face Hub for tests: repositories of files with commits, large files, and Spaces that run, on loopback and with
//! the refusals of the real one. `interop/hub_round_trip.py` holds it against the official client.

#![expect(clippy::result_large_err, reason = "the error is the answer")]

mod files;
mod large;
mod spaces;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use crate::loopback;

pub use state::{Commit, Entry, Hub, Repository, Runner, Space, Started};

/// A token that may write what belongs to `me`.
pub const TOKEN: &str = "hf_writes-what-is-mine";
/// A token that may only read.
pub const READ_TOKEN: &str = "hf_reads-and-nothing-else";
/// A token that may write, and nothing of `me`.
pub const STRANGER_TOKEN: &str = "hf_writes-elsewhere";

/// A server of its own, ended with the process.
#[derive(Debug)]
pub struct FakeHub {
    /// What `HF_ENDPOINT` would be.
    pub url: String,
    state: Shared,
}

type Shared = Arc<Mutex<Hub>>;

impl FakeHub {
    /// Starts a server with nothing in it.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> Self {
        let state = Shared::default();
        let repository = Router::new()
            .route("/", get(files::info))
            .route("/revision/{revision}", get(files::info_at))
            .route("/tree/{revision}", get(files::tree))
            .route("/tree/{revision}/{*path}", get(files::tree))
            .route("/refs", get(files::refs))
            .route("/tag/{revision}", post(files::tag))
            .route("/preupload/{revision}", post(files::preupload))
            .route("/commit/{revision}", post(files::commit))
            .route("/runtime", get(spaces::runtime))
            .route("/restart", post(spaces::restart))
            .route("/pause", post(spaces::pause))
            .route(
                "/variables",
                get(spaces::variables).post(spaces::set_variable).delete(spaces::unset_variable),
            )
            .route("/secrets", post(spaces::set_secret));
        let app = Router::new()
            .route("/api/whoami-v2", get(whoami))
            .route("/api/validate-yaml", post(files::validate_yaml))
            .route("/api/repos/create", post(files::create))
            .nest("/api/{kind}/{owner}/{name}", repository)
            .route("/{owner}/{name}/info/lfs/objects/batch", post(large::model_batch))
            .route("/spaces/{owner}/{name}/info/lfs/objects/batch", post(large::space_batch))
            .route("/{owner}/{name}/resolve/{revision}/{*path}", get(files::resolve_model))
            .route("/spaces/{owner}/{name}/resolve/{revision}/{*path}", get(files::resolve_space))
            .route("/storage/{oid}", put(large::put_whole))
            .route("/storage/{oid}/{part}", put(large::put_part))
            .route("/complete/{oid}", post(large::complete))
            .route("/verify/{oid}", post(large::verify))
            .route("/cdn/{oid}", get(large::content))
            .fallback(|| async {
                refuse(StatusCode::NOT_FOUND, None, "Sorry, we can't find the page you are looking for.")
            })
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), guard))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&state));
        Self { url: loopback::serve(app), state }
    }

    /// Returns what the server knows.
    ///
    /// # Panics
    /// When a request panicked.
    pub fn state(&self) -> MutexGuard<'_, Hub> {
        self.state.lock().expect("a state")
    }
}

/// The server's way of saying no: a sentence in the body and in a header, and a code where clients look for one.
fn refuse(status: StatusCode, code: Option<&str>, message: &str) -> Response {
    let mut response = (status, axum::Json(json!({ "error": message }))).into_response();
    let headers = response.headers_mut();
    if let Ok(message) = message.parse() {
        headers.insert("x-error-message", message);
    }
    if let Some(code) = code.and_then(|code| code.parse().ok()) {
        headers.insert("x-error-code", code);
    }
    response
}

/// Returns whose token came, `None` without one.
fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}

/// What holds for every request.
async fn guard(
    State(state): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let (number, early) = {
        let mut state = state.lock().expect("a state");
        state.asked.push(format!("{method} {uri}"));
        (state.asked.len(), early_refusal(&mut state, &method, uri.path(), &headers))
    };
    let mut response = match early {
        Some(response) => response,
        None => next.run(request).await,
    };
    response.headers_mut().insert("x-request-id", format!("Root=1-{number}").parse().expect("a header"));
    response
}

fn early_refusal(state: &mut Hub, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    // The stores of large files know nothing of tokens: their addresses are signed, and a second way of proving is refused.
    if ["/storage/", "/cdn/"].iter().any(|store| path.starts_with(store)) {
        let twice = headers.contains_key("authorization");
        let trouble = state.storage_troubles.pop_front();
        return if twice {
            Some((StatusCode::BAD_REQUEST, "<Code>InvalidArgument</Code>").into_response())
        } else {
            trouble.map(|status| StatusCode::from_u16(status).expect("a status").into_response())
        };
    }
    if let Some((status, retry_after)) = state.troubles.pop_front() {
        let response = refuse(StatusCode::from_u16(status).expect("a status"), None, "try again");
        return Some(loopback::with_retry_after(response, retry_after));
    }
    match token(headers) {
        Some(known) if [TOKEN, READ_TOKEN, STRANGER_TOKEN].contains(&known) => None,
        // The address by which parts become whole is signed as theirs are, and the official client sends no token there.
        None if path.starts_with("/complete/") => None,
        // Reading what is public needs none; what needs one says so itself.
        None if *method == Method::GET || *method == Method::HEAD => None,
        None => Some(refuse(StatusCode::UNAUTHORIZED, None, "Invalid username or password.")),
        Some(_) => {
            Some(refuse(StatusCode::UNAUTHORIZED, None, "Invalid credentials in Authorization header"))
        }
    }
}

/// Refuses a write by a token that may not.
fn may_write(headers: &HeaderMap, owner: &str) -> Result<(), Response> {
    match (token(headers), owner) {
        (Some(TOKEN), "me") => Ok(()),
        (Some(READ_TOKEN), _) => {
            Err(refuse(StatusCode::FORBIDDEN, None, "You must use a write token to upload to a repository."))
        }
        _ => Err(refuse(
            StatusCode::FORBIDDEN,
            None,
            &format!(
                "You don't have the rights to create or change a repository under the namespace \"{owner}\""
            ),
        )),
    }
}

async fn whoami(headers: HeaderMap) -> Response {
    let (name, role) = match token(&headers) {
        Some(TOKEN) => ("me", "write"),
        Some(READ_TOKEN) => ("me", "read"),
        Some(STRANGER_TOKEN) => ("somebody", "write"),
        _ => return refuse(StatusCode::UNAUTHORIZED, None, "Invalid username or password."),
    };
    axum::Json(json!({
        "type": "user", "name": name, "fullname": name, "orgs": [],
        "auth": { "type": "access_token", "accessToken": { "displayName": "ci", "role": role } },
    }))
    .into_response()
}

/// Reads a body that has to be JSON.
fn parsed(body: &[u8]) -> Result<Value, Response> {
    serde_json::from_slice(body)
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, None, "Unexpected token in JSON"))
}

/// Returns the address that the client used for this server.
fn origin(headers: &HeaderMap) -> String {
    format!("http://{}", headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1"))
}
