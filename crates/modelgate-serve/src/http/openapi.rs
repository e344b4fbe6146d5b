//! `GET /openapi.json`: every path, with the schemas of the models that are served now.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::App;
use super::predict::json;
use super::schemas::{self, reference, shared};
use crate::catalog::Served;
use crate::served::ServedModel;

/// The type of a body that is JSON.
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
/// A header and a row at least.
const CSV: &str = "^[^\\r\\n]+\\r?\\n[^\\r\\n]+";
const HTML: &str = "text/html";

fn answer(description: &str, kind: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { (kind): { "schema": schema } } })
}

/// Adds refusals to answers.
fn with_errors(mut responses: Value, errors: &[(&str, &str)]) -> Value {
    for (code, description) in errors {
        responses[*code] = answer(description, JSON, &shared("Error"));
    }
    responses
}

const MALFORMED: (&str, &str) = ("400", "The request is not of the form of this path");
/// Paths that ask for a key, where keys are set; those of V2 are known by their end.
const PREDICTING: [&str; 4] = ["/predict", "/api/predict", "/invocations", "/explain"];
const METHOD: (&str, &str) = ("405", "The path takes another method");
const NOT_FOUND: (&str, &str) = ("404", "There is no such model or version");
const ABSENT: (&str, &str) = ("503", "The model cannot be served now");
/// What any prediction can be answered with.
const PREDICTION: [(&str, &str); 10] = [
    MALFORMED,
    ("401", "A key is needed"),
    NOT_FOUND,
    METHOD,
    ("408", "The body did not arrive in time"),
    ("413", "The body or the batch is too large"),
    ("415", "The body is of another type"),
    ("422", "The rows are not what the model takes"),
    ("429", "Too many requests"),
    ("503", "Too many requests are under way, or no model is loaded"),
];

fn post(summary: &str, id: &str, tag: &str, request: &Value, reply: &Value) -> Value {
    json!({ "post": {
        "summary": summary,
        "operationId": id,
        "tags": [tag],
        "requestBody": { "required": true, "content": { (JSON): { "schema": request } } },
        "responses": with_errors(json!({ "200": answer("The answer", JSON, reply) }), &PREDICTION),
    } })
}

/// A path that is read; each status in `codes` has the same answer.
fn get(summary: &str, id: &str, tag: &str, codes: &[&str], kind: &str, reply: &Value) -> Value {
    let answers: Map<String, Value> =
        codes.iter().map(|code| ((*code).to_owned(), answer(summary, kind, reply))).collect();
    let mut errors = vec![METHOD];
    let of_models = tag == "models" || id.starts_with("v2_model");
    if of_models {
        errors.extend([MALFORMED, NOT_FOUND]);
    }
    if of_models && id != "models" && !codes.contains(&"503") {
        errors.push(ABSENT);
    }
    let mut responses = with_errors(answers.into(), &errors);
    if of_models && codes.contains(&"503") {
        responses["503"] = answer(ABSENT.1, kind, &json!({ "anyOf": [reply, shared("Error")] }));
    }
    json!({ "get": { "summary": summary, "operationId": id, "tags": [tag], "responses": responses } })
}

fn any_of(schemas: Vec<Value>) -> Value {
    match <[Value; 1]>::try_from(schemas) {
        Ok([one]) => one,
        Err(schemas) if schemas.is_empty() => json!({ "type": "object" }),
        Err(schemas) => json!({ "anyOf": schemas }),
    }
}

/// Returns the name of a model as a part of an operation's, of which the signs that no language takes in a name are gone.
/// Names that are the same without them have a sign of their own at the end.
pub(crate) fn identifier(name: &str, models: &[&str]) -> String {
    let plain = |name: &str| name.replace(['-', '.'], "_");
    let own = plain(name);
    if models.iter().all(|other| *other == name || plain(other) != own) {
        return own;
    }
    let digest = modelgate_core::Digest::of(name.as_bytes()).hex();
    format!("{own}_{}", digest.get(..8).unwrap_or_default())
}

/// Names the header with the number of the request where an answer has it: in all of them.
fn name_correlation(paths: &mut Map<String, Value>, header: &str) {
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(answer) = operation.pointer_mut("/responses/200") {
            answer["headers"] = json!({ (header): { "schema": { "type": "string" } } });
        }
    }
}

