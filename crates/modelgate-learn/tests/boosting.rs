//! Gradient boosting through its seam: what it learns, what it keeps to, what must not change it.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, LearnError, Targets, Validation, trainer};
use modelgate_model::Prediction;
use modelgate_model::estimator::{Boosted, Estimator};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Numbers from 0 to 1.
fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("x{at}")).collect()
}

fn params(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).expect("params")
}

fn view<'a>(values: &'a [f32], columns: usize, names: &'a [String]) -> FeatureMatrix<'a> {
    FeatureMatrix { rows: values.len() / columns, columns, values, names }
}

fn fit_classes(
    given: Value,
    values: &[f32],
    columns: usize,
    labels: &[u32],
    classes: usize,
    weights: Option<&[f64]>,
) -> Result<FitOutcome, LearnError> {
    let trainer =
        trainer("gradient_boosting", Task::Classification, &params(given)).expect("the settings are right");
    let (columns_names, class_names) = (names(columns), names(classes));
    let targets = Targets::Classes { labels, classes, names: &class_names };
    trainer.fit_weighted(&view(values, columns, &columns_names), &targets, weights, 42)
}

fn fit_values(
    given: Value,
    values: &[f32],
    columns: usize,
    numbers: &[f64],
) -> Result<FitOutcome, LearnError> {
    let trainer =
        trainer("gradient_boosting", Task::Regression, &params(given)).expect("the settings are right");
    let columns_names = names(columns);
    trainer.fit(&view(values, columns, &columns_names), &Targets::Values(numbers), 42)
}

fn boosted(outcome: &FitOutcome) -> &Boosted {
    match &outcome.estimator {
        Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted) => boosted,
        _ => panic!("no boosted trees"),
    }
}

fn answers(estimator: &Estimator, values: &[f32]) -> Vec<f32> {
    match estimator.predict(values, values.len() / estimator.features()).expect("prediction") {
        Prediction::Classes { probabilities, .. } => probabilities,
        Prediction::Values(values) => values,
    }
}

/// Rows of `columns` features with a target that bends in the first three.
fn bent(rows: usize, columns: usize, seed: u64) -> (Vec<f32>, Vec<f64>) {
    let values = uniform(rows * columns, seed);
    let target = |row: &[f32]| {
        let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
        10.0 * (row[0] - 0.5) * (row[1] - 0.5) + if row[2] > 0.7 { 2.0 } else { row[2] }
    };
    let numbers = values.chunks_exact(columns).map(target).collect();
    (values, numbers)
}

#[test]
fn a_bent_function_is_learned() {
    let (values, numbers) = bent(6000, 5, 1);
    let cut = 4000;
    let outcome = fit_values(json!({}), &values[..cut * 5], 5, &numbers[..cut]).expect("fitted");
    let found = answers(&outcome.estimator, &values[cut * 5..]);
    let mean = numbers[cut..].iter().sum::<f64>() / 2000.0;
    let error: f64 =
        found.iter().zip(&numbers[cut..]).map(|(found, value)| (f64::from(*found) - value).powi(2)).sum();
    let spread: f64 = numbers[cut..].iter().map(|value| (value - mean).powi(2)).sum();
    assert!(1.0 - error / spread > 0.98, "{}", 1.0 - error / spread);
    let importance = &outcome.details["feature_importances"];
    assert!(importance["x0"].as_f64() > importance["x3"].as_f64(), "{importance}");
}

#[test]
fn classes_are_learned_two_or_three() {
    let (values, numbers) = bent(6000, 5, 2);
    for classes in [2_u32, 3] {
        let labels: Vec<u32> = numbers
            .iter()
            .map(|value| u32::from(*value > 0.5) + u32::from(classes == 3 && *value > 1.5))
            .collect();
        let cut = 4000;
        let outcome = fit_classes(json!({}), &values[..cut * 5], 5, &labels[..cut], classes as usize, None)
            .expect("fitted");
        let Prediction::Classes { labels: found, probabilities } =
            outcome.estimator.predict(&values[cut * 5..], 2000).expect("prediction")
        else {
            panic!("classes");
        };
        let right = found.iter().zip(&labels[cut..]).filter(|(found, label)| found == label).count();
        assert!(right > 1900, "{right} of 2000, {classes} classes");
        let sums = probabilities.chunks_exact(classes as usize).map(|row| row.iter().sum::<f32>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Enough rows for a node to be divided among threads.
    let (values, numbers) = bent(40_000, 5, 3);
    let labels: Vec<u32> = numbers.iter().map(|value| u32::from(*value > 0.5)).collect();
    let three: Vec<u32> =
        numbers.iter().map(|value| u32::from(*value > 0.5) + u32::from(*value > 1.5)).collect();
    let fitted = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let given = || json!({"n_estimators": 4, "subsample": 0.8, "max_features": 0.7});
            let two = fit_classes(json!({"n_estimators": 6}), &values, 5, &labels, 2, None);
            let three = fit_classes(given(), &values[..50_000], 5, &three[..10_000], 3, None);
            let numbers = fit_values(given(), &values, 5, &numbers);
            [two, three, numbers]
                .map(|outcome| serde_json::to_string(&outcome.expect("fitted").estimator).expect("json"))
        })
    };
    let one = fitted(1);
    for threads in [2, 3, 8] {
        assert!(one == fitted(threads), "{threads} threads");
    }
}

