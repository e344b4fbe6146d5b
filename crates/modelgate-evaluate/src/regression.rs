//! Figures of a regressor, as scikit-learn defines them.

use std::collections::BTreeMap;

use modelgate_core::metric::pinball;
use serde::{Deserialize, Serialize};

use crate::error::EvaluateError;
use crate::sum::sum;

/// Figures of a regressor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegressionMetrics {
    /// Number of rows.
    pub rows: usize,
    /// Value by metric: the names of scikit-learn's functions, shortened; `pinball_90` is the pinball loss of
    /// the 90% quantile; `None` is undefined.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why a metric has no value.
    pub undefined: BTreeMap<String, String>,
}

/// Returns the figures of `predicted` against `actual`, of equal length, in the unit of the target.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or an actual value is not finite.
pub fn regression(actual: &[f64], predicted: &[f64]) -> Result<RegressionMetrics, EvaluateError> {
    regression_of(actual, predicted, None)
}

/// As [`regression()`], with the pinball loss of `quantile` beside those that are always measured.
///
/// # Errors
/// As [`regression()`].
pub fn regression_of(
    actual: &[f64],
    predicted: &[f64],
    quantile: Option<f64>,
) -> Result<RegressionMetrics, EvaluateError> {
    if actual.len() != predicted.len() || actual.is_empty() {
        let message =
            format!("{} actual and {} predicted values cannot be compared", actual.len(), predicted.len());
        return Err(EvaluateError::Input(message));
    }
    if actual.iter().any(|value| !value.is_finite()) {
        return Err(EvaluateError::Input("an actual value is not finite".to_owned()));
    }
    let mut undefined = BTreeMap::new();
    let mut metrics = BTreeMap::new();
    if predicted.iter().any(|value| !value.is_finite()) {
        for name in names(quantile) {
            metrics.insert(name.clone(), None);
            undefined.insert(name, "a predicted value is not finite".to_owned());
        }
        return Ok(RegressionMetrics { rows: actual.len(), metrics, undefined });
    }
    let parts = RegressionParts::new(actual, predicted, quantile);
    for (name, value) in names(quantile).into_iter().zip(parts.figures(None)) {
        if value.is_nan() {
            undefined.insert(name.clone(), "it needs two rows".to_owned());
        }
        metrics.insert(name, (!value.is_nan()).then_some(value));
    }
    Ok(RegressionMetrics { rows: actual.len(), metrics, undefined })
}

/// The figures in the order of [`RegressionParts::figures`].
const NAMES: [&str; 11] = [
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

/// Returns the name of the pinball loss of `quantile`, where it is none of those that are always measured.
fn further(quantile: Option<f64>) -> Option<String> {
    quantile.map(pinball).filter(|name| !NAMES.contains(&name.as_str()))
}

/// Returns the names of the figures in the order of [`RegressionParts::figures`].
pub(crate) fn names(quantile: Option<f64>) -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).chain(further(quantile)).collect()
}

/// What each row adds to the figures, ready to be weighed again and again.
#[derive(Clone, Debug)]
pub(crate) struct RegressionParts {
    actual: Vec<f64>,
    errors: Vec<f64>,
    shares: Vec<f64>,
    /// Rows by falling absolute error.
    order: Vec<u32>,
    /// The quantile of a further pinball loss.
    quantile: Option<f64>,
}

impl RegressionParts {
    /// Takes finite values of equal length.
    pub(crate) fn new(actual: &[f64], predicted: &[f64], quantile: Option<f64>) -> Self {
        let errors: Vec<f64> =
            actual.iter().zip(predicted).map(|(actual, predicted)| actual - predicted).collect();
        let shares = errors.iter().zip(actual);
        let shares = shares.map(|(error, actual)| error.abs() / actual.abs().max(f64::EPSILON)).collect();
        let mut order: Vec<u32> = (0..errors.len() as u32).collect();
        order.sort_by(|one, other| errors[*other as usize].abs().total_cmp(&errors[*one as usize].abs()));
        let quantile = quantile.filter(|_| further(quantile).is_some());
        Self { actual: actual.to_vec(), errors, shares, order, quantile }
    }

