//! Health: alive is who answers; ready is who predicts a stored row with every model that is served.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::predict::json;
use crate::catalog::Served;
use crate::served::ServedModel;

/// How long an answer about readiness holds; whoever asks more often learns no more.
const FRESH: Duration = Duration::from_secs(1);

/// What was found when readiness was last looked at, and of which catalogue.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Arc<Served>, bool)>>);

impl Readiness {
    fn of(&self, served: &Arc<Served>) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, of, ready)) = &*last
            && at.elapsed() < FRESH
            && Arc::ptr_eq(of, served)
        {
            return *ready;
        }
        let ready = !served.models.is_empty() && served.models.values().all(|model| model.check().is_ok());
        *last = Some((Instant::now(), Arc::clone(served), ready));
        ready
    }
}

/// Returns whether requests can be sent here: every model predicts its stored row, and the service is not ending.
pub(crate) fn is_ready(app: &App) -> bool {
    app.catalog.settled.load(Ordering::Acquire)
        && !app.draining.load(Ordering::Relaxed)
        && app.readiness.of(&app.catalog.served())
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
