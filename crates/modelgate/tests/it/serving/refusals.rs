//! Requests that make no sense: an answer below 500 that says where and what, and never what was sent.

use modelgate_testing::Service;
use serde_json::{Value, json};

use super::{project, reload, row, serve, service};

fn with(name: &str, value: Value) -> Value {
    let mut row = row();
    row[name] = value;
    json!({ "features": [super::row(), row] })
}

#[track_caller]
fn refused(service: &Service, body: &Value, feature: &str, reason: &str, got: &str) {
    let reply = service.post("/predict/shop", body).is(422);
    let answer = reply.json();
    assert_eq!(answer["code"], "invalid_features");
    let details = answer["details"].as_array().expect("details");
    let found =
        details.iter().find(|one| one["feature"] == feature).unwrap_or_else(|| panic!("{}", reply.text));
    assert_eq!(
        (&found["row"], &found["reason"], &found["got"]),
        (&json!(1), &json!(reason), &json!(got)),
        "{}",
        reply.text
    );
    assert!(found["expected"].is_string());
    assert_eq!(answer["correlation_id"].as_str(), reply.header("x-correlation-id"));
}

#[test]
fn cells_that_the_model_does_not_take_are_named() {
    let project = project();
    let service = service(&project, &[]);
    refused(&service, &with("age", json!("SECRET")), "age", "wrong_type", "a string");
    refused(&service, &with("age", json!(3.5)), "age", "wrong_type", "a number");
    refused(&service, &with("age", json!(1e300)), "age", "wrong_type", "a number");
    refused(&service, &with("age", Value::Null), "age", "null", "null");
    refused(&service, &with("age", json!([40])), "age", "wrong_type", "a list");
    refused(&service, &with("income", json!({ "a": 1 })), "income", "wrong_type", "an object");
    refused(&service, &with("income", json!(true)), "income", "wrong_type", "a boolean");
    refused(&service, &with("income", json!(1e300)), "income", "not_finite", "a number");
    refused(&service, &with("region", json!(3)), "region", "wrong_type", "a whole number");
    refused(&service, &with("region", json!("SECRET")), "region", "unknown_category", "a string");
    refused(&service, &with("region", Value::Null), "region", "null", "null");
    refused(&service, &with("more", json!(1)), "more", "unknown", "a feature");
    let mut missing = row();
    missing.as_object_mut().expect("row").remove("region");
    refused(&service, &json!({ "features": [row(), missing] }), "region", "missing", "null");
    let positional =
        service.post("/predict/shop", &json!({ "features": [[40, 1, "south", true, 5]] })).is(422);
    assert!(positional.text.contains("4 values, got 5"), "{}", positional.text);
    let short = service.post("/predict/shop", &json!({ "features": [[40, 1, "south"]] })).is(422);
    assert_eq!(short.json()["details"][0]["feature"], "member");

    // 40.0 is a whole number, and a null where training had nulls is a value.
    let _ = service.post("/predict/shop", &with("age", json!(40.0))).is(200);
    let _ = service.post("/predict/shop", &with("income", Value::Null)).is(200);
    let flagged = service.post("/predict/shop", &with("age", json!(500))).is(200).json();
    assert_eq!(
        (&flagged["warnings"][0]["feature"], &flagged["warnings"][0]["reason"]),
        (&json!("age"), &json!("out_of_range"))
    );

    let many = service.post("/predict/shop", &json!({ "features": vec![json!({}); 50] })).is(422).json();
    assert_eq!((many["details"].as_array().map(Vec::len), &many["more_details"]), (Some(20), &json!(180)));
    let talk = service.talk();
    assert!(!talk.contains("SECRET"), "{talk}");
}

#[test]
fn settings_say_what_becomes_of_the_unusual() {
    let project = project();
    let config = project.read("modelgate.yaml");
    project.write(
        "modelgate.yaml",
        format!("{config}serve: {{out_of_range: reject, unknown_category: flag}}\n"),
    );
    let service = service(&project, &[]);
    refused(&service, &with("age", json!(500)), "age", "out_of_range", "a whole number");
    let flagged = service.post("/predict/shop", &with("region", json!("west"))).is(200).json();
    assert_eq!(flagged["warnings"][0]["reason"], "unknown_category");
}

