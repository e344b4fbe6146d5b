//! Gini impurity and entropy of classes. Without weights of rows, sums are whole numbers: of two classes both in one
//! word, of more one word each.

use super::codes::Code;
use super::kernel::{Kernel, Occupied};

/// The criterion and the weights of the classes, in one tree.
#[derive(Clone, Debug)]
pub(crate) struct Criterion<'a> {
    /// Position of the class, one per row.
    pub(crate) labels: &'a [u16],
    /// One per class, above 0.
    pub(crate) class_weights: Vec<f64>,
    /// Entropy in place of Gini impurity.
    pub(crate) entropy: bool,
    /// Number of trees, over which leaf values are divided.
    pub(crate) trees: f64,
}

impl Criterion<'_> {
    /// Returns the score of weighted counts whose squares sum to `squares` and which sum to `total`.
    fn gini(squares: f64, total: f64) -> f64 {
        if total > 0.0 { squares / total } else { 0.0 }
    }

    fn part(&self, amount: f64) -> f64 {
        if amount <= 0.0 {
            0.0
        } else if self.entropy {
            amount * libm::log2(amount)
        } else {
            amount * amount
        }
    }

    fn side(&self, parts: f64, total: f64) -> f64 {
        if self.entropy { parts - self.part(total) } else { Self::gini(parts, total) }
    }

    fn score(&self, amounts: impl Iterator<Item = f64>) -> f64 {
        let (mut parts, mut total) = (0.0, 0.0);
        for (amount, weight) in amounts.zip(&self.class_weights) {
            parts += self.part(amount * weight);
            total += amount * weight;
        }
        self.side(parts, total)
    }

    /// Returns the scores of both sides of a split, `(left, all)` by class; each side has weight.
    #[inline]
    fn split_score(&self, amounts: impl Iterator<Item = (f64, f64)>) -> f64 {
        if self.entropy {
            return self.split_entropy(amounts);
        }
        let (mut left_squares, mut left_total, mut right_squares, mut right_total) = (0.0, 0.0, 0.0, 0.0);
        for ((left, all), weight) in amounts.zip(&self.class_weights) {
            let (left, right) = (left * weight, (all - left) * weight);
            left_squares += left * left;
            right_squares += right * right;
            left_total += left;
            right_total += right;
        }
        // One division for both: it is what a split costs most.
        let product = left_total * right_total;
        if product > 0.0 { (left_squares * right_total + right_squares * left_total) / product } else { 0.0 }
    }

    fn split_entropy(&self, amounts: impl Iterator<Item = (f64, f64)>) -> f64 {
        let (mut left_parts, mut left_total, mut right_parts, mut right_total) = (0.0, 0.0, 0.0, 0.0);
        for ((left, all), weight) in amounts.zip(&self.class_weights) {
            let (left, right) = (left * weight, (all - left) * weight);
            left_parts += self.part(left);
            right_parts += self.part(right);
            left_total += left;
            right_total += right;
        }
        self.side(left_parts, left_total) + self.side(right_parts, right_total)
    }

    fn weight(&self, amounts: impl Iterator<Item = f64>) -> f64 {
        amounts.zip(&self.class_weights).map(|(amount, weight)| amount * weight).sum()
    }

    fn leaf(&self, amounts: impl Iterator<Item = f64> + Clone, values: &mut Vec<f32>) {
        let total = self.weight(amounts.clone());
        let shares = amounts.zip(&self.class_weights);
        values.extend(shares.map(|(amount, weight)| (amount * weight / total / self.trees) as f32));
    }

    /// Packs a row, how often it was drawn and its class.
    fn packed(&self, counts: &[u16]) -> Vec<u64> {
        let drawn = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let entry = |(row, count): (usize, &u16)| {
            row as u64 | u64::from(*count) << 32 | u64::from(self.labels[row]) << 48
        };
        drawn.map(entry).collect()
    }
}

fn count(entry: u64) -> u64 {
    entry >> 32 & 0xffff
}

/// Two classes: rows in the lower half of a word, rows of the second class in the upper half.
pub(crate) struct TwoClasses<'a>(Criterion<'a>, [f64; 2]);

impl<'a> TwoClasses<'a> {
    /// Of a criterion that has two classes.
    pub(crate) fn new(criterion: Criterion<'a>) -> Self {
        let weights = [criterion.class_weights[0], criterion.class_weights[1]];
        Self(criterion, weights)
    }

    #[inline]
    fn halves(cell: u64) -> [f64; 2] {
        let (all, second) = (cell & 0xffff_ffff, cell >> 32);
        [(all - second) as f64, second as f64]
    }
}

