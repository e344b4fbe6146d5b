//! The inner loops, compiled once more for wider registers. Each lane adds the same numbers in the same order and
//! products are never fused with sums, so every level gives the same bits.
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]

use modelgate_model::dispatched;

use super::LANES;

dispatched! {
    /// Adds `Σ weighted[row][i] · plain[row][j]` to `sums[i][j]` for tiles with `j ≥ i`. All are row-major with rows
    /// of `stride` doubles, a multiple of [`LANES`].
    add_products, add_products_body, (weighted: &[f64], plain: &[f64], stride: usize, sums: &mut [f64])
}

dispatched! {
    /// Writes `f64(values[row][column]) − shift[column]` times `scale[column]` into the first columns of rows of
    /// `stride` doubles; `values` has rows of `shift.len()`.
    standardise, standardise_body, (values: &[f32], shift: &[f64], scale: &[f64], stride: usize, rows: &mut [f64])
}

dispatched! {
    /// Writes `f64(values[row][column]) − shift[column]` as [`standardise`] does.
    centre, centre_body, (values: &[f32], shift: &[f64], stride: usize, rows: &mut [f64])
}

dispatched! {
    /// Writes `Σ rows[row][j] · point[j]` for each row of `point.len()` doubles.
    dots, dots_body, (rows: &[f64], point: &[f64], sums: &mut [f64])
}

dispatched! {
    /// Adds `Σ factors[row] · rows[row][j]` to `sums[j]`.
    add_rows, add_rows_body, (rows: &[f64], factors: &[f64], sums: &mut [f64])
}

/// Columns and rows of a register tile.
const TILE: usize = 4;

#[inline(always)]
fn add_products_body(weighted: &[f64], plain: &[f64], stride: usize, sums: &mut [f64]) {
    for top in (0..stride).step_by(TILE) {
        let mut left = top / LANES * LANES;
        if left < top {
            // What lies left of the diagonal is not wanted.
            add_tile::<TILE>(weighted, plain, stride, (top, top), sums);
            left += LANES;
        }
        for left in (left..stride).step_by(LANES) {
            add_tile::<LANES>(weighted, plain, stride, (top, left), sums);
        }
    }
}

/// Adds the products of [`TILE`] columns from `top` with `W` from `left`.
#[inline(always)]
fn add_tile<const W: usize>(
    weighted: &[f64],
    plain: &[f64],
    stride: usize,
    (top, left): (usize, usize),
    sums: &mut [f64],
) {
    let mut tile = [[0.0_f64; W]; TILE];
    for (weighted, plain) in weighted.chunks_exact(stride).zip(plain.chunks_exact(stride)) {
        let weighted = &weighted[top..top + TILE];
        let plain = &plain[left..left + W];
        for (cells, weight) in tile.iter_mut().zip(weighted) {
            for (cell, value) in cells.iter_mut().zip(plain) {
                *cell += weight * value;
            }
        }
    }
    for (down, cells) in tile.iter().enumerate() {
        let start = (top + down) * stride + left;
        for (sum, cell) in sums[start..start + W].iter_mut().zip(cells) {
            *sum += cell;
        }
    }
}

#[inline(always)]
fn standardise_body(values: &[f32], shift: &[f64], scale: &[f64], stride: usize, rows: &mut [f64]) {
    let width = shift.len();
    for (row, values) in rows.chunks_exact_mut(stride).zip(values.chunks_exact(width)) {
        for (((cell, value), shift), scale) in row[..width].iter_mut().zip(values).zip(shift).zip(scale) {
            *cell = (f64::from(*value) - shift) * scale;
        }
    }
}

#[inline(always)]
fn centre_body(values: &[f32], shift: &[f64], stride: usize, rows: &mut [f64]) {
    let width = shift.len();
    for (row, values) in rows.chunks_exact_mut(stride).zip(values.chunks_exact(width)) {
        for ((cell, value), shift) in row[..width].iter_mut().zip(values).zip(shift) {
            *cell = f64::from(*value) - shift;
        }
    }
}

#[inline(always)]
fn dots_body(rows: &[f64], point: &[f64], sums: &mut [f64]) {
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(point.len())) {
        let mut lanes = [0.0_f64; LANES];
        for (row, point) in row.chunks_exact(LANES).zip(point.chunks_exact(LANES)) {
            for ((lane, value), weight) in lanes.iter_mut().zip(row).zip(point) {
                *lane += value * weight;
            }
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        *sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
    }
}

#[inline(always)]
fn add_rows_body(rows: &[f64], factors: &[f64], sums: &mut [f64]) {
    for (row, factor) in rows.chunks_exact(sums.len()).zip(factors) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += factor * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use modelgate_model::processor::{Level, levels};

    use super::*;
    use crate::random::SplitMix64;

    #[test]
    fn every_level_gives_the_bits_of_the_lowest() {
        let (rows, stride) = (64, 40);
        let mut random = SplitMix64::stream(7, 0);
        let mut values =
            |count: usize| -> Vec<f64> { (0..count).map(|_| random.next() as f64 / 1e18 - 9.0).collect() };
        let (weighted, plain, factors) = (values(rows * stride), values(rows * stride), values(rows));
        let single: Vec<f32> = weighted.iter().map(|value| *value as f32).collect();
        let computed = |level: Level| {
            let mut products = vec![0.0; stride * stride];
            add_products(level, &weighted, &plain, stride, &mut products);
            let mut scaled = vec![0.0; rows * stride];
            standardise(level, &single[..rows * 30], &factors[..30], &factors[30..60], stride, &mut scaled);
            let mut centred = vec![0.0; rows * stride];
            centre(level, &single[..rows * 30], &factors[..30], stride, &mut centred);
            let mut sums = vec![0.0; rows];
            dots(level, &plain, &weighted[..stride], &mut sums);
            let mut columns = vec![0.0; stride];
            add_rows(level, &plain, &factors, &mut columns);
            [products, scaled, centred, sums, columns]
                .concat()
                .into_iter()
                .map(f64::to_bits)
                .collect::<Vec<u64>>()
        };
        for level in levels() {
            assert_eq!(computed(Level::Baseline), computed(level), "{level:?}");
        }
    }
}
