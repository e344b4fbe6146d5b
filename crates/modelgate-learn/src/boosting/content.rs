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

/// Bits of a key that are counted first: few enough for their counts to stay in the nearest cache.
const FIRST: u32 = 12;

/// Parts rows into `count` that are drawn and the others, both in the order they had. Their numbers say which, and `draw`, of which
/// each draw has another: where a row stands does not count.
pub(super) fn parted(numbers: &[u64], rows: &[u32], count: usize, draw: u64) -> [Vec<u32>; 2] {
    let key = |row: &u32| finished(mix(numbers[*row as usize], draw));
    let first = |key: u64| (key >> (64 - FIRST)) as usize;
    let mut counts = vec![0_usize; 1 << FIRST];
    rows.iter().for_each(|row| counts[first(key(row))] += 1);
    // The keys that share their first bits with the last one that is drawn are put in order.
    let mut before = 0;
    let Some(last) = counts.iter().position(|found| {
        before += found;
        before >= count.max(1)
    }) else {
        return [rows.to_vec(), Vec::new()];
    };
    before -= counts[last];
    let mut keys: Vec<u64> = rows.iter().map(key).filter(|key| first(*key) == last).collect();
    keys.sort_unstable();
    let limit = count.checked_sub(before + 1).and_then(|at| keys.get(at));
    let (mut drawn, mut others) =
        (Vec::with_capacity(count), Vec::with_capacity(rows.len() - count.min(rows.len())));
    for row in rows {
        if limit.is_some_and(|limit| key(row) <= *limit) { drawn.push(*row) } else { others.push(*row) }
    }
    [drawn, others]
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
    fn as_many_rows_are_drawn_as_asked_for_and_their_place_does_not_count() {
        let values: Vec<f32> = (0..9000).map(|at| (at / 3) as f32).collect();
        let numbers = of(&values, 1);
        let rows: Vec<u32> = (0..9000).filter(|row| row % 7 != 0).collect();
        for count in [0, 1, 2, 100, rows.len() / 2, rows.len() - 1, rows.len(), rows.len() + 5] {
            let [drawn, others] = parted(&numbers, &rows, count, 3);
            assert_eq!(drawn.len(), count.min(rows.len()));
            assert!(drawn.is_sorted() && others.is_sorted());
            let mut all = [drawn.clone(), others].concat();
            all.sort_unstable();
            assert_eq!(all, rows);
            // The same rows from the last to the first.
            let backwards: Vec<u32> = rows.iter().rev().copied().collect();
            let [mut again, _] = parted(&numbers, &backwards, count, 3);
            again.reverse();
            assert_eq!(again, drawn);
        }
        let [one, _] = parted(&numbers, &rows, 3000, 1);
        let [other, _] = parted(&numbers, &rows, 3000, 2);
        let shared = one.iter().filter(|row| other.binary_search(row).is_ok()).count();
        // 3000 · 3000 / 7714 are expected.
        assert!((1050..1280).contains(&shared), "{shared}");
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
