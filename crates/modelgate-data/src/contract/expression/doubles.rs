//! Numbers of some rows as doubles, and how far each may be from what people would compute.
//!
//! A double holds the nearest to 0.1, so that 0.1 + 0.2 is a little more than 0.3. What was computed is therefore compared
//! within that; what stands in the data is compared as it is, for one decimal is always one double.

use std::cmp::Ordering;

use super::Operator;
use crate::exact;

/// Numbers of some rows; NaN is null.
pub(super) struct Doubles {
    values: Vec<f64>,
    /// How large what a number was computed from is, by row: its error is a part of that, of the order of 2^-53. None where
    /// nothing was computed.
    computed_from: Vec<f64>,
}

impl Doubles {
    /// Takes numbers as they stand in the data.
    pub(super) fn of(values: Vec<f64>) -> Self {
        Self { values, computed_from: Vec::new() }
    }

    fn rows(self) -> impl Iterator<Item = (f64, f64)> {
        let computed_from = self.computed_from.into_iter().chain(std::iter::repeat(0.0));
        self.values.into_iter().zip(computed_from)
    }

    fn of_rows(rows: impl Iterator<Item = (f64, f64)>) -> Self {
        let (values, computed_from) = rows.unzip();
        Self { values, computed_from }
    }

    /// Returns for each row whether it has a value.
    pub(super) fn are_null(&self) -> Vec<Option<bool>> {
        self.values.iter().map(|value| Some(value.is_nan())).collect()
    }

    pub(super) fn negated(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = -*value);
        self
    }

    pub(super) fn absolute(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = value.abs());
        self
    }

    /// Returns whole numbers, which are as they are again.
    pub(super) fn rounded(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = value.round());
        Self::of(self.values)
    }

    /// Does an operator of arithmetic.
    pub(super) fn combined(self, operator: Operator, other: Self) -> Self {
        let pairs = self.rows().zip(other.rows());
        Self::of_rows(pairs.map(|((one, of_one), (other, of_other))| {
            let (large, small) = (one.abs(), other.abs());
            match operator {
                Operator::Subtract => (one - other, of_one + of_other + large + small),
                Operator::Multiply => {
                    let value = one * other;
                    (value, of_one * small + of_other * large + 2.0 * value.abs())
                }
                Operator::Divide => {
                    let value = one / other;
                    (value, (of_one + of_other * value.abs()) / small + 2.0 * value.abs())
                }
                Operator::Remainder => remainder((one, of_one), (other, of_other)),
                _ => (one + other, of_one + of_other + large + small),
            }
        }))
    }

    /// Compares row by row; a null with nothing.
    pub(super) fn compared(self, other: Self, holds: fn(Ordering) -> bool) -> Vec<Option<bool>> {
        let pairs = self.rows().zip(other.rows());
        let compared = pairs.map(|((one, of_one), (other, of_other))| {
            let computed_from = of_one + of_other;
            let allowed = 2.0 * f64::EPSILON * (computed_from + one.abs() + other.abs());
            if computed_from > 0.0 && allowed.is_finite() && (one - other).abs() <= allowed {
                return Some(holds(Ordering::Equal));
            }
            one.partial_cmp(&other).map(holds)
        });
        compared.collect()
    }

    /// Compares whole numbers with these, row by row: with what stands in the data or in the rule, neither is rounded.
    pub(super) fn compared_with(
        self,
        wholes: Vec<Option<i128>>,
        holds: fn(Ordering) -> bool,
    ) -> Vec<Option<bool>> {
        let rounded = wholes.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect();
        let exact: Vec<Option<Ordering>> = wholes
            .into_iter()
            .zip(self.values.iter().enumerate())
            .map(|(whole, (row, value))| {
                let is_computed = self.computed_from.get(row).is_some_and(|from| *from > 0.0);
                exact::compared(whole?, *value).filter(|_| !is_computed)
            })
            .collect();
        let compared = Self::of(rounded).compared(self, holds);
        let each = exact.into_iter().zip(compared);
        each.map(|(exact, compared)| exact.map_or(compared, |exact| Some(holds(exact)))).collect()
    }

    /// Returns the smaller or larger of each pair; a null makes the whole null, where `f64::min` would pass over it.
    pub(super) fn extreme(self, is_min: bool, other: Self) -> Self {
        let pairs = self.rows().zip(other.rows());
        Self::of_rows(pairs.map(|((one, of_one), (other, of_other))| {
            let value = if one.is_nan() || other.is_nan() {
                f64::NAN
            } else if is_min {
                one.min(other)
            } else {
                one.max(other)
            };
            (value, of_one.max(of_other))
        }))
    }
}

/// Returns what is left of a number divided by another, with what it was computed from: in decimals nothing is left of 0.3 by
/// 0.1, and of the doubles nearly 0.1.
fn remainder((one, of_one): (f64, f64), (other, of_other): (f64, f64)) -> (f64, f64) {
    let left = one % other;
    // Whole numbers are as they are.
    if one.fract() == 0.0 && other.fract() == 0.0 && of_one + of_other == 0.0 {
        return (left, 0.0);
    }
    let (large, small) = (one.abs(), other.abs());
    let computed_from = of_one + of_other * large / small + 2.0 * large;
    // As near to the divisor as to nothing: the division goes up.
    let is_whole = left.abs() + 2.0 * f64::EPSILON * computed_from >= small;
    (if is_whole { 0.0 } else { left }, computed_from)
}
