//! What is damaged is told, is made anew where the ledger says how, and hides nothing that is whole.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_core::ledger::{LedgerEntry, LedgerEvent};
use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, VersionNumber};
use modelgate_registry::{Registry, RegistryError, RegistryUri, RunRow};

use common::{TIME, name, registration_with};

fn open(folder: &Path) -> Registry {
    Registry::open(&RegistryUri::Folder, folder).expect("open")
}

fn register(registry: &mut Registry, number: u32) -> Digest {
    let (registration, objects) = registration_with(number, &number.to_le_bytes());
    registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered");
    registration.digest
}

fn act(registry: &mut Registry, version: u32, event: &Event, time: &str) {
    registry.apply(&name(), VersionNumber(version), event, time, "tester").expect("allowed");
}

fn promote(registry: &mut Registry, version: u32, time: &str) {
    act(registry, version, &Event::Approve { reason: String::new() }, time);
    let over = registry.model(&name()).expect("model").production();
    act(registry, version, &Event::Promote { over, reason: String::new() }, time);
}

fn alias(name: &str) -> Event {
    Event::SetAlias { alias: name.parse().expect("alias"), reason: String::new() }
}

fn run() -> RunRow {
    RunRow {
        run: "run-1".to_owned(),
        experiment: "churn".to_owned(),
        started_at: TIME.to_owned(),
        finished_at: TIME.to_owned(),
        status: "passed".to_owned(),
        digest: None,
        params: BTreeMap::from([("trees".to_owned(), "100".to_owned())]),
        metrics: BTreeMap::from([("f1".to_owned(), 0.9)]),
    }
}

fn ledger(folder: &Path) -> PathBuf {
    folder.join(".modelgate/ledger.jsonl")
}

fn times(folder: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(ledger(folder)).expect("ledger");
    let time = |line: &str| serde_json::from_str::<LedgerEntry>(line).expect("an entry").time;
    text.lines().map(time).collect()
}

/// Overwrites the pages of a table, as a disk does.
fn garble(database: &Path, table: &str) {
    let connection = rusqlite::Connection::open(database).expect("index");
    let page = |name: &str| -> u64 {
        let query = "SELECT rootpage FROM sqlite_master WHERE name = ?1";
        connection.query_row(query, [name], |row| row.get::<_, i64>(0)).expect("a table") as u64
    };
    let (page, size) = (page(table), 4096_u64);
    drop(connection);
    let mut bytes = fs_err::read(database).expect("index");
    let start = ((page - 1) * size) as usize;
    bytes[start..start + size as usize].fill(0xa5);
    fs_err::write(database, bytes).expect("garbled");
}

#[test]
fn damage_inside_the_index_stops_nothing_and_its_runs_are_taken_over() {
    for table in ["head", "versions", "registrations", "production", "aliases"] {
        let folder = tempfile::tempdir().expect("folder");
        let database = folder.path().join(".modelgate/registry.db");
        let mut registry = open(folder.path());
        let _ = register(&mut registry, 1);
        promote(&mut registry, 1, TIME);
        registry.record_run(&run()).expect("recorded");
        drop(registry);
        garble(&database, table);
        let mut registry = open(folder.path());
        assert_eq!(registry.model(&name()).expect("model").production(), Some(VersionNumber(1)), "{table}");
        assert_eq!(registry.registration(&name(), VersionNumber(1)).expect("registered").metrics["f1"], 0.9);
        assert_eq!(registry.tenures(&name(), 9).expect("tenures").len(), 1, "{table}");
        assert!(registry.was_in_production(&name(), VersionNumber(1)).expect("asked"), "{table}");
        let mut listed = 0;
        registry.list(None, &mut |_| listed += 1).expect("listed");
        assert_eq!(listed, 1, "{table}");
        assert_eq!(registry.runs().expect("runs"), [run()], "{table}");
        act(&mut registry, 1, &alias("x"), TIME);
        assert!(!registry.verify().expect("whole").index_rebuilt, "{table}");
        assert!(database.with_extension("db.damaged").is_file(), "{table}: the file is kept");
    }
}

