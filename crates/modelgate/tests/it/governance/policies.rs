//! What `modelgate.yaml` allows.

use super::{CONFIG, easy, project, run};
use crate::BINARY;
use modelgate_testing::TestProject;

fn with_promotion(settings: &str) -> String {
    CONFIG.replace("promotion: {approval: automatic}", &format!("promotion: {{{settings}}}"))
}

#[test]
fn only_those_who_are_named_approve() {
    let project =
        TestProject::with(BINARY, &easy(), &with_promotion("approval: required, approvers: [alice]"));
    let _ = project.run(&["run"]).exits(4);
    project.run(&["model", "approve", "p"]).exits(1).says("`tester` may not approve p: promotion.approvers");
    project.run(&["model", "reject", "p", "--reason", "x"]).exits(1).says("names alice");
    let output = project.command(&["model", "approve", "p"]).env("MODELGATE_ACTOR", "alice").output();
    assert!(output.expect("started").status.success());
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    // An approval from before the policy counts no more.
    let other = TestProject::with(BINARY, &easy(), &with_promotion("approval: required"));
    let _ = other.run(&["run"]).exits(4);
    let _ = other.run(&["model", "approve", "p"]).exits(0);
    other.write("modelgate.yaml", with_promotion("approval: required, approvers: [alice]"));
    other.run(&["model", "promote", "p"]).exits(1).says("`tester` may not approve p");
}

#[test]
fn an_approval_expires_and_is_renewed() {
    let config = with_promotion("approval: required, approval_expires: 1s");
    let project = TestProject::with(BINARY, &easy(), &config);
    let _ = project.run(&["run"]).exits(4);
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    project.run(&["model", "promote", "p"]).exits(1).says("has expired: promotion.approval_expires is 1s");
    project.run(&["run"]).exits(1).says("approve it again");
    let _ = project.run(&["model", "approve", "p", "--reason", "looked again"]).exits(0);
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    project.write("modelgate.yaml", with_promotion("approval_expires: soon"));
    project.run(&["status"]).exits(64).says("`soon` is not a duration");
}

#[test]
fn the_best_of_history_becomes_production_and_a_newest_that_is_not_goes_to_staging() {
    let project =
        TestProject::with(BINARY, &easy(), &with_promotion("approval: automatic, choose: best_by accuracy"));
    run(&project, 1);
    project.run(&["model", "list"]).exits(0).says("v001 production");
    // Of equals the older stays.
    run(&project, 2);
    project.run(&["model", "list"]).exits(0).says("v001 production").says("v002 staging");
    project.run(&["status"]).exits(0).says("production  v001").says("verified");
    let wrong = with_promotion("choose: best_by beauty");
    project.write("modelgate.yaml", wrong);
    project.run(&["run"]).exits(64).says("`beauty` is not a metric of which it is known");
}

#[test]
fn a_required_rule_can_be_neither_dropped_nor_changed() {
    let policy = "policy: {required_rules: [{id: floor, metric: f1, at_least: 0.99999}]}\npipelines:";
    let config = CONFIG.replace("pipelines:", policy);
    let noisy = easy().replace("3.5,3,0", "3.5,3,1").replace("7.5,0,1", "7.5,0,0");
    let project = TestProject::with(BINARY, &noisy, &config);
    let output = project.run(&["run"]);
    output.says("floor: ");
    let weak = config.replace(
        "{id: min-accuracy, metric: accuracy, at_least: 0.7}",
        "{id: floor, metric: f1, at_least: 0.1}",
    );
    project.write("modelgate.yaml", weak);
    project
        .run(&["run"])
        .exits(64)
        .says("`floor` is a rule of policy.required_rules and cannot be another here");
}

#[test]
fn the_self_test_passes_a_good_gate_and_names_the_rules_of_a_weak_one() {
    let project = project(CONFIG, 1);
    let output = project.run(&["gate", "selftest"]).exits(0);
    output.says("refused: trained on permuted labels").says("refused: production v001 with damaged weights");
    project.write("modelgate.yaml", CONFIG.replace("at_least: 0.7", "at_least: 0.01"));
    let output = project.run(&["gate", "selftest"]).exits(2);
    output.says("let through: trained on permuted labels").says("too weak: min-accuracy:");
    assert_eq!(project.read(".modelgate/ledger.jsonl").lines().count(), 3, "nothing is registered");
}

#[test]
fn a_package_made_elsewhere_is_judged_here() {
    let maker = project(CONFIG, 1);
    let package = maker.path("models/packaged/p");
    let package = package.to_str().expect("path");
    let config = with_promotion("approval: required");
    let taker = TestProject::with(BINARY, &easy(), &config);
    let take = ["model", "promote", "p", "--from-run", package, "--reason", "from CI"];
    taker.run(&take).exits(4).says("v001: passed").says("waits for approval");
    let _ = taker.run(&["model", "approve", "p"]).exits(0);
    let _ = taker.run(&["model", "promote", "p"]).exits(0);
    assert_eq!(super::packaged(&taker), super::packaged(&maker));
    let automatic = TestProject::with(BINARY, &easy(), CONFIG);
    automatic.run(&take).exits(0).says("v001 is in production");
    // Its own verdict says nothing here.
    let strict = TestProject::with(BINARY, &easy(), &CONFIG.replace("at_least: 0.7", "at_least: 1.1"));
    strict.run(&take).exits(2).says("v001: failed");
    let other = TestProject::with(BINARY, &easy(), &CONFIG.replace("  p:\n", "  q:\n"));
    let foreign = ["model", "promote", "q", "--from-run", package];
    other.run(&foreign).exits(1).says("holds a package of `p`, not of `q`");
    let mut bytes = fs_err::read(maker.path("models/packaged/p/model.onnx")).expect("model");
    bytes[40] ^= 1;
    maker.write("models/packaged/p/model.onnx", bytes);
    taker.run(&take).exits(1).says("`model.onnx` was changed");
}
