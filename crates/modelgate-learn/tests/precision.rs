//! What whole numbers of a unit could lose: rare classes, outliers, heavy weights, values that a sample lacks.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, Targets, trainer};
use modelgate_model::Prediction;
use serde_json::{Value, json};

/// Numbers from 0 to 1.
fn uniform(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| next()).collect()
}

/// Numbers of mean 0 and deviation 1, about normal.
fn normal(count: usize, seed: u64) -> Vec<f64> {
    let sums = uniform(count * 12, seed);
    sums.chunks_exact(12).map(|twelve| twelve.iter().sum::<f64>() - 6.0).collect()
}

/// Features in `levels` steps, so that the bins of the engine are these.
fn steps(rows: usize, columns: usize, levels: usize, seed: u64) -> Vec<f32> {
    uniform(rows * columns, seed).iter().map(|value| (value * levels as f64).floor() as f32).collect()
}

fn fit(algorithm: &str, given: Value, values: &[f32], columns: usize, targets: &Targets<'_>) -> FitOutcome {
    let task = if matches!(targets, Targets::Values(_)) { Task::Regression } else { Task::Classification };
    let params: BTreeMap<String, Value> = serde_json::from_value(given).expect("params");
    let names: Vec<String> = (0..columns).map(|at| format!("x{at}")).collect();
    let matrix = FeatureMatrix { rows: values.len() / columns, columns, values, names: &names };
    trainer(algorithm, task, &params).expect("settings").fit(&matrix, targets, 42).expect("fitted")
}

/// The answers; of two classes the probability of the second.
fn answers(outcome: &FitOutcome, values: &[f32]) -> Vec<f64> {
    let rows = values.len() / outcome.estimator.features();
    match outcome.estimator.predict(values, rows).expect("answers") {
        Prediction::Values(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Prediction::Classes { probabilities, .. } => {
            probabilities.iter().skip(1).step_by(2).map(|value| f64::from(*value)).collect()
        }
    }
}

/// Boosting in doubles with nothing but sums of doubles: 31 leaves, at least 20 rows in each, rate 0.1. Returns the scores of
/// the rows.
fn reference(
    values: &[f32],
    columns: usize,
    levels: usize,
    rounds: usize,
    base: f64,
    slope: impl Fn(usize, f64) -> (f64, f64),
) -> Vec<f64> {
    struct Open {
        rows: Vec<usize>,
        split: Option<(f64, usize, usize)>,
    }
    let best = |rows: &[usize], slopes: &[(f64, f64)]| {
        let total = rows.iter().fold((0.0, 0.0), |sum, row| (sum.0 + slopes[*row].0, sum.1 + slopes[*row].1));
        let score =
            |(gradient, hessian): (f64, f64)| if hessian > 0.0 { gradient * gradient / hessian } else { 0.0 };
        let mut found: Option<(f64, usize, usize)> = None;
        for column in 0..columns {
            let mut cells = vec![(0.0, 0.0, 0); levels];
            for row in rows {
                let cell = &mut cells[values[row * columns + column] as usize];
                *cell = (cell.0 + slopes[*row].0, cell.1 + slopes[*row].1, cell.2 + 1);
            }
            let mut left = (0.0, 0.0, 0);
            for (level, cell) in cells.iter().enumerate().take(levels - 1) {
                left = (left.0 + cell.0, left.1 + cell.1, left.2 + cell.2);
                let right = (total.0 - left.0, total.1 - left.1, rows.len() - left.2);
                if left.2 < 20 || right.2 < 20 || left.1 < 1e-3 || right.1 < 1e-3 {
                    continue;
                }
                let gain = score((left.0, left.1)) + score((right.0, right.1)) - score(total);
                if gain > found.map_or(1e-12, |found| found.0) {
                    found = Some((gain, column, level));
                }
            }
        }
        found
    };
    let count = values.len() / columns;
    let mut scores = vec![base; count];
    for _ in 0..rounds {
        let slopes: Vec<(f64, f64)> = (0..count).map(|row| slope(row, scores[row])).collect();
        let rows: Vec<usize> = (0..count).collect();
        let split = best(&rows, &slopes);
        let mut open = vec![Open { rows, split }];
        while open.len() < 31 {
            let gain = |open: &Open| open.split.map_or(0.0, |split| split.0);
            let Some(at) =
                (0..open.len()).max_by(|one, other| gain(&open[*one]).total_cmp(&gain(&open[*other])))
            else {
                break;
            };
            let Some((_, column, level)) = open[at].split else { break };
            let parent = open.swap_remove(at);
            let (left, right): (Vec<usize>, Vec<usize>) =
                parent.rows.iter().partition(|row| values[**row * columns + column] as usize <= level);
            for rows in [left, right] {
                let split = best(&rows, &slopes);
                open.push(Open { rows, split });
            }
        }
        for Open { rows, .. } in open {
            let sum =
                rows.iter().fold((0.0, 0.0), |sum, row| (sum.0 + slopes[*row].0, sum.1 + slopes[*row].1));
            rows.iter().for_each(|row| scores[*row] -= 0.1 * sum.0 / sum.1);
        }
    }
    scores
}

fn mean_square<'a>(found: impl IntoIterator<Item = (&'a f64, &'a f64)>) -> f64 {
    let (sum, count) = found
        .into_iter()
        .fold((0.0, 0), |(sum, count), (one, other)| (sum + (one - other).powi(2), count + 1));
    sum / f64::from(count)
}

