//! Which rows are learned from: those that are held out for early stopping, drawn, or of no weight.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, Targets, Validation, trainer};
use modelgate_model::estimator::Estimator;
use serde_json::{Value, json};

use crate::{answers, bent, boosted, fit_classes, fit_values, names, params, uniform, view};

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
