//! The metrics that modelgate computes itself, with the direction in which each is better.
//!
//! A name that is not here is allowed in a rule (another tool's metric); its direction is then unknown.

/// Which way a metric is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Larger is better, such as accuracy.
    HigherIsBetter,
    /// Smaller is better, such as RMSE.
    LowerIsBetter,
}

/// The metrics of a classifier, in the order of reports.
pub const CLASSIFICATION: [&str; 9] = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "roc_auc",
    "log_loss",
];

/// The metrics of a regressor, in the order of reports.
pub const REGRESSION: [&str; 3] = ["mae", "rmse", "r2"];

/// Returns which way `metric` is better, or `None` for a name that is not ours.
pub fn direction(metric: &str) -> Option<Direction> {
    match metric {
        "log_loss"
        | "mae"
        | "rmse"
        | "mse"
        | "mape"
        | "median_ae"
        | "max_error"
        | "brier"
        | "contract.violations" => Some(Direction::LowerIsBetter),
        _ if metric.starts_with("drift.") || metric.starts_with("latency.") => Some(Direction::LowerIsBetter),
        "r2" | "roc_auc" | "accuracy" => Some(Direction::HigherIsBetter),
        _ if CLASSIFICATION.contains(&metric) => Some(Direction::HigherIsBetter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_ours_has_a_direction() {
        for metric in CLASSIFICATION.iter().chain(&REGRESSION) {
            assert!(direction(metric).is_some(), "{metric}");
        }
        assert_eq!(direction("log_loss"), Some(Direction::LowerIsBetter));
        assert_eq!(direction("f1"), Some(Direction::HigherIsBetter));
        assert_eq!(direction("val_auc"), None);
    }
}
