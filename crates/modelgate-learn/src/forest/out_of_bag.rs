//! The out-of-bag score: each row is predicted by the trees that did not draw it. Breiman, 1996, "Out-of-bag
//! estimation".

use modelgate_model::estimator::{LEAF, Tree};
use rayon::prelude::*;

use crate::trainer::FeatureMatrix;

/// Rows of one task; the result does not depend on it.
const BLOCK: usize = 1024;

/// Returns the bits of the rows that were drawn.
pub(super) fn bits(counts: &[u16]) -> Vec<u64> {
    let mut words = vec![0_u64; counts.len().div_ceil(64)];
    for (row, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        words[row >> 6] |= 1 << (row & 63);
    }
    words
}

fn leaf(tree: &Tree, row: &[f32]) -> usize {
    let mut at = 0;
    loop {
        let node = &tree.nodes[at];
        if node.feature == LEAF {
            return node.left as usize;
        }
        at = if row[node.feature as usize] <= node.threshold { node.left } else { node.right } as usize;
    }
}

/// Returns for each row of `order` the number of trees that did not draw it and, row-major `[rows × outputs]`, the sum
/// of their leaves in the order of the trees.
pub(super) fn predictions(
    trees: &[Tree],
    drawn: &[Vec<u64>],
    matrix: &FeatureMatrix<'_>,
    order: &[u32],
    outputs: usize,
) -> (Vec<u32>, Vec<f64>) {
    let mut counts = vec![0_u32; order.len()];
    let mut sums = vec![0.0_f64; order.len() * outputs];
    let blocks = counts.par_chunks_mut(BLOCK).zip(sums.par_chunks_mut(BLOCK * outputs)).enumerate();
    blocks.for_each(|(block, (counts, sums))| {
        for (tree, drawn) in trees.iter().zip(drawn) {
            for (at, (count, sums)) in counts.iter_mut().zip(sums.chunks_exact_mut(outputs)).enumerate() {
                let position = block * BLOCK + at;
                if drawn[position >> 6] >> (position & 63) & 1 == 1 {
                    continue;
                }
                let row = &matrix.values[order[position] as usize * matrix.columns..][..matrix.columns];
                let start = leaf(tree, row) * outputs;
                *count += 1;
                for (sum, value) in sums.iter_mut().zip(&tree.values[start..start + outputs]) {
                    *sum += f64::from(*value);
                }
            }
        }
    });
    (counts, sums)
}

/// Returns the accuracy over rows that a tree did not draw, and their number.
pub(super) fn accuracy(counts: &[u32], sums: &[f64], labels: &[u16], outputs: usize) -> Option<(f64, usize)> {
    let (mut right, mut rows) = (0, 0);
    for ((count, sums), label) in counts.iter().zip(sums.chunks_exact(outputs)).zip(labels) {
        if *count == 0 {
            continue;
        }
        let first_highest = (1..outputs).fold(0, |best, at| if sums[at] > sums[best] { at } else { best });
        rows += 1;
        right += usize::from(first_highest == usize::from(*label));
    }
    (rows > 0).then(|| (right as f64 / rows as f64, rows))
}

/// Returns R² over rows that a tree did not draw, and their number; `scale` is the number of trees, over which leaf
/// values are divided, and `values` are less `mean`.
pub(super) fn r2(
    counts: &[u32],
    sums: &[f64],
    values: &[f64],
    mean: f64,
    scale: f64,
) -> Option<(f64, usize)> {
    let known = || counts.iter().zip(sums).zip(values).filter(|((count, _), _)| **count > 0);
    let rows = known().count();
    let own_mean = known().map(|(_, value)| value).sum::<f64>() / rows as f64;
    let (mut residual, mut spread) = (0.0, 0.0);
    for ((count, sum), value) in known() {
        let error = value + mean - sum * scale / f64::from(*count);
        residual += error * error;
        spread += (value - own_mean) * (value - own_mean);
    }
    (rows > 1 && spread > 0.0).then(|| (1.0 - residual / spread, rows))
}
