//! The way of a version to a Space, back again, and without a Hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use modelgate_testing::hub::{FakeHub, Started};
use serde_json::Value;

use super::{CONFIG, Containers, deploy, deployments, digest, exits, project};

fn variables(hub: &FakeHub, space: &str) -> std::collections::BTreeMap<String, String> {
    hub.state().space(space).variables.clone()
}

fn commits(hub: &FakeHub, repository: &str) -> usize {
    hub.state().repositories[repository].commits.len()
}

#[test]
fn a_version_in_production_gets_to_staging_and_then_to_production() {
    let (hub, containers) = Containers::hub();
    let project = project(CONFIG, 1);
    let said = exits(deploy(&project, &hub, &["--output-format", "json", "--reason", "the first"]), 0);
    let first = digest(&project, 1);
    for space in ["me/drug-app-staging", "me/drug-app"] {
        assert_eq!(containers.serves(space), first, "{space}: {said}");
        let set = variables(&hub, space);
        let revision = &hub.state().repositories["models/me/drug"].at("main").expect("a commit").oid.clone();
        assert_eq!((&set["MODELGATE_MODEL_REVISION"], &set["MODELGATE_MODEL_DIGEST"]), (revision, &first));
        assert_eq!(set["MODELGATE_MODEL_REPOSITORY"], "me/drug");
    }
    let report: Value =
        serde_json::from_str(&said[said.find("{\n").expect("JSON")..=said.rfind('}').expect("JSON")])
            .unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(
        (&report["digest"], &report["spaces"][1]["verdict"]),
        (&Value::from(first.as_str()), &"passed".into())
    );
    let told = deployments(&project);
    assert!(
        told.len() == 1 && told[0].contains("space/me/drug-app") && told[0].contains("the first"),
        "{told:?}"
    );

    // The Space is tried before production is even made.
    let writes = hub.state().writes();
    let at = |part: &str| {
        writes.iter().position(|one| one.contains(part)).unwrap_or_else(|| panic!("{part}: {writes:#?}"))
    };
    assert!(at("models/me/drug/commit") < at("spaces/me/drug-app-staging/commit"));
    assert!(at("spaces/me/drug-app-staging/commit") < at("spaces/me/drug-app/commit"));
    // The weights went the way of large files, once for all three repositories.
    let mut puts: Vec<&String> = writes.iter().filter(|one| one.contains("PUT /storage/")).collect();
    let count = puts.len();
    puts.sort();
    puts.dedup();
    assert!(count >= 1 && count == puts.len(), "{writes:#?}");

    // No row of the training data is in anything that was sent.
    let everything = hub.state().everything();
    assert!(everything.len() > 20 && everything.iter().any(|(path, _)| path.contains("reference.json")));
    for (path, bytes) in everything {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("patient-") && !path.ends_with(".parquet"), "{path} holds rows");
    }

    // A second time nothing is new: no commit, no upload, a restart and a look.
    let before: Vec<usize> = ["models/me/drug", "spaces/me/drug-app"].map(|one| commits(&hub, one)).to_vec();
    exits(deploy(&project, &hub, &[]), 0);
    assert_eq!(["models/me/drug", "spaces/me/drug-app"].map(|one| commits(&hub, one)).to_vec(), before);
    assert_eq!(hub.state().writes().iter().filter(|one| one.contains("PUT /storage/")).count(), count);
}

