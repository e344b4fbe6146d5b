//! What is served changes as a whole or not at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use modelgate_testing::{Service, TestProject, send};
use serde_json::{Value, json};

use super::rollout::{candidate, careful, configure, rollout};
use super::{project, reload, row, serve, service};

/// Copies the package in production to a folder of its own.
pub(super) fn keep_package(project: &TestProject, to: &str) {
    let from = project.path("models/packaged/shop");
    for entry in fs_err::read_dir(from).expect("a package").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        project.write(&format!("{to}/{name}"), fs_err::read(entry.path()).expect("read"));
    }
}

/// Trains another model and promotes it.
pub(super) fn another(project: &TestProject) {
    project.replace("modelgate.yaml", "n_estimators: 1", "n_estimators: 11");
    let _ = project.run(&["run"]).exits(0);
}

pub(super) fn version(service: &Service) -> Value {
    service.get("/health").json()["models"]["shop"]["version"].clone()
}

fn source(service: &Service) -> Value {
    service.get("/health").json()["source"].clone()
}

#[test]
fn reloads_under_load_lose_no_request_and_mix_no_models() {
    let project = project();
    keep_package(&project, "one");
    another(&project);
    keep_package(&project, "two");
    keep_package(&project, "live");
    let service = service(&project, &["--package", "live"]);
    let rows: Vec<Value> =
        (18..70).map(|age| json!({ "age": age, "income": 2000, "region": "east", "member": true })).collect();
    let body = json!({ "features": rows }).to_string();
    let (url, ended, asked) =
        (format!("{}/predict/shop", service.url), AtomicBool::new(false), AtomicUsize::new(0));
    // By version, what it answers: probabilities of another model would be others.
    let seen = std::sync::Mutex::new(std::collections::BTreeMap::<String, Value>::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let agent = ureq::Agent::new_with_defaults();
                while !ended.load(Ordering::Relaxed) {
                    let headers = [("content-type", "application/json")];
                    let reply = send(&agent, "POST", &url, &headers, Some(body.as_bytes()))
                        .expect("an answer")
                        .is(200);
                    let answer = reply.json();
                    let version = answer["version"].as_str().expect("a version").to_owned();
                    assert_eq!(reply.header("modelgate-model-version"), Some(version.as_str()));
                    let mut seen = seen.lock().expect("seen");
                    let known = seen.entry(version).or_insert_with(|| answer["probabilities"].clone());
                    assert_eq!(*known, answer["probabilities"]);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..100 {
            let _ = fs_err::remove_dir_all(project.path("live"));
            let from = if round % 2 == 0 { "one" } else { "two" };
            for entry in fs_err::read_dir(project.path(from)).expect("package").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                project.write(&format!("live/{name}"), fs_err::read(entry.path()).expect("read"));
            }
            assert_eq!(reload(&service).is(200).json()["status"], "reloaded");
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 100, "{asked:?}");
    let seen = seen.into_inner().expect("seen");
    assert_eq!(seen.len(), 2, "{:?}", seen.keys());
    let differ = seen.values().collect::<Vec<_>>();
    assert_ne!(differ[0], differ[1]);
}

#[test]
fn what_does_not_verify_is_not_served_and_the_old_one_stays() {
    let project = project();
    keep_package(&project, "good");
    keep_package(&project, "live");
    let service = service(&project, &["--package", "live"]);
    let before = version(&service);
    another(&project);

    // A package whose model has one other byte.
    keep_package(&project, "live");
    let mut bytes = fs_err::read(project.path("live/model.onnx")).expect("model");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    project.write("live/model.onnx", &bytes);
    let refused = reload(&service).is(503);
    assert!(refused.text.contains("model.onnx") && refused.text.contains("served on"), "{}", refused.text);
    let health = service.get("/health").is(200).json();
    assert_eq!((&health["status"], &health["models"]["shop"]["version"]), (&json!("degraded"), &before));
    assert!(
        health["source"]["refused"]["shop"].as_str().is_some_and(|why| why.contains("model.onnx")),
        "{health}"
    );
    let _ = service.post("/predict/shop", &row()).is(200);

    // One without a verdict, one with another's, one with a pickle.
    keep_package(&project, "live");
    fs_err::remove_file(project.path("live/verdict.json")).expect("removed");
    assert!(reload(&service).is(503).text.contains("no verdict"));
    project.write("live/verdict.json", project.read("good/verdict.json"));
    assert!(reload(&service).is(503).text.contains("of another package"));
    project.write(
        "live/verdict.json",
        project.read("models/packaged/shop/verdict.json").replace("\"passed\"", "\"failed\""),
    );
    assert!(reload(&service).is(503).text.contains("its verdict is `failed`"));
    keep_package(&project, "live");
    project.write("live/model.pkl", "cos\nsystem\n");
    assert!(reload(&service).is(503).text.contains("pickled models are never loaded"));
    fs_err::remove_file(project.path("live/model.pkl")).expect("removed");
    fs_err::remove_dir_all(project.path("live")).expect("removed");
    let _ = reload(&service).is(503);
    assert_eq!(version(&service), before);

    keep_package(&project, "live");
    assert_eq!(reload(&service).is(200).json()["changed"], json!(["shop"]));
    assert_ne!(version(&service), before);
    assert_eq!(service.get("/health").json()["status"], "ok");
}

#[test]
fn a_package_that_nobody_judged_is_served_only_where_that_is_allowed() {
    let project = project();
    keep_package(&project, "foreign");
    fs_err::remove_file(project.path("foreign/verdict.json")).expect("removed");
    let refused = project
        .run(&["serve", "--port", "0", "--package", "foreign", "--require-model", "--startup-timeout", "1"])
        .exits(1);
    refused.says("no model is served after 1 s").says("no verdict");
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}serve: {{require: digest}}\n"));
    let service = service(&project, &["--package", "foreign"]);
    assert_eq!(service.get("/health").json()["models"]["shop"]["verified"], false);
    let metrics = service.get("/metrics").text;
    assert!(metrics.contains("verified=\"digest\"} 1"), "{metrics}");
    // Somebody judges it, and it is the same package.
    project.write("foreign/verdict.json", project.read("models/packaged/shop/verdict.json"));
    assert_eq!(reload(&service).is(200).json()["changed"], json!(["shop"]));
    assert_eq!(service.get("/health").json()["models"]["shop"]["verified"], true);
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
}

