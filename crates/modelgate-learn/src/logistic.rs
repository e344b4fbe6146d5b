//! Logistic regression, binary and multinomial, with scikit-learn's objective: the mean of the weighted log loss
//! plus `‖w‖² / (2 · C · Σ weights)`, the intercepts not penalised. Minimised by L-BFGS: Nocedal and Wright, 2006,
//! "Numerical Optimization", algorithm 7.4, with a backtracking line search. `exp` and `ln` are `libm`'s, so that
//! every platform computes the same bits.

use std::collections::BTreeMap;

use modelgate_model::estimator::{Estimator, LinearClassifier};
use serde_json::{Value, json};

use crate::check::check;
use crate::error::{LearnError, ParamError};
use crate::params::{ClassWeight, Params};
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer};

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// Logistic regression with its settings.
#[derive(Debug)]
pub(crate) struct LogisticRegression {
    inverse_strength: f64,
    penalty: bool,
    max_iter: usize,
    tolerance: f64,
    intercept: bool,
    class_weight: ClassWeight,
    resolved: BTreeMap<String, Value>,
}

const KNOWN: [&str; 6] = ["C", "penalty", "max_iter", "tol", "fit_intercept", "class_weight"];

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
        let resolved = params.resolved;
        Ok(Self { inverse_strength, penalty, max_iter, tolerance, intercept, class_weight, resolved })
    }
}

/// The function to minimise. Weights lie `[outputs × (features + 1)]`, the intercept last.
struct Objective<'a> {
    matrix: &'a FeatureMatrix<'a>,
    labels: &'a [u32],
    weights: Vec<f64>,
    total: f64,
    outputs: usize,
    strength: f64,
    intercept: bool,
}

impl Objective<'_> {
    /// Returns the value and writes the gradient.
    fn evaluate(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let columns = self.matrix.columns;
        let stride = columns + 1;
        gradient.fill(0.0);
        let mut loss = 0.0;
        // Binary: the first class's logit stays at zero.
        let fixed = usize::from(self.outputs == 1);
        let mut logits = vec![0.0; self.outputs + fixed];
        for (row, label) in self.matrix.values.chunks_exact(columns).zip(self.labels) {
            for (logit, weights) in logits[fixed..].iter_mut().zip(point.chunks_exact(stride)) {
                let products = weights.iter().zip(row).map(|(weight, value)| weight * f64::from(*value));
                *logit = products.sum::<f64>() + weights[columns];
            }
            let label = *label as usize;
            let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let own = logits[label] - highest;
            let mut sum = 0.0;
            for logit in &mut logits {
                *logit = libm::exp(*logit - highest);
                sum += *logit;
            }
            let weight = self.weights[label];
            loss += weight * (libm::log(sum) - own);
            for (output, gradient) in gradient.chunks_exact_mut(stride).enumerate() {
                let class = output + fixed;
                let slope = weight * (logits[class] / sum - f64::from(u8::from(class == label)));
                for (gradient, value) in gradient.iter_mut().zip(row) {
                    *gradient += slope * f64::from(*value);
                }
                gradient[columns] += slope;
            }
            logits[0] = 0.0;
        }
        let mut penalty = 0.0;
        for (gradient, weights) in gradient.chunks_exact_mut(stride).zip(point.chunks_exact(stride)) {
            for (gradient, weight) in gradient.iter_mut().zip(&weights[..columns]) {
                *gradient = (*gradient + self.strength * weight) / self.total;
                penalty += weight * weight;
            }
            gradient[columns] = if self.intercept { gradient[columns] / self.total } else { 0.0 };
        }
        (loss + 0.5 * self.strength * penalty) / self.total
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

struct Minimum {
    point: Vec<f64>,
    iterations: usize,
    converged: bool,
}

/// Minimises a smooth convex function until no part of its gradient is above `tolerance`.
fn minimise(objective: &Objective<'_>, size: usize, max_iter: usize, tolerance: f64) -> Minimum {
    let mut point = vec![0.0; size];
    let mut gradient = vec![0.0; size];
    let mut value = objective.evaluate(&point, &mut gradient);
    // Pairs of step and change of the gradient, the newest last.
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let small = |gradient: &[f64]| gradient.iter().all(|part| part.abs() <= tolerance);
    for iteration in 0..max_iter {
        if small(&gradient) {
            return Minimum { point, iterations: iteration, converged: true };
        }
        let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
        let mut shares = Vec::with_capacity(memory.len());
        for (step, change) in memory.iter().rev() {
            let share = dot(step, &direction) / dot(step, change);
            direction.iter_mut().zip(change).for_each(|(part, change)| *part -= share * change);
            shares.push(share);
        }
        if let Some((step, change)) = memory.last() {
            let scale = dot(step, change) / dot(change, change);
            direction.iter_mut().for_each(|part| *part *= scale);
        }
        for ((step, change), share) in memory.iter().zip(shares.iter().rev()) {
            let back = dot(change, &direction) / dot(step, change);
            direction.iter_mut().zip(step).for_each(|(part, step)| *part += (share - back) * step);
        }
        let slope = dot(&gradient, &direction);
        let mut length =
            if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut next = point.clone();
        let mut next_gradient = vec![0.0; size];
        let mut accepted = false;
        for _ in 0..60 {
            for ((next, part), direction) in next.iter_mut().zip(&point).zip(&direction) {
                *next = part + length * direction;
            }
            let next_value = objective.evaluate(&next, &mut next_gradient);
            if next_value <= value + 1e-4 * length * slope {
                value = next_value;
                accepted = true;
                break;
            }
            length *= 0.5;
        }
        if !accepted {
            // No shorter step is lower: this is as low as doubles go.
            return Minimum { converged: small(&gradient), point, iterations: iteration };
        }
        let step: Vec<f64> = next.iter().zip(&point).map(|(next, part)| next - part).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, part)| next - part).collect();
        if dot(&step, &change) > 1e-300 {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((step, change));
        }
        (point, gradient) = (next, next_gradient);
    }
    Minimum { converged: small(&gradient), point, iterations: max_iter }
}

