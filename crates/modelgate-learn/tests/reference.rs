//! Fits beside scikit-learn's on the shipped tables; `reference/make_reference.py` writes what they are compared with.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, FitOutcome, Targets, trainer};
use modelgate_model::Prediction;
use modelgate_model::estimator::Estimator;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Reference {
    linear: Vec<Linear>,
    trees: Vec<OneTree>,
    forests: Vec<OneForest>,
}

#[derive(Deserialize, Debug)]
struct Linear {
    table: String,
    algorithm: String,
    params: BTreeMap<String, Value>,
    change: Option<String>,
    weighted: bool,
    coefficients: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
}

#[derive(Deserialize, Debug)]
struct OneTree {
    table: String,
    params: BTreeMap<String, Value>,
    weighted: bool,
    answers: Value,
    importances: Vec<f64>,
}

#[derive(Deserialize, Debug)]
struct OneForest {
    table: String,
    params: BTreeMap<String, Value>,
    oob_score: f64,
    spread: f64,
    importances: Vec<f64>,
}

struct Data {
    columns: usize,
    values: Vec<f32>,
    targets: Vec<f64>,
}

fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/reference.json");
    serde_json::from_slice(&fs_err::read(path).expect("reference")).expect("JSON")
}

fn table(name: &str, change: Option<&str>) -> Data {
    let path = match name {
        "breast_cancer" => "breast-cancer/data/raw/breast_cancer.csv",
        "iris" => "iris/data/raw/iris.csv",
        "wine" => "data/wine.csv",
        _ => "data/diabetes.csv",
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path);
    let text = fs_err::read_to_string(path).expect("an example");
    let mut rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect())
        .collect();
    match change {
        Some("few rows") => rows.truncate(8),
        Some("two classes") => {
            rows.retain(|row| row[row.len() - 1] != 0.0);
            rows.iter_mut().for_each(|row| *row.last_mut().expect("a target") -= 1.0);
        }
        _ => {}
    }
    let mut data = Data { columns: rows[0].len() - 1, values: Vec::new(), targets: Vec::new() };
    for row in &rows {
        let (target, features) = row.split_last().expect("columns");
        data.values.extend(features.iter().map(|value| *value as f32));
        if change == Some("dependent") {
            data.values.push((f64::from(features[0] as f32) + f64::from(features[1] as f32)) as f32);
            data.values.push(features[2] as f32);
        }
        data.targets.push(*target);
    }
    data.columns += if change == Some("dependent") { 2 } else { 0 };
    data
}

fn fit(
    data: &Data,
    algorithm: &str,
    regression: bool,
    params: &BTreeMap<String, Value>,
    weighted: bool,
) -> FitOutcome {
    let task = if regression { Task::Regression } else { Task::Classification };
    let trainer = trainer(algorithm, task, params).expect("params");
    let names: Vec<String> = (0..data.columns).map(|column| format!("{column:03}")).collect();
    let rows = data.targets.len();
    let matrix = FeatureMatrix { rows, columns: data.columns, values: &data.values, names: &names };
    let labels: Vec<u32> = data.targets.iter().map(|target| *target as u32).collect();
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let class_names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let targets = if regression {
        Targets::Values(&data.targets)
    } else {
        Targets::Classes { labels: &labels, classes, names: &class_names }
    };
    let weights: Vec<f64> = (0..rows).map(|row| ((row * 7 + 3) % 4) as f64).collect();
    trainer.fit_weighted(&matrix, &targets, weighted.then_some(&weights[..]), 42).expect("fitted")
}

fn close(found: &[f64], expected: &[f64], relative: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= relative * largest, "{what}: {at} is {found}, not {expected}");
    }
}