#[test]
fn a_package_that_loses_its_verdict_is_served_no_more() {
    let project = project();
    keep_package(&project, "live");
    let service = service(&project, &["--package", "live"]);
    fs_err::remove_file(project.path("live/verdict.json")).expect("removed");
    let told = reload(&service).is(200).json();
    assert_eq!((&told["status"], &told["changed"]), (&json!("reloaded"), &json!(["shop"])), "{told}");
    let _ = service.post("/predict/shop", &row()).is(503);
    let health = service.get("/health").is(503).json();
    assert!(
        health["source"]["withdrawn"]["shop"].as_str().is_some_and(|why| why.contains("it has no verdict")),
        "{health}"
    );
    let verdict = project.read("models/packaged/shop/verdict.json");
    project.write("live/verdict.json", verdict.replace("\"passed\"", "\"failed\""));
    assert!(reload(&service).is(503).text.contains("its verdict is `failed`"));
    project.write("live/verdict.json", verdict);
    assert_eq!(reload(&service).is(200).json()["changed"], json!(["shop"]));
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn each_change_is_a_line_and_what_stays_is_none() {
    let project = project();
    keep_package(&project, "live");
    let service = service(&project, &["--package", "live"]);
    let before = version(&service).as_str().expect("a version").to_owned();
    let (live, away) = (project.path("live"), project.path("away"));
    let said = |what: &str| service.talk().matches(what).count();
    for _ in 0..3 {
        assert_eq!(reload(&service).is(200).json()["status"], "noop");
    }
    // Where it listens, what it serves, and that the token of tests is short.
    assert_eq!(said("\n"), 3, "{}", service.talk());
    fs_err::rename(&live, &away).expect("moved");
    for _ in 0..2 {
        let _ = reload(&service).is(503);
    }
    assert_eq!(said("the source failed: there is no folder"), 1, "{}", service.talk());
    fs_err::rename(&away, &live).expect("moved");
    for _ in 0..2 {
        assert_eq!(reload(&service).is(200).json()["status"], "noop");
    }
    assert_eq!(said("the source answers again"), 1, "{}", service.talk());
    another(&project);
    keep_package(&project, "live");
    assert_eq!(reload(&service).is(200).json()["status"], "reloaded");
    let after = version(&service).as_str().expect("a version").to_owned();
    assert_eq!(said(&format!("serving shop {after} instead of {before} (sha256:")), 1, "{}", service.talk());
    // A fault in a package is told once, and that it is gone.
    project.write("live/notes.txt", "x");
    project.write("live/verdict.json", project.read("live/verdict.json") + "\n");
    for _ in 0..2 {
        assert!(reload(&service).is(503).text.contains("notes.txt"));
    }
    fs_err::remove_file(project.path("live/notes.txt")).expect("removed");
    let _ = reload(&service).is(200);
    assert_eq!(
        (said("not served: shop"), said("nothing of shop is refused any more")),
        (1, 1),
        "{}",
        service.talk()
    );
}

#[test]
fn each_step_of_a_canary_is_a_line() {
    let project = careful();
    candidate(&project);
    let first = service(&project, &[]);
    configure(&project, &first, "[10, 50]");
    let _ = rollout(&project, &["start"]).exits(0);
    let _ = rollout(&project, &["step"]).exits(0);
    let _ = reload(&first).is(200);
    let talk = first.talk();
    assert_eq!(talk.matches("the canary shop v002 started: 0 % of the requests").count(), 1, "{talk}");
    assert_eq!(
        talk.matches("the canary shop v002 has 50 % of the requests, before 10 %").count(),
        1,
        "{talk}"
    );
    let url = first.url.clone();
    drop(first);
    // A new start gives it its share back, and says so.
    let again = service(&project, &[]);
    again.until(|service| service.talk().contains("the canary shop v002 goes on: 50 % of the requests"));
    project.replace("modelgate.yaml", &url, &again.url);
    let _ = project.run(&["model", "approve", "shop", "v002"]).exits(0);
    let _ = rollout(&project, &["promote"]).exits(0);
    again.until(|service| service.talk().contains("the canary shop v002 is in production now"));
    let talk = again.talk();
    assert_eq!(talk.matches("serving shop v002 instead of v001").count(), 1, "{talk}");
    assert_eq!(talk.matches("the canary").count(), 2, "{talk}");
}

#[test]
fn a_source_that_is_left_alone_is_told_of() {
    let project = project();
    let mut command = serve(&project, &["--package", "live"]);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1").env("MODELGATE_CIRCUIT_BREAKER_THRESHOLD", "2");
    let service = Service::start(command);
    for _ in 0..4 {
        let _ = reload(&service).is(503);
    }
    let talk = service.talk();
    assert_eq!(talk.matches("the source failed: there is no folder").count(), 1, "{talk}");
    assert_eq!(
        talk.matches("the source failed 2 times in a row and is left alone, for 60 s").count(),
        1,
        "{talk}"
    );
}

#[test]
fn a_refusal_at_the_start_is_told_once() {
    let project = project();
    keep_package(&project, "live");
    fs_err::remove_file(project.path("live/verdict.json")).expect("removed");
    let service = Service::start(serve(&project, &["--package", "live"]));
    service.until(|service| service.talk().contains("it has no verdict"));
    let _ = reload(&service).is(503);
    assert_eq!(service.talk().matches("it has no verdict").count(), 1, "{}", service.talk());
}

#[test]
pub(super) fn another_schema_needs_a_new_start() {
    let project = project();
    let served = service(&project, &[]);
    // Values that are sent by position would be taken for others.
    let data = project.read("data.csv");
    let swapped = |line: &str| {
        let (first, rest) = line.split_once(',').expect("columns");
        let (second, rest) = rest.split_once(',').expect("columns");
        format!("{second},{first},{rest}\n")
    };
    project.write("data.csv", data.lines().map(swapped).collect::<String>());
    let _ = project.run(&["run"]).exits(0);
    let refused = reload(&served).is(503);
    assert!(refused.text.contains("in another order, `income` where `age` was"), "{}", refused.text);
    project.write("data.csv", data);
    project.replace("modelgate.yaml", "encode: onehot", "encode: onehot, drop: [member]");
    let _ = project.run(&["run"]).exits(0);
    let refused = reload(&served).is(503);
    assert!(refused.text.contains("feature `member` was removed"), "{}", refused.text);
    assert_eq!(version(&served), "v001");
    drop(served);
    let served = service(&project, &[]);
    assert_eq!(version(&served), "v003");
    let talk = served.talk();
    let says = "the schema of shop v003 does not fit v001, which was served last: feature `member` was removed; it is served";
    assert!(talk.contains(says), "{talk}");
    drop(served);
    // What was served last is that very version now.
    let served = service(&project, &[]);
    assert!(!served.talk().contains("does not fit"), "{}", served.talk());
    super::left::what_was_left_by_a_rollback_goes(&project, &served);
}

#[test]
fn promotions_and_rollbacks_of_the_registry_are_followed() {
    let project = project();
    let service = service(&project, &[]);
    assert_eq!(
        reload(&service).is(200).json(),
        json!({ "status": "noop", "changed": [], "models": { "shop": "v001" } })
    );
    another(&project);
    assert_eq!(reload(&service).is(200).json()["models"]["shop"], "v002");
    let _ = project.run(&["model", "rollback", "shop", "--reason", "worse", "--yes"]).exits(0);
    assert_eq!(reload(&service).is(200).json()["models"]["shop"], "v001");
    // A quarantined version is not served, whoever asks for it.
    let refused = project
        .run(&["serve", "--port", "0", "--model", "shop@v002", "--require-model", "--startup-timeout", "1"])
        .exits(1);
    refused.says("is quarantined");
    let mut pinned = serve(&project, &["--model", "shop@v001"]);
    pinned.env("MODEL_AUTO_REFRESH_SECONDS", "1");
    assert_eq!(version(&Service::ready(pinned)), "v001");
}

#[test]
fn a_new_version_is_found_without_being_told() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("MODEL_AUTO_REFRESH_SECONDS", "1");
    let service = Service::ready(command);
    another(&project);
    service.until(|service| version(service) == "v002");
}

