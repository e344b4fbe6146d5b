//! Ridge and ordinary least squares: the normal equations of centred columns, with pivoting and refinement.
//! Objectives and parameters are scikit-learn's: `Σ weight · (target − prediction)² + alpha · ‖coefficients‖²`, the
//! intercept not penalised; of many solutions the one of least norm.

use std::collections::BTreeMap;

use modelgate_model::estimator::{Estimator, LinearRegressor};
use serde_json::{Value, json};

use super::gram::{Moments, Rows};
use super::solve::Factor;
use crate::check::{check, check_finite, resolution};
use crate::counted::counted;
use crate::error::{LearnError, ParamError};
use crate::params::Params;
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer};

/// Below this share of a diagonal element that pivoting left, solutions of the normal equations are refined.
const REFINE: f64 = 1e-6;

/// Least squares with its settings; `alpha` is 0 for `linear_regression`.
#[derive(Debug)]
pub(crate) struct Ridge {
    name: &'static str,
    alpha: f64,
    intercept: bool,
    resolved: BTreeMap<String, Value>,
}

impl Ridge {
    /// Reads the settings of `ridge`.
    pub(crate) fn penalised(given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let mut params = Params::new(given, &["alpha", "fit_intercept"])?;
        let alpha = params.read("alpha", json!(1.0), "a number from 0 on", |value| {
            value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)
        })?;
        Self::finish("ridge", alpha, params)
    }

    /// Reads the settings of `linear_regression`.
    pub(crate) fn ordinary(given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let params = Params::new(given, &["fit_intercept"])?;
        Self::finish("linear_regression", 0.0, params)
    }

    fn finish(name: &'static str, alpha: f64, mut params: Params<'_>) -> Result<Self, ParamError> {
        let intercept = params.read("fit_intercept", json!(true), "true or false", Value::as_bool)?;
        Ok(Self { name, alpha, intercept, resolved: params.resolved })
    }

    /// Solves over the features.
    fn primal(&self, rows: &Rows<'_>, moments: &Moments) -> Solution {
        let (columns, width) = (rows.columns, rows.columns + 1);
        let mut matrix = vec![0.0; columns * columns];
        for row in 0..columns {
            matrix[row * columns..(row + 1) * columns]
                .copy_from_slice(&moments.products[row * width..row * width + columns]);
            matrix[row * columns + row] += self.alpha;
        }
        let right: Vec<f64> = (0..columns).map(|row| moments.products[row * width + columns]).collect();
        let factor = Factor::new(matrix, columns);
        let mut coefficients = factor.solve(&right);
        let mut refinements = 0;
        // Least norm is not kept by a step in the full space.
        if factor.rank == columns && factor.smallest < REFINE {
            for _ in 0..2 {
                let mut left = rows.residual_products(&moments.means, &coefficients);
                left.iter_mut().zip(&coefficients).for_each(|(left, one)| *left -= self.alpha * one);
                coefficients.iter_mut().zip(factor.solve(&left)).for_each(|(one, step)| *one += step);
                refinements += 1;
            }
        }
        Solution { coefficients, rank: factor.rank, dependent: factor.dependent(), refinements }
    }

    /// Solves over the rows, of which there are fewer than features: `x = Aᵀ (A Aᵀ + alpha)⁻¹ b`.
    fn dual(&self, rows: &Rows<'_>, means: &[f64]) -> Solution {
        let (columns, count) = (rows.columns, rows.targets.len());
        let root = |row: usize| rows.weights.map_or(1.0, |weights| weights[row].sqrt());
        let cell = |row: usize, column: usize| {
            root(row) * (f64::from(rows.values[row * columns + column]) - means[column])
        };
        let centred: Vec<f64> = (0..count)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| cell(row, column))
            .collect();
        let mut matrix = vec![0.0; count * count];
        for one in 0..count {
            for other in 0..=one {
                let products =
                    centred[one * columns..][..columns].iter().zip(&centred[other * columns..][..columns]);
                let sum: f64 = products.map(|(one, other)| one * other).sum();
                matrix[one * count + other] = sum;
                matrix[other * count + one] = sum;
            }
            matrix[one * count + one] += self.alpha;
        }
        let factor = Factor::new(matrix, count);
        let right: Vec<f64> =
            (0..count).map(|row| root(row) * (rows.targets[row] - means[columns])).collect();
        let shares = factor.solve(&right);
        let mut coefficients = vec![0.0; columns];
        for (row, share) in centred.chunks_exact(columns).zip(&shares) {
            coefficients.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
        }
        let rank = if self.alpha > 0.0 { columns } else { factor.rank };
        Solution { coefficients, rank, dependent: Vec::new(), refinements: 0 }
    }
}

