//! Rules that no pipeline may drop.

use super::{CONFIG, easy, project};
use crate::BINARY;
use modelgate_testing::TestProject;

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
fn a_version_that_was_judged_before_a_rule_was_required_is_not_promoted() {
    let required = CONFIG.replace("approval: automatic", "approval: required");
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", &required);
    let ran = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(ran.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    let policy = |rule: &str| {
        let policy = format!("policy: {{required_rules: [{{id: {rule}}}]}}\npipelines:");
        required.replace("pipelines:", &policy)
    };
    let promote = ["model", "promote", "p", "2"];
    project.write("modelgate.yaml", policy("floor, metric: f1, at_least: 0.2"));
    project.run(&promote).exits(1).says("policy.required_rules: p v002 was judged without `floor`");
    // What is in production stays, and it is said that it would not get there now.
    let against = "policy.required_rules: p v001 was judged without `floor`; it stays so until another package is in production";
    let status = project.run(&["status"]).exits(0);
    status.says("policy      would not let it in today:").says(against);
    status.says("v002 was judged by other rules than this project's: `floor` is missing (f1 on validation is at least 0.2)");
    project.run(&["deploy", "manifest"]).exits(0).says(against);
    project
        .run(&["model", "rollback", "p", "--to-version", "2", "--yes", "--reason", "x"])
        .exits(1)
        .says("floor");
    // One of the same name that asks for less is another.
    let stricter = policy("floor, metric: accuracy, at_least: 0.75").replace("min-accuracy", "floor");
    project.write("modelgate.yaml", stricter.replace("at_least: 0.7}", "at_least: 0.75}"));
    project.run(&promote).exits(1).says("was judged without `floor`");
    project.write("modelgate.yaml", policy("min-accuracy, metric: accuracy, at_least: 0.75"));
    project.run(&promote).exits(1).says("p v002 was judged by another `min-accuracy`: accuracy on ");
    // A gate that asks for more where nothing is required is told to who decides, and stops nobody.
    let told =
        "p v002 was judged by other rules than this project's: `min-accuracy` was another (accuracy on ";
    project.write("modelgate.yaml", required.replace("at_least: 0.7}", "at_least: 0.75}"));
    for decision in [["model", "approve"], ["model", "promote"]] {
        let decided = project.run(&[&decision[..], &["p", "2", "--dry-run"]].concat()).exits(0);
        decided.says(told).says("and asks here: accuracy on validation is at least 0.75");
    }
    project.write("modelgate.yaml", policy("min-accuracy, metric: accuracy, at_least: 0.7"));
    let promoted = project.run(&promote).exits(0);
    promoted.says("v002 is in production");
    assert!(!promoted.stderr.contains("other rules"), "{}", promoted.stderr);
}

#[test]
fn a_required_rule_that_asks_for_more_by_now_is_not_the_one_that_was_judged_by() {
    let with = |drop: &str| {
        let rule =
            format!("{{id: beside, metric: accuracy, versus: production, max_drop: {drop}, min_samples: 2}}");
        let policy = format!("policy: {{required_rules: [{rule}]}}\npipelines:");
        CONFIG.replace("pipelines:", &policy).replace("approval: automatic", "approval: required")
    };
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", with("0.9"));
    let ran = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(ran.status.code(), Some(4), "{}", String::from_utf8_lossy(&ran.stderr));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    project.write("modelgate.yaml", with("0.0001"));
    project.run(&["model", "promote", "p", "2"]).exits(1).says("p v002 was judged by another `beside`");
    project.write("modelgate.yaml", with("0.9"));
    let _ = project.run(&["model", "promote", "p", "2"]).exits(0);
}
