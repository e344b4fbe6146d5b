//! A package against ONNX Runtime and MLflow, with mixed columns and nulls.

use std::process::Command;

use modelgate_core::schema::FeatureType;
use modelgate_data::{ReadOptions, Table, read_csv};
use modelgate_model::Prediction;
use modelgate_testing::{TestProject, skip};
use serde_json::{Value, json};

use crate::BINARY;

/// Rows of whole numbers, numbers with nulls and text with nulls, and a target of each kind.
fn data(rows: u64) -> String {
    let mut text = String::from("age,income,city,level,klass,flag,value\n");
    let mut state = 7_u64;
    let mut next = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for row in 0..rows {
        let age = 18 + next(60);
        let income =
            if next(12) == 0 { String::new() } else { format!("{}.{:02}", 1000 + next(90_000), next(100)) };
        let city = ["Rome", "Oslo", "São Paulo", ""][next(4) as usize];
        let level = ["low", "mid", "high"][next(3) as usize];
        let klass = if age > 50 || city == "Oslo" { "yes" } else { ["no", "maybe"][next(2) as usize] };
        let value = age as f64 * 3.5 + next(1000) as f64 / 7.0;
        text.push_str(&format!("{age},{income},{city},{level},{klass},{},{value:.3}\n", (age + row) % 2));
    }
    text
}

fn column(table: &Table, name: &str, feature_type: FeatureType) -> Value {
    let column = table.column(name).expect("column");
    let values: Vec<Value> = (0..table.rows)
        .map(|row| match feature_type {
            FeatureType::Text => json!(column.text(row)),
            FeatureType::Int => json!(column.number(row).map(|value| value as i64)),
            FeatureType::Float => json!(column.number(row)),
        })
        .collect();
    json!({ "name": name, "type": feature_type.to_string(), "values": values })
}

fn check(config: &str, exact: bool) {
    check_rows(config, exact, 3000);
}