#[test]
fn a_space_is_held_to_the_keys_of_the_project() {
    let (hub, containers) = Containers::hub();
    let project = Arc::new(project(CONFIG, 1));
    let Some((private, public)) = crate::governance::signing::keys(&project, "one") else { return };
    let signing = format!("{CONFIG}signing: {{require_signature: true, public_keys: [{public}]}}\n");
    project.write("modelgate.yaml", signing);
    let said = exits(deploy(&project, &hub, &[]), 1);
    assert!(said.contains("signing.require_signature: drug v001: it is not signed"), "{said}");
    assert!(hub.state().repositories.is_empty());
    let _ = project.run(&["model", "sign", "drug", "1", "--key", &private]).exits(0);
    exits(deploy(&project, &hub, &[]), 0);
    let running = containers.0.0.lock().expect("containers");
    for space in ["me/drug-app-staging", "me/drug-app"] {
        let (service, folder) = &running[space];
        assert_eq!(service.get("/health").json()["models"]["drug"]["signed"], true, "{space}");
        let key = fs_err::read_to_string(folder.path().join("keys/1.pem")).expect("a key");
        assert_eq!(key, project.read("one.pub"));
    }
    drop(running);

    // Another key signs, and the image believes it alone. The way back does not lead to the signature of before.
    let Some((private, public)) = crate::governance::signing::keys(&project, "two") else { return };
    project.replace("modelgate.yaml", "[one.pub]", &format!("[{public}]"));
    let _ = project.run(&["model", "sign", "drug", "1", "--key", &private]).exits(0);
    exits(deploy(&project, &hub, &[]), 0);
    let before = commits(&hub, "models/me/drug");
    project.replace("modelgate.yaml", "timeout: 60s", "timeout: 20s");
    exits(deploy(&project, &hub, &["--rollback"]), 0);
    assert_eq!(commits(&hub, "models/me/drug"), before, "it is there already");

    // Nor does it where the next version is rolled back while its Space is built: what is served again is looked at.
    let run = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(run.status.code(), Some(1), "it is not signed");
    for command in ["sign", "approve", "promote"] {
        let key: &[&str] = if command == "sign" { &["--key", &private] } else { &[] };
        let _ = project.run(&[&["model", command, "drug", "2"], key].concat()).exits(0);
    }
    roll_back_meanwhile(&hub, "me/drug-app", &project);
    let said = exits(deploy(&project, &hub, &[]), 2);
    assert!(said.contains("me/drug-app serves drug v001"), "{said}");
    assert_eq!(containers.serves("me/drug-app"), digest(&project, 1));
}

/// Rolls back, once, as soon as a Space is built.
fn roll_back_meanwhile(hub: &FakeHub, space: &'static str, project: &Arc<modelgate_testing::TestProject>) {
    let build = hub.state().runner.clone().expect("containers");
    let (project, done) = (Arc::clone(project), AtomicBool::new(false));
    let runner = move |started: &Started| {
        let host = build(started)?;
        if started.id == space && !done.swap(true, Ordering::Relaxed) {
            let back = ["model", "rollback", "drug", "--yes", "--reason", "wrong labels"];
            let _ = project.run(&back).exits(0);
        }
        Ok(host)
    };
    hub.state().runner = Some(Arc::new(Box::new(runner)));
}

#[test]
fn what_is_rolled_back_while_a_space_is_built_does_not_stay_with_people() {
    let (hub, _containers) = Containers::hub();
    let project = Arc::new(project(CONFIG, 1));
    exits(deploy(&project, &hub, &[]), 0);
    let first = digest(&project, 1);
    let (before, files) = (variables(&hub, "me/drug-app"), commits(&hub, "spaces/me/drug-app"));
    crate::governance::run(&project, 2);
    roll_back_meanwhile(&hub, "me/drug-app-staging", &project);
    let said = exits(deploy(&project, &hub, &[]), 2);
    assert!(
        said.contains("drug v002 is quarantined: it is not deployed; me/drug-app was not touched"),
        "{said}"
    );
    assert_eq!((variables(&hub, "me/drug-app"), commits(&hub, "spaces/me/drug-app")), (before, files));

    // The Space that people use is there already: it goes back to what is in production.
    crate::governance::run(&project, 3);
    roll_back_meanwhile(&hub, "me/drug-app", &project);
    let said = exits(deploy(&project, &hub, &[]), 2);
    assert!(said.contains(&format!("me/drug-app is told to serve the package {first}")), "{said}");
    assert_eq!(variables(&hub, "me/drug-app")["MODELGATE_MODEL_DIGEST"], first);
    assert_eq!(deployments(&project).len(), 1);

    // With nothing to go back to, it can be stopped.
    let _ =
        project.run(&["model", "rollback", "drug", "--yes", "--or-none", "--reason", "wrong too"]).exits(0);
    exits(deploy(&project, &hub, &["--rollback"]), 1);
    let said = exits(deploy(&project, &hub, &["drug", "--stop"]), 0);
    assert!(said.contains("me/drug-app is stopped"), "{said}");
    assert_eq!(hub.state().space("me/drug-app").stage, "PAUSED");
}