/// Checks that a refusal has the one shape, and the number of its request in its head and body.
#[track_caller]
fn text_of(reply: &modelgate_testing::Reply, status: u16, code: &str) {
    let body = reply.json();
    assert_eq!((reply.status, &body["code"]), (status, &json!(code)), "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(body["correlation_id"].is_string(), "{}", reply.text);
    assert_eq!(body["correlation_id"].as_str(), reply.header("x-correlation-id"), "{}", reply.text);
}

#[test]
fn every_answer_has_a_number_and_the_version_it_comes_from() {
    let project = project();
    let service = service(&project, &[]);
    let digest = service.get("/models/shop").json()["digest"].clone();
    let numbered = [("x-correlation-id", "mine-7")];
    for path in [
        "/",
        "/docs",
        "/openapi.json",
        "/health",
        "/health/live",
        "/health/ready",
        "/healthz",
        "/api/health",
        "/ping",
        "/version",
        "/metrics",
        "/models",
        "/models/shop",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/shop",
        "/v2/models/shop/ready",
        "/v2/models/shop/versions/v001",
        "/v2/models/shop/versions/v001/ready",
    ] {
        let reply = service.request("GET", path, &numbered, None).is(200);
        assert_eq!(reply.header("x-correlation-id"), Some("mine-7"), "{path}");
        if path.contains("shop") {
            assert_eq!(reply.header("modelgate-model-version"), Some("v001"), "{path}");
            assert_eq!(reply.header("modelgate-model-digest"), digest.as_str(), "{path}");
        }
    }
    text_of(&service.get("/nothing"), 404, "not_found");
    text_of(&service.get("/models/nothing"), 404, "not_found");
    text_of(&service.get("/v2/models/nothing/ready"), 404, "not_found");
    text_of(&service.get("/predict/shop"), 405, "method_not_allowed");
    text_of(&service.request("POST", "/admin/reload", &[], None), 403, "forbidden");
    let reloaded = reload(&service).is(200);
    assert!(reloaded.header("x-correlation-id").is_some());
}

#[test]
fn bodies_that_are_none_are_refused() {
    let project = project();
    let service = service(&project, &["--max-body", "100000", "--max-batch", "10"]);
    let text = |status: u16, body: &[u8], said: &str| {
        let reply = service
            .request("POST", "/predict/shop", &[("content-type", "application/json")], Some(body))
            .is(status);
        assert!(reply.text.contains(said), "{}", reply.text);
        assert!(!reply.text.contains("SECRET"), "{}", reply.text);
        assert!(reply.json()["error"].is_string() && reply.json()["code"].is_string(), "{}", reply.text);
    };
    text(400, b"", "EOF");
    text(400, b"\xff\xfe", "expected");
    text(400, b"{\"features\": {\"age\": 1", "EOF");
    text(400, b"{\"features\": {\"age\": NaN}}", "expected value");
    text(400, b"{\"features\": {\"age\": 1e999}}", "out of range");
    text(400, b"{\"features\": {\"region\": \"\\ud800\"}}", "hex escape");
    text(400, b"\"SECRET\"", "expected an object such as");
    text(400, b"{\"features\": \"SECRET\"}", "expected `features` as an object");
    text(400, b"{\"features\": [\"SECRET\"]}", "expected an object with the features of a row");
    text(400, b"{\"features\": []}", "there is no row");
    text(400, b"{}", "`features` is missing");
    text(400, b"{\"features\": {}, \"SECRET\": 1}", "nothing else");
    text(422, b"{\"features\": {\"age\": 1, \"age\": 2}}", "given twice");
    text(400, b"{\"features\": {}} trailing", "trailing");
    text(400, "[".repeat(90_000).as_bytes(), "expected an object");
    text(400, format!("{{\"features\": {{\"age\": {}", "[".repeat(90_000)).as_bytes(), "");
    text(400, format!("{{\"features\": {{\"age\": {}", "{\"a\":".repeat(15_000)).as_bytes(), "");
    text(413, &vec![b' '; 200_000], "at most 100000 bytes");
    text(413, json!({ "features": vec![row(); 11] }).to_string().as_bytes(), "at most this many rows: 10");
    for (headers, status) in [
        (&[("content-type", "text/plain")][..], 415),
        (&[("content-type", "application/json; charset=latin1")], 415),
        (&[("content-type", "text/csv")], 415),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], 415),
        (&[("content-type", "Application/JSON; charset=\"UTF-8\"")], 200),
        (&[], 200),
    ] {
        let _ =
            service.request("POST", "/predict/shop", headers, Some(row().to_string().as_bytes())).is(status);
    }
    for (path, body, said) in [
        ("/invocations", json!({ "instances": [row()], "inputs": [] }), "exactly one"),
        ("/invocations", json!({ "instances": [row()], "params": { "a": 1 } }), "takes no parameters"),
        (
            "/invocations",
            json!({ "dataframe_split": { "columns": ["age"], "data": [[1, 2]] } }),
            "2 values for 1 columns",
        ),
        ("/invocations", json!({ "SECRET": 1 }), "takes no keys but"),
        ("/v2/models/shop/infer", json!({ "inputs": 1 }), "not a list of tensors"),
        ("/api/predict", json!({ "features": [row(), row()] }), "one row"),
    ] {
        let reply = service.post(path, &body).is(400);
        assert!(reply.text.contains(said), "{}", reply.text);
    }
    let csv = service
        .request("POST", "/invocations", &[("content-type", "text/csv")], Some(b"age,region\n1\n"))
        .is(400);
    assert!(csv.text.contains("1 values for 2 columns in line 2"), "{}", csv.text);
    for path in
        ["/predict/nothing", "/predict/..%2f..%2fetc%2fpasswd", "/predict/%00", "/predict?model=nothing"]
    {
        let _ = service.post(path, &json!({ "features": row() })).is(404);
    }
    for path in ["/predict/%ff", "/explain/%ff", "/v2/models/%ff/infer", "/predict?model=a&model=b"] {
        text_of(&service.post(path, &json!({ "features": row() })), 400, "malformed_request");
    }
    for path in ["/models/%ff", "/v2/models/%ff", "/v2/models/shop/versions/%ff/ready", "/docs/%ff"] {
        text_of(&service.get(path), 400, "malformed_request");
    }
    assert_eq!(service.get("/predict/shop").is(405).header("allow"), Some("POST"));
    assert_eq!(service.get("/nothing").is(404).json()["code"], "not_found");
    // It still answers.
    let _ = service.post("/predict/shop", &row()).is(200);
    let metrics = service.get("/metrics").is(200).text;
    assert!(
        metrics.contains("modelgate_validation_errors_total{model=\"shop\",reason=\"duplicate\"} 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("SECRET"));
}

#[test]
fn administration_needs_the_token() {
    let project = project();
    let service = service(&project, &[]);
    let ask = |headers: &[(&str, &str)]| service.request("POST", "/admin/reload", headers, None).status;
    assert_eq!(ask(&[]), 403);
    assert_eq!(ask(&[("x-admin-token", "wrong")]), 403);
    assert_eq!(ask(&[("x-admin-token", "righ")]), 403);
    assert_eq!(ask(&[("authorization", "Bearer wrong")]), 403);
    assert_eq!(ask(&[("authorization", "bearer right")]), 200);
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    // Who goes on guessing has to wait, and the right token still opens.
    let statuses: Vec<u16> = (0..20).map(|_| ask(&[("x-admin-token", "guess")])).collect();
    assert!(statuses.contains(&429) && !statuses.contains(&200), "{statuses:?}");
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    let _ = service.get("/admin/reload").is(405);
    let metrics = service.get("/metrics").text;
    assert!(metrics.contains("modelgate_admin_requests_total{outcome=\"rate_limited\"}"), "{metrics}");

    let mut closed = serve(&project, &[]);
    closed.env_remove("ADMIN_API_TOKEN");
    let closed = Service::ready(closed);
    let reply = closed.request("POST", "/admin/reload", &[("x-admin-token", "")], None).is(403);
    assert!(reply.text.contains("administration is off"), "{}", reply.text);

    let mut renamed = serve(&project, &[]);
    renamed.env("ADMIN_TOKEN_HEADER", "X-Key").env("CORRELATION_ID_HEADER", "X-Request-ID");
    let renamed = Service::ready(renamed);
    let _ = renamed.request("POST", "/admin/reload", &[("x-admin-token", "right")], None).is(403);
    let _ = renamed.request("POST", "/admin/reload", &[("x-key", "right")], None).is(200);
    let body = row().to_string();
    let named = renamed.request("POST", "/predict/shop", &[("x-request-id", "my-7")], Some(body.as_bytes()));
    assert_eq!(named.header("x-request-id"), Some("my-7"));
    let strange =
        renamed.request("POST", "/predict/shop", &[("x-request-id", "two words")], Some(body.as_bytes()));
    assert_ne!(strange.header("x-request-id"), Some("two words"));
}

#[test]
fn predictions_can_need_a_key() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "old, new");
    let service = Service::ready(command);
    let body = row().to_string();
    let ask =
        |headers: &[(&str, &str)]| service.request("POST", "/predict/shop", headers, Some(body.as_bytes()));
    let refused = ask(&[]).is(401);
    assert_eq!(refused.json()["code"], "unauthorized");
    let _ = ask(&[("x-api-key", "older")]).is(401);
    let _ = ask(&[("x-api-key", "old")]).is(200);
    let _ = ask(&[("authorization", "Bearer new")]).is(200);
    let _ = service.get("/health").is(200);
    let talk = service.talk();
    assert!(!talk.contains("old") && !talk.contains("right"), "{talk}");
}
