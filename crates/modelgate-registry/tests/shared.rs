//! A registry on a git branch, with another writer between a look and a change.

mod common;

use std::path::Path;
use std::process::Command;

use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};

use common::{TIME, name, registration_with};

fn open(folder: &Path) -> Registry {
    Registry::open(&RegistryUri::GitBranch("models".to_owned()), folder).expect("open")
}

fn register(registry: &mut Registry, number: u32, bytes: &[u8]) {
    let (registration, objects) = registration_with(number, bytes);
    registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered");
}

#[test]
fn an_object_that_somebody_registers_meanwhile_is_not_removed_from_the_branch() {
    let folder = tempfile::tempdir().expect("folder");
    let git = Command::new("git").args(["init", "--quiet", "."]).current_dir(folder.path()).status();
    assert!(git.expect("git").success());
    let mut first = open(folder.path());
    register(&mut first, 1, b"shared");
    register(&mut first, 2, b"own");
    for version in [1, 2] {
        let gone = Event::RemoveArtefacts { reason: "retention".to_owned() };
        first.apply(&name(), VersionNumber(version), &gone, TIME, "tester").expect("allowed");
    }
    // Both were seen to be needed by nobody; then another writer registers the one of them again.
    let (shared, own) = (Digest::of(b"shared"), Digest::of(b"own"));
    register(&mut open(folder.path()), 3, b"shared");
    first.remove_objects(&[shared, own]).expect("removed");
    let reader = open(folder.path());
    assert_eq!(reader.object(&shared).expect("there"), b"shared");
    assert!(reader.object(&own).is_err(), "what nobody needs is removed");
}

#[test]
fn a_damaged_copy_of_a_shared_ledger_is_fetched_again() {
    let folder = tempfile::tempdir().expect("folder");
    let git = Command::new("git").args(["init", "--quiet", "."]).current_dir(folder.path()).status();
    assert!(git.expect("git").success());
    register(&mut open(folder.path()), 1, b"first");
    register(&mut open(folder.path()), 2, b"second");
    let copies = folder.path().join(".modelgate/cache/ledgers");
    let copy = fs_err::read_dir(copies)
        .expect("copies")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .expect("a copy");
    let whole = fs_err::read_to_string(&copy).expect("a copy");
    let first = whole.lines().next().expect("a line");
    let damages = [
        whole.replacen("tester", "nobody", 1),
        format!("{first}\n"),
        whole.replacen("\"schema_version\":1", "\"schema_version\":9", 1),
        "\u{0}".repeat(whole.len()),
    ];
    for damage in damages {
        fs_err::write(&copy, damage).expect("damaged");
        let mut registry = open(folder.path());
        assert_eq!(registry.position().head.map(|head| head.seq), Some(2));
        assert_eq!(fs_err::read_to_string(&copy).expect("a copy"), whole, "it is whole again");
        assert!(!registry.verify().expect("whole").index_rebuilt);
    }
}

/// Runs git in a folder, which must succeed.
#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_branch_that_went_back_takes_nothing_from_the_clone_that_has_its_events() {
    let folder = tempfile::tempdir().expect("folder");
    git(folder.path(), &["init", "--quiet", "."]);
    register(&mut open(folder.path()), 1, b"first");
    let early = git(folder.path(), &["rev-parse", "models"]);
    register(&mut open(folder.path()), 2, b"second");
    let late = git(folder.path(), &["rev-parse", "models"]);
    git(folder.path(), &["update-ref", "refs/heads/models", &early]);
    let branch = RegistryUri::GitBranch("models".to_owned());
    for _ in 0..2 {
        let error = Registry::open(&branch, folder.path()).err().expect("events are gone").to_string();
        assert!(error.contains("ends at event 1") && error.contains("has seen event 2"), "{error}");
        assert!(error.contains("`refs/modelgate/kept/models/2`"), "{error}");
        assert!(error.contains(".jsonl.seen-2`"), "{error}");
    }
    assert_eq!(git(folder.path(), &["rev-parse", "refs/modelgate/kept/models/2"]), late);
    // What it names brings them back.
    git(folder.path(), &["branch", "--force", "models", "refs/modelgate/kept/models/2"]);
    let mut registry = open(folder.path());
    assert_eq!(registry.position().head.map(|head| head.seq), Some(2));
    assert_eq!(registry.verify().expect("whole").objects, 2);
}

#[test]
fn another_address_does_not_begin_a_model_anew_without_a_word() {
    let folder = tempfile::tempdir().expect("folder");
    git(folder.path(), &["init", "--quiet", "."]);
    let mut own = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
    register(&mut own, 1, b"leaks the label");
    let (registration, objects) = registration_with(1, b"leaks the label");
    let begin = |registry: &mut Registry| {
        registry.register(&name(), &registration, &objects, TIME, "tester").map(drop)
    };
    // Also where the index, which remembers the one, is lost.
    for lost in [false, true] {
        if lost {
            fs_err::remove_file(folder.path().join(".modelgate/registry.db")).expect("lost");
        }
        let error = begin(&mut open(folder.path())).expect_err("known elsewhere");
        assert!(error.appended_nothing(), "{error}");
        let said = error.to_string();
        assert!(said.contains("ledger.jsonl`") && said.contains("ledger accept --head none"), "{said}");
    }
    let none = |_: &str| None;
    let branch = RegistryUri::GitBranch("models".to_owned());
    let state = folder.path().join(".modelgate");
    let accepted = Registry::accept(&branch, folder.path(), None, &none, &mut |accepted| {
        let (time, who) = (TIME.to_owned(), "tester".to_owned());
        let record = modelgate_registry::Acceptance::new(accepted, "", time, who, "anew".to_owned());
        modelgate_registry::accept(&state, &record)
    });
    assert!(!accepted.expect("recorded").given_up);
    begin(&mut open(folder.path())).expect("somebody said so");
    let said = modelgate_registry::acceptances(&state).expect("read").records[0].sentence();
    assert!(said.contains("in git branch `models` rather than in `"), "{said}");
    // Once begun it is a registry like any other, and so is the one that was left.
    register(&mut open(folder.path()), 2, b"second");
    register(&mut Registry::open(&RegistryUri::Folder, folder.path()).expect("open"), 2, b"second");
}

#[test]
fn what_a_hook_of_another_repository_has_set_does_not_lead_there() {
    if let Some(mine) = std::env::var_os("MODELGATE_TEST_MINE") {
        return register(&mut open(Path::new(&mine)), 1, b"first");
    }
    let folder = tempfile::tempdir().expect("folder");
    let (mine, other) = (folder.path().join("mine"), folder.path().join("other"));
    for place in [&mine, &other] {
        fs_err::create_dir_all(place).expect("a folder");
        git(place, &["init", "--quiet", "."]);
    }
    // The variables of a process are everybody's in it: the test runs itself once more, as from within a hook.
    let again = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "what_a_hook_of_another_repository_has_set_does_not_lead_there"])
        .env("MODELGATE_TEST_MINE", &mine)
        .env("GIT_DIR", other.join(".git"))
        .status();
    assert!(again.expect("started").success());
    assert_eq!(git(&mine, &["branch", "--list", "models"]), "models");
    assert_eq!(git(&other, &["branch", "--list", "models"]), "");
}
