//! What a batch, or all of them so far, showed.

use std::collections::BTreeMap;

use super::SHOWN;
use crate::batch::Position;
use crate::contract::Offender;

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
