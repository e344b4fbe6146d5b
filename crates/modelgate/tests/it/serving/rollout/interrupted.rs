//! Commands that were killed half-way, two at once, and changes by another hand.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use modelgate_store::ProjectLock;
use serde_json::json;

use super::super::{reload, service};
use super::{admin, ask, beside, ledger, rollout, standing, track, under_load};

#[test]
fn the_next_command_completes_what_a_killed_one_began() {
    let (project, service) = beside("[10, 50]");
    let _ = rollout(&project, &["start"]).exits(0);
    // Killed between the ledger and the service: the service has less than the ledger says.
    let now = standing(&service);
    let order = json!({ "version": "v002", "digest": now["canary"]["digest"], "weight": 1, "shadow": 0,
        "sequence": now["sequence"] });
    let _ = admin(&service, "PUT", "", Some("right"), Some(&order)).is(200);
    rollout(&project, &["status"]).exits(0).says("the service does not do what the ledger says");
    rollout(&project, &["pause"]).exits(0).says("it is told again");
    assert_eq!(standing(&service)["canary"]["weight"], 10);

    // Killed after the service was told to abort, before the ledger was.
    let _ = admin(&service, "DELETE", "?reason=it+smokes", Some("right"), None).is(200);
    assert_eq!(track(&ask(&service, &[]).is(200)), "stable");
    let next = rollout(&project, &["step"]).exits(1);
    next.says("the abort is completed: the canary is quarantined").says("no rollout of shop is under way");
    let said = ledger(&project);
    assert!(
        said.contains("rollout of v002 aborted: it smokes") && said.contains("v002 quarantined: it smokes"),
        "{said}"
    );

    // Killed between the service and the ledger at the start: a canary that nobody knows has no share and goes.
    project.replace("modelgate.yaml", "n_estimators: 11", "n_estimators: 12");
    let _ = project.run(&["run"]).exits(4);
    let shown = project.run(&["--output-format", "json", "model", "show", "shop", "v003"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let order = json!({ "version": "v003", "digest": shown["registration"]["digest"], "weight": 0, "shadow": 0,
        "sequence": 1000, "start": true });
    let _ = admin(&service, "PUT", "", Some("right"), Some(&order)).is(200);
    rollout(&project, &["status"]).exits(0).says("of which the ledger does not know");
    rollout(&project, &["step"]).exits(1).says("it is taken out").says("no rollout of shop is under way");
    assert_eq!(standing(&service)["aborted"]["unknown"], true);
    let _ = admin(&service, "DELETE", "", Some("right"), None).is(200);
    assert_eq!(standing(&service)["aborted"]["reason"], "an administrator took it out");

    // The ledger has no event 1000, as after it was restored from an older copy: it says what is to be all the same.
    rollout(&project, &["start"])
        .exits(0)
        .says("it was restored from an older copy")
        .says("v003 beside v001");
    assert_eq!(standing(&service)["canary"]["weight"], 10);
    assert!(standing(&service)["sequence"].as_u64() < Some(1000));
    // Somebody whose ledger did not know it yet has it taken out: nothing is wrong with it, and it has its share again.
    let seen = format!("?reason=not+known&seen={}", standing(&service)["sequence"]);
    let _ = admin(&service, "DELETE", &seen, Some("right"), None).is(200);
    assert_eq!(standing(&service)["canary"], json!(null));
    rollout(&project, &["step", "--dry-run"])
        .exits(0)
        .says("v003 would be at 10% at")
        .says("as the ledger has it");
    let again = rollout(&project, &["step"]).exits(0);
    again.says("it is told again").says("running at 10%").says("nothing else was done");
    assert_eq!(standing(&service)["canary"]["weight"], 10);
    rollout(&project, &["step"]).exits(0).says("running at 50%");

    // While another command works the ledger cannot be written; who only looks need not wait.
    let holder =
        ProjectLock::acquire(&project.path(".modelgate/lock"), "modelgate run", "now").expect("free");
    let looked = rollout(&project, &["watch", "--for", "1s", "--step"]).exits(3);
    looked.says("verdict: inconclusive").says("another modelgate works on this project");
    let (hook, told) = hook();
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}notify: {{url: \"{hook}\", allow_private: true}}\n"));
    let half = rollout(&project, &["abort", "--reason", "it smokes"]).exits(1);
    half.says("all requests go to v001, but the ledger is not written");
    drop(holder);
    assert!(told.try_recv().is_err());
    rollout(&project, &["step"]).exits(1).says("the abort is completed: the canary is quarantined");
    let event = told.recv_timeout(Duration::from_secs(10)).expect("told");
    assert!(event.contains("x-modelgate-event: quarantined"), "{event}");
}

/// A webhook, and the head of each request to it.
fn hook() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut read = [0; 4096];
            let length = stream.read(&mut read).unwrap_or_default();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            if sender.send(String::from_utf8_lossy(&read[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn what_somebody_does_meanwhile_is_not_undone_by_who_watches() {
    let (project, service) = beside("[10, 50]");
    let _ = rollout(&project, &["start"]).exits(0);
    let passing = ["--rule", "rollout.error_rate <= 0.01", "--min-samples", "1"];
    let watched = |more: &[&str], meanwhile: &dyn Fn()| {
        let arguments = [&["watch", "--for", "3s"], &passing[..], more].concat();
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| rollout(&project, &arguments));
            // It has looked once when it waits for the second look.
            std::thread::sleep(Duration::from_millis(1500));
            let _ = ask(&service, &[("modelgate-track", "canary")]).is(200);
            meanwhile();
            watch.join().expect("a watch")
        })
    };
    let paused = watched(&["--step"], &|| {
        let _ = rollout(&project, &["pause", "--reason", "odd answers"]).exits(0);
    });
    paused.exits(3).says("verdict: passed").says("was paused meanwhile by").says("odd answers");
    assert_eq!(standing(&service)["canary"]["weight"], 10);
    // Nor does one that comes later go on before somebody has looked.
    let later = watched(&["--step"], &|| {}).exits(3);
    later.says("v002 is paused by").says("`rollout step` goes on once somebody has looked");
    let quarantined = watched(&["--step", "--output", "seen.json"], &|| {
        let done = project.run(&["model", "quarantine", "shop", "v002", "--reason", "leaked"]).exits(0);
        done.says("its rollout has ended with that");
    });
    quarantined.exits(2).says("the canary was taken out meanwhile: leaked");
    assert_eq!(standing(&service)["canary"], json!(null), "the service is told at once");
    assert_eq!(project.json("seen.json")["verdict"]["verdict"], "failed");
}

#[test]
fn two_controllers_at_once_take_each_step_once() {
    let (project, service) = beside("[10, 50, 100]");
    let both = |arguments: &[&str]| {
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| rollout(&project, arguments).code)).collect();
            runs.into_iter().map(|run| run.join().expect("a run")).collect()
        });
        codes.into_iter().filter(|code| *code == 0).count()
    };
    assert_eq!(both(&["start"]), 1);
    // Another service behind the same load balancer is told by the same command, and the ledger has it already.
    let other = super::super::service(&project, &["--cache", "elsewhere"]);
    let there = |arguments: &[&str]| rollout(&project, &[arguments, &["--url", &other.url]].concat());
    there(&["start", "--dry-run"]).exits(0).says("v002 would be at 10% at").says("as the ledger has it");
    there(&["start"]).exits(0).says("running at 10% (step 1 of 3)").says("nothing else was done");
    assert_eq!(standing(&other)["canary"]["weight"], 10);
    let _ = there(&["start"]).exits(1);
    let stepped = both(&["step"]);
    assert!(stepped >= 1);
    let expected = if stepped == 1 { 50 } else { 100 };
    there(&["step"]).exits(0).says("nothing else was done");
    let said = ledger(&project);
    assert_eq!(said.matches("beside v001 started").count(), 1, "{said}");
    assert_eq!(said.matches("rollout of v002 at ").count(), stepped, "{said}");
    for service in [&service, &other] {
        assert_eq!(standing(service)["canary"]["weight"], expected);
    }
    // Whoever comes second finds it done.
    assert!(both(&["abort", "--reason", "both"]) >= 1);
    assert_eq!(ledger(&project).matches("rollout of v002 aborted").count(), 1);
    assert_eq!(standing(&other)["canary"]["weight"], expected);
    there(&["abort", "--reason", "both"]).exits(0).says(&format!("at {} all requests go to v001", other.url));
    assert_eq!(standing(&other)["canary"], json!(null));
}

