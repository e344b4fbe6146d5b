//! One model that cannot be offered costs the others nothing, and a source that hangs costs a start some seconds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use modelgate_testing::{Service, TestProject};
use serde_json::{Value, json};

use super::reloads::{another, keep_package, version};
use super::{project, reload, row, serve, service};

fn refused(service: &Service, name: &str) -> String {
    service.get("/health").json()["source"]["refused"][name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_folder_that_is_no_package_costs_the_others_nothing() {
    let project = project();
    keep_package(&project, "all/shop");
    project.write("all/foreign/manifest.json", "{\"name\": 7}");
    let service = service(&project, &["--package", "all"]);
    assert_eq!(service.get("/health").is(200).json()["status"], "degraded");
    assert!(refused(&service, "foreign").contains("is no manifest"), "{}", refused(&service, "foreign"));
    let _ = service.post("/predict/shop", &row()).is(200);
    // What ought to be there is another answer than what nobody knows.
    let absent = service.post("/predict/foreign", &row()).is(503);
    assert_eq!((&absent.json()["code"], absent.header("retry-after")), (&json!("no_model"), Some("30")));
    let _ = service.post("/predict/nobody", &row()).is(404);
    for path in [
        "/models/foreign",
        "/v2/models/foreign",
        "/v2/models/foreign/ready",
        "/v2/models/foreign/versions/v001",
        "/v2/models/foreign/versions/v001/ready",
    ] {
        let absent = service.get(path).is(503);
        assert_eq!((&absent.json()["code"], absent.header("retry-after")), (&json!("no_model"), Some("30")));
        // It is not the other model's doing.
        assert_eq!(absent.header("modelgate-model-version"), None, "{path}");
        let _ = service.get(&path.replace("foreign", "nobody")).is(404);
    }

    // Two packages of one name: neither can be meant, and what is served stays.
    let before = version(&service);
    another(&project);
    keep_package(&project, "all/second");
    let told = reload(&service).is(503);
    assert!(told.text.contains("more than one package is called `shop`"), "{}", told.text);
    assert_eq!((&told.json()["code"], told.header("retry-after")), (&json!("reload_failed"), Some("30")));
    assert_eq!(version(&service), before);
    // One that breaks is refused under the name it had, and what is served stays too.
    fs_err::remove_dir_all(project.path("all/second")).expect("removed");
    fs_err::remove_dir_all(project.path("all/foreign")).expect("removed");
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    let manifest = project.read("all/shop/manifest.json");
    project.write("all/shop/manifest.json", "{");
    let _ = reload(&service).is(503);
    assert!(refused(&service, "shop").contains("is no manifest"));
    assert_eq!(version(&service), before);
    let _ = service.post("/predict/shop", &row()).is(200);
    // Nor does another model take its place: its callers ask for it by its name.
    project.write("all/shop/manifest.json", manifest.replace("\"shop\"", "\"house\""));
    let _ = reload(&service).is(503);
    let told = refused(&service, "shop");
    assert!(told.contains("lies where shop was") && told.contains("start the service anew"), "{told}");
    assert_eq!(version(&service), before);
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn of_a_folder_of_packages_only_the_models_that_are_named_are_served() {
    let project = project();
    keep_package(&project, "all/shop");
    project.write("all/foreign/manifest.json", "{\"name\": 7}");
    let named = service(&project, &["--package", "all", "--model", "shop"]);
    assert_eq!(named.get("/health").is(200).json()["status"], "ok");
    let _ = named.post("/predict/shop", &row()).is(200);
    let other = Service::start(serve(&project, &["--package", "all", "--model", "nobody"]));
    other.until(|service| !refused(service, "nobody").is_empty());
    assert!(refused(&other, "nobody").contains("there is no package of `nobody` in"));
    let _ = other.post("/predict/shop", &row()).is(503);
    for (wrong, says) in [
        (["--model", "shop@v001"], "no versions and no aliases"),
        (["--model", "Not A Name"], "--model"),
        (["--stage", "staging"], "stands in no stage"),
    ] {
        let arguments = [&["serve", "--port", "0", "--package", "all"][..], &wrong].concat();
        project.run(&arguments).exits(64).says(says);
    }
    // Nor does what stands in for a registry serve more than was asked for.
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let mut command = serve(&project, &["--model", "nobody", "--fallback", "all"]);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
    let standing_in = Service::start(command);
    standing_in.until(|service| !refused(service, "nobody").is_empty());
    let _ = standing_in.post("/predict/shop", &row()).is(503);
}

#[test]
fn a_reload_that_changes_one_model_and_refuses_another_says_both() {
    let project = project();
    keep_package(&project, "all/shop");
    let service = service(&project, &["--package", "all"]);
    let before = version(&service);
    another(&project);
    keep_package(&project, "all/shop");
    project.write("all/foreign/manifest.json", "{\"name\": 7}");
    let told = reload(&service).is(200).json();
    assert_eq!((&told["status"], &told["changed"]), (&json!("reloaded"), &json!(["shop"])), "{told}");
    assert!(told["refused"]["foreign"].as_str().is_some_and(|why| why.contains("is no manifest")), "{told}");
    assert_ne!(version(&service), before);
    let metrics = service.get("/metrics").text;
    assert!(metrics.contains("modelgate_reloads_total{outcome=\"reloaded\"}"), "{metrics}");
    // Nothing is left to change: the old models stay, and that is an error.
    let told = reload(&service).is(503);
    assert!(told.text.contains("is no manifest") && told.text.contains("served on"), "{}", told.text);
    // Once it is gone nothing is refused any more.
    fs_err::remove_dir_all(project.path("all/foreign")).expect("removed");
    assert_eq!(
        reload(&service).is(200).json(),
        json!({ "status": "noop", "changed": [], "models": { "shop": version(&service) } })
    );
}

#[test]
fn a_model_that_the_registry_does_not_have_costs_the_others_nothing() {
    let project = project();
    let service = service(&project, &["--model", "shop", "--model", "nobody", "--model", "shop2@champion"]);
    assert_eq!(service.get("/health").is(200).json()["status"], "degraded");
    assert!(refused(&service, "nobody").contains("nobody"), "{}", service.get("/health").text);
    assert!(!refused(&service, "shop2").is_empty());
    let _ = service.post("/predict/shop", &row()).is(200);
    let _ = service.post("/predict/nobody", &row()).is(503);
}

#[test]
fn a_version_that_is_quarantined_is_served_no_more_also_where_it_was_named() {
    let project = project();
    another(&project);
    let named = |stage: &[&str]| {
        let mut command = serve(&project, stage);
        command.env("MODEL_AUTO_REFRESH_SECONDS", "1");
        Service::ready(command)
    };
    let pinned = named(&["--model", "shop@v002"]);
    let kept = named(&["--model", "shop@v001"]);
    assert_eq!(version(&pinned), "v002");
    let _ = project.run(&["model", "rollback", "shop", "--reason", "worse", "--yes"]).exits(0);
    pinned.until(|service| service.post("/predict/shop", &row()).status == 503);
    let _ = pinned.get("/health/ready").is(503);
    for path in
        ["/models/shop", "/v2/models/shop", "/v2/models/shop/ready", "/v2/models/shop/versions/v002/ready"]
    {
        let gone = pinned.get(path).is(503);
        assert!(
            gone.json()["code"] == "no_model" && gone.header("retry-after").is_some(),
            "{path}: {}",
            gone.text
        );
    }
    let health = pinned.get("/health").is(503).json();
    assert!(
        health["source"]["withdrawn"]["shop"].as_str().is_some_and(|why| why.contains("is quarantined")),
        "{health}"
    );
    assert!(pinned.talk().contains("is served any more"), "{}", pinned.talk());
    assert_eq!(version(&kept), "v001");
    drop(pinned);
    // Nor from the cache, when the registry does not answer.
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let arguments = ["--model", "shop@v002", "--require-model", "--startup-timeout", "2"];
    let mut command = serve(&project, &arguments);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
    assert_eq!(Service::start(command).wait(), 1);
}

/// Accepts connections and says nothing on them; returns its address.
fn hanging() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in socket.incoming() {
            held.push(stream);
        }
    });
    address
}

