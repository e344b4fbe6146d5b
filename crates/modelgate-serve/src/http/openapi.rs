//! `GET /openapi.json`: the paths with the schemas of the models that are served now; and Swagger UI from the binary.

use std::io::Read;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use modelgate_core::schema::{Feature, FeatureType};
use serde_json::{Map, Value, json};

use super::App;
use super::predict::json;
use crate::catalog::Served;
use crate::refusal::Refusal;
use crate::request::v2;
use crate::served::ServedModel;

fn cell(feature: &Feature) -> Value {
    let kind = match feature.feature_type {
        FeatureType::Int => "integer",
        FeatureType::Float => "number",
        FeatureType::Text => "string",
    };
    let nullable = feature.nullable && feature.feature_type != FeatureType::Int;
    let mut schema = json!({ "type": if nullable { json!([kind, "null"]) } else { json!(kind) } });
    match feature.feature_type {
        // What lies beyond is refused: the model takes 32-bit numbers, and whole ones of 64 bits.
        FeatureType::Float => {
            schema["minimum"] = json!(-3.4e38);
            schema["maximum"] = json!(3.4e38);
        }
        FeatureType::Int => {
            schema["minimum"] = json!(i64::MIN);
            schema["maximum"] = json!(i64::MAX);
        }
        FeatureType::Text => {}
    }
    if let Some((low, high)) = feature.range {
        schema["description"] = json!(format!("in training from {low} to {high}"));
    }
    if !feature.categories.is_empty() {
        let mut known: Vec<Value> = feature.categories.iter().map(|one| one.as_str().into()).collect();
        if nullable {
            known.push(Value::Null);
        }
        schema["enum"] = known.into();
    }
    schema
}

/// The schema of a row.
fn row(model: &ServedModel) -> Value {
    let properties: Map<String, Value> =
        model.features().iter().map(|feature| (feature.name.clone(), cell(feature))).collect();
    let names: Vec<&str> = model.features().iter().map(|feature| feature.name.as_str()).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
        "example": model.typical,
    })
}

fn prediction(model: &ServedModel) -> Value {
    let classes: Vec<Value> =
        model.classes.iter().filter_map(|class| serde_json::from_str(class).ok()).collect();
    if classes.is_empty() { json!({ "type": "number" }) } else { json!({ "enum": classes }) }
}

