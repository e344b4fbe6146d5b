//! Going back: in order, refused, damaged, and killed half-way.

use modelgate_core::ledger::Verification;
use modelgate_core::lifecycle::Event;
use modelgate_pipeline::notify::Notice;

use super::{CONFIG, apply, digest, model, packaged, project, registry};

pub(super) const BACK: [&str; 6] = ["model", "rollback", "p", "--yes", "--reason", "it was wrong"];

#[test]
fn production_goes_back_to_the_one_before_and_what_is_left_is_quarantined() {
    let project = project(CONFIG, 3);
    let shown = project.run(&["model", "rollback", "p", "--dry-run"]).exits(0);
    shown.says("v002").says("(the production before)");
    // When each was in production, as the ledger has it.
    let entries = project.run(&["--output-format", "json", "ledger", "log"]).exits(0).stdout;
    let promoted: Vec<String> = entries
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|entry| entry["event"]["type"] == "promoted")
        .map(|entry| entry["time"].as_str().expect("a time").to_owned())
        .collect();
    shown.says(&format!("v002 in production from {} to {}, trained", promoted[1], promoted[2]));
    shown.says(&format!("v001 in production from {} to {}, trained", promoted[0], promoted[1]));
    project.run(&BACK).exits(0).says("v002 is in production again").says("v003 is quarantined");
    assert_eq!(packaged(&project), digest(&project, 2));
    assert_eq!(project.json("baselines/p.json")["version"], 2);
    let log = project.run(&["ledger", "log"]).exits(0);
    let intent = log.stdout.find("rollback from v003 to v002 intended: it was wrong").expect("intent");
    let done = log.stdout.find("production rolled back to v002, v003 quarantined").expect("done");
    assert!(intent < done, "{}", log.stdout);
    let entries = project.run(&["--output-format", "json", "ledger", "log", "--last", "1"]).exits(0);
    let last: serde_json::Value = serde_json::from_str(&entries.stdout).expect("JSON");
    assert_eq!(last["before"], digest(&project, 3));
    assert_eq!(last["after"], digest(&project, 2));
    for command in [
        &["model", "promote", "p", "v003"][..],
        &["model", "rollback", "p", "--to-version", "3", "--yes", "--reason", "x"],
        &["model", "approve", "p", "v003"],
    ] {
        project.run(command).exits(1).says("quarantined");
    }
    // The same package again, trained anew: the run finds its version and does not promote it.
    let again = project.command(&["run"]).env("MODELGATE_SEED", "3").output().expect("started");
    assert_eq!(again.status.code(), Some(2), "{}", String::from_utf8_lossy(&again.stderr));
    project
        .run(&["model", "promote", "p", "v003", "--override-quarantine"])
        .exits(64)
        .says("--reason is needed");
    let free = ["model", "promote", "p", "v003", "--override-quarantine", "--reason", "the data were wrong"];
    project.run(&free).exits(0).says("v003 is in production");
    project.run(&["ledger", "log"]).exits(0).says("v003 left quarantine: the data were wrong");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
}

