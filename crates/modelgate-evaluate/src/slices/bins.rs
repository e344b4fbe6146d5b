//! Bins of numbers: a value of so many rows that it fills a bin has one of its own, and what lies between such values is
//! cut at its quantiles.

use super::{Condition, Meaning};
use crate::bootstrap::quantile;

/// Cuts `sorted` numbers, of more than `bins` different values, into about `bins` parts that have all rows once; none is
/// without rows.
pub(super) fn conditions(sorted: &[f64], bins: usize, meaning: Meaning) -> Vec<Condition> {
    let mut found = Vec::new();
    // Where the gap before the next such value begins: its place, and the edge that is written for it.
    let (mut start, mut low) = (0, None);
    let mut at = 0;
    while at < sorted.len() {
        let value = sorted[at];
        let end = at + sorted[at..].partition_point(|other| *other == value).max(1);
        if (end - at) * bins >= sorted.len() {
            found.extend(gap(&sorted[start..at], sorted.len(), bins, (low, Some(value)), meaning));
            found.push(Condition::Between(Some(value), Some(value)));
            start = end;
            low = sorted.get(end).map(|next| above(value, *next, meaning));
        }
        at = end;
    }
    found.extend(gap(&sorted[start..], sorted.len(), bins, (low, None), meaning));
    found
}

/// Cuts what lies between two values into as many bins as its share of all rows makes.
fn gap(
    numbers: &[f64],
    all: usize,
    bins: usize,
    (low, high): (Option<f64>, Option<f64>),
    meaning: Meaning,
) -> Vec<Condition> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let share = (2 * numbers.len() * bins + all) / (2 * all);
    let mut edges = Vec::new();
    let mut before = 0;
    for at in 1..share {
        let edge = written(quantile(numbers, at as f64 / share as f64), meaning);
        let place = numbers.partition_point(|value| *value < edge);
        // An edge that parts no rows from those before it makes no bin.
        if place > before && place < numbers.len() {
            edges.push(edge);
            before = place;
        }
    }
    let lows = std::iter::once(low).chain(edges.iter().copied().map(Some));
    let highs = edges.iter().copied().map(Some).chain(std::iter::once(high));
    lows.zip(highs).map(|(low, high)| Condition::Between(low, high)).collect()
}

/// Returns an edge as it is written: an edge between two days is none that can be.
fn written(edge: f64, meaning: Meaning) -> f64 {
    if meaning.is_number() { short(edge) } else { edge.round() }
}

/// Returns the edge of what is above `value`, where `next` is the smallest.
fn above(value: f64, next: f64, meaning: Meaning) -> f64 {
    let edge = written(next, meaning);
    if value < edge && edge <= next { edge } else { next }
}

/// Rounds an edge to four significant digits, so that it can be read and written into a rule.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let decimals = (3 - libm::floor(libm::log10(value.abs())) as i32).clamp(0, 300) as usize;
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slices::{NamedColumn, SliceColumn, parts};

    /// Returns the parts of `values` in words, each with its rows; every row is in one.
    fn cut(values: &[f64], bins: usize) -> Vec<(String, usize)> {
        let values = SliceColumn::Numbers(values.iter().copied().map(Some).collect());
        let SliceColumn::Numbers(all) = &values else { unreachable!() };
        let rows = all.len();
        let column = NamedColumn { name: "c".to_owned(), values, meaning: Meaning::Number };
        let found: Vec<(String, usize)> = parts(&column, bins)
            .iter()
            .map(|part| (part.to_string(), part.condition.rows(&column.values, rows).len()))
            .collect();
        assert_eq!(found.iter().map(|(_, rows)| rows).sum::<usize>(), rows, "{found:?}");
        assert!(found.iter().all(|(_, rows)| *rows > 0), "{found:?}");
        found
    }

    fn of(name: &str, rows: usize) -> (String, usize) {
        (name.to_owned(), rows)
    }

    #[test]
    fn a_value_that_fills_a_bin_has_one_of_its_own_and_the_others_have_theirs() {
        let amounts = |zeros: usize, rows: usize| -> Vec<f64> {
            (0..rows).map(|row| if row < zeros { 0.0 } else { 1.5 + row as f64 }).collect()
        };
        assert_eq!(cut(&amounts(94, 100), 4), [of("c = 0", 94), of("c ≥ 95.5", 6)]);
        let half = cut(&amounts(50, 100), 4);
        assert_eq!(half, [of("c = 0", 50), of("51.5 ≤ c < 76", 25), of("c ≥ 76", 25)]);
        // In the middle, and at the upper end.
        let middle: Vec<f64> =
            (0..100).map(|row| if (25..75).contains(&row) { 40.0 } else { f64::from(row) }).collect();
        assert_eq!(cut(&middle, 4), [of("c < 40", 25), of("c = 40", 50), of("c ≥ 75", 25)]);
        let end: Vec<f64> = (0..100).map(|row| f64::from(row.min(8))).collect();
        assert_eq!(cut(&end, 4), [of("c < 8", 8), of("c = 8", 92)]);
        // An edge that rounding puts on the wrong side is not rounded.
        let fine: Vec<f64> =
            (0..100).map(|row| if row < 90 { 1.0 } else { 1.000_01 + f64::from(row) / 1e6 }).collect();
        assert_eq!(cut(&fine, 4), [of("c = 1", 90), of("c ≥ 1.0001", 10)]);
    }

    #[test]
    fn edges_that_rounding_puts_together_are_one() {
        // Whole numbers are all that four significant digits leave: of 19 edges four differ and part rows.
        let values: Vec<f64> = (0..40).map(|row| 1e9 + f64::from(row) / 8.0).collect();
        let found = cut(&values, 20);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[1], of("1000000001 ≤ c < 1000000002", 8));
    }
}