#[test]
fn limits_hold_on_true_counts() {
    let (values, numbers) = bent(3000, 4, 4);
    let labels: Vec<u32> = numbers.iter().map(|value| u32::from(*value > 1.9)).collect();
    let given = json!({"n_estimators": 20, "max_leaf_nodes": 9, "max_depth": 4, "min_samples_leaf": 37});
    // Rows count as rows, whatever they weigh.
    let weights: Vec<f64> = (0..3000).map(|row| [0.01, 1.0, 40.0][row % 3]).collect();
    let fitted = [None, Some(&weights[..])]
        .map(|weights| fit_classes(given.clone(), &values, 4, &labels, 2, weights).expect("fitted"));
    for tree in fitted.iter().flat_map(|outcome| &boosted(outcome).trees) {
        let mut counts = vec![0_u32; tree.values.len()];
        values.chunks_exact(4).for_each(|row| counts[tree.leaf(row)] += 1);
        assert!(counts.len() <= 9 && counts.iter().all(|count| *count >= 37), "{counts:?}");
        let mut depth = vec![0; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            depth[node.left as usize] = depth[at] + 1;
            depth[node.right as usize] = depth[at] + 1;
        }
        assert!(depth.iter().all(|depth| *depth <= 4));
        for (node, cover) in tree.nodes.iter().zip(&tree.covers).filter(|(node, _)| node.is_leaf()) {
            assert_eq!(counts[node.left as usize] as f32, *cover);
        }
    }
}

#[test]
fn missing_values_go_where_they_belong() {
    // What is missing behaves as small values in one feature, as large ones in the other.
    for (like_small, seed) in [(true, 5), (false, 6)] {
        let mut values = uniform(2000, seed);
        let numbers: Vec<f64> = values.iter().map(|value| if *value > 0.5 { 3.0 } else { -3.0 }).collect();
        for value in values.iter_mut().filter(|value| (**value < 0.2) == like_small && **value < 0.8) {
            if like_small || *value > 0.6 {
                *value = f32::NAN;
            }
        }
        let outcome = fit_values(json!({"n_estimators": 50}), &values, 1, &numbers).expect("fitted");
        let found = answers(&outcome.estimator, &[f32::NAN, 0.3, 0.9]);
        let expected = if like_small { -3.0 } else { 3.0 };
        assert!((found[0] - expected).abs() < 0.1, "{found:?}");
        assert!((found[1] + 3.0).abs() < 0.1 && (found[2] - 3.0).abs() < 0.1, "{found:?}");
    }
}

#[test]
fn sets_of_categories_are_split_at_once() {
    // Odd categories are high: no threshold helps, one set does.
    let values: Vec<f32> = uniform(4000, 7).iter().map(|value| (value * 40.0).floor()).collect();
    let numbers: Vec<f64> = values.iter().map(|value| f64::from(*value % 2.0) * 4.0).collect();
    let given =
        json!({"n_estimators": 1, "learning_rate": 1.0, "max_leaf_nodes": 2, "categorical_features": ["x0"]});
    let outcome = fit_values(given, &values, 1, &numbers).expect("fitted");
    let found = answers(&outcome.estimator, &values[..1000]);
    let right = found.iter().zip(&numbers).all(|(found, value)| (f64::from(*found) - value).abs() < 1e-6);
    assert!(right, "{:?}", &found[..10]);
    // What training did not see goes somewhere, the same way each time.
    let unseen = [-1.0, 41.0, 1e9, f32::NAN, f32::INFINITY];
    assert!(answers(&outcome.estimator, &unseen).iter().all(|value| value.is_finite()));
    let shares = boosted(&outcome).shares(&[7.0]).expect("shares");
    assert!((shares.base[0] + shares.features[0] - 4.0).abs() < 1e-5, "{shares:?}");
}

