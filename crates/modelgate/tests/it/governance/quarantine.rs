//! Quarantine is of a package: it outlives the artefacts, and no other number, path or command leads around it.

use modelgate_core::VersionNumber;

use super::{CONFIG, digest, model, packaged, project, registry, run};

/// Brings the package of a version into a folder beside the project's own and returns its name.
fn kept(project: &modelgate_testing::TestProject, version: &str) -> String {
    let folder = format!("elsewhere-{version}");
    let _ = project.run(&["model", "pull", "p", version, "--to", &folder]).exits(0);
    folder
}

const BACK: [&str; 6] = ["model", "rollback", "p", "--yes", "--reason", "it was wrong"];

#[test]
fn a_quarantine_outlives_the_collection_of_its_artefacts() {
    let project = project(CONFIG, 2);
    let folder = kept(&project, "2");
    let _ = project.run(&BACK).exits(0);
    let keeping = CONFIG.replace("pipelines:", "retention: {keep: 0s, rollback_targets: 1}\npipelines:");
    project.write("modelgate.yaml", keeping.replace("at_least: 0.7", "at_least: 0.7, min_samples: 2"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.run(&["model", "gc", "--yes"]).exits(0).says("p v002 quarantined");
    project.run(&["model", "list"]).exits(0).says("v002 removed");
    let from_run = ["model", "promote", "p", "--from-run", &folder, "--reason", "again"];
    project.run(&from_run).exits(1).says("the package of v003 is quarantined as v002");
    project.run(&["status"]).exits(0).says("waiting     nothing");
    // Neither a new index nor training it again forgets.
    fs_err::remove_file(project.path(".modelgate/registry.db")).expect("removed");
    project.run(&["model", "approve", "p", "3"]).exits(1).says("the package of v003 is quarantined as v002");
    let again = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{said}");
    assert!(said.contains("is quarantined as v002"), "{said}");
    assert_eq!(packaged(&project), digest(&project, 1));
    // Somebody who says why may.
    let free = ["model", "promote", "p", "3", "--override-quarantine", "--reason", "the data were wrong"];
    project.run(&free).exits(0).says("v003 is in production");
    assert_eq!(packaged(&project), digest(&project, 2));
    project.run(&["ledger", "log"]).exits(0).says("v002 left quarantine: the data were wrong");
    project.run(&["model", "list"]).exits(0).says("v002 removed");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
}

#[test]
fn a_version_whose_artefacts_are_gone_is_quarantined_and_its_package_does_not_come_back() {
    let project = super::project(super::CONFIG, 2);
    let gone = modelgate_core::lifecycle::Event::RemoveArtefacts { reason: "retention".to_owned() };
    super::apply(&project, 1, &gone, &jiff::Timestamp::now().to_string());
    project
        .run(&["model", "quarantine", "p", "1", "--reason", "the leaked column"])
        .exits(0)
        .says("quarantined");
    project.run(&["model", "list"]).exits(0).says("v001 removed");
    let again = project.command(&["run"]).env("MODELGATE_SEED", "1").output().expect("started");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{said}");
    assert!(said.contains("quarantined as v001"), "{said}");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
}

#[test]
fn a_package_in_production_is_not_quarantined_under_another_number() {
    let project = project(CONFIG, 2);
    let folder = kept(&project, "1");
    // v003 is the package of v001 again.
    project.write("modelgate.yaml", CONFIG.replace("at_least: 0.7", "at_least: 0.7, min_samples: 2"));
    let take = ["model", "promote", "p", "--from-run", &folder];
    let _ = project.run(&take).exits(4);
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    let _ = project.run(&take).exits(0);
    assert_eq!((digest(&project, 3), packaged(&project)), (digest(&project, 1), digest(&project, 1)));
    let _ = project.run(&["model", "alias", "p", "audit", "1", "--reason", "for the auditors"]).exits(0);
    project.run(&["ledger", "log"]).exits(0).says("alias audit set to v001: for the auditors");
    project
        .run(&["model", "quarantine", "p", "1", "--reason", "found bad"])
        .exits(1)
        .says("the package of v001 is in production as v003: roll back to another version");
    let _ = project.run(&BACK).exits(0);
    assert_eq!(packaged(&project), digest(&project, 2));
    // v001 is archived, was in production, and is the package that was left.
    let to_first = ["model", "rollback", "p", "--to-version", "1", "--yes", "--reason", "x"];
    project.run(&to_first).exits(1).says("the package of v001 is quarantined as v003");
    for reference in ["v001", "audit"] {
        let model = format!("p@{reference}");
        let serve = ["serve", "--port", "0", "--model", &model, "--require-model", "--startup-timeout", "1"];
        project.run(&serve).exits(1).says("the package of p v001 is quarantined as v003 and is not served");
    }
}

#[test]
fn a_first_production_is_taken_out_where_that_is_asked_for() {
    let project = project(CONFIG, 1);
    let folder = kept(&project, "1");
    assert!(project.path("models/packaged/p/manifest.json").is_file());
    let back = ["model", "rollback", "p", "--yes", "--reason", "it does not answer"];
    let or_none = [&back[..], &["--or-none"]].concat();
    project.run(&back).exits(1).says("no version was in production before v001").says("`--or-none`");
    project.run(&or_none).exits(0).says("v001 is quarantined, and nothing is in production");
    // Whoever loads from the folder gets it no more, and the ledger knows when there was nothing.
    assert!(!project.path("models/packaged/p").exists());
    // Another checkout has it there still.
    fs_err::rename(project.path(&folder), project.path("models/packaged/p")).expect("moved");
    project.run(&["status"]).exits(0).says("a quarantined version; `modelgate model pull` takes it away");
    project
        .run(&["model", "pull", "p"])
        .exits(0)
        .says("nothing is in production; the quarantined package is gone");
    assert!(!project.path("models/packaged/p").exists());
    project.run(&["model", "pull", "p"]).exits(1).says("production");
    project.run(&["model", "show", "p", "1"]).exits(0).says("quarantined");
    let later = ["ledger", "at", "2999-01-01T00:00:00Z"];
    project.run(&later).exits(0).says("nothing was in production then");
    let _ = project.run(&["ledger", "verify"]).exits(0);
    let manifest = project.read("outputs/p/deployment_manifest.json");
    assert!(manifest.contains("no_production_model") && manifest.contains("\"package\": null"), "{manifest}");
    // The next one is promoted as a first one is; behind another there is somewhere to go back to.
    for seed in ["7", "8"] {
        let run = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("run");
        assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    }
    project.run(&["model", "quarantine", "p", "3", "--reason", "x"]).exits(1).says("goes back to v002");
    project.run(&or_none).exits(0).says("p v002 is in production again");
    // By its own command too, and with no version left that could be gone back to.
    project
        .run(&["model", "quarantine", "p", "2", "--reason", "it as well"])
        .exits(0)
        .says("v002 is quarantined");
    assert!(!project.path("models/packaged/p").exists());
}

#[test]
fn a_production_leaves_whatever_became_of_those_before_it() {
    let project = project(CONFIG, 3);
    let files = registry(&project).registration(&model(), VersionNumber(2)).expect("v002").files;
    let hex = files["model.onnx"].hex();
    fs_err::remove_file(project.path(&format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..])))
        .expect("removed");
    project.run(&["model", "rollback", "p", "--dry-run"]).exits(0).says("v002 cannot take over");
    project.run(&BACK).exits(1).says("production is unchanged: p v002 cannot be gone back to");
    let or_none = [&BACK[..], &["--or-none"]].concat();
    let said = project.run(&or_none).exits(0);
    said.says("v002 cannot take over").says("p v001 is in production again").does_not_say("unchanged");
    // What is signed by nobody who is believed cannot take over either, and nothing is better than what is bad.
    let project = super::project(CONFIG, 2);
    let Some((_, public)) = super::signing::keys(&project, "new") else { return };
    let signing = format!("signing: {{require_signature: true, public_keys: [{public}]}}\npipelines:");
    project.write("modelgate.yaml", CONFIG.replace("pipelines:", &signing));
    project.run(&["model", "quarantine", "p", "2", "--reason", "bad"]).exits(1).says("`--or-none`");
    project.write("models/packaged/p/notes.txt", "precious");
    project.run(&or_none).exits(0).says("v001 cannot take over").says("nothing is in production");
    // What is somebody's own stays, and is no package any more.
    assert!(!project.path("models/packaged/p/manifest.json").exists());
    assert_eq!(project.read("models/packaged/p/notes.txt"), "precious");
    // Where it may take over after all, the version before comes back.
    project.write("modelgate.yaml", CONFIG);
    let shown = project.run(&["model", "rollback", "p", "--dry-run"]).exits(0);
    shown.says("in production is nothing").says("(the last production)");
    project.run(&BACK).exits(1).says("`notes.txt`");
    fs_err::remove_file(project.path("models/packaged/p/notes.txt")).expect("removed");
    project.run(&BACK).exits(0).says("p v001 is in production again").says("nothing was there");
    assert_eq!(packaged(&project), digest(&project, 1));
    let _ = project.run(&["ledger", "verify"]).exits(0);
}

