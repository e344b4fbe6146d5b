//! `POST /explain/{name}`: the body of `/predict`, and what each feature adds to each answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::App;
use super::extract::{Named, Which};
use super::predict::{Asked, Reading, answer, answered};
use crate::answer;
use crate::explanation::{self, Explanation, Method};
use crate::refusal::Refusal;
use crate::request::native;
use crate::served::ServedModel;
use crate::telemetry::Route;

/// Rows of a request: each is predicted many times. Of a model that looks at very many columns they are fewer.
pub(super) const ROWS: usize = 100;

/// `POST /explain/{name}`.
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Named(name): Named<String>,
    which: Which,
    request: Request<Body>,
) -> Response {
    if let Err(refusal) = which.agrees(&name) {
        return refusal.into_response();
    }
    let asked = Asked { route: Route::Explain, name: Some(name), version: None };
    answer(&app, asked, request, |reading| tokio::task::block_in_place(|| work(reading))).await
}

fn work(reading: &Reading<'_>) -> Result<String, Refusal> {
    let model = reading.model;
    let batch = native::read(reading.body, reading.rows_up_to(explanation::rows(model, ROWS)), true)?;
    reading.flag(&batch);
    let prediction = answered(model.predict(&batch.columns, batch.rows), batch.rows)?;
    let explanations = explanation::explain(model, &batch, &prediction).map_err(Refusal::internal)?;
    let mut rows = Vec::with_capacity(batch.rows);
    for (row, explanation) in explanations.iter().enumerate() {
        let mut text = String::from("{");
        answer::push_row(&mut text, model, &prediction, row);
        text.push('}');
        rows.push(Row {
            base: explanation.base,
            class: explanation.class.map_or(Value::Null, |class| class_name(model, class)),
            contributions: contributions(model, explanation),
            answer: serde_json::from_str(&text).map_err(|error| Refusal::internal(error.to_string()))?,
        });
    }
    let method = explanations.first().map_or(Method::Occlusion, |first| first.method);
    let unit = match (method, model.classes.is_empty()) {
        (_, true) => "target",
        (Method::Shapley, false) => "log_odds",
        (Method::Occlusion, false) => "probability",
    };
    let body = Answer {
        digest: model.offer.digest.to_string(),
        explanations: rows,
        method: method.name(),
        model: model.name(),
        more_warnings: Some(json!(batch.more_warnings())).filter(|_| batch.more_warnings() > 0),
        unit,
        version: &model.offer.version,
        warnings: Some(json!(batch.warnings)).filter(|_| !batch.warnings.is_empty()),
    };
    serde_json::to_string(&body).map_err(|error| Refusal::internal(error.to_string()))
}

/// The answer, written as it is: of many features a tree of JSON values would take many times the room.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    digest: String,
    explanations: Vec<Row<'a>>,
    method: &'static str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_warnings: Option<Value>,
    unit: &'static str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    base: f64,
    class: Value,
    contributions: Vec<Contribution<'a>>,
    #[serde(flatten)]
    answer: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct Contribution<'a> {
    contribution: f64,
    feature: &'a str,
}

fn class_name(model: &ServedModel, class: usize) -> Value {
    model.classes.get(class).and_then(|name| serde_json::from_str(name).ok()).unwrap_or(Value::Null)
}

/// The largest first.
fn contributions<'a>(model: &'a ServedModel, explanation: &Explanation) -> Vec<Contribution<'a>> {
    let features = model.features().iter().zip(&explanation.contributions);
    let mut found: Vec<Contribution<'a>> = features
        .map(|(feature, contribution)| Contribution { contribution: *contribution, feature: &feature.name })
        .collect();
    found.sort_by(|one, other| other.contribution.abs().total_cmp(&one.contribution.abs()));
    found
}
