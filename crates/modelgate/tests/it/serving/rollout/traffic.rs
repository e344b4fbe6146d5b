//! Who gets which version.

use std::collections::BTreeMap;

use modelgate_testing::send;
use serde_json::json;

use super::super::{row, serve, service};
use super::{admin, ask, beside, rollout, standing, track};

/// Returns which keys get the canary.
fn tracks(service: &modelgate_testing::Service, keys: std::ops::Range<usize>) -> BTreeMap<usize, bool> {
    let (url, body) = (format!("{}/predict/shop", service.url), row().to_string());
    let parts = 4;
    let found: Vec<Vec<(usize, bool)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parts)
            .map(|part| {
                let (url, body, keys) = (&url, &body, keys.clone());
                scope.spawn(move || {
                    let agent = ureq::Agent::new_with_defaults();
                    keys.filter(|key| key % parts == part)
                        .map(|key| {
                            let name = format!("user-{key}");
                            let headers =
                                [("content-type", "application/json"), ("modelgate-key", name.as_str())];
                            let reply = send(&agent, "POST", url, &headers, Some(body.as_bytes()));
                            (key, track(&reply.expect("an answer").is(200)) == "canary")
                        })
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    found.into_iter().flatten().collect()
}

#[test]
fn ten_thousand_keys_are_shared_by_weight_and_each_keeps_its_version() {
    let (project, service) = beside("[25, 50]");
    rollout(&project, &["start"]).exits(0).says("v002 beside v001, running at 25% (step 1 of 2)");
    let first = tracks(&service, 0..10_000);
    let share = first.values().filter(|canary| **canary).count();
    // Four standard deviations.
    assert!((2500 - 174..=2500 + 174).contains(&share), "{share}");
    assert_eq!(
        tracks(&service, 0..200).into_iter().collect::<Vec<_>>(),
        first.clone().into_iter().take(200).collect::<Vec<_>>()
    );
    let counted = &standing(&service)["counted"];
    assert_eq!(
        counted["canary"]["answered"]
            .as_u64()
            .zip(counted["stable"]["answered"].as_u64())
            .map(|(one, other)| one + other),
        Some(10_200)
    );

    let _ = rollout(&project, &["step"]).exits(0);
    let second = tracks(&service, 0..2000);
    assert!(second.iter().all(|(key, canary)| *canary || !first[key]), "whoever had the canary keeps it");
    let share = second.values().filter(|canary| **canary).count();
    assert!((1000 - 90..=1000 + 90).contains(&share), "{share}");
    rollout(&project, &["step"]).exits(1).says("has the share of its last step, 50%");

    let metrics = service.get("/metrics").text;
    for expected in [
        "modelgate_traffic_weight{model=\"shop\",version=\"v001\",track=\"stable\"} 50",
        "modelgate_traffic_weight{model=\"shop\",version=\"v002\",track=\"canary\"} 50",
        "modelgate_requests_total{model=\"shop\",version=\"v002\",track=\"canary\",route=\"predict\",code=\"200\"}",
        "modelgate_request_duration_seconds_count{model=\"shop\",version=\"v002\",track=\"canary\",route=\"predict\"}",
        "track=\"canary\",verified=\"verdict\"} 1",
    ] {
        assert!(metrics.contains(expected), "{expected} is not in {metrics}");
    }

    // A restart gives each its share back, without the registry too.
    assert_eq!(service.end("TERM"), 0);
    let again = super::super::service(&project, &[]);
    assert_eq!(
        (&standing(&again)["canary"]["weight"], &standing(&again)["canary"]["loaded"]),
        (&json!(50), &json!(true))
    );
    assert_eq!(
        tracks(&again, 0..500).into_iter().collect::<Vec<_>>(),
        second.clone().into_iter().take(500).collect::<Vec<_>>()
    );
    assert_eq!(again.end("TERM"), 0);
    project.write(".modelgate/ledger.jsonl", "garbage\n");
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_RETRY_MAX_ATTEMPTS", "1");
    let cached = modelgate_testing::Service::ready(command);
    cached.until(|service| standing(service)["canary"]["loaded"] == true);
    assert_eq!(
        tracks(&cached, 0..500).into_iter().collect::<Vec<_>>(),
        second.into_iter().take(500).collect::<Vec<_>>()
    );
}

#[test]
fn a_request_is_pinned_by_a_header_or_by_its_version() {
    let (project, service) = beside("[1, 100]");
    let none = ask(&service, &[("modelgate-track", "canary")]).is(404);
    assert_eq!(none.json()["code"], "no_canary");
    assert_eq!(track(&ask(&service, &[("modelgate-track", "stable")]).is(200)), "stable");
    let _ = rollout(&project, &["start", "shop", "--version", "v002"]).exits(0);
    for (name, version) in [("stable", "v001"), ("canary", "v002")] {
        let reply = ask(&service, &[("modelgate-track", name)]).is(200);
        assert_eq!((track(&reply), reply.header("modelgate-model-version")), (name, Some(version)));
        assert_eq!(reply.json()["version"], version);
        let digest = reply.json()["digest"].clone();
        assert_eq!(reply.header("modelgate-model-digest"), digest.as_str());
        let inputs = json!({ "inputs": [
            { "name": "age", "shape": [1], "datatype": "INT64", "data": [40] },
            { "name": "income", "shape": [1], "datatype": "FP32", "data": [2500.5] },
            { "name": "region", "shape": [1], "datatype": "BYTES", "data": ["south"] },
            { "name": "member", "shape": [1], "datatype": "INT64", "data": [1] },
        ] });
        let reply = service.post(&format!("/v2/models/shop/versions/{version}/infer"), &inputs);
        assert_eq!(
            (track(&reply), &reply.json()["model_version"]),
            (name, &json!(version)),
            "{}",
            reply.text
        );
        let _ = service.get(&format!("/v2/models/shop/versions/{version}/ready")).is(200);
    }
    let wrong = ask(&service, &[("modelgate-track", "blue")]).is(400);
    assert_eq!(wrong.json()["code"], "unknown_track");
    assert_eq!(service.get("/v2/models/shop").json()["versions"], json!(["v001", "v002"]));
    let unknown = service.post("/v2/models/shop/versions/v009/infer", &json!({})).is(404);
    assert!(unknown.text.contains("served is v001 and v002"), "{}", unknown.text);
    assert_eq!(service.get("/health").is(200).json()["models"]["shop"]["canary"]["version"], "v002");
    // Without a key it is the number that the caller sent, else the address: either way the same one each time.
    for headers in [&[("x-correlation-id", "order-17")][..], &[]] {
        let first = track(&ask(&service, headers)).to_owned();
        assert!((0..5).all(|_| track(&ask(&service, headers)) == first));
    }
    let _ = project.run(&["model", "approve", "shop", "v002"]).exits(0);
    let _ = rollout(&project, &["step"]).exits(0);
    assert_eq!(track(&ask(&service, &[])), "canary");
    assert_eq!(track(&ask(&service, &[("modelgate-track", "stable")])), "stable");
}

#[test]
fn orders_need_the_token_and_make_sense() {
    let (project, service) = beside("[5, 50]");
    let _ = rollout(&project, &["start"]).exits(0);
    let canary = standing(&service)["canary"].clone();
    let order =
        json!({ "version": "v002", "digest": canary["digest"], "weight": 50, "shadow": 0, "sequence": 1 });
    for (method, body) in [("GET", None), ("PUT", Some(&order)), ("DELETE", None)] {
        for token in [None, Some("wrong"), Some("")] {
            let refused = admin(&service, method, "", token, body).is(403);
            assert_eq!(refused.json()["code"], "forbidden");
        }
    }
    let old = admin(&service, "PUT", "", Some("right"), Some(&order)).is(409);
    assert!(old.text.contains("order 1 is older than"), "{}", old.text);
    for (key, value, status) in [
        ("weight", json!(101), 400),
        ("weight", json!(-1), 400),
        ("weight", json!("50"), 400),
        ("extra", json!(1), 400),
        ("digest", json!("sha256:00"), 400),
        ("digest", standing(&service)["stable"]["digest"].clone(), 409),
        ("digest", json!(format!("sha256:{}", "0".repeat(64))), 422),
        ("version", json!("../../etc"), 409),
    ] {
        let mut wrong = order.clone();
        wrong["sequence"] = json!(1000);
        wrong["start"] = json!(status == 422);
        wrong[key] = value;
        if status == 409 && key == "version" {
            wrong["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
        }
        let refused = admin(&service, "PUT", "", Some("right"), Some(&wrong));
        assert_eq!(refused.status, status, "{wrong}: {}", refused.text);
    }
    let _ = admin(&service, "DELETE", "?reason=a&extra=1", Some("right"), None).is(400);
    let headers = [("x-admin-token", "right")];
    let _ = service.request("GET", "/admin/rollout/other", &headers, None).is(404);
    assert_eq!(standing(&service)["canary"]["weight"], 5);

    let without = project.run(&["rollout", "status"]).exits(64);
    without.says("ADMIN_API_TOKEN is not set");
    let wrong = project.command(&["rollout", "step"]).env("ADMIN_API_TOKEN", "wrong").output().expect("run");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(1) && said.contains("403") && !said.contains("wrong"), "{said}");
    let nowhere = rollout(&project, &["step", "--url", "http://127.0.0.1:1"]).exits(1);
    nowhere.says("does not answer");
    let _ = rollout(&project, &["start", "--steps", "50,5"]).exits(64);
    let _ = rollout(&project, &["watch", "--for", "0s"]).exits(64);
    let _ = rollout(&project, &["watch", "--rule", "accuracy >= 0.5"]).exits(64);
    let _ = rollout(&project, &["watch", "--max-error-rate", "2"]).exits(64);
    let _ = rollout(&project, &["abort"]).exits(64);
    drop(service);
    let without = service_without_a_token(&project);
    let _ = admin(&without, "GET", "", Some("right"), None).is(403);
}

fn service_without_a_token(project: &modelgate_testing::TestProject) -> modelgate_testing::Service {
    let mut command = serve(project, &[]);
    command.env_remove("ADMIN_API_TOKEN");
    modelgate_testing::Service::ready(command)
}

#[test]
fn what_does_not_verify_is_no_canary() {
    let project = super::careful();
    super::candidate(&project);
    project.replace("modelgate.yaml", "at_least: 0.5", "at_most: 0");
    project.replace("modelgate.yaml", "n_estimators: 11", "n_estimators: 12");
    let _ = project.run(&["run"]).exits(2);
    let service = service(&project, &[]);
    super::configure(&project, &service, "[5, 50]");
    let failed = rollout(&project, &["start", "--version", "v003"]).exits(2);
    failed.says("the verdict of v003 is failed: only a version that passed its gate can answer requests");
    rollout(&project, &["start", "--version", "v001"]).exits(1).says("v001 is production");
    let _ = rollout(&project, &["start", "--version", "v009"]).exits(1);

    // Another schema.
    project.replace("modelgate.yaml", "at_most: 0", "at_least: 0.5");
    project.replace("modelgate.yaml", "encode: onehot", "encode: onehot, drop: [member]");
    let _ = project.run(&["run"]).exits(4);
    let schema = rollout(&project, &["start", "--version", "v004"]).exits(2);
    schema.says("the service does not take shop v004").says("feature `member` was removed");
    assert_eq!(standing(&service)["canary"], json!(null));
    assert!(!super::ledger(&project).contains("rollout"));

    // A byte of the candidate's model is another one.
    let shown = project.run(&["--output-format", "json", "model", "show", "shop", "v002"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let digest = shown["registration"]["files"]["model.onnx"].as_str().expect("a digest").to_owned();
    let hex = digest.trim_start_matches("sha256:");
    let object = project.path(&format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..]));
    let mut bytes = fs_err::read(&object).expect("the object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = fs_err::metadata(&object).expect("metadata").permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a temporary folder")]
    permissions.set_readonly(false);
    fs_err::set_permissions(&object, permissions).expect("writable");
    fs_err::write(&object, bytes).expect("written");
    let damaged = rollout(&project, &["start", "--version", "v002"]);
    assert_ne!(damaged.code, 0, "{damaged:?}");
    assert_eq!(standing(&service)["canary"], json!(null));
    assert_eq!(track(&ask(&service, &[]).is(200)), "stable");
}
