//! `POST /explain/{name}`: the body of `/predict`, and what each feature adds to each answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::App;
use super::extract::Named;
use super::predict::{Asked, Reading, answer, answered};
use crate::answer;
use crate::explanation::{self, Explanation, Method};
use crate::refusal::Refusal;
use crate::request::native;
use crate::served::ServedModel;
use crate::telemetry::Route;

/// Rows of a request: each is predicted many times.
pub(super) const ROWS: usize = 100;

/// `POST /explain/{name}`.
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Named(name): Named<String>,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::Explain, name: Some(name), version: None };
    answer(&app, asked, request, |reading| tokio::task::block_in_place(|| work(reading))).await
}

fn work(reading: &Reading<'_>) -> Result<String, Refusal> {
    let batch = native::read(reading.body, reading.rows_up_to(ROWS), true)?;
    reading.flag(&batch);
    let model = reading.model;
    let prediction = answered(model.predict(&batch.columns, batch.rows), batch.rows)?;
    let explanations = explanation::explain(model, &batch, &prediction).map_err(Refusal::internal)?;
    let mut rows = Vec::with_capacity(batch.rows);
    for (row, explanation) in explanations.iter().enumerate() {
        let mut text = String::from("{");
        answer::push_row(&mut text, model, &prediction, row);
        text.push('}');
        let mut value: Value =
            serde_json::from_str(&text).map_err(|error| Refusal::internal(error.to_string()))?;
        value["class"] = explanation.class.map_or(Value::Null, |class| class_name(model, class));
        value["base"] = json!(explanation.base);
        value["contributions"] = contributions(model, explanation);
        rows.push(value);
    }
    let method = explanations.first().map_or(Method::Occlusion, |first| first.method);
    let unit = match (method, model.classes.is_empty()) {
        (_, true) => "target",
        (Method::Shapley, false) => "log_odds",
        (Method::Occlusion, false) => "probability",
    };
    let mut body = json!({
        "explanations": rows,
        "method": method.name(),
        "unit": unit,
        "model": model.name(),
        "version": model.offer.version,
        "digest": model.offer.digest.to_string(),
    });
    if !batch.warnings.is_empty() {
        body["warnings"] = json!(batch.warnings);
    }
    Ok(body.to_string())
}

fn class_name(model: &ServedModel, class: usize) -> Value {
    model.classes.get(class).and_then(|name| serde_json::from_str(name).ok()).unwrap_or(Value::Null)
}

/// The largest first.
fn contributions(model: &ServedModel, explanation: &Explanation) -> Value {
    let mut found: Vec<(&str, f64)> = model
        .features()
        .iter()
        .zip(&explanation.contributions)
        .map(|(feature, contribution)| (feature.name.as_str(), *contribution))
        .collect();
    found.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
    found
        .into_iter()
        .map(|(feature, contribution)| json!({ "feature": feature, "contribution": contribution }))
        .collect()
}