#[test]
fn an_override_that_comes_to_nothing_writes_nothing() {
    let project = project(CONFIG, 2);
    let _ = project.run(&BACK).exits(0);
    let files = registry(&project).registration(&model(), VersionNumber(2)).expect("v002").files;
    let hex = files["model.onnx"].hex();
    let object = format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..]);
    let mut bytes = fs_err::read(project.path(&object)).expect("object");
    bytes[20] ^= 1;
    fs_err::remove_file(project.path(&object)).expect("removed");
    project.write(&object, bytes);
    let before = registry(&project).position();
    let overriding = ["--override-quarantine", "--reason", "the data were wrong"];
    let rollback = [&["model", "rollback", "p", "--to-version", "2", "--yes"][..], &overriding].concat();
    project
        .run(&rollback)
        .exits(1)
        .says("cannot be gone back to")
        .says("`model.onnx` of p v002")
        .says("is damaged");
    let promote = [&["model", "promote", "p", "2"][..], &overriding].concat();
    project.run(&promote).exits(1).says("is damaged");
    let named = CONFIG.replace("approval: automatic", "approval: automatic, approvers: [alice]");
    project.write("modelgate.yaml", named);
    project.run(&promote).exits(1).says("`tester` may not approve p");
    assert_eq!(registry(&project).position(), before, "no event was written");
    assert!(!project.path(".modelgate/unfinished/p.json").exists());
    project.run(&["model", "list"]).exits(0).says("v002 quarantined");
    assert_eq!(packaged(&project), digest(&project, 1));
}

#[test]
fn an_actor_that_would_forge_a_line_is_refused() {
    let project = project(CONFIG, 1);
    let before = registry(&project).position();
    let eve = "eve\n   4 2026-01-01T00:00:00.000Z boss p: v001 approved";
    let mut alias = project.command(&["model", "alias", "p", "x", "1"]);
    let output = alias.env("MODELGATE_ACTOR", eve).output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("the actor's name (`MODELGATE_ACTOR`) has 1 to 512 bytes and no control"),
        "{said}"
    );
    let mut alias = project.command(&["model", "alias", "p", "x", "1"]);
    let output = alias.env("MODELGATE_ACTOR", "  ").output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("is blank"), "{said}");
    assert_eq!(registry(&project).position(), before);
    run(&project, 2);
}