#[test]
fn a_class_of_one_in_ten_thousand_is_calibrated_on_any_number_of_threads() {
    // Eight groups of 300,000 rows with rates from 2 to 30 in 100,000; the second feature is noise.
    let rows = 300_000;
    let values = steps(rows, 2, 8, 1);
    let draws = uniform(rows, 2);
    let rate = |group: f32| 2e-5 + 4e-5 * f64::from(group);
    let labels: Vec<u32> =
        values.chunks_exact(2).zip(&draws).map(|(row, draw)| u32::from(*draw < rate(row[0]))).collect();
    let names = ["no".to_owned(), "yes".to_owned()];
    let targets = Targets::Classes { labels: &labels, classes: 2, names: &names };
    let given = json!({"n_estimators": 60, "max_leaf_nodes": 8, "min_sum_hessian_in_leaf": 0});
    let fitted = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fit("gradient_boosting", given.clone(), &values, 2, &targets))
    };
    let one = fitted(1);
    for threads in [2, 3, 8] {
        assert!(one.estimator == fitted(threads).estimator, "{threads} threads");
    }
    let found = answers(&one, &values);
    let mean = |of: &dyn Fn(f32) -> bool| {
        let rows = values.chunks_exact(2).map(|row| row[0]).zip(labels.iter().zip(&found));
        let (count, seen, said) = rows
            .filter(|(group, _)| of(*group))
            .fold((0.0, 0.0, 0.0), |(count, seen, said), (_, (label, found))| {
                (count + 1.0, seen + f64::from(*label), said + found)
            });
        (seen / count, said / count)
    };
    let (seen, said) = mean(&|_| true);
    assert!((said / seen - 1.0).abs() < 0.02, "{seen} {said}");
    for group in 0..8 {
        let (seen, said) = mean(&|of| of as i32 == group);
        assert!((said - seen).abs() < 2e-5 + 0.15 * seen, "group {group}: {seen} {said}");
    }
}

