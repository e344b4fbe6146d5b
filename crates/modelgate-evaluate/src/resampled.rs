//! The figures of [`crate::classification()`] and [`crate::regression()`] in the form the bootstrap weighs.

use crate::agreement::{self, ClassCounts};
use crate::bootstrap::Resampled;
use crate::classification::{Average, ClassificationInput, averaged, fit_together, rank};
use crate::error::EvaluateError;
use crate::probability::{RowLosses, top_ks};
use crate::ranking::Ranked;
use crate::regression::{self, RegressionParts};

/// Above so many ranked rows (rows × classes) the areas of several classes are left out of the rounds.
const MAX_RANKED: usize = 4_000_000;

/// Returns whether a classifier's figure follows from what it predicts alone, whatever its probabilities are.
pub fn rests_on_labels(metric: &str) -> bool {
    agreement::NAMES.contains(&metric)
}

/// A classifier's answers, ready to be weighed.
#[derive(Clone, Debug)]
pub struct ResampledClassifier {
    rows: usize,
    classes: usize,
    average: Average,
    names: Vec<String>,
    labels: Vec<u32>,
    predicted: Vec<u32>,
    losses: Option<RowLosses>,
    ranked: Vec<Ranked>,
}

impl ResampledClassifier {
    /// Prepares valid answers. Figures of probabilities are left out when one is not finite, and the areas of many
    /// classes over many rows.
    ///
    /// # Errors
    /// As [`crate::classification()`].
    pub fn new(input: &ClassificationInput<'_>, average: Average) -> Result<Self, EvaluateError> {
        fit_together(input)?;
        let finite = input.probabilities.iter().all(|probability| probability.is_finite());
        Ok(Self::of(input, average, finite))
    }

    /// Prepares the figures of [`rests_on_labels`] alone.
    ///
    /// # Errors
    /// Fails when the lengths differ, there is no row, or a label is beyond the classes.
    pub fn of_labels(
        labels: &[u32],
        predicted: &[u32],
        class_names: &[String],
        average: Average,
    ) -> Result<Self, EvaluateError> {
        let beyond = labels.iter().chain(predicted).any(|label| *label as usize >= class_names.len());
        if labels.is_empty() || labels.len() != predicted.len() || beyond {
            return Err(EvaluateError::Input("labels and predictions do not fit together".to_owned()));
        }
        let input = ClassificationInput { labels, predicted, probabilities: &[], class_names };
        Ok(Self::of(&input, average, false))
    }

    fn of(input: &ClassificationInput<'_>, average: Average, finite: bool) -> Self {
        let (rows, classes) = (input.labels.len(), input.class_names.len());
        let mut names: Vec<String> = agreement::NAMES.map(str::to_owned).into();
        let ranked = match (finite, classes) {
            (false, _) => Vec::new(),
            (true, 2) => vec![rank(input, 1)],
            _ if rows * classes <= MAX_RANKED => (0..classes).map(|class| rank(input, class)).collect(),
            _ => Vec::new(),
        };
        if finite {
            names.extend(["log_loss", "brier", "calibration_error"].map(str::to_owned));
            names.extend(top_ks(classes).map(|k| format!("top_{k}_accuracy")));
        }
        if !ranked.is_empty() {
            names.extend(["roc_auc", "pr_auc"].map(str::to_owned));
        }
        let (labels, predicted) = (input.labels.to_vec(), input.predicted.to_vec());
        let losses = finite.then(|| RowLosses::new(input));
        Self { rows, classes, average, names, labels, predicted, losses, ranked }
    }

    /// Returns these answers with one row more, of `label` and taken for `said`: it ranks first where it was taken to belong
    /// and last in every other order. How sure the answer is nobody knows, so that figures of probabilities are left out.
    fn with_row(&self, label: usize, said: usize) -> Self {
        let mut more = self.clone();
        more.rows += 1;
        more.labels.push(label as u32);
        more.predicted.push(said as u32);
        more.losses = None;
        // Of two classes the order is that of the second.
        let first = usize::from(more.ranked.len() == 1);
        for (class, ranked) in (first..).zip(&mut more.ranked) {
            ranked.add(class == said, class == label);
        }
        more.names.retain(|name| rests_on_labels(name) || matches!(name.as_str(), "roc_auc" | "pr_auc"));
        more
    }
}

