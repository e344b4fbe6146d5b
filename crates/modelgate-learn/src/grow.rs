//! Growing one tree: a histogram per node and feature, of which only the bins that the node's rows occupy are
//! looked at.

use modelgate_model::estimator::{LEAF, Tree, TreeNode};

use crate::bins::{BinnedFeature, NAN_BIN};
use crate::random::SplitMix64;

/// What stops a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_depth: usize,
    pub(crate) min_samples_split: usize,
    pub(crate) min_samples_leaf: usize,
    pub(crate) max_features: usize,
}

/// Sums over rows that a split is judged by.
pub(crate) trait Statistics {
    /// Numbers per sum.
    fn width(&self) -> usize;
    /// Adds a row that was drawn `count` times.
    fn add(&self, sums: &mut [f64], row: usize, count: u32);
    /// Returns how good it is to have rows with these sums together; larger is better, and only differences count.
    fn score(&self, sums: &[f64]) -> f64;
    /// Returns whether there is nothing left to separate.
    fn is_pure(&self, sums: &[f64], rows: &[u32]) -> bool;
    /// Appends the leaf's values.
    fn leaf(&self, sums: &[f64], values: &mut Vec<f32>);
}

struct Split {
    feature: usize,
    lower: u8,
    upper: u8,
    score: f64,
}

/// The working memory of one tree.
struct Grower<'a, S> {
    features: &'a [BinnedFeature],
    statistics: &'a S,
    limits: Limits,
    counts: &'a [u32],
    random: SplitMix64,
    /// Sums by bin, and rows by bin; zero but while a node and a feature are looked at.
    histogram: Vec<f64>,
    bin_rows: Vec<u32>,
    order: Vec<usize>,
}

/// Grows a tree on the rows whose `counts` are not zero.
pub(crate) fn grow<S: Statistics>(
    features: &[BinnedFeature],
    statistics: &S,
    limits: Limits,
    counts: &[u32],
    random: SplitMix64,
) -> Tree {
    let width = statistics.width();
    let mut grower = Grower {
        features,
        statistics,
        limits,
        counts,
        random,
        histogram: vec![0.0; 256 * width],
        bin_rows: vec![0; 256],
        order: (0..features.len()).collect(),
    };
    let mut rows: Vec<u32> = (0..counts.len() as u32).filter(|row| counts[*row as usize] > 0).collect();
    let mut spare: Vec<u32> = Vec::with_capacity(rows.len());
    let mut tree = Tree::default();
    let empty = TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 };
    tree.nodes.push(empty);
    // A stack of its own: a deep tree must not end the program's.
    let mut open = vec![(0_usize, 0_usize, rows.len(), 0_usize)];
    while let Some((node, start, end, depth)) = open.pop() {
        let sums = grower.sums(&rows[start..end]);
        let stop = depth >= limits.max_depth
            || end - start < limits.min_samples_split
            || end - start < 2 * limits.min_samples_leaf
            || statistics.is_pure(&sums, &rows[start..end]);
        let split = if stop { None } else { grower.best_split(&rows[start..end], &sums) };
        let Some(split) = split else {
            let row = tree.values.len();
            statistics.leaf(&sums, &mut tree.values);
            let outputs = tree.values.len() - row;
            tree.nodes[node].left = (row / outputs.max(1)) as u32;
            continue;
        };
        let bins = &features[split.feature].bins;
        // Stable, so that sums run over rows in one order.
        spare.clear();
        let mut kept = start;
        for at in start..end {
            let row = rows[at];
            if bins[row as usize] <= split.lower {
                rows[kept] = row;
                kept += 1;
            } else {
                spare.push(row);
            }
        }
        rows[kept..end].copy_from_slice(&spare);
        let left = tree.nodes.len();
        tree.nodes.extend([empty, empty]);
        tree.nodes[node] = TreeNode {
            feature: split.feature as u32,
            threshold: features[split.feature].threshold(split.lower, split.upper),
            left: left as u32,
            right: left as u32 + 1,
        };
        open.push((left + 1, kept, end, depth + 1));
        open.push((left, start, kept, depth + 1));
    }
    tree
}

impl<S: Statistics> Grower<'_, S> {
    fn sums(&self, rows: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.statistics.width()];
        for row in rows {
            self.statistics.add(&mut sums, *row as usize, self.counts[*row as usize]);
        }
        sums
    }

    /// Looks at features in random order: as many as are allowed, and on until one is not constant.
    fn best_split(&mut self, rows: &[u32], sums: &[f64]) -> Option<Split> {
        let mut best: Option<Split> = None;
        let mut varying = false;
        for visited in 0..self.order.len() {
            if visited >= self.limits.max_features && varying {
                break;
            }
            let chosen = visited + self.random.below(self.order.len() - visited);
            self.order.swap(visited, chosen);
            varying |= self.scan(self.order[visited], rows, sums, &mut best);
        }
        best
    }

    /// Looks at one feature; returns whether it is not constant.
    fn scan(&mut self, feature: usize, rows: &[u32], sums: &[f64], best: &mut Option<Split>) -> bool {
        let width = self.statistics.width();
        let bins = &self.features[feature].bins;
        let mut occupied = [0_u64; 4];
        for row in rows {
            let row = *row as usize;
            let bin = usize::from(bins[row]);
            occupied[bin >> 6] |= 1 << (bin & 63);
            self.bin_rows[bin] += 1;
            self.statistics.add(&mut self.histogram[bin * width..(bin + 1) * width], row, self.counts[row]);
        }
        let distinct: u32 = occupied.iter().map(|word| word.count_ones()).sum();
        let mut left = vec![0.0; width];
        let mut right = vec![0.0; width];
        let mut left_rows = 0;
        let mut previous: Option<u8> = None;
        for word in 0..4 {
            let mut bits = occupied[word];
            while bits != 0 {
                let bin = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(lower) = previous {
                    let right_rows = rows.len() - left_rows;
                    if left_rows >= self.limits.min_samples_leaf && right_rows >= self.limits.min_samples_leaf
                    {
                        for ((right, all), left) in right.iter_mut().zip(sums).zip(&left) {
                            *right = all - left;
                        }
                        let score = self.statistics.score(&left) + self.statistics.score(&right);
                        if best.as_ref().is_none_or(|best| score > best.score) {
                            *best = Some(Split { feature, lower, upper: bin as u8, score });
                        }
                    }
                }
                let cells = &mut self.histogram[bin * width..(bin + 1) * width];
                for (left, cell) in left.iter_mut().zip(cells) {
                    *left += *cell;
                    *cell = 0.0;
                }
                left_rows += self.bin_rows[bin] as usize;
                self.bin_rows[bin] = 0;
                previous = (bin as u8 != NAN_BIN).then_some(bin as u8);
            }
        }
        distinct > 1
    }
}
