//! Requests that make no sense: an answer below 500 that says where and what, and never what was sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use modelgate_testing::Service;
use serde_json::{Value, json};

use super::{project, row, serve, service};

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
    refused(
        &service,
        &with("income", json!(1e300)),
        "income",
        "not_finite",
        "a number too large for 32 bits",
    );
    refused(&service, &with("region", json!(3)), "region", "wrong_type", "a whole number");
    refused(&service, &with("region", json!("SECRET")), "region", "unknown_category", "a string");
    refused(&service, &with("region", Value::Null), "region", "null", "null");
    refused(&service, &with("more", json!(1)), "more", "unknown", "a feature");
    let mut missing = row();
    missing.as_object_mut().expect("row").remove("region");
    refused(&service, &json!({ "features": [row(), missing] }), "region", "missing", "nothing");
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
    refused(&service, &with("age", json!(500)), "age", "out_of_range", "a number above that");
    let flagged = service.post("/predict/shop", &with("region", json!("west"))).is(200).json();
    assert_eq!(flagged["warnings"][0]["reason"], "unknown_category");
}

/// Checks that a refusal has the one shape, and the number of its request in its head and body.
#[track_caller]
pub(super) fn text_of(reply: &modelgate_testing::Reply, status: u16, code: &str) {
    let body = reply.json();
    assert_eq!((reply.status, &body["code"]), (status, &json!(code)), "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(body["correlation_id"].is_string(), "{}", reply.text);
    assert_eq!(body["correlation_id"].as_str(), reply.header("x-correlation-id"), "{}", reply.text);
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
    text(400, b"{\"features\": {\"age\": NaN}}", "row 0: feature `age`");
    text(400, b"{\"features\": {\"age\": NaN}}", "expected value at line 1 column");
    text(400, b"{\"features\": [[1, 1e999]]}", "row 0: feature `income`");
    text(400, b"{\"features\": [[1, 1e999]]}", "out of range at line 1 column");
    text(400, b"{\"features\": [[1, -Infinity]]}", "\"reason\":\"not_finite\"");
    text(400, b"{\"features\": {\"age\": SECRET}}", "row 0: feature `age`: expected value");
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
fn a_large_body_that_is_refused_unread_leaves_its_answer_to_be_read() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let service = Service::ready(command);
    let body = vec![b' '; 3 << 20];
    for chunked in [false, true] {
        for (method, path, status) in [
            ("POST", "/predict/shop", 401),
            ("POST", "/nope", 404),
            ("PUT", "/predict/shop", 405),
            ("POST", "/admin/reload", 403),
            ("PUT", "/admin/rollout/shop", 403),
        ] {
            let mut stream =
                TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
            let length = if chunked {
                "transfer-encoding: chunked".to_owned()
            } else {
                format!("content-length: {}", body.len())
            };
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{length}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            if chunked {
                stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).expect("sent");
            }
            // As many clients do: everything first, then the answer.
            stream.write_all(&body).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            if chunked {
                stream.write_all(b"\r\n0\r\n\r\n").expect("sent");
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        }
    }
    // Who asks before sending is answered at once and sends nothing.
    let ask = |more: &str| {
        let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        let head = format!("POST /predict/shop HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        (stream, String::new())
    };
    for (more, status) in [
        ("content-length: 3000000", 401),
        ("x-api-key: sesame\r\ncontent-length: 200000000", 413),
        ("x-api-key: sesame\r\ncontent-length: 3\r\ncontent-encoding: gzip", 415),
    ] {
        let (mut stream, mut answer) = ask(&format!("expect: 100-continue\r\n{more}"));
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{more}: {answer}");
    }
    // And who says that it has sent everything has its answer all the same.
    let row = json!({ "features": row() }).to_string();
    let length = row.len();
    let (mut stream, mut answer) = ask(&format!("x-api-key: sesame\r\ncontent-length: {length}"));
    stream.write_all(row.as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_path_that_takes_fewer_rows_says_so_as_others_do() {
    let project = project();
    let service = service(&project, &[]);
    let rows = |count: usize| json!({ "features": vec![super::row(); count] });
    let _ = service.post("/explain/shop", &rows(100)).is(200);
    let refused = service.post("/explain/shop", &rows(101)).is(413).json();
    assert_eq!(refused["code"], "batch_too_large", "{refused}");
    assert!(
        refused["error"].as_str().is_some_and(|said| said.contains("at most this many rows: 100")),
        "{refused}"
    );
    let schemas = service.get("/openapi.json").is(200).json()["components"]["schemas"].clone();
    let most = |request: &Value| {
        let lists = request["properties"]["features"]["anyOf"].as_array().expect("forms").clone();
        lists.iter().filter_map(|form| form["maxItems"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(most(&schemas["ExplainRequest.shop"]["anyOf"][0]), [100, 100]);
    assert_eq!(most(&schemas["PredictRequest.shop"]), [1000, 1000]);
}

#[test]
fn an_order_far_beyond_the_ledgers_is_none() {
    let project = project();
    let service = service(&project, &[]);
    let digest = modelgate_core::Digest::of(b"another");
    let order = |sequence: u64| {
        let body =
            json!({ "version": "v002", "digest": digest, "weight": 1, "shadow": 0, "sequence": sequence });
        let headers = [("content-type", "application/json"), ("x-admin-token", "right")];
        service.request("PUT", "/admin/rollout/shop", &headers, Some(body.to_string().as_bytes()))
    };
    for sequence in [1 << 53, u64::MAX] {
        assert!(order(sequence).is(400).text.contains("9007199254740991 at most"));
        let path = format!("/admin/rollout/shop?sequence={sequence}");
        let _ = service.request("DELETE", &path, &[("x-admin-token", "right")], None).is(400);
    }
    let _ = order((1 << 53) - 1).is(409);
}

#[test]
fn what_is_no_http_is_answered_like_everything_else() {
    let project = project();
    let service = service(&project, &[]);
    let served = service.get("/models/shop").is(200);
    let (version, digest) = ("modelgate-model-version", "modelgate-model-digest");
    let many = (0..120).map(|at| format!("x-{at}: 1\r\n")).collect::<String>();
    let long = "a".repeat(1 << 20);
    for (sent, status, code) in [
        ("\u{16}\u{3}\u{1}\u{2} TLS\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET / HTTP/9.1\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n".to_owned(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431, "headers_too_large"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 431, "headers_too_large"),
    ] {
        let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
        // It may be answered, and the connection ended, before all of it is sent.
        let _ = stream.write_all(sent.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("text");
        // The answer to what came before the nonsense stands before it.
        let answer = &answer[answer.rfind("HTTP/1.1 ").unwrap_or_else(|| panic!("{sent:.40}: {answer}"))..];
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start_matches(": "))
        };
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:.40}: {answer}");
        let told: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(told["code"], code, "{answer}");
        assert_eq!(told["correlation_id"].as_str(), header("x-correlation-id"), "{answer}");
        assert_eq!(header("content-length"), Some(body.len().to_string().as_str()), "{answer}");
        assert_eq!(header("content-type"), Some("application/json"), "{answer}");
        assert_eq!(
            (header(version), header(digest)),
            (served.header(version), served.header(digest)),
            "{answer}"
        );
    }
}

#[test]
fn a_row_that_no_number_answers_is_refused() {
    let rows =
        (0..300).map(|row| format!("{},{}\n", f64::from(row % 13) / 1e4, f64::from(row % 13) * 2.0 + 1.0));
    let table = "x,y\n".to_owned() + &rows.collect::<String>();
    let config = super::CONFIG
        .replace("classification", "regression")
        .replace("target: label", "target: y")
        .replace("{missing: median, encode: onehot}", "{scale: standard}")
        .replace("{algorithm: random_forest, params: {n_estimators: 10}}", "{algorithm: ridge}")
        .replace("accuracy, at_least: 0.5", "r2, at_least: 0.1");
    let project = modelgate_testing::TestProject::with(crate::BINARY, &table, &config);
    let _ = project.run(&["run"]).exits(0);
    let service = service(&project, &[]);
    let body = json!({ "features": [{ "x": 0.0005 }, { "x": 3e38 }] });
    for path in ["/predict/shop", "/explain/shop"] {
        let told = service.post(path, &body).is(422).json();
        let detail = &told["details"][0];
        assert_eq!((&detail["row"], &detail["reason"]), (&json!(1), &json!("not_finite")), "{told}");
        assert_eq!(told["code"], "invalid_features", "{told}");
    }
    let tensor = json!({ "inputs": [{ "name": "x", "datatype": "FP64", "shape": [1], "data": [3e38] }] });
    let _ = service.post("/v2/models/shop/infer", &tensor).is(422);
    let _ = service.post("/predict/shop", &json!({ "features": { "x": 0.0005 } })).is(200);
}

#[test]
fn a_variable_that_is_empty_is_one_that_is_not_set() {
    let project = project();
    let mut command = serve(&project, &[]);
    for name in
        ["MAX_BATCH_SIZE", "HOST", "MODELGATE_TRUSTED_PROXIES", "MODEL_STAGE", "EXPECTED_FEATURE_DIMENSION"]
    {
        command.env(name, "");
    }
    let _ = Service::ready(command).post("/predict/shop", &row()).is(200);
}
