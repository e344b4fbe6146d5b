//! The trainers through their seam.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, LearnError, Targets, trainer};
use modelgate_model::Prediction;
use modelgate_model::estimator::{Estimator, Forest, LEAF};
use serde_json::{Value, json};

type Params = BTreeMap<String, Value>;

fn params(value: Value) -> Params {
    serde_json::from_value(value).expect("params")
}

/// Rows of three features, of which the first two decide the class.
fn rows(count: usize) -> (Vec<f32>, Vec<u32>) {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let matrix: Vec<f32> = (0..count * 3).map(|_| next()).collect();
    let labels = matrix
        .chunks_exact(3)
        .map(|row| u32::from(row[0] > 0.5) + u32::from(row[0] + row[1] > 1.4))
        .collect();
    (matrix, labels)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

fn fit(
    algorithm: &str,
    given: Value,
    matrix: &[f32],
    labels: &[u32],
    classes: usize,
) -> Result<FitOutcome, LearnError> {
    let trainer = trainer(algorithm, Task::Classification, &params(given)).expect("params");
    let columns = names(3);
    let matrix = FeatureMatrix { rows: labels.len(), columns: 3, values: matrix, names: &columns };
    trainer.fit(&matrix, &Targets::Classes { labels, classes, names: &names(classes) }, 42)
}

fn accuracy(estimator: &Estimator, matrix: &[f32], labels: &[u32]) -> f64 {
    match estimator.predict(matrix, labels.len()).expect("prediction") {
        Prediction::Classes { labels: found, .. } => {
            found.iter().zip(labels).filter(|(found, label)| found == label).count() as f64
                / labels.len() as f64
        }
        Prediction::Values(_) => 0.0,
    }
}

fn forest(outcome: FitOutcome) -> Forest {
    match outcome.estimator {
        Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest) => forest,
        _ => panic!("not a forest"),
    }
}

#[test]
fn both_algorithms_learn_what_there_is_to_learn() {
    let (matrix, labels) = rows(1500);
    let (train, test) = (1000, 500);
    let forest = fit("random_forest", json!({}), &matrix[..train * 3], &labels[..train], 3).expect("fitted");
    assert!(accuracy(&forest.estimator, &matrix[train * 3..], &labels[train..]) > 0.95);
    let linear = fit(
        "logistic_regression",
        json!({"C": 100.0, "max_iter": 500}),
        &matrix[..train * 3],
        &labels[..train],
        3,
    );
    let linear = linear.expect("fitted");
    assert_eq!(linear.details["converged"], json!(true));
    assert!(accuracy(&linear.estimator, &matrix[train * 3..], &labels[train..]) > 0.85);
    assert_eq!(test, labels.len() - train);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (matrix, labels) = rows(600);
    let fitted = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let outcome = pool.install(|| fit("random_forest", json!({"n_estimators": 30}), &matrix, &labels, 3));
        serde_json::to_string(&outcome.expect("fitted").estimator).expect("json")
    };
    assert_eq!(fitted(1), fitted(2));
    assert_eq!(fitted(1), fitted(8));
}

#[test]
fn depth_and_leaf_limits_hold_on_true_counts() {
    let (matrix, labels) = rows(300);
    let given = json!({"n_estimators": 5, "max_depth": 3, "min_samples_leaf": 20, "bootstrap": false});
    for tree in forest(fit("random_forest", given, &matrix, &labels, 3).expect("fitted")).trees {
        let mut depth = vec![0; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.feature != LEAF) {
            depth[node.left as usize] = depth[at] + 1;
            depth[node.right as usize] = depth[at] + 1;
        }
        assert!(depth.iter().all(|depth| *depth <= 3));
        let mut counts = vec![0; tree.nodes.len()];
        for row in matrix.chunks_exact(3) {
            let mut at = 0;
            while tree.nodes[at].feature != LEAF {
                let node = &tree.nodes[at];
                at = if row[node.feature as usize] <= node.threshold { node.left } else { node.right }
                    as usize;
            }
            counts[at] += 1;
        }
        let leaves = tree.nodes.iter().zip(&counts).filter(|(node, _)| node.feature == LEAF);
        assert!(leaves.map(|(_, count)| *count).all(|count: i32| count >= 20), "{counts:?}");
    }
}

#[test]
fn a_missing_value_goes_right_and_can_be_learned_from() {
    let matrix: Vec<f32> =
        (0..200).flat_map(|row| [if row % 2 == 0 { f32::NAN } else { 1.0 }, 0.0, 0.0]).collect();
    let labels: Vec<u32> = (0..200).map(|row| u32::from(row % 2 == 0)).collect();
    let outcome = fit("random_forest", json!({"n_estimators": 10}), &matrix, &labels, 2).expect("fitted");
    assert_eq!(accuracy(&outcome.estimator, &matrix, &labels), 1.0);
    let error =
        fit("logistic_regression", json!({}), &matrix, &labels, 2).expect_err("missing value").to_string();
    assert!(error.contains("column `0` has a missing value"), "{error}");
}