#[test]
fn a_row_that_cannot_be_read_is_damage_too() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path());
    let _ = register(&mut registry, 1);
    drop(registry);
    let connection = rusqlite::Connection::open(folder.path().join(".modelgate/registry.db")).expect("index");
    connection.execute("UPDATE versions SET digest = 'sha256:0'", []).expect("garbled");
    connection.execute("UPDATE registrations SET registration = '{'", []).expect("garbled");
    drop(connection);
    let registry = open(folder.path());
    assert!(registry.registration(&name(), VersionNumber(1)).is_ok());
}

#[test]
fn every_damaged_index_is_kept_under_a_name_of_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let database = folder.path().join(".modelgate/registry.db");
    let _ = register(&mut open(folder.path()), 1);
    for what in ["first", "second", "third"] {
        fs_err::write(&database, what).expect("no database");
        assert_eq!(open(folder.path()).state().models.len(), 1);
    }
    for (name, what) in [("damaged", "first"), ("damaged-2", "second"), ("damaged-3", "third")] {
        let kept = database.with_extension(format!("db.{name}"));
        assert_eq!(fs_err::read_to_string(kept).expect("kept"), what);
    }
}

#[test]
fn runs_are_recorded_in_an_index_whose_tables_of_runs_are_damaged() {
    let folder = tempfile::tempdir().expect("folder");
    let database = folder.path().join(".modelgate/registry.db");
    let mut registry = open(folder.path());
    let _ = register(&mut registry, 1);
    registry.record_run(&run()).expect("recorded");
    drop(registry);
    garble(&database, "runs");
    let mut registry = open(folder.path());
    registry.record_run(&run()).expect("recorded");
    assert_eq!(registry.runs().expect("runs"), [run()]);
}

#[test]
fn one_clock_that_is_years_ahead_does_not_carry_the_ledger_with_it() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path());
    for number in 1..=3 {
        let _ = register(&mut registry, number);
    }
    promote(&mut registry, 1, "2026-02-01T00:00:00.000Z");
    promote(&mut registry, 2, "2076-01-01T00:00:00.000Z");
    // Clocks that are right differ a little: the ledger does not go back for that.
    promote(&mut registry, 3, "2026-03-01T00:00:00.000Z");
    act(&mut registry, 1, &alias("x"), "2026-02-28T23:57:00.000Z");
    let found = times(folder.path());
    assert_eq!(found[found.len() - 3..], ["2026-03-01T00:00:00.000Z"; 3]);
    let approval = &registry.model(&name()).expect("model").versions[&VersionNumber(3)].approval;
    assert_eq!(approval.as_ref().expect("approved").time, "2026-03-01T00:00:00.000Z");
    let at = |registry: &Registry, time: &str| {
        let time = time.parse().expect("a time");
        registry.production_at(time).expect("asked").first().map(|one| one.version.0)
    };
    for (time, version) in [
        ("2026-01-15T00:00:00Z", None),
        ("2026-02-15T00:00:00Z", Some(1)),
        ("2026-03-15T00:00:00Z", Some(3)),
        ("2077-01-01T00:00:00Z", Some(3)),
    ] {
        assert_eq!(at(&registry, time), version, "{time}");
    }
    let report = registry.verify().expect("whole");
    assert_eq!(report.out_of_time, [7], "the last event of the clock that was ahead");
}

