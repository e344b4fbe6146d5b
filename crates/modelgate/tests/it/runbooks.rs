//! The runbooks, as they stand: every block of commands is run.

use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_testing::TestProject;

use crate::BINARY;

fn runbooks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks")
}

/// Returns the shell blocks of a page, without the indentation of the list they stand in.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<(usize, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        match &mut current {
            None if trimmed == "```sh" => current = Some((line.len() - trimmed.len(), String::new())),
            Some(_) if trimmed == "```" => found.extend(current.take().map(|(_, block)| block)),
            Some((indentation, block)) => {
                block.push_str(line.get(*indentation..).unwrap_or_default());
                block.push('\n');
            }
            None => {}
        }
    }
    assert!(current.is_none(), "a block has no end");
    found
}

/// The project that the pages speak of: three versions, each in production in turn.
fn project() -> TestProject {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    // Another number of trees is another package, a little better or worse.
    project.replace("modelgate.yaml", "max_drop: 0.01", "max_drop: 0.05");
    for (from, to) in [("100", "100"), ("100", "120"), ("120", "140")] {
        let (from, to) = (format!("n_estimators: {from}"), format!("n_estimators: {to}"));
        project.replace("modelgate.yaml", &from, &to);
        let _ = project.run(&["run"]).exits(0);
    }
    project.run(&["status"]).exits(0).says("production  v003");
    project
}

/// The home of a registry that is down.
const ELSEWHERE: &str = "{uri: 's3://models/registry'}";

#[track_caller]
fn runs(page: &str) {
    let text = fs_err::read_to_string(runbooks().join(page)).expect("a page");
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "{page} has no commands");
    let project = project();
    let folder = Path::new(BINARY).parent().expect("folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let own = project.read("modelgate.yaml");
    for block in blocks {
        // Whoever works in the folder's own registry has a project file that names another.
        let beside = block.contains("MODELGATE_REGISTRY_URI=folder");
        let before = project.read("modelgate.yaml");
        if beside {
            assert_eq!(before, own, "{page}: the project file was changed");
            project.write("modelgate.yaml", own.replace("{uri: null}", ELSEWHERE));
        }
        // `! command` fails when the command succeeds only at the end of a script: each becomes a test of its own.
        let script: String = block
            .lines()
            .map(|line| match line.strip_prefix("! ") {
                Some(command) => format!("if {command}; then echo 'must fail: {command}' >&2; exit 99; fi\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let output = Command::new("sh")
            .args(["-eu", "-c", &script])
            .current_dir(project.path("."))
            .env("PATH", format!("{folder}:{path}"))
            .env("MODELGATE_ACTOR", "tester")
            .env("NO_COLOR", "1")
            .output()
            .expect("started");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{page}:\n{block}\n{}", String::from_utf8_lossy(&said));
        if beside {
            project.write("modelgate.yaml", before);
        }
    }
}

#[test]
fn deploy() {
    runs("deploy.md");
}

#[test]
fn rollback() {
    runs("rollback.md");
}

#[test]
fn incident() {
    runs("incident.md");
}

#[test]
fn registry_down() {
    runs("registry-down.md");
}

#[test]
fn backup_and_restore() {
    runs("backup-and-restore.md");
}

#[test]
fn key_rotation() {
    let openssl = Command::new("openssl").arg("version").output();
    if !openssl.is_ok_and(|output| output.status.success()) {
        modelgate_testing::skip("there is no openssl to make keys with");
        return;
    }
    runs("key-rotation.md");
}

#[test]
fn every_page_is_run() {
    let own = include_str!("runbooks.rs");
    for entry in fs_err::read_dir(runbooks()).expect("folder") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || own.contains(&format!("runs(\"{name}\")")), "{name} is not run");
    }
}
