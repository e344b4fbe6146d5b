//! How often each kind of rule errs, by simulation: `cargo run --release -p modelgate-pipeline --example gate_statistics`.
//!
//! Two classifiers answer the same rows. Production is right in 85% of them; the candidate in 85% less a true drop. Three
//! quarters of the rows that production has wrong the candidate has wrong too, as two models of one problem do. Every rule is
//! judged by the code that judges a run. Prints the tables of `docs/gate-statistics.md`.

use std::collections::BTreeMap;

use modelgate_core::rule::{Amount, Check, GateRule, Slice, Subset, Versus};
use modelgate_core::verdict::{
    Comparisons, Evidence, PairedFigure, Reference, Scores, SliceFigure, SliceFigures, SubsetScores, Verdict,
    judge,
};
use modelgate_evaluate::statistics::{holm, paired_t, smallest_visible_drop};
use modelgate_evaluate::{
    Average, BootstrapOptions, ClassificationInput, ResampledClassifier, paired_bootstrap,
};
use rayon::prelude::*;

const SKILL: f64 = 0.85;
const SHARED: f64 = 0.75;
const SIZES: [usize; 3] = [85, 400, 2000];
const DROPS: [f64; 4] = [0.0, 0.01, 0.03, 0.06];
const PARTS: usize = 10;
const TRIALS: u64 = 500;

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Whether production and candidate are wrong in each row.
fn trial(rows: usize, drop: impl Fn(usize) -> f64, random: &mut Random) -> (Vec<bool>, Vec<bool>) {
    let mut wrong = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        let production = random.next() < 1.0 - SKILL;
        let target = 1.0 - SKILL + drop(row);
        // Of production's wrong rows a share is shared; the rest keeps the candidate's rate as it should be.
        let alone = (target - (1.0 - SKILL) * SHARED) / SKILL;
        let candidate = random.next() < if production { SHARED } else { alone };
        wrong.0.push(production);
        wrong.1.push(candidate);
    }
    wrong
}

fn accuracy(wrong: &[bool]) -> f64 {
    wrong.iter().filter(|wrong| !**wrong).count() as f64 / wrong.len() as f64
}

fn scores(name: &str, value: f64, rows: usize) -> Scores {
    let metrics = BTreeMap::from([("accuracy".to_owned(), Some(value))]);
    let subset = SubsetScores { rows: Some(rows as u64), metrics, ..SubsetScores::default() };
    Scores {
        name: name.to_owned(),
        subsets: BTreeMap::from([(Subset::Validation, subset)]),
        ..Scores::default()
    }
}

fn paired(production: &[bool], candidate: &[bool], seed: u64) -> Option<PairedFigure> {
    let labels = vec![0_u32; production.len()];
    let names = ["0".to_owned(), "1".to_owned()];
    // Without probabilities only the figures of the confusion matrix are made again in each round.
    let probabilities = vec![f32::NAN; production.len() * 2];
    let resampled = |wrong: &[bool]| {
        let predicted: Vec<u32> = wrong.iter().map(|wrong| u32::from(*wrong)).collect();
        let input = ClassificationInput {
            labels: &labels,
            predicted: &predicted,
            probabilities: &probabilities,
            class_names: &names,
        };
        ResampledClassifier::new(&input, Average::Weighted).ok()
    };
    let options = BootstrapOptions { rounds: 1000, confidence: 0.95, seed };
    let found = paired_bootstrap(&resampled(candidate)?, &resampled(production)?, "accuracy", &options)?;
    let rows = production.len() as u64;
    Some(PairedFigure {
        versus: Versus::Production,
        on: Subset::Validation,
        slice: String::new(),
        metric: "accuracy".to_owned(),
        confidence: 0.95,
        difference: found.difference,
        low: found.low,
        high: found.high,
        visible: smallest_visible_drop(found.standard_error * (rows as f64).sqrt(), rows, 0.95),
        beside: String::new(),
    })
}