#[test]
fn too_many_categories_share_a_bin_and_it_is_said() {
    let values: Vec<f32> = (0..3000).map(|row| (row % 600) as f32).collect();
    let numbers: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    let given = json!({"n_estimators": 5, "categorical_features": ["x0"], "min_samples_leaf": 1});
    let outcome = fit_values(given, &values, 1, &numbers).expect("fitted");
    assert!(
        outcome.warnings[0].contains("the 346 rarest categories of `x0` share one bin"),
        "{:?}",
        outcome.warnings
    );
    let wrong = fit_values(json!({"categorical_features": ["x0"]}), &[0.5; 40], 1, &[1.0; 40]);
    let error = wrong.expect_err("no category").to_string();
    assert!(error.contains("`x0` has the value 0.5 in training row 1"), "{error}");
}

#[test]
fn early_stopping_keeps_the_best_round() {
    let (values, mut numbers) = bent(1200, 4, 8);
    // Noise that can be learned by heart only.
    uniform(1200, 9).iter().zip(&mut numbers).for_each(|(noise, value)| *value += f64::from(*noise) * 8.0);
    let given = json!({
        "n_estimators": 400, "early_stopping": true, "n_iter_no_change": 15, "min_samples_leaf": 3, "learning_rate": 0.3
    });
    let trainer = trainer("gradient_boosting", Task::Regression, &params(given.clone())).expect("settings");
    assert!(trainer.wants_validation());
    let columns = names(4);
    let (train, held) = (view(&values[..3200], 4, &columns), view(&values[3200..], 4, &columns));
    let held_out = Validation { matrix: &held, targets: &Targets::Values(&numbers[800..]), weights: None };
    let outcome =
        trainer.fit_validated(&train, &Targets::Values(&numbers[..800]), None, held_out, 1).expect("fitted");
    let (best, rounds) = (outcome.details["best_round"].as_u64(), outcome.details["rounds"].as_u64());
    assert_eq!(best.map(|best| best + 15), rounds);
    assert_eq!(Some(boosted(&outcome).trees.len() as u64), best);
    // Importances are of the rounds that were kept.
    let mut splits = [0_u64; 4];
    for node in boosted(&outcome).trees.iter().flat_map(|tree| &tree.nodes).filter(|node| !node.is_leaf()) {
        splits[node.column()] += 1;
    }
    for (column, count) in splits.iter().enumerate() {
        assert_eq!(outcome.details["feature_splits"][format!("x{column}")], json!(count));
    }
    let loss = |estimator: &Estimator| {
        let found = answers(estimator, held.values);
        found
            .iter()
            .zip(&numbers[800..])
            .map(|(found, value)| (f64::from(*found) - value).powi(2))
            .sum::<f64>()
    };
    let all = fit_values(
        json!({"n_estimators": 400, "min_samples_leaf": 3, "learning_rate": 0.3}),
        train.values,
        4,
        &numbers[..800],
    );
    assert!(loss(&outcome.estimator) < loss(&all.expect("fitted").estimator));
    // The loss is told in units of the target.
    let told = outcome.details["validation_loss"].as_f64().expect("a loss");
    let mean = loss(&outcome.estimator) / 400.0;
    assert!((told - mean).abs() < 1e-4 * mean, "{told} {mean}");
    // Without validation rows a share of the training rows is held out.
    let alone = fit_values(given, &values, 4, &numbers).expect("fitted");
    assert!(alone.details["best_round"].as_u64() < Some(400));
}

#[test]
fn a_split_of_numbers_from_missing_values_is_a_number_too() {
    // What is missing is all there is to learn: every number goes left.
    let values: Vec<f32> = (0..400).map(|row| if row % 3 == 0 { f32::NAN } else { row as f32 }).collect();
    let numbers: Vec<f64> = (0..400).map(|row| if row % 3 == 0 { 5.0 } else { 0.0 }).collect();
    let outcome = fit_values(json!({"n_estimators": 5}), &values, 1, &numbers).expect("fitted");
    let text = serde_json::to_string(&outcome.estimator).expect("JSON");
    let again: Estimator = serde_json::from_str(&text).expect("an estimator, which has no infinity");
    assert_eq!(again, outcome.estimator);
    let found = answers(&again, &[f32::NAN, 0.0, f32::MAX, f32::MIN]);
    assert!(found[0] > found[1] + 1.0 && found[1] == found[2] && found[1] == found[3], "{found:?}");
}

