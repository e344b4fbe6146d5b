//! The index is never believed against the ledger, whoever edited it.

mod common;

use std::path::Path;

use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::Event;
use modelgate_registry::{Registry, RegistryError, RegistryUri};

use common::{TIME, name, registration_with};

fn open(folder: &Path) -> Registry {
    Registry::open(&RegistryUri::Folder, folder).expect("open")
}

fn act(registry: &mut Registry, version: u32, event: &Event) -> Result<(), RegistryError> {
    registry.apply(&name(), VersionNumber(version), event, TIME, "tester")
}

fn approve() -> Event {
    Event::Approve { reason: String::new() }
}

fn promote(over: Option<u32>) -> Event {
    Event::Promote { over: over.map(VersionNumber), reason: String::new() }
}

/// A project with v001 archived, v002 in production, v003 quarantined, and v004 that nobody approved.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path());
    for number in 1..=4 {
        let (registration, objects) = registration_with(number, &number.to_le_bytes());
        registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered");
    }
    for number in 1..=3 {
        act(&mut registry, number, &approve()).expect("approved");
    }
    act(&mut registry, 1, &promote(None)).expect("promoted");
    act(&mut registry, 2, &promote(Some(1))).expect("promoted");
    act(&mut registry, 3, &Event::Quarantine { was_production: None, reason: "leaks".to_owned() })
        .expect("quarantined");
    let kept = Event::SetAlias { alias: "kept".parse().expect("alias"), reason: String::new() };
    act(&mut registry, 1, &kept).expect("set");
    folder
}

fn edit(folder: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(folder.join(".modelgate/registry.db")).expect("index");
    connection.execute_batch(statement).expect("edited");
}

fn lines(folder: &Path) -> usize {
    fs_err::read_to_string(folder.join(".modelgate/ledger.jsonl")).expect("ledger").lines().count()
}

/// Gives the index the rows of another history, seals and all, as somebody does who knows how they are made. Where the
/// ledger ends stays.
fn forge(folder: &Path, history: impl Fn(&mut Registry)) {
    let other = project();
    let mut registry = open(other.path());
    history(&mut registry);
    drop(registry);
    let tables = ["versions", "registrations", "aliases", "pending", "rollouts", "production", "seals"];
    let taken: String = tables
        .iter()
        .map(|name| format!("DELETE FROM {name}; INSERT INTO {name} SELECT * FROM o.{name};"))
        .collect();
    let other = other.path().join(".modelgate/registry.db");
    edit(folder, &format!("ATTACH '{}' AS o; {taken}", other.display()));
}

/// As if `from` had been approved as `to`.
fn approval_of(from: u32, to: u32) -> String {
    format!(
        "UPDATE versions SET stage = 'approved', approval = replace((SELECT approval FROM versions WHERE version = {from}), \
         (SELECT digest FROM versions WHERE version = {from}), digest) WHERE version = {to}"
    )
}

#[test]
fn rows_that_nobody_of_ours_wrote_are_made_anew_before_anything_is_answered() {
    let honest = open(project().path()).state().clone();
    for statement in [
        approval_of(2, 4),
        "UPDATE versions SET stage = 'approved', quarantined = 0 WHERE version = 3".to_owned(),
        "UPDATE versions SET stage = 'production' WHERE version = 4".to_owned(),
        "DELETE FROM versions WHERE version = 3".to_owned(),
        "DELETE FROM versions".to_owned(),
        "DELETE FROM seals".to_owned(),
        "DELETE FROM aliases WHERE alias = 'kept'".to_owned(),
    ] {
        let folder = project();
        edit(folder.path(), &statement);
        let mut registry = open(folder.path());
        assert_eq!(*registry.state(), honest, "{statement}");
        let error = act(&mut registry, 4, &promote(Some(2))).expect_err("nobody approved it").to_string();
        assert!(error.contains("v004 is a candidate"), "{statement}: {error}");
        // `verify` tells of it, once.
        assert!(registry.verify().expect("whole").index_rebuilt, "{statement}");
        assert!(!registry.verify().expect("whole").index_rebuilt, "{statement}");
    }
}