#[test]
fn a_rollback_that_was_decided_on_another_production_does_nothing() {
    let project = project(CONFIG, 3);
    let from = |version: &str| project.run(&[&BACK[..], &["--from", version]].concat());
    from("v002").exits(1).says("p: v003 is in production, where v002 was when this was decided");
    from("production").exits(64).says("--from: `production` is no version");
    from("3").exits(0).says("v002 is in production again");
    // The second of two scripts that mean the same does not go on to the version before.
    from("3").exits(1).says("v002 is in production, where v003 was when this was decided");
    assert_eq!(packaged(&project), digest(&project, 2));
    // Nor is one told to take out what is good where nothing was there before.
    from("2").exits(0).says("v001 is in production again");
    from("2").exits(1).says("v001 is in production, where v002 was when this was decided");
    // A promotion that a killed command did not come to tell is not told after it was undone.
    let v003 = digest(&project, 3).parse().expect("a digest");
    let late = Notice::promoted(&model(), modelgate_core::VersionNumber(3), v003, "its gate passed");
    project.write(".modelgate/untold/late.json", serde_json::to_string(&late).expect("JSON"));
    project
        .run(&["status"])
        .exits(0)
        .says("not told any more, since production is another now: p v003 was promoted");
    assert!(!project.path(".modelgate/untold/late.json").exists());
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_package_stays_and_what_it_leads_to_follows() {
    let project = project(CONFIG, 2);
    let served = project.path("served");
    fs_err::rename(project.path("models/packaged/p"), &served).expect("moved");
    fs_err::os::unix::fs::symlink(&served, project.path("models/packaged/p")).expect("linked");
    let _ = project.run(&BACK).exits(0);
    assert!(project.path("models/packaged/p").is_symlink());
    let manifest = project.read("served/manifest.json");
    assert_eq!(modelgate_core::Digest::of(manifest.as_bytes()).to_string(), digest(&project, 1));
    project.run(&["status"]).exits(0).says("package     verified");
}

#[cfg(unix)]
#[test]
fn what_is_of_no_package_is_neither_replaced_nor_removed() {
    let project = project(CONFIG, 2);
    let (place, before) = (project.path("models/packaged/p"), registry(&project).position());
    fs_err::rename(&place, project.path("aside")).expect("moved");
    project.write("elsewhere/a.txt", "precious");
    fs_err::os::unix::fs::symlink(project.path("elsewhere"), &place).expect("linked");
    let run = ["run"];
    let pull = ["model", "pull", "p"];
    for command in [&BACK[..], &pull, &run] {
        let said = project.command(command).env("MODELGATE_SEED", "2").output().expect("started");
        let (code, said) = (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned());
        assert_eq!(code, Some(1), "{command:?}: {said}");
        assert!(said.contains("elsewhere`, which holds `a.txt`, which is of no package"), "{said}");
    }
    fs_err::remove_file(&place).expect("removed");
    project.write("models/packaged/p/model.pkl", "precious");
    project.run(&pull).exits(1).says("`models/packaged/p` holds `model.pkl`").says("it was not touched");
    for file in ["elsewhere/a.txt", "models/packaged/p/model.pkl"] {
        assert_eq!(project.read(file), "precious");
    }
    assert_eq!(registry(&project).position(), before, "nothing was decided either");
    fs_err::remove_dir_all(&place).expect("removed");
    let _ = project.run(&pull).exits(0);
    assert_eq!(packaged(&project), digest(&project, 2));
}

#[test]
fn production_is_not_emptied_because_a_version_could_not_be_read_just_now() {
    let project = project(CONFIG, 3);
    let files =
        registry(&project).registration(&model(), modelgate_core::VersionNumber(2)).expect("v002").files;
    let hex = files["model.onnx"].hex();
    let object = project.path(&format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..]));
    fs_err::rename(&object, project.path("kept")).expect("moved");
    fs_err::create_dir(&object).expect("what cannot be read");
    let or_none = [&BACK[..], &["--or-none"]].concat();
    let said = project.run(&or_none).exits(1);
    said.does_not_say("cannot take over").does_not_say("did not pass its verification");
    project.run(&["model", "list"]).exits(0).says("v003 production");
    // What is wrong with a version itself passes it over.
    fs_err::remove_dir(&object).expect("removed");
    project.run(&or_none).exits(0).says("v002 cannot take over").says("v001 is in production again");
}

