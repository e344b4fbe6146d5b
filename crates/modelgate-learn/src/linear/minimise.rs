//! Minimising a smooth convex objective: Newton's method where the curvature is small enough to be had, L-BFGS where
//! not. Source: Nocedal and Wright, 2006, "Numerical Optimization", algorithms 3.2 and 7.4.

use super::objective::{Evaluation, Objective};
use super::solve::Factor;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// How far below its tolerance Newton's method goes, where a step more costs little: what it finds then depends on
/// neither the order of rows nor where it started.
const BEYOND: f64 = 1e-5;

/// A curvature is used again for as long as a step makes the gradient this much smaller.
const WORTH_KEEPING: f64 = 0.2;

/// What was found.
pub(crate) struct Minimum {
    pub(crate) point: Vec<f64>,
    pub(crate) value: f64,
    pub(crate) iterations: usize,
    pub(crate) converged: bool,
    /// The largest part of the gradient.
    pub(crate) gradient: f64,
    pub(crate) wrong: u64,
}

fn largest(gradient: &[f64]) -> f64 {
    gradient.iter().fold(0.0, |most, part| if part.abs() > most { part.abs() } else { most })
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn moved(point: &[f64], direction: &[f64], length: f64) -> Vec<f64> {
    point.iter().zip(direction).map(|(part, direction)| part + length * direction).collect()
}

/// Goes along `direction` until the objective is lower; `None` when no step is, which is as low as doubles go.
fn step(
    objective: &Objective<'_>,
    point: &[f64],
    at: &Evaluation,
    direction: &[f64],
    first: f64,
) -> Option<(Vec<f64>, Evaluation)> {
    let slope = dot(&at.gradient, direction);
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let mut length = first;
    for _ in 0..40 {
        let next = moved(point, direction, length);
        let found = objective.evaluate(&next, false);
        // Where the fall is below what a sum of doubles can show, the gradient decides.
        let lower = found.value <= at.value + 1e-4 * length * slope;
        let level = found.value <= at.value + 1e-14 * at.value.abs();
        if lower || (level && largest(&found.gradient) < 0.5 * largest(&at.gradient)) {
            return Some((next, found));
        }
        length *= 0.5;
    }
    None
}

fn ended(point: Vec<f64>, at: &Evaluation, iterations: usize, tolerance: f64) -> Minimum {
    let gradient = largest(&at.gradient);
    Minimum {
        point,
        value: at.value,
        iterations,
        converged: gradient <= tolerance,
        gradient,
        wrong: at.wrong,
    }
}

/// Newton's method from `point`.
pub(crate) fn newton(objective: &Objective<'_>, point: Vec<f64>, max_iter: usize, tolerance: f64) -> Minimum {
    let mut point = point;
    let mut at = objective.evaluate(&point, true);
    let mut factor: Option<Factor> = None;
    for iteration in 0..max_iter {
        if largest(&at.gradient) <= tolerance * BEYOND {
            return ended(point, &at, iteration, tolerance);
        }
        if factor.is_none() {
            if at.curvature.is_empty() {
                at = objective.evaluate(&point, true);
            }
            factor = Some(Factor::new(std::mem::take(&mut at.curvature), objective.size()));
        }
        let Some(used) = &factor else { break };
        let direction: Vec<f64> = used.solve(&at.gradient).into_iter().map(|part| -part).collect();
        let Some((next, found)) = step(objective, &point, &at, &direction, 1.0) else {
            return ended(point, &at, iteration, tolerance);
        };
        if largest(&found.gradient) > WORTH_KEEPING * largest(&at.gradient) {
            factor = None;
        }
        (point, at) = (next, found);
    }
    ended(point, &at, max_iter, tolerance)
}

/// L-BFGS from zero; what it takes for the curvature at first are the objective's own diagonal elements.
pub(crate) fn lbfgs(objective: &Objective<'_>, max_iter: usize, tolerance: f64) -> Minimum {
    let mut point = vec![0.0; objective.size()];
    let diagonal = objective.diagonal();
    let mut at = objective.evaluate(&point, false);
    // Pairs of step and change of the gradient, the newest last.
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for iteration in 0..max_iter {
        if largest(&at.gradient) <= tolerance {
            return ended(point, &at, iteration, tolerance);
        }
        let direction = two_loops(&at.gradient, &memory, &diagonal);
        let Some((next, found)) = step(objective, &point, &at, &direction, 1.0) else {
            if memory.is_empty() {
                return ended(point, &at, iteration, tolerance);
            }
            // What was remembered misleads: once more, downhill.
            memory.clear();
            continue;
        };
        let moved: Vec<f64> = next.iter().zip(&point).map(|(next, part)| next - part).collect();
        let change: Vec<f64> =
            found.gradient.iter().zip(&at.gradient).map(|(next, part)| next - part).collect();
        if dot(&moved, &change) > 1e-300 {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((moved, change));
        }
        (point, at) = (next, found);
    }
    ended(point, &at, max_iter, tolerance)
}

/// Returns the direction of L-BFGS; the curvature that it begins with is `diagonal`, times what the newest step says.
fn two_loops(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)], diagonal: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let share = dot(step, &direction) / dot(step, change);
        direction.iter_mut().zip(change).for_each(|(part, change)| *part -= share * change);
        shares.push(share);
    }
    let scale = memory.last().map_or(1.0, |(step, change)| {
        let shaped: f64 = change.iter().zip(diagonal).map(|(change, own)| change * change / own).sum();
        dot(step, change) / shaped
    });
    direction.iter_mut().zip(diagonal).for_each(|(part, own)| *part *= scale / own);
    for ((step, change), share) in memory.iter().zip(shares.iter().rev()) {
        let back = dot(change, &direction) / dot(step, change);
        direction.iter_mut().zip(step).for_each(|(part, step)| *part += (share - back) * step);
    }
    direction
}