#[test]
fn going_back_is_a_variable_and_a_restart_and_works_without_the_hub() {
    let (hub, containers) = Containers::hub();
    let project = project(CONFIG, 1);
    exits(deploy(&project, &hub, &[]), 0);
    crate::governance::run(&project, 2);
    // Somebody else commits to each repository at the same time.
    hub.state().strangers = 1;
    exits(deploy(&project, &hub, &[]), 0);
    let (first, second) = (digest(&project, 1), digest(&project, 2));
    assert_eq!(containers.serves("me/drug-app"), second);

    let _ = project.run(&["model", "rollback", "drug", "--yes", "--reason", "it drifted"]).exits(0);
    let counted = || {
        ["models/me/drug", "spaces/me/drug-app", "spaces/me/drug-app-staging"].map(|one| commits(&hub, one))
    };
    let before = counted();
    let said = exits(deploy(&project, &hub, &["--rollback", "--reason", "it drifted"]), 0);
    assert_eq!(containers.serves("me/drug-app"), first, "{said}");
    assert_eq!(counted(), before, "no commit, so no build");
    assert_eq!(containers.serves("me/drug-app-staging"), second, "staging is not asked");
    assert_eq!(deployments(&project).len(), 3);

    // The Hub is down when the container starts: the package beside it stands in, and it is the one that is pinned.
    let started = |hub: &FakeHub, environment| Started {
        id: "alone".to_owned(),
        starts: 1,
        environment,
        files: hub.state().files("spaces/me/drug-app"),
    };
    let nowhere = "http://127.0.0.1:9";
    let mut pinned = variables(&hub, "me/drug-app");
    containers.0.start(&started(&hub, pinned.clone()), nowhere).expect("started");
    assert_eq!(containers.serves("alone"), first);
    pinned.insert("MODELGATE_MODEL_DIGEST".to_owned(), second.clone());
    containers.0.start(&started(&hub, pinned), nowhere).expect("started");
    assert_eq!(containers.serves("alone"), second);

    // What is quarantined does not come back by this door.
    let said = exits(deploy(&project, &hub, &["drug", "2", "--rollback"]), 1);
    assert!(said.contains("quarantined"), "{said}");
}

#[test]
fn what_does_not_show_what_it_must_stays_in_staging() {
    let (hub, containers) = Containers::hub();
    let project = project(CONFIG, 1);
    exits(deploy(&project, &hub, &[]), 0);
    crate::governance::run(&project, 2);
    project.replace("modelgate.yaml", "p95_ms <= 30000", "p95_ms <= 0");
    let (before, files) = (variables(&hub, "me/drug-app"), hub.state().files("spaces/me/drug-app"));
    let said = exits(deploy(&project, &hub, &[]), 2);
    assert!(said.contains("me/drug-app was not touched") && said.contains("p95_ms"), "{said}");
    assert_eq!(containers.serves("me/drug-app-staging"), digest(&project, 2));
    assert_eq!(containers.serves("me/drug-app"), digest(&project, 1));
    assert_eq!((variables(&hub, "me/drug-app"), hub.state().files("spaces/me/drug-app")), (before, files));
    assert_eq!(deployments(&project).len(), 1);
}

