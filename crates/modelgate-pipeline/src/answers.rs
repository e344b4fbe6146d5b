//! What a model said of some rows beside what is true, and the figures of it.

use modelgate_core::schema::Classes;
use modelgate_data::target::Target;
use modelgate_data::{ColumnType, Table};
use modelgate_evaluate::{
    Average, ClassificationInput, Meaning, NamedColumn, Resampled, ResampledClassifier, ResampledRegressor,
    SliceColumn, classification, regression_of,
};
use modelgate_model::{LoadedModel, Prediction};

use crate::error::PipelineError;
use crate::evaluation::SubsetEvaluation;

/// What a model said of some rows beside what is true.
#[derive(Clone, PartialEq, Debug)]
pub enum Answers {
    /// Of a classifier.
    Classes {
        /// Position of the true class.
        labels: Vec<u32>,
        /// Position of the predicted class.
        predicted: Vec<u32>,
        /// Row-major `[rows × classes]`.
        probabilities: Vec<f32>,
        /// The classes.
        names: Vec<String>,
    },
    /// Of a regressor.
    Values {
        /// Values of the target.
        actual: Vec<f64>,
        /// What the model gives.
        predicted: Vec<f64>,
    },
}

/// Asks `model` about the rows of `table`.
///
/// # Errors
/// Fails when the model is for another task or other classes than the data.
pub fn answers(
    model: &LoadedModel,
    table: &Table,
    target: &Target,
    rows: &[u32],
) -> Result<Answers, PipelineError> {
    answers_of(model, model.predict(table, rows)?, target, rows)
}

/// Puts what `model` said of rows beside what is true of them.
pub(crate) fn answers_of(
    model: &LoadedModel,
    said: Prediction,
    target: &Target,
    rows: &[u32],
) -> Result<Answers, PipelineError> {
    match (said, target) {
        (Prediction::Classes { labels: predicted, probabilities }, Target::Classes { labels, classes }) => {
            same_classes(model.classes(), classes)?;
            let labels = rows.iter().map(|row| labels[*row as usize]).collect();
            Ok(Answers::Classes { labels, predicted, probabilities, names: classes.names() })
        }
        (Prediction::Values(predicted), Target::Values(values)) => Ok(Answers::Values {
            actual: rows.iter().map(|row| values[*row as usize]).collect(),
            predicted: predicted.into_iter().map(f64::from).collect(),
        }),
        _ => Err(PipelineError::Policy("the package is for another task than the data".to_owned())),
    }
}

impl Answers {
    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Values { actual, .. } => actual.len(),
        }
    }

    /// Returns a classifier's answers as the metrics take them.
    pub fn input(&self) -> Option<ClassificationInput<'_>> {
        match self {
            Self::Classes { labels, predicted, probabilities, names } => {
                Some(ClassificationInput { labels, predicted, probabilities, class_names: names })
            }
            Self::Values { .. } => None,
        }
    }

    /// Returns the answers of these rows, in this order.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        let at = |row: &u32| *row as usize;
        match self {
            Self::Classes { labels, predicted, probabilities, names } => Self::Classes {
                labels: rows.iter().map(|row| labels[at(row)]).collect(),
                predicted: rows.iter().map(|row| predicted[at(row)]).collect(),
                probabilities: rows
                    .iter()
                    .flat_map(|row| &probabilities[at(row) * names.len()..(at(row) + 1) * names.len()])
                    .copied()
                    .collect(),
                names: names.clone(),
            },
            Self::Values { actual, predicted } => Self::Values {
                actual: rows.iter().map(|row| actual[at(row)]).collect(),
                predicted: rows.iter().map(|row| predicted[at(row)]).collect(),
            },
        }
    }

    /// Returns the figures, without intervals and slices; of numbers with the pinball loss of `quantile` too.
    pub fn figures(
        &self,
        average: Average,
        quantile: Option<f64>,
    ) -> Result<SubsetEvaluation, PipelineError> {
        let (rows, unanswered) = (self.rows() as u64, self.unanswered());
        Ok(match self {
            Self::Classes { labels, predicted, probabilities, names } => {
                let input = ClassificationInput { labels, predicted, probabilities, class_names: names };
                let mut found = classification(&input, average)?;
                if unanswered > 0 {
                    // A label that a model gives beside no probability is no answer: no figure rests on it.
                    let why = format!("{unanswered} rows have a probability that is not finite");
                    for (metric, value) in &mut found.metrics {
                        *value = None;
                        found.undefined.insert(metric.clone(), why.clone());
                    }
                }
                SubsetEvaluation {
                    rows,
                    unanswered,
                    metrics: found.metrics,
                    undefined: found.undefined,
                    per_class: found.per_class,
                    confusion: found.confusion,
                    ..SubsetEvaluation::default()
                }
            }
            Self::Values { actual, predicted } => {
                let found = regression_of(actual, predicted, quantile)?;
                SubsetEvaluation {
                    rows,
                    unanswered,
                    metrics: found.metrics,
                    undefined: found.undefined,
                    ..SubsetEvaluation::default()
                }
            }
        })
    }

    /// Returns the answers as the bootstrap weighs them; `None` when there is nothing to weigh, such as answers that are
    /// not finite numbers.
    pub fn resampled(&self, average: Average, quantile: Option<f64>) -> Option<Box<dyn Resampled>> {
        match self {
            Self::Classes { .. } if self.unanswered() > 0 => None,
            Self::Classes { .. } => {
                let found = ResampledClassifier::new(&self.input()?, average).ok()?;
                Some(Box::new(found))
            }
            Self::Values { actual, predicted } => {
                let found = ResampledRegressor::of(actual, predicted, quantile).ok()?;
                Some(Box::new(found))
            }
        }
    }

    /// Returns the number of rows whose answer holds something that is not a finite number.
    pub fn unanswered(&self) -> u64 {
        self.silent().into_iter().filter(|silent| *silent).count() as u64
    }

    /// Returns of each row whether its answer holds something that is not a finite number.
    pub(crate) fn silent(&self) -> Vec<bool> {
        match self {
            Self::Classes { probabilities, names, .. } => {
                let rows = probabilities.chunks_exact(names.len().max(1));
                rows.map(|row| row.iter().any(|value| !value.is_finite())).collect()
            }
            Self::Values { predicted, .. } => predicted.iter().map(|value| !value.is_finite()).collect(),
        }
    }

    /// Returns what the loss of a row is in words, and the loss of each row; NaN for a row without an answer.
    pub fn losses(&self) -> (&'static str, Vec<f64>) {
        match self {
            Self::Classes { labels, predicted, probabilities, names } => {
                let answers = probabilities.chunks_exact(names.len().max(1));
                let wrong = labels.iter().zip(predicted).zip(answers).map(|((one, other), row)| {
                    let answered = row.iter().all(|value| value.is_finite());
                    if answered { f64::from(u8::from(one != other)) } else { f64::NAN }
                });
                ("share of wrong rows", wrong.collect())
            }
            Self::Values { actual, predicted } => {
                let errors = actual.iter().zip(predicted).map(|(one, other)| (one - other).abs());
                ("mean absolute error", errors.collect())
            }
        }
    }
}