fn body(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn answer(description: &str, schema: Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn reference(kind: &str, model: &ServedModel) -> Value {
    json!({ "$ref": format!("#/components/schemas/{kind}.{}", model.name()) })
}

/// Adds the answers that any request can get.
fn with_errors(mut responses: Value) -> Value {
    for (code, description) in [
        ("400", "The body is not of the form of this path"),
        ("401", "A key is needed"),
        ("403", "Not allowed"),
        ("404", "There is no such model"),
        ("405", "The path takes another method"),
        ("408", "The body did not arrive in time"),
        ("413", "The body or the batch is too large"),
        ("415", "The body is of another type"),
        ("422", "The rows are not what the model takes"),
        ("429", "Too many requests"),
        ("503", "Too many requests are under way, or no model is loaded"),
    ] {
        responses[code] = answer(description, json!({ "$ref": "#/components/schemas/Error" }));
    }
    responses
}

fn post(summary: &str, id: &str, tag: &str, request: Value, reply: Value) -> Value {
    json!({ "post": {
        "summary": summary,
        "operationId": id,
        "tags": [tag],
        "requestBody": body(request),
        "responses": with_errors(json!({ "200": answer("The answer", reply) })),
    } })
}

fn get(summary: &str, id: &str, tag: &str, codes: &[&str]) -> Value {
    let mut responses: Map<String, Value> =
        codes.iter().map(|code| ((*code).to_owned(), answer(summary, json!({ "type": "object" })))).collect();
    responses
        .insert("405".to_owned(), answer("Another method", json!({ "$ref": "#/components/schemas/Error" })));
    json!({ "get": { "summary": summary, "operationId": id, "tags": [tag], "responses": responses } })
}

fn one_of(schemas: Vec<Value>) -> Value {
    match <[Value; 1]>::try_from(schemas) {
        Ok([one]) => one,
        Err(schemas) if schemas.is_empty() => json!({ "type": "object" }),
        Err(schemas) => json!({ "anyOf": schemas }),
    }
}

fn schemas(served: &Served, batch: usize) -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert(
        "Error".to_owned(),
        json!({
            "type": "object",
            "required": ["error", "code"],
            "properties": {
                "error": { "type": "string", "description": "A sentence" },
                "code": { "type": "string", "description": "A word that does not change" },
                "details": { "type": "array", "items": {
                    "type": "object",
                    "required": ["reason", "expected", "got"],
                    "properties": {
                        "row": { "type": "integer", "description": "From 0" },
                        "feature": { "type": "string" },
                        "reason": { "type": "string" },
                        "expected": { "type": "string" },
                        "got": { "type": "string", "description": "The kind of value, never the value" },
                    },
                } },
                "more_details": { "type": "integer" },
                "correlation_id": { "type": "string" },
            },
        }),
    );
    for model in served.models.values() {
        let name = |kind: &str| format!("{kind}.{}", model.name());
        schemas.insert(name("Row"), row(model));
        let cells =
            json!({ "type": "array", "minItems": 1, "maxItems": batch, "items": reference("Row", model) });
        schemas.insert(
            name("PredictRequest"),
            json!({
                "type": "object",
                "required": ["features"],
                "additionalProperties": false,
                "properties": { "features": { "anyOf": [reference("Row", model), cells.clone()] } },
                "example": { "features": model.typical },
            }),
        );
        schemas.insert(
            name("OneRequest"),
            json!({
                "type": "object",
                "required": ["features"],
                "additionalProperties": false,
                "properties": { "features": reference("Row", model) },
                "example": { "features": model.typical },
            }),
        );
        let mut answer = json!({
            "type": "object",
            "required": ["predictions", "model", "version", "digest"],
            "properties": {
                "predictions": { "type": "array", "items": prediction(model) },
                "model": { "type": "string" },
                "version": { "type": "string" },
                "digest": { "type": "string" },
                "warnings": { "type": "array", "items": { "type": "object" } },
            },
        });
        if !model.classes.is_empty() {
            answer["properties"]["probabilities"] =
                json!({ "type": "array", "items": { "type": "array", "items": { "type": "number" } } });
            answer["properties"]["classes"] = json!({ "type": "array" });
        }
        schemas.insert(name("PredictResponse"), answer);
        schemas.insert(
            name("InvocationsRequest"),
            json!({
                "type": "object",
                "required": ["dataframe_records"],
                "additionalProperties": false,
                "properties": { "dataframe_records": cells },
                "example": { "dataframe_records": [model.typical] },
            }),
        );
        let tensors: Vec<Value> = model
            .features()
            .iter()
            .map(|feature| {
                let datatype = v2::datatype(feature.feature_type);
                json!({ "name": feature.name, "shape": [1], "datatype": datatype, "data": [model.typical[&feature.name]] })
            })
            .collect();
        schemas.insert(
            name("InferRequest"),
            json!({
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": { "type": "string" },
                    "inputs": { "type": "array", "items": {
                        "type": "object",
                        "required": ["name", "shape", "datatype", "data"],
                        "properties": {
                            "name": { "type": "string" },
                            "shape": { "type": "array", "items": { "type": "integer" } },
                            "datatype": { "type": "string" },
                            "data": { "type": "array" },
                        },
                    } },
                },
                "example": { "inputs": tensors },
            }),
        );
    }
    schemas
}