#[test]
fn a_category_that_training_did_not_see_goes_where_most_rows_go() {
    // Eight categories with effects from −4 to 3, of which the largest has nine rows in ten.
    let values: Vec<f32> =
        (0..4000).map(|row| if row % 10 == 0 { (row / 10 % 8) as f32 } else { 5.0 }).collect();
    let numbers: Vec<f64> = values.iter().map(|value| f64::from(*value) - 4.0).collect();
    for sign in [1.0, -1.0] {
        let numbers: Vec<f64> = numbers.iter().map(|number| sign * number).collect();
        let given = json!({"categorical_features": ["x0"], "n_estimators": 50, "min_samples_leaf": 5});
        let outcome = fit_values(given, &values, 1, &numbers).expect("fitted");
        let found = answers(&outcome.estimator, &[5.0, 40.0, f32::NAN, -1.0]);
        assert!((f64::from(found[0]) - sign).abs() < 0.1, "{found:?}");
        assert!(found[1..].iter().all(|other| (other - found[0]).abs() < 0.3), "{found:?}");
    }
}

#[test]
fn monotone_features_do_not_spoil_medians_and_quantiles() {
    let values = uniform(6000, 21);
    let noise = uniform(3000, 22);
    let number = |(row, noise): (&[f32], &f32)| (4.0 * f64::from(row[0]) - f64::from(row[1] + noise)).exp();
    let mut numbers: Vec<f64> = values.chunks_exact(2).zip(&noise).map(number).collect();
    // One outlier makes the unit of the scores.
    numbers[7] = 1e5;
    for (loss, share) in [("absolute_error", 0.5), ("quantile", 0.9)] {
        let fitted = |monotone: bool| {
            let mut given = json!({"loss": loss, "n_estimators": 60});
            if loss == "quantile" {
                given["quantile"] = json!(share);
            }
            if monotone {
                given["monotonic_cst"] = json!({"x0": 1, "x1": -1});
            }
            fit_values(given, &values, 2, &numbers).expect("fitted").estimator
        };
        let error = |estimator: &Estimator| {
            let found = answers(estimator, &values);
            let one = |(found, number): (&f32, &f64)| {
                let under = number - f64::from(*found);
                if under > 0.0 { share * under } else { (share - 1.0) * under }
            };
            found.iter().zip(&numbers).filter(|(_, number)| **number < 1e4).map(one).sum::<f64>() / 3000.0
        };
        let (free, bound) = (fitted(false), fitted(true));
        assert!(error(&bound) < 1.5 * error(&free), "{loss}: {} {}", error(&bound), error(&free));
        let line: Vec<f32> = (0..200).flat_map(|at| [at as f32 / 200.0, 0.4]).collect();
        assert!(answers(&bound, &line).is_sorted(), "{loss}");
        let line: Vec<f32> = (0..200).rev().flat_map(|at| [0.4, at as f32 / 200.0]).collect();
        assert!(answers(&bound, &line).is_sorted(), "{loss}");
    }
}

#[test]
fn what_is_drawn_does_not_depend_on_the_order_of_rows() {
    let (values, numbers) = bent(900, 3, 23);
    let backwards: Vec<f32> = values.chunks_exact(3).rev().flatten().copied().collect();
    let numbers_backwards: Vec<f64> = numbers.iter().rev().copied().collect();
    for given in [
        json!({"subsample": 0.5, "n_estimators": 20}),
        json!({"early_stopping": true, "n_estimators": 60, "learning_rate": 0.5}),
        json!({"subsample": 0.7, "early_stopping": true, "n_estimators": 60, "learning_rate": 0.5}),
    ] {
        let one = fit_values(given.clone(), &values, 3, &numbers).expect("fitted");
        let other = fit_values(given.clone(), &backwards, 3, &numbers_backwards).expect("fitted");
        assert_eq!(one.estimator, other.estimator, "{given}");
    }
}

#[test]
fn settings_that_the_data_do_not_have_are_told_as_settings() {
    for (given, said) in [
        (
            json!({"categorical_features": ["x0x"]}),
            "params.categorical_features: there is no feature `x0x`; did you mean",
        ),
        (json!({"monotonic_cst": {"height": 1}}), "params.monotonic_cst: there is no feature `height`"),
        (json!({"categorical_features": ["colour"]}), "set `preprocess.encode: ordinal`"),
    ] {
        let trainer = trainer("gradient_boosting", Task::Regression, &params(given)).expect("settings");
        let columns: Vec<String> = ["x0", "colour=red", "colour=blue"].map(str::to_owned).to_vec();
        let matrix = view(&[1.0; 60], 3, &columns);
        let error = trainer.fit(&matrix, &Targets::Values(&[1.0; 20]), 1).expect_err("refused");
        assert!(matches!(&error, LearnError::Setting(text) if text.contains(said)), "{error:?}");
        assert!(!error.to_string().ends_with(';'));
    }
}

