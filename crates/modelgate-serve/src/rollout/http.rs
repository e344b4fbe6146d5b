//! `/admin/rollout/{model}`: `GET` where it stands, `PUT` an order, `DELETE` takes the canary out at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use modelgate_core::ModelName;
use modelgate_core::lifecycle::{self, MAX_REASON};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::records::Objection;
use super::wire::Order;
use crate::error::SourceError;
use crate::http::extract::Named;
use crate::http::ids::Caller;
use crate::http::{App, admin, body};
use crate::refusal::Refusal;
use crate::reload::CanaryError;

/// How long a caller waits for a canary to be loaded.
const PATIENCE: Duration = Duration::from_secs(60);

/// The last number that an order may have, the largest whole one that all readers of JSON hold: behind one that is far beyond
/// the ledger's, no order would be taken any more.
const LAST: u64 = (1 << 53) - 1;
/// What a reason is made of: line ends and tabs, and no other letter that is not seen.
const VISIBLE: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$";

fn check_sequence(sequence: Option<u64>) -> Result<(), Refusal> {
    match sequence {
        Some(sequence) if sequence > LAST => Err(Refusal::malformed(format!("`sequence` is {LAST} at most"))),
        _ => Ok(()),
    }
}

fn conflict(sentence: String) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "conflict", sentence)
}

fn unknown() -> Refusal {
    Refusal::not_found("no such model is served")
}

/// What comes with `DELETE`.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Abort {
    reason: Option<String>,
    sequence: Option<u64>,
    /// The number of the order that stood when somebody looked whose ledger does not know this canary; without it, the canary
    /// is taken out whatever was ordered.
    seen: Option<u64>,
}

fn told(app: &App, model: &str) -> Result<Response, Refusal> {
    let standing = app.catalog.rollouts.standing(&app.catalog, model).ok_or_else(unknown)?;
    let text = serde_json::to_string(&standing).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(crate::http::json(text))
}

fn answered(app: &App, result: Result<Response, Refusal>) -> Response {
    match result {
        Ok(response) => response,
        Err(refusal) => {
            if refusal.status != StatusCode::FORBIDDEN {
                app.metrics.admin("failed");
            }
            refusal.into_response()
        }
    }
}

/// `GET /admin/rollout/{model}`.
pub(crate) async fn standing(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Named(model): Named<String>,
    headers: HeaderMap,
) -> Response {
    let result = admin::check(&app, &headers, caller.address).and_then(|()| told(&app, &model));
    answered(&app, result)
}

/// `PUT /admin/rollout/{model}`.
pub(crate) async fn order(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Named(model): Named<String>,
    request: Request<Body>,
) -> Response {
    let result = take(&app, &caller, &model, request).await;
    answered(&app, result)
}

async fn take(app: &App, caller: &Caller, model: &str, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, content) = request.into_parts();
    admin::check(app, &parts.headers, caller.address)?;
    let content = body::read(content, &parts.headers, false, &app.settings.limits, &app.body_room).await?;
    let order: Order = serde_json::from_slice(&content.bytes).map_err(|error| {
        // Where, not what: the message of a value that does not fit may repeat it.
        let (line, column) = (error.line(), error.column());
        Refusal::malformed(format!("it is no order: something is wrong at line {line}, column {column}"))
    })?;
    check_sequence(Some(order.sequence))?;
    let served = app.catalog.served();
    let stable = served.models.get(model).ok_or_else(unknown)?;
    if stable.offer.digest == order.digest {
        return Err(conflict(format!("{} is what is in production here", order.version)));
    }
    let rollouts = &app.catalog.rollouts;
    let objection = |objection: Objection| match objection {
        Objection::Conflict(sentence) => conflict(sentence),
        Objection::Kept(reason) => Refusal::internal(format!("the order cannot be kept: {reason}")),
    };
    rollouts.admits(model, &order).map_err(objection)?;
    let here = served.canaries.get(model).is_some_and(|canary| canary.model.offer.digest == order.digest);
    drop(served);
    let loaded = if here { None } else { Some(load(app, model, &order).await?) };
    tokio::task::block_in_place(|| rollouts.place(&app.catalog, &app.metrics, model, &order, loaded))
        .map_err(objection)?;
    app.metrics.admin("rollout_ordered");
    told(app, model)
}

