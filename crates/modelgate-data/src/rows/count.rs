//! Columns that number the rows: what a tool wrote beside the data, and no feature.

use crate::batch::{BatchColumn, Cells};

/// Rows from which on it is no chance that a column counts them.
const LEAST: u64 = 20;

/// Whether each whole number of a column is one more than that of the row before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Count {
    /// Nothing was seen.
    #[default]
    Nothing,
    /// It is, from the first to the last.
    Rows { first: i64, last: i64 },
    /// It is not.
    Broken,
}

impl Count {
    /// Looks at a column of a batch.
    pub(super) fn of(column: &BatchColumn) -> Self {
        let Cells::Int(values) = &column.cells else { return Self::Broken };
        let (Some(Some(first)), Some(Some(last))) = (values.first(), values.last()) else {
            return if values.is_empty() { Self::Nothing } else { Self::Broken };
        };
        let goes_on = |pair: &[Option<i64>]| match pair {
            [Some(one), Some(other)] => one.checked_add(1) == Some(*other),
            _ => false,
        };
        if values.windows(2).all(goes_on) { Self::Rows { first: *first, last: *last } } else { Self::Broken }
    }

    /// Adds what was seen behind this; a further file may begin as the first one did.
    pub(super) fn merge(&mut self, later: Self, is_new_file: bool) {
        *self = match (*self, later) {
            (all, Self::Nothing) => all,
            (Self::Nothing, some) => some,
            (Self::Rows { first, last }, Self::Rows { first: next, last: end })
                if last.checked_add(1) == Some(next) || (is_new_file && next == first) =>
            {
                Self::Rows { first, last: end }
            }
            _ => Self::Broken,
        };
    }

    /// Returns whether it numbers so many rows.
    pub(super) fn is_of(self, rows: u64) -> bool {
        rows >= LEAST && matches!(self, Self::Rows { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(parts: &[(&[i64], bool)]) -> Count {
        let mut all = Count::default();
        for (values, is_new_file) in parts {
            let cells = Cells::Int(values.iter().copied().map(Some).collect());
            all.merge(Count::of(&BatchColumn::new(cells)), *is_new_file);
        }
        all
    }

    #[test]
    fn what_numbers_the_rows_is_told_over_blocks_and_files() {
        let is_of = |parts: &[(&[i64], bool)]| count(parts).is_of(LEAST);
        assert!(is_of(&[(&[5, 6, 7], true), (&[8], false), (&[], false), (&[9, 10], false)]));
        assert!(is_of(&[(&[0, 1], true), (&[0, 1, 2], true)]), "each file from the same number on");
        assert!(!is_of(&[(&[0, 1], true), (&[0, 1], false)]));
        assert!(!is_of(&[(&[0, 2], true)]) && !is_of(&[(&[2, 1], true)]) && !is_of(&[]));
        assert!(!count(&[(&[0, 1], true)]).is_of(LEAST - 1), "so few may be chance");
        let cells = Cells::Int(vec![Some(1), None, Some(3)]);
        assert_eq!(Count::of(&BatchColumn::new(cells)), Count::Broken);
    }
}
