//! A GitHub for tests: the part of its REST API that a step of CI uses, with its refusals, on loopback.

mod git;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::Digest as _;

use crate::loopback;
use git::{blob, commit, create_reference, move_reference, read_commit, read_tree, reference, tree};

/// The token that is good.
pub const TOKEN: &str = "ghs_the-token-of-this-job";
/// Who writes with it.
pub const AUTHOR: &str = "github-actions[bot]";

/// A server of its own, ended with the process.
#[derive(Debug)]
pub struct FakeGithub {
    /// What `GITHUB_API_URL` would be.
    pub url: String,
    state: Arc<Mutex<Github>>,
}

/// What the server knows and heard.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble that a test turns on by itself")]
pub struct Github {
    /// Comments of pull request 7, as the API gives them.
    pub comments: Vec<Value>,
    /// Check runs as they were sent.
    pub check_runs: Vec<Value>,
    /// Statuses as they were sent.
    pub statuses: Vec<Value>,
    /// Issues, as the API gives them; pull request 7 is among them, as it is there.
    pub issues: Vec<Value>,
    /// What was asked: method and path with query.
    pub asked: Vec<String>,
    /// What was sent: method, path and body of each request that has one.
    pub sent: Vec<(String, String, Value)>,
    /// What was asked and answered with the good token: `method`, `path`, `query`, `body`, `status`, `answer`.
    pub exchanges: Vec<Value>,
    /// Blobs, trees and commits of git by the names that git gives them; a tree as a list of what is in that folder alone.
    pub objects: BTreeMap<String, Value>,
    /// Branches by name, with their commits.
    pub branches: BTreeMap<String, String>,
    /// Who approved the runs, as the API gives it.
    pub approvals: Vec<Value>,
    /// The application whose token this is; the user's or workflow's author else.
    pub application: Option<String>,
    /// Moves the branch of plots once, as another run would, before it is moved.
    pub someone_is_first: bool,
    /// Comments are gone when they are written again.
    pub comments_vanish: bool,
    /// The token cannot write, as that of a pull request from a fork.
    pub read_only: bool,
    /// The token cannot make check runs, as that of a person.
    pub no_checks: bool,
    /// The repository has no commit: of git there is nothing to read, and nothing can be written.
    pub empty: bool,
    /// No request is left until so many seconds from now: the next is refused, without `retry-after`.
    pub resets_in: Option<u64>,
    /// Answers that come before any other: status and `retry-after`.
    pub troubles: VecDeque<(u16, Option<u64>)>,
    next_id: u64,
}

impl Github {
    /// Adds a comment.
    pub fn comment(&mut self, author: &str, body: &str) -> u64 {
        self.next_id += 1;
        let id = 1000 + self.next_id;
        self.comments.push(json!({
            "id": id,
            "html_url": format!("https://github.test/o/r/pull/7#issuecomment-{id}"),
            "user": { "login": author },
            "body": body,
        }));
        id
    }

    /// Adds an issue.
    pub fn issue(&mut self, author: &str, title: &str, body: &str) -> u64 {
        self.next_id += 1;
        let number = 10 + self.next_id;
        self.issues.push(json!({
            "number": number,
            "title": title,
            "state": "open",
            "html_url": format!("https://github.test/o/r/issues/{number}"),
            "user": { "login": author },
            "body": body,
        }));
        number
    }

    fn author(&self) -> String {
        self.application.as_ref().map_or_else(|| AUTHOR.to_owned(), |name| format!("{name}[bot]"))
    }

    /// Keeps an object of git and returns its name.
    fn object(&mut self, kind: &str, bytes: &[u8], object: Value) -> String {
        let mut hash = sha1::Sha1::new();
        hash.update(format!("{kind} {}\0", bytes.len()));
        hash.update(bytes);
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.objects.insert(name.clone(), object);
        name
    }

    /// Keeps the folder `base` with `files`, pairs of a path and a blob, and the folders in it.
    fn folder(&mut self, base: Option<&str>, files: &[(String, String)]) -> String {
        let there = base.and_then(|base| self.objects.get(base)).and_then(|tree| tree["tree"].as_array());
        let mut entries: BTreeMap<String, Value> = BTreeMap::new();
        // A folder is sorted as if its name ended with a slash.
        let key = |entry: &Value| {
            let slash = if entry["type"] == "tree" { "/" } else { "" };
            format!("{}{slash}", entry["path"].as_str().unwrap_or_default())
        };
        entries.extend(there.into_iter().flatten().map(|entry| (key(entry), entry.clone())));
        let mut below: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (path, blob) in files {
            if let Some((first, rest)) = path.split_once('/') {
                below.entry(first.to_owned()).or_default().push((rest.to_owned(), blob.clone()));
            } else {
                let entry = json!({ "path": path, "mode": "100644", "type": "blob", "sha": blob });
                entries.insert(key(&entry), entry);
            }
        }
        for (name, files) in below {
            let there = entries.get(&format!("{name}/")).and_then(|entry| entry["sha"].as_str());
            let sha = self.folder(there.map(str::to_owned).as_deref(), &files);
            let entry = json!({ "path": name, "mode": "040000", "type": "tree", "sha": sha });
            entries.insert(key(&entry), entry);
        }
        let mut bytes = Vec::new();
        for entry in entries.values() {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            bytes.extend_from_slice(
                format!("{} {}\0", text("mode").trim_start_matches('0'), text("path")).as_bytes(),
            );
            let digits = (0..20).map(|at| u8::from_str_radix(&text("sha")[2 * at..2 * at + 2], 16));
            bytes.extend(digits.map(|digits| digits.expect("a name")));
        }
        let entries: Vec<Value> = entries.into_values().collect();
        self.object("tree", &bytes, json!({ "tree": entries }))
    }