#[test]
fn a_space_that_does_not_build_is_told_and_production_goes_on() {
    let (hub, containers) = Containers::hub();
    let project = project(CONFIG, 1);
    exits(deploy(&project, &hub, &[]), 0);
    crate::governance::run(&project, 2);
    let broken =
        |part: &str| Some((part.to_owned(), "BUILD_ERROR".to_owned(), "no such base image".to_owned()));
    let before = variables(&hub, "me/drug-app");
    hub.state().broken = broken("me/drug-app-staging");
    let said = exits(deploy(&project, &hub, &[]), 1);
    assert!(said.contains("me/drug-app-staging does not run: BUILD_ERROR: no such base image"), "{said}");
    assert!(said.contains("me/drug-app was not touched"), "{said}");
    assert_eq!(variables(&hub, "me/drug-app"), before);
    assert_eq!(containers.serves("me/drug-app"), digest(&project, 1));

    // Staging is well and production does not build: it is told to serve what it served.
    hub.state().broken = broken("me/drug-app");
    let said = exits(deploy(&project, &hub, &[]), 1);
    assert!(said.contains("the Space me/drug-app does not run: BUILD_ERROR"), "{said}");
    assert!(said.contains("me/drug-app is told to serve what it served before"), "{said}");
    assert_eq!(variables(&hub, "me/drug-app"), before);
    assert_eq!(deployments(&project).len(), 1);
    hub.state().broken = None;
    exits(deploy(&project, &hub, &[]), 0);
    assert_eq!(containers.serves("me/drug-app"), digest(&project, 2));
}

#[test]
fn an_application_of_ones_own_goes_where_it_is_told_to() {
    let hub = FakeHub::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        }
    });
    let runner = move |_: &Started| Ok(url.clone());
    hub.state().runner = Some(std::sync::Arc::new(Box::new(runner.clone())));
    let config = CONFIG.replace(
        "timeout: 60s",
        "timeout: 60s, upload: {app: src, models/packaged/drug: model, outputs/drug: metrics, space: .}, \
         variables: {THEME: dark}, secrets: {API_KEY: DRUG_API_KEY}",
    );
    let project = project(&config, 1);
    project.write("app/drug_app.py", "import gradio\n");
    project.write("app/.env", "HF_TOKEN=patient-secret\n");
    project.write("space/Dockerfile", "FROM python:3.12-slim\n");
    let said = exits(deploy(&project, &hub, &[]), 64);
    assert!(said.contains("DRUG_API_KEY is not set"), "{said}");
    assert!(hub.state().repositories.is_empty());
    let with_key = || {
        let mut command = deploy(&project, &hub, &[]);
        command.env("DRUG_API_KEY", "an-application-key");
        command
    };
    let said = exits(with_key(), 0);
    assert!(!said.contains("an-application-key"), "{said}");
    let files = hub.state().files("spaces/me/drug-app");
    for path in
        ["Dockerfile", "src/drug_app.py", "model/manifest.json", "model/model.onnx", "metrics/report.md"]
    {
        assert!(files.contains_key(path), "{path}: {:?}", files.keys());
    }
    assert!(!files.keys().any(|path| path.contains(".env")), "{:?}", files.keys());
    let space = hub.state().space("me/drug-app").clone();
    assert_eq!(
        (space.variables["THEME"].as_str(), space.secrets["API_KEY"].as_str()),
        ("dark", "an-application-key")
    );
    assert_eq!(space.variables["MODELGATE_MODEL_DIGEST"], digest(&project, 1));

    // Staging is well, and the Space that people use cannot be reached: that says nothing about the version, and what was
    // uploaded is not called undone.
    crate::governance::run(&project, 2);
    project.replace("modelgate.yaml", "timeout: 60s", "timeout: 1s");
    let unreached = move |started: &Started| match started.id.as_str() {
        "me/drug-app" => Ok("http://127.0.0.1:9".to_owned()),
        _ => runner(started),
    };
    hub.state().runner = Some(std::sync::Arc::new(Box::new(unreached)));
    let said = exits(with_key(), 3);
    assert!(said.contains("that says nothing about drug v002"), "{said}");
    assert!(said.contains("the variables of me/drug-app name what it served before again"), "{said}");
    assert!(said.contains("what was uploaded to me/drug-app with drug v002 stays there"), "{said}");
    assert!(said.contains("`modelgate model pull drug` and `modelgate deploy space drug`"), "{said}");
    assert_eq!(variables(&hub, "me/drug-app")["MODELGATE_MODEL_DIGEST"], digest(&project, 1));

    // The training data does not leave, whatever it is called, and no other package does beside the one that may.
    project.write("app/extra/table.csv", super::rows());
    let said = exits(with_key(), 64);
    assert!(said.contains("`app/extra/table.csv` is the training data `data.csv`"), "{said}");
    fs_err::remove_file(project.path("app/extra/table.csv")).expect("removed");
    project.replace("models/packaged/drug/manifest.json", "\"drug\"", "\"other\"");
    let said = exits(with_key(), 64);
    assert!(said.contains("is of the package sha256:"), "{said}");
    for (path, bytes) in hub.state().everything() {
        assert!(!String::from_utf8_lossy(&bytes).contains("patient-"), "{path} holds rows");
    }
}

