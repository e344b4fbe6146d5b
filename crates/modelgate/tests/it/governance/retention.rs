//! What a collection frees, and what it leaves.

use modelgate_core::{Digest, VersionNumber};
use modelgate_pipeline::{Project, Surroundings, retention};
use modelgate_registry::{Registry, RegistryUri};
use modelgate_store::ContentStore;
use modelgate_testing::TestProject;

use super::{CONFIG, easy, model};
use crate::BINARY;

/// A project with three versions, each of data of its own.
fn three(config: &str) -> TestProject {
    let project = TestProject::with(BINARY, &easy(), config);
    if config.contains("git+branch:") {
        let mut git = std::process::Command::new("git");
        let init = git.args(["init", "--quiet", "."]).current_dir(project.path(".")).status();
        assert!(init.expect("git").success());
    }
    for version in 1..=3_u64 {
        project.write("data.csv", easy() + &"7.5,3,1\n".repeat(version as usize));
        super::run(&project, version);
    }
    project
}

fn open(project: &TestProject) -> (Project, Registry) {
    let root = fs_err::canonicalize(project.path(".")).expect("a folder");
    let found = Project::find(&root, &|_| None).expect("a project");
    let uri = RegistryUri::parse(found.config.registry.uri.as_deref()).expect("an address");
    let registry = Registry::open(&uri, &root).expect("a registry");
    (found, registry)
}

fn days_from_now(days: i64) -> String {
    let seconds = jiff::Timestamp::now().as_second() + days * 86_400;
    jiff::Timestamp::from_second(seconds).expect("a time").to_string()
}

/// Returns the digests of a version's model and data.
fn model_and_data(registry: &Registry, version: u32) -> (Digest, Digest) {
    let found = registry.registration(&model(), VersionNumber(version)).expect("a version");
    (found.files["model.onnx"], found.lineage.dataset)
}

const KEEP: &str = "retention: {keep: 30d, rollback_targets: 1}\n";

#[test]
fn a_collection_removes_old_models_with_their_data_and_leaves_the_others_whole() {
    let config = CONFIG.replace("pipelines:", &format!("{KEEP}pipelines:"));
    let project = three(&config);
    // As a data set of many files is kept: a list that names them.
    let (found, mut registry) = open(&project);
    let store = ContentStore::new(&found.state_folder());
    let part = store.put(b"a part of a data set").expect("put");
    let list = format!("[{{\"digest\":\"{part}\",\"name\":\"data/part.csv\",\"size\":20}}]");
    let list = store.put(list.as_bytes()).expect("put");
    let lost = store.put(b"what an older pointer file named").expect("put");
    project.write("data/set.modelgate", format!("digest: {list}\n"));
    let has = |digest: &Digest| store.contains(digest);
    let objects: Vec<(Digest, Digest)> = (1..=3).map(|version| model_and_data(&registry, version)).collect();

    // Young objects stay, whether or not something names them now: git's history may.
    let plan = retention::plan(&found, &registry, &days_from_now(29)).expect("a plan");
    assert_eq!((plan.versions.len(), plan.count()), (0, 0));

    let later = days_from_now(31);
    let plan = retention::plan(&found, &registry, &later).expect("a plan");
    let leaving: Vec<u32> = plan.versions.iter().map(|one| one.version.0).collect();
    assert_eq!(leaving, [1], "production and the one to go back to stay");
    let now = || later.clone();
    let around = Surroundings { now: &now, actor: "tester".to_owned() };
    retention::collect(&found, &mut registry, &plan, &around).expect("collected");
    assert!(!has(&objects[0].0) && !has(&objects[0].1), "the old model and its data are gone");
    assert!(!has(&lost));
    for (model, data) in &objects[1..] {
        assert!(has(model) && has(data));
    }
    assert!(has(&list) && has(&part), "a pointer file names the list, and the list its file");
    assert!(plan.bytes() > 1000, "{} bytes", plan.bytes());
    drop(registry);
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
    let _ = project.run(&["model", "verify", "p", "2"]).exits(0);
    // What the stages of the last run left is there: nothing is done again.
    let again = project.command(&["run"]).env("MODELGATE_SEED", "3").output().expect("started");
    assert!(again.status.success());
    let said = String::from_utf8_lossy(&again.stdout).into_owned() + &String::from_utf8_lossy(&again.stderr);
    assert!(!said.contains("is not in the store"), "{said}");
    project
        .run(&["model", "rollback", "p", "--yes", "--reason", "x"])
        .exits(0)
        .says("v002 is in production again");
}

#[test]
fn where_the_registry_is_shared_the_project_keeps_what_it_needs_too() {
    let config =
        CONFIG.replace("pipelines:", &format!("registry: {{uri: \"git+branch:models\"}}\n{KEEP}pipelines:"));
    let project = three(&config);
    let (found, mut registry) = open(&project);
    let store = ContentStore::new(&found.state_folder());
    let objects: Vec<(Digest, Digest)> = (1..=3).map(|version| model_and_data(&registry, version)).collect();
    let later = days_from_now(31);
    let plan = retention::plan(&found, &registry, &later).expect("a plan");
    assert!(plan.objects.iter().any(|(digest, _)| *digest == objects[0].0));
    assert!(plan.local.iter().any(|(digest, _)| *digest == objects[0].1), "the data are the project's own");
    let now = || later.clone();
    let around = Surroundings { now: &now, actor: "tester".to_owned() };
    retention::collect(&found, &mut registry, &plan, &around).expect("collected");
    assert!(registry.object(&objects[0].0).is_err() && !store.contains(&objects[0].1));
    assert!(registry.object(&objects[2].0).is_ok() && store.contains(&objects[2].1));
    assert!(store.contains(&objects[1].1), "a version that can be gone back to keeps its data");
}
