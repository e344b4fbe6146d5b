//! Models from a real S3 server: packages at a prefix, and the registry in a bucket.

use std::path::Path;

use modelgate_store::remote;
use modelgate_testing::{S3Server, Service, TestProject};
use serde_json::json;

use super::reloads::{another, keep_package, version};
use super::{project, reload, row, serve};

pub(super) fn upload(project: &TestProject, server: &S3Server, folder: &str, to: &str) {
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let home = remote::open(to, Path::new("."), &variable).expect("a bucket");
    for entry in fs_err::read_dir(project.path(folder)).expect("a package").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        home.put(&name, &fs_err::read(entry.path()).expect("read")).expect("put");
    }
}

#[test]
fn packages_come_from_a_bucket() {
    let Some(mut server) = S3Server::start() else { return };
    let project = project();
    keep_package(&project, "one");
    upload(&project, &server, "one", "s3://data/models/shop");
    let start = |uri: &str| {
        let mut command = serve(&project, &["--package", uri]);
        command.envs(server.variables(None)).env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
        command
    };
    let service = Service::ready(start("s3://data/models/shop"));
    let health = service.get("/health").is(200).json();
    assert_eq!((&health["status"], &health["source"]["kind"]), (&json!("ok"), &json!("bucket")), "{health}");
    assert_eq!(health["models"]["shop"]["verified"], true);
    assert!(!health.to_string().contains(&server.secret), "{health}");
    let _ = service.post("/predict/shop", &row()).is(200);
    // The folder above has the package one folder below.
    let before = version(&Service::ready(start("s3://data/models")));
    assert_eq!(before, version(&service));
    // A folder that holds something else is refused by its name.
    project.write("foreign/manifest.json", "{}");
    upload(&project, &server, "foreign", "s3://data/models/foreign");
    let both = Service::ready(start("s3://data/models"));
    let health = both.get("/health").is(200).json();
    assert!(
        health["source"]["refused"]["foreign/"].as_str().is_some_and(|why| why.contains("is no manifest")),
        "{health}"
    );
    let _ = both.post("/predict/shop", &row()).is(200);
    drop(both);

    another(&project);
    upload(&project, &server, "models/packaged/shop", "s3://data/models/shop");
    assert_eq!(reload(&service).is(200).json()["status"], "reloaded");
    assert_ne!(version(&service), before);
    server.flip_first_byte("data", "models/shop/model.onnx");
    drop(service);
    let project_cache = project.path(".modelgate/cache/serve");
    fs_err::remove_dir_all(project_cache).expect("a cache");
    let mut refused =
        serve(&project, &["--package", "s3://data/models", "--require-model", "--startup-timeout", "10"]);
    let output = refused.envs(server.variables(None)).output().expect("ended");
    assert!(String::from_utf8_lossy(&output.stderr).contains("model.onnx"), "{output:?}");
    let mut nothing =
        serve(&project, &["--package", "s3://data/empty", "--require-model", "--startup-timeout", "10"]);
    let output = nothing.envs(server.variables(None)).output().expect("ended");
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no package in"), "{output:?}");
}

#[test]
fn a_registry_in_a_bucket_is_served() {
    let Some(server) = S3Server::start() else { return };
    let project = TestProject::with(crate::BINARY, &super::table(300), super::CONFIG);
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}registry: {{uri: \"s3://data/registry\"}}\n"));
    let run = project.command(&["run"]).envs(server.variables(None)).output().expect("run");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut command = serve(&project, &[]);
    command.envs(server.variables(None));
    let service = Service::ready(command);
    assert_eq!(version(&service), "v001");
    assert_eq!(service.get("/health").json()["source"]["kind"], "registry");
}
