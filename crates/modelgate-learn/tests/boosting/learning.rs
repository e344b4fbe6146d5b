//! What boosting learns: numbers, classes, quantiles, missing values and categories, and the shares that features have in an answer.

use modelgate_model::Prediction;
use modelgate_model::estimator::Estimator;
use proptest::prelude::*;
use serde_json::json;

use crate::{answers, bent, boosted, fit_classes, fit_values, uniform};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

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

/// Numbers about 0, of a deviation of about 1.
fn normal(count: usize, seed: u64) -> Vec<f32> {
    uniform(count * 12, seed).chunks_exact(12).map(|twelve| twelve.iter().sum::<f32>() - 6.0).collect()
}

#[test]
fn a_rare_class_does_not_make_scores_diverge() {
    let (rows, columns) = (14_000, 5);
    for seed in 1..=8 {
        let (values, noise) = (normal(2 * rows * columns, seed), normal(2 * rows, seed + 100));
        let labels: Vec<u32> = values
            .chunks_exact(columns)
            .zip(&noise)
            .map(|(row, noise)| u32::from(row[0] + 0.5 * row[1] * row[2] + 0.5 * noise > 3.3))
            .collect();
        let (train, test) = values.split_at(rows * columns);
        let outcome = fit_classes(json!({}), train, columns, &labels[..rows], 2, None).expect("fitted");
        let found = answers(&outcome.estimator, test);
        let loss: f64 = found
            .chunks_exact(2)
            .zip(&labels[rows..])
            .map(|(pair, label)| -f64::from(pair[*label as usize].max(1e-15)).ln())
            .sum();
        // Who says the frequency of the class to everybody.
        let share = f64::from(labels.iter().sum::<u32>()) / labels.len() as f64;
        let knows_nothing = -(share * share.ln() + (1.0 - share) * (1.0 - share).ln());
        let loss = loss / rows as f64;
        assert!(loss < 1.3 * knows_nothing, "{seed}: {loss} beside {knows_nothing}");
    }
}

#[test]
fn what_the_base_loses_in_32_bits_the_trees_learn() {
    let (values, numbers) = bent(3000, 4, 5);
    let far: Vec<f64> = numbers.iter().map(|number| number + 1e6 + 0.03).collect();
    let outcome = fit_values(json!({}), &values, 4, &far).expect("fitted");
    let found = answers(&outcome.estimator, &values);
    let mean = found.iter().zip(&far).map(|(found, far)| f64::from(*found) - far).sum::<f64>() / 3000.0;
    assert!(mean.abs() < 4e-3, "{mean}");
}
