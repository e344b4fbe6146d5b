//! What trees keep to: counts, penalties and monotone features, and which settings are refused.

use modelgate_core::schema::Task;
use modelgate_learn::{LearnError, Targets, trainer};
use modelgate_model::estimator::Estimator;
use proptest::prelude::*;
use serde_json::json;

use crate::{answers, bent, boosted, fit_classes, fit_values, params, uniform, view};

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
}
