//! What is seen of a canary, and what follows from it.

use serde_json::json;

use super::super::service;
use super::{admin, ask, beside, careful, configure, ledger, rollout, standing, swapped, track, under_load};

#[test]
fn without_requests_a_canary_is_inconclusive_and_waits() {
    let (project, service) = beside("[5, 50]");
    rollout(&project, &["watch", "--for", "1s"]).exits(1).says("no rollout of shop is under way");
    let _ = rollout(&project, &["start"]).exits(0);
    let nothing = rollout(&project, &["watch", "--for", "1s", "--max-error-rate", "0.02"]).exits(3);
    nothing.says("verdict: inconclusive").says("rollout.error_rate on canary: 0 requests, 10 are needed");
    // Requests to the version in production say nothing of the canary.
    for _ in 0..40 {
        let _ = ask(&service, &[("modelgate-track", "stable")]).is(200);
    }
    let rules = ["--rule", "latency.p99_ms <= stable + 20%", "--rule", "rollout.prediction_distance <= 1"];
    let arguments = ["watch", "--for", "1s", rules[0], rules[1], rules[2], rules[3], "--step"];
    let _ = rollout(&project, &arguments).exits(3);
    assert_eq!(standing(&service)["canary"]["weight"], 5);
    rollout(&project, &["status"]).exits(0).says("paused at 5%").says("watched for 1s");
    assert!(ledger(&project).contains("rollout of v002 paused: watched for 1s"));
    // Somebody has looked, and goes on.
    rollout(&project, &["step"]).exits(0).says("running at 50%");
}