#[test]
fn a_source_that_hangs_costs_a_start_some_seconds() {
    let project = project();
    let address = hanging();
    let asked = ["--source", "mlflow", "--mlflow", &format!("http://{address}"), "--model", "Shop model"];
    // What another start left: the package, and what was asked for.
    let package = project.path("models/packaged/shop");
    let manifest = fs_err::read(package.join("manifest.json")).expect("a manifest");
    let digest = modelgate_core::Digest::of(&manifest);
    let folder = digest.to_string().replace(':', "-");
    let identity = format!("http://{address}: Shop model, a version in stage Production");
    let source = modelgate_core::Digest::of(identity.as_bytes());
    // Each source has its own folder.
    let kept = format!("kept/{}", &source.hex()[..16]);
    keep_package(&project, &format!("{kept}/{folder}"));
    let served = json!({
        "source": source,
        "offers": [{ "name": "shop", "version": "3", "digest": digest, "stage": "production" }],
    });
    project.write(&format!("{kept}/served.json"), served.to_string());
    let mut command = serve(&project, &asked);
    command.args(["--cache", "kept", "--require-model", "--startup-timeout", "60"]);
    let began = Instant::now();
    let service = Service::ready(command);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let health = service.get("/health").is(200).json();
    assert_eq!(
        (&health["status"], &health["source"]["from_cache"], &health["source"]["reachable"]),
        (&json!("degraded"), &json!(true), &Value::Null),
        "{health}"
    );
    assert_eq!(version(&service), "3");
    let _ = service.post("/predict/shop", &row()).is(200);
    let metrics = service.get("/metrics").text;
    assert!(metrics.contains("modelgate_cache_hits_total 1"), "{metrics}");
    let bytes = metrics.lines().find_map(|line| line.strip_prefix("modelgate_cache_bytes "));
    assert!(bytes.is_some_and(|bytes| bytes.parse::<u64>().is_ok_and(|bytes| bytes > 1000)), "{metrics}");
    assert!(metrics.contains("modelgate_cache_age_seconds "), "{metrics}");
}

