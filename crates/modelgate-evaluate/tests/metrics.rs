//! The metrics against stored values of scikit-learn; `reference/make_reference.py` made them.

use std::collections::BTreeMap;

use modelgate_evaluate::{
    Average, ClassificationInput, EvaluateError, classification, confusion_matrix_plot, regression,
    residual_plot,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    #[serde(default)]
    classes: usize,
    #[serde(default)]
    labels: Vec<u32>,
    #[serde(default)]
    predicted: Vec<serde_json::Value>,
    #[serde(default)]
    probabilities: Vec<f32>,
    #[serde(default)]
    confusion: Vec<Vec<u64>>,
    #[serde(default)]
    actual: Vec<f64>,
    expected: BTreeMap<String, Option<f64>>,
    #[serde(default)]
    per_class: Vec<BTreeMap<String, Option<f64>>>,
}

fn cases(kind: &str) -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("reference/metrics.json")).expect("reference");
    cases.into_iter().filter(|case| case.kind == kind).collect()
}

#[track_caller]
fn same(case: &str, metric: &str, found: Option<f64>, expected: Option<f64>) {
    match (found, expected) {
        (Some(found), Some(expected)) => {
            let close = (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3);
            assert!(close, "{case}: {metric} is {found:?}, scikit-learn has {expected:?}");
        }
        (found, expected) => assert_eq!(found, expected, "{case}: {metric}"),
    }
}

#[test]
fn classification_equals_scikit_learn() {
    let cases = cases("classification");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let names: Vec<String> = (0..case.classes).map(|class| class.to_string()).collect();
        let predicted: Vec<u32> =
            case.predicted.iter().map(|value| value.as_u64().expect("label") as u32).collect();
        let (labels, probabilities) = (&case.labels, &case.probabilities);
        let input = ClassificationInput { labels, predicted: &predicted, probabilities, class_names: &names };
        let found = classification(&input, Average::Weighted).expect("metrics");
        assert_eq!(found.confusion, case.confusion, "{}", case.name);
        let plain = classification(&input, Average::Macro).expect("metrics");
        for (metric, expected) in &case.expected {
            let value = match metric.as_str() {
                "roc_auc_macro" => plain.metrics["roc_auc"],
                "pr_auc_macro" => plain.metrics["pr_auc"],
                _ => found.metrics[metric],
            };
            same(&case.name, metric, value, *expected);
        }
        assert_eq!((found.per_class.len(), case.per_class.len()), (case.classes, case.classes));
        for (class, expected) in found.per_class.iter().zip(&case.per_class) {
            let values = [
                ("precision", Some(class.precision)),
                ("recall", Some(class.recall)),
                ("f1", Some(class.f1)),
                ("roc_auc", class.roc_auc),
                ("pr_auc", class.pr_auc),
                ("support", Some(class.support as f64)),
            ];
            for (metric, value) in values {
                same(&format!("{}, class {}", case.name, class.name), metric, value, expected[metric]);
            }
        }
        assert_eq!(found.metrics["f1"], found.metrics["f1_weighted"]);
        assert_eq!(plain.metrics["f1"], plain.metrics["f1_macro"]);
        assert_eq!(found.metrics["roc_auc"].is_none(), found.undefined.contains_key("roc_auc"));
    }
}

#[test]
fn regression_equals_scikit_learn() {
    let cases = cases("regression");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let predicted: Vec<f64> =
            case.predicted.iter().map(|value| value.as_f64().expect("number")).collect();
        let found = regression(&case.actual, &predicted).expect("metrics");
        for (metric, expected) in &case.expected {
            same(&case.name, metric, found.metrics[metric], *expected);
        }
    }
}

#[test]
fn predictions_that_are_not_finite_leave_a_metric_undefined() {
    let found = regression(&[1.0, 2.0], &[f64::NAN, 2.0]).expect("metrics");
    assert_eq!(found.metrics["rmse"], None);
    assert!(found.undefined["rmse"].contains("not finite"));
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let names = ["a".to_owned(), "b".to_owned()];
    let refused = |labels: &[u32], predicted: &[u32], probabilities: &[f32]| {
        let input = ClassificationInput { labels, predicted, probabilities, class_names: &names };
        matches!(classification(&input, Average::Macro), Err(EvaluateError::Input(_)))
    };
    assert!(refused(&[], &[], &[]));
    assert!(refused(&[0], &[0, 1], &[0.5, 0.5]));
    assert!(refused(&[2], &[0], &[0.5, 0.5]));
    assert!(regression(&[], &[]).is_err());
    assert!(regression(&[f64::NAN], &[1.0]).is_err());
    assert!(confusion_matrix_plot("t", &names, &[vec![1]]).is_err());
    assert!(residual_plot("t", &[1.0], &[]).is_err());
}

#[test]
fn plots_hold_the_escaped_names_and_are_the_same_each_time() {
    let names = ["<b> & co".to_owned(), "no".to_owned()];
    let draw = || confusion_matrix_plot("a <title>", &names, &[vec![30, 2], vec![0, 5]]).expect("plot");
    let plot = draw();
    assert!(plot.svg.contains("&lt;b&gt; &amp; co") && !plot.svg.contains("<b>"), "{}", plot.svg);
    assert_eq!(plot, draw());
    let reader = png::Decoder::new(std::io::Cursor::new(&plot.png)).read_info().expect("a PNG");
    assert_eq!((reader.info().width, reader.info().height), (720, 600));
    let residuals = residual_plot("prices", &[1e6, 2e6, 3e6], &[1.1e6, 1.9e6, 3e6]).expect("plot");
    assert!(residuals.svg.contains("RMSE"));
    assert!(residual_plot("one row", &[1.0], &[1.0]).is_ok());
}