/// Writes entries anew, each with a hash that fits.
fn resealed(folder: &Path, change: impl Fn(&mut LedgerEntry)) {
    let text = fs_err::read_to_string(ledger(folder)).expect("ledger");
    let mut head = None;
    let mut lines = String::new();
    for line in text.lines() {
        let mut entry: LedgerEntry = serde_json::from_str(line).expect("an entry");
        change(&mut entry);
        let digests = (entry.before, entry.after);
        let entry = LedgerEntry::seal(entry.event, digests, entry.time, entry.actor, head).expect("sealed");
        head = Some(entry.head());
        lines.push_str(&entry.to_line().expect("a line"));
    }
    fs_err::write(ledger(folder), lines).expect("written");
    let _ = fs_err::remove_file(folder.join(".modelgate/registry.db"));
}

#[test]
fn an_event_that_tells_a_false_time_or_false_packages_is_found_by_verify() {
    type Change = fn(&mut LedgerEntry);
    let promoted: Change = |entry| {
        if matches!(entry.event, LedgerEvent::Promoted { .. }) {
            entry.after = Some(Digest::of(b"another"));
        }
    };
    let cases: [(Change, &str); 3] = [
        (|entry| entry.time = "yesterday".to_owned(), "line 1: its time `yesterday` is no time"),
        (promoted, "line 3: `before` and `after` are not the packages that stood there"),
        // Of before there were digests in the entries.
        (|entry| (entry.before, entry.after) = (None, None), ""),
    ];
    for (change, message) in cases {
        let folder = tempfile::tempdir().expect("folder");
        let mut registry = open(folder.path());
        let _ = register(&mut registry, 1);
        promote(&mut registry, 1, TIME);
        drop(registry);
        resealed(folder.path(), change);
        let found = open(folder.path()).verify().map_err(|error| error.to_string());
        let file = modelgate_registry::verify_file(&ledger(folder.path())).map_err(|error| error.to_string());
        if message.is_empty() {
            assert!(found.is_ok() && file.is_ok(), "{found:?} {file:?}");
            continue;
        }
        let (found, file) = (found.expect_err("false"), file.expect_err("false"));
        assert!(found.contains(message) && file.contains(message), "{found}\n{file}");
    }
}

#[test]
fn an_older_ledger_is_gone_on_with_when_that_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path());
    let _ = register(&mut registry, 1);
    registry.record_run(&run()).expect("recorded");
    let backup = fs_err::read(ledger(folder.path())).expect("ledger");
    let older = registry.position().head.expect("an event");
    promote(&mut registry, 1, TIME);
    let newer = registry.position().head.expect("an event");
    drop(registry);
    fs_err::write(ledger(folder.path()), &backup).expect("restored");
    let opened = Registry::open(&RegistryUri::Folder, folder.path()).map(drop);
    let error = opened.expect_err("events are gone").to_string();
    assert!(
        error.contains(&format!("`modelgate ledger accept --head {} --reason WHY`", older.hash)),
        "{error}"
    );
    let accept = |head: Option<&Digest>, told: &mut u32| {
        Registry::accept(&RegistryUri::Folder, folder.path(), head, &|_| None, &mut |accepted| {
            assert_eq!((accepted.seen, accepted.found), (Some(newer), Some(older)));
            *told += 1;
            Ok(())
        })
    };
    let mut told = 0;
    for wrong in [Some(&newer.hash), None] {
        let error = accept(wrong, &mut told).expect_err("it ends elsewhere").to_string();
        assert!(error.contains("ends at event 1 ("), "{error}");
    }
    assert!(Registry::open(&RegistryUri::Folder, folder.path()).is_err(), "nothing was accepted");
    assert!(accept(Some(&older.hash), &mut told).expect("accepted").given_up);
    assert!(!accept(Some(&older.hash), &mut told).expect("nothing to do").given_up);
    assert_eq!(told, 1);
    let mut registry = open(folder.path());
    assert_eq!(registry.model(&name()).expect("model").production(), None);
    assert_eq!(registry.runs().expect("runs"), [run()]);
    promote(&mut registry, 1, TIME);
    assert!(!registry.verify().expect("whole").index_rebuilt);
}

