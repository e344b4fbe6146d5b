//! A number of each row from what is in it: what is drawn row by row does not depend on the order of the rows.

use rayon::prelude::*;

use crate::trainer::{FeatureMatrix, Targets};

/// Below this many rows it costs nothing to look for equal ones.
const FEW: usize = 1 << 12;

fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ (product >> 64) as u64 ^ 0x243f_6a88_85a3_08d3
}

/// Makes every bit depend on every other: few bits of a number are looked at.
fn finished(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Equal numbers have equal bits: one NaN, one zero.
fn bits(value: f32) -> u64 {
    u64::from(if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() })
}

/// Returns a number of each row of the matrix from its values in `columns`, its target and its weight. Rows of `rows`
/// that are equal in all of these are counted, so that each has another number: nothing that is learned tells them apart,
/// whichever has which.
pub(super) fn numbers(
    matrix: &FeatureMatrix<'_>,
    columns: &[usize],
    targets: &Targets<'_>,
    weights: &[f32],
    rows: &[u32],
) -> Vec<u64> {
    let one = |row: usize| {
        let values = &matrix.values[row * matrix.columns..(row + 1) * matrix.columns];
        let target = match targets {
            Targets::Classes { labels, .. } => u64::from(labels[row]),
            Targets::Values(values) => (values[row] + 0.0).to_bits(),
        };
        let weight = u64::from(weights.get(row).map_or(1.0_f32, |weight| *weight).to_bits());
        let start = mix(mix(0x1319_8a2e_0370_7344, target), weight);
        let state = columns.chunks(2).fold(start, |state, pair| {
            let word = pair.iter().fold(0, |word, column| word << 32 | bits(values[*column]));
            mix(state, word)
        });
        finished(state)
    };
    let mut numbers: Vec<u64> = (0..matrix.rows).into_par_iter().with_min_len(4096).map(one).collect();
    if many_are_equal(&numbers, rows) {
        let mut keys: Vec<(u64, u32)> = rows.iter().map(|row| (numbers[*row as usize], *row)).collect();
        keys.par_sort_unstable();
        for run in keys.chunk_by(|one, other| one.0 == other.0).filter(|run| run.len() > 1) {
            for (count, (number, row)) in run.iter().enumerate() {
                numbers[*row as usize] = finished(mix(*number, count as u64));
            }
        }
    }
    numbers
}

/// Returns whether more rows share a number than a draw of as many numbers explains; no row's place changes the answer.
fn many_are_equal(numbers: &[u64], rows: &[u32]) -> bool {
    if rows.len() < FEW {
        return true;
    }
    // Of numbers that are all different, 94 in 100 or more find their own bit.
    let size = (rows.len() * 8).next_power_of_two();
    let shift = 64 - size.trailing_zeros();
    let mut seen = vec![0_u64; size / 64];
    for row in rows {
        let place = (numbers[*row as usize] >> shift) as usize;
        seen[place >> 6] |= 1 << (place & 63);
    }
    let found: usize = seen.iter().map(|word| word.count_ones() as usize).sum();
    found * 100 < rows.len() * 92
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32], columns: usize) -> Vec<u64> {
        let rows = values.len() / columns;
        let matrix = FeatureMatrix { rows, columns, values, names: &[] };
        let all: Vec<u32> = (0..rows as u32).collect();
        let varying: Vec<usize> = (0..columns).collect();
        numbers(&matrix, &varying, &Targets::Values(&vec![1.0; rows]), &[], &all)
    }

    #[test]
    fn equal_rows_have_different_numbers_and_the_order_gives_the_same_set() {
        for rows in [100_usize, 20_000] {
            let values: Vec<f32> = (0..rows * 3).map(|at| ((at / 3 * 7919) % 50) as f32).collect();
            let mut found = of(&values, 3);
            let backwards: Vec<f32> = values.chunks_exact(3).rev().flatten().copied().collect();
            let mut other = of(&backwards, 3);
            found.sort_unstable();
            other.sort_unstable();
            assert_eq!(found, other);
            found.dedup();
            assert_eq!(found.len(), rows);
        }
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let values: Vec<f32> = (0..40_000).map(|at| at as f32).collect();
        let mut counts = [0; 16];
        of(&values, 2).into_iter().for_each(|number| counts[(number >> 60) as usize] += 1);
        assert!(counts.iter().all(|count| (1100..1400).contains(count)), "{counts:?}");
        let mut counts = [0; 16];
        of(&values, 2).into_iter().for_each(|number| counts[(number & 15) as usize] += 1);
        assert!(counts.iter().all(|count| (1100..1400).contains(count)), "{counts:?}");
    }
}