impl Resampled for ResampledClassifier {
    fn rows(&self) -> usize {
        self.rows
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn figures(&self, counts: &[u16]) -> Vec<f64> {
        let weight = |row: usize| u64::from(counts[row]);
        let by_class = ClassCounts::new(&self.labels, &self.predicted, self.classes, weight);
        let mut figures: Vec<f64> = agreement::from_counts(&by_class, self.average).into();
        let rows: u64 = by_class.support.iter().sum();
        if let Some(losses) = &self.losses {
            let (mut log_loss, mut brier) = (0.0_f64, 0.0_f64);
            for ((count, log), square) in counts.iter().zip(&losses.log_loss).zip(&losses.brier) {
                log_loss += f64::from(*count) * log;
                brier += f64::from(*count) * square;
            }
            figures.push(log_loss / rows as f64);
            figures.push(brier / rows as f64);
            figures.push(losses.calibration_error(|row| u32::from(counts[row])));
            for k in top_ks(self.classes) {
                let hits = losses
                    .place
                    .iter()
                    .zip(counts)
                    .map(|(place, count)| if usize::from(*place) < k { u64::from(*count) } else { 0 });
                figures.push(hits.sum::<u64>() as f64 / rows as f64);
            }
        }
        if !self.ranked.is_empty() {
            let areas: Vec<(f64, f64)> = self
                .ranked
                .iter()
                .map(|ranked| ranked.areas(|row| u32::from(counts[row as usize])))
                .collect();
            let support = &by_class.support;
            let support = if self.ranked.len() == 1 { &support[1..] } else { support };
            let (area, precision) = averaged(&areas, support, self.average);
            figures.extend([area, precision]);
        }
        figures
    }

    fn is_share(&self, metric: &str) -> bool {
        matches!(metric, "accuracy" | "recall_weighted")
            || (metric == "recall" && self.average == Average::Weighted)
            || (metric.starts_with("top_") && metric.ends_with("_accuracy"))
    }

    /// A row of the class with the most rows and one of that with the fewest, each once taken for the other and once for
    /// what it is: figures weigh the one most, or the other.
    fn with_unseen_rows(&self) -> Vec<Box<dyn Resampled + '_>> {
        let mut support = vec![0_u64; self.classes];
        for label in &self.labels {
            support[*label as usize] += 1;
        }
        let present = || (0..self.classes).filter(|class| support[*class] > 0);
        let Some(most) = present().max_by_key(|class| (support[*class], std::cmp::Reverse(*class))) else {
            return Vec::new();
        };
        // Of a single class that has rows, another one that it can be taken for.
        let other = (0..self.classes).filter(|class| *class != most);
        let Some(least) = other.min_by_key(|class| (support[*class] == 0, support[*class], *class)) else {
            return Vec::new();
        };
        let rows = [(most, least), (least, most), (most, most), (least, least)];
        let rows = rows.into_iter().filter(|(label, _)| support[*label] > 0);
        rows.map(|(label, said)| Box::new(self.with_row(label, said)) as Box<dyn Resampled>).collect()
    }
}

/// A regressor's answers, ready to be weighed.
#[derive(Clone, Debug)]
pub struct ResampledRegressor {
    parts: RegressionParts,
    names: Vec<String>,
    rows: usize,
}

impl ResampledRegressor {
    /// Prepares the answers.
    ///
    /// # Errors
    /// Fails when the lengths differ, there is no row, or a value is not finite.
    pub fn new(actual: &[f64], predicted: &[f64]) -> Result<Self, EvaluateError> {
        Self::of(actual, predicted, None)
    }

    /// As [`Self::new`], with the figures of [`crate::regression_of`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(actual: &[f64], predicted: &[f64], quantile: Option<f64>) -> Result<Self, EvaluateError> {
        let finite = actual.iter().chain(predicted).all(|value| value.is_finite());
        if actual.len() != predicted.len() || actual.is_empty() || !finite {
            return Err(EvaluateError::Input("intervals need rows with finite values".to_owned()));
        }
        let names = regression::names(quantile);
        Ok(Self { parts: RegressionParts::new(actual, predicted, quantile), names, rows: actual.len() })
    }
}

impl Resampled for ResampledRegressor {
    fn rows(&self) -> usize {
        self.rows
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn figures(&self, counts: &[u16]) -> Vec<f64> {
        self.parts.figures(Some(counts))
    }
}
