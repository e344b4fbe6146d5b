//! Targets of one value, far from zero, or beyond what an answer can be.

use super::*;

#[test]
fn a_target_of_one_value_is_learned_or_refused() {
    let values = noise(60, 8);
    let constant = Data::numbers(3, values.clone(), vec![2.5; 20]);
    for (algorithm, params) in REGRESSORS {
        let found = answers(&constant.fit(algorithm, params).expect("fitted"), &values);
        assert!(found.iter().all(|found| (found - 2.5).abs() < 1e-6), "{algorithm}");
    }
    let one_class = Data::classes(3, values, vec![1; 20]);
    for (algorithm, params) in CLASSIFIERS {
        assert!(one_class.fit(algorithm, params).is_err(), "{algorithm}");
    }
}

#[test]
fn a_target_beyond_what_a_prediction_can_be_is_refused() {
    for (wrong, message) in [
        (f64::NAN, "the target of training row 3 is not finite"),
        (f64::INFINITY, "the target of training row 3 is not finite"),
        (1e300, "of training row 3 is larger than a prediction can be"),
    ] {
        let data = Data::numbers(1, vec![1.0, 2.0, 3.0], vec![1.0, 2.0, wrong]);
        for (algorithm, params) in REGRESSORS {
            let error = data.fit(algorithm, params).expect_err("refused").to_string();
            assert!(error.contains(message), "{algorithm}: {error}");
        }
    }
    let data = Data::numbers(1, vec![1.0, 2.0, 3.0, 4.0], vec![3e38, -3e38, 1e30, 3e38]);
    for (algorithm, params) in REGRESSORS {
        let outcome = data.fit(algorithm, params).expect("fitted");
        outcome.estimator.validate().unwrap_or_else(|error| panic!("{algorithm}: {error}"));
    }
}

/// Returns the share of the spread that answers explain.
fn explained(found: &[f32], numbers: &[f64]) -> f64 {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let missed: f64 =
        found.iter().zip(numbers).map(|(found, number)| (f64::from(*found) - number).powi(2)).sum();
    1.0 - missed / numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>()
}

#[test]
fn a_target_far_from_zero_is_learned_as_one_near_it() {
    let values = noise(2000, 40);
    let near = |row: &[f32]| 2.0 * f64::from(row[0]) + f64::from(3.0 * row[1]).sin();
    for offset in [0.0, -3e6, 1e6] {
        let numbers = values.chunks_exact(4).map(|row| near(row) + offset).collect();
        let data = Data::numbers(4, values.clone(), numbers);
        let of = |name: &str| data.fit(name, r#"{"n_estimators": 50}"#).expect("fitted");
        for name in ["random_forest", "gradient_boosting"] {
            let score = explained(&answers(&of(name), &values), &data.numbers);
            assert!(score > 0.97, "{name} {offset}: {score}");
        }
        assert_eq!(of("random_forest").warnings.is_empty(), offset == 0.0);
    }
}

#[test]
fn a_target_that_32_bits_cannot_tell_apart_is_refused() {
    let values = noise(240, 41);
    for (factor, offset) in [(1.0, 1e9), (1e-60, 0.0)] {
        let numbers = (0..80).map(|row| f64::from(row % 7) * factor + offset).collect();
        let data = Data::numbers(3, values.clone(), numbers);
        for (algorithm, params) in REGRESSORS {
            let refused = data.fit(algorithm, params).expect_err("no answer can tell them apart").to_string();
            assert!(refused.contains("numbers of 32 bits, go there in steps of"), "{algorithm}: {refused}");
        }
    }
}
