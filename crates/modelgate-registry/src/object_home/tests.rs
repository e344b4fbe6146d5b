//! A bucket with answers that are lost, writers that are faster, and conditions that are not kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use modelgate_core::lifecycle::{Event, ModelState};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_store::DigestIndex;
use modelgate_store::remote::{Moved, RemoteError, Version};

use super::*;
use crate::{Registry, fixture};

mod lost;

/// A line that is enough for a home, which reads its number alone.
fn line(seq: u64) -> String {
    format!("{{\"seq\":{seq}}}\n")
}

fn home(folder: &Path) -> ObjectStoreHome {
    let remote = folder.join("bucket").display().to_string();
    let objects = modelgate_store::remote::open(&remote, folder, &|_| None).expect("a folder");
    ObjectStoreHome::new(objects, &folder.join("state"))
}

fn at(seq: u64, end: usize) -> Position {
    let head = modelgate_core::ledger::Head { seq, hash: Digest::of(&seq.to_le_bytes()) };
    Position { head: Some(head), end: end as u64 }
}

#[test]
fn who_finds_its_event_copied_by_another_does_not_take_the_copy_for_its_own_end() {
    let folder = tempfile::tempdir().expect("folder");
    let (mut one, mut other) = (home(folder.path()), home(folder.path()));
    let none = Objects::new();
    let first = line(1);
    one.append(&Position::default(), &first, &none).expect("written").expect("won");
    // The answer to this write was lost; before it was tried again another process of the project copied it, and
    // wrote the next event.
    one.objects.put_if_absent(&segment_key(2), line(2).as_bytes()).expect("written");
    other.pull(false).expect("copied");
    let end = first.len() + line(2).len();
    other.append(&at(2, end), &line(3), &none).expect("written").expect("won");
    let stamp = one.append(&at(1, first.len()), &line(2), &none).expect("known").expect("its own");
    assert_eq!(stamp, Stamp::unknown(), "with the file's stamp, event 3 would never be read");
    assert_ne!(stamp.as_str(), Stamp::of(&one.copy).expect("a file").as_str());
    assert_eq!(fs_err::read_to_string(&one.copy).expect("a copy"), line(1) + &line(2) + &line(3));
    // Another event in its place is another writer's.
    let lost = one.append(&at(1, first.len()), &line(9).replace('9', "2 "), &none).expect("looked");
    assert!(lost.is_none());
}

/// What happens to a write of a ledger: it is given the objects, key and bytes, and answers for them.
type Fate = dyn Fn(&dyn ObjectHome, &str, &[u8]) -> Result<bool, RemoteError> + Send + Sync;

/// Objects of which the next write of the ledger has a fate of its own.
#[derive(Clone)]
struct Fated {
    objects: Arc<dyn ObjectHome>,
    next: Arc<Mutex<Option<Box<Fate>>>>,
    /// Whether every write succeeds, whatever its condition.
    heedless: Arc<Mutex<bool>>,
    /// Whether objects have tags, as those of a server.
    tags: bool,
    /// How often a list and an object were asked for.
    lists: Arc<AtomicUsize>,
    gets: Arc<AtomicUsize>,
}

impl Fated {
    fn over(objects: Box<dyn ObjectHome>, tags: bool) -> Self {
        Self {
            objects: objects.into(),
            next: Arc::default(),
            heedless: Arc::default(),
            tags,
            lists: Arc::default(),
            gets: Arc::default(),
        }
    }

    fn tag(&self, bytes: &[u8], own: Version) -> Version {
        if self.tags { Version::new(Digest::of(bytes).to_string()) } else { own }
    }
}

impl std::fmt::Debug for Fated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.objects.fmt(formatter)
    }
}

