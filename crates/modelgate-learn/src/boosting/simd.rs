//! The inner loops of boosting, compiled once more for wider registers. Sums are of whole numbers and products are
//! never fused with sums, so every level gives the same bits.
#![expect(unsafe_code, reason = "a function for a CPU feature may only be called where the feature is")]
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]

use std::ops::Range;

use modelgate_model::dispatched;

use super::bins::{Binned, CELLS, GROUP};

/// Rows whose sums fit into one packed cell: see [`packed`].
pub(super) const BLOCK: usize = 4096;

/// Largest gradient in units: a sum over [`BLOCK`] rows stays within 25 bits.
pub(super) const GRADIENT: f32 = 4095.0;

/// Largest Hessian in units: a sum over [`BLOCK`] rows stays within 25 bits.
pub(super) const HESSIAN: f32 = 8191.0;

/// How far ahead the rows of a node are asked for where they are summed: they lie anywhere in memory.
const AHEAD: usize = 48;

/// Returns gradient (upper half, signed) and Hessian (lower half) of a row as one number that adds both, and one row,
/// to a cell: 26 bits gradient, 25 bits Hessian, 13 bits rows.
#[inline(always)]
fn packed(row: u32) -> i64 {
    (i64::from(row as i32 >> 16) << 38) + (i64::from(row & 0xffff) << 13) + 1
}

/// Adds a row to the cells of `W` features.
#[inline(always)]
fn add_row<const W: usize>(bins: &[u8; W], pair: u32, cells: &mut [[i64; CELLS]; W]) {
    let value = packed(pair);
    for feature in 0..W {
        cells[feature][usize::from(bins[feature])] += value;
    }
}

/// Asks for the bins of a row, of which `width` bytes stand in a group.
#[inline(always)]
fn ask_for(bins: &[u8], width: usize, row: u32) {
    let start = row as usize * width;
    prefetch(bins, start);
    if !LINE.is_multiple_of(width) {
        // Such a row may end in another line.
        prefetch(bins, start + width - 1);
    }
}

/// Adds the rows of a block to the cells of `W` features; `bins` has a row of `W` for each row. Meanwhile it asks for the first rows
/// of the group that follows.
#[inline(always)]
fn add_group<const W: usize>(
    bins: &[u8],
    rows: &[u32],
    pairs: &[u32],
    cells: &mut [[i64; CELLS]],
    (following, width): (&[u8], usize),
) {
    let Ok(cells) = <&mut [[i64; CELLS]; W]>::try_from(cells) else { return };
    let all = bins;
    let (bins, _) = bins.as_chunks::<W>();
    if let Some(run) = run(rows)
        && let (Some(bins), Some(pairs)) = (bins.get(run.clone()), pairs.get(run))
    {
        bins.iter().zip(pairs).for_each(|(bins, pair)| add_row(bins, *pair, cells));
        return;
    }
    let mut each = |row: u32| {
        let row = row as usize;
        let (Some(found), Some(pair)) = (bins.get(row), pairs.get(row)) else { return };
        add_row(found, *pair, cells);
    };
    let ahead = rows.len().saturating_sub(AHEAD);
    for (row, next) in rows[..ahead].iter().zip(&rows[rows.len() - ahead..]) {
        ask_for(all, W, *next);
        prefetch(pairs, *next as usize);
        each(*row);
    }
    for (row, next) in rows[ahead..].iter().zip(rows) {
        ask_for(following, width, *next);
        each(*row);
    }
}

