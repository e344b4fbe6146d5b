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

#[test]
fn in_a_shared_registry_the_models_of_other_projects_stay_and_in_an_own_one_a_retired_model_goes() {
    for (registry, leaving) in [("registry: {uri: \"git+branch:models\"}\n", &[][..]), ("", &[1_u32])] {
        let config = CONFIG.replace("pipelines:", &format!("{registry}{KEEP}pipelines:"));
        let project = three(&config);
        // As the project of another team sees it, or this one after its pipeline got another name.
        project.write("modelgate.yaml", config.replace("  p:\n", "  q:\n"));
        let (found, mut registry) = open(&project);
        let objects: Vec<(Digest, Digest)> =
            (1..=3).map(|version| model_and_data(&registry, version)).collect();
        let plan = retention::plan(&found, &registry, &days_from_now(31)).expect("a plan");
        let others: Vec<&str> = plan.others.iter().map(modelgate_core::ModelName::as_str).collect();
        assert_eq!(others, if leaving.is_empty() { &["p"][..] } else { &[] });
        assert_eq!(collect(&found, &mut registry, 31), leaving);
        for (version, (model, _)) in (1..).zip(&objects) {
            assert_eq!(registry.object(model).is_err(), leaving.contains(&version), "v{version:03}");
        }
        drop(registry);
        if !leaving.is_empty() {
            continue;
        }
        let said = project.run(&["model", "gc", "--dry-run"]).exits(0);
        said.says("p is kept: no pipeline of this project makes it").says("0 versions");
    }
}

#[test]
fn what_left_staging_for_a_newer_one_goes_when_it_is_old() {
    use modelgate_core::lifecycle::Event;
    let config = CONFIG.replace("pipelines:", &format!("{KEEP}pipelines:"));
    let project = super::project(&config, 1);
    project.write("modelgate.yaml", config.replace("approval: automatic", "approval: required"));
    let (found, mut registry) = open(&project);
    for seed in ["2", "3"] {
        let run = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(run.status.code(), Some(4));
        let (version, stage) =
            (VersionNumber(seed.parse().expect("seed")), Event::Stage { reason: String::new() });
        registry.apply(&model(), version, &stage, &days_from_now(0), "tester").expect("allowed");
    }
    assert_eq!(collect(&found, &mut registry, 31), [2], "the newest of staging stays");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
}

/// Collects as if it were `days` from now, and returns the versions that left.
#[track_caller]
fn collect(found: &Project, registry: &mut Registry, days: i64) -> Vec<u32> {
    let later = days_from_now(days);
    let plan = retention::plan(found, registry, &later).expect("a plan");
    let now = || later.clone();
    let around = Surroundings { now: &now, actor: "tester".to_owned() };
    retention::collect(found, registry, &plan, &around).expect("collected");
    plan.versions.iter().map(|one| one.version.0).collect()
}

#[test]
fn what_is_staged_and_what_answers_as_a_canary_stay_however_old() {
    use modelgate_core::lifecycle::Event;
    let config = CONFIG.replace("pipelines:", &format!("{KEEP}pipelines:"));
    let project = three(&config);
    project.write("modelgate.yaml", config.replace("approval: automatic", "approval: required"));
    for seed in ["4", "5"] {
        let run = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(run.status.code(), Some(4));
    }
    let (found, mut registry) = open(&project);
    let now = jiff::Timestamp::now().to_string();
    let apply = |registry: &mut Registry, version: u32, event: &Event| {
        registry.apply(&model(), VersionNumber(version), event, &now, "tester").expect("allowed");
    };
    apply(&mut registry, 4, &Event::Stage { reason: String::new() });
    let (steps, shadow) = (modelgate_core::rollout::Steps::default(), modelgate_core::rollout::Percent::ZERO);
    apply(&mut registry, 5, &Event::StartRollout { steps, shadow, reason: String::new() });
    assert_eq!(collect(&found, &mut registry, 31), [1], "the canary and what is staged stay");
    for version in [4, 5] {
        assert!(registry.version_files(&model(), VersionNumber(version)).is_ok(), "v{version:03}");
    }
    // Out of the rollout it is quarantined, and goes.
    apply(&mut registry, 5, &Event::AbortRollout { reason: "slow".to_owned() });
    apply(&mut registry, 5, &Event::Quarantine { was_production: None, reason: "slow".to_owned() });
    assert_eq!(collect(&found, &mut registry, 62), [5]);
    assert!(registry.version_files(&model(), VersionNumber(4)).is_ok());
}

