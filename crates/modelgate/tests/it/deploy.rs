//! Models and results, brought to where they are used.

mod docker;
mod refusals;
mod results;
mod space;

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use modelgate_testing::hub::{FakeHub, Started, TOKEN};
use modelgate_testing::{Service, TestProject};
use tempfile::TempDir;

use crate::BINARY;

/// A pipeline whose rows have a mark of their own, and a Space.
const CONFIG: &str = "version: 1
project: drug
pipelines:
  drug:
    task: classification
    data: {source: data.csv, target: y, key: id}
    train: {algorithm: random_forest, params: {n_estimators: 5}}
    gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}
    promotion: {approval: automatic}
deploy:
  space: {repository: me/drug-app, model_repository: me/drug, timeout: 60s, rules: [error_rate <= 0.5, p95_ms <= 30000]}
";

fn rows() -> String {
    let row = |row: u32| {
        format!("patient-{row:04}-secret,{}.5,{},{}\n", row % 10, row % 7, u8::from(row % 10 >= 5))
    };
    "id,a,b,y\n".to_owned() + &(0..120).map(row).collect::<String>()
}

/// A project with `versions` versions, each promoted in turn.
fn project(config: &str, versions: u64) -> TestProject {
    let project = TestProject::with(BINARY, &rows(), config);
    (1..=versions).for_each(|seed| crate::governance::run(&project, seed));
    project
}

/// Runs the command against a Hub, with a token in the environment.
fn deploy(project: &TestProject, hub: &FakeHub, arguments: &[&str]) -> Command {
    let mut command = project.command(&["deploy", "space"]);
    command
        .args(arguments)
        .env("HF_ENDPOINT", &hub.url)
        .env("HF_TOKEN", TOKEN)
        .env("HF_HOME", project.path("none"));
    command.env_remove("HF_TOKEN_PATH");
    command
}

/// Checks the exit code, and that no token is shown; returns what was said.
#[track_caller]
fn exits(mut command: Command, code: i32) -> String {
    let output: Output = command.output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    said
}

/// Containers of Spaces: our binary, with what the Dockerfile of the Space says about its environment.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<BTreeMap<String, (Service, TempDir)>>>);

/// The containers of a test, which end with it: the hub lives as long as the process.
struct Containers(Running);

impl Drop for Containers {
    fn drop(&mut self) {
        // A test that failed while it looked has failed already.
        if let Ok(mut running) = self.0.0.lock() {
            running.clear();
        }
    }
}

impl Containers {
    /// Starts a hub whose Spaces run in containers.
    fn hub() -> (FakeHub, Self) {
        let (hub, running) = (FakeHub::start(), Running::default());
        let (own, url) = (running.clone(), hub.url.clone());
        hub.state().large_from = 2000;
        hub.state().runner = Some(Arc::new(Box::new(move |started: &Started| own.start(started, &url))));
        (hub, Self(running))
    }

    /// Returns the package that a Space serves.
    fn serves(&self, space: &str) -> String {
        let containers = self.0.0.lock().expect("containers");
        let (service, _) = containers.get(space).expect("a container");
        service.get("/models/drug").is(200).json()["digest"].as_str().unwrap_or_default().to_owned()
    }
}

impl Running {
    /// Starts the container of a Space, which finds the Hub at `hub`.
    fn start(&self, started: &Started, hub: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (path, bytes) in &started.files {
            let path = folder.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a folder")).map_err(|error| error.to_string())?;
            fs_err::write(path, bytes).map_err(|error| error.to_string())?;
        }
        let dockerfile = started.files.get("Dockerfile").ok_or("there is no Dockerfile")?;
        let dockerfile = String::from_utf8_lossy(dockerfile).replace("\\\n", " ");
        let image = dockerfile.rsplit("FROM scratch").next().expect("a stage");
        assert!(image.contains("COPY packages /packages") && image.contains("USER 1000:1000"), "{image}");
        let mut command = Command::new(BINARY);
        command.env_clear().current_dir(folder.path());
        for line in image.lines().filter_map(|line| line.strip_prefix("ENV ")) {
            for (name, value) in line.split_whitespace().filter_map(|pair| pair.split_once('=')) {
                // In single quotes it stands as it is.
                let value = value.trim_matches('\'');
                let own = |place: &str| folder.path().join(place).display().to_string();
                let value = value.replace("/packages", &own("packages")).replace("/keys/", &own("keys/"));
                command.env(name, value);
            }
        }
        let words = image.lines().find_map(|line| line.strip_prefix("CMD ")).ok_or("there is no CMD")?;
        let words: Vec<String> = serde_json::from_str(words).map_err(|error| error.to_string())?;
        command.args(words).envs(&started.environment).env("HF_ENDPOINT", hub);
        command.env("HOST", "127.0.0.1").env("PORT", "0").env("LOG_FORMAT", "text");
        let service = Service::start(command);
        let url = service.url.clone();
        for _ in 0..200 {
            if service.get("/health/ready").status == 200 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.0.lock().expect("containers").insert(started.id.clone(), (service, folder));
        Ok(url)
    }
}

/// Returns the digest of a version.
fn digest(project: &TestProject, version: u32) -> String {
    let shown =
        project.run(&["model", "show", "drug", &version.to_string(), "--output-format", "json"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    shown["registration"]["digest"].as_str().expect("a digest").to_owned()
}

/// Returns the lines of the ledger that tell of deployments.
fn deployments(project: &TestProject) -> Vec<String> {
    let log = project.run(&["ledger", "log"]).exits(0).stdout;
    log.lines().filter(|line| line.contains("deployed")).map(ToOwned::to_owned).collect()
}
