//! Two models' answers to the same rows: where the difference of a figure lies, and which parts got worse.
//!
//! Drawing rows again knows no difference that the rows do not show. Of two rows that both models have right, every round
//! has both right, and the interval has no width; that is no evidence of anything. So the interval is held against one that
//! counts what was not seen: for a share of rows the score interval, for everything else rounds over the rows and a few
//! made-up ones. The wider end counts.

use modelgate_core::metric::{Direction, direction, pinball_quantile};
use modelgate_core::verdict::{SliceFigure, SliceFigures};
use modelgate_evaluate::statistics::{holm, normal_quantile, paired_score_interval, paired_worse};
use modelgate_evaluate::{
    Average, BootstrapOptions, PairedInterval, Resampled, ResampledClassifier, paired_bootstrap,
    rests_on_labels, top_hits,
};

use super::made_up::with_made_up_rows;
use crate::answers::Answers;

/// With fewer rows than this a bootstrap says nothing, whatever the figure.
const LEAST_ROWS: u64 = 30;

/// How a figure of the candidate differs from the reference's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Difference {
    /// Candidate less reference.
    pub difference: f64,
    /// Lower end, at the one-sided confidence that was asked for.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Both ends, for a margin that is a share of the reference's figure and moves with it.
    pub held: (f64, f64),
    /// Standard deviation of the difference.
    pub standard_error: f64,
    /// With fewer rows the ends say nothing.
    pub least_rows: u64,
}

/// Returns where the difference of `metric` lies, beside a margin of `share` of the reference's figure, 0 for another margin;
/// `None` when the figure is undefined for either.
pub fn difference(
    candidate: &Answers,
    reference: &Answers,
    (metric, share): (&str, f64),
    average: Average,
    options: &BootstrapOptions,
) -> Option<Difference> {
    let allowed = if direction(metric) == Some(Direction::LowerIsBetter) { share } else { -share };
    let figure = (metric, allowed);
    let plain = drawn(candidate, reference, figure, average, options)?;
    // What is taken off in each round is put back as it is: the margin is that of the rows.
    let margin = allowed * plain.reference.abs();
    let (mut low, mut high) = (plain.low, plain.high);
    let mut held = (plain.less_share.0 + margin, plain.less_share.1 + margin);
    let least_rows = if let (Some(hits), Some(others)) =
        (hits(candidate, metric, average), hits(reference, metric, average))
    {
        let rows = candidate.rows() as u64;
        let (alone, other) = (count_alone(&hits, &others), count_alone(&others, &hits));
        let ends = paired_score_interval(alone, other, rows, options.confidence);
        (low, high) = (low.min(ends.0), high.max(ends.1));
        held = (held.0.min(ends.0), held.1.max(ends.1));
        0
    } else {
        for (candidate, reference) in with_made_up_rows(candidate, reference, metric) {
            let found = drawn(&candidate, &reference, figure, average, options)?;
            (low, high) = (low.min(found.low), high.max(found.high));
            held = (held.0.min(found.less_share.0 + margin), held.1.max(found.less_share.1 + margin));
        }
        LEAST_ROWS
    };
    let z = normal_quantile(options.confidence);
    let by_width = if z > 0.1 { (high - low) / (2.0 * z) } else { 0.0 };
    let standard_error = plain.standard_error.max(by_width);
    Some(Difference { difference: plain.difference, low, high, held, standard_error, least_rows })
}

fn drawn(
    candidate: &Answers,
    reference: &Answers,
    (metric, share): (&str, f64),
    average: Average,
    options: &BootstrapOptions,
) -> Option<PairedInterval> {
    if candidate.unanswered() + reference.unanswered() > 0 {
        return None;
    }
    let prepared = |answers: &Answers| -> Option<Box<dyn Resampled>> {
        match answers {
            Answers::Classes { labels, predicted, names, .. } if rests_on_labels(metric) => {
                Some(Box::new(ResampledClassifier::of_labels(labels, predicted, names, average).ok()?))
            }
            _ => answers.resampled(average, pinball_quantile(metric)),
        }
    };
    let (one, other) = (prepared(candidate)?, prepared(reference)?);
    paired_bootstrap(one.as_ref(), other.as_ref(), metric, share, options)
}

/// Returns which rows `metric` counts, where it is the share of them.
fn hits(answers: &Answers, metric: &str, average: Average) -> Option<Vec<bool>> {
    let input = answers.input()?;
    let right = metric == "accuracy"
        || metric == "recall_weighted"
        || (metric == "recall" && average == Average::Weighted);
    if right {
        return Some(input.labels.iter().zip(input.predicted).map(|(one, other)| one == other).collect());
    }
    let k = metric.strip_prefix("top_")?.strip_suffix("_accuracy")?.parse().ok()?;
    top_hits(&input, k).ok()
}

