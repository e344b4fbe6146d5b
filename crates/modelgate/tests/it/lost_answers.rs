//! A connection that breaks while an event is on its way to a bucket: nobody knows whether it got there, until the next
//! command looks.

use modelgate_testing::{LosingProxy, Lost, S3Server};

use crate::object_registry::{Checkout, clone, exits, train};

/// A project whose registry is in a bucket behind a proxy, with two versions of which the first is in production.
struct Scene {
    _server: S3Server,
    proxy: LosingProxy,
    own: Checkout,
    other: Checkout,
}

const MARK: &str = ".modelgate/unfinished/p.json";
const BACK: [&str; 6] = ["model", "rollback", "p", "--yes", "--reason", "worse"];

impl Scene {
    /// Sets it up; `promoted` says how many of the versions were in production.
    fn new(promoted: u32) -> Option<Self> {
        let server = S3Server::start()?;
        let proxy = LosingProxy::start(&server.endpoint);
        let (mut own, other) = (clone(&server), clone(&server));
        for (name, value) in &mut own.1 {
            if name == "AWS_ENDPOINT_URL" {
                value.clone_from(&proxy.endpoint);
            }
        }
        for number in 1..=2_u32 {
            let version = number.to_string();
            train(&own, &version);
            exits(&own, &["model", "approve", "p", &version], 0);
            if number <= promoted {
                exits(&own, &["model", "promote", "p", &version], 0);
            }
        }
        Some(Self { _server: server, proxy, own, other })
    }

    /// Runs a command of which an event is lost, and returns what it said.
    fn loses(&self, lost: Lost, spared: usize, arguments: &[&str]) -> String {
        self.proxy.lose(lost, "PUT", "/ledger/", spared);
        let said = exits(&self.own, arguments, 1);
        assert!(self.proxy.lose_nothing() > 0, "nothing was lost: {said}");
        assert!(said.contains("could not be reached"), "{said}");
        assert!(self.own.0.path(MARK).is_file(), "nobody knows what became of it: {said}");
        said
    }

    /// Runs the next command, which has to find out, and returns what it said.
    fn finds_out(&self) -> String {
        let said = exits(&self.own, &["status"], 0);
        assert!(!self.own.0.path(MARK).exists(), "{said}");
        assert!(!exits(&self.own, &["status"], 0).contains("was interrupted"), "it is told once");
        said
    }

    /// Holds what is in production here, and in a clone that saw nothing of it, and how many events there are.
    fn has(&self, production: &str, events: usize) {
        for clone in [&self.own, &self.other] {
            let list = exits(clone, &["model", "list"], 0);
            let found = list.lines().filter(|line| line.contains("production")).count();
            let expected = usize::from(!production.is_empty());
            assert_eq!(found, expected, "{list}");
            assert!(production.is_empty() || list.contains(&format!("{production} production")), "{list}");
            let verified = exits(clone, &["ledger", "verify"], 0);
            assert!(verified.contains(&format!("{events} events")), "{verified}");
        }
        let packaged = self.own.0.path("models/packaged/p/manifest.json");
        assert_eq!(packaged.is_file(), !production.is_empty());
        if packaged.is_file() {
            exits(&self.other, &["model", "pull", "p"], 0);
            let bytes = |clone: &Checkout| clone.0.read("models/packaged/p/manifest.json");
            assert!(bytes(&self.own) == bytes(&self.other), "the folder is that of {production}");
        }
    }
}

#[test]
fn a_promotion_whose_answer_was_lost_is_found_by_the_next_command() {
    let Some(scene) = Scene::new(0) else { return };
    scene.loses(Lost::Answer, 0, &["model", "promote", "p", "1"]);
    assert!(!scene.own.0.path("models/packaged/p").exists(), "nothing is served of what is not known");
    let said = scene.finds_out();
    assert!(said.contains("a promotion of p was interrupted: in production is v001"), "{said}");
    scene.has("v001", 5);
}

