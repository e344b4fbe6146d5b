//! The number of a request, and the version that answered it, in the heads of all answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use modelgate_testing::Service;
use serde_json::json;

use super::refusals::text_of;
use super::{project, reload, row, serve, service};

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
        names(&reply, "v001", digest.as_str());
    }
    let said = |reply: modelgate_testing::Reply, status: u16, code: &str| {
        text_of(&reply, status, code);
        names(&reply, "v001", digest.as_str());
    };
    said(service.get("/nothing"), 404, "not_found");
    // What is said of one model names no other one.
    for path in
        ["/models/nothing", "/v2/models/nothing", "/v2/models/nothing/ready", "/predict?model=nothing"]
    {
        let reply = if path.starts_with("/predict") {
            service.post(path, &json!({ "features": row() }))
        } else {
            service.get(path)
        };
        text_of(&reply, 404, "not_found");
        assert_eq!(
            (reply.header("modelgate-model-version"), reply.header("modelgate-model-digest")),
            (None, None)
        );
    }
    said(service.get("/predict/shop"), 405, "method_not_allowed");
    said(service.request("POST", "/admin/reload", &[], None), 403, "forbidden");
    names(&reload(&service).is(200), "v001", digest.as_str());
    let features = json!({ "features": row() });
    for (path, body) in [
        ("/predict", &features),
        ("/predict/shop", &features),
        ("/predict/shop/", &features),
        ("/api/predict", &features),
        ("/explain/shop", &features),
        ("/invocations", &json!({ "instances": [row()] })),
    ] {
        names(&service.post(path, body).is(200), "v001", digest.as_str());
        let typed = [("content-type", "text/plain")];
        said(service.request("POST", path, &typed, Some(b"a")), 415, "unsupported_media_type");
        said(service.post(path, &json!([])), 400, "malformed_request");
        let mut wrong = body.clone();
        *wrong
            .pointer_mut(if path == "/invocations" { "/instances/0/age" } else { "/features/age" })
            .expect("an age") = json!("old");
        said(service.post(path, &wrong), 422, "invalid_features");
    }
    drop(service);

    let mut command = serve(&project, &["--max-body", "1024", "--read-timeout", "1", "--rate-limit", "1"]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let service = Service::ready(command);
    for path in [
        "/predict",
        "/predict/shop",
        "/api/predict",
        "/explain/shop",
        "/invocations",
        "/v2/models/shop/infer",
    ] {
        said(service.post(path, &features), 401, "unauthorized");
    }
    let ask = |path: &str, body: &[u8]| {
        service.request(
            "POST",
            path,
            &[("x-api-key", "sesame"), ("content-type", "application/json")],
            Some(body),
        )
    };
    said(ask("/predict/shop", &[b' '; 2000]), 413, "body_too_large");
    let body = features.to_string();
    let asked: Vec<_> = (0..20).map(|_| ask("/invocations", body.as_bytes())).collect();
    let often = asked.into_iter().find(|reply| reply.status == 429).expect("a refusal of one in twenty");
    said(often, 429, "rate_limited");
    // A body that does not come, sent by hand; the allowance of this address fills up meanwhile.
    let late = || {
        let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
        let head = "POST /explain/shop HTTP/1.1\r\nhost: a\r\nx-api-key: sesame\r\nconnection: close\r\ncontent-length: 9\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    };
    let began = Instant::now();
    let mut answer = late();
    while answer.starts_with("HTTP/1.1 429") && began.elapsed() < Duration::from_secs(30) {
        answer = late();
    }
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too_slow"), "{answer}");
    assert!(answer.contains("modelgate-model-version: v001\r\n"), "{answer}");
    let digest = format!("modelgate-model-digest: {}\r\n", digest.as_str().expect("a digest"));
    assert!(answer.contains(&digest) && answer.contains("x-correlation-id: "), "{answer}");
}

/// Checks that an answer names a version in its headers.
#[track_caller]
fn names(reply: &modelgate_testing::Reply, version: &str, digest: Option<&str>) {
    let named = (reply.header("modelgate-model-version"), reply.header("modelgate-model-digest"));
    assert_eq!(named, (Some(version), digest), "{}", reply.text);
    assert!(reply.header("x-correlation-id").is_some());
}

#[test]
fn of_several_models_an_answer_names_the_one_that_was_asked_for() {
    let second =
        super::CONFIG.split_once("pipelines:\n").expect("a pipeline").1.replace("  shop:", "  stall:");
    let config = super::CONFIG.to_owned() + second.replace("n_estimators: 10", "n_estimators: 5").as_str();
    let project = modelgate_testing::TestProject::with(crate::BINARY, &super::table(300), &config);
    let _ = project.run(&["run", "shop"]).exits(0);
    let _ = project.run(&["run", "stall"]).exits(0);
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let service = Service::ready(command);
    let digest = |name: &str| service.get("/health").json()["models"][name]["digest"].clone();
    assert_ne!(digest("shop"), digest("stall"));
    for name in ["shop", "stall"] {
        for path in [
            format!("/predict/{name}"),
            format!("/explain/{name}"),
            format!("/v2/models/{name}/infer"),
            format!("/predict?model={name}"),
            format!("/api/predict?model={name}"),
        ] {
            let reply = service.post(&path, &row());
            text_of(&reply, 401, "unauthorized");
            names(&reply, "v001", digest(name).as_str());
        }
    }
    for path in ["/health", "/metrics", "/models", "/predict", "/models/nothing"] {
        assert_eq!(service.get(path).header("modelgate-model-version"), None, "{path}");
    }
}
