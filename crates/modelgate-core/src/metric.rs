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

/// The metrics of a classifier, in the order of reports. Those with `top_` exist for more classes than their number.
pub const CLASSIFICATION: [&str; 21] = [
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "mcc",
    "cohen_kappa",
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier",
    "calibration_error",
    "top_2_accuracy",
    "top_3_accuracy",
    "top_5_accuracy",
];

/// The metrics of a regressor, in the order of reports.
pub const REGRESSION: [&str; 11] = [
    "mae",
    "rmse",
    "r2",
    "mse",
    "mape",
    "median_ae",
    "max_error",
    "explained_variance",
    "pinball_10",
    "pinball_50",
    "pinball_90",
];

/// Returns which way `metric` is better, or `None` for a name that is not ours.
pub fn direction(metric: &str) -> Option<Direction> {
    match metric {
        "log_loss" | "brier" | "calibration_error" | "contract.violations" => Some(Direction::LowerIsBetter),
        "r2" | "explained_variance" => Some(Direction::HigherIsBetter),
        _ if metric.starts_with("drift.") || metric.starts_with("latency.") => Some(Direction::LowerIsBetter),
        _ if CLASSIFICATION.contains(&metric) => Some(Direction::HigherIsBetter),
        _ if REGRESSION.contains(&metric) => Some(Direction::LowerIsBetter),
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