    /// Returns the figures when row `i` counts `weights[i]` times, once without weights; NaN where undefined.
    pub(crate) fn figures(&self, weights: Option<&[u16]>) -> Vec<f64> {
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let total = |value: &dyn Fn(usize) -> f64| {
            sum((0..self.errors.len()).map(|row| match weights {
                Some(weights) => f64::from(weights[row]) * value(row),
                None => value(row),
            }))
        };
        let count = weights
            .map_or(self.errors.len() as u64, |weights| weights.iter().map(|one| u64::from(*one)).sum());
        if count == 0 {
            return vec![f64::NAN; NAMES.len() + usize::from(self.quantile.is_some())];
        }
        let rows = count as f64;
        let error = |row: usize| self.errors[row];
        let absolute = total(&|row| error(row).abs()) / rows;
        let squares = total(&|row| error(row) * error(row));
        let mean = total(&|row| self.actual[row]) / rows;
        let spread = total(&|row| (self.actual[row] - mean) * (self.actual[row] - mean));
        let bias = total(&error) / rows;
        let around = total(&|row| (error(row) - bias) * (error(row) - bias));
        // As scikit-learn with force_finite: a constant target is predicted perfectly or not at all.
        let explained = |left: f64| match (spread == 0.0, left == 0.0) {
            (false, _) => 1.0 - left / spread,
            (true, true) => 1.0,
            (true, false) => 0.0,
        };
        let pinball = |alpha: f64| {
            total(&|row| if error(row) >= 0.0 { alpha * error(row) } else { (alpha - 1.0) * error(row) })
                / rows
        };
        let ranked = |place: u64| {
            let mut seen = 0;
            let found = self.order.iter().find(|row| {
                seen += weight(**row as usize) as u64;
                seen > place
            });
            found.map_or(f64::NAN, |row| self.errors[*row as usize].abs())
        };
        let (low, high) = ((count - 1) / 2, count / 2);
        let median = if low == high { ranked(low) } else { f64::midpoint(ranked(low), ranked(high)) };
        let mse = squares / rows;
        let mut figures = vec![
            absolute,
            libm::sqrt(mse),
            if count < 2 { f64::NAN } else { explained(squares) },
            mse,
            total(&|row| self.shares[row]) / rows,
            median,
            ranked(0),
            if count < 2 { f64::NAN } else { explained(around) },
            pinball(0.1),
            pinball(0.5),
            pinball(0.9),
        ];
        figures.extend(self.quantile.map(pinball));
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Resampled;
    use crate::resampled::ResampledRegressor;

    #[test]
    fn the_quantile_that_a_model_is_trained_for_has_its_pinball_loss() {
        let (actual, predicted) = ([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 1.0, 4.5]);
        let found = regression_of(&actual, &predicted, Some(0.75)).expect("figures");
        // (0.25 · 1 + 0 + 0.75 · 2 + 0.25 · 0.5) / 4
        assert_eq!(found.metrics["pinball_75"], Some(0.46875));
        assert_eq!(found.metrics.len(), NAMES.len() + 1);
        let resampled = ResampledRegressor::of(&actual, &predicted, Some(0.75)).expect("resampled");
        let place = resampled.names().iter().position(|name| name == "pinball_75").expect("a name");
        assert_eq!(resampled.figures(&[1; 4])[place], 0.46875);
        assert_eq!(resampled.figures(&[0; 4]).len(), resampled.names().len());
        // One that is always measured is measured once.
        assert_eq!(regression_of(&actual, &predicted, Some(0.9)), regression(&actual, &predicted));
        let silent = regression_of(&actual, &[f64::NAN; 4], Some(0.75)).expect("figures");
        assert!(silent.undefined.contains_key("pinball_75"));
    }
}