#[test]
fn only_production_is_brought_to_where_production_is_loaded_from() {
    let project = project(CONFIG, 3);
    let _ = project.run(&BACK).exits(0);
    let pull = |version: &str, to: &str| project.run(&["model", "pull", "p", version, "--to", to]);
    for to in ["models/packaged/p", "models/packaged/../packaged/p/", "models/packaged/p/below"] {
        pull("3", to).exits(64).says("is where the version of p in production is loaded from");
    }
    pull("1", "models/packaged/q").exits(64).says("the version of q in production");
    assert_eq!(packaged(&project), digest(&project, 2));
    pull("2", "models/packaged/p").exits(0).says("models/packaged/p");
    pull("3", "aside").exits(0).says("p v003 is quarantined: it is for looking at");
    let quiet = pull("1", "other").exits(0);
    assert!(!quiet.stderr.contains("quarantined"), "{}", quiet.stderr);
    // Another version takes the place of a package, and of nothing else: not even of what looks like one.
    pull("2", "other").exits(0).says("other");
    project.write("other/notes/mine.txt", "mine");
    pull("1", "other").exits(64).says("no package (`notes`): it was not touched");
    project.write("web/manifest.json", r#"{"name": "an app", "icons": []}"#);
    project.write("web/index.html", "<p>");
    pull("1", "web").exits(64).says("no package (`manifest.json`)");
    assert_eq!(
        (project.read("other/notes/mine.txt"), project.read("web/index.html")),
        ("mine".into(), "<p>".into())
    );
}

#[test]
fn targets_and_reasons_that_cannot_be_are_refused_and_nothing_moves() {
    let project = project(CONFIG, 3);
    let _ = project.run(&["model", "quarantine", "p", "1", "--reason", "found bad"]).exits(0);
    let long = "x".repeat(100_000);
    let cases: [(&str, &str, i32, &str); 8] = [
        ("3", "x", 1, "v003 is in production already"),
        ("9", "x", 1, "p has no version or alias `9`"),
        ("1", "x", 1, "is quarantined"),
        ("2", "", 64, "--reason is needed"),
        ("2", "a\u{1b}[2J", 1, "control characters"),
        ("2", "a\u{202e}b", 1, "control characters"),
        ("2", &long, 1, "the reason has 100000 bytes; 4096 are allowed"),
        ("nothing", "x", 1, "no version or alias `nothing`"),
    ];
    let before = registry(&project).position();
    for (version, reason, code, message) in cases {
        let command = ["model", "rollback", "p", "--to-version", version, "--yes", "--reason", reason];
        project.run(&command).exits(code).says(message);
    }
    project.run(&["model", "rollback", "p", "--reason", "x"]).exits(64).says("without a terminal");
    assert_eq!(registry(&project).position(), before);
    assert_eq!(packaged(&project), digest(&project, 3));
}

#[test]
fn a_damaged_target_is_found_before_anything_moves() {
    let project = project(CONFIG, 2);
    let files =
        registry(&project).registration(&model(), modelgate_core::VersionNumber(1)).expect("v001").files;
    let hex = files["model.onnx"].hex();
    let object = format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..]);
    let mut bytes = fs_err::read(project.path(&object)).expect("object");
    bytes[20] ^= 1;
    fs_err::remove_file(project.path(&object)).expect("removed");
    project.write(&object, bytes);
    let refused = project.run(&BACK).exits(1);
    refused.says("p v001 cannot be gone back to").says("`model.onnx` of p v001").says("is damaged");
    assert!(!refused.stderr.contains("--skip-verification"), "it would need the same file");
    assert_eq!(packaged(&project), digest(&project, 2));
    assert!(!project.run(&["ledger", "log"]).stdout.contains("intended"));
    let mut skip = BACK.to_vec();
    skip.push("--skip-verification");
    project.run(&skip).exits(1).says("is damaged");
    let log = project.run(&["ledger", "log"]).exits(0);
    log.says("intended, verification skipped")
        .says("rollback to v001 undone: the package could not be moved");
    let root = project.path(".").canonicalize().expect("a folder").display().to_string();
    assert!(!log.stdout.contains(root.trim_end_matches(['/', '.'])), "{}", log.stdout);
    assert_eq!(packaged(&project), digest(&project, 2));
    project.run(&["status"]).exits(0).says("production  v002").says("verified");
}