fn parts(production: &[bool], candidate: &[bool]) -> SliceFigures {
    let number = |wrong: &[bool]| wrong.iter().map(|wrong| f64::from(u8::from(*wrong))).collect::<Vec<f64>>();
    let size = production.len() / PARTS;
    let mut slices = Vec::new();
    for part in 0..PARTS {
        let rows = part * size..(part + 1) * size;
        if rows.len() < 30 {
            continue;
        }
        let (one, other) = (number(&candidate[rows.clone()]), number(&production[rows.clone()]));
        let Some(test) = paired_t(&one, &other) else { continue };
        let p_value = if test.mean_difference > 0.0 { test.p_value / 2.0 } else { 1.0 - test.p_value / 2.0 };
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let rows = rows.len() as u64;
        slices.push(SliceFigure {
            name: part.to_string(),
            rows,
            candidate: mean(&one),
            reference: mean(&other),
            p_value,
        });
    }
    let corrected = holm(&slices.iter().map(|slice| slice.p_value).collect::<Vec<_>>());
    for (slice, p_value) in slices.iter_mut().zip(corrected) {
        slice.p_value = p_value;
    }
    SliceFigures { loss: "share of wrong rows".to_owned(), min_rows: 30, min_rise: 0.01, slices }
}

fn rule(metric: &str, check: Check, min_samples: Option<u64>) -> GateRule {
    let (id, metric) = ("rule".to_owned(), metric.to_owned());
    GateRule { id, metric, on: None, check, slice: Slice::new(), min_samples }
}

/// The share of trials with each verdict, in percent: passed, failed, inconclusive.
fn rates(rule: &GateRule, rows: usize, drop: impl Fn(usize) -> f64 + Sync) -> [f64; 3] {
    let outcomes: Vec<Verdict> = (0..TRIALS)
        .into_par_iter()
        .map(|trial_number| {
            let mut random = Random(trial_number.wrapping_mul(0x1234_5678_9abc_def1) ^ rows as u64);
            let (production, candidate) = trial(rows, &drop, &mut random);
            let mut comparisons = Comparisons::default();
            match rule.check {
                Check::NonInferior { .. } => {
                    comparisons.paired.extend(paired(&production, &candidate, trial_number));
                }
                Check::SlicesNotWorse { .. } => {
                    let key = (Versus::Production, Subset::Validation);
                    comparisons.slices.insert(key, parts(&production, &candidate));
                }
                _ => {}
            }
            let reference = Reference::Scores(Box::new(scores("production", accuracy(&production), rows)));
            let evidence = Evidence {
                candidate: scores("candidate", accuracy(&candidate), rows),
                references: BTreeMap::from([(Versus::Production, reference)]),
                on: Subset::Validation,
                comparisons,
            };
            judge(std::slice::from_ref(rule), &evidence).verdict
        })
        .collect();
    let share =
        |verdict| outcomes.iter().filter(|found| **found == verdict).count() as f64 * 100.0 / TRIALS as f64;
    [share(Verdict::Passed), share(Verdict::Failed), share(Verdict::Inconclusive)]
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn main() {
    let versus = || Versus::Production;
    let drop = |amount| Check::MaxDrop { versus: versus(), limit: Amount::Absolute(amount) };
    let shown =
        |margin| Check::NonInferior { versus: versus(), margin: Amount::Absolute(margin), confidence: 0.95 };
    let kinds = [
        ("`at_least: 0.83`", rule("accuracy", Check::AtLeast(0.83), None)),
        ("`max_drop: 0.01`", rule("accuracy", drop(0.01), None)),
        ("`max_drop: 0.01, min_samples: 300`", rule("accuracy", drop(0.01), Some(300))),
        ("`non_inferior: {margin: 0.02, confidence: 0.95}`", rule("accuracy", shown(0.02), None)),
    ];
    for (name, rule) in &kinds {
        println!(
            "### {name}\n\n| rows | true drop | passed | failed | inconclusive |\n|---:|---:|---:|---:|---:|"
        );
        for rows in SIZES {
            for true_drop in DROPS {
                let [passed, failed, unsure] = rates(rule, rows, |_| true_drop);
                println!("| {rows} | {true_drop} | {passed:.1}% | {failed:.1}% | {unsure:.1}% |");
            }
        }
        println!();
    }
    println!(
        "### `metric: slices, equals: not_worse`, {PARTS} parts of equal size, the drop in one of them alone\n\n\
         | rows | true drop of one part | passed or not applicable | failed |\n|---:|---:|---:|---:|"
    );
    let rule = rule("slices", Check::SlicesNotWorse { versus: versus() }, None);
    for rows in SIZES {
        for true_drop in [0.0, 0.1, 0.3] {
            let [passed, failed, _] =
                rates(&rule, rows, |row| if row < rows / PARTS { true_drop } else { 0.0 });
            println!("| {rows} | {true_drop} | {passed:.1}% | {failed:.1}% |");
        }
    }
}
