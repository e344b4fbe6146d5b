//! The examples with linear models and trees, by their one command.

use std::path::Path;

use modelgate_testing::{TestProject, shared_table};
use serde_json::json;

use crate::BINARY;

#[test]
fn wine_searches_and_reaches_production() {
    let project = TestProject::example_with_shared_data(BINARY, "wine", "wine.csv");
    project.run(&["-C", "wine", "run"]).exits(0).says("best of 12 trials").says("v001 is production");
    let trials = project.json("wine/outputs/wine/trials.json");
    assert_eq!(trials["trials"].as_array().map(Vec::len), Some(12));
    let report = project.json("wine/outputs/wine/evaluation_report.json");
    let accuracy = report["subsets"]["test"]["metrics"]["accuracy"].as_f64().expect("accuracy");
    assert!(accuracy > 0.94, "{accuracy}");
}

#[test]
fn diabetes_reaches_production_with_ridge() {
    let project = TestProject::example_with_shared_data(BINARY, "diabetes", "diabetes.csv");
    project.run(&["-C", "diabetes", "run"]).exits(0).says("ridge on").says("v001 is production");
    let report = project.json("diabetes/outputs/diabetes/evaluation_report.json");
    let r2 = report["subsets"]["test"]["metrics"]["r2"].as_f64().expect("r2");
    assert!(r2 > 0.3, "{r2}");
}

#[test]
fn california_housing_reaches_production_with_boosted_trees() {
    let Some(table) = shared_table("california_8f.csv") else { return };
    let data = Some((Path::new(&table), "data/raw/california_housing.csv"));
    let project = TestProject::example(BINARY, "california-housing", data);
    project.run(&["run"]).exits(0).says("300 trees").says("v001 is production");
    let report = project.json("outputs/california-housing/evaluation_report.json");
    let metrics = &report["subsets"]["test"]["metrics"];
    assert!(metrics["r2"].as_f64() > Some(0.80), "{metrics}");
    assert!(metrics["mae"].as_f64() < Some(0.40), "{metrics}");
    let analysis = project.json("outputs/california-housing/analysis.json");
    assert_eq!(analysis["contributions"].as_array().map(Vec::len), Some(8), "{analysis}");
}

#[test]
fn boosting_that_stops_early_says_on_which_rows() {
    let Some(table) = shared_table("california_8f.csv") else { return };
    let data = Some((Path::new(&table), "data/raw/california_housing.csv"));
    let project = TestProject::example(BINARY, "california-housing", data);
    project.replace(
        "modelgate.yaml",
        "max_depth: 7",
        "max_depth: 7, early_stopping: true, n_iter_no_change: 5",
    );
    project.replace("modelgate.yaml", "learning_rate: 0.05", "learning_rate: 0.4");
    project.run(&["run"]).exits(0).says("training stopped early by the validation rows");
    let details = &project.json("outputs/california-housing/training.json")["details"];
    assert!(details["best_round"].as_u64() < Some(300), "{details}");
    assert!(details["best_round"].as_u64() < details["rounds"].as_u64(), "{details}");
}

#[test]
fn one_tree_classifies_drugs() {
    let Some(table) = shared_table("drug200.csv") else { return };
    let data = Some((Path::new(&table), "data/raw/drug200.csv"));
    let project = TestProject::example(BINARY, "drug-tree", data);
    project.run(&["run"]).exits(0).says("decision_tree on").says("v001 is production");
    assert_eq!(project.json("outputs/drug-tree/run_report.json")["verdict"], json!("passed"));
}

#[test]
fn a_category_that_training_did_not_see_is_answered_by_a_tree_and_by_a_linear_model() {
    let mut text = String::from("kind,size,y\n");
    for row in 0..200 {
        text.push_str(&format!("{},{},{}\n", ["a", "b", "c"][row % 3], row % 17, (row % 3) * 10 + row % 17));
    }
    for (name, train) in
        [("tree", "algorithm: decision_tree"), ("line", "algorithm: ridge, params: {alpha: 0.1}")]
    {
        let config = format!(
            "version: 1\nproject: p\npipelines:\n  {name}:\n    task: regression\n    \
             data: {{source: data.csv, target: y}}\n    preprocess: {{encode: onehot}}\n    train: {{{train}}}\n    \
             promotion: {{approval: automatic}}\n"
        );
        let project = TestProject::with(BINARY, &text, &config);
        let _ = project.run(&["run"]).exits(0);
        let package =
            modelgate_model::open(&project.path(&format!("models/packaged/{name}"))).expect("package");
        let unseen = modelgate_data::read_csv(
            b"kind,size,y\nnever,3,0\na,3,0\n",
            "rows.csv",
            &modelgate_data::ReadOptions::default(),
        );
        let answers = package.model.predict(&unseen.expect("a table"), &[0, 1]).expect("answers");
        let modelgate_model::Prediction::Values(values) = answers else { panic!("numbers") };
        assert!(values.iter().all(|value| (-20.0..=60.0).contains(value)), "{name}: {values:?}");
        assert!((values[1] - 3.0).abs() < 1.0, "{name}: {values:?}");
    }
}