    /// Keeps a commit of a known author and time.
    fn committed(
        &mut self,
        tree: &str,
        parents: &[String],
        message: &str,
        who: &str,
        seconds: i64,
    ) -> String {
        let parents_: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let text = format!(
            "tree {tree}\n{parents_}author {who} {seconds} +0000\ncommitter {who} {seconds} +0000\n\n{message}"
        );
        let made = json!({ "tree": { "sha": tree }, "parents": parents, "message": message });
        self.object("commit", text.as_bytes(), made)
    }

    /// Another run commits a file to a branch.
    pub fn somebody_puts(&mut self, branch: &str, path: &str, bytes: &[u8]) {
        let head = self.branches.get(branch).cloned();
        let base =
            head.as_ref().and_then(|head| self.objects[head]["tree"]["sha"].as_str()).map(str::to_owned);
        let blob =
            self.object("blob", bytes, json!({ "content": STANDARD.encode(bytes), "encoding": "base64" }));
        let tree = self.folder(base.as_deref(), &[(path.to_owned(), blob)]);
        let parents: Vec<String> = head.into_iter().collect();
        let commit =
            self.committed(&tree, &parents, "of another run", "somebody <s@example.com>", 1_700_000_000);
        self.branches.insert(branch.to_owned(), commit);
    }

    /// Returns the blob that a commit has at a path.
    pub fn file(&self, commit: &str, path: &str) -> Option<&Value> {
        let mut object = self.objects.get(self.objects.get(commit)?["tree"]["sha"].as_str()?)?;
        for part in path.split('/') {
            let entry = object["tree"].as_array()?.iter().find(|entry| entry["path"] == part)?;
            object = self.objects.get(entry["sha"].as_str()?)?;
        }
        Some(object)
    }
}

type Shared = Arc<Mutex<Github>>;

impl FakeGithub {
    /// Starts a server for the repository `o/r`.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> Self {
        let state = Shared::default();
        let app = Router::new()
            .route("/user", get(user))
            .route("/graphql", post(viewer))
            .route("/repos/o/r/issues", get(issues).post(create_issue))
            .route("/repos/o/r/issues/{number}", patch(update_issue))
            .route("/repos/o/r/git/ref/heads/{branch}", get(reference))
            .route("/repos/o/r/git/refs", post(create_reference))
            .route("/repos/o/r/git/refs/heads/{branch}", patch(move_reference))
            .route("/repos/o/r/git/blobs", post(blob))
            .route("/repos/o/r/git/trees", post(tree))
            .route("/repos/o/r/git/trees/{sha}", get(read_tree))
            .route("/repos/o/r/git/commits", post(commit))
            .route("/repos/o/r/git/commits/{sha}", get(read_commit))
            .route("/repos/o/r/actions/runs/{run}/approvals", get(approvals))
            .route("/repos/o/r/check-runs/{id}", patch(more_of_check_run))
            .route("/repos/o/r/issues/{number}/comments", get(list).post(create))
            .route("/repos/o/r/issues/comments/{id}", patch(update).delete(remove))
            .route("/repos/o/r/check-runs", post(check_run))
            .route("/repos/o/r/statuses/{sha}", post(status))
            .fallback(|| async { refuse(StatusCode::NOT_FOUND, "Not Found") })
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), guard))
            .with_state(Arc::clone(&state));
        Self { url: loopback::serve(app), state }
    }

    /// Returns what the server knows.
    ///
    /// # Panics
    /// When a request panicked.
    pub fn state(&self) -> MutexGuard<'_, Github> {
        self.state.lock().expect("a state")
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message, "documentation_url": "https://docs.github.com/rest" })))
        .into_response()
}

