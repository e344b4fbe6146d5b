//! `GET /models` and `GET /models/{name}`: what is served, and what it takes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::extract::Named;
use super::health::summary;
use super::predict::{json, name_version, present};
use crate::refusal::Refusal;
use crate::served::ServedModel;

/// `GET /models`.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let served = app.catalog.served();
    let models: Vec<Value> = served
        .models
        .values()
        .map(|model| {
            let mut one = summary(model);
            one["name"] = model.name().into();
            one
        })
        .collect();
    json(json!({ "models": models }).to_string())
}

/// What a form, or a caller, needs to know of a model.
pub(crate) fn described(model: &ServedModel) -> Value {
    let features: Vec<Value> = model
        .features()
        .iter()
        .map(|feature| {
            json!({
                "name": feature.name,
                "type": feature.feature_type,
                "boolean": feature.takes_booleans(),
                "nullable": feature.nullable,
                "range": feature.range,
                "allowed": feature.allowed,
                "label": feature.label,
                "unit": feature.unit,
                "categories": feature.categories,
                "typical": model.typical[&feature.name],
            })
        })
        .collect();
    let classes: Vec<Value> =
        model.classes.iter().filter_map(|class| serde_json::from_str(class).ok()).collect();
    let manifest = &model.package.manifest;
    let mut one = summary(model);
    one["name"] = model.name().into();
    one["target"] = manifest.schema.target.clone().into();
    one["classes"] = if classes.is_empty() { Value::Null } else { classes.into() };
    one["features"] = features.into();
    one["nulls"] = json!(manifest.schema.nulls);
    one["lineage"] = json!(manifest.lineage);
    one
}

/// `GET /models/{name}`.
pub(crate) async fn one(State(app): State<Arc<App>>, Named(name): Named<String>) -> Response {
    let served = app.catalog.served();
    let found = present(&app, &served, Some(&name));
    match found.and_then(|()| served.find(Some(&name)).map_err(Refusal::not_found)) {
        Ok(model) => {
            let mut response = json(described(model).to_string());
            name_version(&mut response, model);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}