/// The part of an MLflow server that is asked for a model in production, over a package in a folder. It can be told to hold
/// its answers, and to fail downloads; what a real server says is tried in `mlflow.rs`.
struct Fake {
    url: String,
    open: Arc<AtomicBool>,
    failing: Arc<AtomicUsize>,
    downloads: Arc<AtomicUsize>,
    /// When each download was asked for.
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Fake {
    fn start(folder: PathBuf) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let fake = Self {
            url,
            open: Arc::new(AtomicBool::new(true)),
            failing: Arc::default(),
            downloads: Arc::default(),
            times: Arc::default(),
        };
        let (open, failing, downloads) =
            (Arc::clone(&fake.open), Arc::clone(&fake.failing), Arc::clone(&fake.downloads));
        let times = Arc::clone(&fake.times);
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let (folder, open) = (folder.clone(), Arc::clone(&open));
                let (failing, downloads) = (Arc::clone(&failing), Arc::clone(&downloads));
                let times = Arc::clone(&times);
                std::thread::spawn(move || answer(stream, &folder, &open, &failing, &downloads, &times));
            }
        });
        fake
    }
}

fn answer(
    mut stream: TcpStream,
    folder: &Path,
    open: &AtomicBool,
    failing: &AtomicUsize,
    downloads: &AtomicUsize,
    times: &Mutex<Vec<Instant>>,
) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let (mut first, mut length) = (String::new(), 0);
    let _ = reader.read_line(&mut first);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let _ = reader.read_exact(&mut vec![0; length]);
    while !open.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (mut status, mut body) = ("200 OK", b"3.17.2".to_vec());
    if path.contains("get-latest-versions") {
        body = br#"{"model_versions":[{"name":"Shop model","version":"7","current_stage":"Production"}]}"#
            .to_vec();
    } else if path.contains("get-download-uri") {
        body = br#"{"artifact_uri":"mlflow-artifacts:/1/a"}"#.to_vec();
    } else if let Some(name) = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/1/a/") {
        let fail = name == "model.onnx"
            && failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if name == "model.onnx" {
            times.lock().expect("times").push(Instant::now());
            downloads.fetch_add(1, Ordering::Relaxed);
        }
        match fs_err::read(folder.join(name)) {
            Ok(bytes) if !fail => body = bytes,
            Ok(_) => status = "503 Service Unavailable",
            Err(_) => status = "404 Not Found",
        }
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn from_fake(project: &TestProject, fake: &Fake, tries: &str) -> Command {
    let mut command = serve(project, &["--source", "mlflow", "--mlflow", &fake.url, "--model", "Shop model"]);
    command.env("MLFLOW_RETRY_MAX_ATTEMPTS", tries);
    command
}

