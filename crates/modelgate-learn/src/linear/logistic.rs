//! Logistic regression, binary and multinomial, with scikit-learn's objective: the mean of the weighted log loss plus
//! `‖w‖² / (2 · C · Σ weights)`, the intercepts not penalised. `exp` and `ln` are `libm`'s, so that every platform
//! computes the same bits.

use std::collections::BTreeMap;

use modelgate_model::estimator::{Estimator, LinearClassifier};
use serde_json::{Value, json};

use super::CHUNK;
use super::minimise::{Minimum, lbfgs, newton};
use super::objective::{Objective, scales};
use crate::check::{check, check_finite};
use crate::counted::counted;
use crate::error::{LearnError, ParamError};
use crate::params::{ClassWeight, Params};
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer};

/// Coefficients up to which Newton's method is taken by itself: its curvature costs their square a row.
const NEWTON_UP_TO: usize = 400;

/// With this many chunks Newton's method starts from what it finds on a part of them.
const SAMPLE_FROM: usize = 32;

/// An objective below this, with every row right, says that the penalty is next to nothing: the mean probability of the right
/// class is above 0.999 then.
const NEXT_TO_NOTHING: f64 = 1e-3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Solver {
    Auto,
    Lbfgs,
    Newton,
}

/// Logistic regression with its settings.
#[derive(Debug)]
pub(crate) struct LogisticRegression {
    inverse_strength: f64,
    penalty: bool,
    max_iter: usize,
    tolerance: f64,
    intercept: bool,
    class_weight: ClassWeight,
    solver: Solver,
    resolved: BTreeMap<String, Value>,
}

const KNOWN: [&str; 7] = ["C", "penalty", "max_iter", "tol", "fit_intercept", "class_weight", "solver"];

impl LogisticRegression {
    pub(crate) fn new(given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let mut params = Params::new(given, &KNOWN)?;
        let positive = |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        let inverse_strength = params.read("C", json!(1.0), "a number above 0", positive)?;
        let penalty = params.read("penalty", json!("l2"), "`l2` or `null`", |value| match value {
            Value::Null => Some(false),
            other => (other == "l2").then_some(true),
        })?;
        let max_iter = params.read("max_iter", json!(100), "a whole number from 1", |value| {
            value.as_u64().filter(|count| *count >= 1).map(|count| count as usize)
        })?;
        let tolerance = params.read("tol", json!(1e-4), "a number above 0", positive)?;
        let intercept = params.read("fit_intercept", json!(true), "true or false", Value::as_bool)?;
        let class_weight =
            params.read("class_weight", Value::Null, ClassWeight::EXPECTED, ClassWeight::read)?;
        let expected = "`auto`, `lbfgs` or `newton-cholesky`";
        let solver = params.read("solver", json!("auto"), expected, |value| match value.as_str() {
            Some("auto") => Some(Solver::Auto),
            Some("lbfgs") => Some(Solver::Lbfgs),
            Some("newton-cholesky") => Some(Solver::Newton),
            _ => None,
        })?;
        let resolved = params.resolved;
        Ok(Self { inverse_strength, penalty, max_iter, tolerance, intercept, class_weight, solver, resolved })
    }

    fn minimise(&self, objective: &mut Objective<'_>, newtons: bool) -> Minimum {
        if !newtons {
            return lbfgs(objective, self.max_iter, self.tolerance);
        }
        let mut point = vec![0.0; objective.size()];
        let chunks = objective.labels.len().div_ceil(CHUNK);
        if chunks >= SAMPLE_FROM && self.max_iter > 1 {
            // Whole chunks at fixed places: what is looked at first depends on the rows alone.
            objective.every = chunks.div_ceil(16).max(2);
            let sample = newton(objective, point.clone(), self.max_iter, self.tolerance * 10.0);
            objective.every = 1;
            if sample.converged {
                point = sample.point;
            }
        }
        newton(objective, point, self.max_iter, self.tolerance)
    }
}

