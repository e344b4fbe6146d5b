//! What a batch, or all of them so far, showed.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::{SHOWN, Seen};
use crate::batch::{BatchColumn, Cells, Position};
use crate::contract::Offender;
use crate::types::{ColumnType, show_int};

/// Different labels that are counted; a column with more of them has no classes.
pub(super) const MOST_LABELS: usize = 10_000;

/// Rows that break one rule.
#[derive(Clone, Default)]
pub(super) struct Broken {
    pub(super) count: u64,
    pub(super) rows: Vec<Offender>,
}

/// What a batch, or all of them so far, showed.
#[derive(Default)]
pub(super) struct Found {
    /// By column: values that are not of the type.
    pub(super) types: Vec<Broken>,
    /// By column: values that have more digits than what they are compared by.
    pub(super) rounded: Vec<u64>,
    /// By column: what its values were seen to be.
    pub(super) seen: Vec<Seen>,
    /// By column and check.
    pub(super) values: Vec<Vec<Broken>>,
    /// By rule.
    pub(super) rules: Vec<Broken>,
    /// By unique key: the hash of each row.
    pub(super) unique: Vec<Vec<u64>>,
    pub(super) labels: BTreeMap<String, u64>,
    /// More different labels than are counted.
    pub(super) too_many_labels: bool,
    /// The newest moment that is not ahead of now.
    pub(super) newest: Option<i64>,
    /// Rows of a moment that is.
    pub(super) ahead: Broken,
    /// The first such moment.
    pub(super) first_ahead: Option<i64>,
    pub(super) rows: u64,
}

impl Broken {
    fn merge(&mut self, later: Self, file: &str, position: Position) {
        self.count += later.count;
        let room = SHOWN - self.rows.len().min(SHOWN);
        self.rows.extend(later.rows.into_iter().take(room).map(|mut offender| {
            file.clone_into(&mut offender.file);
            offender.row += position.row_in_file;
            offender
        }));
    }
}

impl Found {
    pub(super) fn merge(&mut self, later: Self, file: &str, position: Position) {
        let merge = |all: &mut Vec<Broken>, some: Vec<Broken>| {
            all.resize(some.len(), Broken::default());
            all.iter_mut().zip(some).for_each(|(all, some)| all.merge(some, file, position));
        };
        merge(&mut self.types, later.types);
        merge(&mut self.rules, later.rules);
        self.rounded.resize(later.rounded.len(), 0);
        self.rounded.iter_mut().zip(later.rounded).for_each(|(all, some)| *all += some);
        self.seen.resize(later.seen.len(), Seen::default());
        self.seen.iter_mut().zip(later.seen).for_each(|(all, some)| all.add(some));
        self.values.resize(later.values.len(), Vec::new());
        self.values.iter_mut().zip(later.values).for_each(|(all, some)| merge(all, some));
        self.unique.resize(later.unique.len(), Vec::new());
        self.unique.iter_mut().zip(later.unique).for_each(|(all, some)| all.extend(some));
        if !self.too_many_labels {
            for (label, count) in later.labels {
                *self.labels.entry(label).or_default() += count;
            }
            if self.labels.len() > MOST_LABELS {
                self.too_many_labels = true;
                self.labels = BTreeMap::new();
            }
        }
        self.newest = self.newest.max(later.newest);
        self.ahead.merge(later.ahead, file, position);
        self.first_ahead = self.first_ahead.into_iter().chain(later.first_ahead).min();
        self.rows += later.rows;
    }
}

/// Counts the classes of a column to the letter.
pub(super) fn labels(column: &BatchColumn, column_type: ColumnType) -> BTreeMap<String, u64> {
    fn counted<T: Eq + Hash>(
        values: impl Iterator<Item = T>,
        show: impl Fn(T) -> String,
    ) -> BTreeMap<String, u64> {
        let mut counts: HashMap<T, u64> = HashMap::new();
        values.for_each(|value| *counts.entry(value).or_default() += 1);
        counts.into_iter().map(|(value, count)| (show(value), count)).collect()
    }
    match &column.cells {
        Cells::Int(values) => counted(values.iter().flatten(), |value| show_int(column_type, *value)),
        Cells::Float(values) => {
            let known = values.iter().filter(|value| !value.is_nan());
            counted(known.map(|value| (value + 0.0).to_bits()), |bits| f64::from_bits(bits).to_string())
        }
        Cells::Text(values) => counted(values.iter().flatten(), str::to_owned),
    }
}
