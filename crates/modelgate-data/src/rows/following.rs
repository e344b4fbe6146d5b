//! Features that hold the target: those that follow it from row to row.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use crate::batch::{BatchColumn, Cells};
use crate::rows::push_cell;

/// A column with more values than this is not compared with the classes.
const MOST_VALUES: usize = 1000;

/// A feature that follows the target by more than this has been made from it.
const COPIED: f64 = 0.999_999;

/// Returns a hash of a value that is compared here and kept nowhere: one of the standard library, which is far quicker than
/// those that others have to find again.
fn hash_value(column: &BatchColumn, row: usize, bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    push_cell(bytes, column, row);
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

pub(super) fn hash_values(column: &BatchColumn, rows: usize) -> Vec<u64> {
    let mut bytes = Vec::new();
    (0..rows).map(|row| hash_value(column, row, &mut bytes)).collect()
}

/// How far a feature follows the target.
#[derive(Clone, Debug)]
pub(super) struct Following {
    /// For classes: the class behind each value, as hashes, while there is one; `None` when there is not.
    classes: Option<BTreeMap<u64, u64>>,
    /// For classes: rows with a value, rows without one, and the class of these while there is one.
    known: usize,
    unknown: usize,
    class_of_unknown: Option<u64>,
    /// For numbers: count, and sums over feature `x` and target `y`, both less their first value.
    sums: Option<[f64; 6]>,
    first: Option<(f64, f64)>,
    equal: bool,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            classes: Some(BTreeMap::new()),
            known: 0,
            unknown: 0,
            class_of_unknown: None,
            sums: Some([0.0; 6]),
            first: None,
            equal: true,
        }
    }
}

fn number(column: &BatchColumn, row: usize) -> Option<f64> {
    match &column.cells {
        Cells::Int(values) => values.get(row).copied().flatten().map(|value| value as f64),
        Cells::Float(values) => values.get(row).copied().filter(|value| !value.is_nan()),
        Cells::Text(_) => None,
    }
}

impl Following {
    /// Looks at a feature beside the class of each row, as [`hash_values`] has them.
    pub(super) fn classes(feature: &BatchColumn, of_rows: &[u64]) -> Self {
        let mut found = Self { sums: None, ..Self::default() };
        let mut classes = BTreeMap::new();
        let mut bytes = Vec::new();
        let follows = of_rows.iter().enumerate().all(|(row, class)| {
            if feature.is_null(row) {
                found.add_unknown(1, Some(*class));
                return true;
            }
            found.known += 1;
            *classes.entry(hash_value(feature, row, &mut bytes)).or_insert(*class) == *class
                && classes.len() <= MOST_VALUES
        });
        Self { classes: follows.then_some(classes), ..found }
    }

    /// Adds rows without a value, of one class or of several.
    fn add_unknown(&mut self, rows: usize, class: Option<u64>) {
        if rows > 0 {
            let is_first = self.unknown == 0;
            self.class_of_unknown = class.filter(|class| is_first || self.class_of_unknown == Some(*class));
            self.unknown += rows;
        }
    }

    /// Looks at a feature beside the numbers of a target.
    pub(super) fn numbers(feature: &BatchColumn, target: &BatchColumn) -> Self {
        let mut found = Self { classes: None, ..Self::default() };
        let (Cells::Int(_) | Cells::Float(_), Cells::Int(_) | Cells::Float(_)) =
            (&feature.cells, &target.cells)
        else {
            found.sums = None;
            return found;
        };
        let rows = match &feature.cells {
            Cells::Int(values) => values.len(),
            Cells::Float(values) => values.len(),
            Cells::Text(_) => 0,
        };
        for row in 0..rows {
            let (Some(x), Some(y)) = (number(feature, row), number(target, row)) else { continue };
            found.equal &= x == y;
            let (first_x, first_y) = *found.first.get_or_insert((x, y));
            let (x, y) = (x - first_x, y - first_y);
            if let Some(sums) = &mut found.sums {
                for (sum, value) in sums.iter_mut().zip([1.0, x, y, x * x, y * y, x * y]) {
                    *sum += value;
                }
            }
        }
        found
    }

    /// Adds what was seen behind this.
    pub(super) fn merge(&mut self, later: Self) {
        self.equal &= later.equal;
        self.known += later.known;
        self.add_unknown(later.unknown, later.class_of_unknown);
        self.classes = match (self.classes.take(), later.classes) {
            (Some(mut all), Some(some)) => {
                let fits = some.into_iter().all(|(value, class)| *all.entry(value).or_insert(class) == class);
                (fits && all.len() <= MOST_VALUES).then_some(all)
            }
            _ => None,
        };
        self.sums = match (self.sums, later.sums) {
            (Some(all), Some(some)) => match (self.first, later.first) {
                (Some((x, y)), Some((later_x, later_y))) => {
                    // The later sums, moved to the first batch's origin.
                    let (dx, dy) = (later_x - x, later_y - y);
                    let [n, sx, sy, sxx, syy, sxy] = some;
                    let moved = [
                        n,
                        sx + n * dx,
                        sy + n * dy,
                        sxx + 2.0 * dx * sx + n * dx * dx,
                        syy + 2.0 * dy * sy + n * dy * dy,
                        sxy + dx * sy + dy * sx + n * dx * dy,
                    ];
                    let mut sum = all;
                    sum.iter_mut().zip(moved).for_each(|(sum, value)| *sum += value);
                    Some(sum)
                }
                (None, Some(_)) => {
                    self.first = later.first;
                    Some(some)
                }
                _ => Some(all),
            },
            _ => None,
        };
    }

    /// Returns how the feature follows the target, if it does.
    pub(super) fn verdict(&self, is_class: bool) -> Option<String> {
        if is_class {
            let classes = self.classes.as_ref()?;
            let one_to_one = |unknown: Option<u64>| {
                let different: BTreeSet<u64> = classes.values().copied().chain(unknown).collect();
                different.len() == classes.len() + usize::from(unknown.is_some()) && different.len() > 1
            };
            // That there is no value may itself be the value of a class: the date of an end that only some have.
            if one_to_one(self.class_of_unknown) && (self.unknown == 0 || self.class_of_unknown.is_some()) {
                return Some("has one value for each class of the target".to_owned());
            }
            return (one_to_one(None) && self.known >= self.unknown)
                .then(|| "has one value for each class of the target, in the rows that have one".to_owned());
        }
        let [n, sx, sy, sxx, syy, sxy] = self.sums?;
        if n < 3.0 {
            return None;
        }
        if self.equal {
            return Some("is the target".to_owned());
        }
        let (vx, vy) = (sxx - sx * sx / n, syy - sy * sy / n);
        let correlation = (sxy - sx * sy / n) / (vx.sqrt() * vy.sqrt());
        // What has no digits left is no correlation.
        (COPIED..1.000_001)
            .contains(&correlation.abs())
            .then(|| format!("follows the target with a correlation of {correlation:.6}"))
    }
}