/// Returns the model in units of the features.
fn unscaled(objective: &Objective<'_>, point: &[f64]) -> LinearClassifier {
    let columns = objective.columns;
    let mut linear = LinearClassifier { features: columns, ..LinearClassifier::default() };
    if objective.outputs == 1 {
        linear.coefficients.resize(columns, 0.0);
        linear.intercepts.push(0.0);
    }
    for weights in point.chunks_exact(columns + 1) {
        let mut intercept = weights[columns];
        let scales = objective.scales.inverse.iter().zip(&objective.scales.means);
        for (weight, (inverse, mean)) in weights.iter().zip(scales) {
            linear.coefficients.push(weight * inverse);
            intercept -= weight * inverse * mean;
        }
        linear.intercepts.push(intercept);
    }
    linear
}

impl LogisticRegression {
    /// Fits rows that all count.
    fn fit_counted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
    ) -> Result<FitOutcome, LearnError> {
        let Targets::Classes { labels, classes, names } = targets else {
            return Err(LearnError::Task("logistic regression learns classes".to_owned()));
        };
        check_finite(matrix, "logistic regression")?;
        let mut objective = Objective {
            values: matrix.values,
            columns: matrix.columns,
            labels,
            class_weights: self.class_weight.weights(labels, names, weights).map_err(LearnError::Setting)?,
            weights,
            outputs: if *classes == 2 { 1 } else { *classes },
            strength: if self.penalty { 1.0 / self.inverse_strength } else { 0.0 },
            intercept: self.intercept,
            scales: scales(matrix.values, matrix.columns, self.intercept),
            every: 1,
        };
        let newtons = match self.solver {
            Solver::Auto => objective.size() <= NEWTON_UP_TO,
            Solver::Lbfgs => false,
            Solver::Newton => true,
        };
        let found = self.minimise(&mut objective, newtons);
        if found.point.iter().any(|part| !part.is_finite()) {
            let message =
                "logistic regression found no finite coefficients; set `preprocess.scale: standard`";
            return Err(LearnError::Data(message.to_owned()));
        }
        let mut warnings = Vec::new();
        if !found.converged {
            warnings.push(format!(
                "logistic regression did not converge in {} iterations: the gradient is {:.1e} and should be {:.1e}; raise \
                 `max_iter`",
                found.iterations, found.gradient, self.tolerance
            ));
        }
        let separated = found.wrong == 0 && (!self.penalty || found.value < NEXT_TO_NOTHING);
        if separated && self.penalty {
            warnings.push(format!(
                "the features separate the classes perfectly: how large the coefficients are, and how sure the probabilities, \
                 comes from `C` ({}) alone; a smaller one makes them less sure",
                self.inverse_strength
            ));
        } else if separated {
            warnings.push(
                "the features separate the classes perfectly: without a penalty the coefficients have no limit, and where \
                 they stand is where the search ended; set `penalty: l2`"
                    .to_owned(),
            );
        }
        let details = BTreeMap::from([
            ("converged".to_owned(), json!(found.converged)),
            ("iterations".to_owned(), json!(found.iterations)),
            ("solver".to_owned(), json!(if newtons { "newton-cholesky" } else { "lbfgs" })),
            ("objective".to_owned(), json!(found.value)),
            ("gradient".to_owned(), json!(found.gradient)),
            ("separated".to_owned(), json!(separated)),
        ]);
        let estimator = Estimator::LinearClassifier(unscaled(&objective, &found.point));
        Ok(FitOutcome { estimator, warnings, details })
    }
}

impl Trainer for LogisticRegression {
    fn fit_weighted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        _seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        check(matrix, targets, weights)?;
        counted(matrix, targets, weights, |matrix, targets, weights| {
            self.fit_counted(matrix, targets, weights)
        })
    }

    fn revision(&self) -> &'static str {
        "4"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}
