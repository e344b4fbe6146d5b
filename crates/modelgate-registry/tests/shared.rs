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
