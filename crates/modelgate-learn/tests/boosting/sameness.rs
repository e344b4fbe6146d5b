//! What changes no bit: threads, the order and the place of rows, a batch in place of a row.

use modelgate_model::Prediction;
use modelgate_model::estimator::Estimator;
use serde_json::json;

use crate::{answers, bent, fit_classes, fit_values, uniform};

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
