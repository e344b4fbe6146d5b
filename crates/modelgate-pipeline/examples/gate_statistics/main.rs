//! How often each kind of rule errs, by simulation: `cargo run --release -p modelgate-pipeline --example gate_statistics`.
//!
//! Two models answer the same rows, one in production and one that is truly worse by so much. What they answer goes
//! through the code that measures a run, and every rule is judged by the code that judges one. Prints the tables of
//! `docs/gate-statistics.md`. A number behind `--` is that of the simulated gates per line; a text behind the number prints
//! the tables alone whose title holds it.

mod worlds;

use std::collections::BTreeMap;

use modelgate_core::rule::{Amount, Check, GateRule, Slice, Subset, Versus, slice_name};
use modelgate_core::verdict::{
    Comparisons, Evidence, PairedFigure, Reference, Scores, SliceScores, SubsetScores, Verdict, judge,
};
use modelgate_evaluate::statistics::smallest_visible_drop;
use modelgate_evaluate::{Average, BootstrapOptions, bootstrap};
use modelgate_pipeline::Answers;
use modelgate_pipeline::paired::{difference, parts};
use rayon::prelude::*;

use worlds::{PARTS, Random, World, trial};

const FEW: [usize; 7] = [10, 20, 30, 50, 85, 400, 2000];
const SIZES: [usize; 4] = [20, 85, 400, 2000];
const TRIALS: u64 = 500;
const CONFIDENCE: f64 = 0.95;

fn first_part(rows: usize) -> Vec<u32> {
    (0..(rows / PARTS) as u32).collect()
}

fn scores(name: &str, answers: &Answers, slice: &Slice) -> Scores {
    let figures = |answers: &Answers| {
        answers.figures(Average::Weighted, None).map(|found| found.metrics).unwrap_or_default()
    };
    let mut slices = BTreeMap::new();
    if !slice.is_empty() {
        let part = answers.take(&first_part(answers.rows()));
        let (rows, metrics) = (part.rows() as u64, figures(&part));
        slices.insert(slice_name(slice), SliceScores { rows, metrics, intervals: BTreeMap::new() });
    }
    let rows = Some(answers.rows() as u64);
    let subset = SubsetScores { rows, metrics: figures(answers), slices, ..SubsetScores::default() };
    let subsets = BTreeMap::from([(Subset::Validation, subset)]);
    Scores { name: name.to_owned(), subsets, ..Scores::default() }
}

fn comparisons(rule: &GateRule, production: &Answers, candidate: &Answers, seed: u64) -> Comparisons {
    let mut found = Comparisons::default();
    match rule.check {
        Check::NonInferior { margin, .. } => {
            let options = BootstrapOptions { rounds: 1000, confidence: CONFIDENCE, seed };
            let rows = production.rows() as u64;
            let share = if let Amount::Relative(share) = margin { share } else { 0.0 };
            let figure = (rule.metric.as_str(), share);
            let measured = difference(candidate, production, figure, Average::Weighted, &options);
            found.paired.extend(measured.map(|measured| PairedFigure {
                versus: Versus::Production,
                on: Subset::Validation,
                slice: String::new(),
                metric: rule.metric.clone(),
                confidence: CONFIDENCE,
                difference: measured.difference,
                low: measured.low,
                high: measured.high,
                share,
                held: measured.held,
                visible: smallest_visible_drop(
                    measured.standard_error * (rows as f64).sqrt(),
                    rows,
                    CONFIDENCE,
                ),
                rows,
                least_rows: measured.least_rows,
                beside: String::new(),
            }));
        }
        Check::SlicesNotWorse { .. } => {
            let size = production.rows() / PARTS;
            let named: Vec<(String, Vec<u32>)> = (0..PARTS)
                .map(|part| {
                    (part.to_string(), (part * size..(part + 1) * size).map(|row| row as u32).collect())
                })
                .filter(|(_, rows): &(String, Vec<u32>)| rows.len() >= 30)
                .collect();
            found
                .slices
                .insert((Versus::Production, Subset::Validation), parts(candidate, production, &named, 30));
        }
        _ => {}
    }
    found
}

fn trials() -> u64 {
    std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(TRIALS)
}

/// The share of trials with each verdict, in percent: passed, failed, inconclusive.
fn rates(rule: &GateRule, world: World, rows: usize, worse: f64) -> [f64; 3] {
    let trials = trials();
    let outcomes: Vec<Verdict> = (0..trials)
        .into_par_iter()
        .map(|number| {
            let mut random = Random(number.wrapping_mul(0x1234_5678_9abc_def1) ^ rows as u64);
            let (production, candidate) = trial(world, rows, worse, &mut random);
            let comparisons = comparisons(rule, &production, &candidate, number);
            let reference = Reference::Scores(Box::new(scores("production", &production, &rule.slice)));
            let evidence = Evidence {
                candidate: scores("candidate", &candidate, &rule.slice),
                references: BTreeMap::from([(Versus::Production, reference)]),
                on: Subset::Validation,
                comparisons,
                footings: BTreeMap::new(),
            };
            judge(std::slice::from_ref(rule), &evidence).verdict
        })
        .collect();
    let share =
        |verdict| outcomes.iter().filter(|found| **found == verdict).count() as f64 * 100.0 / trials as f64;
    [share(Verdict::Passed), share(Verdict::Failed), share(Verdict::Inconclusive)]
}