#[test]
fn a_number_beyond_those_of_training_is_not_taken_for_a_missing_one() {
    let matrix: Vec<f32> = (0..300)
        .flat_map(|row| [if row % 2 == 0 { f32::NAN } else { row as f32 / 300.0 }, 0.0, 0.0])
        .collect();
    let labels: Vec<u32> = (0..300).map(|row| u32::from(row % 2 == 0)).collect();
    for algorithm in ["random_forest", "decision_tree"] {
        let outcome = fit(algorithm, json!({}), &matrix, &labels, 2).expect("fitted");
        let rows = [f32::NAN, 0.0, 0.0, 1.5, 0.0, 0.0, f32::MAX, 0.0, 0.0];
        assert_eq!(accuracy(&outcome.estimator, &rows, &[1, 0, 0]), 1.0, "{algorithm}");
    }
}

#[test]
fn more_rows_for_a_tree_than_there_are_is_refused() {
    let (matrix, labels) = rows(50);
    let error = fit("random_forest", json!({"max_samples": 51}), &matrix, &labels, 3).expect_err("refused");
    assert!(
        error.to_string().contains("params.max_samples: 51 rows are more than the 50 there are"),
        "{error}"
    );
}

#[test]
fn a_weight_moves_the_decision_to_its_class() {
    let (matrix, _) = rows(400);
    let labels: Vec<u32> = (0..400).map(|row| u32::from(row % 10 == 0)).collect();
    let share = |weight: Value| {
        let given = json!({"n_estimators": 20, "max_depth": 2, "class_weight": weight});
        let outcome = fit("random_forest", given, &matrix, &labels, 2).expect("fitted");
        match outcome.estimator.predict(&matrix, 400).expect("prediction") {
            Prediction::Classes { labels, .. } => labels.iter().filter(|label| **label == 1).count(),
            Prediction::Values(_) => 0,
        }
    };
    assert!(share(json!(null)) < share(json!("balanced")));
    assert!(share(json!({"1": 1000.0})) > 350);
}

#[test]
fn a_regression_forest_averages() {
    let matrix: Vec<f32> = (0..300).flat_map(|row| [row as f32, 0.0, 0.0]).collect();
    let values: Vec<f64> = (0..300).map(|row| 1e6 + f64::from(row) * 10.0).collect();
    let columns = names(3);
    let view = FeatureMatrix { rows: 300, columns: 3, values: &matrix, names: &columns };
    let trainer = trainer("random_forest", Task::Regression, &Params::new()).expect("params");
    let outcome = trainer.fit(&view, &Targets::Values(&values), 1).expect("fitted");
    let Prediction::Values(found) = outcome.estimator.predict(&matrix, 300).expect("prediction") else {
        panic!("values");
    };
    let worst =
        found.iter().zip(&values).map(|(found, value)| (f64::from(*found) - value).abs()).fold(0.0, f64::max);
    assert!(worst < 100.0, "{worst}");
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let cases = [
        ("random_forest", json!({"n_estimator": 3}), "did you mean `n_estimators`?"),
        (
            "random_forest",
            json!({"n_estimators": 0}),
            "params.n_estimators: `0` is not a whole number from 1",
        ),
        ("random_forest", json!({"criterion": "mse"}), "one of gini, entropy, log_loss"),
        ("random_forest", json!({"random_state": 1}), "the pipeline's `seed` is used"),
        ("random_forest", json!({"max_features": 1.5}), "params.max_features"),
        ("logistic_regression", json!({"C": -1}), "params.C: `-1` is not a number above 0"),
        ("random_forrest", json!({}), "did you mean `random_forest`?"),
    ];
    for (algorithm, given, message) in cases {
        let error =
            trainer(algorithm, Task::Classification, &params(given)).expect_err("refused").to_string();
        assert!(error.contains(message), "{message} not in {error}");
    }
    assert!(trainer("logistic_regression", Task::Regression, &Params::new()).is_err());
    let (matrix, labels) = rows(10);
    let error = fit("random_forest", json!({"class_weight": {"x": 2.0}}), &matrix, &labels, 3)
        .expect_err("no class x");
    assert!(error.to_string().contains("there is 0, 1, 2"), "{error}");
    assert!(fit("random_forest", json!({}), &matrix, &[0; 10], 3).is_err());
    assert!(fit("random_forest", json!({}), &[], &[], 3).is_err());
}