#[test]
fn rows_of_no_weight_count_nothing() {
    let (values, numbers) = bent(1500, 3, 10);
    let labels: Vec<u32> = numbers.iter().map(|value| u32::from(*value > 0.5)).collect();
    let weights: Vec<f64> = (0..1500).map(|row| if row < 1000 { 1.5 } else { 0.0 }).collect();
    let whole = fit_classes(json!({"n_estimators": 10}), &values, 3, &labels, 2, Some(&weights));
    let part = fit_classes(
        json!({"n_estimators": 10}),
        &values[..3000],
        3,
        &labels[..1000],
        2,
        Some(&weights[..1000]),
    );
    assert_eq!(whole.expect("fitted").estimator, part.expect("fitted").estimator);
}

#[test]
fn a_quantile_has_its_share_below_it() {
    let values = uniform(5000, 11);
    let noise = uniform(5000, 12);
    let numbers: Vec<f64> = values.iter().zip(&noise).map(|(x, noise)| f64::from(x * 5.0 + noise)).collect();
    for share in [0.1, 0.5, 0.9] {
        let given = json!({"loss": "quantile", "quantile": share, "n_estimators": 60});
        let outcome = fit_values(given, &values, 1, &numbers).expect("fitted");
        let found = answers(&outcome.estimator, &values);
        let below = numbers.iter().zip(&found).filter(|(value, found)| **value < f64::from(**found)).count();
        assert!((below as f64 / 5000.0 - share).abs() < 0.02, "{share}: {below}");
    }
}

