//! Numbers of some rows as doubles, and how far each may be from what people would compute.
//!
//! A double holds the nearest to 0.1, so that 0.1 + 0.2 is a little more than 0.3. What was computed is therefore compared
//! within that; what stands in the data is compared as it is, for one decimal is always one double.

use std::cmp::Ordering;

use super::Operator;

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
                Operator::Remainder => (one % other, of_one + of_other * large / small + 2.0 * large),
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
