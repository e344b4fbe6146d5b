//! One fit for `bench/learn/forest_linear.py`: reads raw `f32` matrices, fits, and prints one line of JSON.
//!
//!     bench_forest_linear ALGORITHM TASK PARAMS FOLDER THREADS SEED
//!
//! FOLDER holds `train_x.f32`, `train_y.f32`, `test_x.f32` and `columns` (a number as text); predictions of the test
//! rows go to `FOLDER/ours.f32`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use modelgate_core::schema::Task;
use modelgate_learn::{FeatureMatrix, Targets, trainer};
use modelgate_model::Prediction;
use modelgate_model::estimator::Estimator;
use serde_json::{Value, json};

fn floats(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = fs_err::read(path)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Returns a figure of `/proc/self/status` in MB.
fn memory(name: &str) -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|figure| figure.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}

/// Returns the time that the threads of this process have run, in seconds; ticks of 10 ms would hide a short fit.
fn cpu_seconds() -> f64 {
    let Ok(threads) = fs_err::read_dir("/proc/self/task") else { return f64::NAN };
    let run = threads.flatten().filter_map(|thread| {
        let text = fs_err::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    run.sum::<f64>() / 1e9
}

/// Rows that a batch has: the test rows, over and over.
const PREDICTED: usize = 1_000_000;

/// Returns median and 99th percentile of the microseconds for one row alone, over 20,000 of them.
fn single_rows(estimator: &Estimator, rows: &[f32], columns: usize) -> Result<[f64; 2], Box<dyn Error>> {
    let mut times = Vec::with_capacity(20_000);
    for row in rows.chunks_exact(columns).take(20_000) {
        let started = Instant::now();
        std::hint::black_box(estimator.predict(row, 1)?);
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[times.len() * 99 / 100]])
}

#[expect(clippy::print_stdout, reason = "its output is the measurement")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, algorithm, task, params, folder, threads, seed] = &arguments[..] else {
        return Err("expected ALGORITHM TASK PARAMS FOLDER THREADS SEED".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let folder = Path::new(folder);
    let columns: usize = fs_err::read_to_string(folder.join("columns"))?.trim().parse()?;
    let (values, test) = (floats(&folder.join("train_x.f32"))?, floats(&folder.join("test_x.f32"))?);
    let targets = floats(&folder.join("train_y.f32"))?;
    let names: Vec<String> = (0..columns).map(|column| format!("x{column}")).collect();
    let matrix = FeatureMatrix { rows: targets.len(), columns, values: &values, names: &names };
    let labels: Vec<u32> = targets.iter().map(|value| *value as u32).collect();
    let numbers: Vec<f64> = targets.iter().copied().map(f64::from).collect();
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let class_names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let (task, targets) = match task.as_str() {
        "classification" => {
            (Task::Classification, Targets::Classes { labels: &labels, classes, names: &class_names })
        }
        _ => (Task::Regression, Targets::Values(&numbers)),
    };
    let params: BTreeMap<String, Value> = serde_json::from_str(params)?;
    let trainer = trainer(algorithm, task, &params)?;
    // The mark of the highest memory starts anew here, so that what is measured is above the data.
    let _ = fs_err::write("/proc/self/clear_refs", "5");
    let (before, cpu, started) = (memory("VmRSS"), cpu_seconds(), Instant::now());
    let outcome = trainer.fit(&matrix, &targets, seed.parse()?)?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let peak = memory("VmHWM") - before;
    let rows = test.len() / columns;
    let answers: Vec<f32> = match outcome.estimator.predict(&test, rows)? {
        Prediction::Values(values) => values,
        Prediction::Classes { probabilities, .. } if classes == 2 => {
            probabilities.iter().skip(1).step_by(2).copied().collect()
        }
        Prediction::Classes { probabilities, .. } => probabilities,
    };
    let (mut predict, mut single) = (f64::NAN, [f64::NAN; 2]);
    if rows >= 20_000 && algorithm == "gradient_boosting" {
        let many: Vec<f32> = test.iter().copied().cycle().take(PREDICTED * columns).collect();
        let started = Instant::now();
        outcome.estimator.predict(&many, PREDICTED)?;
        predict = started.elapsed().as_secs_f64();
        single = single_rows(&outcome.estimator, &test, columns)?;
    }
    let bytes: Vec<u8> = answers.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs_err::write(folder.join("ours.f32"), bytes)?;
    let mut details = outcome.details;
    details.remove("feature_importances");
    let line = json!({
        "wall": wall, "cpu": cpu, "memory": peak, "predict": predict,
        "row_p50_us": single[0], "row_p99_us": single[1], "details": details,
        "warnings": outcome.warnings,
    });
    println!("{line}");
    Ok(())
}
