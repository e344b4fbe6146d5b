//! Governance through the binary: who may do what, going back, and what is left when something is wrong.

mod archive;
mod damage;
mod dry_run;
mod elsewhere;
mod policies;
mod quarantine;
mod required_rules;
mod retention;
mod rollback;
mod self_test;
pub(crate) mod signing;
mod webhook;

use modelgate_core::lifecycle::Event;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};
use modelgate_testing::TestProject;

use crate::BINARY;

/// A pipeline that promotes what passes, with a rule that a guess does not pass.
pub(crate) const CONFIG: &str = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y}
    train: {algorithm: random_forest, params: {n_estimators: 5}}
    gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}
    promotion: {approval: automatic}
";

/// Rows that a small forest learns whatever the seed.
pub(crate) fn easy() -> String {
    let rows = (0..120).map(|row| format!("{}.5,{},{}\n", row % 10, row % 7, u8::from(row % 10 >= 5)));
    "a,b,y\n".to_owned() + &rows.collect::<String>()
}

/// Runs the pipeline with `seed`, which makes another package.
#[track_caller]
pub(crate) fn run(project: &TestProject, seed: u64) {
    let output = project.command(&["run"]).env("MODELGATE_SEED", seed.to_string()).output().expect("started");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A project with `versions` versions, each promoted in turn.
pub(crate) fn project(config: &str, versions: u64) -> TestProject {
    let project = TestProject::with(BINARY, &easy(), config);
    for seed in 1..=versions {
        run(&project, seed);
    }
    project
}

pub(crate) fn model() -> ModelName {
    "p".parse().expect("name")
}

/// Opens the project's registry past the binary.
pub(crate) fn registry(project: &TestProject) -> Registry {
    Registry::open(&RegistryUri::Folder, &project.path(".")).expect("a registry")
}

/// Does `event` past the binary, at `time`.
#[track_caller]
pub(crate) fn apply(project: &TestProject, version: u32, event: &Event, time: &str) {
    registry(project).apply(&model(), VersionNumber(version), event, time, "tester").expect("allowed");
}

/// Returns the digest of the package in `models/packaged/p`.
pub(crate) fn packaged(project: &TestProject) -> String {
    let bytes = project.read("models/packaged/p/manifest.json");
    modelgate_core::Digest::of(bytes.as_bytes()).to_string()
}

/// Returns the digest of a version.
pub(crate) fn digest(project: &TestProject, version: u32) -> String {
    let registry = registry(project);
    registry.model(&model()).expect("model").versions[&VersionNumber(version)].digest.to_string()
}