impl Trainer for LogisticRegression {
    fn fit(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        _seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        let Targets::Classes { labels, classes, names } = targets else {
            return Err(LearnError::Task("logistic regression learns classes".to_owned()));
        };
        check(matrix, targets, None)?;
        if let Some(at) = matrix.values.iter().position(|value| !value.is_finite()) {
            let name = matrix.names.get(at % matrix.columns).map_or("?", String::as_str);
            let message = format!(
                "column `{name}` has a missing value, which logistic regression cannot take; set `preprocess.missing` to \
                 `median`"
            );
            return Err(LearnError::Data(message));
        }
        let weights = self.class_weight.weights(labels, names).map_err(LearnError::Data)?;
        let outputs = if *classes == 2 { 1 } else { *classes };
        let objective = Objective {
            matrix,
            labels,
            total: labels.iter().map(|label| weights[*label as usize]).sum(),
            weights,
            outputs,
            strength: if self.penalty { 1.0 / self.inverse_strength } else { 0.0 },
            intercept: self.intercept,
        };
        let stride = matrix.columns + 1;
        let found = minimise(&objective, outputs * stride, self.max_iter, self.tolerance);
        let mut linear = LinearClassifier { features: matrix.columns, ..LinearClassifier::default() };
        if outputs == 1 {
            linear.coefficients.resize(matrix.columns, 0.0);
            linear.intercepts.push(0.0);
        }
        for weights in found.point.chunks_exact(stride) {
            linear.coefficients.extend(&weights[..matrix.columns]);
            linear.intercepts.push(weights[matrix.columns]);
        }
        let mut warnings = Vec::new();
        if !found.converged {
            warnings.push(format!(
                "logistic regression did not converge in {} iterations: raise `max_iter`, or set `preprocess.scale: standard`",
                found.iterations
            ));
        }
        let details = BTreeMap::from([
            ("converged".to_owned(), json!(found.converged)),
            ("iterations".to_owned(), json!(found.iterations)),
        ]);
        Ok(FitOutcome { estimator: Estimator::LinearClassifier(linear), warnings, details })
    }

    fn revision(&self) -> &'static str {
        "1"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}
