//! A registry whose index cannot be written: on a full or read-only disk, or held by another process.

use super::*;
use crate::fixture;

const TIME: &str = "2026-01-01T00:00:00.000Z";

fn name() -> ModelName {
    "churn".parse().expect("name")
}

fn register(registry: &mut Registry) -> Registration {
    let digest = Digest::of(b"model");
    let registration = fixture::registration(digest, TIME);
    let objects = BTreeMap::from([(digest, b"model".to_vec())]);
    registry.register(&name(), &registration, &objects, TIME, "tester").expect("registered");
    registration
}

#[test]
fn what_an_index_that_cannot_be_written_lacks_is_read_from_the_ledger() {
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
    // As on a full disk, which has room for the few bytes of an event still.
    registry.index.get_mut().connection.pragma_update(None, "query_only", true).expect("no room");
    let registration = register(&mut registry);
    let query = "SELECT count(*) FROM registrations";
    let in_file: i64 =
        registry.index.get_mut().connection.query_row(query, [], |row| row.get(0)).expect("read");
    assert_eq!(in_file, 0);
    assert_eq!(registry.registered(&name(), VersionNumber(1)).expect("known").0, registration);
    let mut listed = 0;
    registry.list(None, &mut |_| listed += 1).expect("listed");
    assert_eq!(listed, 1);
    whether_it_is_whole_is_found_out(folder.path());
}

#[test]
fn an_index_that_a_reader_holds_does_not_make_a_failure_of_what_was_written() {
    use modelgate_core::lifecycle::Event;
    let folder = tempfile::tempdir().expect("folder");
    let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
    register(&mut registry);
    let reader = rusqlite::Connection::open(folder.path().join(".modelgate/registry.db")).expect("open");
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs").expect("a read");
    let patience = std::time::Duration::from_millis(20);
    registry.index.get_mut().connection.busy_timeout(patience).expect("set");
    let approve = Event::Approve { reason: String::new() };
    let promote = Event::Promote { over: None, reason: String::new() };
    for event in [approve, promote] {
        registry.apply(&name(), VersionNumber(1), &event, TIME, "tester").expect("it is in the ledger");
    }
    assert!(registry.was_in_production(&name(), VersionNumber(1)).expect("asked"));
    reader.execute_batch("COMMIT").expect("ended");
    let mut after = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
    assert_eq!(after.position(), registry.position());
    assert_eq!(after.position().head.map(|head| head.seq), Some(3));
    assert!(!after.verify().expect("whole").index_rebuilt);
}

/// Where nothing can be written, as in somebody else's copy of the folder.
fn whether_it_is_whole_is_found_out(folder: &Path) {
    let mut registry = Registry::open(&RegistryUri::Folder, folder).expect("open");
    registry.index.get_mut().connection.pragma_update(None, "query_only", true).expect("no room");
    let path = registry.home.ledger().to_owned();
    let text = fs_err::read_to_string(&path).expect("text");
    // A file of another stamp, which the index would note.
    fs_err::remove_file(&path).expect("removed");
    fs_err::write(&path, &text).expect("copied");
    let report = registry.verify().expect("whole");
    assert_eq!((report.entries, report.objects, report.index_rebuilt), (1, 1, false));
    fs_err::write(&path, text.replace("tester", "nobody")).expect("edited");
    assert!(registry.verify().is_err());
}
