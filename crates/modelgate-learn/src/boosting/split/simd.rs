//! The gains of all thresholds of a feature, compiled once more for wider registers. Lanes do not meet, so every level
//! gives the same bits.
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]
#![expect(
    clippy::needless_bitwise_bool,
    reason = "lazy operators are branches, and a loop with branches is not compiled for wide registers"
)]

use modelgate_model::dispatched;

use super::super::bins::CELLS;
use super::{Limits, Sums};

/// What gains are computed from.
pub(super) struct Scan<'a> {
    pub(super) cells: &'a [i32],
    /// What is left of every threshold.
    pub(super) first: Sums,
    pub(super) total: Sums,
    pub(super) limits: &'a Limits,
    /// The score of the node.
    pub(super) parent: f64,
}

dispatched! {
    /// Writes the gain of a split behind each bin from the first to `end`; 0 where there is none, where the bin is empty and
    /// where the limits do not allow it.
    gains, gains_body, (scan: &Scan<'_>, end: usize, gains: &mut [f64; CELLS])
}

/// Gradient, penalised, and Hessian.
#[inline(always)]
fn score(gradient: f64, hessian: f64, l1: f64, l2: f64) -> f64 {
    let gradient = (gradient.abs() - l1).max(0.0);
    let hessian = hessian + l2;
    if hessian > 0.0 { gradient * gradient / hessian } else { 0.0 }
}

#[inline(always)]
fn gains_body(scan: &Scan<'_>, end: usize, gains: &mut [f64; CELLS]) {
    let Scan { cells, first, total, limits, parent } = scan;
    let (mut gradients, mut hessians, mut rows) = ([0.0_f64; CELLS], [0.0_f64; CELLS], [0_u32; CELLS]);
    let mut left = *first;
    let [unit, hessian_unit] = limits.units;
    for bin in 1..=end.min(CELLS - 1) {
        let found = super::cell(cells, bin);
        left = left.plus(found);
        gradients[bin] = left.gradient as f64;
        hessians[bin] = left.hessian as f64;
        // No row is left of an empty bin: it is not allowed.
        rows[bin] = if found.rows == 0 { 0 } else { left.rows };
    }
    let (total_gradient, total_hessian) = (total.gradient as f64, total.hessian as f64);
    let least = limits.min_samples_leaf.max(1);
    let most = total.rows.saturating_sub(least);
    // In whole registers; what lies behind the end has no rows.
    let length = (end + 1).next_multiple_of(8).min(CELLS);
    for bin in 0..length {
        let (gradient, hessian) = (gradients[bin] * unit, hessians[bin] * hessian_unit);
        let other_gradient = (total_gradient - gradients[bin]) * unit;
        let other_hessian = (total_hessian - hessians[bin]) * hessian_unit;
        let scores = score(gradient, hessian, limits.l1, limits.l2)
            + score(other_gradient, other_hessian, limits.l1, limits.l2);
        let gain = scores - parent;
        let allowed = (rows[bin] >= least)
            & (rows[bin] <= most)
            & (hessian >= limits.min_hessian)
            & (other_hessian >= limits.min_hessian)
            & (gain > 0.0);
        gains[bin] = if allowed { gain } else { 0.0 };
    }
}