fn count_alone(one: &[bool], other: &[bool]) -> u64 {
    one.iter().zip(other).filter(|(one, other)| **one && !**other).count() as u64
}

/// Returns how many rows the candidate alone has right, and how many the reference alone.
pub(crate) fn right_alone(candidate: &Answers, reference: &Answers) -> (u64, u64) {
    let right =
        |answers: &Answers| -> Vec<bool> { answers.losses().1.into_iter().map(|loss| loss == 0.0).collect() };
    let (one, other) = (right(candidate), right(reference));
    (count_alone(&one, &other), count_alone(&other, &one))
}

/// Compares both models on parts of the rows, each with its name and its rows; p-values are corrected for their number.
pub fn parts(
    candidate: &Answers,
    reference: &Answers,
    parts: &[(String, Vec<u32>)],
    min_rows: u64,
) -> SliceFigures {
    let (words, losses) = candidate.losses();
    let (_, others) = reference.losses();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    let undefined =
        losses.iter().zip(&others).filter(|(one, other)| !(one.is_finite() && other.is_finite())).count();
    let mut slices = Vec::new();
    for (name, members) in parts {
        let pick = |losses: &[f64]| -> Vec<f64> {
            members.iter().filter_map(|row| losses.get(*row as usize)).copied().collect()
        };
        let (one, other) = (pick(&losses), pick(&others));
        let least = match candidate {
            Answers::Classes { .. } => 0.01,
            Answers::Values { actual, .. } => {
                // Answers are kept with seven digits: where the reference has no error at all, theirs is none.
                let size =
                    members.iter().filter_map(|row| actual.get(*row as usize)).map(|value| value.abs());
                (0.02 * mean(&other)).max(1e-6 * size.sum::<f64>() / members.len().max(1) as f64)
            }
        };
        // None only for losses that are not numbers, which are counted.
        let Some(p_value) = paired_worse(&one, &other) else { continue };
        slices.push(SliceFigure {
            name: name.clone(),
            rows: members.len() as u64,
            candidate: mean(&one),
            reference: mean(&other),
            least,
            p_value,
        });
    }
    let corrected = holm(&slices.iter().map(|slice| slice.p_value).collect::<Vec<_>>());
    for (slice, p_value) in slices.iter_mut().zip(corrected) {
        slice.p_value = p_value;
    }
    SliceFigures { loss: words.to_owned(), min_rows, undefined: undefined as u64, slices }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &[u32], predicted: &[u32]) -> Answers {
        let shares = predicted.iter().flat_map(|class| if *class == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        Answers::Classes {
            labels: labels.to_vec(),
            predicted: predicted.to_vec(),
            probabilities: shares.collect(),
            names: vec!["no".to_owned(), "yes".to_owned()],
        }
    }

    fn alternating(rows: u32) -> Vec<u32> {
        (0..rows).map(|row| row % 2).collect()
    }

    fn found(candidate: &Answers, reference: &Answers, metric: &str) -> Difference {
        difference(candidate, reference, (metric, 0.0), Average::Weighted, &BootstrapOptions::default())
            .expect("a difference")
    }

    #[test]
    fn rows_that_do_not_differ_leave_an_interval_as_wide_as_they_are_few() {
        for (rows, metric, at_least) in
            [(2, "accuracy", 0.5), (10, "accuracy", 0.2), (100, "accuracy", 0.02), (100, "f1", 0.02)]
        {
            let labels = alternating(rows);
            let same = classes(&labels, &labels);
            let found = found(&same, &same, metric);
            assert!(found.difference == 0.0 && found.low < -at_least && found.high > at_least, "{found:?}");
            assert!(found.standard_error > 0.0);
        }
        let labels = alternating(400);
        let same = classes(&labels, &labels);
        for metric in ["accuracy", "f1", "mcc", "brier"] {
            assert!(found(&same, &same, metric).high < 0.02, "{metric}");
        }
    }

    #[test]
    fn an_order_and_the_nearest_classes_that_do_not_differ_are_no_certainty() {
        // Forty rows that both models rank without a mistake, with the true class among the two nearest.
        for classes in [2_u32, 4] {
            let answers = |sure: f32| Answers::Classes {
                labels: (0..40).map(|row| row % classes).collect(),
                predicted: (0..40).map(|row| row % classes).collect(),
                probabilities: (0..40 * classes)
                    .map(|at| {
                        let own = at % classes == at / classes % classes;
                        if own { sure } else { (1.0 - sure) / (classes - 1) as f32 }
                    })
                    .collect(),
                names: (0..classes).map(|class| class.to_string()).collect(),
            };
            let shares: &[&str] = if classes == 2 { &[] } else { &["top_2_accuracy", "top_3_accuracy"] };
            for metric in
                shares.iter().chain(&["roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"])
            {
                let (one, other) = (answers(0.8), answers(0.8));
                let found = found(&one, &other, metric);
                assert!(
                    found.difference == 0.0 && found.low < -0.02 && found.high > 0.02,
                    "{metric}: {found:?}"
                );
                let least = if shares.contains(metric) { 0 } else { LEAST_ROWS };
                assert_eq!(found.least_rows, least, "{metric}");
            }
        }
    }

    #[test]
    fn a_loss_of_positives_that_no_row_shows_is_not_ruled_out() {
        // The candidate ranks one in twenty positives last; half of all samples of so few rows show none.
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        let mut passed = [0; 3];
        for _ in 0..20 {
            let labels: Vec<u32> = (0..30).map(|row| row % 2).collect();
            let mut answers = |missed: f32| {
                let scores: Vec<f32> = labels
                    .iter()
                    .map(|label| {
                        let near = 0.1 * draw();
                        let lost = draw() < missed;
                        if *label == 1 && !lost {
                            0.8 + near
                        } else if *label == 1 {
                            0.01
                        } else {
                            0.1 + near
                        }
                    })
                    .collect();
                Answers::Classes {
                    labels: labels.clone(),
                    predicted: scores.iter().map(|score| u32::from(*score > 0.5)).collect(),
                    probabilities: scores.iter().flat_map(|score| [1.0 - score, *score]).collect(),
                    names: vec!["no".to_owned(), "yes".to_owned()],
                }
            };
            let (candidate, reference) = (answers(0.05), answers(0.0));
            let options = BootstrapOptions { rounds: 200, ..BootstrapOptions::default() };
            for (metric, passed) in ["roc_auc", "pr_auc", "brier"].iter().zip(&mut passed) {
                let found = difference(&candidate, &reference, (metric, 0.0), Average::Weighted, &options);
                let found = found.expect("a difference");
                let worst = if *metric == "brier" { found.high } else { -found.low };
                *passed += u32::from(worst < 0.025);
            }
        }
        assert_eq!(passed, [0; 3]);
    }

    #[test]
    fn errors_that_do_not_differ_leave_an_interval_by_what_errors_there_are() {
        let values = |miss: f64| Answers::Values {
            actual: (0..40).map(f64::from).collect(),
            predicted: (0..40)
                .map(|row| f64::from(row) + miss * f64::from(row * 7 % 40 + 1) / 20.0)
                .collect(),
        };
        for miss in [1.0, 0.0] {
            for metric in ["mae", "rmse", "median_ae", "max_error", "pinball_90", "mape"] {
                let found = found(&values(miss), &values(miss), metric);
                // With more than half of the answers exact, the median stays exact.
                let moves = metric != "median_ae" || miss > 0.0;
                assert!(found.difference == 0.0 && (found.high > 0.0) == moves, "{metric}: {found:?}");
            }
            let r2 = found(&values(miss), &values(miss), "r2");
            assert!(r2.low < 0.0 && r2.high > 0.0, "{r2:?}");
        }
        // Where every row differs, the usual error is what another one could be.
        let found = found(&values(1.0), &values(1.1), "mae");
        assert!(found.low > -0.3 && found.high < 0.0, "{found:?}");
    }

    #[test]
    fn a_part_is_worse_by_its_own_errors_whatever_those_of_another_part_are() {
        let values =
            |small: f64| Answers::Values {
                actual: vec![0.0; 200],
                predicted: (0..200)
                    .map(|row| {
                        if row < 100 { small * f64::from(1 + row % 3) } else { 80.0 * f64::from(1 + row % 2) }
                    })
                    .collect(),
            };
        let named = [("a".to_owned(), (0..100).collect()), ("b".to_owned(), (100..200).collect())];
        let compared = parts(&values(0.8), &values(0.4), &named, 30);
        let [a, b] = compared.slices.as_slice() else { panic!("{compared:?}") };
        assert!(a.candidate - a.reference > a.least && a.p_value < 1e-6, "{a:?}");
        assert!((a.least - 0.02 * a.reference).abs() < 1e-12 && b.candidate == b.reference, "{b:?}");
        // Beside a reference without an error, how numbers are kept is none.
        let exact =
            |miss: f64| Answers::Values { actual: vec![1000.0; 100], predicted: vec![1000.0 + miss; 100] };
        let compared = parts(&exact(1e-4), &exact(0.0), &named[..1], 30);
        assert!(compared.slices[0].candidate < compared.slices[0].least, "{compared:?}");
    }

    #[test]
    fn an_interval_that_is_no_share_wants_thirty_rows() {
        let values = |shift: f64| Answers::Values {
            actual: (0..60).map(f64::from).collect(),
            predicted: (0..60).map(|row| f64::from(row) + shift * f64::from(row % 7)).collect(),
        };
        let found = found(&values(0.2), &values(0.1), "rmse");
        assert_eq!(found.least_rows, 30);
        assert!(
            found.low > 0.0 && found.low < found.difference && found.difference < found.high,
            "{found:?}"
        );
    }

    #[test]
    fn answers_that_are_no_numbers_have_no_difference_and_are_counted_in_the_parts() {
        let labels = alternating(60);
        let good = classes(&labels, &labels);
        let mut bad = good.clone();
        if let Answers::Classes { probabilities, .. } = &mut bad {
            probabilities[3] = f32::NAN;
        }
        let options = BootstrapOptions::default();
        assert_eq!(difference(&bad, &good, ("accuracy", 0.0), Average::Weighted, &options), None);
        let all: Vec<u32> = (0..60).collect();
        let compared = parts(&bad, &good, &[("all".to_owned(), all.clone())], 30);
        assert_eq!((compared.undefined, compared.slices.len()), (1, 0));
        let values =
            |predicted: f64| Answers::Values { actual: vec![1.0; 60], predicted: vec![predicted; 60] };
        let compared = parts(&values(f64::NAN), &values(1.0), &[("all".to_owned(), all)], 30);
        assert_eq!(compared.undefined, 60);
    }

    #[test]
    fn a_sure_and_wrong_answer_that_no_row_shows_is_not_ruled_out_but_for_many_rows() {
        let high = |rows: u32, surest: f32, moved: f32| {
            let labels = alternating(rows);
            let answers = |moved: f32| {
                let sure = |row: u32| if row < 8 { surest } else { 0.1 + moved * (row % 5) as f32 };
                let shares = |row: u32| {
                    if row.is_multiple_of(2) {
                        [1.0 - sure(row), sure(row)]
                    } else {
                        [sure(row), 1.0 - sure(row)]
                    }
                };
                let probabilities = (0..rows).flat_map(shares).collect();
                let names = vec!["no".to_owned(), "yes".to_owned()];
                Answers::Classes { labels: labels.clone(), predicted: labels.clone(), probabilities, names }
            };
            found(&answers(moved), &answers(0.0), "log_loss").high
        };
        // One in a hundred answers of 1e-6 for the right class costs 0.14, and a third of all samples of 100 rows show none.
        assert!(high(100, 0.03, 0.0) > 0.138, "{}", high(100, 0.03, 0.0));
        // A model that is nowhere sure is not taken for one that is.
        let (unsure, sure) = (high(400, 0.05, 0.005), high(400, 1e-6, 0.005));
        assert!(unsure < 0.05 && sure > 0.08, "{unsure} {sure}");
        assert!(high(1000, 0.03, 0.0) < 0.05, "{}", high(1000, 0.03, 0.0));
    }

    #[test]
    fn a_large_error_that_no_row_shows_is_not_ruled_out_where_hardly_any_row_differs() {
        // Two in a hundred answers that are off by six usual errors, and the same answers otherwise: a third of all samples of
        // 50 rows show none.
        let values = Answers::Values {
            actual: (0..50).map(|row| 10.0 + 5.0 * f64::from(row * 7 % 50 - 25) / 14.4).collect(),
            predicted: (0..50)
                .map(|row| {
                    10.0 + 5.0 * f64::from(row * 7 % 50 - 25) / 14.4
                        + 0.8 * f64::from(row * 11 % 50 - 25) / 14.4
                })
                .collect(),
        };
        for (metric, margin) in [("rmse", 0.27), ("mae", 0.087)] {
            let found = found(&values, &values, metric);
            assert!(found.high > margin, "{metric}: {found:?}");
        }
        assert!(found(&values, &values, "r2").low < -0.02);
    }

    #[test]
    fn a_margin_that_is_a_share_of_the_references_figure_is_no_surer_than_that() {
        // Two models whose errors have nothing to do with each other.
        let values = |size: f64, step: u64| Answers::Values {
            actual: vec![0.0; 200],
            predicted: (1_u64..=200).map(|row| size * ((row * step % 211) as f64 - 105.0) / 60.0).collect(),
        };
        let (candidate, reference) = (values(1.4, 37), values(1.0, 101));
        let options = BootstrapOptions::default();
        let with = |share| {
            difference(&candidate, &reference, ("rmse", share), Average::Weighted, &options)
                .expect("a difference")
        };
        let (fixed, moving) = (with(0.0), with(0.5));
        assert_eq!(fixed.held, (fixed.low, fixed.high));
        assert_eq!((moving.low, moving.high), (fixed.low, fixed.high));
        assert!(moving.held.0 < moving.low && moving.held.1 > moving.high, "{moving:?}");
        assert!(moving.held.1 - moving.high < moving.high - moving.difference, "{moving:?}");
    }
}