fn unprocessable(message: &str) -> Response {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, message)
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
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, 32 << 20).await else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let request = axum::extract::Request::from_parts(parts, bytes.clone().into());
    {
        let mut state = state.lock().expect("a state");
        state.asked.push(format!("{method} {uri}"));
        if let Some(seconds) = state.resets_in.take() {
            let mut response = refuse(StatusCode::FORBIDDEN, "no request is left");
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
            response.headers_mut().insert("x-ratelimit-remaining", 0.into());
            response.headers_mut().insert("x-ratelimit-reset", (now.as_secs() + seconds).into());
            return response;
        }
        if let Some((status, retry_after)) = state.troubles.pop_front() {
            let response = refuse(StatusCode::from_u16(status).expect("a status"), "try again");
            return loopback::with_retry_after(response, retry_after);
        }
        let token = headers.get("authorization").and_then(|value| value.to_str().ok());
        if token != Some(&format!("Bearer {TOKEN}")) {
            return refuse(StatusCode::UNAUTHORIZED, "Bad credentials");
        }
        if headers.get("user-agent").is_none() {
            return refuse(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.");
        }
        if let Ok(body) = serde_json::from_slice(&bytes) {
            state.sent.push((method.to_string(), uri.path().to_owned(), body));
        }
        if method != Method::GET && uri.path() != "/graphql" && state.read_only {
            return refuse(StatusCode::FORBIDDEN, "Resource not accessible by integration");
        }
        if state.empty && uri.path().contains("/git/") {
            return refuse(StatusCode::CONFLICT, "Git Repository is empty.");
        }
    }
    let (parts, body) = next.run(request).await.into_parts();
    let answer = axum::body::to_bytes(body, 32 << 20).await.expect("an answer");
    state.lock().expect("a state").exchanges.push(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "body": serde_json::from_slice::<Value>(&bytes).ok(),
        "status": parts.status.as_u16(),
        "answer": serde_json::from_slice::<Value>(&answer).ok(),
    }));
    Response::from_parts(parts, answer.into())
}

async fn user() -> Response {
    // The token of a workflow is no user's.
    refuse(StatusCode::FORBIDDEN, "Resource not accessible by integration")
}

#[derive(serde::Deserialize)]
struct Page {
    per_page: Option<usize>,
    page: Option<usize>,
}