#[test]
fn a_target_with_a_long_tail_is_learned_as_in_doubles() {
    let rows = 4000;
    let values = steps(rows, 4, 32, 3);
    let noise = normal(rows, 4);
    let numbers: Vec<f64> = values
        .chunks_exact(4)
        .zip(&noise)
        .map(|(row, noise)| {
            (1.6 * f64::from(row[0] / 16.0 - 1.0) + 1.2 * noise + f64::from(row[1] / 32.0)).exp()
        })
        .collect();
    let found = fit("gradient_boosting", json!({"n_estimators": 40}), &values, 4, &Targets::Values(&numbers));
    let mean = numbers.iter().sum::<f64>() / rows as f64;
    let expected = reference(&values, 4, 32, 40, mean, |row, score| (score - numbers[row], 1.0));
    let (ours, theirs) = (
        mean_square(answers(&found, &values).iter().zip(&numbers)),
        mean_square(expected.iter().zip(&numbers)),
    );
    assert!(ours < theirs * 1.02, "{ours} {theirs}");
}

#[test]
fn one_outlier_does_not_hide_the_others() {
    let rows = 4000;
    let values = steps(rows, 4, 32, 5);
    let noise = normal(rows, 6);
    let mut numbers: Vec<f64> = values
        .chunks_exact(4)
        .zip(&noise)
        .map(|(row, noise)| f64::from(row[0] / 8.0) + f64::from((row[1] / 5.0).sin()) + 0.3 * noise)
        .collect();
    for outlier in [1e4, 1e5, 1e7] {
        numbers[1234] = outlier;
        let found =
            fit("gradient_boosting", json!({"n_estimators": 60}), &values, 4, &Targets::Values(&numbers));
        let mean = numbers.iter().sum::<f64>() / rows as f64;
        let expected = reference(&values, 4, 32, 60, mean, |row, score| (score - numbers[row], 1.0));
        let answers = answers(&found, &values);
        // The typical rows: the outlier spoils those that share a leaf with it, for both.
        let typical = |found: &[f64]| {
            let mut errors: Vec<f64> =
                found.iter().zip(&numbers).map(|(found, number)| (found - number).abs()).collect();
            errors.sort_by(f64::total_cmp);
            errors[..rows * 3 / 4].iter().sum::<f64>() / (rows * 3 / 4) as f64
        };
        let (ours, theirs) = (typical(&answers), typical(&expected));
        assert!(ours < theirs * 1.1 + 0.01, "{outlier}: {ours} {theirs}");
    }
}

#[test]
fn balanced_weights_of_one_in_a_thousand_leave_the_others_their_gradients() {
    let rows = 30_000;
    let values = steps(rows, 3, 32, 7);
    let noise = uniform(rows, 8);
    let labels: Vec<u32> = values
        .chunks_exact(3)
        .zip(&noise)
        .map(|(row, noise)| u32::from(*noise < 5e-5 + if row[0] > 24.0 { 0.006 } else { 0.0 }))
        .collect();
    let positive = labels.iter().sum::<u32>() as usize;
    assert!((20..60).contains(&positive), "{positive}");
    let names = ["no".to_owned(), "yes".to_owned()];
    let targets = Targets::Classes { labels: &labels, classes: 2, names: &names };
    let given = json!({"n_estimators": 40, "class_weight": "balanced"});
    let found = answers(&fit("gradient_boosting", given, &values, 3, &targets), &values);
    let weight = |row: usize| {
        let of = if labels[row] == 1 { positive } else { rows - positive };
        rows as f64 / (2.0 * of as f64)
    };
    let scores = reference(&values, 3, 32, 40, 0.0, |row, score| {
        let probability = 1.0 / (1.0 + (-score).exp());
        (
            (probability - f64::from(labels[row])) * weight(row),
            probability * (1.0 - probability) * weight(row),
        )
    });
    let loss = |probability: &dyn Fn(usize) -> f64| {
        let one = |row: usize| {
            let right = if labels[row] == 1 { probability(row) } else { 1.0 - probability(row) };
            -right.max(1e-15).ln() * weight(row)
        };
        (0..rows).map(one).sum::<f64>() / rows as f64
    };
    let ours = loss(&|row| found[row]);
    let theirs = loss(&|row| 1.0 / (1.0 + (-scores[row]).exp()));
    assert!(ours < theirs * 1.03 + 1e-3, "{ours} {theirs}");
}

