//! The seam between the pipeline and an algorithm.

use std::collections::BTreeMap;
use std::fmt::Debug;

use modelgate_core::algorithm;
use modelgate_core::schema::Task;
use modelgate_model::estimator::Estimator;
use serde_json::Value;

use crate::boosting::GradientBoosting;
use crate::error::{LearnError, ParamError};
use crate::forest::RandomForest;
use crate::linear::{LogisticRegression, Ridge};
use crate::params::nearest;
use crate::progress::Progress;

/// Preprocessed rows.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMatrix<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Row-major `[rows × columns]`.
    pub values: &'a [f32],
    /// The columns' names.
    pub names: &'a [String],
}

/// What is learned.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// Classes.
    Classes {
        /// Position of the class, one per row.
        labels: &'a [u32],
        /// Number of classes.
        classes: usize,
        /// The classes' names, for `class_weight`.
        names: &'a [String],
    },
    /// Numbers, one per row.
    Values(&'a [f64]),
}

/// Rows to look at that nothing is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Validation<'a> {
    /// Preprocessed as the training rows.
    pub matrix: &'a FeatureMatrix<'a>,
    /// One per row.
    pub targets: &'a Targets<'a>,
    /// One per row from 0 on; all 1 without.
    pub weights: Option<&'a [f64]>,
}

/// A fitted model and what there is to say of it.
#[derive(Clone, Debug)]
pub struct FitOutcome {
    /// The model.
    pub estimator: Estimator,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Figures such as the number of iterations.
    pub details: BTreeMap<String, Value>,
}

/// An algorithm with its settings.
pub trait Trainer: Send + Sync + Debug {
    /// Fits a model; the result depends on the arguments alone, not on the number of threads.
    ///
    /// # Errors
    /// Fails when there is nothing to learn from.
    fn fit(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        self.fit_weighted(matrix, targets, None, seed)
    }

    /// As [`fit`](Self::fit), with a weight from 0 on for each row; a row of weight 0 counts nothing.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); also for a negative weight, and when no row has weight.
    fn fit_weighted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError>;

    /// As [`fit_weighted`](Self::fit_weighted), with rows to look at that nothing is learned from; an algorithm that
    /// does not [want them](Self::wants_validation) does without.
    ///
    /// # Errors
    /// As [`fit_weighted`](Self::fit_weighted).
    fn fit_validated(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        _validation: Validation<'_>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        self.fit_weighted(matrix, targets, weights, seed)
    }

    /// Returns whether [`fit_validated`](Self::fit_validated) looks at the validation rows, to stop early.
    fn wants_validation(&self) -> bool {
        false
    }

    /// Tells `progress` of a long fit how far it is; nothing by default.
    fn report_to(&mut self, _progress: Progress) {}

    /// Returns the revision of the code: another one may give other bytes for the same input.
    fn revision(&self) -> &'static str;

    /// Returns every setting, with the defaults filled in.
    fn resolved_params(&self) -> BTreeMap<String, Value>;
}

/// Returns the trainer called `algorithm` with `params`, named as in scikit-learn.
///
/// # Errors
/// Names the setting that is unknown, of the wrong type or out of range, and what is allowed.
pub fn trainer(
    algorithm: &str,
    task: Task,
    params: &BTreeMap<String, Value>,
) -> Result<Box<dyn Trainer>, ParamError> {
    match (algorithm, task) {
        ("gradient_boosting", task) => Ok(Box::new(GradientBoosting::new(task, params)?)),
        ("random_forest", task) => Ok(Box::new(RandomForest::new(task, params)?)),
        ("decision_tree", task) => Ok(Box::new(RandomForest::tree(task, params)?)),
        ("ridge", Task::Regression) => Ok(Box::new(Ridge::penalised(params)?)),
        ("linear_regression", Task::Regression) => Ok(Box::new(Ridge::ordinary(params)?)),
        (name @ ("ridge" | "linear_regression"), Task::Classification) => {
            Err(ParamError(format!("`{name}` is for `task: regression`; use `logistic_regression`")))
        }
        ("logistic_regression", Task::Classification) => Ok(Box::new(LogisticRegression::new(params)?)),
        ("logistic_regression", Task::Regression) => {
            Err(ParamError("`logistic_regression` is for `task: classification`; use `ridge`".to_owned()))
        }
        (other, _) => {
            let hint = nearest(other, algorithm::names());
            let known: Vec<&str> = algorithm::names().collect();
            Err(ParamError(format!("there is no algorithm `{other}`;{hint} there is {}", known.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_has_a_trainer_for_its_tasks_and_is_refused_for_others() {
        for (name, tasks) in algorithm::ALGORITHMS {
            for task in [Task::Classification, Task::Regression] {
                let made = trainer(name, task, &BTreeMap::new());
                assert_eq!(made.is_ok(), tasks.contains(&task), "{name} {task}");
                if let Err(ParamError(why)) = made {
                    assert!(why.contains("is for `task:"), "{why}");
                }
            }
        }
    }
}
