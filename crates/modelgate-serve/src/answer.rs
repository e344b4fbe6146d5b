//! Answers as JSON, written straight into text: every number is finite or `null`.

use std::fmt::Write;

use modelgate_core::schema::Classes;
use modelgate_model::Prediction;

use crate::request::rows::Batch;
use crate::served::ServedModel;
use crate::source::Offer;

/// Appends a string of JSON.
pub(crate) fn push_text(text: &mut String, value: &str) {
    // Most have nothing to escape.
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        // A string always has a form in JSON.
        text.push_str(&serde_json::to_string(value).unwrap_or_default());
    }
}

/// Appends a number in the shortest form that gives the same `f32`.
pub(crate) fn push_number(text: &mut String, value: f32) {
    if value.is_finite() {
        text.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        text.push_str("null");
    }
}

/// Appends a whole number.
pub(crate) fn push_whole(text: &mut String, value: i64) {
    text.push_str(itoa::Buffer::new().format(value));
}

/// Appends a probability. A sum of many trees may end beside 0 or 1 by its last bit, which is no probability to a caller.
fn push_probability(text: &mut String, value: f32) {
    push_number(text, probability(value));
}

/// Returns a probability as it is told.
pub(crate) fn probability(value: f32) -> f32 {
    value.clamp(0.0, 1.0)
}

fn push_list(text: &mut String, count: usize, mut one: impl FnMut(&mut String, usize)) {
    text.push('[');
    for at in 0..count {
        if at > 0 {
            text.push(',');
        }
        one(text, at);
    }
    text.push(']');
}

/// Appends the prediction of a row: its class as JSON, or its value.
fn push_prediction(text: &mut String, model: &ServedModel, prediction: &Prediction, row: usize) {
    match prediction {
        Prediction::Classes { labels, .. } => {
            text.push_str(model.classes.get(labels[row] as usize).map_or("null", String::as_str));
        }
        Prediction::Values(values) => push_number(text, values[row]),
    }
}

fn push_probabilities(text: &mut String, model: &ServedModel, probabilities: &[f32], row: usize) {
    let width = model.classes.len();
    push_list(text, width, |text, class| push_probability(text, probabilities[row * width + class]));
}

/// Appends `"prediction":…` and, of a classifier, `"probabilities":[…]` of one row.
pub(crate) fn push_row(text: &mut String, model: &ServedModel, prediction: &Prediction, row: usize) {
    text.push_str("\"prediction\":");
    push_prediction(text, model, prediction, row);
    if let Prediction::Classes { probabilities, .. } = prediction {
        text.push_str(",\"probabilities\":");
        push_probabilities(text, model, probabilities, row);
    }
}

fn push_predictions(text: &mut String, model: &ServedModel, prediction: &Prediction, rows: usize) {
    push_list(text, rows, |text, row| push_prediction(text, model, prediction, row));
}

/// Returns `,"model":…,"version":…,"digest":…` of a version, as it stands in answers and in the log.
pub(crate) fn identity(offer: &Offer) -> String {
    let mut text = ",\"model\":".to_owned();
    push_text(&mut text, &offer.name.to_string());
    text.push_str(",\"version\":");
    push_text(&mut text, &offer.version);
    text.push_str(",\"digest\":");
    push_text(&mut text, &offer.digest.to_string());
    text
}

fn push_warnings(text: &mut String, batch: &Batch) {
    if !batch.warnings.is_empty() {
        text.push_str(",\"warnings\":");
        text.push_str(&serde_json::to_string(&batch.warnings).unwrap_or_else(|_| "[]".to_owned()));
    }
    let more = batch.more_warnings();
    if more > 0 {
        let _ = write!(text, ",\"more_warnings\":{more}");
    }
}

