//! Figures that follow from the confusion matrix alone; whole numbers until the last division.

use std::collections::BTreeMap;

use crate::classification::Average;
use crate::sum::sum;

/// The figures in the order of [`from_counts`].
pub(crate) const NAMES: [&str; 13] = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "balanced_accuracy",
    "mcc",
    "cohen_kappa",
];

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What the figures rest on, class by class.
#[derive(Clone, Debug)]
pub(crate) struct ClassCounts {
    /// Rows of the class.
    pub(crate) support: Vec<u64>,
    /// Rows predicted as the class.
    pub(crate) claimed: Vec<u64>,
    /// Rows that are both.
    pub(crate) hits: Vec<u64>,
}

impl ClassCounts {
    /// Counts rows, each `weight` times.
    pub(crate) fn new(
        labels: &[u32],
        predicted: &[u32],
        classes: usize,
        weight: impl Fn(usize) -> u64,
    ) -> Self {
        let mut found = Self { support: vec![0; classes], claimed: vec![0; classes], hits: vec![0; classes] };
        for (row, (label, predicted)) in labels.iter().zip(predicted).enumerate() {
            let weight = weight(row);
            found.support[*label as usize] += weight;
            found.claimed[*predicted as usize] += weight;
            found.hits[*label as usize] += if label == predicted { weight } else { 0 };
        }
        found
    }
}

/// Returns the figures of a model that answers the most frequent class to every row, of which there are `support` of each class:
/// those that follow from its answers alone.
pub fn constant_answer(support: &[u64], average: Average) -> BTreeMap<&'static str, f64> {
    let rows = support.iter().sum();
    // Of equals the first.
    let most = (0..support.len()).rev().max_by_key(|class| support[*class]).unwrap_or(0);
    let only = |count: u64| (0..support.len()).map(|class| if class == most { count } else { 0 }).collect();
    let hits = support.get(most).copied().unwrap_or(0);
    let counts = ClassCounts { support: support.to_vec(), claimed: only(rows), hits: only(hits) };
    NAMES.into_iter().zip(from_counts(&counts, average)).collect()
}

/// Returns the figures of counts; NaN where a figure is undefined.
pub(crate) fn from_counts(counts: &ClassCounts, average: Average) -> [f64; 13] {
    let ClassCounts { support, claimed, hits: hit } = counts;
    let classes = support.len();
    let rows: u64 = support.iter().sum();
    let hits: u64 = hit.iter().sum();
    if rows == 0 {
        return [f64::NAN; 13];
    }
    let mut figures = [f64::NAN; 13];
    figures[0] = ratio(hits, rows);
    // As scikit-learn: a class that is neither in the labels nor predicted does not count.
    let present: Vec<usize> =
        (0..classes).filter(|class| support[*class] > 0 || claimed[*class] > 0).collect();
    let precision = |class: usize| ratio(hit[class], claimed[class]);
    let recall = |class: usize| ratio(hit[class], support[class]);
    let f1 = |class: usize| ratio(2 * hit[class], support[class] + claimed[class]);
    let parts: [&dyn Fn(usize) -> f64; 3] = [&precision, &recall, &f1];
    for (at, part) in parts.into_iter().enumerate() {
        let weighted = sum(present.iter().map(|class| part(*class) * support[*class] as f64)) / rows as f64;
        let plain = sum(present.iter().map(|class| part(*class))) / present.len() as f64;
        figures[1 + at] = if average == Average::Weighted { weighted } else { plain };
        figures[4 + at] = weighted;
        figures[7 + at] = plain;
    }
    let labelled: Vec<usize> = present.iter().copied().filter(|class| support[*class] > 0).collect();
    figures[10] = sum(labelled.iter().map(|class| recall(*class))) / labelled.len() as f64;
    let squares = |counts: &[u64]| counts.iter().map(|count| u128::from(*count).pow(2)).sum::<u128>();
    let agreed: u128 =
        support.iter().zip(claimed).map(|(one, other)| u128::from(*one) * u128::from(*other)).sum();
    let all = u128::from(rows).pow(2);
    // Matthews' coefficient for several classes: Gorodkin, 2004.
    let covariance = (u128::from(hits) * u128::from(rows)) as i128 - agreed as i128;
    let (one, other) = (all - squares(support), all - squares(claimed));
    figures[11] = if one == 0 || other == 0 {
        0.0
    } else {
        covariance as f64 / (libm::sqrt(one as f64) * libm::sqrt(other as f64))
    };
    // Cohen's kappa is undefined when chance alone explains everything.
    if all != agreed {
        figures[12] = covariance as f64 / (all - agreed) as f64;
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::{ClassificationInput, classification};

    #[test]
    fn a_constant_answer_has_the_figures_of_one_who_always_says_the_most_frequent_class() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let labels: Vec<u32> = [0, 1, 1, 1, 1, 1, 1, 2, 2, 1].to_vec();
        let (predicted, probabilities) = (vec![1; 10], vec![1.0 / 3.0; 30]);
        let input = ClassificationInput {
            labels: &labels,
            predicted: &predicted,
            probabilities: &probabilities,
            class_names: &names,
        };
        for average in [Average::Weighted, Average::Macro] {
            let found = classification(&input, average).expect("figures").metrics;
            for (name, value) in constant_answer(&[1, 7, 2], average) {
                assert_eq!(found[name], Some(value), "{name}");
            }
        }
    }
}
