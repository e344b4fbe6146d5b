//! Gradient boosting through its seam: what it learns, what it keeps to, what must not change it.

mod learning;
mod limits;
mod rows;
mod sameness;

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, LearnError, Targets, trainer};
use modelgate_model::Prediction;
use modelgate_model::estimator::{Boosted, Estimator};
use serde_json::Value;

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