/// Has promotions of the project tell the service, and another model promoted by the next run.
fn tell(project: &TestProject, service: &Service) {
    let config = project.read("modelgate.yaml");
    let url = format!("{}/admin/reload", service.url);
    project.write(
        "modelgate.yaml",
        format!("{config}serve: {{reload_url: \"{url}\"}}\n").replace("n_estimators: 10", "n_estimators: 12"),
    );
}

#[test]
fn a_promotion_tells_the_service() {
    let project = project();
    let service = service(&project, &[]);
    tell(&project, &service);
    let told = project.command(&["run"]).env("ADMIN_API_TOKEN", "right").output().expect("run");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert_eq!(version(&service), "v002");
    project.replace("modelgate.yaml", "n_estimators: 12", "n_estimators: 13");
    let refused = project.command(&["run"]).env("ADMIN_API_TOKEN", "wrong").output().expect("run");
    assert!(refused.status.success());
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(talk.contains("403") && !talk.contains("wrong"), "{talk}");
}

#[test]
fn a_promotion_is_told_what_the_service_refuses_beside_it() {
    let project = project();
    let service = service(&project, &["--model", "shop", "--model", "nobody"]);
    tell(&project, &service);
    let told = project.command(&["run"]).env("ADMIN_API_TOKEN", "right").output().expect("run");
    let talk = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && talk.contains("it refuses nobody"), "{talk}");
    assert_eq!(version(&service), "v002");
}

