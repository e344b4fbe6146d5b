//! Squared error of numbers. Targets are less their mean, so that sums of squares keep their digits.

use super::kernel::Kernel;

/// The targets in one tree.
pub(crate) struct SquaredError<'a> {
    /// Less `mean`, one per row.
    pub(crate) values: &'a [f64],
    /// One per row, above 0; all 1 without.
    pub(crate) weights: Option<&'a [f64]>,
    /// What of the subtracted mean is in the leaves again.
    pub(crate) mean: f64,
    /// Number of trees, over which leaf values are divided.
    pub(crate) trees: f64,
}

/// A drawn row.
#[derive(Clone, Copy)]
pub(crate) struct ValueRow {
    row: u32,
    weight: f64,
    product: f64,
}

/// Sum of weights and of weighted targets.
#[derive(Clone, Copy, Default)]
pub(crate) struct ValueSum {
    weight: f64,
    product: f64,
}

impl ValueSum {
    #[inline]
    fn score(self) -> f64 {
        if self.weight > 0.0 { self.product * self.product / self.weight } else { 0.0 }
    }
}

impl Kernel for SquaredError<'_> {
    type Entry = ValueRow;
    type Cell = ValueSum;

    fn width(&self) -> usize {
        1
    }

    fn entries(&self, counts: &[u16]) -> Vec<ValueRow> {
        let drawn = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let entry = |(row, count): (usize, &u16)| {
            let weight = f64::from(*count) * self.weights.map_or(1.0, |weights| weights[row]);
            ValueRow { row: row as u32, weight, product: weight * self.values[row] }
        };
        drawn.map(entry).collect()
    }

    #[inline]
    fn row(entry: &ValueRow) -> usize {
        entry.row as usize
    }

    #[inline]
    fn add(&self, cells: &mut [ValueSum], entry: &ValueRow) {
        cells[0].weight += entry.weight;
        cells[0].product += entry.product;
    }

    #[inline]
    fn join(&self, sums: &mut [ValueSum], cells: &[ValueSum]) {
        sums[0].weight += cells[0].weight;
        sums[0].product += cells[0].product;
    }

    fn is_pure(&self, _totals: &[ValueSum], entries: &[ValueRow]) -> bool {
        let value = |entry: &ValueRow| self.values[entry.row as usize];
        entries.windows(2).all(|pair| value(&pair[0]) == value(&pair[1]))
    }

    fn score(&self, totals: &[ValueSum]) -> f64 {
        totals[0].score()
    }

    #[inline]
    fn split_score(&self, left: &[ValueSum], totals: &[ValueSum]) -> f64 {
        let (left, all) = (left[0], totals[0]);
        let right = ValueSum { weight: all.weight - left.weight, product: all.product - left.product };
        // One division for both: it is what a split costs most.
        let weights = left.weight * right.weight;
        let scores = left.product * left.product * right.weight + right.product * right.product * left.weight;
        if weights > 0.0 { scores / weights } else { left.score() + right.score() }
    }

    fn weight(&self, totals: &[ValueSum]) -> f64 {
        totals[0].weight
    }

    fn leaf(&self, totals: &[ValueSum], values: &mut Vec<f32>) {
        values.push(((self.mean + totals[0].product / totals[0].weight) / self.trees) as f32);
    }
}