impl Kernel for TwoClasses<'_> {
    type Entry = u64;
    type Cell = u64;

    fn width(&self) -> usize {
        1
    }

    fn entries(&self, counts: &[u16]) -> Vec<u64> {
        self.0.packed(counts)
    }

    #[inline]
    fn row(entry: &u64) -> usize {
        (*entry & 0xffff_ffff) as usize
    }

    #[inline]
    fn add(&self, cells: &mut [u64], entry: &u64) {
        let count = count(*entry);
        cells[0] += count + (((entry >> 48) * count) << 32);
    }

    #[inline]
    fn join(&self, sums: &mut [u64], cells: &[u64]) {
        sums[0] += cells[0];
    }

    fn is_pure(&self, totals: &[u64], _entries: &[u64]) -> bool {
        let (all, second) = (totals[0] & 0xffff_ffff, totals[0] >> 32);
        second == 0 || second == all
    }

    fn score(&self, totals: &[u64]) -> f64 {
        self.0.score(Self::halves(totals[0]).into_iter())
    }

    #[inline]
    fn split_score(&self, left: &[u64], totals: &[u64]) -> f64 {
        let ([left_first, left_second], [first, second]) = (Self::halves(left[0]), Self::halves(totals[0]));
        if self.0.entropy {
            return self.0.split_entropy([(left_first, first), (left_second, second)].into_iter());
        }
        let [first_weight, second_weight] = self.1;
        let (right_first, right_second) =
            ((first - left_first) * first_weight, (second - left_second) * second_weight);
        let (left_first, left_second) = (left_first * first_weight, left_second * second_weight);
        let (left, right) = (left_first + left_second, right_first + right_second);
        let left_squares = left_first * left_first + left_second * left_second;
        let right_squares = right_first * right_first + right_second * right_second;
        let product = left * right;
        if product > 0.0 { (left_squares * right + right_squares * left) / product } else { 0.0 }
    }

    fn weight(&self, totals: &[u64]) -> f64 {
        self.0.weight(Self::halves(totals[0]).into_iter())
    }

    fn leaf(&self, totals: &[u64], values: &mut Vec<f32>) {
        self.0.leaf(Self::halves(totals[0]).into_iter(), values);
    }

    fn fill<C: Code>(&self, codes: &[C], entries: &[u64], histogram: &mut [u64], occupied: &mut Occupied) {
        // Of bytes the length is known, and with it that a code is within.
        let codes_there = if C::COUNT > 256 { histogram.len() } else { C::COUNT };
        let histogram = &mut histogram[..codes_there];
        for entry in entries {
            let code = codes[Self::row(entry)].index();
            let count = count(*entry);
            histogram[code] += count + (((entry >> 48) * count) << 32);
            occupied.mark::<C>(code);
        }
    }
}

/// Any number of classes, counted.
pub(crate) struct ManyClasses<'a>(pub(crate) Criterion<'a>);

impl Kernel for ManyClasses<'_> {
    type Entry = u64;
    type Cell = u32;

    fn width(&self) -> usize {
        self.0.class_weights.len()
    }

    fn entries(&self, counts: &[u16]) -> Vec<u64> {
        self.0.packed(counts)
    }

    #[inline]
    fn row(entry: &u64) -> usize {
        (*entry & 0xffff_ffff) as usize
    }

    #[inline]
    fn add(&self, cells: &mut [u32], entry: &u64) {
        cells[(entry >> 48) as usize] += count(*entry) as u32;
    }

    #[inline]
    fn join(&self, sums: &mut [u32], cells: &[u32]) {
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
    }

    fn is_pure(&self, totals: &[u32], _entries: &[u64]) -> bool {
        totals.iter().filter(|count| **count > 0).count() < 2
    }

    fn score(&self, totals: &[u32]) -> f64 {
        self.0.score(totals.iter().copied().map(f64::from))
    }

    #[inline]
    fn split_score(&self, left: &[u32], totals: &[u32]) -> f64 {
        let pairs = left.iter().zip(totals).map(|(left, all)| (f64::from(*left), f64::from(*all)));
        self.0.split_score(pairs)
    }

    fn weight(&self, totals: &[u32]) -> f64 {
        self.0.weight(totals.iter().copied().map(f64::from))
    }

    fn leaf(&self, totals: &[u32], values: &mut Vec<f32>) {
        self.0.leaf(totals.iter().copied().map(f64::from), values);
    }
}

/// Any number of classes, with a weight above 0 for each row.
pub(crate) struct WeightedClasses<'a> {
    pub(crate) criterion: Criterion<'a>,
    pub(crate) weights: &'a [f64],
}

/// A drawn row.
#[derive(Clone, Copy)]
pub(crate) struct WeightedRow {
    row: u32,
    class: u32,
    weight: f64,
}

impl Kernel for WeightedClasses<'_> {
    type Entry = WeightedRow;
    type Cell = f64;

    fn width(&self) -> usize {
        self.criterion.class_weights.len()
    }

    fn entries(&self, counts: &[u16]) -> Vec<WeightedRow> {
        let drawn = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let entry = |(row, count): (usize, &u16)| WeightedRow {
            row: row as u32,
            class: u32::from(self.criterion.labels[row]),
            weight: f64::from(*count) * self.weights[row],
        };
        drawn.map(entry).collect()
    }

    #[inline]
    fn row(entry: &WeightedRow) -> usize {
        entry.row as usize
    }

    #[inline]
    fn add(&self, cells: &mut [f64], entry: &WeightedRow) {
        cells[entry.class as usize] += entry.weight;
    }

    #[inline]
    fn join(&self, sums: &mut [f64], cells: &[f64]) {
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
    }

    fn is_pure(&self, _totals: &[f64], entries: &[WeightedRow]) -> bool {
        entries.windows(2).all(|pair| pair[0].class == pair[1].class)
    }

    fn score(&self, totals: &[f64]) -> f64 {
        self.criterion.score(totals.iter().copied())
    }

    #[inline]
    fn split_score(&self, left: &[f64], totals: &[f64]) -> f64 {
        self.criterion.split_score(left.iter().copied().zip(totals.iter().copied()))
    }

    fn weight(&self, totals: &[f64]) -> f64 {
        self.criterion.weight(totals.iter().copied())
    }

    fn leaf(&self, totals: &[f64], values: &mut Vec<f32>) {
        self.criterion.leaf(totals.iter().copied(), values);
    }
}