/// Registers the package of v001 once more, with `probes` beside it, and approves that.
fn with_probes(project: &modelgate_testing::TestProject, probes: Option<&serde_json::Value>) -> String {
    let mut registry = registry(project);
    let mut registration =
        registry.registration(&model(), modelgate_core::VersionNumber(1)).expect("v001 is there");
    registration.checks.clear();
    let mut objects = modelgate_registry::Objects::new();
    if let Some(probes) = probes {
        let bytes = probes.to_string().into_bytes();
        let digest = modelgate_core::Digest::of(&bytes);
        registration.checks.insert("probes.json".to_owned(), digest);
        objects.insert(digest, bytes);
    }
    let now = jiff::Timestamp::now().to_string();
    let version =
        registry.register(&model(), &registration, &objects, &now, "tester").expect("a new version");
    let approve = Event::Approve { reason: String::new() };
    registry.apply(&model(), version, &approve, &now, "tester").expect("approved");
    version.to_string()
}

#[test]
fn a_target_that_answers_its_stored_rows_in_another_way_is_not_gone_back_to() {
    let project = project(CONFIG, 2);
    let stored = {
        let registry = registry(&project);
        let first = registry.registration(&model(), modelgate_core::VersionNumber(1)).expect("v001");
        let bytes = registry.object(&first.checks["probes.json"]).expect("stored rows");
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
    };
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut probes = stored.clone();
        change(&mut probes);
        probes
    };
    let answers = stored["answers"].as_array().expect("answers").len();
    let last = stored["answers"][answers - 1].as_f64().expect("a number");
    let other = digest(&project, 2);
    let cases = [
        (
            Some(changed(&|probes| probes["answers"][answers - 1] = (last + 0.001).into())),
            format!("where {} is stored (answer {answers} of its stored rows)", last + 0.001),
        ),
        (
            Some(changed(&|probes| drop(probes["answers"].as_array_mut().expect("answers").pop()))),
            format!("the package gives {answers} answers to its stored rows; {} are stored", answers - 1),
        ),
        (
            Some(changed(&|probes| probes["digest"] = other.as_str().into())),
            format!("`probes.json` is of another package, {other}"),
        ),
        (
            Some(changed(&|probes| drop(probes["columns"].as_object_mut().expect("columns").remove("a")))),
            "the stored rows do not fit the package: a".to_owned(),
        ),
        (Some(serde_json::json!({ "schema_version": 1 })), "missing field".to_owned()),
    ];
    for (probes, message) in &cases {
        let version = with_probes(&project, probes.as_ref());
        let back = ["model", "rollback", "p", "--to-version", &version, "--yes", "--reason", "x"];
        project.run(&back).exits(1).says("did not pass its verification").says(message);
        project.run(&["model", "verify", "p", &version]).exits(1).says(message);
    }
    // Without stored rows nothing can be told: that is said, and somebody has to take it upon himself.
    let version = with_probes(&project, None);
    project.run(&["model", "verify", "p", &version]).exits(0).says("is whole; no rows are stored with it");
    let back = ["model", "rollback", "p", "--to-version", &version, "--yes", "--reason", "x"];
    project.run(&back).exits(1).says("no rows are stored with it").says("--skip-verification");
    assert_eq!(packaged(&project), digest(&project, 2));
    assert!(!project.run(&["ledger", "log"]).stdout.contains("intended"));
    let _ = project.run(&[&back[..], &["--skip-verification"]].concat()).exits(0);
    project.run(&["ledger", "log"]).exits(0).says("intended, verification skipped");
    assert_eq!(packaged(&project), digest(&project, 1));
    // What was stored is what it answers.
    let version = with_probes(&project, Some(&stored));
    project.run(&["model", "verify", "p", &version]).exits(0).says("is whole and answers as it did");
}

#[test]
fn skipping_the_verification_is_recorded() {
    let project = project(CONFIG, 2);
    let mut skip = BACK.to_vec();
    skip.push("--skip-verification");
    let _ = project.run(&skip).exits(0);
    project.run(&["ledger", "log"]).exits(0).says("intended, verification skipped");
}

fn intend(project: &modelgate_testing::TestProject) {
    project.write(
        ".modelgate/unfinished/p.json",
        "{\"model\":\"p\",\"origin\":\"here\",\"version\":1,\"work\":\"rollback\"}",
    );
    let event = Event::IntendRollBack {
        reason: "killed".to_owned(),
        verification: Verification::Verified,
        origin: "here".to_owned(),
    };
    apply(project, 1, &event, "2027-01-01T00:00:00.000Z");
}