#[test]
fn an_abort_ends_a_watch_and_a_quarantine_ends_a_canary() {
    let (project, service) = beside("[50, 100]");
    let _ = rollout(&project, &["start"]).exits(0);
    let _ = under_load(&service, 1, || {
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| rollout(&project, &["watch", "--for", "60s"]));
            service.until(|service| standing(service)["counted"]["canary"]["answered"].as_u64() > Some(5));
            std::thread::sleep(std::time::Duration::from_millis(1500));
            let _ = rollout(&project, &["abort", "--reason", "seen enough"]).exits(0);
            let ended = watch.join().expect("a watch").exits(2);
            ended.says("the canary was taken out meanwhile: seen enough");
        });
    });
    // By another hand: a person quarantines the canary, and the service finds it at its next look.
    project.replace("modelgate.yaml", "n_estimators: 11", "n_estimators: 12");
    let _ = project.run(&["run"]).exits(4);
    let _ = rollout(&project, &["start"]).exits(0);
    let quarantined = project.run(&["model", "quarantine", "shop", "v003", "--reason", "leaked"]).exits(0);
    quarantined.says("its rollout has ended with that").says("takes it out at once");
    let _ = reload(&service).is(200);
    let now = standing(&service);
    assert_eq!(now["canary"], json!(null));
    assert!(
        now["aborted"]["reason"].as_str().is_some_and(|why| why.contains("v003 is quarantined")),
        "{now}"
    );
    rollout(&project, &["status"]).exits(0).says("v003 beside v001, aborted");
    // The ledger knows of it: there is nothing to write, and that is no error.
    rollout(&project, &["abort", "--reason", "leaked"]).exits(0).says("v003 beside v001, aborted");
}