impl ObjectHome for Fated {
    fn name(&self) -> String {
        self.objects.name()
    }
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, RemoteError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        Ok(self.objects.get(key)?.map(|(bytes, own)| (bytes.clone(), self.tag(&bytes, own))))
    }
    fn head(&self, key: &str) -> Result<Option<(u64, Version)>, RemoteError> {
        self.objects.head(key)
    }
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        self.objects.put(key, bytes)
    }
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        if *self.heedless.lock().expect("no panic") {
            return self.objects.put(key, bytes).map(|()| true);
        }
        let mut next = self.next.lock().expect("no panic");
        match next.take_if(|_| key.starts_with("ledger/")) {
            Some(fate) => fate(self.objects.as_ref(), key, bytes),
            None => self.objects.put_if_absent(key, bytes),
        }
    }
    fn put_if_unchanged(&self, key: &str, bytes: &[u8], version: &Version) -> Result<bool, RemoteError> {
        self.objects.put_if_unchanged(key, bytes, version)
    }
    fn remove(&self, key: &str) -> Result<(), RemoteError> {
        self.objects.remove(key)
    }
    fn upload(&self, key: &str, from: &Path, progress: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        self.objects.upload(key, from, progress, moved)
    }
    fn download(&self, key: &str, to: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        self.objects.download(key, to, moved)
    }
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, RemoteError> {
        self.objects.list(prefix)
    }
    fn list_versions(&self, prefix: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let mut listed = self.objects.list_versions(prefix)?;
        for (key, _, version) in listed.iter_mut().filter(|_| self.tags) {
            let content = self.objects.get(key)?.map(|(bytes, _)| bytes).unwrap_or_default();
            *version = self.tag(&content, version.clone());
        }
        Ok(listed)
    }
    fn file(&self, key: &str) -> Result<Option<PathBuf>, RemoteError> {
        self.objects.file(key)
    }
    fn agrees(
        &self,
        version: &Version,
        path: &Path,
        known: &DigestIndex,
    ) -> Result<Option<bool>, RemoteError> {
        self.objects.agrees(version, path, known)
    }
    fn parallel(&self) -> usize {
        self.objects.parallel()
    }
}

/// A bucket with one registered version, and a registry of the project `one` that sees it.
struct Scene {
    folder: tempfile::TempDir,
    fated: Fated,
    one: Registry,
}

const TIME: &str = "2026-01-01T00:00:00.000Z";

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let fated = Fated::over(bucket(folder.path()), false);
        let state = folder.path().join("one");
        let home = ObjectStoreHome::new(Box::new(fated.clone()), &state);
        let mut one = Registry::in_home(Box::new(home), &state).expect("open");
        let digest = Digest::of(b"package");
        let registration = fixture::registration(digest, TIME);
        let objects = Objects::from([(digest, b"package".to_vec())]);
        one.register(&name(), &registration, &objects, TIME, "one").expect("registered");
        Self { folder, fated, one }
    }

    /// Returns the registry as another checkout sees it.
    fn other(&self) -> Registry {
        open(self.folder.path(), "other")
    }

    fn next(
        &self,
        fate: impl Fn(&dyn ObjectHome, &str, &[u8]) -> Result<bool, RemoteError> + Send + Sync + 'static,
    ) {
        *self.fated.next.lock().expect("no panic") = Some(Box::new(fate));
    }

    fn copy(&self) -> PathBuf {
        ObjectStoreHome::new(bucket(self.folder.path()), &self.folder.path().join("one")).copy
    }
}

fn bucket(folder: &Path) -> Box<dyn ObjectHome> {
    let remote = folder.join("bucket").display().to_string();
    modelgate_store::remote::open(&remote, folder, &|_| None).expect("a folder")
}

fn open(folder: &Path, state: &str) -> Registry {
    let state = folder.join(state);
    let home = ObjectStoreHome::new(bucket(folder), &state);
    Registry::in_home(Box::new(home), &state).expect("open")
}

fn name() -> ModelName {
    "churn".parse().expect("name")
}

fn set(registry: &mut Registry, alias: &str) -> Result<(), RegistryError> {
    let event = Event::SetAlias { alias: alias.parse().expect("alias"), reason: String::new() };
    registry.apply(&name(), VersionNumber(1), &event, TIME, "tester")
}

