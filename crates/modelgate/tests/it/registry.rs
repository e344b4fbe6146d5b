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