#[test]
fn rows_that_come_round_in_a_cycle_are_all_seen() {
    // Every second row would show one value of the first feature only.
    let rows = 400_000;
    let values: Vec<f32> = (0..rows).flat_map(|row| [(row % 2) as f32, (row % 4 / 2) as f32]).collect();
    let numbers: Vec<f64> = values.chunks_exact(2).map(|row| f64::from(row[0] * 2.0 + row[1])).collect();
    let boosting = json!({"n_estimators": 1, "learning_rate": 1.0});
    for (algorithm, given) in [
        ("gradient_boosting", boosting),
        ("random_forest", json!({"n_estimators": 2})),
        ("decision_tree", json!({})),
    ] {
        let outcome = fit(algorithm, given, &values, 2, &Targets::Values(&numbers));
        let found = answers(&outcome, &values[..40]);
        assert!(mean_square(found.iter().zip(&numbers)) < 1e-9, "{algorithm} {found:?}");
    }
}

#[test]
fn the_order_of_many_rows_changes_no_bit() {
    let rows = 250_000;
    let values: Vec<f32> = normal(rows * 2, 9).iter().map(|value| *value as f32).collect();
    let numbers: Vec<f64> = values.chunks_exact(2).map(|row| f64::from(row[0] * row[1])).collect();
    let backwards: Vec<f32> = values.chunks_exact(2).rev().flatten().copied().collect();
    let reversed: Vec<f64> = numbers.iter().rev().copied().collect();
    let given = json!({"n_estimators": 3});
    let one = fit("gradient_boosting", given.clone(), &values, 2, &Targets::Values(&numbers));
    let other = fit("gradient_boosting", given, &backwards, 2, &Targets::Values(&reversed));
    assert!(one.estimator == other.estimator);
}

#[test]
fn weights_of_rows_are_learned_as_in_doubles() {
    // Where the first feature is high, one row in three weighs fifty times the others and says another thing.
    let rows = 4000;
    let values = steps(rows, 4, 32, 9);
    let noise = normal(rows, 10);
    let heavy = |row: usize| values[row * 4] > 24.0 && row.is_multiple_of(3);
    let numbers: Vec<f64> = (0..rows)
        .map(|row| {
            let told = f64::from(values[row * 4] / 8.0) + f64::from((values[row * 4 + 1] / 5.0).sin());
            told + 0.3 * noise[row] + if heavy(row) { 6.0 } else { 0.0 }
        })
        .collect();
    let weights: Vec<f64> =
        (0..rows).map(|row| if heavy(row) { 50.0 } else { 0.5 + (row % 5) as f64 / 4.0 }).collect();
    let names: Vec<String> = (0..4).map(|at| format!("x{at}")).collect();
    let matrix = FeatureMatrix { rows, columns: 4, values: &values, names: &names };
    let params = BTreeMap::from([("n_estimators".to_owned(), json!(40))]);
    let trainer = trainer("gradient_boosting", Task::Regression, &params).expect("settings");
    let fitted =
        |weights| trainer.fit_weighted(&matrix, &Targets::Values(&numbers), weights, 42).expect("fitted");
    let found = answers(&fitted(Some(&weights)), &values);
    let total: f64 = weights.iter().sum();
    let mean = weights.iter().zip(&numbers).map(|(weight, number)| weight * number).sum::<f64>() / total;
    let expected = reference(&values, 4, 32, 40, mean, |row, score| {
        (weights[row] * (score - numbers[row]), weights[row])
    });
    let loss = |found: &[f64]| {
        let rows = found.iter().zip(&numbers).zip(&weights);
        rows.map(|((found, number), weight)| weight * (found - number).powi(2)).sum::<f64>() / total
    };
    let (ours, theirs, without) = (loss(&found), loss(&expected), loss(&answers(&fitted(None), &values)));
    assert!(ours < theirs * 1.02, "{ours} {theirs}");
    // And they matter: without them the rows that weigh much are missed.
    assert!(without > theirs * 3.0, "{without} {theirs}");
}