#[test]
fn a_collection_that_was_killed_behind_its_events_is_gone_on_with() {
    for registry in ["", "registry: {uri: \"git+branch:models\"}\n"] {
        let config = CONFIG.replace("pipelines:", &format!("{registry}{KEEP}pipelines:"));
        let project = three(&config);
        let (found, mut registry) = open(&project);
        let (gone, _) = model_and_data(&registry, 1);
        let event = modelgate_core::lifecycle::Event::RemoveArtefacts { reason: "retention".to_owned() };
        registry.apply(&model(), VersionNumber(1), &event, &days_from_now(31), "tester").expect("allowed");
        assert!(registry.object(&gone).is_ok(), "the events are there, and the objects too");
        let plan = retention::plan(&found, &registry, &days_from_now(32)).expect("a plan");
        assert!(plan.versions.is_empty() && plan.objects.iter().any(|(digest, _)| *digest == gone));
        assert!(collect(&found, &mut registry, 32).is_empty());
        assert!(registry.object(&gone).is_err(), "the next collection frees what the killed one left");
        for version in [2, 3] {
            assert!(registry.version_files(&model(), VersionNumber(version)).is_ok());
        }
    }
}

#[test]
fn a_collection_removes_all_of_its_versions_or_none() {
    let config = CONFIG.replace("pipelines:", &format!("{KEEP}pipelines:"));
    let config = config.replace("rollback_targets: 1", "rollback_targets: 0");
    let project = three(&config);
    let (found, mut registry) = open(&project);
    let later = days_from_now(31);
    let plan = retention::plan(&found, &registry, &later).expect("a plan");
    assert_eq!(plan.versions.len(), 2);
    // Somebody needs one of them between the look and the work.
    let alias = modelgate_core::lifecycle::Event::SetAlias {
        alias: "audited".parse().expect("an alias"),
        reason: String::new(),
    };
    super::apply(&project, 2, &alias, &later);
    let before = super::registry(&project).position();
    let now = || later.clone();
    let around = Surroundings { now: &now, actor: "tester".to_owned() };
    let refused = retention::collect(&found, &mut registry, &plan, &around).expect_err("refused");
    assert!(refused.to_string().contains("an alias points at v002"), "{refused}");
    assert_eq!(super::registry(&project).position(), before, "nothing was written");
    for version in [1, 2, 3] {
        assert!(registry.version_files(&model(), VersionNumber(version)).is_ok());
    }
}

/// Runs the pipeline with `seed`, which must end with `code`.
#[track_caller]
fn run_to(project: &TestProject, seed: &str, code: i32) -> String {
    let output = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn what_waits_for_approval_stays_and_a_package_that_was_removed_comes_in_again() {
    let config = CONFIG.replace("approval: automatic", "approval: required");
    let project =
        TestProject::with(BINARY, &easy(), &config.replace("pipelines:", &format!("{KEEP}pipelines:")));
    run_to(&project, "1", 4);
    let gone = |days| {
        let (found, mut registry) = open(&project);
        collect(&found, &mut registry, days)
    };
    assert!(gone(60).is_empty(), "it waits");
    // Approved it waits to be promoted, as long as nothing newer does.
    let _ = project.run(&["model", "approve", "p", "1"]).exits(0);
    assert!(gone(60).is_empty(), "it waits to be promoted");
    run_to(&project, "2", 4);
    // Somebody who trains another model elsewhere leaves no report here.
    fs_err::remove_dir_all(project.path("outputs")).expect("removed");
    assert_eq!(gone(60), [1]);
    project.run(&["model", "list"]).exits(0).says("v001 removed").says("v002 candidate");
    let said = run_to(&project, "1", 4);
    assert!(said.contains("v003 waits for approval"), "{said}");
    assert_eq!(super::digest(&project, 1), super::digest(&project, 3));
    let said = run_to(&project, "1", 4);
    assert!(said.contains("p v003 (this package was registered with this verdict)"), "{said}");
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    let said = run_to(&project, "1", 0);
    assert!(said.contains("v003 is production") || said.contains("v003 is in production"), "{said}");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
    project.run(&["status"]).exits(0).says("verified");
}

#[test]
fn what_the_last_run_came_to_stays_and_a_report_that_cannot_be_read_ends_a_collection() {
    let config = CONFIG.replace("at_least: 0.7", "at_most: 0.1");
    let project =
        TestProject::with(BINARY, &easy(), &config.replace("pipelines:", &format!("{KEEP}pipelines:")));
    run_to(&project, "1", 2);
    let gone = |days| {
        let (found, mut registry) = open(&project);
        collect(&found, &mut registry, days)
    };
    assert!(gone(60).is_empty(), "its verdict is what the last run told of");
    let report = project.read("outputs/p/run_report.json");
    project.write("outputs/p/run_report.json", &report[..report.len() / 2]);
    let (found, registry) = open(&project);
    let error =
        retention::plan(&found, &registry, &days_from_now(60)).expect_err("half a report").to_string();
    assert!(error.contains("run_report.json") && error.contains("nothing is collected"), "{error}");
    project.write("outputs/p/run_report.json", &report);
    run_to(&project, "2", 2);
    assert_eq!(gone(60), [1]);
}