impl Answers {
    /// Returns the loss of each row that looks at more than right and wrong: the Brier score of a class, the absolute
    /// error of a number.
    pub fn fine_losses(&self) -> Vec<f64> {
        match self {
            Self::Classes { labels, probabilities, names, .. } => {
                let rows = labels.iter().zip(probabilities.chunks_exact(names.len().max(1)));
                let squares = rows.map(|(label, row)| {
                    let whole: f64 = row
                        .iter()
                        .enumerate()
                        .map(|(class, probability)| {
                            let miss =
                                f64::from(*probability) - f64::from(u8::from(class == *label as usize));
                            miss * miss
                        })
                        .sum();
                    // Of two classes both miss by the same; the score counts it once.
                    if names.len() == 2 { whole / 2.0 } else { whole }
                });
                squares.collect()
            }
            Self::Values { .. } => self.losses().1,
        }
    }

    /// Returns these answers with the rows at `rows` of `other`, which has the same rows, behind them.
    #[must_use]
    pub(crate) fn followed_by(&self, other: &Self, rows: &[u32]) -> Self {
        let mut whole = self.clone();
        match (&mut whole, other.take(rows)) {
            (
                Self::Classes { labels, predicted, probabilities, .. },
                Self::Classes { labels: more, predicted: said, probabilities: shares, .. },
            ) => {
                labels.extend(more);
                predicted.extend(said);
                probabilities.extend(shares);
            }
            (Self::Values { actual, predicted }, Self::Values { actual: more, predicted: said }) => {
                actual.extend(more);
                predicted.extend(said);
            }
            // Two models of one question answer in one form.
            _ => {}
        }
        whole
    }
}

/// Labels are positions in a list of classes: they mean nothing against another list.
fn same_classes(model: Option<&Classes>, data: &Classes) -> Result<(), PipelineError> {
    if model == Some(data) {
        return Ok(());
    }
    let names = |classes: Option<&Classes>| classes.map_or_else(Vec::new, Classes::names).join(", ");
    let sentence =
        format!("the package's classes are [{}] and the data's [{}]", names(model), names(Some(data)));
    Err(PipelineError::Policy(sentence))
}

/// Returns a column of `table` at these rows as slices see it, or `None` when there is no such column.
pub(crate) fn slice_column(table: &Table, name: &str, rows: &[u32]) -> Option<NamedColumn> {
    let column = table.column(name)?;
    let values = match &column.values {
        modelgate_data::Values::Text(values) => {
            SliceColumn::Text(rows.iter().map(|row| values[*row as usize].clone()).collect())
        }
        _ => SliceColumn::Numbers(rows.iter().map(|row| column.number(*row as usize)).collect()),
    };
    let meaning = match table.meanings.get(name) {
        Some(ColumnType::Bool) => Meaning::Bool,
        Some(ColumnType::Date) => Meaning::Day,
        Some(ColumnType::Timestamp) => Meaning::Moment,
        _ => Meaning::Number,
    };
    Some(NamedColumn { name: name.to_owned(), values, meaning })
}