/// Whether a table is asked for.
fn wanted(title: &str) -> bool {
    std::env::args().nth(2).is_none_or(|words| title.contains(&words))
}

fn rule(metric: &str, check: Check) -> GateRule {
    let (id, metric) = ("rule".to_owned(), metric.to_owned());
    GateRule { id, metric, on: None, check, slice: Slice::new(), min_samples: None }
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn table(title: &str, what: &str, rule: &GateRule, world: World, sizes: &[usize], steps: &[f64]) {
    if !wanted(title) {
        return;
    }
    println!("### {title}\n\n| rows | {what} | passed | failed | inconclusive |\n|---:|---:|---:|---:|---:|");
    for rows in sizes {
        for worse in steps {
            let [passed, failed, unsure] = rates(rule, world, *rows, *worse);
            println!("| {rows} | {worse} | {passed:.1}% | {failed:.1}% | {unsure:.1}% |");
        }
    }
    println!();
}

/// How often the interval of the calibration error holds the true one, and the one of the rows themselves.
#[expect(clippy::print_stdout, reason = "the program's output")]
fn calibration_intervals(title: &str, world: World, errors: &[f64]) {
    if !wanted(title) {
        return;
    }
    println!("### {title}\n\n| rows | true error | holds it | holds that of the rows | mean width |");
    println!("|---:|---:|---:|---:|---:|");
    for rows in [85, 400, 2000] {
        for error in errors.iter().copied() {
            let found: Vec<(bool, bool, f64)> = (0..trials())
                .into_par_iter()
                .filter_map(|number| {
                    let mut random = Random(number.wrapping_mul(0x1234_5678_9abc_def1) ^ rows as u64);
                    let (_, answers) = trial(world, rows, error, &mut random);
                    let value = answers.figures(Average::Weighted, None).ok()?.metrics["calibration_error"]?;
                    let figures = answers.resampled(Average::Weighted, None)?;
                    let options = BootstrapOptions { rounds: 500, confidence: CONFIDENCE, seed: number };
                    let place = figures.names().iter().position(|name| name == "calibration_error")?;
                    let interval = bootstrap(figures.as_ref(), &options)[place]?;
                    // A probability of 32 bits is not the error to the last digit.
                    let holds = |value: f64| interval.low <= value + 1e-6 && value - 1e-6 <= interval.high;
                    Some((holds(error), holds(value), interval.high - interval.low))
                })
                .collect();
            let share = |holds: fn(&(bool, bool, f64)) -> bool| {
                found.iter().filter(|found| holds(found)).count() as f64 * 100.0 / found.len() as f64
            };
            let width = found.iter().map(|found| found.2).sum::<f64>() / found.len() as f64;
            let (truth, own) = (share(|found| found.0), share(|found| found.1));
            println!("| {rows} | {error} | {truth:.1}% | {own:.1}% | {width:.3} |");
        }
    }
    println!();
}

fn main() {
    calibration_intervals("The interval of `calibration_error`", World::Calibration, &[0.0, 0.03, 0.1]);
    let title = "The interval of `calibration_error`, of a model whose probabilities are mostly near 0 or 1";
    calibration_intervals(title, World::Confident, &[0.0]);
    let versus = || Versus::Production;
    let drop = |limit| Check::MaxDrop { versus: versus(), limit };
    let rise = |limit| Check::MaxRise { versus: versus(), limit };
    let shown = |margin| Check::NonInferior { versus: versus(), margin, confidence: CONFIDENCE };
    let (absolute, relative) = (Amount::Absolute, Amount::Relative);
    let drops = [0.0, 0.01, 0.03, 0.06];
    let true_drop = "true drop";
    let (right, errors) = (World::Right, World::Errors);
    table(
        "`metric: accuracy, at_least: 0.83`",
        true_drop,
        &rule("accuracy", Check::AtLeast(0.83)),
        right,
        &SIZES,
        &drops,
    );
    let part = GateRule {
        slice: Slice::from([("part".to_owned(), "a".to_owned())]),
        ..rule("accuracy", Check::AtLeast(0.83))
    };
    table(
        "`metric: accuracy, at_least: 0.83, slice: {part: a}`, a part of a tenth of the rows",
        "true drop in the part",
        &part,
        World::RightInOnePart,
        &SIZES,
        &[0.0, 0.03, 0.1],
    );
    table(
        "`metric: accuracy, max_drop: 0.01`",
        true_drop,
        &rule("accuracy", drop(absolute(0.01))),
        right,
        &SIZES,
        &drops,
    );
    table(
        "`metric: accuracy, max_drop: 2%`",
        true_drop,
        &rule("accuracy", drop(relative(0.02))),
        right,
        &SIZES,
        &drops,
    );
    let many = GateRule { min_samples: Some(300), ..rule("accuracy", drop(absolute(0.01))) };
    table("`metric: accuracy, max_drop: 0.01, min_samples: 300`", true_drop, &many, right, &SIZES, &drops);
    table(
        "`metric: calibration_error, max_rise: 0.05`",
        "true rise",
        &rule("calibration_error", rise(absolute(0.05))),
        World::Calibration,
        &SIZES,
        &[0.0, 0.03, 0.1, 0.15],
    );
    let share = "true rise, as a share";
    let shares = [0.0, 0.02, 0.05, 0.1];
    table(
        "`metric: rmse, at_most: 1.05`, where production's is 1",
        share,
        &rule("rmse", Check::AtMost(1.05)),
        errors,
        &SIZES,
        &shares,
    );
    table(
        "`metric: rmse, max_rise: 2%`",
        share,
        &rule("rmse", rise(relative(0.02))),
        errors,
        &SIZES,
        &shares,
    );
    table(
        "`metric: accuracy, non_inferior: {margin: 0.02, confidence: 0.95}`",
        true_drop,
        &rule("accuracy", shown(absolute(0.02))),
        right,
        &FEW,
        &[0.0, 0.02, 0.03, 0.06],
    );
    table(
        "`metric: f1, non_inferior: {margin: 0.02, confidence: 0.95}`",
        true_drop,
        &rule("f1", shown(absolute(0.02))),
        right,
        &FEW,
        &[0.0, 0.02, 0.03, 0.06],
    );
    table(
        "`metric: rmse, non_inferior: {margin: 5%, confidence: 0.95}`",
        share,
        &rule("rmse", shown(relative(0.05))),
        errors,
        &FEW[..6],
        &[0.0, 0.05, 0.1, 0.2],
    );
    table(
        "`metric: rmse, non_inferior: {margin: 30%, confidence: 0.95}`, where the candidate answers as production does but is off \
         by six usual errors in a few rows",
        share,
        &rule("rmse", shown(relative(0.3))),
        World::Off,
        &[50, 100, 400],
        &[0.0, 0.3],
    );
    table(
        "`metric: log_loss, non_inferior: {margin: 0.1, confidence: 0.95}`, where the candidate answers as production does but \
         leaves 0.000001 for the right class in a few rows",
        "true rise",
        &rule("log_loss", shown(absolute(0.1))),
        World::Sure,
        &[100, 400, 1000],
        &[0.0, 0.1],
    );
    table(
        "`metric: log_loss, non_inferior: {margin: 0.05, confidence: 0.95}`, of two models that differ in all rows, where the \
         candidate leaves 0.000001 for the right class in a few",
        "true rise",
        &rule("log_loss", shown(absolute(0.05))),
        World::SureAndNoisy,
        &[100, 200, 400, 1000],
        &[0.0, 0.05],
    );
    table(
        "`metric: calibration_error, non_inferior: {margin: 0.05, confidence: 0.95}`",
        "true rise",
        &rule("calibration_error", shown(absolute(0.05))),
        World::Calibration,
        &[85, 400, 2000],
        &[0.0, 0.05, 0.07, 0.15],
    );
    table(
        "`metric: roc_auc, non_inferior: {margin: 0.02, confidence: 0.95}`",
        true_drop,
        &rule("roc_auc", shown(absolute(0.02))),
        World::Order,
        &[30, 85, 400, 2000],
        &[0.0, 0.02, 0.06],
    );
    table(
        "`metric: roc_auc, non_inferior: {margin: 0.02, confidence: 0.95}`, where production's order is perfect and the drop is \
         of positives that the candidate ranks last",
        true_drop,
        &rule("roc_auc", shown(absolute(0.02))),
        World::Lost,
        &[30, 85, 400, 2000],
        &[0.0, 0.02, 0.06],
    );
    table(
        "`metric: slices, equals: not_worse`, ten parts of equal size, the drop in one of them alone",
        "true drop of one part",
        &rule("slices", Check::SlicesNotWorse { versus: versus() }),
        World::RightInOnePart,
        &[85, 400, 2000],
        &[0.0, 0.1, 0.3],
    );
    let slices = rule("slices", Check::SlicesNotWorse { versus: versus() });
    table(
        "`metric: slices, equals: not_worse`, ten parts of numbers, the errors no larger",
        share,
        &slices,
        errors,
        &[400, 2000],
        &[0.0],
    );
    table(
        "`metric: slices, equals: not_worse`, ten parts of numbers, the errors a little larger in 95 of 100 rows and much \
         smaller in the others",
        share,
        &slices,
        World::Skewed,
        &[400, 2000],
        &[0.0],
    );
}
