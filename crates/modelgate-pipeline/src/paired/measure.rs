//! Two models' answers to the same rows: where the difference of a figure lies, and which parts got worse.
//!
//! Drawing rows again knows no difference that the rows do not show. Of two rows that both models have right, every round
//! has both right, and the interval has no width; that is no evidence of anything. So the interval is held against one that
//! counts what was not seen: for the share of right rows the score interval, for everything else rounds over the rows and a
//! few made-up ones. The wider end counts.

use modelgate_core::metric::pinball_quantile;
use modelgate_core::verdict::{SliceFigure, SliceFigures};
use modelgate_evaluate::statistics::{holm, normal_quantile, paired_score_interval, paired_worse};
use modelgate_evaluate::{
    Average, BootstrapOptions, PairedInterval, Resampled, ResampledClassifier, paired_bootstrap,
    rests_on_labels,
};

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
    /// Standard deviation of the difference.
    pub standard_error: f64,
    /// With fewer rows the ends say nothing.
    pub least_rows: u64,
}

/// Returns where the difference of `metric` lies; `None` when the figure is undefined for either.
pub fn difference(
    candidate: &Answers,
    reference: &Answers,
    metric: &str,
    average: Average,
    options: &BootstrapOptions,
) -> Option<Difference> {
    let plain = drawn(candidate, reference, metric, average, options)?;
    let share = metric == "accuracy"
        || metric == "recall_weighted"
        || (metric == "recall" && average == Average::Weighted);
    let (low, high, least_rows) = if share {
        let (only_candidate, only_reference) = right_alone(candidate, reference);
        let rows = candidate.rows() as u64;
        let (low, high) = paired_score_interval(only_candidate, only_reference, rows, options.confidence);
        (low, high, 0)
    } else {
        let (candidate, reference) = with_made_up_rows(candidate, reference, metric);
        let found = drawn(&candidate, &reference, metric, average, options)?;
        (found.low, found.high, LEAST_ROWS)
    };
    let (low, high) = (plain.low.min(low), plain.high.max(high));
    let z = normal_quantile(options.confidence);
    let by_width = if z > 0.1 { (high - low) / (2.0 * z) } else { 0.0 };
    let standard_error = plain.standard_error.max(by_width);
    Some(Difference { difference: plain.difference, low, high, standard_error, least_rows })
}

fn drawn(
    candidate: &Answers,
    reference: &Answers,
    metric: &str,
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
    paired_bootstrap(one.as_ref(), other.as_ref(), metric, options)
}

/// Returns how many rows the candidate alone has right, and how many the reference alone.
pub(crate) fn right_alone(candidate: &Answers, reference: &Answers) -> (u64, u64) {
    let (losses, others) = (candidate.losses().1, reference.losses().1);
    let only = |one: &[f64], other: &[f64]| {
        one.iter().zip(other).filter(|(one, other)| **one == 0.0 && **other > 0.0).count() as u64
    };
    (only(&losses, &others), only(&others, &losses))
}

/// Adds rows in which one model is better and, as often, the other: what could have been seen and was not.
///
/// A figure of labels gets such a pair in each class: with two classes that is what the rule of three says of rows none of
/// which differs. Any other figure gets its most different row once more, and once with the answers exchanged.
fn with_made_up_rows(candidate: &Answers, reference: &Answers, metric: &str) -> (Answers, Answers) {
    if let (true, Answers::Classes { labels, names, .. }) = (rests_on_labels(metric), candidate) {
        let mut support = vec![0_u64; names.len()];
        for label in labels {
            support[*label as usize] += 1;
        }
        let most = |but: Option<usize>| {
            let classes = (0..support.len()).filter(|class| Some(*class) != but);
            classes.max_by_key(|class| (support[*class], std::cmp::Reverse(*class))).unwrap_or(0)
        };
        let (mut one, mut other) = (candidate.clone(), reference.clone());
        for class in (0..support.len()).filter(|class| support[*class] > 0) {
            let wrong = most(Some(class)) as u32;
            let class = class as u32;
            for (answers, said) in [(&mut one, [class, wrong]), (&mut other, [wrong, class])] {
                if let Answers::Classes { labels, predicted, probabilities, .. } = answers {
                    labels.extend([class, class]);
                    predicted.extend(said);
                    probabilities.extend(std::iter::repeat_n(0.0, 2 * names.len()));
                }
            }
        }
        return (one, other);
    }
    let (losses, others) = (candidate.fine_losses(), reference.fine_losses());
    let gap = |row: usize| (losses[row] - others[row]).abs();
    let farthest = (0..losses.len()).max_by(|one, other| gap(*one).total_cmp(&gap(*other)));
    let Some(row) = farthest.map(|row| row as u32) else { return (candidate.clone(), reference.clone()) };
    let together = |own: &Answers, other: &Answers| own.followed_by(own, &[row]).followed_by(other, &[row]);
    (together(candidate, reference), together(reference, candidate))
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
        // None only for losses that are not numbers, which are counted.
        let Some(p_value) = paired_worse(&one, &other) else { continue };
        slices.push(SliceFigure {
            name: name.clone(),
            rows: members.len() as u64,
            candidate: mean(&one),
            reference: mean(&other),
            p_value,
        });
    }
    let corrected = holm(&slices.iter().map(|slice| slice.p_value).collect::<Vec<_>>());
    for (slice, p_value) in slices.iter_mut().zip(corrected) {
        slice.p_value = p_value;
    }
    let min_rise = match candidate {
        Answers::Classes { .. } => 0.01,
        Answers::Values { .. } => 0.02 * mean(&others),
    };
    SliceFigures { loss: words.to_owned(), min_rows, min_rise, undefined: undefined as u64, slices }
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
        difference(candidate, reference, metric, Average::Weighted, &BootstrapOptions::default())
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
        assert_eq!(difference(&bad, &good, "accuracy", Average::Weighted, &options), None);
        let all: Vec<u32> = (0..60).collect();
        let compared = parts(&bad, &good, &[("all".to_owned(), all.clone())], 30);
        assert_eq!((compared.undefined, compared.slices.len()), (1, 0));
        let values =
            |predicted: f64| Answers::Values { actual: vec![1.0; 60], predicted: vec![predicted; 60] };
        let compared = parts(&values(f64::NAN), &values(1.0), &[("all".to_owned(), all)], 30);
        assert_eq!(compared.undefined, 60);
    }
}