#[test]
fn a_batch_gets_the_bits_of_its_rows_one_by_one() {
    let (mut values, numbers) = bent(1000, 5, 13);
    values.iter_mut().step_by(17).for_each(|value| *value = f32::NAN);
    for (leaves, weight) in [(31, 1.0), (64, 2.0)] {
        let given = json!({"n_estimators": 21, "max_leaf_nodes": leaves, "min_samples_leaf": 3, "l2_regularization": weight});
        let outcome = fit_values(given, &values, 5, &numbers).expect("fitted");
        let batch = answers(&outcome.estimator, &values);
        let single: Vec<f32> =
            values.chunks_exact(5).flat_map(|row| answers(&outcome.estimator, row)).collect();
        assert_eq!(batch, single);
    }
    // Two classes and several.
    for classes in [2, 3] {
        let labels: Vec<u32> = numbers.iter().map(|value| ((value.abs() * 7.0) as u32) % classes).collect();
        let given = json!({"n_estimators": 21, "min_samples_leaf": 3});
        let outcome = fit_classes(given, &values, 5, &labels, classes as usize, None).expect("fitted");
        let bits =
            |values: &[f32]| match outcome.estimator.predict(values, values.len() / 5).expect("answers") {
                Prediction::Classes { labels, probabilities } => (labels, probabilities),
                Prediction::Values(_) => panic!("classes were learned"),
            };
        let (labels, probabilities) = bits(&values);
        assert_eq!(probabilities.len(), 1000 * classes as usize);
        for (row, values) in values.chunks_exact(5).enumerate() {
            let (label, alone) = bits(values);
            let of_batch = &probabilities[row * classes as usize..(row + 1) * classes as usize];
            assert_eq!((label[0], &alone[..]), (labels[row], of_batch), "{classes} classes, row {row}");
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let regression = [
        (json!({"n_estimators": 10, "max_iter": 10}), "the same as n_estimators"),
        (json!({"quantile": 0.3}), "it needs `loss: quantile`"),
        (json!({"loss": "log_loss"}), "one of squared_error, absolute_error, quantile"),
        (json!({"max_bins": 256}), "a whole number from 2 to 255"),
        (json!({"monotonic_cst": {"x0": 2}}), "a map from feature to -1, 0 or 1"),
        (json!({"monotonic_cst": {"x0": 1}, "categorical_features": ["x0"]}), "`x0` is categorical"),
        (json!({"learning_rat": 0.1}), "did you mean `learning_rate`?"),
    ];
    for (given, message) in regression {
        let error =
            trainer("gradient_boosting", Task::Regression, &params(given)).expect_err("refused").to_string();
        assert!(error.contains(message), "{message} not in {error}");
    }
    let (values, numbers) = bent(100, 3, 14);
    let error = fit_values(json!({"monotonic_cst": {"y": 1}}), &values, 3, &numbers).expect_err("no y");
    assert!(error.to_string().contains("there is no feature `y`"), "{error}");
    let labels: Vec<u32> = (0..100).map(|row| row % 3).collect();
    let error = fit_classes(json!({"monotonic_cst": {"x0": 1}}), &values, 3, &labels, 3, None);
    assert!(error.expect_err("three classes").to_string().contains("more than two classes"));
}

#[test]
fn early_stopping_counts_rows_by_their_weight_and_takes_one_class() {
    let (values, numbers) = bent(1500, 4, 21);
    let labels: Vec<u32> = numbers.iter().map(|value| u32::from(*value > 0.5)).collect();
    let given = json!({"n_estimators": 60, "early_stopping": true, "n_iter_no_change": 5});
    let (columns, classes) = (names(4), names(2));
    let stopped = |rows: std::ops::Range<usize>, wrong: usize, weights: Option<&[f64]>, one_class: bool| {
        let trainer =
            trainer("gradient_boosting", Task::Classification, &params(given.clone())).expect("settings");
        let of = |labels| Targets::Classes { labels, classes: 2, names: &classes };
        let mut held: Vec<u32> = labels[rows.clone()].to_vec();
        // The first `wrong` rows have the other class.
        held.iter_mut().take(wrong).for_each(|label| *label = 1 - *label);
        if one_class {
            held.fill(1);
        }
        let matrix = view(&values[rows.start * 4..rows.end * 4], 4, &columns);
        let validation = Validation { matrix: &matrix, targets: &of(&held), weights };
        let train = view(&values[..4000], 4, &columns);
        trainer.fit_validated(&train, &of(&labels[..1000]), None, validation, 1).expect("fitted").details
    };
    let right = stopped(1200..1500, 0, None, false);
    let weights: Vec<f64> = (0..500).map(|row| if row < 200 { 0.0 } else { 2.5 }).collect();
    let weighted = stopped(1000..1500, 200, Some(&weights), false);
    assert_eq!(right["best_round"], weighted["best_round"]);
    let loss = |details: &BTreeMap<String, Value>| details["validation_loss"].as_f64().expect("a loss");
    assert!((loss(&right) - loss(&weighted)).abs() < 1e-12);
    assert!(loss(&stopped(1000..1500, 200, None, false)) > loss(&right) * 1.5);
    assert!(loss(&stopped(1200..1500, 0, None, true)).is_finite());
}

#[test]
fn validation_rows_that_are_wrong_are_named_as_such() {
    let (values, mut numbers) = bent(100, 3, 22);
    numbers[92] = f64::NAN;
    let trainer = trainer("gradient_boosting", Task::Regression, &params(json!({"early_stopping": true})));
    let trainer = trainer.expect("settings");
    let columns = names(3);
    let train = view(&values[..270], 3, &columns);
    let refused = |held: FeatureMatrix<'_>, numbers: &[f64]| {
        let validation = Validation { matrix: &held, targets: &Targets::Values(numbers), weights: None };
        let found = trainer.fit_validated(&train, &Targets::Values(&[1.0; 90]), None, validation, 1);
        found.expect_err("refused").to_string()
    };
    let error = refused(view(&values[270..], 3, &columns), &numbers[90..]);
    assert!(error.contains("the target of validation row 3 is not finite"), "{error}");
    let error = refused(view(&values[..20], 2, &columns), &[1.0; 10]);
    assert!(error.contains("validation rows: they have 2 features, not 3"), "{error}");
}

#[test]
fn a_leaf_has_the_value_that_the_penalties_give() {
    // 30 rows of 2.0 beside 50 rows of −1.0: the mean is 0.125.
    let values: Vec<f32> = (0..80).map(|row| f32::from(u8::from(row < 30))).collect();
    let numbers: Vec<f64> = (0..80).map(|row| if row < 30 { 2.0 } else { -1.0 }).collect();
    for (l1, l2) in [(0.0, 0.0), (0.0, 4.0), (9.0, 0.0), (5.0, 10.0), (200.0, 0.0)] {
        let given = json!({
            "n_estimators": 1, "learning_rate": 1.0, "max_leaf_nodes": 2, "l1_regularization": l1,
            "l2_regularization": l2
        });
        let outcome = fit_values(given, &values, 1, &numbers).expect("fitted");
        let found = answers(&outcome.estimator, &[1.0, 0.0]);
        for (found, (rows, target)) in found.iter().zip([(30.0, 2.0), (50.0, -1.0)]) {
            let sum: f64 = rows * (target - 0.125);
            let expected = 0.125 + (sum.abs() - l1).max(0.0).copysign(sum) / (rows + l2);
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{l1} {l2}: {found} {expected}");
        }
    }
}

#[test]
fn leaves_have_the_least_hessian_that_is_asked_for_in_regression_too() {
    let (values, numbers) = bent(2000, 3, 23);
    let given = json!({"n_estimators": 10, "min_samples_leaf": 1, "min_sum_hessian_in_leaf": 60.0});
    let outcome = fit_values(given, &values, 3, &numbers).expect("fitted");
    let leaves = boosted(&outcome).trees.iter().flat_map(|tree| tree.nodes.iter().zip(&tree.covers));
    let smallest = leaves.filter(|(node, _)| node.is_leaf()).map(|(_, cover)| *cover).fold(1e9, f32::min);
    assert!((60.0..100.0).contains(&smallest), "{smallest}");
}

#[test]
fn rows_and_features_are_drawn_in_their_shares() {
    let (values, numbers) = bent(1000, 4, 24);
    let given = json!({"n_estimators": 60, "subsample": 0.3, "max_features": 0.5, "max_leaf_nodes": 2, "learning_rate": 0.01});
    let outcome = fit_values(given, &values, 4, &numbers).expect("fitted");
    let trees = &boosted(&outcome).trees;
    assert!(trees.iter().all(|tree| tree.covers[0] == 300.0));
    // Alone, the third feature would be first in every round.
    let share = |column: usize| trees.iter().filter(|tree| tree.nodes[0].column() == column).count();
    assert!((20..=40).contains(&share(2)), "{}", share(2));
    let all = fit_values(
        json!({"n_estimators": 20, "max_leaf_nodes": 2, "learning_rate": 0.01}),
        &values,
        4,
        &numbers,
    );
    assert!(boosted(&all.expect("fitted")).trees.iter().all(|tree| tree.nodes[0].column() == 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn monotone_features_move_the_answer_one_way(seed in 0_u64..1 << 40, sign in prop_oneof![Just(-1), Just(1)]) {
        let (values, mut numbers) = bent(600, 3, seed);
        uniform(600, seed + 1).iter().zip(&mut numbers).for_each(|(noise, value)| *value += f64::from(*noise) * 3.0);
        let given = json!({"n_estimators": 25, "monotonic_cst": {"x0": sign}, "min_samples_leaf": 3});
        let labels: Vec<u32> = numbers.iter().map(|value| u32::from(*value > 2.0)).collect();
        let models = [
            fit_values(given.clone(), &values, 3, &numbers).expect("fitted").estimator,
            fit_classes(given, &values, 3, &labels, 2, None).expect("fitted").estimator,
        ];
        for model in models {
            let width = if matches!(model, Estimator::BoostedClassifier(_)) { 2 } else { 1 };
            for row in values.chunks_exact(3).take(40) {
                let walk: Vec<f32> =
                    (0..=50).flat_map(|step| [step as f32 / 50.0, row[1], row[2]]).collect();
                let found = answers(&model, &walk);
                let found: Vec<f32> = found.chunks_exact(width).map(|row| row[width - 1]).collect();
                let steps = found.windows(2).all(|pair| (pair[1] - pair[0]) * sign as f32 >= -1e-6);
                prop_assert!(steps, "{found:?}");
            }
        }
    }

    #[test]
    fn monotone_features_stay_so_beside_missing_values_categories_and_penalties(
        seed in 0_u64..1 << 40, sign in prop_oneof![Just(-1), Just(1)], l1 in 0_f64..3.0,
    ) {
        let (mut values, mut numbers) = bent(600, 3, seed);
        uniform(600, seed + 1).iter().zip(&mut numbers).for_each(|(noise, value)| *value += f64::from(*noise) * 3.0);
        values.iter_mut().skip(2).step_by(3).for_each(|value| *value = (*value * 9.0).floor());
        values.iter_mut().step_by(5).for_each(|value| *value = f32::NAN);
        let given = json!({
            "n_estimators": 25, "monotonic_cst": {"x0": sign}, "min_samples_leaf": 3, "l1_regularization": l1,
            "l2_regularization": 0.5, "categorical_features": ["x2"]
        });
        let model = fit_values(given, &values, 3, &numbers).expect("fitted").estimator;
        for row in values.chunks_exact(3).take(40) {
            let walk: Vec<f32> = (0..=50).flat_map(|step| [step as f32 / 50.0, row[1], row[2]]).collect();
            let found = answers(&model, &walk);
            let steps = found.windows(2).all(|pair| (pair[1] - pair[0]) * sign as f32 >= -1e-6);
            prop_assert!(steps, "{found:?}");
        }
    }

    #[test]
    fn shares_of_classes_sum_to_their_log_odds(seed in 0_u64..1 << 40, classes in 2_u32..4) {
        let (mut values, numbers) = bent(400, 4, seed);
        values.iter_mut().step_by(7).for_each(|value| *value = f32::NAN);
        let labels: Vec<u32> = numbers
            .iter()
            .map(|value| u32::from(*value > 0.5) + u32::from(classes == 3 && *value > 1.5))
            .collect();
        let outcome = fit_classes(json!({"n_estimators": 12}), &values, 4, &labels, classes as usize, None);
        let outcome = outcome.expect("fitted");
        let found = answers(&outcome.estimator, &values);
        for (row, probabilities) in values.chunks_exact(4).zip(found.chunks_exact(classes as usize)).take(60) {
            let shares = boosted(&outcome).shares(row).expect("shares");
            let sums: Vec<f64> = shares
                .base
                .iter()
                .zip(shares.features.chunks_exact(4))
                .map(|(base, features)| base + features.iter().sum::<f64>())
                .collect();
            // Of two classes the score is the log odds; of more, differences of scores are.
            let odds = |one: usize, other: usize| f64::from(probabilities[one] / probabilities[other]).ln();
            if classes == 2 {
                prop_assert!((sums[0] - odds(1, 0)).abs() < 1e-3, "{sums:?} {probabilities:?}");
            } else {
                prop_assert!((sums[1] - sums[0] - odds(1, 0)).abs() < 1e-3, "{sums:?} {probabilities:?}");
                prop_assert!((sums[2] - sums[0] - odds(2, 0)).abs() < 1e-3, "{sums:?} {probabilities:?}");
            }
        }
    }

    #[test]
    fn shares_sum_to_the_score(seed in 0_u64..1 << 40, missing in any::<bool>()) {
        let (mut values, numbers) = bent(400, 4, seed);
        if missing {
            values.iter_mut().step_by(7).for_each(|value| *value = f32::NAN);
        }
        // One feature as categories.
        values.iter_mut().skip(3).step_by(4).for_each(|value| *value = (*value * 12.0).floor());
        let given = json!({"n_estimators": 12, "min_samples_leaf": 5, "categorical_features": ["x3"]});
        let outcome = fit_values(given, &values, 4, &numbers).expect("fitted");
        let found = answers(&outcome.estimator, &values);
        for (row, score) in values.chunks_exact(4).zip(found).take(60) {
            let shares = boosted(&outcome).shares(row).expect("shares");
            let sum = shares.base[0] + shares.features.iter().sum::<f64>();
            prop_assert!((sum - f64::from(score)).abs() < 1e-4, "{sum} {score}");
        }
    }
}

#[test]
fn trees_do_not_change_when_rows_are_moved_side_by_side() {
    // Of twelve rounds and as much data, rows are moved after the first, second and fourth; of eleven never.
    let (rows, columns) = (70_000, 16);
    let values = uniform(rows * columns, 5);
    let weights: Vec<f64> = (0..rows).map(|row| [1.0, 0.0, 2.0, 0.5][row % 4]).collect();
    for classes in [2, 3] {
        let label = |row: &[f32]| ((row[0] + row[1] * row[2] + 0.3 * row[3]) * 1.3) as u32 % classes as u32;
        let labels: Vec<u32> = values.chunks_exact(columns).map(label).collect();
        for (weights, stopping) in [(None, false), (Some(&weights[..]), false), (None, true)] {
            let trees = |rounds: usize| {
                let settings =
                    json!({"n_estimators": rounds, "max_leaf_nodes": 12, "early_stopping": stopping});
                let outcome =
                    fit_classes(settings, &values, columns, &labels, classes, weights).expect("a model");
                match outcome.estimator {
                    Estimator::BoostedClassifier(boosted) => boosted.trees,
                    other => panic!("{other:?}"),
                }
            };
            let (moved, still) = (trees(12), trees(11));
            assert!(still.len() >= 11 && moved.len() > still.len());
            assert!(moved[..still.len()] == still[..], "{classes} classes, early stopping {stopping}");
        }
    }
}
