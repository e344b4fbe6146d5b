//! The index follows the ledger: event by event, behind another writer, behind a crash; and is never believed against it.

mod common;

use std::path::Path;

use modelgate_core::VersionNumber;
use modelgate_core::lifecycle::Event;
use modelgate_registry::{Registry, RegistryError, RegistryUri};
use proptest::prelude::*;

use common::{TIME, name, registration_with};

fn open(folder: &Path) -> Result<Registry, RegistryError> {
    Registry::open(&RegistryUri::Folder, folder)
}

fn register(registry: &mut Registry, number: u32) -> VersionNumber {
    let (registration, objects) = registration_with(number, &number.to_le_bytes());
    registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered")
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

fn alias(name: &str) -> Event {
    Event::SetAlias { alias: name.parse().expect("alias"), reason: String::new() }
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let _ = register(&mut open(folder.path()).expect("open"), 1);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = folder.path();
            scope.spawn(move || {
                let mut registry = open(path).expect("open");
                for turn in 0..15 {
                    act(&mut registry, 1, &alias(&format!("w{writer}-{turn}"))).expect("set");
                }
            });
        }
    });
    let mut registry = open(folder.path()).expect("open");
    assert_eq!(registry.model(&name()).expect("model").aliases.len(), 60);
    let report = registry.verify().expect("whole");
    assert_eq!((report.entries, report.index_rebuilt), (61, false));
}

#[test]
fn an_index_that_is_behind_catches_up_by_the_new_lines() {
    let folder = tempfile::tempdir().expect("folder");
    let database = folder.path().join(".modelgate/registry.db");
    let mut registry = open(folder.path()).expect("open");
    let _ = register(&mut registry, 1);
    drop(registry);
    let behind = fs_err::read(&database).expect("index");
    let mut registry = open(folder.path()).expect("open");
    act(&mut registry, 1, &approve()).expect("approved");
    act(&mut registry, 1, &promote(None)).expect("promoted");
    let _ = register(&mut registry, 2);
    let expected = registry.state().clone();
    drop(registry);
    // As if the process had been killed between the ledger and the index.
    fs_err::write(&database, behind).expect("behind");
    let mut registry = open(folder.path()).expect("open");
    assert_eq!(*registry.state(), expected);
    let (found, _) = registration_with(2, &2_u32.to_le_bytes());
    assert_eq!(registry.registration(&name(), VersionNumber(2)).expect("registered"), found);
    assert!(!registry.verify().expect("whole").index_rebuilt);
    let now = "2026-06-01T00:00:00Z".parse().expect("time");
    assert_eq!(registry.production_at(now).expect("found").len(), 1);
}