struct Solution {
    coefficients: Vec<f64>,
    rank: usize,
    dependent: Vec<usize>,
    refinements: usize,
}

/// Says that the solution is one of many.
fn deficiency(name: &str, alpha: f64, solution: &Solution, matrix: &FeatureMatrix<'_>) -> Option<String> {
    if solution.rank >= matrix.columns {
        return None;
    }
    let shown = solution.dependent.iter().take(5).filter_map(|at| matrix.names.get(*at));
    let shown: Vec<String> = shown.map(|name| format!("`{name}`")).collect();
    let more = solution.dependent.len().saturating_sub(shown.len());
    let columns = match (shown.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({} add nothing to the others)", shown.join(", ")),
        (false, more) => format!(" ({} and {more} more add nothing to the others)", shown.join(", ")),
    };
    let advice = if alpha > 0.0 { "raise `alpha`" } else { "use `ridge`" };
    Some(format!(
        "{name}: the features have rank {} of {}{columns}; of the many solutions the one of least norm is taken; drop \
         the columns, or {advice}",
        solution.rank, matrix.columns
    ))
}

impl Ridge {
    /// Fits rows that all count.
    fn fit_counted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
    ) -> Result<FitOutcome, LearnError> {
        let Targets::Values(values) = targets else {
            return Err(LearnError::Task(format!("{} learns numbers, not classes", self.name)));
        };
        let rows = Rows { values: matrix.values, columns: matrix.columns, targets: values, weights };
        let (solution, means) = if matrix.rows < matrix.columns {
            check_finite(matrix, self.name)?;
            let means = if self.intercept { rows.means() } else { vec![0.0; matrix.columns + 1] };
            (self.dual(&rows, &means), means)
        } else {
            let moments = rows.moments(self.intercept);
            // One value that is no number makes sums that are none; squares of 32-bit numbers do not overflow in 64 bits. A look at
            // every value before would be another pass over the memory.
            if !moments.products.iter().all(|product| product.is_finite()) {
                check_finite(matrix, self.name)?;
            }
            (self.primal(&rows, &moments), moments.means)
        };
        let products = solution.coefficients.iter().zip(&means).map(|(one, mean)| one * mean);
        let intercept = means[matrix.columns] - products.sum::<f64>();
        let warnings = deficiency(self.name, self.alpha, &solution, matrix).into_iter().collect();
        let details = BTreeMap::from([
            ("rank".to_owned(), json!(solution.rank)),
            ("features".to_owned(), json!(matrix.columns)),
            ("refinements".to_owned(), json!(solution.refinements)),
        ]);
        let linear =
            LinearRegressor { features: matrix.columns, coefficients: solution.coefficients, intercept };
        Ok(FitOutcome { estimator: Estimator::LinearRegressor(linear), warnings, details })
    }
}

impl Trainer for Ridge {
    fn fit_weighted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        _seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        check(matrix, targets, weights)?;
        let coarse = resolution(targets, weights)?;
        let mut outcome = counted(matrix, targets, weights, |matrix, targets, weights| {
            self.fit_counted(matrix, targets, weights)
        })?;
        outcome.warnings.extend(coarse);
        Ok(outcome)
    }

    fn revision(&self) -> &'static str {
        "3"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}
