//! Weights of rows: none, huge, or without sense.

use super::*;

#[test]
fn weights_that_make_no_sense_are_errors() {
    for data in both(10, 2, 10) {
        for (weights, message) in [
            (vec![1.0; 9], "there are 9 weights for 10 rows"),
            (vec![0.0; 10], "every row has the weight 0"),
            ([vec![1.0; 9], vec![-0.5]].concat(), "the weight -0.5 of training row 10"),
            ([vec![1.0; 9], vec![f64::NAN]].concat(), "the weight NaN of training row 10"),
            ([vec![1.0; 9], vec![1e300]].concat(), "is not a number from 0 to 1e100"),
        ] {
            let data = Data { weights: Some(weights), ..data.clone() };
            for (algorithm, params) in data.algorithms() {
                let error = data.fit(algorithm, params).expect_err("refused").to_string();
                assert!(error.contains(message), "{algorithm}: {error}");
            }
        }
    }
}

#[test]
fn a_row_of_weight_zero_is_a_row_that_is_not_there() {
    for data in both(80, 3, 11) {
        let weights: Vec<f64> = (0..80).map(|row| f64::from(u8::from(row % 4 != 0))).collect();
        let kept: Vec<usize> = (0..80).filter(|row| row % 4 != 0).collect();
        let less = data.take(&kept);
        let weighted = Data { weights: Some(weights), ..data };
        for (algorithm, params) in less.algorithms() {
            let found = answers(&weighted.fit(algorithm, params).expect("fitted"), &less.values);
            let expected = answers(&less.fit(algorithm, params).expect("fitted"), &less.values);
            let loose = if algorithm == "logistic_regression" { 1e-3 } else { 1e-5 };
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= loose, "{algorithm} {params}: {found} {expected}");
            }
        }
    }
}

#[test]
fn what_is_in_a_row_of_weight_zero_is_no_matter() {
    for (strange, data) in
        [1e10, 1e30, f32::NAN].into_iter().flat_map(|strange| both(80, 3, 31).map(|data| (strange, data)))
    {
        let weights: Vec<f64> = (0..80).map(|row| f64::from(u8::from(row % 4 != 0))).collect();
        let kept: Vec<usize> = (0..80).filter(|row| row % 4 != 0).collect();
        let less = data.take(&kept);
        let mut weighted = Data { weights: Some(weights), ..data };
        (0..80).step_by(4).for_each(|row| weighted.values[row * 3] = strange);
        for (algorithm, params) in less.algorithms().into_iter().filter(|(name, _)| !is_of_trees(name)) {
            let found = answers(&weighted.fit(algorithm, params).expect("fitted"), &less.values);
            let expected = answers(&less.fit(algorithm, params).expect("fitted"), &less.values);
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 1e-5,
                    "{algorithm} {params} {strange}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn a_row_of_weight_two_is_that_row_twice() {
    for data in both(80, 3, 12) {
        let weights: Vec<f64> = (0..80).map(|row| f64::from(1 + row % 2)).collect();
        let rows: Vec<usize> = (0..80).flat_map(|row| vec![row; 1 + row % 2]).collect();
        let twice = data.take(&rows);
        let weighted = Data { weights: Some(weights), ..data.clone() };
        for (algorithm, params) in data.algorithms() {
            if params.contains("n_estimators") && !params.contains("false") {
                // What is drawn is another thing.
                continue;
            }
            let found = answers(&weighted.fit(algorithm, params).expect("fitted"), &data.values);
            let expected = answers(&twice.fit(algorithm, params).expect("fitted"), &data.values);
            let loose = if params.contains("lbfgs") { 1e-3 } else { 1e-5 };
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= loose, "{algorithm} {params}: {found} {expected}");
            }
        }
    }
}

#[test]
fn weights_of_any_size_are_weights() {
    for data in both(60, 3, 17) {
        let pattern = |unit: f64| (0..60).map(|row| unit * f64::from(1 + row % 3)).collect::<Vec<f64>>();
        let with = |unit: f64| Data { weights: Some(pattern(unit)), ..data.clone() };
        for (algorithm, params) in data.algorithms() {
            let trees = is_of_trees(algorithm) && algorithm != "gradient_boosting";
            let expected = answers(&with(1.0).fit(algorithm, params).expect("fitted"), &data.values);
            for unit in [1e-90, 1e98] {
                let found = answers(&with(unit).fit(algorithm, params).expect("fitted"), &data.values);
                // A penalty is of another size beside them.
                let same = trees && !params.contains("n_estimators");
                let near =
                    found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5);
                assert!(near || !same, "{algorithm} {params} {unit}");
            }
        }
    }
}

#[test]
fn weights_of_which_some_are_nothing_beside_others_give_numbers() {
    for data in both(60, 3, 18) {
        let weights = (0..60).map(|row| if row % 2 == 0 { 1e100 } else { 1e-300 }).collect();
        let data = Data { weights: Some(weights), ..data };
        for (algorithm, params) in data.algorithms() {
            // `answers` asks for finite ones.
            let _ = answers(&data.fit(algorithm, params).expect("fitted"), &data.values);
        }
    }
}
