//! Draws every kind of plot from made-up answers into a folder: `cargo run -p modelgate-evaluate --example draw -- DIR`.

use modelgate_evaluate::{
    Bar, ClassificationInput, Line, Plot, SliceRow, bars_plot, calibration_curve, calibration_plot,
    confusion_matrix_plot, curves, lines_plot, precision_recall_plot, predicted_actual_plot, residual_plot,
    roc_plot, slice_table_plot,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder =
        std::path::PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/plots".to_owned()));
    std::fs::create_dir_all(&folder)?;
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    };
    let names: Vec<String> = ["benign", "malignant <b>", "a | pipe", "عربي"].map(str::to_owned).into();
    let labels: Vec<u32> = (0..800).map(|_| (next() * 4.0) as u32).collect();
    let mut probabilities = Vec::new();
    for label in &labels {
        let mut weights: Vec<f64> = (0..4).map(|_| next()).collect();
        weights[*label as usize] += 0.7 * next();
        let total: f64 = weights.iter().sum();
        probabilities.extend(weights.iter().map(|weight| (weight / total) as f32));
    }
    let best =
        |row: &[f32]| (0..4).max_by(|one, other| row[*one].total_cmp(&row[*other])).unwrap_or(0) as u32;
    let predicted: Vec<u32> = probabilities.chunks_exact(4).map(best).collect();
    let input = ClassificationInput {
        labels: &labels,
        predicted: &predicted,
        probabilities: &probabilities,
        class_names: &names,
    };
    let mut confusion = vec![vec![0_u64; 4]; 4];
    for (label, predicted) in labels.iter().zip(&predicted) {
        confusion[*label as usize][*predicted as usize] += 1;
    }
    let found: Vec<_> = (0..4).filter_map(|class| curves(&input, class).ok().flatten()).collect();
    let actual: Vec<f64> = (0..2000).map(|_| 3e5 + 9e5 * next() * next()).collect();
    let guess: Vec<f64> = actual.iter().map(|value| value * (0.8 + 0.4 * next())).collect();
    let bar = |(name, value, spread): (&str, f64, f64)| Bar { name: name.to_owned(), value, spread };
    let bars: Vec<Bar> = [
        ("worst concave points", 0.12, 0.02),
        ("worst area", 0.08, 0.01),
        ("mean texture of it all", 0.02, 0.015),
        ("noise", -0.004, 0.003),
    ]
    .map(bar)
    .into();
    let slice = |(name, rows, value, low, high): (&str, u64, f64, f64, f64)| SliceRow {
        name: name.to_owned(),
        rows,
        value,
        interval: Some((low, high)),
    };
    let slices: Vec<SliceRow> = [
        ("region = north", 120, 0.71, 0.63, 0.79),
        ("region = south", 300, 0.93, 0.90, 0.96),
        ("30 ≤ age < 40 and region = north", 44, 0.52, 0.38, 0.67),
        ("age is missing", 31, 0.9, 0.8, 0.99),
    ]
    .map(slice)
    .into();
    let versions: Vec<String> = (1..=6).map(|version| format!("v{version:03}")).collect();
    let values = [0.91, 0.92, 0.915, 0.93, 0.94, 0.935].map(Some);
    let lines = [
        Line { name: "f1".to_owned(), values: values.into() },
        Line {
            name: "accuracy".to_owned(),
            values: values.map(|value| value.map(|value| value + 0.01)).into(),
        },
    ];
    let error = 0.0421;
    let species: Vec<String> = (0..1000).map(|class| format!("species {class} of many")).collect();
    let mut sightings = vec![vec![0_u64; 1000]; 1000];
    for (actual, row) in sightings.iter_mut().enumerate() {
        row[actual] = (next() * 900.0) as u64;
        row[(actual / 40) * 40] += (next() * next() * 400.0) as u64;
    }
    let releases: Vec<String> = (1..=40).map(|version| format!("v{version:03}")).collect();
    let close = Line {
        name: "accuracy".to_owned(),
        values: (0..40).map(|at| (at % 9 != 4).then(|| 0.9991 + 0.0004 * next())).collect(),
    };
    let plots: Vec<(&str, Plot)> = vec![
        (
            "confusion_matrix",
            confusion_matrix_plot("example: confusion matrix on validation", &names, &confusion)?,
        ),
        (
            "confusion_matrix_many",
            confusion_matrix_plot("example: confusion matrix on validation", &species, &sightings)?,
        ),
        (
            "history_many",
            lines_plot("example: a metric over versions", "on validation", &releases, &[close])?,
        ),
        ("roc", roc_plot("example: ROC on validation", &found, 6)?),
        ("roc_one", roc_plot("example: ROC on validation", &found[1..2], 2)?),
        (
            "precision_recall",
            precision_recall_plot("example: precision and recall on validation", &found[1..2], 2)?,
        ),
        (
            "calibration",
            calibration_plot("example: calibration on validation", &calibration_curve(&input), error)?,
        ),
        ("residuals", residual_plot("example: residuals on validation", &actual, &guess)?),
        ("predicted_actual", predicted_actual_plot("example: predicted and actual", &actual, &guess)?),
        (
            "importance",
            bars_plot(
                "example: permutation importance",
                "rise of the log loss when a column is shuffled",
                &bars,
            )?,
        ),
        ("history", lines_plot("example: metrics over versions", "on validation", &versions, &lines)?),
        (
            "slices",
            slice_table_plot(
                "example: slices",
                "accuracy on validation, with 95% intervals",
                Some(0.88),
                &slices,
            )?,
        ),
    ];
    for (name, plot) in plots {
        std::fs::write(folder.join(format!("{name}.svg")), plot.svg)?;
        std::fs::write(folder.join(format!("{name}.dark.svg")), plot.dark_svg)?;
        std::fs::write(folder.join(format!("{name}.png")), plot.png)?;
        std::fs::write(folder.join(format!("{name}.dark.png")), plot.dark_png)?;
    }
    Ok(())
}
