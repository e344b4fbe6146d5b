//! Input that is hard or wrong, and what must not change a model.

mod targets;
mod weights;

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, LearnError, Targets, trainer};
use modelgate_model::Prediction;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every algorithm of trees and linear models, with settings under which it fits exactly where it can.
const CLASSIFIERS: [(&str, &str); 8] = [
    (
        "gradient_boosting",
        r#"{"n_estimators": 60, "min_samples_leaf": 1, "min_sum_hessian_in_leaf": 0, "learning_rate": 0.5}"#,
    ),
    ("gradient_boosting", r#"{"n_estimators": 5, "class_weight": "balanced", "max_depth": 2}"#),
    ("random_forest", r#"{"n_estimators": 5}"#),
    (
        "random_forest",
        r#"{"n_estimators": 3, "bootstrap": false, "criterion": "entropy", "max_leaf_nodes": 9}"#,
    ),
    ("decision_tree", "{}"),
    ("logistic_regression", "{}"),
    ("logistic_regression", r#"{"class_weight": "balanced"}"#),
    ("logistic_regression", r#"{"solver": "lbfgs"}"#),
];

const REGRESSORS: [(&str, &str); 6] = [
    ("gradient_boosting", r#"{"n_estimators": 60, "min_samples_leaf": 1, "learning_rate": 0.5}"#),
    ("gradient_boosting", r#"{"n_estimators": 20, "min_samples_leaf": 1, "loss": "absolute_error"}"#),
    ("random_forest", r#"{"n_estimators": 5}"#),
    ("decision_tree", "{}"),
    ("ridge", "{}"),
    ("linear_regression", "{}"),
];

/// Returns whether an algorithm gives the same bits for rows in any order and beside a constant column.
fn is_of_trees(algorithm: &str) -> bool {
    ["gradient_boosting", "random_forest", "decision_tree"].contains(&algorithm)
}

/// A table of one task.
#[derive(Clone, Debug)]
struct Data {
    columns: usize,
    values: Vec<f32>,
    labels: Vec<u32>,
    numbers: Vec<f64>,
    weights: Option<Vec<f64>>,
    classification: bool,
}

impl Data {
    fn classes(columns: usize, values: Vec<f32>, labels: Vec<u32>) -> Self {
        Self { columns, values, labels, numbers: Vec::new(), weights: None, classification: true }
    }

    fn numbers(columns: usize, values: Vec<f32>, numbers: Vec<f64>) -> Self {
        Self { columns, values, labels: Vec::new(), numbers, weights: None, classification: false }
    }

    fn rows(&self) -> usize {
        self.labels.len().max(self.numbers.len())
    }

    fn algorithms(&self) -> Vec<(&'static str, &'static str)> {
        if self.classification { CLASSIFIERS.to_vec() } else { REGRESSORS.to_vec() }
    }

    fn take(&self, rows: &[usize]) -> Self {
        Self {
            columns: self.columns,
            values: rows
                .iter()
                .flat_map(|row| self.values[row * self.columns..][..self.columns].to_vec())
                .collect(),
            labels: rows.iter().filter_map(|row| self.labels.get(*row).copied()).collect(),
            numbers: rows.iter().filter_map(|row| self.numbers.get(*row).copied()).collect(),
            weights: self.weights.as_ref().map(|weights| rows.iter().map(|row| weights[*row]).collect()),
            classification: self.classification,
        }
    }

    fn fit(&self, algorithm: &str, params: &str) -> Result<FitOutcome, LearnError> {
        let params: BTreeMap<String, Value> = serde_json::from_str(params).expect("params");
        let task = if self.classification { Task::Classification } else { Task::Regression };
        let trainer = trainer(algorithm, task, &params).expect("a trainer");
        let names: Vec<String> = (0..self.columns).map(|column| format!("x{column}")).collect();
        let rows = self.rows();
        let matrix = FeatureMatrix { rows, columns: self.columns, values: &self.values, names: &names };
        let classes = self.labels.iter().max().map_or(0, |most| *most as usize + 1);
        let class_names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        let targets = if self.classification {
            Targets::Classes { labels: &self.labels, classes, names: &class_names }
        } else {
            Targets::Values(&self.numbers)
        };
        trainer.fit_weighted(&matrix, &targets, self.weights.as_deref(), 42)
    }
}

fn answers(outcome: &FitOutcome, values: &[f32]) -> Vec<f32> {
    let rows = values.len() / outcome.estimator.features();
    outcome.estimator.validate().expect("a valid model");
    let found = match outcome.estimator.predict(values, rows).expect("answers") {
        Prediction::Classes { probabilities, .. } => probabilities,
        Prediction::Values(values) => values,
    };
    assert!(found.iter().all(|value| value.is_finite()), "{found:?}");
    found
}

/// Numbers from 0 to below 1.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// A table of each task with the same features, of which the first two count.
fn both(rows: usize, columns: usize, seed: u64) -> [Data; 2] {
    let values = noise(rows * columns, seed);
    let signal = |row: &[f32]| f64::from(row[0]) - f64::from(row[1 % columns]) * 0.5;
    let numbers: Vec<f64> = values.chunks_exact(columns).map(signal).collect();
    let wobble = noise(rows, seed ^ 1);
    let labels = numbers
        .iter()
        .zip(&wobble)
        .map(|(number, wobble)| u32::from(number + f64::from(*wobble) * 0.3 > 0.4));
    [Data::classes(columns, values.clone(), labels.collect()), Data::numbers(columns, values, numbers)]
}

#[test]
fn constant_features_and_duplicated_rows_are_no_matter() {
    for mut data in both(60, 3, 5) {
        for row in data.values.chunks_exact_mut(3) {
            row[2] = 7.5;
        }
        let twice: Vec<usize> = (0..60).chain(0..60).collect();
        let data = data.take(&twice);
        for (algorithm, params) in data.algorithms() {
            let outcome = data.fit(algorithm, params).expect("fitted");
            let found = answers(&outcome, &data.values);
            assert_eq!(found[..found.len() / 2], found[found.len() / 2..], "{algorithm}");
        }
    }
}

#[test]
fn nothing_but_constants_gives_the_mean_or_the_shares() {
    let classes = Data::classes(2, vec![3.0; 20], vec![0, 1, 1, 1, 0, 1, 1, 1, 1, 1]);
    for (algorithm, params) in [("decision_tree", "{}"), ("logistic_regression", "{}")] {
        let found = answers(&classes.fit(algorithm, params).expect("fitted"), &[3.0, 3.0]);
        assert!((found[1] - 0.8).abs() < 1e-6, "{algorithm} {found:?}");
    }
    let numbers = Data::numbers(2, vec![3.0; 8], vec![1.0, 2.0, 3.0, 6.0]);
    let whole = |(algorithm, _): &(&str, &str)| *algorithm != "random_forest";
    for (algorithm, params) in REGRESSORS.into_iter().filter(whole) {
        let outcome = numbers.fit(algorithm, params).expect("fitted");
        let middle = if params.contains("absolute_error") { 2.5 } else { 3.0 };
        assert_eq!(answers(&outcome, &[3.0, 3.0]), [middle], "{algorithm}");
        let told = outcome.warnings.iter().any(|warning| warning.contains("rank 0 of 2"));
        assert_eq!(told, algorithm == "linear_regression", "{:?}", outcome.warnings);
    }
}

#[test]
fn a_feature_that_is_missing_everywhere_is_left_out_by_trees_and_named_by_linear_models() {
    for mut data in both(50, 3, 6) {
        data.values.chunks_exact_mut(3).for_each(|row| row[1] = f32::NAN);
        for (algorithm, params) in data.algorithms() {
            match data.fit(algorithm, params) {
                Ok(outcome) => {
                    assert!(["gradient_boosting", "random_forest", "decision_tree"].contains(&algorithm));
                    assert_eq!(outcome.details["feature_importances"]["x1"], json!(0.0));
                    let _ = answers(&outcome, &data.values);
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("column `x1` has a missing value in training row 1"), "{error}");
                }
            }
        }
    }
}

#[test]
fn one_row_is_enough_for_a_number_and_not_for_a_class() {
    let one = Data::numbers(2, vec![1.0, 2.0], vec![5.0]);
    for (algorithm, params) in REGRESSORS {
        assert_eq!(answers(&one.fit(algorithm, params).expect("fitted"), &[1.0, 2.0]), [5.0], "{algorithm}");
    }
    let one = Data::classes(2, vec![1.0, 2.0], vec![0]);
    for (algorithm, params) in CLASSIFIERS {
        let error = one.fit(algorithm, params).expect_err("one class").to_string();
        assert!(error.contains("one class only"), "{error}");
    }
    let two = Data::classes(2, vec![1.0, 2.0, 3.0, 4.0], vec![0, 1]);
    for (algorithm, params) in CLASSIFIERS {
        let _ = answers(&two.fit(algorithm, params).expect("fitted"), &two.values);
    }
}

#[test]
fn more_features_than_rows_fit_exactly_or_with_the_penalty() {
    for data in both(12, 40, 7) {
        for (algorithm, params) in data.algorithms() {
            let outcome = data.fit(algorithm, params).expect("fitted");
            let found = answers(&outcome, &data.values);
            if ["linear_regression", "decision_tree"].contains(&algorithm) && !data.classification {
                for (found, number) in found.iter().zip(&data.numbers) {
                    assert!((f64::from(*found) - number).abs() < 1e-5, "{algorithm}: {found} {number}");
                }
            }
            let deficient = algorithm == "linear_regression";
            assert_eq!(outcome.warnings.iter().any(|text| text.contains("rank 11 of 40")), deficient);
        }
    }
}

#[test]
fn separable_classes_converge_with_the_penalty_and_are_told_without() {
    let values: Vec<f32> = (0..40).map(|row| row as f32).collect();
    let data = Data::classes(1, values.clone(), (0..40).map(|row| u32::from(row >= 20)).collect());
    for solver in ["newton-cholesky", "lbfgs"] {
        let with = data.fit("logistic_regression", &format!(r#"{{"solver": "{solver}"}}"#)).expect("fitted");
        assert_eq!((&with.details["converged"], with.warnings.len()), (&json!(true), 0), "{solver}");
        let params = format!(r#"{{"solver": "{solver}", "C": 1e7, "max_iter": 500}}"#);
        let loose = data.fit("logistic_regression", &params).expect("fitted");
        assert!(
            loose.warnings.iter().any(|text| text.contains("comes from `C` (10000000) alone")),
            "{loose:?}"
        );
        let params = format!(r#"{{"solver": "{solver}", "penalty": null, "max_iter": 500}}"#);
        let without = data.fit("logistic_regression", &params).expect("fitted");
        assert!(
            without.warnings.iter().any(|text| text.contains("separate the classes perfectly")),
            "{solver}"
        );
        let found = answers(&without, &values);
        assert!(
            found.chunks_exact(2).zip(&data.labels).all(|(pair, label)| (pair[1] > 0.5) == (*label == 1))
        );
    }
}

#[test]
fn too_few_iterations_are_a_warning_with_what_to_do() {
    let [data, _] = both(400, 4, 9);
    let outcome = data.fit("logistic_regression", r#"{"solver": "lbfgs", "max_iter": 2}"#).expect("fitted");
    assert_eq!(outcome.details["converged"], json!(false));
    assert!(outcome.warnings[0].contains("did not converge in 2 iterations"), "{:?}", outcome.warnings);
    assert!(outcome.warnings[0].contains("raise `max_iter`"));
}

#[test]
fn a_batch_gets_the_bits_of_its_rows_one_by_one() {
    for data in both(200, 4, 31) {
        for (algorithm, params) in data.algorithms() {
            let outcome = data.fit(algorithm, params).expect("fitted");
            let batch = answers(&outcome, &data.values);
            let single: Vec<f32> =
                data.values.chunks_exact(4).flat_map(|row| answers(&outcome, row)).collect();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&batch), bits(&single), "{algorithm} {params}");
        }
    }
}

#[test]
fn wide_data_are_solved_by_the_method_for_wide_data() {
    let of = |columns: usize| {
        let [data, _] = both(60, columns, 32);
        let outcome = data.fit("logistic_regression", "{}").expect("fitted");
        assert_eq!(outcome.details["converged"], json!(true), "{columns} columns");
        outcome.details["solver"].clone()
    };
    assert_eq!((of(300), of(500)), (json!("newton-cholesky"), json!("lbfgs")));
}

#[test]
fn denormal_values_are_told_apart_by_trees() {
    let values: Vec<f32> = (1..=200).map(f32::from_bits).collect();
    let odd: Vec<u32> = (1..=200).map(|value| value % 2).collect();
    let mut numbers: Vec<f64> = odd.iter().map(|odd| f64::from(*odd) * 3.0).collect();
    for (algorithm, params) in [
        ("decision_tree", "{}"),
        ("random_forest", r#"{"n_estimators": 3, "bootstrap": false}"#),
        (
            "gradient_boosting",
            r#"{"n_estimators": 1, "learning_rate": 1.0, "min_samples_leaf": 1, "max_leaf_nodes": null}"#,
        ),
    ] {
        let data = Data::numbers(1, values.clone(), numbers);
        let found = answers(&data.fit(algorithm, params).expect("fitted"), &values);
        for (found, odd) in found.iter().zip(&odd) {
            assert!((found - *odd as f32 * 3.0).abs() < 1e-5, "{algorithm}: {found} {odd}");
        }
        numbers = data.numbers;
    }
}

#[test]
fn values_at_the_ends_of_f32_are_learned_from() {
    for scale in [f32::MAX / 2.0, f32::MIN_POSITIVE, 1e-42] {
        for mut data in both(60, 2, 13) {
            data.values.iter_mut().for_each(|value| *value = (*value - 0.5) * scale);
            for (algorithm, params) in data.algorithms() {
                let found = answers(&data.fit(algorithm, params).expect("fitted"), &data.values);
                assert!(found.len() >= 60, "{algorithm}");
            }
        }
    }
}

#[test]
fn infinities_are_values_to_trees_and_errors_of_linear_models() {
    for mut data in both(60, 2, 14) {
        // What a CSV has as 1e300 is an infinity in f32.
        data.values[2] = 1e300_f64 as f32;
        data.values[5] = f32::NEG_INFINITY;
        for (algorithm, params) in data.algorithms() {
            match data.fit(algorithm, params) {
                Ok(outcome) => {
                    assert!(["gradient_boosting", "random_forest", "decision_tree"].contains(&algorithm));
                    let _ = answers(&outcome, &data.values);
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        error.contains("column `x0` has a value beyond 3.4e38 in training row 2"),
                        "{error}"
                    );
                }
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let wrong = Data::numbers(3, vec![1.0; 8], vec![1.0, 2.0, 3.0]);
    for (algorithm, params) in REGRESSORS {
        let error = wrong.fit(algorithm, params).expect_err("refused").to_string();
        assert!(error.contains("8 values and 3 targets are not 3 rows of 3 features"), "{error}");
    }
    let empty = Data::numbers(3, Vec::new(), Vec::new());
    assert!(empty.fit("ridge", "{}").is_err());
}

#[test]
fn the_number_of_threads_changes_no_bit_of_any_model() {
    // Several chunks, histogram splits, and for some the exact ones.
    for rows in [500, 20_000] {
        for data in both(rows, 6, 15) {
            for (algorithm, params) in data.algorithms() {
                let fitted = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                    let outcome = pool.install(|| data.fit(algorithm, params)).expect("fitted");
                    let estimator = serde_json::to_string(&outcome.estimator).expect("JSON");
                    (estimator, serde_json::to_string(&outcome.details).expect("JSON"))
                };
                let one = fitted(1);
                for threads in [2, 3, 8] {
                    assert_eq!(one, fitted(threads), "{algorithm} {params} {threads}");
                }
            }
        }
    }
}

#[test]
fn an_out_of_bag_score_needs_rows_that_were_left_out() {
    let [data, _] = both(200, 3, 16);
    let outcome = data.fit("random_forest", r#"{"oob_score": true, "n_estimators": 50}"#).expect("fitted");
    assert!(outcome.details["oob_score"].as_f64().expect("a score") > 0.7);
    assert_eq!((outcome.details["oob_rows"].clone(), outcome.warnings.len()), (json!(200), 0));
    let outcome = data.fit("random_forest", r#"{"oob_score": true, "n_estimators": 1}"#).expect("fitted");
    assert!(outcome.warnings[0].contains("have no out-of-bag score: raise `n_estimators`"));
    let params =
        BTreeMap::from([("oob_score".to_owned(), json!(true)), ("bootstrap".to_owned(), json!(false))]);
    let error = trainer("random_forest", Task::Classification, &params).expect_err("refused").to_string();
    assert!(error.contains("params.oob_score: it needs `bootstrap: true`"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_rows_changes_no_prediction(
        rows in 20_usize..200, columns in 1_usize..6, seed in any::<u64>(), rounded in any::<bool>(),
    ) {
        for mut data in both(rows, columns, seed) {
            if rounded {
                // Ties and duplicated rows.
                data.values.iter_mut().for_each(|value| *value = (*value * 4.0).round());
            }
            if data.classification && data.labels.iter().all(|label| *label == data.labels[0]) {
                continue;
            }
            let mut order: Vec<usize> = (0..rows).collect();
            order.sort_by_key(|row| (*row as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let other = data.take(&order);
            for (algorithm, params) in data.algorithms() {
                let one = answers(&data.fit(algorithm, params).expect("fitted"), &data.values);
                let two = answers(&other.fit(algorithm, params).expect("fitted"), &data.values);
                if is_of_trees(algorithm) {
                    prop_assert_eq!(&one, &two, "{} {}", algorithm, params);
                }
                // Sums in another order; of L-BFGS, ended within its tolerance.
                let loose = if params.contains("lbfgs") { 1e-3 } else { 2e-5 };
                for (one, two) in one.iter().zip(&two) {
                    prop_assert!((one - two).abs() <= loose, "{} {}: {} {}", algorithm, params, one, two);
                }
            }
        }
    }

    #[test]
    fn a_constant_feature_changes_nothing(
        rows in 20_usize..120, columns in 1_usize..5, seed in any::<u64>(), place in 0_usize..5, constant in -9_f32..9.0,
    ) {
        for data in both(rows, columns, seed) {
            if data.classification && data.labels.iter().all(|label| *label == data.labels[0]) {
                continue;
            }
            let place = place.min(columns);
            let mut wider = Data { columns: columns + 1, values: Vec::new(), ..data.clone() };
            for row in data.values.chunks_exact(columns) {
                wider.values.extend_from_slice(&row[..place]);
                wider.values.push(constant);
                wider.values.extend_from_slice(&row[place..]);
            }
            for (algorithm, params) in data.algorithms() {
                let one = answers(&data.fit(algorithm, params).expect("fitted"), &data.values);
                let two = answers(&wider.fit(algorithm, params).expect("fitted"), &wider.values);
                if is_of_trees(algorithm) {
                    prop_assert_eq!(&one, &two, "{} {}", algorithm, params);
                }
                for (one, two) in one.iter().zip(&two) {
                    prop_assert!((one - two).abs() <= 2e-5, "{} {}: {} {}", algorithm, params, one, two);
                }
            }
        }
    }
}

#[test]
fn lbfgs_reaches_the_minimum_whatever_the_units_of_features() {
    let (rows, columns) = (600, 12);
    let scale = |column: usize| 10_f32.powi(column as i32 % 6 - 3);
    let values: Vec<f32> =
        noise(rows * columns, 42).iter().enumerate().map(|(at, value)| value * scale(at % columns)).collect();
    let labels =
        values.chunks_exact(columns).map(|row| u32::from(row[5] + row[11] + 3e4 * row[0] > 115.0)).collect();
    let data = Data::classes(columns, values, labels);
    let of = |solver: &str| {
        data.fit("logistic_regression", &format!(r#"{{"solver": "{solver}"}}"#)).expect("fitted")
    };
    let (newton, lbfgs) = (of("newton-cholesky"), of("lbfgs"));
    let objective = |outcome: &FitOutcome| outcome.details["objective"].as_f64().expect("a number");
    assert_eq!(lbfgs.details["converged"], json!(true), "{lbfgs:?}");
    assert!(objective(&lbfgs) < objective(&newton) * 1.0001, "{} {}", objective(&lbfgs), objective(&newton));
}
