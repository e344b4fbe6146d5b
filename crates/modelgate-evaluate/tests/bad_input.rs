//! Rows that make figures undefined: each is told, none panics, and no figure is made up.

use modelgate_evaluate::{
    Average, BootstrapOptions, ClassificationInput, Meaning, NamedColumn, SearchOptions, SliceColumn,
    bars_plot, bootstrap, calibration_curve, calibration_plot, classification, confusion_matrix_plot, curves,
    lines_plot, regression, residual_plot, roc_plot, slice_table_plot, worst_slices,
};
use modelgate_evaluate::{Bar, Line, Resampled, ResampledClassifier, ResampledRegressor, SliceRow};
use proptest::prelude::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

fn input<'a>(
    labels: &'a [u32],
    predicted: &'a [u32],
    probabilities: &'a [f32],
    class_names: &'a [String],
) -> ClassificationInput<'a> {
    ClassificationInput { labels, predicted, probabilities, class_names }
}

#[test]
fn one_class_in_the_split_leaves_the_areas_undefined_and_says_which() {
    let names = names(2);
    let input = input(&[1, 1, 1], &[1, 1, 0], &[0.2, 0.8, 0.1, 0.9, 0.6, 0.4], &names);
    let found = classification(&input, Average::Weighted).expect("metrics");
    assert_eq!(found.metrics["roc_auc"], None);
    assert_eq!(found.undefined["roc_auc"], "every row is of class `1`");
    assert_eq!(found.metrics["accuracy"], Some(2.0 / 3.0));
    assert_eq!(found.per_class[1].roc_auc, None);
    assert_eq!(curves(&input, 1).expect("valid"), None);
    let resampled = ResampledClassifier::new(&input, Average::Weighted).expect("resampled");
    let intervals = bootstrap(&resampled, &BootstrapOptions { rounds: 100, ..BootstrapOptions::default() });
    let place = resampled.names().iter().position(|name| name == "roc_auc").expect("a place");
    assert_eq!(intervals[place], None);
}

#[test]
fn probabilities_of_0_and_1_have_a_finite_loss() {
    let names = names(2);
    let found = classification(
        &input(&[0, 1, 1], &[0, 1, 0], &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0], &names),
        Average::Macro,
    )
    .expect("metrics");
    let loss = found.metrics["log_loss"].expect("a loss");
    assert!((loss + f64::EPSILON.ln() / 3.0).abs() < 1e-9, "{loss}");
    assert_eq!(found.metrics["brier"], Some(1.0 / 3.0));
}

#[test]
fn predictions_that_are_not_numbers_have_no_figure_no_interval_and_no_plot() {
    let names = names(2);
    let classes = input(&[0, 1], &[0, 1], &[0.5, 0.5, f32::NAN, 0.5], &names);
    let found = classification(&classes, Average::Macro).expect("metrics");
    for metric in ["roc_auc", "pr_auc", "log_loss", "brier", "calibration_error"] {
        assert_eq!(found.metrics[metric], None, "{metric}");
        assert!(found.undefined[metric].contains("not finite"));
    }
    assert_eq!(found.metrics["accuracy"], Some(1.0));
    assert!(calibration_curve(&classes).is_empty());
    let resampled = ResampledClassifier::new(&classes, Average::Macro).expect("resampled");
    assert!(!resampled.names().iter().any(|name| name == "brier"));
    let values = regression(&[1.0, 2.0], &[f64::INFINITY, 2.0]).expect("metrics");
    assert!(values.metrics.values().all(Option::is_none));
    assert!(ResampledRegressor::new(&[1.0, 2.0], &[f64::NAN, 2.0]).is_err());
    assert!(residual_plot("t", &[1.0], &[f64::NAN]).is_err());
}

#[test]
fn one_row_has_figures_where_one_row_is_enough() {
    let found = regression(&[3.0], &[2.0]).expect("metrics");
    assert_eq!((found.metrics["mae"], found.metrics["r2"]), (Some(1.0), None));
    let names = names(2);
    let one = input(&[1], &[1], &[0.3, 0.7], &names);
    let found = classification(&one, Average::Weighted).expect("metrics");
    assert_eq!((found.metrics["accuracy"], found.metrics["cohen_kappa"]), (Some(1.0), None));
    let resampled = ResampledClassifier::new(&one, Average::Weighted).expect("resampled");
    let interval = bootstrap(&resampled, &BootstrapOptions { rounds: 100, ..BootstrapOptions::default() })[0];
    // Of one right row Wilson's interval knows a fifth: 1 / (1 + 1.96²).
    let (low, high) = interval.map(|interval| (interval.low, interval.high)).expect("an interval");
    assert!((low - 0.206_549).abs() < 1e-5 && high > 1.0 - 1e-9, "{low} to {high}");
}

