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

type Asked = fn(&Registry) -> Result<(), RegistryError>;

#[test]
fn rows_that_no_seal_covers_are_held_against_their_lines_where_the_ledger_is_long() {
    use modelgate_core::lifecycle::Event;
    let folder = tempfile::tempdir().expect("folder");
    let open = || {
        let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
        // As of one that is too long to be searched.
        registry.searched = 0;
        registry
    };
    let mut registry = open();
    for version in [1, 2, 3, 4] {
        register(&mut registry);
        let version = VersionNumber(version);
        let over = registry.model(&name()).expect("a model").production();
        let (approve, promote) = (Event::Approve { reason: String::new() }, String::new());
        let promote = Event::Promote { over, reason: promote };
        let events = [(version, approve), (version, promote)];
        registry.apply_all(&name(), &events[..if version.0 == 4 { 1 } else { 2 }], TIME, "t").expect("done");
    }
    let versions = |found: Vec<(VersionNumber, i64)>| found.iter().map(|one| one.0.0).collect::<Vec<_>>();
    drop(registry);
    let database = rusqlite::Connection::open(folder.path().join(".modelgate/registry.db")).expect("index");
    let tenures: Asked = |registry| registry.tenures(&name(), 9).map(drop);
    let registered: Asked = |registry| registry.registered(&name(), VersionNumber(2)).map(drop);
    let was_there: Asked = |registry| registry.was_in_production(&name(), VersionNumber(4)).map(drop);
    let cases: [(&str, Asked); 7] = [
        (
            "UPDATE registrations SET registration = replace(registration, 'random_forest', 'other')",
            registered,
        ),
        ("UPDATE registrations SET time = '2020-01-01T00:00:00Z'", registered),
        ("UPDATE registrations SET line_start = line_start + 1", registered),
        (
            "INSERT INTO production SELECT home, model, 99, time, 4, digest, line_start, line_end FROM production WHERE \
         version = 1",
            was_there,
        ),
        ("UPDATE production SET version = 1 WHERE version = 2", tenures),
        ("DELETE FROM production WHERE version = 2", tenures),
        ("DELETE FROM production WHERE version = 1", tenures),
    ];
    for (edit, asked) in cases {
        assert!(database.execute(edit, []).expect(edit) > 0, "{edit}");
        let registry = open();
        let error = asked(&registry).expect_err(edit);
        assert!(matches!(error, RegistryError::IndexRefuted { .. }), "{edit}: {error}");
        // It was made anew.
        let registry = open();
        asked(&registry).expect(edit);
        assert_eq!(versions(registry.tenures(&name(), 9).expect("asked")), [3, 2, 1], "{edit}");
        assert_eq!(versions(registry.tenures(&name(), 1).expect("asked")), [3], "{edit}");
        assert!(!registry.was_in_production(&name(), VersionNumber(4)).expect("asked"), "{edit}");
        assert!(registry.was_in_production(&name(), VersionNumber(1)).expect("asked"), "{edit}");
    }
    // What another process does meanwhile is no contradiction.
    let (before, mut other) = (open(), open());
    let promote = Event::Promote { over: Some(VersionNumber(3)), reason: String::new() };
    other.apply(&name(), VersionNumber(4), &promote, TIME, "t").expect("promoted");
    assert!(!before.was_in_production(&name(), VersionNumber(4)).expect("not as it was read"));
    before.tenures(&name(), 9).expect("no contradiction");
}