#[test]
fn a_move_that_is_only_tried_says_what_it_would_do_and_does_nothing() {
    let (project, service) = beside("[5, 50]");
    let dry = |arguments: &[&str]| {
        // But for the time that goes by.
        let stands = || {
            let mut standing = standing(&service);
            if let Some(counted) = standing["counted"].as_object_mut() {
                counted.remove("age_ms");
            }
            (ledger(&project), standing)
        };
        let before = stands();
        let output = rollout(&project, &[arguments, &["--dry-run"]].concat());
        assert_eq!(stands(), before, "{arguments:?}");
        output
    };
    for arguments in [&["step"][..], &["pause"], &["promote"], &["abort", "--reason", "worse"]] {
        dry(arguments).exits(1).says("no rollout of shop is under way");
    }
    let start = dry(&["start", "--shadow", "20"]).exits(0);
    start.says("shop: v002 would be loaded by").says("start beside v001, steps 5%, 50%, 20% mirrored");
    let _ = dry(&["start", "--steps", "50,5"]).exits(64);
    let _ = rollout(&project, &["start"]).exits(0);
    dry(&["start"]).exits(1).says("under way");
    dry(&["step"]).exits(0).says("v002 would go from 5% to 50%; nothing was done");
    dry(&["pause"]).exits(0).says("v002 would stay at 5%");
    dry(&["promote"]).exits(1).says("the next is 50%");
    let _ = dry(&["abort"]).exits(64);
    let json = dry(&["--output-format", "json", "abort", "--reason", "worse"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["would"], "be quarantined, and all requests go to v001", "{json}");
    let _ = rollout(&project, &["step"]).exits(0);
    dry(&["step"]).exits(1).says("has the share of its last step");
    dry(&["promote"]).exits(4).says("waits for approval");
    let _ = project.run(&["model", "approve", "shop", "v002"]).exits(0);
    dry(&["promote"]).exits(0).says("v002 would be in production in place of v001");
    // Killed between the service and the ledger: it says so, and completes nothing.
    let _ = admin(&service, "DELETE", "?reason=it+smokes", Some("right"), None).is(200);
    dry(&["step"]).exits(1).says("a command was interrupted").says("no rollout of shop would be under way");
}

#[test]
fn a_good_canary_goes_up_and_reaches_production_through_the_door() {
    let (project, service) = beside("[30, 50, 100]");
    let asked = under_load(&service, 1, || {
        let _ = rollout(&project, &["start", "--reason", "more trees", "--shadow", "50"]).exits(0);
        let watch =
            ["watch", "--for", "4s", "--max-error-rate", "0.02", "--rule", "rollout.disagreement <= 0.5"];
        let passed = rollout(&project, &[&watch[..], &["--step", "--abort-on-failure"]].concat()).exits(0);
        passed.says("verdict: passed").says("running at 50%");
        let json = ["--output-format", "json", "watch", "--for", "3s", "--output", "seen.json"];
        let rules = ["--max-error-rate", "0.02", "--rule", "rollout.disagreement <= 0.5"];
        let json = rollout(&project, &[&json[..], &rules].concat());
        let seen: serde_json::Value = serde_json::from_str(&json.exits(0).stdout).expect("JSON");
        assert_eq!((&seen, &seen["verdict"]["verdict"]), (&project.json("seen.json"), &json!("passed")));
        crate::documentation::schemas::is_verdict(&seen["verdict"]);
        let on =
            |subset: &str| seen["verdict"]["rules"].to_string().contains(&format!("\"on\":\"{subset}\""));
        assert!(on("canary") && on("shadow"), "{seen}");
        rollout(&project, &["promote"]).exits(1).says("the next is 100%");
        // Most of the requests are for what is approved.
        rollout(&project, &["step"]).exits(4).says("v002 waits for approval: 100% is more than half");
        rollout(&project, &["step", "--dry-run"]).exits(4).says("waits for approval");
        assert_eq!(standing(&service)["canary"]["weight"], 50);
        let other = project.run(&["model", "approve", "shop", "v002", "--reason", "seen"]).exits(0);
        other.says("v002 is approved; `modelgate rollout promote` promotes it");
        // Nothing passes a rollout by.
        project.run(&["model", "promote", "shop", "v002"]).exits(1).says("a rollout is under way");
        project.run(&["run"]).exits(1).says("a rollout is under way");
        let _ = rollout(&project, &["step"]).exits(0);
        let last =
            rollout(&project, &["watch", "--for", "2s", "--max-error-rate", "0.02", "--step"]).exits(0);
        last.says("all steps are taken");
        rollout(&project, &["promote"]).exits(0).says("shop v002 is in production");
    });
    assert!(asked > 50, "{asked}");
    let now = standing(&service);
    assert_eq!((&now["stable"]["version"], &now["canary"]), (&json!("v002"), &json!(null)));
    let reply = ask(&service, &[]).is(200);
    assert_eq!((track(&reply), reply.header("modelgate-model-version")), ("stable", Some("v002")));
    let said = ledger(&project);
    for event in [
        "rollout of v002 beside v001 started, steps 30%, 50%, 100%, 50% mirrored: more trees",
        "rollout of v002 at 50%: watched for 4s: passed on",
        "v002 approved: seen",
        "rollout of v002 at 100%",
        "rollout of v002 watched at 100%: passed on",
        "rollout of v002 has taken its steps: watched at its last share, 100%: passed on",
        "v002 promoted to production, v001 archived: watched at its last share, 100%: passed on",
    ] {
        assert!(said.contains(event), "{event} is not in {said}");
    }
    let _ = project.run(&["ledger", "verify"]).exits(0);
    rollout(&project, &["status"]).exits(0).says("v002 beside v001, promoted").says("v002 at 100%");
    assert!(project.read("baselines/shop.json").contains("\"version\": 2"));
}

#[test]
fn a_canary_waits_for_the_approval_that_the_policy_asks_for() {
    let (project, service) = beside("[50]");
    // All requests at once are production under another name.
    for more in [&[][..], &["--dry-run"]] {
        let all = rollout(&project, &[&["start", "--steps", "100"], more].concat()).exits(4);
        all.says("v002 waits for approval: 100% is more than half of the requests");
    }
    // The policy goes by the rules of today, and is asked before the service is told.
    project.replace("modelgate.yaml", "approval: required", "approval: automatic");
    project.replace("modelgate.yaml", "at_least: 0.5}", "at_least: 0.51}");
    for more in [&[][..], &["--dry-run"]] {
        let other = rollout(&project, &[&["start", "--steps", "60"], more].concat()).exits(1);
        other.says("promotion.approval is automatic, and shop v002 was judged by other rules");
    }
    project.replace("modelgate.yaml", "at_least: 0.51}", "at_least: 0.5}");
    project.replace("modelgate.yaml", "approval: automatic", "approval: required");
    assert_eq!(standing(&service)["canary"], json!(null));
    let _ = rollout(&project, &["start"]).exits(0);
    rollout(&project, &["promote"]).exits(4).says("waits for approval");
    assert_eq!(standing(&service)["stable"]["version"], "v001");
    // An approval that does not count any more the policy gives anew; who only tries it is told the same.
    let _ = project.run(&["model", "approve", "shop", "v002", "--reason", "seen"]).exits(0);
    project.replace("modelgate.yaml", "approval: required", "approval: automatic, approvers: [boss]");
    rollout(&project, &["promote", "--dry-run"])
        .exits(0)
        .says("v002 would be in production in place of v001");
    let _ = rollout(&project, &["promote"]).exits(0);
    let said = ledger(&project);
    assert!(said.contains("v002 approved: promotion.approval is automatic"), "{said}");
    // Nobody watched it, and the ledger does not say so.
    let expected = "v001 archived: no `rollout watch --step` of its last share, 50%, is recorded";
    assert!(said.contains(expected), "{said}");
    assert_eq!(standing(&service)["stable"]["version"], "v002");
}

#[test]
fn a_rollout_asks_what_a_promotion_by_hand_asks() {
    let (project, service) = beside("[10, 20]");
    let config = project.read("modelgate.yaml");
    let with = |more: &str| project.write("modelgate.yaml", format!("{config}{more}\n"));
    let refused = |arguments: &[&str], why: &str| {
        for more in [&[][..], &["--dry-run"]] {
            rollout(&project, &[arguments, more].concat()).exits(1).says(why);
        }
    };
    let required = "policy: {required_rules: [{id: floor, metric: accuracy, at_least: 0.1}]}";
    with(required);
    refused(&["start"], "v002 was judged without `floor`");
    with("");
    project.replace("modelgate.yaml", "approval: required", "approval: required, manual: forbidden");
    refused(&["start"], "promotion.manual of pipeline `shop` is `forbidden`");
    assert_eq!(standing(&service)["canary"], json!(null));
    with("");
    let _ = rollout(&project, &["start"]).exits(0);
    // What came after the start counts too.
    with(required);
    refused(&["step"], "v002 was judged without `floor`");
    with("");
    let _ = rollout(&project, &["step"]).exits(0);
    let _ = project.run(&["model", "approve", "shop", "v002", "--reason", "seen"]).exits(0);
    project.replace("modelgate.yaml", "approval: required", "approval: required, manual: forbidden");
    refused(&["promote"], "promotion.manual of pipeline `shop` is `forbidden`");
    assert_eq!(standing(&service)["stable"]["version"], "v001");
    let _ = rollout(&project, &["abort", "--reason", "nobody may promote it"]).exits(0);
    with("");
    // Without anything in production a canary has nothing to stand beside.
    let _ = project.run(&["model", "quarantine", "shop", "v001", "--reason", "worse"]).exits(0);
    refused(&["start", "--version", "v002"], "nothing of shop is in production");
}

#[test]
fn a_degraded_canary_fails_goes_and_cannot_come_back() {
    let project = careful();
    swapped(&project);
    let service = service(&project, &[]);
    configure(&project, &service, "[0, 20]");
    let _ = under_load(&service, 20, || {
        // It answers nobody, and sees a copy of everything.
        let _ = rollout(&project, &["start", "--shadow", "100"]).exits(0);
        let watch = ["watch", "--for", "2s", "--rule", "rollout.disagreement <= 0.2"];
        let failed = rollout(&project, &watch).exits(2);
        failed.says("rollout.disagreement on shadow is").says("verdict: failed");
        assert_eq!(standing(&service)["canary"]["weight"], 0, "a look changes nothing");
        assert_eq!(standing(&service)["counted"]["canary"]["answered"], 0);
        let _ = rollout(&project, &["step"]).exits(0);
        let moved = ["watch", "--for", "3s", "--rule", "rollout.disagreement <= 0.2", "--abort-on-failure"];
        let output = |path| [&moved[..], &["--output", path]].concat();
        // What cannot be written is found before anybody waits, and what cannot be written any more keeps nothing from being done.
        rollout(&project, &output("data.csv/seen.json")).exits(1).says("the report cannot be written");
        assert_eq!(standing(&service)["canary"]["weight"], 20);
        let folder = project.path("seen");
        let taken = std::thread::spawn(move || {
            while !folder.is_dir() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
            fs_err::remove_dir_all(&folder)
                .and_then(|()| fs_err::write(&folder, "in the way"))
                .expect("taken");
        });
        let failed = rollout(&project, &output("seen/seen.json")).exits(2);
        failed.says("all requests go to v001").says("v002 is quarantined");
        failed.says("the report cannot be written");
        taken.join().expect("taken away");
    });
    let now = standing(&service);
    assert_eq!((&now["canary"], &now["aborted"]["version"]), (&json!(null), &json!("v002")));
    let shadow = service.get("/metrics").text;
    assert!(shadow.contains("modelgate_shadow_rows_total{model=\"shop\"}"), "{shadow}");
    project.run(&["model", "approve", "shop", "v002"]).exits(1).says("is quarantined");
    project.run(&["model", "promote", "shop", "v002"]).exits(1).says("is quarantined");
    rollout(&project, &["start", "--version", "v002"]).exits(1).says("is quarantined");
    rollout(&project, &["promote"]).exits(1).says("no rollout of shop is under way");
    let said = ledger(&project);
    assert!(
        said.contains("rollout of v002 aborted: watched for 3s: rollout.disagreement on shadow is"),
        "{said}"
    );
    assert!(said.contains("v002 quarantined: watched for 3s"), "{said}");
    let _ = project.run(&["ledger", "verify"]).exits(0);
    // A later one may come.
    let order = json!({ "version": "v002", "digest": now["aborted"]["digest"], "weight": 20, "shadow": 0,
        "sequence": 1_000_000, "start": true });
    let refused = admin(&service, "PUT", "", Some("right"), Some(&order)).is(422);
    assert!(refused.text.contains("v002 is quarantined"), "{}", refused.text);
}

#[test]
fn an_abort_under_load_loses_no_request_and_puts_all_traffic_back() {
    let (project, service) = beside("[50, 100]");
    let asked = under_load(&service, 5, || {
        let _ = rollout(&project, &["start", "--shadow", "100"]).exits(0);
        service.until(|service| standing(service)["counted"]["canary"]["answered"].as_u64() > Some(20));
        let _ = rollout(&project, &["abort", "--reason", "complaints"]).exits(0);
        for key in 0..300 {
            let key = format!("user-{key}");
            assert_eq!(track(&ask(&service, &[("modelgate-key", key.as_str())]).is(200)), "stable");
        }
    });
    assert!(asked > 50, "{asked}");
    let _ = ask(&service, &[("modelgate-track", "canary")]).is(404);
    assert!(ledger(&project).contains("rollout of v002 aborted: complaints"));
    // Neither a restart nor another look brings it back.
    let _ = super::super::reload(&service);
    assert_eq!(standing(&service)["canary"], json!(null));
    assert_eq!(service.end("TERM"), 0);
    let again = super::service(&project, &[]);
    assert_eq!(
        (&standing(&again)["canary"], &standing(&again)["aborted"]["reason"]),
        (&json!(null), &json!("complaints"))
    );
    assert_eq!(track(&ask(&again, &[])), "stable");
}