#[test]
fn rows_that_are_all_equal_have_no_interval() {
    let resampled = ResampledRegressor::new(&[2.0; 50], &[2.5; 50]).expect("resampled");
    let intervals = bootstrap(&resampled, &BootstrapOptions { rounds: 200, ..BootstrapOptions::default() });
    assert_eq!(intervals, vec![None; resampled.names().len()]);
    let column = NamedColumn {
        name: "c".to_owned(),
        values: SliceColumn::Numbers(vec![Some(1.0); 50]),
        meaning: Meaning::Number,
    };
    assert!(worst_slices(&[column], &[0.5; 50], &SearchOptions::default()).worst.is_empty());
}

#[test]
fn a_slice_with_two_rows_is_not_searched() {
    let texts = (0..60).map(|row| Some(if row < 2 { "rare" } else { "common" }.to_owned())).collect();
    let column =
        NamedColumn { name: "c".to_owned(), values: SliceColumn::Text(texts), meaning: Meaning::Number };
    let losses: Vec<f64> = (0..60).map(|row| f64::from(u8::from(row < 2))).collect();
    let found = worst_slices(&[column], &losses, &SearchOptions::default());
    assert_eq!((found.tested, found.worst.len()), (0, 0));
}

#[test]
fn a_thousand_classes_have_figures() {
    let names = names(1000);
    let labels: Vec<u32> = (0..2000).map(|row| row % 1000).collect();
    let mut probabilities = vec![0.0_f32; 2000 * 1000];
    for (row, label) in labels.iter().enumerate() {
        probabilities[row * 1000 + (*label as usize + row % 2) % 1000] = 1.0;
    }
    let predicted: Vec<u32> =
        labels.iter().enumerate().map(|(row, label)| (label + row as u32 % 2) % 1000).collect();
    let found =
        classification(&input(&labels, &predicted, &probabilities, &names), Average::Macro).expect("metrics");
    assert_eq!(found.metrics["accuracy"], Some(0.5));
    assert!(found.metrics["roc_auc"].is_some_and(|area| area > 0.4));
    let plot = confusion_matrix_plot("t", &names, &found.confusion).expect("a plot");
    assert!(plot.svg.contains("the 15 of 1000 classes with the most mistakes"), "{}", plot.svg);
}

#[test]
fn names_from_data_do_not_break_a_plot() {
    let hostile = ["a|b".to_owned(), "<svg onload=x>\u{202e}\u{0}\u{fffe}".to_owned(), "عربي".to_owned()];
    let plot = confusion_matrix_plot("t", &hostile, &vec![vec![1; 3]; 3]).expect("a plot");
    let bar = Bar { name: hostile[1].clone(), value: 1.0, spread: 0.0 };
    let slice = SliceRow { name: hostile[1].clone(), rows: 2, value: 0.5, interval: Some((0.1, 0.9)) };
    let line = Line { name: hostile[1].clone(), values: vec![Some(1.0)] };
    let plots = [
        plot,
        bars_plot("t", "", &[bar]).expect("a plot"),
        slice_table_plot("t", "", Some(0.5), &[slice]).expect("a plot"),
        lines_plot("t", "", &hostile[1..2], &[line]).expect("a plot"),
    ];
    for plot in plots {
        for svg in [&plot.svg, &plot.dark_svg] {
            assert!(!svg.contains("<svg onload") && !svg.contains(['\u{202e}', '\u{0}', '\u{fffe}']));
        }
        assert!(plot.png != plot.dark_png && plot.png.len() < 200_000);
    }
    assert!(
        bars_plot("t", "", &[]).is_err()
            && roc_plot("t", &[], 2).is_err()
            && calibration_plot("t", &[], 0.0).is_err()
    );
}

proptest! {
    #[test]
    fn no_answer_makes_a_panic_and_shares_stay_shares(
        rows in prop::collection::vec((0_u32..3, 0_u32..3, prop::array::uniform3(prop_oneof![
            4 => 0.0_f32..=1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)
        ])), 1..40)
    ) {
        let names = names(3);
        let labels: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let predicted: Vec<u32> = rows.iter().map(|row| row.1).collect();
        let probabilities: Vec<f32> = rows.iter().flat_map(|row| row.2).collect();
        let input = input(&labels, &predicted, &probabilities, &names);
        let found = classification(&input, Average::Weighted).expect("metrics");
        for (name, value) in &found.metrics {
            prop_assert_eq!(value.is_none(), found.undefined.contains_key(name));
            if let Some(value) = value {
                prop_assert!(value.is_finite(), "{} is {}", name, value);
                if !matches!(name.as_str(), "log_loss" | "brier" | "mcc" | "cohen_kappa") {
                    prop_assert!((0.0..=1.0 + 1e-12).contains(value), "{} is {}", name, value);
                }
            }
        }
        let resampled = ResampledClassifier::new(&input, Average::Weighted).expect("resampled");
        let options = BootstrapOptions { rounds: 20, ..BootstrapOptions::default() };
        for interval in bootstrap(&resampled, &options).into_iter().flatten() {
            prop_assert!(interval.low <= interval.high);
        }
    }
}
