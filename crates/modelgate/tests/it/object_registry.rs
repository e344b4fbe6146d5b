//! A registry in a real S3 server: shared, raced for, and read by others.

use std::process::{Command, Output};

use modelgate_testing::{S3Server, TestProject};

use crate::BINARY;
use crate::governance::{CONFIG, easy};

/// A checkout, and the variables that lead to its registry.
pub(crate) type Checkout = (TestProject, Vec<(String, String)>);

pub(crate) fn clone(server: &S3Server) -> Checkout {
    let config = CONFIG
        .replace("pipelines:", "registry: {uri: \"s3://data/registry\"}\npipelines:")
        .replace("approval: automatic", "approval: required");
    let project = TestProject::with(BINARY, &easy(), &config);
    let variables = [
        ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", &server.key_id),
        ("AWS_SECRET_ACCESS_KEY", &server.secret),
        ("AWS_REGION", "us-east-1"),
    ];
    (project, variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

pub(crate) fn command(clone: &Checkout, arguments: &[&str]) -> Command {
    let mut command = clone.0.command(arguments);
    command.envs(clone.1.iter().map(|(name, value)| (name, value)));
    command
}

#[track_caller]
pub(crate) fn exits(clone: &Checkout, arguments: &[&str], code: i32) -> String {
    let output: Output = command(clone, arguments).output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// Trains a version that waits for approval.
#[track_caller]
pub(crate) fn train(clone: &Checkout, seed: &str) {
    let run = command(clone, &["run"]).env("MODELGATE_SEED", seed).output().expect("started");
    assert_eq!(run.status.code(), Some(4), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn clones_train_approve_promote_and_roll_back_through_a_bucket() {
    let Some(server) = S3Server::start() else { return };
    let (trainer, approver, reader) = (clone(&server), clone(&server), clone(&server));
    exits(&trainer, &["run"], 4);
    exits(&approver, &["model", "approve", "p", "--reason", "from another clone"], 0);
    exits(&approver, &["model", "promote", "p"], 0);
    exits(&reader, &["model", "pull", "p"], 0);
    assert!(exits(&reader, &["status"], 0).contains("verified"));
    let run = command(&trainer, &["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(run.status.code(), Some(4), "{}", String::from_utf8_lossy(&run.stderr));
    exits(&trainer, &["model", "approve", "p"], 0);
    exits(&trainer, &["model", "promote", "p"], 0);
    exits(&approver, &["model", "rollback", "p", "--yes", "--reason", "bad"], 0);
    assert!(exits(&reader, &["model", "list"], 0).contains("v002 quarantined"));
    assert!(exits(&reader, &["ledger", "verify"], 0).contains("8 events"));
    let manifest = |clone: &Checkout| clone.0.read("models/packaged/p/manifest.json");
    exits(&reader, &["model", "pull", "p"], 0);
    assert_eq!(manifest(&reader), manifest(&approver));
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let Some(server) = S3Server::start() else { return };
    let first = clone(&server);
    exits(&first, &["run"], 4);
    let clones: Vec<_> = (0..4).map(|_| clone(&server)).collect();
    std::thread::scope(|scope| {
        for (number, clone) in clones.iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..4 {
                    let alias = format!("w{number}-{turn}");
                    exits(clone, &["model", "alias", "p", &alias, "1"], 0);
                }
            });
        }
    });
    assert!(exits(&first, &["ledger", "verify"], 0).contains("17 events"));
    let log = exits(&first, &["ledger", "log"], 0);
    for number in 0..4 {
        for turn in 0..4 {
            assert!(log.contains(&format!("alias w{number}-{turn} set")), "{log}");
        }
    }
}

#[test]
fn of_two_clones_that_promote_at_once_through_a_bucket_one_wins_and_the_other_says_why() {
    let Some(server) = S3Server::start() else { return };
    let (one, other) = (clone(&server), clone(&server));
    for seed in ["1", "2", "3"] {
        let run = command(&one, &["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(run.status.code(), Some(4), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for version in ["1", "2", "3"] {
        exits(&one, &["model", "approve", "p", version], 0);
    }
    exits(&one, &["model", "promote", "p", "1"], 0);
    let variables = one.1.clone();
    let variable =
        move |name: &str| variables.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let folders = [(one.0.path("."), 2), (other.0.path("."), 3)];
    let results = crate::registry::promote_at_once("p", &folders, &variable);
    let winner = crate::registry::one_winner(&results, [2, 3], 1);
    let list = exits(&other, &["model", "list"], 0);
    assert!(list.contains(&format!("v{winner:03} production")), "{list}");
    assert!(exits(&other, &["ledger", "verify"], 0).contains("the ledger is whole"));
}

#[test]
fn a_copy_of_the_ledger_that_is_damaged_is_made_anew_and_does_not_hang() {
    let Some(server) = S3Server::start() else { return };
    let (one, other) = (clone(&server), clone(&server));
    exits(&one, &["run"], 4);
    exits(&other, &["status"], 0);
    let copies = other.0.path(".modelgate/cache/ledgers");
    let copy = fs_err::read_dir(copies).expect("copies").flatten().next().expect("a copy").path();
    let mut text = fs_err::read_to_string(&copy).expect("text");
    text.push_str("garbage, whole lines of it\n");
    fs_err::write(&copy, text).expect("written");
    exits(&one, &["model", "alias", "p", "x", "1"], 0);
    // It hung: what is behind the last event is no event, and nothing could be added behind it.
    let mut child = command(&other, &["model", "show", "p", "x"]).spawn().expect("started");
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        if began.elapsed() > std::time::Duration::from_secs(60) {
            child.kill().expect("killed");
            panic!("it hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    assert!(exits(&other, &["ledger", "verify"], 0).contains("2 events"));
}

#[test]
fn a_bucket_that_went_back_is_not_answered_from_a_copy_and_another_server_is_another_registry() {
    let (Some(server), Some(second)) = (S3Server::start(), S3Server::start()) else { return };
    let (mut one, other) = (clone(&server), clone(&server));
    exits(&one, &["run"], 4);
    for alias in ["a", "b"] {
        exits(&one, &["model", "alias", "p", alias, "1"], 0);
    }
    let variables = |server: &S3Server| {
        let variables = server.variables(None);
        move |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone())
    };
    let folder = one.0.path(".");
    let open = |server: &S3Server| {
        modelgate_store::remote::open("s3://data/registry", &folder, &variables(server)).expect("a bucket")
    };
    let (bucket, key) = (open(&server), |first: u64| format!("ledger/{first:012}.jsonl"));
    let lost = [2, 3].map(|first| bucket.get(&key(first)).expect("got").expect("there").0);
    exits(&other, &["model", "list"], 0);
    for first in [2, 3] {
        bucket.remove(&key(first)).expect("removed");
    }
    // What is lost at the end, by whoever has seen it.
    for arguments in [&["model", "list"][..], &["model", "alias", "p", "c", "1"], &["ledger", "verify"]] {
        let said = exits(&one, arguments, 1);
        assert!(said.contains("ends at event 1") && said.contains(".jsonl.seen-3` is one"), "{said}");
    }
    assert_eq!(bucket.list("ledger").expect("listed").len(), 1, "nothing was written");
    // What is lost in between, by whoever lacks it, and by whoever looks at everything.
    bucket.put(&key(3), &lost[1]).expect("put back");
    let alias = &["model", "alias", "p", "c", "1"][..];
    for (checkout, arguments) in
        [(&one, alias), (&clone(&server), alias), (&other, &["ledger", "verify"][..])]
    {
        let said = exits(checkout, arguments, 1);
        assert!(said.contains("`ledger/000000000002.jsonl` is missing"), "{said}");
    }
    bucket.put(&key(2), &lost[0]).expect("put back");
    assert!(exits(&other, &["model", "alias", "p", "c", "1"], 0).contains('c'));
    assert!(exits(&one, &["ledger", "verify"], 0).contains("4 events"));
    // The same address on another server.
    one.1 = second.variables(None).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let said = exits(&one, &["model", "list"], 0);
    assert!(
        said.contains("is empty, and this project has seen another one: s3://data/registry at"),
        "{said}"
    );
    let said = exits(&one, &["run"], 1);
    assert!(said.contains("it has no version of `p`") && said.contains(&server.endpoint), "{said}");
    assert!(open(&second).list("ledger").expect("listed").is_empty(), "nothing was begun");
}

#[test]
fn a_changed_object_and_a_server_that_is_gone_are_told_of() {
    let Some(mut server) = S3Server::start() else { return };
    let (first, other) = (clone(&server), clone(&server));
    exits(&first, &["run"], 4);
    exits(&first, &["model", "approve", "p"], 0);
    exits(&first, &["model", "promote", "p"], 0);
    let shown = exits(&first, &["--output-format", "json", "model", "show", "p", "1"], 0);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let digest = shown["registration"]["files"]["model.onnx"].as_str().expect("a digest");
    let hex = digest.trim_start_matches("sha256:");
    server.flip_first_byte("data", &format!("registry/objects/sha256/{}/{}", &hex[..2], &hex[2..]));
    let said = exits(&other, &["model", "pull", "p"], 1);
    assert!(said.contains("is damaged") && said.contains(hex), "{said}");
    assert!(!other.0.path("models/packaged/p").exists(), "nothing of it is taken");
    assert!(exits(&other, &["ledger", "verify"], 1).contains("is damaged"));
    server.flip_first_byte("data", "registry/ledger/000000000002.jsonl");
    let said = exits(&clone(&server), &["model", "list"], 1);
    assert!(said.contains("the ledger was changed: line 2"), "{said}");
    drop(server);
    let said = exits(&first, &["model", "list"], 1);
    assert!(said.contains("could not be reached"), "{said}");
}

#[test]
fn what_a_bucket_no_longer_needs_is_removed_and_the_rest_stays() {
    let Some(server) = S3Server::start() else { return };
    let keeping = clone(&server);
    keeping.0.replace("modelgate.yaml", "approval: required", "approval: automatic");
    for seed in ["1", "2", "3", "4"] {
        let run = command(&keeping, &["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    }
    keeping.0.replace(
        "modelgate.yaml",
        "pipelines:",
        "retention: {keep: 0s, rollback_targets: 1}\npipelines:",
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(exits(&keeping, &["model", "gc", "--dry-run"], 0).contains("p v002 archived"));
    let said = exits(&keeping, &["model", "gc", "--yes"], 0);
    assert!(said.contains("2 versions"), "{said}");
    let listed = exits(&keeping, &["model", "list"], 0);
    assert!(listed.contains("v001 removed") && listed.contains("v002 removed"), "{listed}");
    // Another clone, with nothing of its own: production and the one before are whole, the others are gone.
    let other = clone(&server);
    exits(&other, &["model", "pull", "p"], 0);
    let gone = exits(&other, &["model", "pull", "p", "v001", "--to", "old"], 1);
    assert!(gone.contains("the artefacts of p v001 are removed"), "{gone}");
    exits(&other, &["model", "rollback", "p", "--yes", "--reason", "x"], 0);
    assert!(exits(&other, &["status"], 0).contains("verified"));
    assert!(exits(&other, &["ledger", "verify"], 0).contains("the ledger is whole"));
    // The same package again: what was removed is brought back by whoever needs it.
    let again = command(&other, &["run"]).env("MODELGATE_SEED", "1").output().expect("started");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(4), "{said}");
    exits(&other, &["model", "show", "p", "v005"], 0);
}
