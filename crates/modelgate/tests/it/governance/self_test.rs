//! `gate selftest`: whether a gate refuses what it should.

use super::policies::layered;
use super::{CONFIG, project};
use crate::BINARY;
use modelgate_testing::TestProject;

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
fn the_self_test_says_what_a_gate_lacks_that_holds_behind_production_alone() {
    let bound = "    gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}\n";
    let project = project(&CONFIG.replace(bound, ""), 0);
    let output = project.run(&["gate", "selftest"]).exits(2);
    output
        .says("does not apply: f1-versus-production: ")
        .says("nothing is in production yet")
        .says("such as `{metric: f1, at_least: 0.6}`")
        .does_not_say("tighten");
}

#[test]
fn the_self_test_tells_what_it_cannot_decide() {
    let blind = "{id: many, metric: f1, at_least: 0.9, min_samples: 100000}";
    let project = project(&CONFIG.replace("{id: min-accuracy, metric: accuracy, at_least: 0.7}", blind), 0);
    let output = project.run(&["gate", "selftest"]).exits(3);
    output
        .says("undecided: trained on permuted labels")
        .says("says nothing of the model: many:")
        .says("no rule that has seen the model refuses it");
    assert!(
        !output.stdout.contains("let through") && !output.stdout.contains("refused"),
        "{}",
        output.stdout
    );
    // Of one that is let through it is said even where another could not be judged.
    project.replace("modelgate.yaml", blind, "{id: weak, metric: accuracy, at_least: 0.01}");
    project.run(&["gate", "selftest"]).exits(2).says("too weak: weak:").says("tighten the rules");
}

#[test]
fn the_self_test_knows_every_algorithm() {
    let rows = (0..700_u32).map(|row| {
        let (a, b, c) = (row % 10, row % 7, row % 97);
        format!("{a}.5,{b},{c},{}.25\n", 9 * a + 2 * b)
    });
    let numbers = "a,b,c,y\n".to_owned() + &rows.collect::<String>();
    let regression = CONFIG
        .replace("task: classification", "task: regression")
        .replace("metric: accuracy, at_least: 0.7", "metric: r2, at_least: 0.7");
    // A linear model of permuted labels has a direction all the same, and on rows that one direction tells apart it is
    // right more often than not.
    let strict = CONFIG.replace("at_least: 0.7", "at_least: 0.8");
    let classes = ["gradient_boosting", "random_forest", "decision_tree", "logistic_regression"];
    let values = ["gradient_boosting", "random_forest", "decision_tree", "ridge", "linear_regression"];
    let cases = classes.map(|name| (name, layered(), strict.clone()));
    let cases = cases.into_iter().chain(values.map(|name| (name, numbers.clone(), regression.clone())));
    for (algorithm, data, config) in cases {
        let chosen = format!("{{algorithm: {algorithm}}}");
        let config = config.replace("{algorithm: random_forest, params: {n_estimators: 5}}", &chosen);
        let project = TestProject::with(BINARY, &data, &config);
        let _ = project.run(&["run"]).exits(0);
        let output = project.run(&["gate", "selftest"]);
        assert_eq!(output.code, 0, "{algorithm}: {}{}", output.stdout, output.stderr);
        output
            .says("refused: trained on permuted labels")
            .says("refused: production v001 with damaged weights");
    }
}