#[test]
fn an_archive_is_read_in_where_the_ledger_is_gone_and_that_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let archive = folder.path().join("backup.tar");
    let mut registry = open(folder.path());
    let _ = register(&mut registry, 1);
    let _ = modelgate_registry::export(&registry, &archive).expect("exported");
    promote(&mut registry, 1, TIME);
    drop(registry);
    fs_err::remove_file(ledger(folder.path())).expect("gone");
    assert!(Registry::open(&RegistryUri::Folder, folder.path()).is_err());
    let accepted = Registry::accept(&RegistryUri::Folder, folder.path(), None, &|_| None, &mut |_| Ok(()));
    assert!(accepted.expect("accepted").given_up);
    let mut registry = open(folder.path());
    assert!(registry.state().models.is_empty());
    modelgate_registry::import(&mut registry, &archive, folder.path()).expect("read in");
    assert!(!registry.verify().expect("whole").index_rebuilt);
    assert_eq!(registry.position().head.expect("an event").seq, 1);
}

#[test]
fn every_damaged_file_is_named_and_what_is_whole_can_be_exported() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = open(folder.path());
    let digests: Vec<Digest> = (1..=3).map(|number| register(&mut registry, number)).collect();
    let object = |digest: &Digest| {
        let hex = digest.hex();
        folder.path().join(".modelgate/store/sha256").join(&hex[..2]).join(&hex[2..])
    };
    let damaged = object(&digests[0]);
    fs_err::remove_file(&damaged).expect("an object");
    fs_err::write(&damaged, b"dama").expect("damaged");
    fs_err::remove_file(object(&digests[1])).expect("gone");
    let (first, second) =
        ("`model.onnx` of churn v001: the object ", "`model.onnx` of churn v002: the object ");
    let archive = folder.path().join("backup.tar");
    let verified = registry.verify().expect_err("damaged").to_string();
    let exported = modelgate_registry::export(&registry, &archive).expect_err("damaged").to_string();
    let read = registry.version_files(&name(), VersionNumber(1)).expect_err("damaged").to_string();
    for said in [&verified, &exported] {
        assert!(said.contains("2 files of versions are missing or damaged:"), "{said}");
        assert!(said.contains(first) && said.contains(second) && !said.contains("v003"), "{said}");
    }
    assert!(read.contains(first) && read.contains("put it back from a backup"), "{read}");
    assert!(!archive.exists());
    let (manifest, left_out) =
        modelgate_registry::export_what_is_whole(&registry, &archive).expect("exported");
    assert_eq!((manifest.objects, manifest.left_out.len(), left_out.len()), (1, 2, 2));
    let other = tempfile::tempdir().expect("folder");
    let mut into = open(other.path());
    let read = modelgate_registry::import(&mut into, &archive, other.path()).expect("read in");
    assert_eq!(read.left_out, manifest.left_out);
    assert!(into.version_files(&name(), VersionNumber(3)).is_ok());
    let missing = into.version_files(&name(), VersionNumber(2)).expect_err("left out");
    assert!(matches!(missing, RegistryError::File { .. }), "{missing}");
}

#[test]
fn a_ledger_of_a_newer_version_is_not_called_a_changed_one() {
    let folder = tempfile::tempdir().expect("folder");
    let _ = register(&mut open(folder.path()), 1);
    let text = fs_err::read_to_string(ledger(folder.path())).expect("ledger");
    let newer = text.replacen("\"schema_version\":1,\"seq\"", "\"schema_version\":2,\"seq\"", 1);
    fs_err::write(ledger(folder.path()), newer).expect("newer");
    let opened =
        Registry::open(&RegistryUri::Folder, folder.path()).map(drop).expect_err("newer").to_string();
    let file = modelgate_registry::verify_file(&ledger(folder.path())).expect_err("newer").to_string();
    for said in [opened, file] {
        assert!(said.contains("was written by a newer modelgate: line 1: it has schema version 2"), "{said}");
        assert!(!said.contains("changed") && !said.contains("restore"), "{said}");
    }
}