/// The answer of `/predict`.
pub(crate) fn native(model: &ServedModel, prediction: &Prediction, batch: &Batch) -> String {
    let rows = batch.rows;
    let mut text = String::with_capacity(256 + rows * 16 * (model.classes.len() + 1));
    text.push_str("{\"predictions\":");
    push_predictions(&mut text, model, prediction, rows);
    if let Prediction::Classes { probabilities, .. } = prediction {
        text.push_str(",\"probabilities\":");
        push_list(&mut text, rows, |text, row| push_probabilities(text, model, probabilities, row));
        text.push_str(",\"classes\":");
        push_list(&mut text, model.classes.len(), |text, class| text.push_str(&model.classes[class]));
    }
    text.push_str(&model.identity);
    push_warnings(&mut text, batch);
    text.push('}');
    text
}

/// The answer of `/api/predict`, which has one row.
pub(crate) fn api(model: &ServedModel, prediction: &Prediction, batch: &Batch) -> String {
    let mut text = String::with_capacity(128);
    text.push_str("{\"prediction\":");
    push_prediction(&mut text, model, prediction, 0);
    text.push_str(",\"model_version\":");
    push_text(&mut text, &model.offer.version);
    push_warnings(&mut text, batch);
    text.push('}');
    text
}

/// The answer of `/invocations`.
pub(crate) fn mlflow(model: &ServedModel, prediction: &Prediction, rows: usize) -> String {
    let mut text = String::with_capacity(64 + rows * 16);
    text.push_str("{\"predictions\":");
    push_predictions(&mut text, model, prediction, rows);
    text.push('}');
    text
}

/// The names of the outputs of a model, in the Open Inference Protocol.
pub(crate) fn v2_outputs(model: &ServedModel) -> &'static [&'static str] {
    if model.classes.is_empty() { &["prediction"] } else { &["label", "probabilities"] }
}

/// The type of a model's label or prediction, in the Open Inference Protocol.
pub(crate) fn v2_datatype(model: &ServedModel) -> &'static str {
    match model.package.manifest.schema.classes {
        None => "FP32",
        Some(Classes::Int(_)) => "INT64",
        Some(Classes::Text(_)) => "BYTES",
    }
}

/// The answer of the Open Inference Protocol; `wanted` is empty for every output.
pub(crate) fn v2(
    model: &ServedModel,
    prediction: &Prediction,
    rows: usize,
    id: Option<&str>,
    wanted: &[String],
) -> String {
    let mut text = String::with_capacity(256 + rows * 16 * (model.classes.len() + 1));
    text.push_str("{\"model_name\":");
    push_text(&mut text, model.name());
    text.push_str(",\"model_version\":");
    push_text(&mut text, &model.offer.version);
    if let Some(id) = id {
        text.push_str(",\"id\":");
        push_text(&mut text, id);
    }
    text.push_str(",\"outputs\":[");
    let outputs = v2_outputs(model);
    let chosen = outputs.iter().filter(|name| wanted.is_empty() || wanted.iter().any(|one| one == *name));
    for (at, name) in chosen.enumerate() {
        if at > 0 {
            text.push(',');
        }
        let width = model.classes.len();
        match prediction {
            Prediction::Classes { probabilities, .. } if *name == "probabilities" => {
                let _ = write!(
                    text,
                    "{{\"name\":\"{name}\",\"shape\":[{rows},{width}],\"datatype\":\"FP32\",\"data\":"
                );
                push_list(&mut text, rows * width, |text, at| push_probability(text, probabilities[at]));
            }
            _ => {
                let datatype = v2_datatype(model);
                let _ = write!(
                    text,
                    "{{\"name\":\"{name}\",\"shape\":[{rows}],\"datatype\":\"{datatype}\",\"data\":"
                );
                push_predictions(&mut text, model, prediction, rows);
            }
        }
        text.push('}');
    }
    text.push_str("]}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_told_as_one() {
        let told = |value: f32| {
            let mut text = String::new();
            push_probability(&mut text, value);
            text
        };
        assert_eq!(["1.0", "0.0", "0.25"].map(str::to_owned), [1.000_000_1, -1e-8, 0.25].map(told));
        assert_eq!(told(f32::NAN), "null");
    }
}
