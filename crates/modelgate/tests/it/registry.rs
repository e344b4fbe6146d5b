//! The registry through the binary: aliases, time travel, and three clones that share a git branch.

use std::path::Path;
use std::process::Command;

use modelgate_testing::TestProject;

use crate::BINARY;

#[test]
fn aliases_are_set_moved_and_removed_and_reserved_ones_are_not() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    let _ = project.run(&["run"]).exits(0);
    let _ = project.run(&["model", "alias", "breast-cancer", "demo", "v001"]).exits(0);
    project
        .run(&["model", "show", "breast-cancer", "demo"])
        .exits(0)
        .says("v001 is production")
        .says("dataset");
    let _ = project.run(&["model", "alias", "breast-cancer", "demo", "--delete"]).exits(0);
    project.run(&["model", "show", "breast-cancer", "demo"]).exits(1).says("no version or alias `demo`");
    project
        .run(&["model", "alias", "breast-cancer", "champion", "1"])
        .exits(1)
        .says("cannot be set or removed by hand");
    project
        .run(&["model", "alias", "breast-cancer", "v005", "1"])
        .exits(1)
        .says("`v005` reads as the number of a version and cannot be an alias");
    project
        .run(&["model", "alias", "breast-cancer", "Production", "1"])
        .exits(1)
        .says("`Production` reads as the alias production");
    project.run(&["model", "show", "breast-cancer", "Production"]).exits(0).says("v001 is production");
    project
        .run(&["model", "list", "nothing"])
        .exits(1)
        .says("there is no model `nothing`; there is breast-cancer");
}

#[test]
fn the_ledger_tells_what_was_in_production_at_a_time() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    let _ = project.run(&["run"]).exits(0);
    project.run(&["ledger", "at", "2020-01-01T00:00:00Z"]).exits(0).says("nothing was in production then");
    project.run(&["ledger", "at", "2999-01-01T00:00:00Z"]).exits(0).says("breast-cancer v001 sha256:");
    project.run(&["ledger", "at", "yesterday"]).exits(64).says("expected RFC 3339");
    #[cfg(unix)]
    an_index_is_as_the_umask_has_it(&project);
}

/// Those who share a folder of a group write the index each in turn.
#[cfg(unix)]
fn an_index_is_as_the_umask_has_it(project: &TestProject) {
    use std::os::unix::fs::PermissionsExt;
    let index = project.path(".modelgate/registry.db");
    fs_err::remove_file(&index).expect("removed");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 002; exec \"$0\" model list", BINARY]).current_dir(project.path("."));
    assert!(shell.output().expect("started").status.success());
    assert_eq!(fs_err::metadata(&index).expect("made").permissions().mode() & 0o777, 0o664);
}

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .status()
        .expect("git");
    assert!(status.success(), "git {arguments:?}");
}

fn clone(remote: &Path) -> TestProject {
    let project = TestProject::new(BINARY);
    git(&project.path("."), &["clone", "--quiet", remote.to_str().expect("path"), "."]);
    project
}

/// A bare repository with the Iris project, whose registry is a branch.
fn shared_remote() -> TestProject {
    let remote = TestProject::new(BINARY);
    git(&remote.path("."), &["init", "--quiet", "--bare", "."]);
    let first = TestProject::example(BINARY, "iris", None);
    first.replace("modelgate.yaml", "pipelines:", "registry: {uri: \"git+branch:modelgate\"}\npipelines:");
    let config = first.read("modelgate.yaml").replacen("registry: {uri: null}\n", "", 1);
    first.write("modelgate.yaml", config);
    first.write(".gitignore", ".modelgate/\noutputs/\nmodels/\n");
    git(&first.path("."), &["init", "--quiet", "."]);
    git(&first.path("."), &["add", "-A"]);
    git(&first.path("."), &["commit", "--quiet", "-m", "first"]);
    git(
        &first.path("."),
        &["push", "--quiet", remote.path(".").to_str().expect("path"), "HEAD:refs/heads/main"],
    );
    git(&remote.path("."), &["symbolic-ref", "HEAD", "refs/heads/main"]);
    remote
}