/// The paths of one model.
fn of_model(model: &ServedModel, names: &[&str], paths: &mut Map<String, Value>) {
    let (name, version) = (model.name(), &model.offer.version);
    let of = |kind: &str| reference(kind, model);
    let id = |verb: &str| format!("{verb}_{}", identifier(name, names));
    let mut add = |path: String, value: Value| paths.insert(path, value);
    add(
        format!("/predict/{name}"),
        post("Predict rows", &id("predict"), "predict", &of("FlatRequest"), &of("PredictResponse")),
    );
    add(
        format!("/explain/{name}"),
        post(
            "Predict rows and say why",
            &id("explain"),
            "predict",
            &of("ExplainRequest"),
            &of("ExplainResponse"),
        ),
    );
    add(
        format!("/models/{name}"),
        get(
            "What the model takes, and where it comes from",
            &id("model"),
            "models",
            &["200"],
            JSON,
            &shared("Described"),
        ),
    );
    let places = [
        (format!("/v2/models/{name}"), "v2_model"),
        (format!("/v2/models/{name}/versions/{version}"), "v2_model_version"),
    ];
    for (path, verb) in places {
        add(path.clone(), get("Inputs and outputs", &id(verb), "v2", &["200"], JSON, &shared("V2Model")));
        add(
            format!("{path}/ready"),
            get(
                "Whether it predicts",
                &id(&format!("{verb}_ready")),
                "v2",
                &["200", "503"],
                JSON,
                &shared("V2ModelReady"),
            ),
        );
        add(
            format!("{path}/infer"),
            post(
                "Predict, Open Inference Protocol V2",
                &id(&format!("{verb}_infer")),
                "v2",
                &of("InferRequest"),
                &of("InferResponse"),
            ),
        );
    }
}

/// The paths that only read, and are no model's.
fn reading(paths: &mut Map<String, Value>) {
    let text = json!({ "type": "string" });
    let ready = &["200", "503"][..];
    let always = &["200"][..];
    let (live, readiness) = (shared("Live"), shared("Ready"));
    for (path, summary, id, tag, codes, kind, reply) in [
        ("/", "A form for people", "page", "pages", always, HTML, &text),
        ("/docs", "These paths, to be tried", "docs", "pages", always, HTML, &text),
        ("/openapi.json", "This description", "openapi", "pages", always, JSON, &json!({ "type": "object" })),
        ("/models", "What is served", "models", "models", always, JSON, &shared("Models")),
        ("/health", "Models, source and readiness", "health", "health", ready, JSON, &shared("Health")),
        ("/health/live", "Whether the process answers", "live", "health", always, JSON, &live),
        ("/health/ready", "Whether every model predicts", "ready", "health", ready, JSON, &readiness),
        ("/healthz", "As /health/ready", "healthz", "health", ready, JSON, &readiness),
        ("/api/health", "As /health/ready", "api_health", "health", ready, JSON, &readiness),
        ("/ping", "As MLflow's scoring server", "ping", "mlflow", &["200", "404"], TEXT, &text),
        ("/version", "The version of the service", "version", "mlflow", always, TEXT, &text),
        ("/metrics", "For Prometheus", "metrics", "health", always, "application/openmetrics-text", &text),
        ("/v2", "The server", "v2_server", "v2", always, JSON, &shared("V2Server")),
        ("/v2/health/live", "Whether the process answers", "v2_live", "v2", always, JSON, &live),
        (
            "/v2/health/ready",
            "Whether every model predicts",
            "v2_ready",
            "v2",
            ready,
            JSON,
            &shared("V2Ready"),
        ),
    ] {
        paths.insert(path.to_owned(), get(summary, id, tag, codes, kind, reply));
    }
}

