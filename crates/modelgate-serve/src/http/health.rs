//! Health: alive is who answers; ready is who predicts a stored row with every model that is served.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::predict::json;
use crate::catalog::Served;
use crate::caught::caught;
use crate::served::ServedModel;

/// Returns whether a model predicts its stored row.
pub(crate) fn answers(model: &ServedModel) -> bool {
    let check = || caught(|| model.check()).is_ok_and(|checked| checked.is_ok());
    model.readiness.of(|| tokio::task::block_in_place(check))
}

/// Returns whether requests can be sent here: every model predicts its stored row, and the service is not ending.
pub(crate) fn is_ready(app: &App) -> bool {
    app.catalog.settled.load(Ordering::Acquire)
        && !app.draining.load(Ordering::Relaxed)
        && every_answers(&app.catalog.served())
}

fn every_answers(served: &Served) -> bool {
    !served.models.is_empty() && served.models.values().all(|model| answers(model))
}

/// What `/health` and `/models` say of a model.
pub(crate) fn summary(model: &ServedModel) -> Value {
    json!({
        "version": model.offer.version,
        "digest": model.offer.digest.to_string(),
        "stage": if model.offer.stage.is_empty() { Value::Null } else { model.offer.stage.clone().into() },
        "task": model.package.manifest.task,
        "verified": model.verified == crate::served::Verified::Verdict,
        "signed": model.signed,
        "metrics": model.offer.metrics,
        "loaded_at": model.loaded_at,
    })
}

/// What `/health` says of a model: what is in production, and the canary beside it.
fn standing(app: &App, name: &str, model: &ServedModel) -> Value {
    let mut one = summary(model);
    let standing = app.catalog.rollouts.standing(&app.catalog, name);
    if let Some(canary) = standing.and_then(|standing| standing.canary) {
        one["canary"] = json!(canary);
    }
    one
}

/// `GET /health`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let ready = is_ready(&app);
    let status = app.catalog.status();
    let served = app.catalog.served();
    let models: serde_json::Map<String, Value> =
        served.models.iter().map(|(name, model)| (name.clone(), standing(&app, name, model))).collect();
    let all = status.refused.is_empty() && status.withdrawn.is_empty();
    let whole = status.reachable == Some(true) && all && !status.from_cache;
    let word = match (ready, whole) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "unavailable",
    };
    let mut body = json!({
        "status": word,
        "ready": ready,
        "draining": app.draining.load(Ordering::Relaxed),
        "service_version": env!("CARGO_PKG_VERSION"),
        "models": models,
        "source": status,
    });
    if status.kind == "mlflow" {
        body["mlflow"] = json!({
            "reachable": status.reachable,
            "server_version": status.server_version,
            "last_check": status.last_check,
        });
    }
    (code(ready), json(body.to_string())).into_response()
}

fn code(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /health/live`.
pub(crate) async fn live() -> Response {
    json(json!({ "live": true }).to_string())
}

/// `GET /health/ready`, `/healthz` and `/api/health`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = is_ready(&app);
    let word = if ready { "ok" } else { "unavailable" };
    (code(ready), json(json!({ "status": word, "ready": ready }).to_string())).into_response()
}

/// `GET /ping`, as MLflow's scoring server has it.
pub(crate) async fn ping(State(app): State<Arc<App>>) -> Response {
    let code = if is_ready(&app) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (code, "\n").into_response()
}

/// `GET /version`, as MLflow's scoring server has it.
pub(crate) async fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