fn aliases(registry: &Registry) -> Vec<String> {
    registry.model(&name()).expect("model").aliases.keys().map(ToString::to_string).collect()
}

/// The connection broke, and the client gave up.
fn broken() -> RemoteError {
    RemoteError::Unreachable { home: "bucket".to_owned(), reason: "connection reset".to_owned() }
}

#[test]
fn what_was_appended_has_the_stamp_of_the_copy_and_is_not_read_again() {
    let mut scene = Scene::new();
    set(&mut scene.one, "a").expect("set");
    let stamp = |scene: &Scene| Stamp::of(&scene.copy()).expect("a copy").as_str().to_owned();
    let seen = |scene: &Scene| {
        scene.one.index.borrow().followed(&scene.one.home.key()).expect("index").expect("seen").stamp
    };
    assert_eq!(seen(&scene), stamp(&scene));
    // Damage that leaves the file's looks would stay unseen; there is none, so the stamp is another one.
    let text = fs_err::read_to_string(scene.copy()).expect("a copy");
    fs_err::write(scene.copy(), text.replace("tester", "nobody")).expect("edited");
    assert_ne!(seen(&scene), stamp(&scene));
    scene.one.refresh().expect("the copy is fetched again");
    assert_eq!(fs_err::read_to_string(scene.copy()).expect("a copy"), text);
}

#[test]
fn events_that_another_process_copied_behind_an_own_one_are_read() {
    let mut scene = Scene::new();
    let folder = scene.folder.path().to_owned();
    // The answer was lost. Before the write is tried again, another checkout writes the next event, and another
    // process of this project copies both; it is killed before its index knows.
    scene.next(move |objects, key, bytes| {
        assert!(objects.put_if_absent(key, bytes)?, "nobody was faster");
        set(&mut open(&folder, "other"), "theirs").expect("set");
        let mut home = ObjectStoreHome::new(bucket(&folder), &folder.join("one"));
        home.pull(false).expect("copied");
        objects.put_if_absent(key, bytes)
    });
    set(&mut scene.one, "ours").expect("it is its own");
    assert_eq!(aliases(&scene.one), ["ours"], "what it has seen so far");
    let seen = scene.one.index.borrow().followed(&scene.one.home.key()).expect("index").expect("seen");
    assert_eq!((seen.stamp.as_str(), seen.position), (Stamp::unknown().as_str(), scene.one.position()));
    // A stamp of the whole file would say that there is nothing more to read.
    let reopened = open(scene.folder.path(), "one");
    assert_eq!(aliases(&reopened), ["ours", "theirs"]);
    scene.one.refresh().expect("read");
    assert_eq!(aliases(&scene.one), ["ours", "theirs"]);
    let report = scene.one.verify().expect("whole");
    assert_eq!((report.entries, report.index_rebuilt), (3, false));
}

#[test]
fn a_write_whose_outcome_is_unknown_is_an_error_that_says_so_and_is_found_later() {
    for written in [true, false] {
        let mut scene = Scene::new();
        scene.next(move |objects, key, bytes| {
            if written {
                assert!(objects.put_if_absent(key, bytes)?, "nobody was faster");
            }
            Err(broken())
        });
        let error = set(&mut scene.one, "a").expect_err("nobody knows");
        assert!(!error.appended_nothing(), "{error}");
        assert!(error.to_string().contains("could not be reached: "), "{error}");
        assert!(error.to_string().contains("it is not known whether the event was written: "), "{error}");
        assert!(aliases(&scene.one).is_empty(), "nothing is claimed");
        // The next look tells, in this process, in the next one, and elsewhere.
        let found: &[&str] = if written { &["a"] } else { &[] };
        assert_eq!(aliases(&open(scene.folder.path(), "one")), found);
        scene.one.refresh().expect("read");
        assert_eq!(aliases(&scene.one), found);
        assert_eq!(aliases(&scene.other()), found);
        // It goes on from there, whichever it was.
        set(&mut scene.one, "b").expect("set");
        assert_eq!(scene.one.position().head.map(|head| head.seq), Some(2 + u64::from(written)));
        assert!(!scene.one.verify().expect("whole").index_rebuilt);
    }
}

