use std::time::Duration;

use super::*;

/// A store beside a folder of sources, and an index.
struct Scene {
    folder: tempfile::TempDir,
    store: ContentStore,
    index: DigestIndex,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let state = folder.path().join(".modelgate");
        Self { store: ContentStore::new(&state), index: DigestIndex::open(&state), folder }
    }

    /// Writes a source that was last changed long ago; rights and links changed now, so the index needs a moment.
    fn source(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("source");
        // In place, as a careless tool does, and as root: past the missing right to write.
        let mut permissions = fs_err::metadata(&path).map(|found| found.permissions());
        if let Ok(permissions) = &mut permissions {
            permissions.set_readonly(false);
            fs_err::set_permissions(&path, permissions.clone()).expect("writable");
        }
        fs_err::write(&path, bytes).expect("written");
        path
    }

    fn put(&self, path: &Path, policy: LinkPolicy) -> Kept {
        self.store.put_file(path, policy, &self.index).expect("put")
    }
}

/// Waits until the clock of the file system has moved on.
fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn what_is_put_comes_back_and_a_changed_byte_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let store = ContentStore::new(folder.path());
    let digest = store.put(b"abc").expect("put");
    assert_eq!(store.get(&digest).expect("get"), b"abc");
    fs_err::write(store.path(&digest), b"abd").expect("damaged");
    assert!(matches!(store.get(&digest), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.get(&Digest::of(b"x")), Err(StoreError::Missing { .. })));
}

#[test]
fn a_reflink_that_is_asked_for_and_not_had_is_an_error_that_leaves_nothing() {
    let scene = Scene::new();
    // As a file system without reflinks has answered.
    scene.store.no_reflink.store(true, Ordering::Relaxed);
    let path = scene.source(b"content");
    settle();
    let error = scene.store.put_file(&path, LinkPolicy::Reflink, &scene.index).expect_err("no reflinks");
    assert!(matches!(&error, StoreError::NoLink { kind: "reflink", .. }), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains("source` cannot be put into the store by reflink: the file system has none"),
        "{said}"
    );
    assert!(said.ends_with("use another `data.link`"), "{said}");
    assert!(
        !scene.store.contains(&Digest::of(b"content")) && scene.store.list().expect("listing").is_empty()
    );
    assert!(!fs_err::metadata(&path).expect("there").permissions().readonly());
    // Where any way is right, it is another one.
    assert_eq!(scene.put(&path, LinkPolicy::Auto).made, Some(Link::Copy));
}

#[test]
fn a_file_is_kept_in_each_way_and_read_once() {
    for (policy, expected) in [(LinkPolicy::Hardlink, Link::Hardlink), (LinkPolicy::Copy, Link::Copy)] {
        let scene = Scene::new();
        let path = scene.source(b"content");
        settle();
        let first = scene.put(&path, policy);
        assert_eq!((first.made, first.read, first.lost), (Some(expected), true, None));
        assert_eq!(first.digest, Digest::of(b"content"));
        assert_eq!(scene.store.get(&first.digest).expect("get"), b"content");
        let again = scene.put(&path, policy);
        assert_eq!((again.made, again.read), (None, false), "{policy:?}");
        let object = fs_err::metadata(scene.store.path(&first.digest)).expect("there");
        assert!(object.permissions().readonly());
        let source = fs_err::metadata(&path).expect("there");
        assert_eq!(source.permissions().readonly(), expected == Link::Hardlink);
        assert!(fs_err::read_dir(&scene.store.root).expect("listing").count() == 1, "nothing is left over");
    }
}

#[test]
fn a_copy_leaves_the_source_alone_when_it_is_edited() {
    let scene = Scene::new();
    let path = scene.source(b"one");
    settle();
    let one = scene.put(&path, LinkPolicy::Auto).digest;
    let path = scene.source(b"two");
    settle();
    let two = scene.put(&path, LinkPolicy::Auto);
    assert_eq!(two.lost, None);
    assert_eq!(scene.store.get(&one).expect("get"), b"one");
    assert_eq!(scene.store.get(&two.digest).expect("get"), b"two");
}

#[cfg(unix)]
#[test]
fn an_edit_in_place_of_a_hard_link_is_noticed_and_the_damaged_object_removed() {
    let scene = Scene::new();
    let path = scene.source(b"one");
    settle();
    let one = scene.put(&path, LinkPolicy::Hardlink).digest;
    let path = scene.source(b"two");
    settle();
    assert!(matches!(scene.store.get(&one), Err(StoreError::Damaged { .. })));
    assert!(matches!(scene.store.check(&one, &scene.index), Err(StoreError::Damaged { .. })));
    let two = scene.put(&path, LinkPolicy::Hardlink);
    assert_eq!(two.lost, Some(one));
    assert!(matches!(scene.store.get(&one), Err(StoreError::Missing { .. })));
    assert_eq!(scene.store.get(&two.digest).expect("get"), b"two");
}

