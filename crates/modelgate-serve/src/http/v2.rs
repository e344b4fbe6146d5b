//! The Open Inference Protocol, V2 over REST.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::App;
use super::extract::Named;
use super::health;
use super::predict::{Asked, Reading, answer, json, name_version, present};
use crate::answer;
use crate::refusal::Refusal;
use crate::request::v2;
use crate::rollout::choose;
use crate::served::ServedModel;
use crate::telemetry::Route;

/// `GET /v2`.
pub(crate) async fn server() -> Response {
    json(json!({ "name": "modelgate", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }).to_string())
}

/// `GET /v2/health/live`.
pub(crate) async fn live() -> Response {
    json(json!({ "live": true }).to_string())
}

/// `GET /v2/health/ready`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = health::is_ready(&app);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(json!({ "live": true, "ready": ready }).to_string())).into_response()
}

fn find(app: &App, name: &str, version: Option<&str>) -> Result<Arc<ServedModel>, Refusal> {
    let served = app.catalog.served();
    present(app, &served, Some(name))?;
    choose(&served, Some(name), version, None).map(|chosen| chosen.model)
}

/// Returns the versions of a model that answer, the one in production first.
fn versions(app: &App, model: &ServedModel) -> Vec<String> {
    let served = app.catalog.served();
    let stable = served.models.get(model.name());
    let canary = served.canaries.get(model.name()).map(|canary| &canary.model);
    stable.into_iter().chain(canary).map(|model| model.offer.version.clone()).collect()
}

fn metadata(app: &App, model: &ServedModel) -> String {
    let tensor = |name: &str, datatype: &str, shape: serde_json::Value| json!({ "name": name, "datatype": datatype, "shape": shape });
    let inputs: Vec<_> = model
        .features()
        .iter()
        .map(|feature| tensor(&feature.name, v2::datatype(feature.feature_type), json!([-1])))
        .collect();
    let outputs: Vec<_> = answer::v2_outputs(model)
        .iter()
        .map(|name| match *name {
            "probabilities" => tensor(name, "FP32", json!([-1, model.classes.len()])),
            name => tensor(name, answer::v2_datatype(model), json!([-1])),
        })
        .collect();
    json!({
        "name": model.name(),
        "versions": versions(app, model),
        "platform": "modelgate_onnx",
        "inputs": inputs,
        "outputs": outputs,
    })
    .to_string()
}

fn described(app: &App, name: &str, version: Option<&str>) -> Response {
    match find(app, name, version) {
        Err(refusal) => refusal.into_response(),
        Ok(model) => {
            let mut response = json(metadata(app, &model));
            name_version(&mut response, &model);
            response
        }
    }
}

/// `GET /v2/models/{name}`.
pub(crate) async fn model(State(app): State<Arc<App>>, Named(name): Named<String>) -> Response {
    described(&app, &name, None)
}

/// `GET /v2/models/{name}/versions/{version}`.
pub(crate) async fn version(
    State(app): State<Arc<App>>,
    Named((name, version)): Named<(String, String)>,
) -> Response {
    described(&app, &name, Some(&version))
}

fn readiness(app: &App, name: &str, version: Option<&str>) -> Response {
    match find(app, name, version) {
        Err(refusal) => refusal.into_response(),
        Ok(model) => {
            let ready = health::answers(&model);
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = json(json!({ "name": model.name(), "ready": ready }).to_string());
            let mut response = (status, body).into_response();
            name_version(&mut response, &model);
            response
        }
    }
}

/// `GET /v2/models/{name}/ready`.
pub(crate) async fn model_ready(State(app): State<Arc<App>>, Named(name): Named<String>) -> Response {
    readiness(&app, &name, None)
}

/// `GET /v2/models/{name}/versions/{version}/ready`.
pub(crate) async fn version_ready(
    State(app): State<Arc<App>>,
    Named((name, version)): Named<(String, String)>,
) -> Response {
    readiness(&app, &name, Some(&version))
}

async fn infer_with(app: &App, name: String, version: Option<String>, request: Request<Body>) -> Response {
    let asked = Asked { route: Route::V2Infer, name: Some(name), version };
    let work = |reading: &Reading<'_>| {
        let known = answer::v2_outputs(reading.model);
        let asked = v2::read(reading.body, &reading.types(), known, reading.rows())?;
        let prediction = reading.predict(&asked.batch)?;
        Ok(answer::v2(reading.model, &prediction, asked.batch.rows, asked.id.as_deref(), &asked.outputs))
    };
    answer(app, asked, request, work).await
}

/// `POST /v2/models/{name}/infer`.
pub(crate) async fn infer(
    State(app): State<Arc<App>>,
    Named(name): Named<String>,
    request: Request<Body>,
) -> Response {
    infer_with(&app, name, None, request).await
}

/// `POST /v2/models/{name}/versions/{version}/infer`.
pub(crate) async fn version_infer(
    State(app): State<Arc<App>>,
    Named((name, version)): Named<(String, String)>,
    request: Request<Body>,
) -> Response {
    infer_with(&app, name, Some(version), request).await
}
