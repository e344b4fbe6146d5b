//! Results on a branch, and what a deployment needs to know.

use std::path::Path;
use std::process::Command;

use modelgate_testing::TestProject;
use modelgate_testing::hub::TOKEN;
use serde_json::Value;

use super::{CONFIG, Containers, digest, project};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(folder).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// `deploy update-branch`, without what git knows about whoever runs the tests.
fn update(project: &TestProject, arguments: &[&str]) -> Command {
    let mut command = project.command(&["deploy", "update-branch"]);
    command.args(arguments).env("HOME", project.path("none")).env("GIT_CONFIG_NOSYSTEM", "1");
    command.env_remove("GIT_AUTHOR_NAME").env_remove("GIT_AUTHOR_EMAIL").env_remove("XDG_CONFIG_HOME");
    command
}

#[test]
fn results_of_a_run_get_to_a_branch() {
    let project = project(CONFIG, 1);
    let root = project.path(".");
    git(&root, &["init", "-q", "-b", "main"]);
    let status = git(&root, &["status", "--porcelain"]);
    let said = super::exits(update(&project, &[]), 64);
    assert!(said.contains("who is the commit by?"), "{said}");
    let identity = ["--name", "ci", "--email", "ci@example.com"];
    let said = super::exits(update(&project, &[&identity[..], &["--dry-run"]].concat()), 0);
    assert!(said.contains("outputs/drug/report.md") && said.contains("would go to update"), "{said}");
    assert!(git(&root, &["branch", "--list"]).is_empty());
    let said = super::exits(update(&project, &[&identity[..], &["--output-format", "json"]].concat()), 0);
    assert!(said.contains("\"changed\": true"), "{said}");
    assert_eq!(git(&root, &["status", "--porcelain"]), status);
    let files = git(&root, &["ls-tree", "-r", "--name-only", "update"]);
    assert!(files.lines().any(|file| file == "outputs/drug/verdict.json"), "{files}");
    assert_eq!(git(&root, &["log", "-1", "--format=%an %s", "update"]), "ci results");
    assert!(super::exits(update(&project, &identity), 0).contains("update has them already"));
    // What another clone made of another pipeline stays.
    project.write("outputs/ocean/report.md", "of another clone\n");
    super::exits(update(&project, &[&identity[..], &["--path", "outputs"]].concat()), 0);
    fs_err::remove_dir_all(project.path("outputs/ocean")).expect("removed");
    project.write("outputs/drug/more.txt", "new\n");
    project.write("outputs/notes.md", "of nobody's pipeline\n");
    super::exits(update(&project, &identity), 0);
    let files = git(&root, &["ls-tree", "-r", "--name-only", "update"]);
    for file in ["outputs/ocean/report.md", "outputs/drug/more.txt", "outputs/notes.md"] {
        assert!(files.contains(file), "{file}: {files}");
    }

    let mut command = update(&project, &["results", "--path", "outputs/drug/metrics.json"]);
    command.env("GIT_AUTHOR_NAME", "a").env("GIT_AUTHOR_EMAIL", "a@example.com");
    let said = super::exits(command, 64);
    assert!(said.contains("there is no `outputs/drug/metrics.json`"), "{said}");
    project.replace(
        "modelgate.yaml",
        "project: drug",
        "project: drug\nregistry: {uri: \"git+branch:update\"}",
    );
    let said = super::exits(update(&project, &identity), 64);
    assert!(said.contains("`update` is the branch of the registry"), "{said}");
    // What is checked out nowhere is a branch of code all the same, unless somebody insists.
    project.replace("modelgate.yaml", "git+branch:update", "git+branch:other");
    git(&root, &["add", "modelgate.yaml"]);
    git(&root, &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "code"]);
    git(&root, &["checkout", "-q", "--detach"]);
    let said = super::exits(update(&project, &[&["main"], &identity[..]].concat()), 64);
    assert!(said.contains("`main` is a branch of code") && said.contains("`--force`"), "{said}");
    super::exits(update(&project, &[&["main", "--force"], &identity[..]].concat()), 0);
    let said = super::exits(update(&project, &["x", "--name", "a <b>", "--email", "a@example.com"]), 64);
    assert!(said.contains("without `<` and `>`"), "{said}");
}