#[test]
fn an_index_of_another_history_opens_no_door() {
    let folder = project();
    forge(folder.path(), |registry| act(registry, 4, &approve()).expect("approved"));
    let before = lines(folder.path());
    let mut registry = open(folder.path());
    let rehearsed = registry.allows(&name(), &[(VersionNumber(4), promote(Some(2)))], TIME, "tester");
    assert!(matches!(rehearsed, Err(RegistryError::IndexRefuted { .. })), "{rehearsed:?}");
    forge(folder.path(), |registry| act(registry, 4, &approve()).expect("approved"));
    let error = act(&mut open(folder.path()), 4, &promote(Some(2))).expect_err("nobody approved it");
    assert!(error.appended_nothing(), "{error}");
    assert!(error.to_string().contains("registry.db` said something else of churn"), "{error}");
    assert_eq!(lines(folder.path()), before);
    // The process that had loaded it does not go on by it either.
    let error = act(&mut registry, 4, &promote(Some(2))).expect_err("nobody approved it").to_string();
    assert!(error.contains("v004 is a candidate"), "{error}");
    act(&mut registry, 4, &approve()).expect("approved");
    act(&mut registry, 4, &promote(Some(2))).expect("promoted");
    assert!(!open(folder.path()).verify().expect("whole").index_rebuilt);
}

#[test]
fn what_the_ledger_allows_is_not_refused_by_another_history_for_ever() {
    let folder = project();
    forge(folder.path(), |registry| {
        act(registry, 4, &Event::Reject { reason: "weak".to_owned() }).expect("rejected");
    });
    let error = act(&mut open(folder.path()), 4, &approve()).expect_err("the index says something else");
    assert!(matches!(error, RegistryError::IndexRefuted { .. }), "{error}");
    act(&mut open(folder.path()), 4, &approve()).expect("allowed");
}

#[test]
fn nothing_is_done_by_rows_that_have_no_seal() {
    for statement in [
        "UPDATE registrations SET registration = replace(registration, '0.9', '0.99')",
        "UPDATE production SET version = 4",
    ] {
        let folder = project();
        edit(folder.path(), statement);
        let error = act(&mut open(folder.path()), 4, &approve()).expect_err("edited");
        assert!(matches!(error, RegistryError::IndexRefuted { .. }), "{statement}: {error}");
        act(&mut open(folder.path()), 4, &approve()).expect("allowed");
    }
    // What this project has seen of the ledger is not what the ledger has.
    let folder = project();
    edit(folder.path(), "UPDATE head SET seq = seq + 1");
    let error = act(&mut open(folder.path()), 4, &approve()).expect_err("edited");
    assert!(matches!(error, RegistryError::Shortened { .. }), "{error}");
}

#[test]
fn no_files_are_handed_out_by_an_index_of_another_history() {
    let folder = project();
    forge(folder.path(), |registry| {
        act(registry, 4, &approve()).expect("approved");
        act(registry, 4, &promote(Some(2))).expect("promoted");
    });
    let registry = open(folder.path());
    assert_eq!(registry.model(&name()).expect("a model").production(), Some(VersionNumber(4)));
    let error = registry.version_files(&name(), VersionNumber(4)).expect_err("it is a candidate");
    assert!(matches!(error, RegistryError::IndexRefuted { .. }), "{error}");
    let registry = open(folder.path());
    assert_eq!(registry.model(&name()).expect("a model").production(), Some(VersionNumber(2)));
    assert!(registry.version_files(&name(), VersionNumber(2)).is_ok());
}

#[test]
fn nothing_is_taken_for_unneeded_by_an_edited_index() {
    let folder = project();
    let honest = open(folder.path()).needed().expect("asked");
    edit(
        folder.path(),
        "UPDATE registrations SET registration = (SELECT registration FROM registrations LIMIT 1)",
    );
    let error = open(folder.path()).needed().expect_err("edited");
    assert!(matches!(error, RegistryError::IndexRefuted { .. }), "{error}");
    assert_eq!(open(folder.path()).needed().expect("asked"), honest);
}