#[test]
fn another_writers_event_in_the_place_of_a_lost_one_is_not_taken_for_it() {
    let mut scene = Scene::new();
    let folder = scene.folder.path().to_owned();
    // The request was lost; when it is tried again, somebody else has written there.
    scene.next(move |objects, key, bytes| {
        set(&mut open(&folder, "other"), "theirs").expect("set");
        objects.put_if_absent(key, bytes)
    });
    set(&mut scene.one, "ours").expect("behind it");
    assert_eq!(aliases(&scene.one), ["ours", "theirs"]);
    assert_eq!(scene.one.position().head.map(|head| head.seq), Some(3));
    assert_eq!(aliases(&scene.other()), ["ours", "theirs"]);
}

#[test]
fn who_registers_what_another_has_registered_meanwhile_finds_it() {
    let mut scene = Scene::new();
    let folder = scene.folder.path().to_owned();
    let digest = Digest::of(b"next");
    let register = move |registry: &mut Registry, actor: &str| {
        let registration = fixture::registration(digest, TIME);
        let objects = Objects::from([(digest, b"next".to_vec())]);
        let known = |state: &ModelState| {
            state.versions.iter().find(|(_, found)| found.digest == digest).map(|(version, _)| *version)
        };
        registry.register_unless(&name(), &registration, &objects, TIME, actor, known)
    };
    scene.next(move |objects, key, bytes| {
        assert_eq!(
            register(&mut open(&folder, "other"), "other").expect("registered"),
            (VersionNumber(2), true)
        );
        objects.put_if_absent(key, bytes)
    });
    assert_eq!(register(&mut scene.one, "one").expect("found"), (VersionNumber(2), false));
    assert_eq!(scene.one.position().head.map(|head| head.seq), Some(2), "nothing was added");
}

#[test]
fn a_store_that_writes_over_what_is_there_is_refused_before_an_event_is_lost() {
    let mut scene = Scene::new();
    let before = fs_err::read_to_string(scene.copy()).expect("a copy");
    *scene.fated.heedless.lock().expect("no panic") = true;
    let state = scene.folder.path().join("one");
    let home = ObjectStoreHome::new(Box::new(scene.fated.clone()), &state);
    let mut registry = Registry::in_home(Box::new(home), &state).expect("it can be read");
    let error = set(&mut registry, "a").expect_err("refused");
    assert!(error.appended_nothing(), "{error}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    assert!(aliases(&scene.other()).is_empty());
    *scene.fated.heedless.lock().expect("no panic") = false;
    assert_eq!(fs_err::read_to_string(scene.copy()).expect("a copy"), before);
    set(&mut scene.one, "a").expect("a store that refuses");
}

#[test]
fn an_event_that_the_bucket_has_is_written_whatever_becomes_of_the_copy() {
    let mut scene = Scene::new();
    let copy = scene.copy();
    // As on a full disk: the copy cannot take what the bucket has.
    scene.next(move |objects, key, bytes| {
        let written = objects.put_if_absent(key, bytes);
        fs_err::remove_file(&copy).expect("removed");
        fs_err::create_dir(&copy).expect("in the way");
        written
    });
    set(&mut scene.one, "a").expect("it is written");
    assert_eq!(aliases(&scene.one), ["a"]);
    assert_eq!(aliases(&scene.other()), ["a"]);
    fs_err::remove_dir(scene.copy()).expect("room again");
    let mut reopened = open(scene.folder.path(), "one");
    set(&mut reopened, "b").expect("behind it");
    assert_eq!(aliases(&scene.other()), ["a", "b"]);
    assert!(!reopened.verify().expect("whole").index_rebuilt);
}