#[test]
fn an_abort_works_when_the_service_does_not_answer() {
    let (project, running) = beside("[50, 100]");
    let _ = rollout(&project, &["start"]).exits(0);
    drop(running);
    let told = rollout(&project, &["abort", "--reason", "it is down"]).exits(1);
    told.says("v002 is quarantined").says("could not be told");
    // It comes back, and remembers a canary that is quarantined now.
    let again = service(&project, &[]);
    assert_eq!(standing(&again)["canary"], json!(null));
    assert_eq!(track(&ask(&again, &[]).is(200)), "stable");
    let _ = ask(&again, &[("modelgate-track", "canary")]).is(404);
}

#[test]
fn a_service_that_ends_while_it_is_watched_leaves_a_paused_rollout() {
    let (project, running) = beside("[20, 50]");
    let _ = rollout(&project, &["start"]).exits(0);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| rollout(&project, &["watch", "--for", "4s", "--step"]));
        // It has looked once when it waits for the second look.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        drop(running);
        let ended = watch.join().expect("a watch").exits(3);
        ended.says("nothing could be seen to the end").says("the ledger is written all the same");
        ended.says("paused at 20%");
    });
    assert!(ledger(&project).contains("rollout of v002 paused: watched for 4s"), "{}", ledger(&project));
    // It goes on where it stood.
    let again = service(&project, &[]);
    assert_eq!(standing(&again)["canary"]["weight"], 20);
    let _ = rollout(&project, &["step", "--url", &again.url]).exits(0);
    drop(again);
    // Nobody answers from the beginning: an error for who only looks, and a pause for who would have taken a step.
    let _ = rollout(&project, &["watch", "--for", "1s"]).exits(1);
    let down = rollout(&project, &["watch", "--for", "1s", "--step", "--output", "seen.json"]).exits(3);
    down.says("nothing could be seen to the end").says("does not answer").says("paused at 50%");
    assert_eq!(project.json("seen.json")["verdict"]["verdict"], "inconclusive");
    assert_eq!(project.json("seen.json")["stable"]["version"], "v001");
    assert!(ledger(&project).contains("rollout of v002 paused: watched for 1s"), "{}", ledger(&project));
}