#[test]
fn the_answer_of_a_slow_source_wins_over_the_cache() {
    let project = project();
    keep_package(&project, "live");
    let fake = Fake::start(project.path("live"));
    drop(Service::ready(from_fake(&project, &fake, "1")));
    another(&project);
    keep_package(&project, "live");
    fake.open.store(false, Ordering::Relaxed);
    let mut command = from_fake(&project, &fake, "1");
    command.args(["--startup-timeout", "2"]);
    let service = Service::ready(command);
    let health = service.get("/health").json();
    assert_eq!(health["source"]["from_cache"], true);
    let old = health["models"]["shop"]["digest"].clone();
    fake.open.store(true, Ordering::Relaxed);
    service.until(|service| service.get("/health").json()["source"]["from_cache"] == false);
    let health = service.get("/health").json();
    assert_eq!(health["status"], "ok", "{health}");
    assert_ne!(health["models"]["shop"]["digest"], old);
}

#[test]
fn a_download_that_fails_is_tried_again_and_counts_against_the_source() {
    let project = project();
    keep_package(&project, "live");
    let fake = Fake::start(project.path("live"));
    fake.failing.store(2, Ordering::Relaxed);
    let service = Service::ready(from_fake(&project, &fake, "3"));
    assert_eq!(fake.downloads.load(Ordering::Relaxed), 3);
    assert_eq!(service.get("/health").json()["status"], "ok");

    another(&project);
    keep_package(&project, "live");
    fake.failing.store(usize::MAX, Ordering::Relaxed);
    for _ in 0..5 {
        let told = reload(&service).is(503);
        assert!(told.text.contains("503"), "{}", told.text);
    }
    let health = service.get("/health").is(200).json();
    assert_eq!(
        (&health["source"]["reachable"], &health["source"]["breaker"], &health["status"]),
        (&json!(false), &json!("open"), &json!("degraded")),
        "{health}"
    );
    let _ = service.post("/predict/shop", &row()).is(200);
    fake.failing.store(0, Ordering::Relaxed);
    assert_eq!(reload(&service).is(200).json()["status"], "reloaded");
    assert_eq!(service.get("/health").json()["source"]["breaker"], "closed");
}

/// Returns the pauses between downloads from the `first` on.
fn pauses(fake: &Fake, first: usize) -> Vec<Duration> {
    let times = fake.times.lock().expect("times");
    times[first..].windows(2).map(|two| two[1].duration_since(two[0])).collect()
}

