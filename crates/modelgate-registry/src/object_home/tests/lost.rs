//! A bucket that lost objects, went back, or was filled anew, behind the back of a checkout that has copied it.

use std::sync::atomic::Ordering;

use super::*;

/// A bucket with a registered version and the aliases `a`, `b` and `c`: four segments, all seen by `scene.one`.
fn with_four_events() -> Scene {
    let mut scene = Scene::new();
    for alias in ["a", "b", "c"] {
        set(&mut scene.one, alias).expect("set");
    }
    scene
}

fn remove(scene: &Scene, segments: std::ops::RangeInclusive<u64>) {
    for first in segments {
        scene.fated.remove(&segment_key(first)).expect("removed");
    }
}

fn segments(scene: &Scene) -> Vec<String> {
    scene.fated.list("ledger").expect("listed").into_iter().map(|(key, _)| key).collect()
}

fn reopened(scene: &Scene, state: &str) -> Result<Registry, RegistryError> {
    let state = scene.folder.path().join(state);
    Registry::in_home(Box::new(ObjectStoreHome::new(bucket(scene.folder.path()), &state)), &state)
}

#[test]
fn events_that_the_bucket_has_lost_are_told_of_and_what_was_copied_of_them_is_kept() {
    let mut scene = with_four_events();
    let whole = fs_err::read_to_string(scene.copy()).expect("a copy");
    remove(&scene, 3..=4);
    // In the process that has it open, and in the next ones: none answers by the copy, and none writes behind it.
    for error in [
        scene.one.refresh().expect_err("they are gone"),
        set(&mut scene.one, "d").expect_err("they are gone"),
        reopened(&scene, "one").err().expect("they are gone"),
    ] {
        assert!(matches!(error, RegistryError::Shortened { found: 2, seen: 4, .. }), "{error}");
        assert!(error.to_string().contains(".jsonl.seen-4` is one"), "{error}");
    }
    assert_eq!(segments(&scene), [segment_key(1), segment_key(2)], "nothing was written");
    let kept = scene.copy().with_extension("jsonl.seen-4");
    assert_eq!(fs_err::read_to_string(&kept).expect("kept"), whole);
    // As the runbook puts them back: one object that begins with the first event that is missing.
    let lost: String = whole.split_inclusive('\n').skip(2).collect();
    scene.fated.put(&segment_key(3), lost.as_bytes()).expect("put back");
    scene.one.refresh().expect("whole again");
    assert_eq!(aliases(&scene.one), ["a", "b", "c"]);
    set(&mut scene.one, "d").expect("set");
    assert_eq!(aliases(&scene.other()), ["a", "b", "c", "d"]);
}

#[test]
fn other_events_under_the_same_numbers_are_not_taken_for_those_that_were_copied() {
    let mut scene = with_four_events();
    remove(&scene, 3..=4);
    let mut other = scene.other();
    for alias in ["x", "y", "z"] {
        set(&mut other, alias).expect("set");
    }
    let error = set(&mut scene.one, "d").expect_err("another history");
    assert!(matches!(error, RegistryError::Shortened { found: 5, seen: 4, .. }), "{error}");
    assert_eq!(aliases(&scene.other()), ["a", "x", "y", "z"]);
    assert!(scene.copy().with_extension("jsonl.seen-4").is_file());
}

#[test]
fn nobody_answers_or_writes_where_a_segment_is_missing_in_between() {
    let scene = with_four_events();
    // A checkout that has seen what is before it, and one that has seen nothing.
    let state = scene.folder.path().join("early");
    let mut home = ObjectStoreHome::new(bucket(scene.folder.path()), &state);
    let text = fs_err::read_to_string(scene.copy()).expect("a copy");
    append_behind(&home.copy, 0, text.split_inclusive('\n').next().expect("a line")).expect("copied");
    remove(&scene, 2..=3);
    for result in [home.pull(false), reopened(&scene, "fresh").map(drop)] {
        let error = result.expect_err("a hole").to_string();
        assert!(error.contains(&format!("`{}` is missing", segment_key(2))), "{error}");
        assert!(error.contains(&segment_key(4)), "{error}");
    }
    remove(&scene, 1..=1);
    let error = reopened(&scene, "fresh").err().expect("no beginning").to_string();
    assert!(error.contains(&format!("`{}` is missing", segment_key(1))), "{error}");
    assert_eq!(segments(&scene), [segment_key(4)]);
}

#[test]
fn nobody_writes_where_a_segment_is_missing_also_from_a_copy_that_has_its_events() {
    let mut scene = with_four_events();
    let lost = scene.fated.objects.get(&segment_key(2)).expect("read").expect("there").0;
    remove(&scene, 2..=2);
    // Every event is in the copy, and the last is where it was: it can be read by that.
    scene.one.refresh().expect("read");
    let error = set(&mut scene.one, "d").expect_err("a hole");
    assert!(error.appended_nothing(), "{error}");
    assert!(error.to_string().contains(&format!("`{}` is missing", segment_key(2))), "{error}");
    assert_eq!(segments(&scene), [1, 3, 4].map(segment_key));
    assert_eq!(aliases(&scene.one), ["a", "b", "c"]);
    scene.fated.put(&segment_key(2), &lost).expect("put back");
    set(&mut scene.one, "d").expect("set");
    assert_eq!(aliases(&scene.other()), ["a", "b", "c", "d"]);
}

