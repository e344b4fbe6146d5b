//! Deployments that a policy of the project changes: approval that is automatic, and signatures that are required.

use std::process::Command;

use modelgate_testing::skip;
use serde_json::json;

use super::clones::{World, result, shim, yes};

fn has(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}

#[test]
fn what_is_promoted_at_once_is_taken_back_when_staging_says_no() {
    if !has("jq", "--version") {
        return skip("there is no jq, which runners of GitHub have");
    }
    let world = World::new();
    let config = world.project.read("modelgate.yaml");
    world.push("modelgate.yaml", &config.replace("approval: required", "approval: automatic"));
    let no = "if [ \"$1 $2\" = 'serve smoke' ]; then exit 2; fi";
    let jobs = world.run("train.yml", &json!({}), &json!({}), Some(&shim(&world, no)));
    assert_eq!(jobs["train"].outputs["decision"], "promoted", "{}", jobs["train"].log);
    result(&jobs, "deploy", "failure");
    let log = &jobs["deploy"].log;
    assert!(log.contains("p v001 is quarantined, and nothing is in production"), "{log}");
    let list = world.asked(&["model", "list", "--output-format", "json"]);
    assert!(list.contains("quarantined") && !list.contains("\"production\""), "{list}");
}

#[test]
fn a_version_is_signed_between_its_approval_and_its_promotion() {
    if !has("jq", "--version") || !has("openssl", "version") {
        return skip("there is no jq or no openssl, which runners of GitHub have");
    }
    let mut world = World::new();
    world.github.state().approvals = vec![yes("reviewer", "production")];
    let root = world.project.path(".");
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(&root).output().expect("openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "clones/key.pem"]);
    openssl(&["ec", "-in", "clones/key.pem", "-pubout", "-out", "release.pub"]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "clones/old.pem"]);
    openssl(&["ec", "-in", "clones/old.pem", "-pubout", "-out", "old.pub"]);
    let config = world.project.read("modelgate.yaml");
    let believing = |key: &str| {
        let signing = format!("project: p\nsigning: {{require_signature: true, public_keys: [{key}]}}\n");
        config.replace("project: p\n", &signing)
    };
    world.project.write("modelgate.yaml", believing("old.pub"));
    let _ = world.project.run(&["ci", "init"]).exits(0);
    world.push("README.md", "words\n");

    let jobs = world.run("train.yml", &json!({}), &json!({}), None);
    result(&jobs, "train", "success");
    result(&jobs, "deploy", "failure");
    let log = &jobs["deploy"].log;
    assert!(log.contains("staging: success") && log.contains("production: failure"), "{log}");
    assert!(log.contains("p v001 is not signed") && log.contains("secret MODELGATE_SIGNING_KEY"), "{log}");

    // By a key that nobody believes any more, it is as good as not signed.
    let old = world.project.path("clones/old.pem").display().to_string();
    let said = world.asked(&["model", "sign", "p", "v001", "--key", &old, "--reason", "then"]);
    assert!(said.contains("p v001 is signed"), "{said}");
    world.push("modelgate.yaml", &believing("release.pub"));

    world.secrets = json!({ "MODELGATE_SIGNING_KEY": world.project.read("clones/key.pem") });
    let jobs =
        world.started_by("workflow_dispatch", "deploy.yml", &json!({}), &json!({ "version": "" }), None);
    for name in ["staging", "production"] {
        result(&jobs, name, "success");
    }
    assert!(world.asked(&["model", "verify", "p"]).contains("is signed by"));
    assert!(!world.project.path("clones/signing.pem").exists(), "the key does not stay");
}