#[test]
fn what_a_contract_warns_of_leaves_as_places_and_not_as_values() {
    let config = CONFIG
        .replace("key: id}", "key: id, contract: contract.yaml}")
        .replace("timeout: 60s", "timeout: 60s, upload: {outputs/drug: metrics}");
    let project = modelgate_testing::TestProject::with(crate::BINARY, &super::rows(), &config);
    project.write(
        "contract.yaml",
        "version: 1\ncolumns:\n  id: {type: string, max_length: 5, severity: warning}\n  a: {type: float}\n  b: {type: int}\n  \
         y: {type: int}\n",
    );
    crate::governance::run(&project, 1);
    let found = project.json("outputs/drug/contract_report.json");
    let violation = &found["violations"][0];
    assert_eq!((&violation["id"], &violation["count"]), (&"id.max_length".into(), &120.into()));
    assert_eq!((&violation["rows"][0]["row"], &violation["rows"][0]["line"]), (&1.into(), &2.into()));

    let hub = FakeHub::start();
    let said = exits(deploy(&project, &hub, &["--dry-run"]), 0);
    assert!(said.contains("metrics/contract_report.json") && !said.contains("patient-"), "{said}");
    // Nothing that is below `outputs/` holds what stands in a row.
    let mut folders = vec![project.path("outputs")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs_err::read(entry.path()).expect("a file");
            assert!(!String::from_utf8_lossy(&bytes).contains("patient-"), "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 10, "{files}");
    // Where the data is, what stands in the rows is shown.
    project.run(&["data", "validate"]).exits(0).says("line 2 (data row 1): id = patient-0000-secret");
}

#[test]
fn a_space_serves_as_the_project_says() {
    let (hub, containers) = Containers::hub();
    let serve =
        "serve: {out_of_range: reject, redact: [a], reload_url: \"http://127.0.0.1:9/admin/reload\"}\n";
    let project = project(&format!("{CONFIG}{serve}"), 1);
    exits(deploy(&project, &hub, &[]), 0);
    let rows = serde_json::json!({ "features": [{ "a": 1e6, "b": 3 }] });
    for space in ["me/drug-app-staging", "me/drug-app"] {
        let running = containers.0.0.lock().expect("containers");
        let answer = running[space].0.post("/predict/drug", &rows).is(422).json();
        assert!(answer.to_string().contains("out_of_range"), "{space}: {answer}");
    }
    // Another setting is another image.
    project.replace("modelgate.yaml", "out_of_range: reject, ", "");
    exits(deploy(&project, &hub, &[]), 0);
    let running = containers.0.0.lock().expect("containers");
    let _ = running["me/drug-app"].0.post("/predict/drug", &rows).is(200);
}