#[test]
fn a_copy_that_is_gone_without_what_is_known_of_it_is_made_anew() {
    let mut scene = with_four_events();
    let whole = fs_err::read_to_string(scene.copy()).expect("a copy");
    for left in [None, Some("")] {
        fs_err::remove_file(scene.copy()).expect("removed");
        if let Some(left) = left {
            fs_err::write(scene.copy(), left).expect("written");
        }
        assert!(scene.copy().with_extension("tail").is_file());
        assert_eq!(aliases(&reopened(&scene, "one").expect("read")), ["a", "b", "c"]);
        assert_eq!(fs_err::read_to_string(scene.copy()).expect("a copy"), whole);
    }
    set(&mut scene.one, "d").expect("set");
}

#[test]
fn a_bucket_that_was_filled_anew_is_followed_from_wherever_a_checkout_stood() {
    let mut scene = with_four_events();
    let mut early = scene.other();
    set(&mut scene.one, "d").expect("set");
    let whole = fs_err::read_to_string(scene.copy()).expect("a copy");
    // As an archive is read in: all events in one object.
    remove(&scene, 1..=5);
    scene.fated.put(&segment_key(1), whole.as_bytes()).expect("written");
    set(&mut early, "e").expect("behind all of them");
    assert_eq!(segments(&scene), [segment_key(1), segment_key(6)]);
    scene.one.refresh().expect("read");
    for registry in [&scene.one, &open(scene.folder.path(), "fresh")] {
        assert_eq!(aliases(registry), ["a", "b", "c", "d", "e"]);
    }
    // What was written by its old number, where nobody would read it, is told of.
    scene.fated.put(&segment_key(3), b"{}\n").expect("written");
    let error = reopened(&scene, "another").err().expect("two histories").to_string();
    assert!(error.contains(&format!("`{}` is there", segment_key(3))), "{error}");
}

#[test]
fn a_copy_that_broke_off_within_a_segment_is_completed() {
    let mut scene = Scene::new();
    let events: Vec<_> = ["a", "b", "c"]
        .map(|alias| {
            let alias = alias.parse().expect("alias");
            (VersionNumber(1), Event::SetAlias { alias, reason: String::new() })
        })
        .into();
    scene.other().apply_all(&name(), &events, TIME, "tester").expect("set");
    let home = || ObjectStoreHome::new(bucket(scene.folder.path()), &scene.folder.path().join("third"));
    home().pull(false).expect("copied");
    let copy = home().copy;
    let whole = fs_err::read_to_string(&copy).expect("a copy");
    assert_eq!(segments(&scene).len(), 2);
    let cut: String = whole.split_inclusive('\n').take(2).collect();
    // Killed while the second segment was copied, before it was noted.
    let first = whole.split_inclusive('\n').next().expect("a line");
    let of_the_first = Tail::new(1, 0, first, "");
    for half in ["", "{\"half"] {
        fs_err::write(&copy, cut.clone() + half).expect("written");
        home().remember(&of_the_first);
        home().pull(false).expect("completed");
        assert_eq!(fs_err::read_to_string(&copy).expect("a copy"), whole);
    }
    scene.one.refresh().expect("read");
}

#[test]
fn a_look_is_one_request_and_one_for_each_segment_that_is_new() {
    let mut scene = with_four_events();
    let counted = Fated::over(bucket(scene.folder.path()), true);
    let state = scene.folder.path().join("counted");
    let mut home = ObjectStoreHome::new(Box::new(counted.clone()), &state);
    let asked =
        |counted: &Fated| (counted.lists.swap(0, Ordering::Relaxed), counted.gets.swap(0, Ordering::Relaxed));
    home.pull(false).expect("read");
    assert_eq!(asked(&counted), (1, 4));
    home.pull(false).expect("nothing is new");
    assert_eq!(asked(&counted), (1, 0));
    set(&mut scene.one, "d").expect("set");
    home.pull(false).expect("one is new");
    assert_eq!(asked(&counted), (1, 1));
    // The same name and size, and other bytes: the tag tells.
    let text = fs_err::read_to_string(&home.copy).expect("a copy");
    let last = text.lines().last().expect("a line").replace("tester", "nobody") + "\n";
    counted.objects.put(&segment_key(5), last.as_bytes()).expect("edited");
    home.pull(false).expect("made anew");
    assert!(fs_err::read_to_string(&home.copy).expect("a copy").contains("nobody"));
    assert_eq!(fs_err::read_to_string(home.copy.with_extension("jsonl.seen-5")).expect("kept"), text);
}

#[test]
fn buckets_of_one_name_on_two_servers_are_two_registries() {
    let folder = tempfile::tempdir().expect("folder");
    let home = |endpoint: Option<&str>| {
        let variable = |name: &str| match name {
            "AWS_ENDPOINT_URL" => endpoint.map(str::to_owned),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
            _ => None,
        };
        let objects = modelgate_store::remote::open("s3://models/a", folder.path(), &variable).expect("open");
        ObjectStoreHome::new(objects, folder.path())
    };
    let (one, other) = (home(Some("http://127.0.0.1:9000/")), home(Some("http://127.0.0.1:9001")));
    assert_eq!(one.key(), "s3://models/a at http://127.0.0.1:9000");
    assert_ne!(one.key(), other.key());
    assert_ne!(one.copy, other.copy);
    assert_eq!(home(None).key(), "s3://models/a");
}