async fn load(app: &App, model: &str, order: &Order) -> Result<Arc<crate::served::ServedModel>, Refusal> {
    let name: ModelName = model.parse().map_err(|_| unknown())?;
    let unavailable = |sentence: String| {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "source_unavailable", sentence);
        Refusal { retry_after: Some(admin::AGAIN), ..refusal }
    };
    let asked = app.reloads.canary(name, order.version.clone(), order.digest);
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Err(unavailable("the source has not answered yet".to_owned())),
        Ok(Err(_)) => Err(unavailable("reloads have ended".to_owned())),
        Ok(Ok(loaded)) => loaded.map_err(|error| match error {
            CanaryError::Source(SourceError::Unavailable(reason)) => unavailable(reason),
            CanaryError::Source(SourceError::Missing(reason) | SourceError::Damaged(reason))
            | CanaryError::Refused(reason) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "canary_refused", reason)
            }
        }),
    }
}

/// `DELETE /admin/rollout/{model}`.
pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Named(model): Named<String>,
    asked: Result<Query<Abort>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let work = || {
        admin::check(&app, &headers, caller.address)?;
        let Ok(Query(asked)) = &asked else {
            return Err(Refusal::malformed(
                "what follows `?` may be one `reason`, and one `sequence` or `seen`",
            ));
        };
        if asked.sequence.is_some() && asked.seen.is_some() {
            return Err(Refusal::malformed("`sequence` and `seen` do not go together"));
        }
        let reason = asked.reason.as_deref().unwrap_or("an administrator took it out");
        if let Err(refusal) = lifecycle::check_reason(reason, false) {
            return Err(Refusal::malformed(refusal.to_string()));
        }
        check_sequence(asked.sequence.or(asked.seen))?;
        if !app.catalog.served().models.contains_key(&model) {
            return Err(unknown());
        }
        let rollouts = &app.catalog.rollouts;
        let (catalog, metrics) = (&app.catalog, &app.metrics);
        let kept = tokio::task::block_in_place(|| match asked.seen {
            Some(seen) => rollouts.take_out_unknown(catalog, metrics, &model, reason, seen),
            None => rollouts.abort(catalog, metrics, &model, reason, asked.sequence).map_err(Objection::Kept),
        });
        match kept {
            Ok(()) => {}
            Err(Objection::Conflict(sentence)) => return Err(conflict(sentence)),
            Err(Objection::Kept(error)) => {
                crate::telemetry::talk::warn(&format!("the cache cannot be written: {error}"));
            }
        }
        app.metrics.admin("rollout_aborted");
        told(&app, &model)
    };
    let result = work();
    answered(&app, result)
}

/// Adds the paths to a description.
pub(crate) fn openapi(paths: &mut Map<String, Value>, models: &[&str]) {
    let object = |description: &str| json!({ "description": description, "content": { "application/json": { "schema": { "type": "object" } } } });
    let error = |description: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    let errors = [
        ("400", "It is no order"),
        ("403", "The administrator's token is needed"),
        ("404", "There is no such model"),
        ("405", "The path takes another method"),
        ("408", "The body did not arrive in time"),
        ("409", "It does not fit what was ordered before"),
        ("413", "The body is too large"),
        ("415", "The body is of another type"),
        ("422", "The canary does not verify"),
        ("429", "Too many tries with a wrong token"),
        ("503", "The source does not answer"),
    ];
    let operation = |summary: &str, id: String| {
        let mut responses: Map<String, Value> =
            errors.iter().map(|(code, text)| ((*code).to_owned(), error(text))).collect();
        responses.insert("200".to_owned(), object("Where the rollout stands"));
        json!({ "summary": summary, "operationId": id, "tags": ["admin"], "security": [{ "admin": [] }], "responses": responses })
    };
    for model in models {
        let id = |verb: &str| format!("{verb}_rollout_{}", crate::http::identifier(model, models));
        let share = json!({ "type": "integer", "minimum": 0, "maximum": 100 });
        let mut put = operation("Give the canary a share", id("order"));
        put["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["version", "digest", "weight", "shadow", "sequence"],
            "additionalProperties": false,
            "properties": {
                "version": { "type": "string" },
                "digest": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
                "weight": share,
                "shadow": share,
                "sequence": { "type": "integer", "minimum": 0, "maximum": LAST },
                "start": { "type": "boolean" },
                "supersedes": { "type": "integer", "minimum": 0, "maximum": LAST },
            },
        } } } });
        let mut delete = operation("Take the canary out", id("abort"));
        delete["parameters"] = json!([
            { "name": "reason", "in": "query", "schema": { "type": "string", "maxLength": MAX_REASON / 4, "pattern": VISIBLE } },
            { "name": "sequence", "in": "query", "schema": { "type": "integer", "minimum": 0, "maximum": LAST } },
            { "name": "seen", "in": "query", "schema": { "type": "integer", "minimum": 0, "maximum": LAST } },
        ]);
        let get = operation("Where the rollout stands", id("standing"));
        paths.insert(format!("/admin/rollout/{model}"), json!({ "get": get, "put": put, "delete": delete }));
    }
}