#[test]
fn an_edit_in_the_middle_is_found_whether_or_not_the_file_grew() {
    for grown in [false, true] {
        let folder = tempfile::tempdir().expect("folder");
        let ledger = folder.path().join(".modelgate/ledger.jsonl");
        let mut registry = open(folder.path()).expect("open");
        for number in 1..=3 {
            let _ = register(&mut registry, number);
        }
        let text = fs_err::read_to_string(&ledger).expect("ledger");
        let mut edited = text.replacen("tester", "nobody", 1);
        if grown {
            // The last line that was seen is changed too: the new ones are not all that is read.
            edited = text.replace("tester", "nobody") + text.lines().last().expect("line") + "\n";
        }
        fs_err::write(&ledger, edited).expect("edited");
        let error = open(folder.path()).err().expect("found").to_string();
        assert!(error.contains("line 1: its content does not match its hash"), "{error}");
        let error = registry.refresh().expect_err("found").to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_whole_other_history_is_told_from_the_one_that_was_seen() {
    let folder = tempfile::tempdir().expect("folder");
    let other = tempfile::tempdir().expect("folder");
    let _ = register(&mut open(folder.path()).expect("open"), 1);
    let mut registry = open(other.path()).expect("open");
    for number in 5..9 {
        let _ = register(&mut registry, number);
    }
    let ledger = ".modelgate/ledger.jsonl";
    fs_err::copy(other.path().join(ledger), folder.path().join(ledger)).expect("replaced");
    let error = open(folder.path()).err().expect("found").to_string();
    assert!(error.contains("this project has seen event 1"), "{error}");
}

#[test]
fn a_line_that_was_cut_off_is_overwritten() {
    let folder = tempfile::tempdir().expect("folder");
    let ledger = folder.path().join(".modelgate/ledger.jsonl");
    let _ = register(&mut open(folder.path()).expect("open"), 1);
    let whole = fs_err::read_to_string(&ledger).expect("ledger");
    fs_err::write(&ledger, format!("{whole}{{\"actor\":\"te")).expect("cut");
    let mut registry = open(folder.path()).expect("open");
    act(&mut registry, 1, &alias("good")).expect("set");
    let text = fs_err::read_to_string(&ledger).expect("ledger");
    assert!(text.starts_with(&whole) && text.lines().count() == 2 && text.ends_with('\n'));
    assert_eq!(registry.verify().expect("whole").entries, 2);
}

#[test]
fn several_events_are_written_together_or_not_at_all() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path()).expect("open");
    let _ = register(&mut registry, 1);
    let one = VersionNumber(1);
    let refused = [(one, approve()), (one, promote(Some(9)))];
    let error = registry.apply_all(&name(), &refused, TIME, "tester").expect_err("refused");
    assert!(error.appended_nothing(), "{error}");
    assert_eq!(registry.position().head.map(|head| head.seq), Some(1));
    let both = [(one, approve()), (one, promote(None))];
    registry.allows(&name(), &both, TIME, "tester").expect("allowed");
    assert_eq!(registry.position().head.map(|head| head.seq), Some(1), "asking writes nothing");
    registry.apply_all(&name(), &both, TIME, "tester").expect("allowed");
    assert_eq!(registry.model(&name()).expect("model").production(), Some(one));
    let mut digests = Vec::new();
    registry
        .for_each_entry(|entry| {
            digests.push((entry.before, entry.after));
            Ok(())
        })
        .expect("read");
    assert_eq!(
        digests[2],
        (None, Some(registration_with(1, &1_u32.to_le_bytes()).0.digest)),
        "the promotion stands on the approval"
    );
    assert!(!registry.verify().expect("whole").index_rebuilt);
}

#[test]
fn an_actor_that_would_forge_a_line_writes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path()).expect("open");
    let _ = register(&mut registry, 1);
    let eve = "eve\n   2 2026-01-01T00:00:00.000Z boss churn: v001 approved";
    let error = registry.apply(&name(), VersionNumber(1), &approve(), TIME, eve).expect_err("refused");
    assert!(error.to_string().contains("MODELGATE_ACTOR"), "{error}");
    assert_eq!(registry.position().head.map(|head| head.seq), Some(1));
}

#[test]
fn every_row_of_the_index_is_held_against_the_ledger() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path()).expect("open");
    for number in 1..=2 {
        let _ = register(&mut registry, number);
        act(&mut registry, number, &approve()).expect("approved");
        act(&mut registry, number, &promote((number == 2).then_some(1))).expect("promoted");
    }
    let origin = "here".to_owned();
    let verification = modelgate_core::ledger::Verification::Verified;
    let intent = Event::IntendRollBack { reason: "x".to_owned(), verification, origin };
    act(&mut registry, 1, &intent).expect("intended");
    // Whoever is kept from something by it is told of both ways out.
    let error = act(&mut registry, 1, &intent).expect_err("one is under way").to_string();
    assert!(
        error.contains("under way") && error.contains("`modelgate model rollback MODEL --undo`"),
        "{error}"
    );
    drop(registry);
    for change in [
        "UPDATE registrations SET registration = replace(registration, '0.9', '0.1') WHERE version = 2",
        "UPDATE registrations SET time = '2020-01-01T00:00:00Z'",
        "DELETE FROM registrations WHERE version = 1",
        "UPDATE production SET version = 1",
        "DELETE FROM production WHERE version = 2",
        "INSERT INTO production SELECT home, model, 99, time + 5, 1, digest, 0, 0 FROM production WHERE version = 1",
        "UPDATE versions SET metrics = '{\"f1\":1.0}' WHERE version = 1",
        "UPDATE versions SET run = 'another'",
        "UPDATE versions SET quarantined = 1 WHERE version = 2",
        "UPDATE aliases SET version = 1",
        "DELETE FROM pending",
    ] {
        let database = folder.path().join(".modelgate/registry.db");
        let connection = rusqlite::Connection::open(database).expect("index");
        assert!(connection.execute(change, []).expect(change) > 0, "{change}");
        drop(connection);
        let mut registry = open(folder.path()).expect("open");
        assert!(registry.verify().expect("whole").index_rebuilt, "{change}");
        assert!(!registry.verify().expect("whole").index_rebuilt, "{change}: made anew");
    }
}