fn check_rows(config: &str, exact: bool, rows: u64) {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let text = data(rows);
    let project = TestProject::with(BINARY, &text, config);
    let _ = project.run(&["run"]).exits(0);
    let package = modelgate_model::open(&project.path("models/packaged/p")).expect("package");
    let table = read_csv(text.as_bytes(), "data.csv", &ReadOptions::default()).expect("table");
    let rows: Vec<u32> = (0..table.rows as u32).collect();
    let inputs = package.model.inputs();
    let columns: Vec<Value> = inputs.iter().map(|(name, kind)| column(&table, name, *kind)).collect();
    let bits = |values: &mut dyn Iterator<Item = f32>| values.map(f32::to_bits).collect::<Vec<u32>>();
    let mut expected = serde_json::Map::new();
    match package.model.predict(&table, &rows).expect("prediction") {
        Prediction::Values(values) => {
            expected.insert("prediction".to_owned(), json!(bits(&mut values.into_iter())));
        }
        Prediction::Classes { labels, probabilities } => {
            let names = package.model.classes().expect("classes").names();
            let labels: Vec<&String> = labels.iter().map(|label| &names[*label as usize]).collect();
            expected.insert("label".to_owned(), json!(labels));
            for (class, name) in names.iter().enumerate() {
                let mut values = probabilities.iter().skip(class).step_by(names.len()).copied();
                expected.insert(format!("probability_{name}"), json!(bits(&mut values)));
            }
        }
    }
    let case = json!({ "columns": columns, "expected": expected, "exact": exact });
    project.write("rows.json", case.to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/check_package.py");
    let output = Command::new(python)
        .arg(script)
        .arg(project.path("models/packaged/p"))
        .arg(project.path("rows.json"))
        .current_dir(project.path("."))
        .output()
        .expect("python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("same:").count(), 4, "{said}");
}

fn config(task: &str, target: &str, drop: &str, preprocess: &str, train: &str) -> String {
    format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: {task}\n    data: {{source: data.csv, target: {target}}}\n    \
         preprocess: {{drop: [{drop}], {preprocess}}}\n    train: {{{train}}}\n    promotion: {{approval: automatic}}\n"
    )
}

#[test]
fn a_forest_of_three_text_classes_agrees_bit_for_bit() {
    let train = "algorithm: random_forest, params: {n_estimators: 40}";
    check(&config("classification", "klass", "flag, value", "encode: onehot", train), true);
}

#[test]
fn a_forest_of_ranks_with_scaling_agrees_bit_for_bit() {
    let preprocess = "missing: mean, scale: standard, encode: ordinal";
    let train = "algorithm: random_forest, params: {n_estimators: 40, class_weight: balanced}";
    check(&config("classification", "flag", "klass, value", preprocess, train), true);
}

#[test]
fn a_forest_that_takes_nan_agrees_bit_for_bit() {
    let train = "algorithm: random_forest, params: {n_estimators: 40}";
    check(&config("regression", "value", "klass, flag", "missing: none", train), true);
}

#[test]
fn a_forest_with_strict_categories_agrees_bit_for_bit() {
    let preprocess = "missing: most_frequent, encode: ordinal, unknown_category: error";
    let train = "algorithm: random_forest, params: {n_estimators: 10, max_depth: 6}";
    check(&config("regression", "value", "klass, flag", preprocess, train), true);
}

#[test]
fn binary_logistic_regression_agrees_to_a_millionth() {
    let train = "algorithm: logistic_regression";
    check(&config("classification", "flag", "klass, value", "scale: standard", train), false);
}

#[test]
fn multinomial_logistic_regression_agrees_to_a_millionth() {
    let train = "algorithm: logistic_regression, params: {max_iter: 300}";
    check(
        &config("classification", "klass", "flag, value", "missing: median, scale: standard", train),
        false,
    );
}

#[test]
fn a_decision_tree_of_classes_agrees_bit_for_bit() {
    let train = "algorithm: decision_tree, params: {max_depth: 8, min_samples_leaf: 3}";
    check(&config("classification", "klass", "flag, value", "encode: ordinal, missing: none", train), true);
}

#[test]
fn a_decision_tree_of_numbers_agrees_bit_for_bit() {
    let train = "algorithm: decision_tree, params: {max_depth: 6}";
    check(&config("regression", "value", "klass, flag", "missing: median", train), true);
}

#[test]
fn ridge_on_unscaled_features_agrees_to_a_millionth() {
    let train = "algorithm: ridge, params: {alpha: 0.5}";
    check(&config("regression", "value", "klass, flag", "missing: mean", train), false);
}

#[test]
fn least_squares_on_dependent_columns_agrees_to_a_millionth() {
    let train = "algorithm: linear_regression";
    check(&config("regression", "value", "klass, flag", "scale: standard", train), false);
}

#[test]
fn logistic_regression_on_unscaled_features_agrees_to_a_millionth() {
    let train = "algorithm: logistic_regression, params: {max_iter: 50}";
    check(&config("classification", "klass", "flag, value", "missing: median", train), false);
}

#[test]
fn a_forest_of_bins_agrees_bit_for_bit() {
    // Above 10,000 training rows splits are between bins.
    let train = "algorithm: random_forest, params: {n_estimators: 10, min_samples_leaf: 5}";
    let config = config("regression", "value", "klass, flag", "missing: none, encode: ordinal", train);
    check_rows(&config, true, 16_000);
}

#[test]
fn boosted_trees_of_numbers_with_categories_and_nan_agree_bit_for_bit() {
    let train = "algorithm: gradient_boosting, params: {n_estimators: 40, categorical_features: [city, level], \
                 min_samples_leaf: 5}";
    let config = config("regression", "value", "klass, flag", "missing: none, encode: ordinal", train);
    check(&config, true);
}

#[test]
fn boosted_trees_of_two_classes_agree_to_a_millionth() {
    // The scores are the same bits; ONNX Runtime's Sigmoid and Softmax are approximations.
    let train = "algorithm: gradient_boosting, params: {n_estimators: 40}";
    let config = config("classification", "flag", "klass, value", "missing: none, encode: ordinal", train);
    check(&config, false);
}

#[test]
fn boosted_trees_of_three_classes_agree_to_a_millionth() {
    let train =
        "algorithm: gradient_boosting, params: {n_estimators: 30, subsample: 0.7, class_weight: balanced}";
    check(&config("classification", "klass", "flag, value", "missing: none", train), false);
}
