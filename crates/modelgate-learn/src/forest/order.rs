//! The order in which a forest sees rows: by a hash of what is in them, so that the order in the file changes nothing,
//! neither a sum nor what is drawn.

use rayon::prelude::*;

use crate::trainer::{FeatureMatrix, Targets};

fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 32;
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Equal numbers have equal bits: one NaN, one zero.
fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// Returns `rows`, sorted by a hash of their values in `columns`, their target and their weight.
///
/// Rows that are equal in these may change places; nothing that is learned tells them apart.
pub(crate) fn canonical(
    matrix: &FeatureMatrix<'_>,
    columns: &[usize],
    targets: &Targets<'_>,
    weights: Option<&[f64]>,
    rows: Vec<u32>,
) -> Vec<u32> {
    let target = |row: usize| match targets {
        Targets::Classes { labels, .. } => u64::from(labels[row]),
        Targets::Values(values) => (values[row] + 0.0).to_bits(),
    };
    let weight = |row: usize| weights.map_or(0, |weights| weights[row].to_bits());
    let cell = |row: usize, column: &usize| bits(matrix.values[row * matrix.columns + column]);
    let hashed = |row: u32| {
        let at = row as usize;
        let mut hash = mix(mix(0x243f_6a88_85a3_08d3, target(at)), weight(at));
        for column in columns {
            hash = mix(hash, u64::from(cell(at, column)));
        }
        (hash, row)
    };
    let content = |row: u32| {
        let row = row as usize;
        (target(row), weight(row), columns.iter().map(|column| cell(row, column)).collect::<Vec<u32>>())
    };
    let mut keys: Vec<(u64, u32)> = rows.into_par_iter().map(hashed).collect();
    keys.par_sort_unstable_by(|one, other| {
        one.0.cmp(&other.0).then_with(|| content(one.1).cmp(&content(other.1))).then(one.1.cmp(&other.1))
    });
    keys.into_iter().map(|(_, row)| row).collect()
}