async fn list(
    State(state): State<Shared>,
    Path(number): Path<u64>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Response {
    if number != 7 {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    }
    let state = state.lock().expect("a state");
    let (size, at) = (page.per_page.unwrap_or(30).clamp(1, 100), page.page.unwrap_or(1).max(1));
    let found: Vec<Value> = state.comments.iter().skip((at - 1) * size).take(size).cloned().collect();
    let mut response = axum::Json(found).into_response();
    if state.comments.len() > at * size {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let next = format!(
            "<http://{host}/repos/o/r/issues/7/comments?per_page={size}&page={}>; rel=\"next\", <http://{host}/x>; rel=\"last\"",
            at + 1
        );
        response.headers_mut().insert("link", next.parse().expect("a header"));
    }
    response
}

async fn viewer(State(state): State<Shared>) -> Response {
    let login = state.lock().expect("a state").author();
    axum::Json(json!({ "data": { "viewer": { "login": login } } })).into_response()
}

async fn issues(State(state): State<Shared>) -> Response {
    let mut state = state.lock().expect("a state");
    if state.issues.is_empty() {
        let number = state.issue("a-person", "A change", "of a pull request");
        if let Some(pull) = state.issues.iter_mut().find(|issue| issue["number"] == number) {
            pull["pull_request"] = json!({ "url": "https://github.test/o/r/pull/7" });
        }
    }
    let open: Vec<Value> = state.issues.iter().filter(|issue| issue["state"] == "open").cloned().collect();
    axum::Json(open).into_response()
}

async fn create_issue(State(state): State<Shared>, body: Bytes) -> Response {
    let text = match text_of(&body) {
        Ok(text) => text,
        Err((status, message)) => return refuse(status, message),
    };
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(title) = parsed["title"].as_str().filter(|title| !title.is_empty() && title.len() <= 256) else {
        return unprocessable("Validation Failed: title");
    };
    let mut state = state.lock().expect("a state");
    let author = state.author();
    state.issue(&author, title, &text);
    (StatusCode::CREATED, axum::Json(state.issues.last().cloned())).into_response()
}

async fn update_issue(State(state): State<Shared>, Path(number): Path<u64>, body: Bytes) -> Response {
    let Ok(wanted) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let mut state = state.lock().expect("a state");
    let Some(issue) = state.issues.iter_mut().find(|issue| issue["number"] == number) else {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    };
    for field in ["body", "state", "state_reason"] {
        if !wanted[field].is_null() {
            issue[field] = wanted[field].clone();
        }
    }
    axum::Json(issue.clone()).into_response()
}

async fn approvals(State(state): State<Shared>) -> Response {
    axum::Json(state.lock().expect("a state").approvals.clone()).into_response()
}

async fn more_of_check_run(State(state): State<Shared>, Path(id): Path<usize>, body: Bytes) -> Response {
    let Ok(more) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let mut state = state.lock().expect("a state");
    let Some(run) = id.checked_sub(1).and_then(|at| state.check_runs.get_mut(at)) else {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    };
    let annotations = more["output"]["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > 50 || !more["output"]["summary"].is_string() {
        return unprocessable("Invalid request: a check run of another form");
    }
    if let Some(there) = run["output"]["annotations"].as_array_mut() {
        there.extend(annotations);
    }
    axum::Json(run.clone()).into_response()
}

/// Returns the text of a comment, or why there is none.
fn text_of(body: &Bytes) -> Result<String, (StatusCode, &'static str)> {
    let parsed: Value =
        serde_json::from_slice(body).map_err(|_| (StatusCode::BAD_REQUEST, "Problems parsing JSON"))?;
    let text = parsed["body"].as_str().filter(|text| !text.is_empty());
    let text = text.ok_or((StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed: body"))?;
    if text.chars().count() > 65_536 {
        return Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            "Validation Failed: body is too long (maximum is 65536 characters)",
        ));
    }
    Ok(text.to_owned())
}

async fn create(State(state): State<Shared>, Path(number): Path<u64>, body: Bytes) -> Response {
    if number != 7 {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    }
    let text = match text_of(&body) {
        Ok(text) => text,
        Err((status, message)) => return refuse(status, message),
    };
    let mut state = state.lock().expect("a state");
    let author = state.author();
    state.comment(&author, &text);
    (StatusCode::CREATED, axum::Json(state.comments.last().cloned())).into_response()
}

async fn update(State(state): State<Shared>, Path(id): Path<u64>, body: Bytes) -> Response {
    let text = match text_of(&body) {
        Ok(text) => text,
        Err((status, message)) => return refuse(status, message),
    };
    let mut state = state.lock().expect("a state");
    if state.comments_vanish {
        state.comments.retain(|comment| comment["id"] != id);
    }
    let author = state.author();
    let Some(comment) = state.comments.iter_mut().find(|comment| comment["id"] == id) else {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    };
    if comment["user"]["login"] != author.as_str() {
        return refuse(StatusCode::FORBIDDEN, "Must have admin rights to Repository.");
    }
    comment["body"] = json!(text);
    axum::Json(comment.clone()).into_response()
}

async fn remove(State(state): State<Shared>, Path(id): Path<u64>) -> Response {
    let mut state = state.lock().expect("a state");
    let before = state.comments.len();
    state.comments.retain(|comment| comment["id"] != id || comment["user"]["login"] != AUTHOR);
    if state.comments.len() == before {
        refuse(StatusCode::NOT_FOUND, "Not Found")
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}

async fn check_run(State(state): State<Shared>, body: Bytes) -> Response {
    let Ok(run) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let mut state = state.lock().expect("a state");
    if state.no_checks {
        return refuse(StatusCode::FORBIDDEN, "You must authenticate via a GitHub App.");
    }
    let conclusions =
        ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
    let annotations = run["output"]["annotations"].as_array().cloned().unwrap_or_default();
    let good = |one: &Value| {
        let lines =
            one["start_line"].as_u64() >= Some(1) && one["end_line"].as_u64() >= one["start_line"].as_u64();
        let level = ["notice", "warning", "failure"].iter().any(|level| one["annotation_level"] == *level);
        lines && level && one["path"].is_string() && one["message"].is_string()
    };
    let whole = run["name"].is_string()
        && run["head_sha"].as_str().is_some_and(|sha| sha.len() == 40)
        && conclusions.iter().any(|conclusion| run["conclusion"] == *conclusion)
        && run["output"]["title"].is_string()
        && run["output"]["summary"].as_str().is_some_and(|text| text.chars().count() <= 65_535)
        && annotations.len() <= 50
        && annotations.iter().all(good);
    if !whole {
        return unprocessable("Invalid request: a check run of another form");
    }
    let mut run = run;
    run["id"] = json!(state.check_runs.len() + 1);
    state.check_runs.push(run.clone());
    (StatusCode::CREATED, axum::Json(run)).into_response()
}

async fn status(State(state): State<Shared>, Path(sha): Path<String>, body: Bytes) -> Response {
    let Ok(mut one) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    let states = ["error", "failure", "pending", "success"];
    let short = one["description"].as_str().is_none_or(|text| text.chars().count() <= 140);
    if sha.len() != 40 || !states.iter().any(|state| one["state"] == *state) || !short {
        return unprocessable("Validation Failed: a status of another form");
    }
    one["sha"] = json!(sha);
    state.lock().expect("a state").statuses.push(one.clone());
    (StatusCode::CREATED, axum::Json(one)).into_response()
}
