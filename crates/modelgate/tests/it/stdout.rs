//! Stdout that nobody reads, or that takes nothing more: what is judged and done does not hang on it.

#![cfg(unix)]

use std::process::{Command, Stdio};

use modelgate_testing::TestProject;

use crate::BINARY;

/// Runs a command whose output nobody reads.
fn unread(mut command: Command) -> (i32, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("started");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a command whose output is on a full disk.
#[cfg(target_os = "linux")]
fn on_a_full_disk(mut command: Command) -> (i32, String) {
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let output = command.stdout(full.into_parts().0).stderr(Stdio::piped()).output().expect("started");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_verdict_is_the_same_when_nobody_reads_it() {
    let project = TestProject::new(BINARY);
    project.write("m.json", "{\"auc\": 0.5}");
    for (rule, code) in [("auc >= 0.92", 2), ("gini >= 0.2", 3), ("auc >= 0.2", 0)] {
        for format in ["text", "json"] {
            let arguments =
                ["--output-format", format, "gate", "check", "--metrics", "m.json", "--rule", rule];
            assert_eq!(unread(project.command(&arguments)).0, code, "{rule} {format}");
            #[cfg(target_os = "linux")]
            {
                let (found, said) = on_a_full_disk(project.command(&arguments));
                assert_eq!(found, if code == 0 { 1 } else { code }, "{rule} {format}: {said}");
                assert!(said.contains("stdout cannot be written: No space left"), "{said}");
            }
        }
    }
}

#[test]
fn a_history_of_which_only_the_beginning_is_read_is_no_error() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    assert_eq!(unread(project.command(&["run"])).0, 0);
    project.run(&["model", "list"]).exits(0).says("production");
    assert_eq!(unread(project.command(&["ledger", "log"])).0, 0);
    assert_eq!(unread(project.command(&["ledger", "export", "-"])).0, 0);
}
