//! The algorithms by the name that `train.algorithm` has, each with the tasks that it is for. How they learn is
//! `modelgate-learn`.

use crate::schema::Task;

/// Every algorithm, and what it learns.
pub const ALGORITHMS: [(&str, &[Task]); 6] = [
    ("gradient_boosting", &[Task::Classification, Task::Regression]),
    ("random_forest", &[Task::Classification, Task::Regression]),
    ("decision_tree", &[Task::Classification, Task::Regression]),
    ("logistic_regression", &[Task::Classification]),
    ("ridge", &[Task::Regression]),
    ("linear_regression", &[Task::Regression]),
];

/// Returns the names of all algorithms.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|(name, _)| *name)
}

/// Returns the names of the algorithms for `task`.
pub fn names_for(task: Task) -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().filter(move |(_, tasks)| tasks.contains(&task)).map(|(name, _)| *name)
}