/// Returns the whole document.
fn document(app: &App, served: &Served) -> Value {
    let models: Vec<&ServedModel> = served.models.values().map(AsRef::as_ref).collect();
    let each = |kind: &str| any_of(models.iter().map(|model| reference(kind, model)).collect());
    let mut paths = Map::new();
    reading(&mut paths);
    let names: Vec<&str> = models.iter().map(|model| model.name()).collect();
    models.iter().for_each(|model| of_model(model, &names, &mut paths));
    let which = if models.len() > 1 {
        json!([{ "name": "model", "in": "query", "required": true, "schema": { "type": "string", "enum": names } }])
    } else {
        json!([])
    };
    for (path, summary, id, tag, request, reply) in [
        (
            "/predict",
            "Predict rows with the only model, or ?model=",
            "predict",
            "predict",
            "FlatRequest",
            "PredictResponse",
        ),
        ("/api/predict", "Predict one row", "api_predict", "predict", "OneRequest", "OneResponse"),
        (
            "/invocations",
            "Predict, in the forms of MLflow",
            "invocations",
            "mlflow",
            "InvocationsRequest",
            "InvocationsResponse",
        ),
    ] {
        let mut value = post(summary, id, tag, &each(request), &each(reply));
        value["post"]["parameters"] = which.clone();
        if path == "/invocations" {
            let header = models.first().map(|model| csv(model)).unwrap_or_default();
            value["post"]["requestBody"]["content"]["text/csv"] = json!({
                "schema": { "type": "string", "description": "Rows below a header", "pattern": CSV },
                "example": header,
            });
        }
        paths.insert(path.to_owned(), value);
    }
    paths.insert("/admin/reload".to_owned(), reload());
    crate::rollout::openapi(&mut paths, &names);
    if let Some(header) = app.correlation_header() {
        name_correlation(&mut paths, header.as_str());
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "modelgate prediction service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Models that passed their gate. Every answer names the version and the digest of the package that gave it.",
        },
        // Where this description lies: behind a proxy the paths may have something before them.
        "servers": [{ "url": "." }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(served, app.settings.limits.batch_rows),
            "securitySchemes": {
                "admin": { "type": "apiKey", "in": "header", "name": app.settings.admin_header },
            },
        },
    });
    if !app.settings.api_keys.is_empty() {
        let schemes = &mut document["components"]["securitySchemes"];
        schemes["bearer"] = json!({ "type": "http", "scheme": "bearer" });
        schemes["key"] = json!({ "type": "apiKey", "in": "header", "name": "X-API-Key" });
        if let Some(paths) = document["paths"].as_object_mut() {
            // The others are open to everybody, or to administrators.
            let asked =
                |path: &str| PREDICTING.iter().any(|one| path.starts_with(one)) || path.ends_with("/infer");
            for (_, operations) in paths.iter_mut().filter(|(path, _)| asked(path)) {
                operations["post"]["security"] = json!([{ "bearer": [] }, { "key": [] }]);
            }
        }
    }
    document
}

fn reload() -> Value {
    let errors = [
        ("403", "The administrator's token is missing or wrong"),
        METHOD,
        ("429", "Too many tries with a wrong token"),
        (
            "503",
            "The source did not answer, or models were refused and none changed; what was served is served on",
        ),
    ];
    json!({ "post": {
        "summary": "Look at the source now",
        "operationId": "admin_reload",
        "tags": ["admin"],
        "security": [{ "admin": [] }],
        "responses": with_errors(json!({ "200": answer("What came of it", JSON, &shared("Reloaded")) }), &errors),
    } })
}

/// A row of typical values as CSV.
fn csv(model: &ServedModel) -> String {
    let names: Vec<&str> = model.features().iter().map(|feature| feature.name.as_str()).collect();
    let cell = |name: &&str| match &model.typical[*name] {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let cells: Vec<String> = names.iter().map(cell).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(&names).and_then(|()| writer.write_record(&cells));
    let bytes = writer.into_inner().ok().filter(|_| written.is_ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The document of what was served when it was last asked for: of models with many features it is long.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Option<(Weak<Served>, Bytes)>>);

impl Written {
    /// Returns the document of `served`, made by `make` unless it is there.
    fn of(&self, served: &Arc<Served>, make: impl FnOnce() -> String) -> Bytes {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let served = Arc::downgrade(served);
        match &*known {
            Some((of, text)) if of.ptr_eq(&served) => text.clone(),
            _ => {
                let text = Bytes::from(make());
                *known = Some((served, text.clone()));
                text
            }
        }
    }
}

/// `GET /openapi.json`.
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Response {
    let served = app.catalog.served();
    json(app.openapi.of(&served, || document(&app, &served).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_written_once_for_what_is_served() {
        let (written, made) = (Written::default(), std::cell::Cell::new(0));
        let asked = |served: &Arc<Served>| {
            written.of(served, || {
                made.set(made.get() + 1);
                made.get().to_string()
            })
        };
        let (one, other) = (Arc::new(Served::default()), Arc::new(Served::default()));
        assert_eq!([asked(&one), asked(&one)], ["1", "1"]);
        assert_eq!([asked(&other), asked(&other)], ["2", "2"]);
        drop(other);
        assert_eq!(asked(&Arc::new(Served::default())), "3", "one that is gone is not taken for another");
    }

    #[test]
    fn models_whose_names_are_alike_have_operations_of_their_own() {
        let models = ["a-b", "a.b", "a_b", "breast-cancer"];
        let mut all: Vec<String> = models.iter().map(|name| identifier(name, &models)).collect();
        assert_eq!(all[3], "breast_cancer");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all.iter().all(|one| one.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')));
        assert_eq!(identifier("a-b", &["a-b"]), "a_b");
    }

    #[test]
    fn the_header_of_the_number_is_the_one_that_is_set() {
        let mut paths = Map::new();
        reading(&mut paths);
        paths.insert("/admin/reload".to_owned(), reload());
        name_correlation(&mut paths, "x-request-id");
        for operation in [&paths["/health"]["get"], &paths["/admin/reload"]["post"]] {
            let headers = operation["responses"]["200"]["headers"].as_object().expect("headers");
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-request-id"]);
        }
    }
}