#[test]
fn the_pauses_between_tries_grow() {
    let project = project();
    keep_package(&project, "live");
    let fake = Fake::start(project.path("live"));
    fake.failing.store(3, Ordering::Relaxed);
    let mut command = from_fake(&project, &fake, "4");
    command.env("MLFLOW_RETRY_BACKOFF_FACTOR", "3");
    let service = Service::ready(command);
    assert_eq!(service.get("/health").json()["status"], "ok");
    let pauses = pauses(&fake, 0);
    assert_eq!(pauses.len(), 3, "{pauses:?}");
    for (pause, least) in pauses.iter().zip([200, 600, 1800]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
}

#[test]
fn a_source_that_failed_too_often_is_tried_once_after_a_while_and_comes_back() {
    let project = project();
    keep_package(&project, "live");
    let fake = Fake::start(project.path("live"));
    let mut command = from_fake(&project, &fake, "2");
    command.env("MODEL_AUTO_REFRESH_SECONDS", "1");
    command.env("MLFLOW_CIRCUIT_BREAKER_THRESHOLD", "1").env("MLFLOW_CIRCUIT_BREAKER_TIMEOUT", "2");
    let service = Service::ready(command);
    let state = |service: &Service, state: u8| {
        service.get("/metrics").text.contains(&format!("modelgate_source_breaker_state {state}\n"))
    };
    assert!(state(&service, 0));
    let digest = |service: &Service| service.get("/health").json()["models"]["shop"]["digest"].clone();
    let before = digest(&service);
    another(&project);
    let first = fake.downloads.load(Ordering::Relaxed);
    fake.failing.store(usize::MAX, Ordering::Relaxed);
    keep_package(&project, "live");
    service.until(|service| state(service, 1));
    // Two tries while it was trusted, then one for each while that it is left alone.
    service.until(|_| fake.downloads.load(Ordering::Relaxed) >= first + 4);
    let pauses = pauses(&fake, first);
    assert!(pauses[1..3].iter().all(|pause| *pause >= Duration::from_secs(2)), "{pauses:?}");
    // The look that is going on has reached the server, and not yet its files.
    service.until(|service| service.get("/health").json()["source"]["reachable"] == false);
    assert_eq!(digest(&service), before);
    let _ = service.post("/predict/shop", &row()).is(200);

    // The next try hangs: the breaker is half open until it is over, and closed when it went well. Nobody asks for it.
    fake.open.store(false, Ordering::Relaxed);
    service.until(|service| state(service, 2));
    assert_eq!(service.get("/health").json()["source"]["breaker"], "half_open");
    fake.failing.store(0, Ordering::Relaxed);
    fake.open.store(true, Ordering::Relaxed);
    service.until(|service| state(service, 0));
    service.until(|service| digest(service) != before);
    assert_eq!(service.get("/health").json()["status"], "ok");
}

#[test]
fn what_is_in_staging_is_served_where_that_is_asked_for() {
    let project = project();
    let refused = project.run(&[
        "serve",
        "--port",
        "0",
        "--stage",
        "staging",
        "--require-model",
        "--startup-timeout",
        "1",
    ]);
    refused.exits(1).says("no model has a version in staging");
    let both = ["serve", "--port", "0", "--stage", "staging", "--model", "shop@v001"];
    project.run(&both).exits(64).says("`shop@v001` names a version, wherever it stands");
    // Worse than what is in production: the run keeps it in staging.
    project.replace("modelgate.yaml", "approval: automatic", "approval: automatic, choose: best_by accuracy");
    project.replace("modelgate.yaml", "n_estimators: 10", "n_estimators: 1, max_depth: 1");
    project.run(&["run"]).exits(0).says("v002 is in staging");
    let staging = service(&project, &["--stage", "staging"]);
    let production = service(&project, &[]);
    assert_eq!((version(&staging), version(&production)), (json!("v002"), json!("v001")));
    let model = staging.get("/models/shop").is(200).json();
    assert_eq!((&model["stage"], &model["verified"]), (&json!("staging"), &json!(true)));
    let answer = staging.post("/predict/shop", &row()).is(200).json();
    assert_eq!((&answer["version"], &answer["digest"]), (&json!("v002"), &model["digest"]));
    // It goes on to production: staging is empty, and what is served stays until there is something newer.
    let _ = project.run(&["model", "promote", "shop", "v002"]).exits(0);
    assert_eq!(reload(&production).is(200).json()["models"]["shop"], "v002");
    let told = reload(&staging).is(503);
    assert!(told.text.contains("has no version in staging"), "{}", told.text);
    assert_eq!(version(&staging), "v002");
    let _ = staging.post("/predict/shop", &row()).is(200);
}

#[test]
fn what_was_served_by_its_stage_or_alias_is_withdrawn_once_it_is_bad_also_after_a_look_that_failed() {
    let project = project();
    project.replace("modelgate.yaml", "approval: automatic", "approval: automatic, choose: best_by accuracy");
    project.replace("modelgate.yaml", "n_estimators: 10", "n_estimators: 1, max_depth: 1");
    project.run(&["run"]).exits(0).says("v002 is in staging");
    let services =
        [&["--stage", "staging"][..], &["--model", "shop@staging"], &["--model", "shop@challenger"]];
    let services = services.map(|asked| {
        let mut command = serve(&project, asked);
        command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
        let service = Service::ready(command);
        assert_eq!(version(&service), "v002", "{asked:?}");
        service
    });
    // One look finds a registry that cannot be read.
    let ledger = project.read(".modelgate/ledger.jsonl");
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    for service in &services {
        let _ = reload(service).is(503);
        let _ = service.post("/predict/shop", &row()).is(200);
    }
    project.write(".modelgate/ledger.jsonl", &ledger);
    // Out of quarantine's reach the stage and both aliases are gone with it.
    let _ = project.run(&["model", "quarantine", "shop", "v002", "--reason", "worse"]).exits(0);
    for service in &services {
        assert_eq!(reload(service).is(200).json()["models"], json!({}));
        let health = service.get("/health").json();
        let why = health["source"]["withdrawn"]["shop"].as_str().unwrap_or_default();
        assert!(why.contains("v002 is quarantined"), "{health}");
        let _ = service.post("/predict/shop", &row()).is(503);
    }
}