/// Returns the whole document.
pub(crate) fn document(app: &App) -> Value {
    let served = app.catalog.served();
    let models: Vec<&ServedModel> = served.models.values().map(AsRef::as_ref).collect();
    let each = |kind: &str| one_of(models.iter().map(|model| reference(kind, model)).collect());
    let mut paths = Map::new();
    let object = || json!({ "type": "object" });
    for model in &models {
        let name = model.name();
        let path = |path: &str, value: Value, paths: &mut Map<String, Value>| {
            paths.insert(path.replace("{name}", name), value);
        };
        let (request, reply) = (reference("PredictRequest", model), reference("PredictResponse", model));
        let id = |verb: &str| format!("{verb}_{}", name.replace(['-', '.'], "_"));
        path(
            "/predict/{name}",
            post("Predict rows", &id("predict"), "predict", request.clone(), reply),
            &mut paths,
        );
        path(
            "/explain/{name}",
            post("Predict rows and say why", &id("explain"), "predict", request, object()),
            &mut paths,
        );
        path(
            "/v2/models/{name}/infer",
            post(
                "Predict, Open Inference Protocol V2",
                &id("infer"),
                "v2",
                reference("InferRequest", model),
                object(),
            ),
            &mut paths,
        );
        path("/v2/models/{name}", get("Inputs and outputs", &id("v2_model"), "v2", &["200"]), &mut paths);
        path(
            "/v2/models/{name}/ready",
            get("Whether it predicts", &id("v2_ready"), "v2", &["200", "503"]),
            &mut paths,
        );
        path(
            "/models/{name}",
            get("What the model takes, and where it comes from", &id("model"), "models", &["200"]),
            &mut paths,
        );
    }
    let which = if models.len() > 1 {
        let names: Vec<&str> = models.iter().map(|model| model.name()).collect();
        json!([{ "name": "model", "in": "query", "required": true, "schema": { "enum": names } }])
    } else {
        json!([])
    };
    let mut whole = |path: &str, mut value: Value| {
        value["post"]["parameters"] = which.clone();
        paths.insert(path.to_owned(), value);
    };
    whole(
        "/predict",
        post(
            "Predict rows with the only model, or ?model=",
            "predict",
            "predict",
            each("PredictRequest"),
            each("PredictResponse"),
        ),
    );
    let short = json!({ "type": "object", "required": ["prediction", "model_version"] });
    whole("/api/predict", post("Predict one row", "api_predict", "predict", each("OneRequest"), short));
    let predictions = json!({ "type": "object", "required": ["predictions"] });
    whole(
        "/invocations",
        post(
            "Predict, in the forms of MLflow",
            "invocations",
            "mlflow",
            each("InvocationsRequest"),
            predictions,
        ),
    );
    for (path, summary, id, tag, codes) in [
        ("/models", "What is served", "models", "models", &["200"][..]),
        ("/health", "Models, source and readiness", "health", "health", &["200", "503"]),
        ("/health/live", "Whether the process answers", "live", "health", &["200"]),
        ("/health/ready", "Whether every model predicts", "ready", "health", &["200", "503"]),
        ("/v2", "The server", "v2_server", "v2", &["200"]),
        ("/v2/health/live", "Whether the process answers", "v2_live", "v2", &["200"]),
        ("/v2/health/ready", "Whether every model predicts", "v2_ready", "v2", &["200", "503"]),
    ] {
        paths.insert(path.to_owned(), get(summary, id, tag, codes));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "modelgate prediction service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Models that passed their gate. Every answer names the version and the digest of the package that gave it.",
        },
        "paths": paths,
        "components": { "schemas": schemas(&served, app.settings.limits.batch_rows) },
    });
    if !app.settings.api_keys.is_empty() {
        document["components"]["securitySchemes"] = json!({ "bearer": { "type": "http", "scheme": "bearer" }, "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" } });
        document["security"] = json!([{ "bearer": [] }, { "key": [] }]);
    }
    document
}

/// `GET /openapi.json`.
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Response {
    json(document(&app).to_string())
}

/// `GET /docs`.
pub(crate) async fn docs() -> Html<&'static str> {
    Html(include_str!("../../assets/docs.html"))
}

/// The files of Swagger UI that are handed out, with their types.
const FILES: [(&str, &str); 2] =
    [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")];

/// `GET /assets/docs.js`.
pub(crate) async fn docs_script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/docs.js"))
        .into_response()
}

/// `GET /docs/{file}`.
pub(crate) async fn docs_file(Path(file): Path<String>) -> Response {
    let Some((name, kind)) = FILES.iter().find(|(name, _)| *name == file) else {
        return Refusal::not_found("there is no such file").into_response();
    };
    match unpacked(name) {
        Some(bytes) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=86400")], bytes).into_response()
        }
        None => Refusal::internal("the page's own files cannot be read").into_response(),
    }
}

/// Returns a file of the archive of Swagger UI.
fn unpacked(name: &str) -> Option<Vec<u8>> {
    let archive = std::io::Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED);
    let mut archive = zip::ZipArchive::new(archive).ok()?;
    let end = format!("/dist/{name}");
    let path = archive.file_names().find(|path| path.ends_with(&end))?.to_owned();
    let mut bytes = Vec::new();
    archive.by_name(&path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
