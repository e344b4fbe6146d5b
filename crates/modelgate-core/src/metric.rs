//! The metrics that modelgate computes itself, with the direction in which each is better.
//!
//! A name that is not here is allowed in a rule (another tool's metric); its direction is then unknown.

use crate::schema::Task;
use crate::verdict::figure;

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

/// The metrics of a regressor, in the order of reports. One that is trained for another quantile has that one's
/// [`pinball`] loss too.
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

/// What a rollout is judged by, with what it is: of the canary's requests, and, from `rollout.disagreement` on, of copies
/// of requests that both versions answered.
pub const ROLLOUT: [(&str, &str); 11] = [
    ("rollout.error_rate", "share of the canary's requests answered with 500 and above"),
    ("rollout.refused_rate", "share of them answered with 400 to 499"),
    ("rollout.requests", "the canary's requests"),
    (
        "rollout.prediction_distance",
        "total variation between the predictions of both versions: the share that would have to be others",
    ),
    ("latency.p50_ms", "half of the canary's answers took at most this, to about 6%"),
    ("latency.p95_ms", "95 of 100 took at most this"),
    ("latency.p99_ms", "99 of 100 took at most this"),
    ("rollout.disagreement", "of copied rows: share with another class, or with values more than 1% apart"),
    (
        "rollout.shadow_distance",
        "of copied rows: mean of half of what the probabilities differ by, or of the difference as a share of the larger \
         value",
    ),
    ("rollout.shadow_error_rate", "share of copied rows that the canary could not predict"),
    ("rollout.shadow_rows", "copied rows"),
];

/// Returns the names of what a rollout is judged by.
pub fn rollout_names() -> impl Iterator<Item = &'static str> {
    ROLLOUT.iter().map(|(name, _)| *name)
}

/// What a look at a running service measures.
pub const SMOKE: [&str; 7] =
    ["accuracy", "error_rate", "refused_rate", "p50_ms", "p95_ms", "p99_ms", "requests"];

/// Returns whether a model for `task` can have `metric`: a figure of the other task it never has.
pub fn is_of(metric: &str, task: Task) -> bool {
    match task {
        Task::Classification => !REGRESSION.contains(&metric) && pinball_quantile(metric).is_none(),
        Task::Regression => !CLASSIFICATION.contains(&metric),
    }
}

/// Returns which way `metric` is better, or `None` for a name that is not ours.
pub fn direction(metric: &str) -> Option<Direction> {
    match metric {
        "log_loss" | "brier" | "calibration_error" => Some(Direction::LowerIsBetter),
        _ if metric.starts_with("contract.") => Some(Direction::LowerIsBetter),
        "r2" | "explained_variance" => Some(Direction::HigherIsBetter),
        "rollout.requests" | "rollout.shadow_rows" => Some(Direction::HigherIsBetter),
        _ if ["drift.", "latency.", "rollout."].iter().any(|family| metric.starts_with(family)) => {
            Some(Direction::LowerIsBetter)
        }
        _ if CLASSIFICATION.contains(&metric) => Some(Direction::HigherIsBetter),
        _ if REGRESSION.contains(&metric) || pinball_quantile(metric).is_some() => {
            Some(Direction::LowerIsBetter)
        }
        _ => None,
    }
}

/// Returns the name of the pinball loss of a quantile, such as `pinball_75` of 0.75.
pub fn pinball(quantile: f64) -> String {
    format!("pinball_{}", figure(quantile * 100.0))
}

/// Returns the quantile that a pinball loss is of, or `None` for another metric.
pub fn pinball_quantile(metric: &str) -> Option<f64> {
    let percent: f64 = metric.strip_prefix("pinball_")?.parse().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}

/// Returns what a metric of ours is: the function of scikit-learn that it equals, and what is chosen where that leaves a
/// choice. Empty for a name that is not ours.
pub fn meaning(metric: &str) -> &'static str {
    match metric {
        "accuracy" => "`accuracy_score`",
        "balanced_accuracy" => "`balanced_accuracy_score`",
        "precision" => "`precision_score`, averaged by `evaluate.average`, `zero_division=0`",
        "recall" => "`recall_score`, likewise",
        "f1" => "`f1_score`, likewise",
        "precision_macro" | "recall_macro" | "f1_macro" => "the same with `average=\"macro\"`",
        "precision_weighted" | "recall_weighted" | "f1_weighted" => "the same with `average=\"weighted\"`",
        "mcc" => "`matthews_corrcoef`",
        "cohen_kappa" => "`cohen_kappa_score`",
        "roc_auc" => {
            "`roc_auc_score`; of more classes one against the rest, averaged by `evaluate.average`; undefined for rows of \
             one class"
        }
        "pr_auc" => {
            "`average_precision_score`, likewise; undefined when no row is of the class, where scikit-learn warns and gives 0"
        }
        "log_loss" => "`log_loss`",
        "brier" => "`brier_score_loss`; of more classes the sum over them",
        "calibration_error" => {
            "the expected calibration error over the ten bins of `calibration_curve`: of class 1's probability for two \
             classes, of the predicted class's for more"
        }
        "top_2_accuracy" | "top_3_accuracy" | "top_5_accuracy" => {
            "`top_k_accuracy_score`, for more classes than k"
        }
        "mae" => "`mean_absolute_error`",
        "rmse" => "`root_mean_squared_error`",
        "r2" => "`r2_score`",
        "mse" => "`mean_squared_error`",
        "mape" => "`mean_absolute_percentage_error`",
        "median_ae" => "`median_absolute_error`",
        "max_error" => "`max_error`",
        "explained_variance" => "`explained_variance_score`",
        "pinball_10" => "`mean_pinball_loss` with `alpha=0.1`",
        "pinball_50" => "`mean_pinball_loss` with `alpha=0.5`",
        "pinball_90" => "`mean_pinball_loss` with `alpha=0.9`",
        _ => "",
    }
}

/// What rules can be on besides the figures of an evaluation, with what it is.
pub const OTHERS: [(&str, &str); 7] = [
    ("schema", "what the package takes and gives; with `versus` and `equals: compatible`"),
    ("slices", "the parts of the rows; with `versus: production` and `equals: not_worse`"),
    ("contract.violations", "violations of the data contract, of both severities"),
    ("contract.errors", "those of severity `error`"),
    ("contract.warnings", "those of severity `warning`"),
    ("latency.p50_ms", "half of the single predictions took at most this, on the machine that ran"),
    ("latency.p99_ms", "99 of 100 took at most this"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_ours_has_a_direction() {
        for metric in CLASSIFICATION.iter().chain(&REGRESSION) {
            assert!(direction(metric).is_some(), "{metric}");
            assert!(!meaning(metric).is_empty(), "{metric}");
        }
        assert!(rollout_names().all(|metric| direction(metric).is_some()));
        assert_eq!(direction("log_loss"), Some(Direction::LowerIsBetter));
        assert_eq!(direction("f1"), Some(Direction::HigherIsBetter));
        assert_eq!((direction("val_auc"), meaning("val_auc")), (None, ""));
    }

    #[test]
    fn a_pinball_loss_is_named_by_its_quantile() {
        let names = [0.07, 0.1, 0.75, 0.975].map(pinball);
        assert_eq!(names, ["pinball_7", "pinball_10", "pinball_75", "pinball_97.5"]);
        let quantiles = ["pinball_75", "pinball_0", "pinball_100", "pinball_x", "mae"].map(pinball_quantile);
        assert_eq!(quantiles, [Some(0.75), None, None, None, None]);
        assert_eq!(direction("pinball_75"), Some(Direction::LowerIsBetter));
    }
}