/// Returns the range that rising rows are, where they leave none out: as those of a root do.
#[inline(always)]
fn run(rows: &[u32]) -> Option<Range<usize>> {
    let (first, last) = (*rows.first()? as usize, *rows.last()? as usize);
    (last - first + 1 == rows.len()).then_some(first..last + 1)
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the cache line of an element.
#[inline(always)]
pub(super) fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: asking for a line reads and writes nothing, and does nothing where the address is of no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

/// Adds a block of at most [`BLOCK`] rows to the packed cells, one group of features after the other.
pub(super) fn add_block(binned: &Binned, rows: &[u32], pairs: &[u32], cells: &mut [[i64; CELLS]]) {
    let groups = cells.len().div_ceil(GROUP);
    let (mut bins, mut width) = binned.group(0);
    for row in &rows[..rows.len().min(AHEAD)] {
        ask_for(bins, width, *row);
        prefetch(pairs, *row as usize);
    }
    for (number, cells) in cells.chunks_mut(GROUP).enumerate() {
        let following = binned.group(if number + 1 < groups { number + 1 } else { number } * GROUP);
        match width {
            4 => add_group::<4>(bins, rows, pairs, cells, following),
            8 => add_group::<8>(bins, rows, pairs, cells, following),
            12 => add_group::<12>(bins, rows, pairs, cells, following),
            _ => add_group::<GROUP>(bins, rows, pairs, cells, following),
        }
        (bins, width) = following;
    }
}

dispatched! {
    /// Adds packed cells to the wide sums and clears them: per feature, [`CELLS`] gradients, Hessians and rows.
    unpack, unpack_body, (cells: &mut [[i64; CELLS]], sums: &mut [i32])
}

dispatched! {
    /// Takes `other` from `sums`.
    subtract, subtract_body, (sums: &mut [i32], other: &[i32])
}

dispatched! {
    /// Adds `other` to `sums`.
    add, add_body, (sums: &mut [i32], other: &[i32])
}

dispatched! {
    /// Writes gradient and Hessian of the log loss of each row in units of `scales`, rounded as
    /// `rounding` says; `targets` are 0 or 1.
    logistic, logistic_body, (scores: &[f32], targets: &[f32], weights: &[f32], scales: [f32; 2], rounding: Rounding<'_>, pairs: &mut [u32])
}

dispatched! {
    /// Writes gradient and Hessian of the squared error of each row in units of `scales`, rounded as in [`logistic`].
    squared, squared_body, (scores: &[f32], targets: &[f32], weights: &[f32], scales: [f32; 2], rounding: Rounding<'_>, pairs: &mut [u32])
}

dispatched! {
    /// Writes gradient and Hessian of the log loss of each row in units of `scales`, small ones: with all their digits.
    exact_logistic, exact_logistic_body, (scores: &[f32], targets: &[f32], weights: &[f32], scales: [f64; 2], exact: &mut [[i64; 2]])
}

dispatched! {
    /// Writes gradient and Hessian of one class of several, as [`exact_logistic`]: `of_class` is its number and by what p (1 − p) becomes
    /// the Hessian.
    exact_softmax, exact_softmax_body, (probabilities: &[f32], targets: &[f32], of_class: [f32; 2], weights: &[f32], scales: [f64; 2], exact: &mut [[i64; 2]])
}

dispatched! {
    /// Writes gradient and Hessian of the squared error, as [`exact_logistic`].
    exact_squared, exact_squared_body, (scores: &[f32], targets: &[f32], weights: &[f32], scales: [f64; 2], exact: &mut [[i64; 2]])
}

dispatched! {
    /// Finds the largest distance of a score from its target times its weight, as bits, and adds the distances up in units
    /// of 2⁻²⁰, those above 3 as 3. At most [`RUN`] rows.
    distances, distances_body, (scores: &[f32], targets: &[f32], weights: &[f32], found: &mut [u32; 2])
}

/// Rows whose distances are added up in 32 bits.
pub(super) const RUN: usize = 1024;

dispatched! {
    /// Writes the bin of each value: 0 for NaN, else one more than the thresholds of the [`table`] below it.
    positions, positions_body, (table: &[f32; CELLS], values: &[f32], bins: &mut [u8])
}

/// Returns rising thresholds, padded so that every search takes the same steps.
pub(super) fn table(thresholds: &[f32]) -> [f32; CELLS] {
    let mut table = [f32::INFINITY; CELLS];
    table.iter_mut().zip(thresholds).for_each(|(cell, threshold)| *cell = *threshold);
    table
}

/// Values that are searched for side by side.
const LANES: usize = 16;

#[inline(always)]
fn positions_body(table: &[f32; CELLS], values: &[f32], bins: &mut [u8]) {
    for (values, bins) in values.chunks(LANES).zip(bins.chunks_mut(LANES)) {
        let mut wanted = [f32::NAN; LANES];
        wanted[..values.len()].copy_from_slice(values);
        let mut found = [0_u32; LANES];
        let mut step = CELLS as u32 / 2;
        while step > 0 {
            for lane in 0..LANES {
                let below = table[(found[lane] + step - 1) as usize & (CELLS - 1)] < wanted[lane];
                found[lane] += if below { step } else { 0 };
            }
            step /= 2;
        }
        for ((bin, position), value) in bins.iter_mut().zip(found).zip(wanted) {
            *bin = if value.is_nan() { 0 } else { (position + 1) as u8 };
        }
    }
}

#[inline(always)]
fn unpack_body(cells: &mut [[i64; CELLS]], sums: &mut [i32]) {
    for (cells, sums) in cells.iter_mut().zip(sums.chunks_exact_mut(3 * CELLS)) {
        let (gradients, rest) = sums.split_at_mut(CELLS);
        let (hessians, counts) = rest.split_at_mut(CELLS);
        for (((cell, gradient), hessian), count) in cells.iter_mut().zip(gradients).zip(hessians).zip(counts)
        {
            let value = *cell;
            *cell = 0;
            // The Hessian's sum is of 32 bits without a sign: it wraps in the same bits.
            *gradient = gradient.wrapping_add((value >> 38) as i32);
            *hessian = hessian.wrapping_add(((value >> 13) & 0x1ff_ffff) as i32);
            *count = count.wrapping_add((value & 0x1fff) as i32);
        }
    }
}

#[inline(always)]
fn subtract_body(sums: &mut [i32], other: &[i32]) {
    for (sum, other) in sums.iter_mut().zip(other) {
        *sum = sum.wrapping_sub(*other);
    }
}

#[inline(always)]
fn add_body(sums: &mut [i32], other: &[i32]) {
    for (sum, other) in sums.iter_mut().zip(other) {
        *sum = sum.wrapping_add(*other);
    }
}

/// 1.5 · 2²³: added to a number below 2²² it leaves the nearest whole number in the lowest bits.
const ROUND: f32 = 12_582_912.0;

#[inline(always)]
fn rounded(value: f32) -> i32 {
    ((value + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32)
}

/// How rows are rounded: a number of each, and what a round makes of it.
#[derive(Clone, Copy)]
pub(super) struct Rounding<'a> {
    pub(super) noise: &'a [u8],
    pub(super) draw: [u8; 2],
}

/// Returns what is added to a number before it is rounded to the nearest: between −½ and ½, and over the 256 numbers that
/// `noise` can be as often one as the other. A gradient of a tenth of a unit becomes one unit in a tenth of the rows.
#[inline(always)]
pub(super) fn dither(noise: u8, draw: [u8; 2]) -> f32 {
    let drawn = noise.wrapping_mul(draw[0]).wrapping_add(draw[1]);
    f32::from(drawn) * (1.0 / 256.0) - (0.5 - 1.0 / 512.0)
}

/// Returns gradient and Hessian, in units, as one number.
#[inline(always)]
pub(super) fn pair(gradient: f32, hessian: f32, dither: f32) -> u32 {
    let gradient = rounded(gradient.clamp(-GRADIENT, GRADIENT) + dither);
    let hessian = rounded(hessian.clamp(0.0, HESSIAN) + dither);
    ((gradient as u32) << 16) | (hessian as u32 & 0xffff)
}

/// 1.5 · 2⁵²: as [`ROUND`], for doubles below 2⁵¹.
const ROUND_DOUBLE: f64 = 6_755_399_441_055_744.0;

#[inline(always)]
fn rounded_double(value: f64) -> i64 {
    ((value + ROUND_DOUBLE).to_bits() as i64).wrapping_sub(ROUND_DOUBLE.to_bits() as i64)
}

/// e to the power of a number, to about five digits: a polynomial of degree 5 on half an octave about 0, the same on
/// every platform. Beyond ±87 it stays where it is.
#[inline(always)]
pub(super) fn exp(value: f32) -> f32 {
    let scaled = value.clamp(-87.0, 87.0) * std::f32::consts::LOG2_E;
    let whole = rounded(scaled);
    let part = (scaled - whole as f32) * std::f32::consts::LN_2;
    let power = 1.0
        + part * (1.0 + part * (0.5 + part * (0.166_666_67 + part * (0.041_666_42 + part * 0.008_333_4))));
    f32::from_bits(((whole + 127) as u32) << 23) * power
}

/// Returns gradient and Hessian of the log loss.
#[inline(always)]
fn of_logistic(score: f32, target: f32, weight: f32) -> [f32; 2] {
    let probability = 1.0 / (1.0 + exp(-score));
    [(probability - target) * weight, probability * (1.0 - probability) * weight]
}

/// Runs a body for each row, with its two figures and its weight. It is no function: a closure that is called in two
/// places would not be compiled for wider registers.
macro_rules! each {
    ($first:expr, $second:expr, $weights:expr, |$one:ident, $other:ident, $weight:ident| $body:block) => {
        let rows = $first.iter().zip($second);
        if $weights.is_empty() {
            for ($one, $other) in rows {
                let ($one, $other, $weight) = (*$one, *$other, 1.0_f32);
                $body
            }
        } else {
            for (($one, $other), $weight) in rows.zip($weights) {
                let ($one, $other, $weight) = (*$one, *$other, *$weight);
                $body
            }
        }
    };
}

#[inline(always)]
fn logistic_pair(score: f32, target: f32, weight: f32, scales: [f32; 2], dither: f32) -> u32 {
    let [gradient, hessian] = of_logistic(score, target, weight);
    pair(gradient * scales[0], hessian * scales[1], dither)
}

#[inline(always)]
fn logistic_body(
    scores: &[f32],
    targets: &[f32],
    weights: &[f32],
    scales: [f32; 2],
    rounding: Rounding<'_>,
    pairs: &mut [u32],
) {
    let draw = rounding.draw;
    let rows = pairs.iter_mut().zip(rounding.noise).zip(scores).zip(targets);
    if weights.is_empty() {
        for (((pair, noise), score), target) in rows {
            *pair = logistic_pair(*score, *target, 1.0, scales, dither(*noise, draw));
        }
    } else {
        for ((((pair, noise), score), target), weight) in rows.zip(weights) {
            *pair = logistic_pair(*score, *target, *weight, scales, dither(*noise, draw));
        }
    }
}

#[inline(always)]
fn squared_body(
    scores: &[f32],
    targets: &[f32],
    weights: &[f32],
    scales: [f32; 2],
    rounding: Rounding<'_>,
    pairs: &mut [u32],
) {
    let draw = rounding.draw;
    let rows = pairs.iter_mut().zip(rounding.noise).zip(scores).zip(targets);
    if weights.is_empty() {
        for (((cell, noise), score), target) in rows {
            *cell = pair((score - target) * scales[0], scales[1], dither(*noise, draw));
        }
    } else {
        for ((((cell, noise), score), target), weight) in rows.zip(weights) {
            let gradient = (score - target) * weight;
            *cell = pair(gradient * scales[0], weight * scales[1], dither(*noise, draw));
        }
    }
}

/// Writes what a body gives for each row, with its two figures and its weight, in whole numbers; no function, as [`each`].
macro_rules! write_each {
    ($exact:expr, $first:expr, $second:expr, $weights:expr, |$one:ident, $other:ident, $weight:ident| $body:block) => {
        let rows = $exact.iter_mut().zip($first).zip($second);
        if $weights.is_empty() {
            for ((cell, $one), $other) in rows {
                let ($one, $other, $weight) = (*$one, *$other, 1.0_f32);
                let [gradient, hessian]: [f64; 2] = $body;
                *cell = [rounded_double(gradient), rounded_double(hessian)];
            }
        } else {
            for (((cell, $one), $other), $weight) in rows.zip($weights) {
                let ($one, $other, $weight) = (*$one, *$other, *$weight);
                let [gradient, hessian]: [f64; 2] = $body;
                *cell = [rounded_double(gradient), rounded_double(hessian)];
            }
        }
    };
}

#[inline(always)]
fn exact_logistic_body(
    scores: &[f32],
    targets: &[f32],
    weights: &[f32],
    scales: [f64; 2],
    exact: &mut [[i64; 2]],
) {
    write_each!(exact, scores, targets, weights, |score, target, weight| {
        let [gradient, hessian] = of_logistic(score, target, weight);
        [f64::from(gradient) * scales[0], f64::from(hessian) * scales[1]]
    });
}

#[inline(always)]
fn exact_softmax_body(
    probabilities: &[f32],
    targets: &[f32],
    [class, factor]: [f32; 2],
    weights: &[f32],
    scales: [f64; 2],
    exact: &mut [[i64; 2]],
) {
    write_each!(exact, probabilities, targets, weights, |probability, target, weight| {
        let gradient = (probability - if target == class { 1.0 } else { 0.0 }) * weight;
        let hessian = factor * probability * (1.0 - probability) * weight;
        [f64::from(gradient) * scales[0], f64::from(hessian) * scales[1]]
    });
}

#[inline(always)]
fn exact_squared_body(
    scores: &[f32],
    targets: &[f32],
    weights: &[f32],
    scales: [f64; 2],
    exact: &mut [[i64; 2]],
) {
    write_each!(exact, scores, targets, weights, |score, target, weight| {
        let weight = f64::from(weight);
        let gradient = (f64::from(score) - f64::from(target)) * weight;
        [gradient * scales[0], weight * scales[1]]
    });
}

#[inline(always)]
fn distances_body(scores: &[f32], targets: &[f32], weights: &[f32], found: &mut [u32; 2]) {
    let (mut largest, mut sum) = (0_u32, 0_u32);
    each!(scores, targets, weights, |score, target, weight| {
        let distance = (score - target).abs() * weight;
        // Numbers from 0 on have the order of their bits.
        largest = largest.max(distance.to_bits());
        sum = sum.wrapping_add(rounded(distance.min(3.0) * 1_048_576.0) as u32);
    });
    *found = [largest, sum];
}

#[cfg(test)]
mod tests {
    use modelgate_model::processor::{Level, levels};

    use super::*;
    use crate::random::SplitMix64;

    #[test]
    fn every_level_gives_the_bits_of_the_lowest() {
        let mut random = SplitMix64::stream(3, 0);
        let mut numbers =
            |count: usize| -> Vec<f32> { (0..count).map(|_| random.next() as f32 / 1e18 - 9.0).collect() };
        let (mut scores, targets, mut weights) = (numbers(1000), numbers(1000), numbers(1000));
        weights.iter_mut().for_each(|weight| *weight = weight.abs());
        scores[7] = f32::NAN;
        scores[8] = f32::INFINITY;
        let noise: Vec<u8> = (0..1000).map(|row| (row * 31) as u8).collect();
        let computed = |level: Level| {
            let mut pairs = vec![0_u32; 4000];
            let (first, rest) = pairs.split_at_mut(1000);
            let (second, third) = rest.split_at_mut(1000);
            let rounding = Rounding { noise: &noise, draw: [77, 5] };
            logistic(level, &scores, &targets, &weights, [100.0, 200.0], rounding, first);
            logistic(level, &scores, &targets, &[], [100.0, 200.0], rounding, second);
            squared(level, &scores, &targets, &weights, [100.0, 200.0], rounding, &mut third[..1000]);
            squared(level, &scores, &targets, &[], [100.0, 200.0], rounding, &mut third[1000..]);
            let (mut exact, scales) = (vec![[1_i64; 2]; 4000], [1e9, 1e8]);
            let (one, rest) = exact.split_at_mut(1000);
            exact_logistic(level, &scores, &targets, &weights, scales, one);
            exact_logistic(level, &scores, &targets, &[], scales, &mut rest[..1000]);
            exact_softmax(
                level,
                &scores,
                &targets,
                [targets[0], 1.5],
                &weights,
                scales,
                &mut rest[1000..2000],
            );
            exact_squared(level, &scores, &targets, &weights, scales, &mut rest[2000..]);
            let mut farthest = [0_u32; 2];
            distances(level, &scores, &targets, &weights, &mut farthest);
            let mut bins = vec![0_u8; 1000];
            positions(level, &table(&[-3.0, -0.0, 0.5, f32::MAX]), &scores, &mut bins);
            let mut cells = vec![[0_i64; CELLS]; 2];
            for (at, pair) in pairs.iter().enumerate() {
                cells[at % 2][at % CELLS] += packed(*pair);
            }
            let mut sums = vec![5_i32; 2 * 3 * CELLS];
            unpack(level, &mut cells, &mut sums);
            let other: Vec<i32> = sums.iter().rev().copied().collect();
            subtract(level, &mut sums, &other);
            add(level, &mut sums, &other[..700]);
            (pairs, sums, exact, farthest, bins)
        };
        for level in levels() {
            assert_eq!(computed(Level::Baseline), computed(level), "{level:?}");
        }
    }

    #[test]
    fn packed_sums_hold_the_largest_block() {
        for gradient in [-GRADIENT, 0.0, GRADIENT] {
            let mut cells = vec![[0_i64; CELLS]; 1];
            for _ in 0..BLOCK {
                cells[0][9] += packed(pair(gradient, HESSIAN, 0.498));
            }
            let mut sums = vec![0_i32; 3 * CELLS];
            unpack(Level::Baseline, &mut cells, &mut sums);
            let expected = [gradient as i32 * BLOCK as i32, HESSIAN as i32 * BLOCK as i32, BLOCK as i32];
            assert_eq!([sums[9], sums[CELLS + 9], sums[2 * CELLS + 9]], expected);
        }
    }

    #[test]
    fn rounding_is_right_on_average_and_keeps_whole_numbers() {
        for value in [-3.0_f32, -2.75, -0.125, 0.0, 0.25, 1.0, 7.5] {
            let of = |noise: u8| f64::from(pair(value, value.abs(), dither(noise, [77, 5])) as i32 >> 16);
            let mean = (0..=255).map(of).sum::<f64>() / 256.0;
            assert!((mean - f64::from(value)).abs() < 1e-9, "{value}: {mean}");
            assert!(value.fract() != 0.0 || (0..=255).all(|noise| of(noise) == f64::from(value)));
        }
    }

    #[test]
    fn sums_of_all_digits_are_those_of_doubles() {
        let (scores, targets, weights) = ([0.5_f32, -2.0, 9.0], [1.0_f32, 0.0, 0.0], [1.0_f32, 2.0, 0.25]);
        let scale = 1024.0 * 1024.0 * 1024.0;
        let mut exact = [[0; 2]; 3];
        exact_logistic(Level::Baseline, &scores, &targets, &weights, [scale; 2], &mut exact);
        let sums = [0, 1].map(|at| exact.iter().map(|pair| pair[at]).sum::<i64>());
        let mut expected = [0.0; 2];
        for ((score, target), weight) in scores.iter().zip(&targets).zip(&weights) {
            let probability = 1.0 / (1.0 + libm::exp(-f64::from(*score)));
            expected[0] += (probability - f64::from(*target)) * f64::from(*weight);
            expected[1] += probability * (1.0 - probability) * f64::from(*weight);
        }
        for (sum, expected) in sums.iter().zip(expected) {
            assert!((*sum as f64 / scale - expected).abs() < 1e-5, "{sum} {expected}");
        }
    }

    #[test]
    fn the_power_of_e_is_right_to_five_digits() {
        for step in -870..=870 {
            let value = step as f32 / 10.0;
            let right = libm::exp(f64::from(value));
            let found = f64::from(exp(value));
            assert!((found - right).abs() <= 1e-5 * right, "{value}: {found} for {right}");
        }
    }
}