#[test]
fn a_canary_whose_source_does_not_answer_may_be_asked_for_again() {
    let (project, service) = beside("[10, 50]");
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let digest = modelgate_core::Digest::of(b"another package");
    let order = json!({ "version": "v002", "digest": digest, "weight": 10, "shadow": 0, "sequence": 1_000_000,
        "start": true });
    let refused = admin(&service, "PUT", "", Some("right"), Some(&order)).is(503);
    assert_eq!(
        (&refused.json()["code"], refused.header("retry-after")),
        (&json!("source_unavailable"), Some("30"))
    );
}

#[test]
fn another_production_leaves_the_canary_only_its_end() {
    let (project, service) = beside("[10, 50]");
    let pinned = super::super::service(&project, &["--model", "shop@v001"]);
    // Another version goes to production first, so that there is one to go back to.
    let _ = project.run(&["model", "approve", "shop", "v002"]).exits(0);
    let _ = project.run(&["model", "promote", "shop", "v002"]).exits(0);
    project.replace("modelgate.yaml", "n_estimators: 11", "n_estimators: 12");
    let _ = project.run(&["run"]).exits(4);
    // A canary stands beside what the ledger has in production, or nowhere.
    let other = rollout(&project, &["start", "--version", "v003", "--url", &pinned.url]).exits(1);
    other.says("has v001 in production, and the ledger v002").says("a pinned version");
    rollout(&project, &["start", "--dry-run"]).exits(0).says("this one would first make it look again");
    // A service that has not looked since is made to look.
    let _ = rollout(&project, &["start", "--version", "v003"]).exits(0);
    assert_eq!(standing(&service)["stable"]["version"], "v002");
    let _ = project.run(&["model", "rollback", "shop", "--reason", "worse", "--yes"]).exits(0);
    let _ = reload(&service).is(200);
    // The canary stands beside what is in production now; nothing older comes back.
    let now = standing(&service);
    assert_eq!((&now["stable"]["version"], &now["canary"]["version"]), (&json!("v001"), &json!("v003")));
    rollout(&project, &["step"]).exits(1).says("v002 is not in production any more: abort this rollout");
    let watched = rollout(&project, &["watch", "--for", "60s"]).exits(3);
    watched.says("v002 is not in production any more: this rollout can only be aborted");
    // That production changed says nothing against the canary.
    let aborted = rollout(&project, &["abort", "--reason", "begin again"]).exits(0);
    aborted.says("v003 is taken out and not quarantined");
    assert_eq!(standing(&service)["stable"]["version"], "v001");
    assert_eq!(ask(&service, &[]).is(200).header("modelgate-model-version"), Some("v001"));
    rollout(&project, &["start", "--version", "v003"]).exits(0).says("v003 beside v001");
    // Whoever rejects a canary is told of its rollout, and the next command that it is no interruption.
    let rejected =
        project.run(&["model", "reject", "shop", "v003", "--reason", "the data were old"]).exits(0);
    rejected.says("its rollout has ended with that").says("takes it out at once");
    let status = rollout(&project, &["status"]).exits(0);
    status.says("the rollout of v003 has ended (the data were old), and the service still has it");
    let _ = rollout(&project, &["abort", "--reason", "the data were old"]).exits(0);
    assert_eq!(standing(&service)["canary"], json!(null));
}