#[test]
fn after_a_rollback_the_old_model_answers_within_five_seconds() {
    let project = project();
    another(&project);
    let service = service(&project, &[]);
    assert_eq!(version(&service), "v002");
    let config = project.read("modelgate.yaml");
    let url = format!("{}/admin/reload", service.url);
    project.write("modelgate.yaml", format!("{config}serve: {{reload_url: \"{url}\"}}\n"));
    let began = std::time::Instant::now();
    let mut rollback = project.command(&["model", "rollback", "shop", "--reason", "worse", "--yes"]);
    let told = rollback.env("ADMIN_API_TOKEN", "right").output().expect("rolled back");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let answer = service.post("/predict/shop", &row()).is(200).json();
    let took = began.elapsed();
    assert_eq!(answer["version"], "v001");
    assert!(took <= Duration::from_secs(5), "the first answer of the old model took {took:?}");
}

#[test]
fn without_the_registry_it_starts_from_the_cache_and_says_so() {
    let project = project();
    drop(service(&project, &[]));
    fs_err::rename(project.path(".modelgate/ledger.jsonl"), project.path("ledger.kept")).expect("moved");
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1").env("MODELGATE_CIRCUIT_BREAKER_THRESHOLD", "2");
    let service = Service::ready(command);
    let health = service.get("/health").is(200).json();
    assert_eq!(
        (&health["status"], &health["source"]["from_cache"], &health["source"]["reachable"]),
        (&json!("degraded"), &json!(true), &json!(false))
    );
    assert_eq!(version(&service), "v001");
    let _ = service.post("/predict/shop", &row()).is(200);
    let _ = reload(&service).is(503);
    assert_eq!(source(&service)["breaker"], "open");
    assert!(service.get("/metrics").text.contains("modelgate_source_breaker_state 1"));
    // The registry comes back, and somebody asks.
    fs_err::rename(project.path("ledger.kept"), project.path(".modelgate/ledger.jsonl")).expect("moved");
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    let health = service.get("/health").json();
    assert_eq!(
        (&health["status"], &health["source"]["from_cache"], &health["source"]["breaker"]),
        (&json!("ok"), &json!(false), &json!("closed"))
    );
}