#[test]
fn a_rollback_killed_before_the_package_moved_is_undone_by_the_next_command() {
    let project = project(CONFIG, 2);
    intend(&project);
    let output = project.run(&["model", "list"]).exits(0);
    output.says("a rollback of p from v002 to v001 was interrupted: it is undone, in production is v002");
    assert!(!project.path(".modelgate/unfinished/p.json").exists());
    assert_eq!(packaged(&project), digest(&project, 2));
    assert!(!project.run(&["model", "list"]).exits(0).stderr.contains("interrupted"));
    let _ = project.run(&BACK).exits(0);
}

#[test]
fn a_rollback_killed_after_the_package_moved_is_completed_by_the_next_command() {
    let project = project(CONFIG, 2);
    intend(&project);
    let other = project.path("models/packaged/other");
    fs_err::create_dir_all(&other).expect("folder");
    modelgate_store::atomic::replace_folder(
        &project.path("models/packaged/p"),
        &registry(&project).version_files(&model(), modelgate_core::VersionNumber(1)).expect("files"),
    )
    .expect("moved");
    project.run(&["status"]).exits(0).says("from v002 to v001 was interrupted: it is completed");
    assert_eq!(packaged(&project), digest(&project, 1));
    project.run(&["model", "show", "p", "2"]).exits(0).says("v002 is quarantined");
    project.run(&["ledger", "log"]).exits(0).says("production rolled back to v001, v002 quarantined: killed");
}