#[test]
fn three_clones_train_approve_and_read_through_a_git_branch() {
    let remote = shared_remote();
    let (trainer, approver, reader) =
        (clone(&remote.path(".")), clone(&remote.path(".")), clone(&remote.path(".")));
    trainer.run(&["run"]).exits(4).says("waits for approval");
    approver
        .run(&["model", "approve", "iris", "--reason", "from another clone"])
        .exits(0)
        .says("v001 is approved");
    let _ = approver.run(&["model", "promote", "iris"]).exits(0);
    let _ = reader.run(&["model", "pull", "iris"]).exits(0);
    reader.run(&["status"]).exits(0).says("verified");
    let manifest = |project: &TestProject| project.read("models/packaged/iris/manifest.json");
    assert_eq!(manifest(&approver), manifest(&reader));
    trainer.run(&["run"]).exits(0).says("v001 is in production");
    assert_eq!(manifest(&trainer), manifest(&reader));
    reader.run(&["ledger", "verify"]).exits(0).says("3 events");
    let branches =
        Command::new("git").arg("-C").arg(reader.path(".")).args(["status", "--porcelain"]).output();
    let changed = String::from_utf8_lossy(&branches.expect("git").stdout).into_owned();
    assert_eq!(
        changed, "?? baselines/\n",
        "the work tree is untouched but for the baseline, which is to be committed"
    );
}