#[test]
fn two_services_of_one_project_start_each_from_its_own_cache() {
    let project = project();
    another(&project);
    let newest = ["--model", "shop"];
    let pinned = ["--model", "shop@v001"];
    let both = [service(&project, &newest), service(&project, &pinned)];
    assert_eq!([version(&both[0]), version(&both[1])], [json!("v002"), json!("v001")]);
    drop(both);
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    for (arguments, expected) in [(newest, "v002"), (pinned, "v001")] {
        let mut command = serve(&project, &arguments);
        command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
        let service = Service::ready(command);
        assert_eq!(
            (source(&service)["from_cache"].clone(), version(&service)),
            (json!(true), json!(expected))
        );
    }
}

#[test]
fn a_damaged_cache_is_not_served() {
    let project = project();
    drop(service(&project, &[]));
    // The folder of the source, and in it that of the package.
    let folder_in = |folder: std::path::PathBuf| {
        let entries = fs_err::read_dir(folder).expect("cache").flatten();
        entries.map(|entry| entry.path()).find(|path| path.is_dir()).expect("a folder")
    };
    let package = folder_in(folder_in(project.path(".modelgate/cache/serve")));
    fs_err::write(package.join("model.onnx"), "other").expect("written");
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let mut command = serve(&project, &["--require-model", "--startup-timeout", "1"]);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
    let service = Service::start(command);
    let _ = service.get("/health/ready").is(503);
    assert_eq!(service.wait(), 1);
}

#[test]
fn without_a_model_it_waits_and_is_not_ready() {
    let project = TestProject::with(crate::BINARY, &super::table(300), super::CONFIG);
    let service = Service::start(serve(&project, &[]));
    let refused = service.post("/predict/shop", &row()).is(503);
    assert_eq!((refused.header("retry-after"), &refused.json()["code"]), (Some("2"), &json!("no_model")));
    for path in ["/health", "/health/ready", "/healthz", "/api/health", "/v2/health/ready"] {
        let _ = service.get(path).is(503);
    }
    let _ = service.get("/health/live").is(200);
    let _ = service.get("/").is(200);
    let _ = project.run(&["run"]).exits(0);
    service.until(|service| service.get("/health/ready").status == 200);
    std::thread::sleep(Duration::from_millis(10));
    let _ = service.post("/predict/shop", &row()).is(200);
}