#[test]
fn an_event_that_is_known_is_looked_for() {
    let folder = tempfile::tempdir().expect("folder");
    let ledger = folder.path().join(".modelgate/ledger.jsonl");
    let mut registry = open(folder.path()).expect("open");
    for number in 1..=3 {
        let _ = register(&mut registry, number);
    }
    let head = registry.position().head.expect("head");
    assert_eq!(registry.event_of(&head.hash).expect("read"), Some(3));
    let copy = folder.path().join("copy.jsonl");
    let text = fs_err::read_to_string(&ledger).expect("ledger");
    fs_err::write(&copy, &text).expect("written");
    assert_eq!(modelgate_registry::verify_file_with(&copy, Some(&head.hash)).expect("whole").2, Some(3));
    // Cut off at the end of a line: whole, and not all that was there.
    let two: Vec<&str> = text.lines().take(2).collect();
    fs_err::write(&copy, two.join("\n") + "\n").expect("cut");
    let (events, _, found) = modelgate_registry::verify_file_with(&copy, Some(&head.hash)).expect("whole");
    assert_eq!((events, found), (2, None));
}

#[test]
fn a_ledger_that_another_process_holds_is_told_of() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path()).expect("open");
    let _ = register(&mut registry, 1);
    let path = folder.path().join(".modelgate/ledger.jsonl");
    let held = fs_err::File::options().write(true).open(path).expect("ledger").into_file();
    held.lock().expect("free");
    let error = act(&mut registry, 1, &alias("a")).expect_err("held").to_string();
    assert!(error.contains("another process holds the ledger"), "{error}");
    held.unlock().expect("held");
    act(&mut registry, 1, &alias("a")).expect("set");
}

#[derive(Clone, Debug)]
enum Step {
    Register,
    Act(u32, Event),
    Promote(u32),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reason = || "because".to_owned();
    let event = (0..9_u8).prop_map(move |kind| match kind {
        0..=2 => approve(),
        3 => Event::RemoveArtefacts { reason: reason() },
        4 => Event::Stage { reason: reason() },
        5 => Event::Quarantine { was_production: None, reason: reason() },
        6 => Event::Override { reason: reason() },
        7 => Event::IntendRollBack {
            reason: reason(),
            verification: modelgate_core::ledger::Verification::Verified,
            origin: "here".to_owned(),
        },
        _ => Event::RollBack { reason: reason() },
    });
    let one = prop_oneof![
        2 => Just(Step::Register),
        12 => (1..5_u32, event).prop_map(|(version, event)| Step::Act(version, event)),
        3 => (1..5_u32).prop_map(Step::Promote),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens in whatever order, what the index gives is what a whole reading gives.
    #[test]
    fn the_index_says_what_the_ledger_says(steps in steps()) {
        let folder = tempfile::tempdir().expect("folder");
        let mut registry = open(folder.path()).expect("open");
        let mut registered = 0;
        for step in steps {
            match step {
                Step::Register => {
                    registered += 1;
                    let _ = register(&mut registry, registered);
                }
                // What the lifecycle refuses changes nothing.
                Step::Act(version, event) => drop(act(&mut registry, version, &event)),
                Step::Promote(version) => {
                    let production = registry.state().models.get(&name()).and_then(modelgate_core::lifecycle::ModelState::production);
                    drop(act(&mut registry, version, &promote(production.map(|version| version.0))));
                }
                Step::Reopen => registry = open(folder.path()).expect("open"),
            }
        }
        let own = registry.state().clone();
        let reopened = open(folder.path()).expect("open");
        prop_assert_eq!(reopened.state(), &own);
        prop_assert!(!registry.verify().expect("whole").index_rebuilt);
        prop_assert_eq!(registry.state(), &own);
    }
}