#[test]
fn a_promotion_killed_before_the_package_moved_is_brought_to_its_end() {
    let config = CONFIG.replace("promotion: {approval: automatic}", "promotion: {approval: required}");
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", config);
    let second = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(second.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    project.write(".modelgate/unfinished/p.json", "{\"model\":\"p\",\"work\":\"promotion\"}");
    let promote = Event::Promote { over: Some(modelgate_core::VersionNumber(1)), reason: String::new() };
    apply(&project, 2, &promote, "2027-01-01T00:00:00.000Z");
    assert_eq!(packaged(&project), digest(&project, 1));
    project.run(&["model", "list"]).exits(0).says("a promotion of p was interrupted: in production is v002");
    assert_eq!(packaged(&project), digest(&project, 2));
}

#[test]
fn what_another_checkout_has_under_way_is_left_to_it() {
    let project = project(CONFIG, 2);
    intend(&project);
    project.replace(".modelgate/unfinished/p.json", "here", "this-one/0123456789ab");
    let output = project.run(&["status"]).exits(0);
    output
        .says("interrupted outside of its change: in production is v002")
        .says("under way in the checkout here");
    assert!(!project.path(".modelgate/unfinished/p.json").exists());
    assert_eq!(packaged(&project), digest(&project, 2));
    project.run(&BACK).exits(1).says("a rollback from v002 to v001 is under way");
}

#[test]
fn every_command_completes_what_was_interrupted() {
    let project = project(CONFIG, 2);
    for command in [
        &["report", "markdown"][..],
        &["data", "split"],
        &["gate", "check"],
        &["ci", "init", "--check"],
        &["serve", "smoke", "http://127.0.0.1:9"],
    ] {
        project.write(".modelgate/unfinished/p.json", "{\"model\":\"p\",\"work\":\"promotion\"}");
        let output = project.run(command);
        assert!(output.stderr.contains("a promotion of p was interrupted"), "{command:?}: {}", output.stderr);
        assert!(!project.path(".modelgate/unfinished/p.json").exists(), "{command:?}");
    }
}

#[test]
fn what_is_to_be_deployed_follows_production() {
    let project = project(CONFIG, 2);
    let manifest = || {
        let found = project.json("outputs/p/deployment_manifest.json");
        (found["version"].clone(), found["digest"].clone(), found["readiness"].clone())
    };
    let ready = |version: u32| (version.into(), digest(&project, version).into(), "ready".into());
    assert_eq!(manifest(), ready(2));
    let _ = project.run(&BACK).exits(0);
    assert_eq!(manifest(), ready(1));
    let free = ["model", "promote", "p", "2", "--override-quarantine", "--reason", "it was the data"];
    let _ = project.run(&free).exits(0);
    assert_eq!(manifest(), ready(2));
    // A candidate that waits changes what is said of it, not what is in production.
    let required = CONFIG.replace("approval: automatic", "approval: required");
    project.write("modelgate.yaml", required);
    let waits = project.command(&["run"]).env("MODELGATE_SEED", "3").output().expect("started");
    assert_eq!(waits.status.code(), Some(4));
    assert_eq!(manifest(), (2.into(), digest(&project, 2).into(), "promotion_not_approved".into()));
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    let _ = project.run(&["model", "promote", "p", "3"]).exits(0);
    assert_eq!(manifest(), ready(3));
    // What a person has said no to waits no more.
    let waits = project.command(&["run"]).env("MODELGATE_SEED", "4").output().expect("started");
    assert_eq!(waits.status.code(), Some(4));
    let now = ["deploy", "manifest"];
    project.run(&now).exits(0).says("\"promotion_not_approved\"");
    let _ = project.run(&["model", "reject", "p", "4", "--reason", "not this one"]).exits(0);
    project.run(&now).exits(0).says("\"ready\"");
    // A project whose registry is lost looks new but for its package.
    fs_err::rename(project.path(".modelgate"), project.path("lost")).expect("moved");
    project.run(&["status"]).exits(0).says("one of which the registry knows nothing: `.modelgate` is lost");
}

#[test]
fn a_run_killed_before_its_reports_is_told_by_the_next() {
    let project = project(CONFIG, 1);
    let stale: Vec<(&str, String)> =
        ["run_report.json", "promotion_decision.json", "report.md", "deployment_manifest.json"]
            .map(|name| (name, project.read(&format!("outputs/p/{name}"))))
            .into();
    super::run(&project, 2);
    for (name, text) in &stale {
        project.write(&format!("outputs/p/{name}"), text);
    }
    super::run(&project, 2);
    assert_eq!(project.json("outputs/p/run_report.json")["version"], 2);
    assert_eq!(project.json("outputs/p/promotion_decision.json")["version"], 2);
    assert_eq!(project.json("outputs/p/deployment_manifest.json")["version"], 2);
    let report = project.read("outputs/p/run_report.json");
    super::run(&project, 2);
    assert_eq!(project.read("outputs/p/run_report.json"), report, "a run that did nothing tells nothing new");
}

#[test]
fn a_rollback_whose_machine_is_gone_is_undone_by_hand() {
    let project = project(CONFIG, 2);
    intend(&project);
    fs_err::remove_file(project.path(".modelgate/unfinished/p.json")).expect("removed");
    project.run(&BACK).exits(1).says("a rollback from v002 to v001 is under way");
    let undo = ["model", "rollback", "p", "--undo", "--yes", "--reason", "the runner is gone"];
    project.run(&undo).exits(0).says("the rollback to v001 is undone");
    let _ = project.run(&BACK).exits(0);
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_version_reason_and_a_yes_are_asked_for() {
    use crate::terminal::on_a_terminal;
    let project = project(CONFIG, 3);
    let rollback = ["model", "rollback", "p"];
    let Some((code, screen)) = on_a_terminal(&project, &rollback, "v001\nworse on new customers\nn\n") else {
        return;
    };
    assert!(code == 0 && screen.contains("nothing was changed"), "{screen}");
    assert_eq!(packaged(&project), digest(&project, 3));
    let (code, screen) =
        on_a_terminal(&project, &rollback, "v001\nworse on new customers\ny\n").expect("a terminal");
    assert!(
        code == 0
            && screen.contains("(the production before)")
            && screen.contains("back to which version? [v002]"),
        "{screen}"
    );
    assert!(screen.contains("v001 is in production again"), "{screen}");
    assert_eq!(packaged(&project), digest(&project, 1));
    project.run(&["ledger", "log"]).exits(0).says("worse on new customers");
}
