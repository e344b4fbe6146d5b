//! Figures of a regressor, as scikit-learn defines them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::EvaluateError;
use crate::sum::sum;

/// Figures of a regressor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegressionMetrics {
    /// Number of rows.
    pub rows: usize,
    /// Value by metric: `mae`, `rmse`, `r2`, `mse`, `median_ae`, `max_error`; `None` is undefined.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    pub undefined: BTreeMap<String, String>,
}

/// Returns the figures of `predicted` against `actual`, of equal length, in the unit of the target.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or an actual value is not finite.
pub fn regression(actual: &[f64], predicted: &[f64]) -> Result<RegressionMetrics, EvaluateError> {
    if actual.len() != predicted.len() || actual.is_empty() {
        let message =
            format!("{} actual and {} predicted values cannot be compared", actual.len(), predicted.len());
        return Err(EvaluateError::Input(message));
    }
    if actual.iter().any(|value| !value.is_finite()) {
        return Err(EvaluateError::Input("an actual value is not finite".to_owned()));
    }
    let count = actual.len() as f64;
    let mut undefined = BTreeMap::new();
    let mut metrics = BTreeMap::new();
    let names = ["mae", "rmse", "r2", "mse", "median_ae", "max_error"];
    if predicted.iter().any(|value| !value.is_finite()) {
        for name in names {
            metrics.insert(name.to_owned(), None);
            undefined.insert(name.to_owned(), "a predicted value is not finite".to_owned());
        }
        return Ok(RegressionMetrics { rows: actual.len(), metrics, undefined });
    }
    let errors: Vec<f64> =
        actual.iter().zip(predicted).map(|(actual, predicted)| actual - predicted).collect();
    let squares = sum(errors.iter().map(|error| error * error));
    let mean = sum(actual.iter().copied()) / count;
    let spread = sum(actual.iter().map(|value| (value - mean) * (value - mean)));
    let mut absolute: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    let mae = sum(absolute.iter().copied()) / count;
    absolute.sort_unstable_by(f64::total_cmp);
    let middle = absolute.len() / 2;
    let median = if absolute.len() % 2 == 1 {
        absolute[middle]
    } else {
        f64::midpoint(absolute[middle - 1], absolute[middle])
    };
    let r2 = if actual.len() < 2 {
        undefined.insert("r2".to_owned(), "it needs two rows".to_owned());
        None
    } else if spread == 0.0 {
        // As scikit-learn with force_finite: a constant target is predicted perfectly or not at all.
        Some(if squares == 0.0 { 1.0 } else { 0.0 })
    } else {
        Some(1.0 - squares / spread)
    };
    let mse = squares / count;
    let values = [Some(mae), Some(mse.sqrt()), r2, Some(mse), Some(median), absolute.last().copied()];
    metrics.extend(names.iter().map(|name| (*name).to_owned()).zip(values));
    Ok(RegressionMetrics { rows: actual.len(), metrics, undefined })
}