#[test]
fn linear_models_are_scikit_learns() {
    for case in reference().linear {
        let data = table(&case.table, case.change.as_deref());
        let regression = case.algorithm != "logistic_regression";
        let mut params = case.params.clone();
        if !regression {
            params.insert("tol".to_owned(), json!(1e-8));
        }
        let outcome = fit(&data, &case.algorithm, regression, &params, case.weighted);
        let what = format!("{} {} {:?} {:?}", case.table, case.algorithm, case.params, case.change);
        let expected: Vec<f64> = case.coefficients.concat();
        match outcome.estimator {
            Estimator::LinearRegressor(linear) => {
                // Dependent columns: the many solutions differ most in the shortest's last digits.
                let relative = if case.change.is_some() { 1e-5 } else { 1e-8 };
                close(&linear.coefficients, &expected, relative, &what);
                close(&[linear.intercept], &case.intercepts, relative, &what);
                let deficient = case.change.is_some() && case.algorithm == "linear_regression";
                assert_eq!(!outcome.warnings.is_empty(), deficient, "{what}: {:?}", outcome.warnings);
            }
            Estimator::LinearClassifier(linear) => {
                assert_eq!(outcome.details["converged"], json!(true), "{what}");
                let first = usize::from(case.intercepts.len() == 1);
                close(&linear.coefficients[first * data.columns..], &expected, 1e-5, &what);
                close(&linear.intercepts[first..], &case.intercepts, 1e-5, &what);
            }
            _ => panic!("{what}: not a linear model"),
        }
    }
}

#[test]
fn both_solvers_of_logistic_regression_find_the_same_minimum() {
    let data = table("wine", None);
    let fitted = |solver: &str| {
        let params = BTreeMap::from([
            ("solver".to_owned(), json!(solver)),
            ("tol".to_owned(), json!(1e-9)),
            ("max_iter".to_owned(), json!(2000)),
        ]);
        match fit(&data, "logistic_regression", false, &params, true).estimator {
            Estimator::LinearClassifier(linear) => linear,
            _ => panic!("not a linear model"),
        }
    };
    let (newton, lbfgs) = (fitted("newton-cholesky"), fitted("lbfgs"));
    close(&lbfgs.coefficients, &newton.coefficients, 1e-6, "coefficients");
}

fn answers(outcome: &FitOutcome, data: &Data) -> Vec<f64> {
    let found = outcome.estimator.predict(&data.values, data.targets.len()).expect("answers");
    let found = match found {
        Prediction::Classes { probabilities, .. } => probabilities,
        Prediction::Values(values) => values,
    };
    found.into_iter().map(f64::from).collect()
}

fn importances(outcome: &FitOutcome) -> Vec<f64> {
    let found = outcome.details["feature_importances"].as_object().expect("importances");
    found.values().map(|share| share.as_f64().expect("a share")).collect()
}

#[test]
fn trees_are_scikit_learns() {
    for case in reference().trees {
        let data = table(&case.table, None);
        let outcome = fit(&data, "decision_tree", case.table == "diabetes", &case.params, case.weighted);
        let what = format!("{} {:?}", case.table, case.params);
        let expected: Vec<f64> = case
            .answers
            .as_array()
            .expect("answers")
            .iter()
            .flat_map(|row| row.as_array().cloned().unwrap_or_else(|| vec![row.clone()]))
            .map(|value| value.as_f64().expect("a number"))
            .collect();
        close(&answers(&outcome, &data), &expected, 1e-6, &what);
        close(&importances(&outcome), &case.importances, 1e-6, &what);
    }
}

#[test]
fn the_out_of_bag_score_and_the_importances_are_those_of_scikit_learn_within_their_spread() {
    for case in reference().forests {
        let data = table(&case.table, None);
        let mut params = case.params.clone();
        params.insert("n_estimators".to_owned(), json!(400));
        params.insert("oob_score".to_owned(), json!(true));
        let outcome = fit(&data, "random_forest", case.table == "diabetes", &params, false);
        let found = outcome.details["oob_score"].as_f64().expect("a score");
        assert!((found - case.oob_score).abs() < 4.0 * case.spread + 0.01, "{case:?}: {found}");
        for (found, expected) in importances(&outcome).iter().zip(&case.importances) {
            assert!((found - expected).abs() < 0.02, "{case:?}: {found} {expected}");
        }
    }
}