/// Lets each clone promote a version of its own, all of them having seen the same production; returns what became of
/// each.
pub(crate) fn promote_at_once(
    model: &str,
    clones: &[(std::path::PathBuf, u32)],
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Vec<Result<(), String>> {
    use modelgate_pipeline::{Project, PromotionRequest, Surroundings, promote};
    use modelgate_registry::{Registry, RegistryUri};
    let barrier = std::sync::Barrier::new(clones.len());
    let one = |folder: &Path, version: u32| {
        let root = fs_err::canonicalize(folder).expect("a folder");
        let project = Project::find(&root, &|_| None).expect("a project");
        let uri = RegistryUri::parse(project.config.registry.uri.as_deref()).expect("an address");
        let mut registry = Registry::open_with(&uri, &root, variable).expect("a registry");
        let now = || jiff::Timestamp::now().to_string();
        let around = Surroundings { now: &now, actor: format!("clone-{version}") };
        let request = PromotionRequest {
            model: model.parse().expect("a name"),
            version: modelgate_core::VersionNumber(version),
            over: modelgate_pipeline::production_version(&registry, &model.parse().expect("a name")),
            reason: "at once".to_owned(),
            override_quarantine: false,
        };
        barrier.wait();
        promote(&project, &mut registry, &request, &around).map(drop).map_err(|error| error.to_string())
    };
    let one = &one;
    std::thread::scope(|scope| {
        let started: Vec<_> =
            clones.iter().map(|(folder, version)| scope.spawn(move || one(folder, *version))).collect();
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Checks that one of two promotions won and that the other says who did; returns the winner.
#[track_caller]
pub(crate) fn one_winner(results: &[Result<(), String>], versions: [u32; 2], before: u32) -> u32 {
    let (winner, loser) = match results {
        [Ok(()), Err(said)] => (versions[0], said),
        [Err(said), Ok(())] => (versions[1], said),
        other => panic!("not one of them won: {other:?}"),
    };
    let expected =
        format!("v{winner:03} reached production meanwhile, where v{before:03} was when this was decided");
    assert!(loser.contains(&expected), "{loser}");
    winner
}

#[test]
fn of_two_clones_that_promote_at_once_through_a_git_branch_one_wins_and_the_other_says_why() {
    let remote = shared_remote();
    let clones: Vec<TestProject> = (0..2).map(|_| clone(&remote.path("."))).collect();
    let run = |seed: &str| {
        let mut command = clones[0].command(&["run"]);
        let _ = command.env("MODELGATE_SEED", seed).output().expect("started");
    };
    // All are judged as a first model, and by nothing that asks for another.
    let config = clones[0].read("modelgate.yaml");
    let loose: String = config
        .lines()
        .filter(|line| !line.contains("versus: production"))
        .map(|line| format!("{line}\n"))
        .collect();
    for clone in &clones {
        clone.write("modelgate.yaml", &loose);
    }
    for seed in ["42", "7", "8"] {
        run(seed);
    }
    for version in ["1", "2", "3"] {
        let _ = clones[0].run(&["model", "approve", "iris", version]).exits(0);
    }
    let _ = clones[0].run(&["model", "promote", "iris", "1"]).exits(0);
    let folders = [(clones[0].path("."), 2), (clones[1].path("."), 3)];
    let results = promote_at_once("iris", &folders, &|_| None);
    let winner = one_winner(&results, [2, 3], 1);
    let list = clones[1].run(&["model", "list", "iris"]).exits(0);
    list.says(&format!("v{winner:03} production"));
    assert_eq!(list.stdout.matches(" production ").count(), 1, "{}", list.stdout);
    // Who lost may look and decide again.
    let loser = if winner == 2 { "3" } else { "2" };
    let _ = clones[1].run(&["model", "promote", "iris", loser]).exits(0);
    clones[0].run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
}

#[test]
fn the_ledger_tells_of_each_model_what_was_in_production_between_promotions_and_rollbacks() {
    use modelgate_core::VersionNumber;
    use modelgate_core::ledger::Verification;
    use modelgate_core::lifecycle::Event;
    let config = crate::governance::CONFIG.to_owned()
        + "  q:\n    task: classification\n    data: {source: data.csv, target: y}\n    \
           train: {algorithm: random_forest, params: {n_estimators: 5}}\n    \
           gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}\n";
    let project = TestProject::with(BINARY, &crate::governance::easy(), &config);
    for (pipeline, seed) in [("p", "1"), ("q", "1"), ("p", "2"), ("q", "2")] {
        // `q` waits for a person.
        let output =
            project.command(&["run", pipeline]).env("MODELGATE_SEED", seed).output().expect("started");
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut registry = crate::governance::registry(&project);
    let mut act = |model: &str, version: u32, event: Event, time: &str| {
        let model = model.parse().expect("a name");
        registry.apply(&model, VersionNumber(version), &event, time, "tester").expect("allowed");
    };
    let promote = |over: Option<u32>| Event::Promote { over: over.map(VersionNumber), reason: String::new() };
    let approve = || Event::Approve { reason: String::new() };
    for version in [1, 2] {
        act("q", version, approve(), "2027-01-01T00:00:00Z");
    }
    act("q", 1, promote(None), "2027-01-02T00:00:00Z");
    act("q", 2, promote(Some(1)), "2027-01-04T00:00:00Z");
    let intend = || Event::IntendRollBack {
        reason: "worse".to_owned(),
        verification: Verification::Verified,
        origin: "here".to_owned(),
    };
    let back = || Event::RollBack { reason: "worse".to_owned() };
    act("p", 1, intend(), "2027-01-05T00:00:00Z");
    act("p", 1, back(), "2027-01-06T00:00:00Z");
    act("q", 1, intend(), "2027-01-07T00:00:00Z");
    act("q", 1, back(), "2027-01-08T00:00:00Z");
    drop(registry);
    for (time, p, q) in [
        ("2027-01-01T12:00:00Z", Some(2), None),
        ("2027-01-03T00:00:00Z", Some(2), Some(1)),
        ("2027-01-04T00:00:00Z", Some(2), Some(2)),
        // Intended and not yet done: what was there is there.
        ("2027-01-05T12:00:00Z", Some(2), Some(2)),
        ("2027-01-06T00:00:00Z", Some(1), Some(2)),
        ("2027-01-07T23:59:59.999Z", Some(1), Some(2)),
        ("2027-01-08T01:00:00+01:00", Some(1), Some(1)),
    ] {
        let output = project.run(&["--output-format", "json", "ledger", "at", time]).exits(0);
        let found: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        let of = |model: &str| {
            let rows = found["production"].as_array().expect("a list");
            rows.iter().find(|row| row["model"] == model).and_then(|row| row["version"].as_u64())
        };
        assert_eq!((of("p"), of("q")), (p, q), "{time}");
    }
}

#[test]
fn clones_that_register_at_once_get_a_version_each() {
    let remote = shared_remote();
    let clones: Vec<TestProject> = (0..3).map(|_| clone(&remote.path("."))).collect();
    let children: Vec<_> = clones
        .iter()
        .enumerate()
        .map(|(seed, project)| {
            let mut command = project.command(&["run"]);
            command.env("MODELGATE_SEED", (100 + seed).to_string()).stderr(std::process::Stdio::piped());
            command.spawn().expect("started")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("ended");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(2..=4)), "{:?}: {said}", output.status);
    }
    let list = clones[0].run(&["model", "list", "iris"]).exits(0).stdout;
    for version in ["v001", "v002", "v003"] {
        assert!(list.contains(version), "{list}");
    }
    let _ = clones[1].run(&["ledger", "verify"]).exits(0).says("3 events");
}

#[test]
fn a_remote_that_is_gone_is_told_of() {
    let remote = shared_remote();
    let project = clone(&remote.path("."));
    drop(remote);
    project.run(&["model", "list"]).exits(1).says("could not be reached");
    project.run(&["run"]).exits(1).says("could not be reached");
    assert_eq!(project.json("outputs/iris/deployment_manifest.json")["readiness"], "registry_unavailable");
}
