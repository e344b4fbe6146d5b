//! Hostile or unlucky surroundings: bodies of 100 MB, a token that was changed, a graph that bites its tail, a bucket that
//! dies, values that a contract does not allow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use modelgate_testing::{Service, TestProject};
use serde_json::json;

use super::reloads::{keep_package, version};
use super::{CONFIG, project, reload, row, serve, service, table};

#[test]
fn a_body_of_100_megabytes_is_refused_and_not_kept() {
    let project = project();
    let service = service(&project, &[]);
    let resident = |service: &Service| {
        let text = service.get("/metrics").text;
        let line = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.and_then(|bytes| bytes.parse::<u64>().ok()).expect("bytes")
    };
    let before = resident(&service);
    let address = service.url.trim_start_matches("http://").to_owned();
    let piece = vec![b' '; 1 << 20];
    for head in ["content-length: 104857600", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(&address).expect("connected");
        let head = format!(
            "POST /predict/shop HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n{head}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let chunked = head.contains("chunked");
        for _ in 0..100 {
            if chunked {
                stream.write_all(b"100000\r\n").expect("sent");
            }
            stream.write_all(&piece).expect("sent");
            if chunked {
                stream.write_all(b"\r\n").expect("sent");
            }
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").expect("sent");
        }
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let after = resident(&service);
    assert!(after < before + (32 << 20), "{before} bytes became {after}");
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn a_body_of_many_small_values_does_not_become_many_large_ones() {
    let project = project();
    let service = service(&project, &[]);
    let numbers = vec!["1"; 2_000_000].join(",");
    for (path, body) in [
        (
            "/v2/models/shop/infer",
            format!(
                "{{\"inputs\":[{{\"name\":\"age\",\"shape\":[2000000],\"datatype\":\"INT64\",\"data\":[{numbers}]}}]}}"
            ),
        ),
        ("/invocations", format!("{{\"instances\":[[{numbers}]]}}")),
    ] {
        let reply =
            service.request("POST", path, &[("content-type", "application/json")], Some(body.as_bytes()));
        assert!(reply.text.contains("at most this many rows"), "{}", reply.text);
        assert_eq!(reply.status, 413);
    }
}

#[test]
fn a_token_that_was_changed_opens_nothing() {
    let project = project();
    drop(service(&project, &[]));
    let mut rotated = serve(&project, &[]);
    rotated.env("ADMIN_API_TOKEN", "new");
    let rotated = Service::ready(rotated);
    let _ = reload(&rotated).is(403);
    // Whoever goes on with wrong ones has to wait; the administrator behind the same address is let in.
    let guess = |number: u32| {
        let token = format!("guess {number}");
        rotated.request("POST", "/admin/reload", &[("x-admin-token", token.as_str())], None).status
    };
    assert!((0..15).map(guess).any(|status| status == 429));
    let _ = rotated.request("POST", "/admin/reload", &[("x-admin-token", "new")], None).is(200);
}

/// Appends to the graph of a model a node whose input is its own output.
fn with_a_cycle(bytes: &[u8]) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut all = vec![number << 3 | 2];
        let mut length = bytes.len();
        loop {
            let more = length > 0x7f;
            all.push((length & 0x7f) as u8 | u8::from(more) << 7);
            length >>= 7;
            if !more {
                break;
            }
        }
        all.extend(bytes);
        all
    }
    // NodeProto: input 1, output 2, op_type 4; ModelProto: graph 7, and a second one is merged into the first.
    let node = [field(1, b"tail"), field(2, b"tail"), field(4, b"Identity")].concat();
    let mut model = bytes.to_vec();
    model.extend(field(7, &field(1, &node)));
    model
}

#[test]
fn a_graph_that_bites_its_tail_is_not_served() {
    let project = project();
    keep_package(&project, "live");
    let service = service(&project, &["--package", "live"]);
    let before = version(&service);
    // Everything else about the package is right: its digests are those of the damaged graph.
    let graph = with_a_cycle(&fs_err::read(project.path("live/model.onnx")).expect("a graph"));
    let mut manifest = project.json("live/manifest.json");
    manifest["files"]["model.onnx"] = json!(modelgate_core::Digest::of(&graph));
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    let mut verdict = project.json("live/verdict.json");
    verdict["digest"] = json!(modelgate_core::Digest::of(&manifest));
    project.write("live/verdict.json", verdict.to_string());
    project.write("live/model.onnx", graph);
    project.write("live/manifest.json", manifest);
    let refused = reload(&service).is(503);
    assert!(refused.text.contains("served on"), "{}", refused.text);
    let why =
        service.get("/health").json()["source"]["refused"]["shop"].as_str().unwrap_or_default().to_owned();
    assert!(!why.is_empty() && !why.contains("verdict"), "{why}");
    assert_eq!(version(&service), before);
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn a_bucket_that_dies_keeps_what_it_gave() {
    let Some(server) = modelgate_testing::S3Server::start() else { return };
    let project = project();
    keep_package(&project, "one");
    super::bucket::upload(&project, &server, "one", "s3://data/models/shop");
    let mut command = serve(&project, &["--package", "s3://data/models"]);
    command.envs(server.variables(None)).env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
    command.env("MODELGATE_CIRCUIT_BREAKER_THRESHOLD", "1");
    let service = Service::ready(command);
    drop(server);
    let _ = reload(&service).is(503);
    let health = service.get("/health").is(200).json();
    assert_eq!(
        (&health["status"], &health["source"]["reachable"], &health["source"]["breaker"]),
        (&json!("degraded"), &json!(false), &json!("open")),
        "{health}"
    );
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn a_caller_that_takes_nothing_of_its_answer_is_cut_off() {
    let project = project();
    let service = service(&project, &["--write-timeout", "1", "--max-batch", "10000"]);
    let body = json!({ "features": vec![row(); 10_000] }).to_string();
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    let connections = |service: &Service, count: usize| {
        service.get("/metrics").text.contains(&format!("modelgate_connections {count}\n"))
    };
    // As many answers as fill every buffer on the way.
    let head = format!(
        "POST /predict/shop HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a time");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20)
        && stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_ok()
    {}
    // The one that is left asks for the metrics.
    service.until(|service| connections(service, 1));
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn what_a_contract_does_not_allow_is_refused_or_flagged() {
    let project = TestProject::with(crate::BINARY, &table(300), CONFIG);
    let config = project
        .read("modelgate.yaml")
        .replace("source: data.csv,", "source: data.csv, contract: contract.yaml,");
    project.write("modelgate.yaml", &config);
    let contract = "version: 1\nextra_columns: allow\ncolumns:\n  age: {type: int, min: 0, max: 120, label: Age, unit: years}\n  income: {type: float, min: 0, unit: EUR}\n";
    project.write("contract.yaml", contract);
    let _ = project.run(&["run"]).exits(0);
    let served = service(&project, &[]);
    let model = served.get("/models/shop").is(200).json();
    let age = &model["features"][0];
    assert_eq!((&age["label"], &age["unit"]), (&json!("Age"), &json!("years")));
    assert_eq!(age["allowed"], json!({ "min": 0.0, "max": 120.0 }));
    let with = |age: i64| {
        let mut row = row();
        row["age"] = json!(age);
        row
    };
    let refused = served.post("/predict/shop", &with(121)).is(422).json();
    assert_eq!(
        (&refused["details"][0]["reason"], &refused["details"][0]["expected"]),
        (&json!("out_of_contract"), &json!("from 0 to 120, by the data contract")),
        "{refused}"
    );
    // Training saw no more than 77, the contract allows it.
    let flagged = served.post("/predict/shop", &with(120)).is(200).json();
    assert_eq!(flagged["warnings"][0]["reason"], "out_of_range");
    let schema =
        served.get("/openapi.json").json()["components"]["schemas"]["Row.shop"]["properties"]["age"].clone();
    assert_eq!((&schema["maximum"], &schema["title"]), (&json!(120.0), &json!("Age")));
    drop(served);
    project.write("modelgate.yaml", format!("{config}serve: {{out_of_contract: flag}}\n"));
    let lenient = service(&project, &[]);
    let flagged = lenient.post("/predict/shop", &with(121)).is(200).json();
    assert_eq!(flagged["warnings"][0]["reason"], "out_of_contract", "{flagged}");
}

#[test]
fn a_required_model_can_be_asked_for_by_variable_and_in_the_project_file() {
    let project = TestProject::with(crate::BINARY, &table(300), CONFIG);
    for (value, ends) in [("true", true), ("1", true), ("yes", true)] {
        let mut command = serve(&project, &[]);
        command.env("REQUIRE_PRODUCTION_MODEL", value).env("STARTUP_TIMEOUT_SECONDS", "1");
        let output = command.output().expect("ended");
        assert_eq!(
            output.status.code() == Some(1),
            ends,
            "{value}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let config = project.read("modelgate.yaml");
    project.write(
        "modelgate.yaml",
        format!("{config}serve: {{require_production_model: true, startup_timeout_seconds: 1}}\n"),
    );
    let output = serve(&project, &[]).output().expect("ended");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && talk.contains("no model is served after 1 s"), "{talk}");
    project.write("modelgate.yaml", format!("{config}serve: {{startup_timeout_seconds: 4000}}\n"));
    let output = serve(&project, &[]).output().expect("ended");
    assert!(String::from_utf8_lossy(&output.stderr).contains("serve.startup_timeout_seconds"));
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn the_names_that_dashboards_have_are_exposed_as_they_are() {
    let project = project();
    let service = service(&project, &[]);
    let _ = service.post("/predict/shop", &row()).is(200);
    let _ = service.post("/predict/shop", &json!({})).is(400);
    let text = service.get("/metrics").is(200).text;
    for line in [
        "ml_request_count 2",
        "ml_request_errors_total 1",
        "ml_request_latency_seconds_count 2",
        "ml_model_accuracy{model=\"shop\"} ",
        "modelgate_request_duration_seconds_count{model=\"shop\",version=\"v001\",track=\"stable\",route=\"predict\"} ",
    ] {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line}: {text}");
    }
}