#[cfg(unix)]
#[test]
fn a_file_outside_of_the_project_is_neither_linked_nor_protected() {
    use std::os::unix::fs::MetadataExt;
    let (scene, outside) = (Scene::new(), tempfile::tempdir().expect("folder"));
    fs_err::write(outside.path().join("theirs"), "theirs").expect("written");
    fs_err::write(scene.folder.path().join("ours"), "ours").expect("written");
    std::os::unix::fs::symlink(outside.path(), scene.folder.path().join("mounted")).expect("linked");
    std::os::unix::fs::symlink("ours", scene.folder.path().join("alias")).expect("linked");
    let theirs = scene.put(&scene.folder.path().join("mounted/theirs"), LinkPolicy::Hardlink);
    assert_eq!(theirs.made, Some(Link::Copy));
    let there = fs_err::metadata(outside.path().join("theirs")).expect("there");
    assert!(there.nlink() == 1 && !there.permissions().readonly());
    // A link within the project leads to a file of the project.
    let ours = scene.put(&scene.folder.path().join("alias"), LinkPolicy::Hardlink);
    assert_eq!(ours.made, Some(Link::Hardlink));
}

#[test]
fn what_is_written_to_a_file_in_place_never_reaches_the_store_by_default() {
    let scene = Scene::new();
    let path = scene.source(b"one");
    let one = scene.put(&path, LinkPolicy::default()).digest;
    assert!(!fs_err::metadata(&path).expect("there").permissions().readonly());
    let _ = scene.source(b"two");
    assert_eq!(scene.store.get(&one).expect("get"), b"one");
    let target = scene.folder.path().join("back");
    scene.store.materialise(&one, &target, LinkPolicy::default(), &scene.index).expect("back");
    fs_err::write(&target, "six").expect("written in place");
    assert_eq!(scene.store.get(&one).expect("get"), b"one");
}

#[test]
fn equal_files_are_kept_once() {
    let scene = Scene::new();
    let first = scene.source(b"same");
    let second = scene.folder.path().join("second");
    fs_err::write(&second, b"same").expect("written");
    assert!(scene.put(&first, LinkPolicy::Auto).made.is_some());
    assert_eq!(scene.put(&second, LinkPolicy::Auto).made, None);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused() {
    let scene = Scene::new();
    let path = scene.folder.path().join("growing");
    // Long enough that the writer is met.
    let file = fs_err::File::create(&path).expect("created");
    file.set_len(200 << 20).expect("length");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let length = file.metadata().expect("metadata").len();
                file.set_len(length + 1).expect("grown");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = scene.store.put_file(&path, LinkPolicy::Hardlink, &scene.index);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    });
    let error = result.expect_err("changed").to_string();
    assert!(error.contains("growing") && error.contains("changed while it was read"), "{error}");
}

#[test]
fn an_object_comes_back_to_the_project_and_a_damaged_one_does_not_get_in() {
    let scene = Scene::new();
    let staged = scene.folder.path().join("staged");
    fs_err::write(&staged, b"other").expect("written");
    let wanted = Digest::of(b"wanted");
    let found = scene.store.adopt(&staged, &wanted).expect("checked");
    assert_eq!(found, Err(Digest::of(b"other")));
    assert!(!scene.store.contains(&wanted));
    fs_err::write(&staged, b"wanted").expect("written");
    assert_eq!(scene.store.adopt(&staged, &wanted).expect("adopted"), Ok(()));
    for policy in [LinkPolicy::Auto, LinkPolicy::Copy, LinkPolicy::Hardlink] {
        let target = scene.folder.path().join("new/target");
        scene.store.materialise(&wanted, &target, policy, &scene.index).expect("there");
        assert_eq!(fs_err::read(&target).expect("read"), b"wanted");
    }
}

#[test]
fn a_long_content_put_from_memory_is_still_found() {
    let scene = Scene::new();
    let bytes = vec![1; hashing::CHUNK as usize + 1];
    let plain = scene.store.put(&bytes).expect("put");
    assert_eq!(plain, Digest::of(&bytes));
    assert!(scene.store.get(&plain).expect("get") == bytes);
    assert!(scene.store.check(&plain, &scene.index).is_ok());
    let path = scene.source(&bytes);
    let by_chunks = scene.put(&path, LinkPolicy::Auto).digest;
    assert_ne!(plain, by_chunks);
    assert!(scene.store.get(&by_chunks).expect("get") == bytes);
}