#[test]
fn the_manifest_follows_the_registry() {
    let project = project(CONFIG, 0);
    let manifest = |arguments: &[&str], code| {
        let output = project.run(&[&["deploy", "manifest"], arguments].concat()).exits(code);
        let parsed: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        (parsed, output)
    };
    // Nothing ran here: the registry says what there is, and that is nothing.
    let (parsed, _) = manifest(&["--exit-code"], 2);
    assert_eq!((&parsed["readiness"], &parsed["version"]), (&"no_production_model".into(), &Value::Null));
    manifest(&[], 0);
    (1..=2).for_each(|seed| crate::governance::run(&project, seed));
    let (parsed, _) = manifest(&["--exit-code"], 0);
    assert_eq!(
        (&parsed["readiness"], &parsed["version"]),
        (&"ready".into(), &project.json("outputs/drug/deployment_manifest.json")["version"])
    );
    // A file of before, as another clone has it.
    let before = project.read("outputs/drug/deployment_manifest.json");
    let _ = project.run(&["model", "rollback", "drug", "--yes", "--reason", "x"]).exits(0);
    project.write("outputs/drug/deployment_manifest.json", before);
    let (parsed, output) = manifest(&["drug", "--exit-code"], 0);
    output.says("production moved since the last run");
    assert_eq!(parsed["digest"], digest(&project, 1));
    // A fresh clone has a version in production and no file of a run; where the registry is is asked now, too.
    fs_err::remove_dir_all(project.path("outputs")).expect("removed");
    let (fresh, _) = manifest(&["--exit-code"], 0);
    assert_eq!(fresh, parsed);
    let mut moved = parsed.clone();
    moved["registry"] = "elsewhere".into();
    project.write("outputs/drug/deployment_manifest.json", moved.to_string());
    assert_eq!(manifest(&[], 0).0["registry"], parsed["registry"]);
    // Nothing can be deployed by a file when the registry is not there to ask.
    project.replace(
        "modelgate.yaml",
        "project: drug",
        "project: drug\nregistry: {uri: \"git+branch:nowhere\"}",
    );
    let (parsed, _) = manifest(&["--exit-code"], 2);
    assert_eq!(parsed["readiness"], "registry_unavailable");
    // A run that cannot ask leaves what was known.
    let _ = project.run(&["run"]).exits(1);
    let left = project.json("outputs/drug/deployment_manifest.json");
    assert_eq!((&left["readiness"], &left["digest"]), (&"registry_unavailable".into(), &moved["digest"]));
    fs_err::remove_file(project.path("outputs/drug/deployment_manifest.json")).expect("removed");
    let (parsed, _) = manifest(&[], 0);
    assert_eq!((&parsed["registry"], &parsed["digest"]), (&"git+branch:nowhere".into(), &Value::Null));
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let (hub, containers) = Containers::hub();
    let project = project(CONFIG, 1);
    git(&project.path("."), &["init", "-q", "-b", "main"]);
    // Two versions were deployed, so that there is one to go back to.
    super::exits(super::deploy(&project, &hub, &[]), 0);
    crate::governance::run(&project, 2);
    super::exits(super::deploy(&project, &hub, &[]), 0);
    let home = project.path("none").display().to_string();
    let variables = [("HF_ENDPOINT", hub.url.as_str()), ("HF_TOKEN", TOKEN), ("HF_HOME", &home)];
    crate::documentation::runs_with("deploy.md", &project, &variables);
    assert_eq!(containers.serves("me/drug-app"), digest(&project, 1));
    assert!(project.path("compose.yaml").is_file());
    assert!(
        git(&project.path("."), &["ls-tree", "-r", "--name-only", "update"])
            .contains("outputs/drug/report.md")
    );
}