#[test]
fn a_promotion_that_did_not_get_there_has_not_happened_and_can_be_done_again() {
    let Some(scene) = Scene::new(0) else { return };
    scene.loses(Lost::Request, 0, &["model", "promote", "p", "1"]);
    let said = scene.finds_out();
    assert!(said.contains("interrupted before it began: nothing is in production"), "{said}");
    scene.has("", 4);
    exits(&scene.own, &["model", "promote", "p", "1"], 0);
    scene.has("v001", 5);
}

#[test]
fn a_mark_stays_until_the_registry_can_be_asked() {
    let Some(scene) = Scene::new(1) else { return };
    scene.loses(Lost::Answer, 0, &["model", "promote", "p", "2"]);
    // The network is still down: the next command finds out nothing, says so, and leaves the mark.
    scene.proxy.lose(Lost::Request, "GET", "/ledger/", 0);
    let said = exits(&scene.own, &["status"], 1);
    assert!(said.contains("an interrupted command could not be completed"), "{said}");
    assert!(scene.proxy.lose_nothing() > 0 && scene.own.0.path(MARK).is_file());
    let said = scene.finds_out();
    assert!(said.contains("in production is v002, and models/packaged/p/ is brought to it"), "{said}");
    scene.has("v002", 6);
}

#[test]
fn a_promotion_that_somebody_else_overtook_meanwhile_is_not_claimed() {
    let Some(scene) = Scene::new(1) else { return };
    scene.loses(Lost::Request, 0, &["model", "promote", "p", "2"]);
    exits(&scene.other, &["model", "promote", "p", "2"], 0);
    exits(&scene.other, &BACK, 0);
    let said = scene.finds_out();
    assert!(said.contains("in production is v001"), "{said}");
    // Registered, approved twice; promoted; then the other's promotion and its rollback of two events.
    scene.has("v001", 8);
}

#[test]
fn a_rollback_whose_first_event_is_in_doubt_is_undone_or_never_was() {
    let Some(scene) = Scene::new(2) else { return };
    scene.loses(Lost::Request, 0, &BACK);
    let said = scene.finds_out();
    assert!(
        said.contains("a rollback of p was interrupted outside of its change: in production is v002"),
        "{said}"
    );
    scene.has("v002", 6);
    // The intent is in the ledger, and the package was not moved.
    scene.loses(Lost::Answer, 0, &BACK);
    let said = scene.finds_out();
    assert!(
        said.contains("from v002 to v001 was interrupted: it is undone, in production is v002"),
        "{said}"
    );
    scene.has("v002", 8);
    exits(&scene.own, &BACK, 0);
    scene.has("v001", 10);
}

#[test]
fn a_rollback_whose_last_event_is_in_doubt_is_completed_once() {
    for (lost, sentence) in [
        (Lost::Request, "a rollback of p from v002 to v001 was interrupted: it is completed"),
        (Lost::Answer, "a rollback of p was interrupted outside of its change: in production is v001"),
    ] {
        let Some(scene) = Scene::new(2) else { return };
        scene.loses(lost, 1, &BACK);
        let said = scene.finds_out();
        assert!(said.contains(sentence), "{lost:?}: {said}");
        scene.has("v001", 8);
        let list = exits(&scene.other, &["model", "list"], 0);
        assert!(list.contains("v002 quarantined"), "{list}");
    }
}

#[test]
fn an_answer_that_is_lost_once_is_asked_for_again_and_nothing_is_written_twice() {
    let Some(scene) = Scene::new(0) else { return };
    // The client tries again, is told that there is something, and finds that it is its own.
    scene.proxy.lose_once(Lost::Answer, "PUT", "/ledger/");
    exits(&scene.own, &["model", "promote", "p", "1"], 0);
    assert_eq!(scene.proxy.lose_nothing(), 1);
    assert!(!scene.own.0.path(MARK).exists());
    scene.has("v001", 5);
}
