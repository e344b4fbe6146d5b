//! The index follows the ledger: event by event, behind another writer, behind a crash; and is never believed against it.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::ledger::{Lineage, Registration};
use modelgate_core::lifecycle::Event;
use modelgate_core::schema::Task;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_registry::{Objects, Registry, RegistryError, RegistryUri};
use proptest::prelude::*;

const TIME: &str = "2026-01-01T00:00:00.000Z";

fn name() -> ModelName {
    "churn".parse().expect("name")
}

fn registration(number: u32) -> (Registration, Objects) {
    let bytes = number.to_le_bytes().to_vec();
    let digest = Digest::of(&bytes);
    let registration = Registration {
        digest,
        verdict: Verdict::Passed,
        verdict_digest: digest,
        bootstrap: number == 1,
        lineage: Lineage {
            run_id: format!("run-{number}").parse().expect("run"),
            config: digest,
            dataset: digest,
            task: Task::Classification,
            algorithm: "random_forest".to_owned(),
            seed: 42,
            trained_at: TIME.to_owned(),
            tool_version: "0.1.0".to_owned(),
        },
        metrics: BTreeMap::from([("f1".to_owned(), 0.9)]),
        files: BTreeMap::from([("model.onnx".to_owned(), digest)]),
        checks: BTreeMap::new(),
    };
    (registration, Objects::from([(digest, bytes)]))
}

fn open(folder: &Path) -> Result<Registry, RegistryError> {
    Registry::open(&RegistryUri::Folder, folder)
}

fn register(registry: &mut Registry, number: u32) -> VersionNumber {
    let (registration, objects) = registration(number);
    registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered")
}

fn act(registry: &mut Registry, version: u32, event: &Event) -> Result<(), RegistryError> {
    registry.apply(&name(), VersionNumber(version), event, TIME, "tester")
}

fn approve() -> Event {
    Event::Approve { reason: String::new() }
}

fn promote() -> Event {
    Event::Promote { reason: String::new() }
}

fn alias(name: &str) -> Event {
    Event::SetAlias { alias: name.parse().expect("alias") }
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
    act(&mut registry, 1, &promote()).expect("promoted");
    let _ = register(&mut registry, 2);
    let expected = registry.state().clone();
    drop(registry);
    // As if the process had been killed between the ledger and the index.
    fs_err::write(&database, behind).expect("behind");
    let mut registry = open(folder.path()).expect("open");
    assert_eq!(*registry.state(), expected);
    let (found, _) = registration(2);
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

#[derive(Clone, Debug)]
enum Step {
    Register,
    Act(u32, Event),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reason = || "because".to_owned();
    let event = (0..9_u8).prop_map(move |kind| match kind {
        0 | 1 => approve(),
        2 | 3 => promote(),
        4 => Event::Stage { reason: reason() },
        5 => Event::Quarantine { reason: reason() },
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
