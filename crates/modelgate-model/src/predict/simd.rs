//! The inner loops of prediction, compiled once more for wider registers; every level gives the same bits.
#![expect(unsafe_code, reason = "a function for a CPU feature may only be called where the feature is")]
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]

use super::masks::{Comparison, LANES};
use crate::dispatched;

dispatched! {
    /// Takes from the mask of each row the leaves that a comparison rules out. `columns` is `[groups × columns × LANES]`,
    /// `masks` has a mask per row; `missing_left` says that NaN passes a comparison.
    clear, clear_body, (comparisons: &[Comparison], missing_left: bool, columns: &[f32], masks: &mut [u32])
}

dispatched! {
    /// Turns each mask into the position of its first bit.
    first_bit, first_bit_body, (masks: &mut [u32])
}

#[inline(always)]
fn clear_body(comparisons: &[Comparison], missing_left: bool, columns: &[f32], masks: &mut [u32]) {
    if missing_left {
        // One comparison that NaN passes; `value <= threshold || value.is_nan()` would be two.
        #[allow(clippy::neg_cmp_op_on_partial_ord)]
        clear_with(comparisons, columns, masks, |value, threshold| !(value > threshold));
    } else {
        clear_with(comparisons, columns, masks, |value, threshold| value <= threshold);
    }
}

#[inline(always)]
fn clear_with(
    comparisons: &[Comparison],
    columns: &[f32],
    masks: &mut [u32],
    goes_left: impl Fn(f32, f32) -> bool,
) {
    let groups = masks.len() / LANES;
    if groups == 0 {
        return;
    }
    let size = columns.len() / groups;
    for (masks, columns) in masks.chunks_exact_mut(LANES).zip(columns.chunks_exact(size)) {
        let mut kept = [0_u32; LANES];
        kept.copy_from_slice(masks);
        for comparison in comparisons {
            let start = comparison.column as usize * LANES;
            // All columns are there. A loop that may end here is not taken for one over comparisons in parallel, which would gather
            // what stands side by side, and took four times as long with AVX-512.
            let Some(Ok(values)) = columns.get(start..start + LANES).map(<&[f32; LANES]>::try_from) else {
                break;
            };
            for lane in 0..LANES {
                let stays = if goes_left(values[lane], comparison.threshold) { u32::MAX } else { 0 };
                kept[lane] &= comparison.mask | stays;
            }
        }
        masks.copy_from_slice(&kept);
    }
}

#[inline(always)]
fn first_bit_body(masks: &mut [u32]) {
    for mask in masks {
        *mask = mask.trailing_zeros();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::{Level, levels};

    #[test]
    fn every_level_gives_the_bits_of_the_lowest() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let (groups, width) = (5, 3);
        let columns: Vec<f32> = (0..groups * width * LANES)
            .map(|at| match at % 11 {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => -0.0,
                _ => (next() % 7) as f32 - 3.0,
            })
            .collect();
        let comparisons: Vec<Comparison> = (0..31)
            .map(|_| Comparison {
                column: next() % width as u32,
                threshold: (next() % 7) as f32 - 3.0,
                mask: next(),
            })
            .collect();
        let computed = |level: Level, missing_left: bool| {
            let mut masks = vec![u32::MAX; groups * LANES];
            clear(level, &comparisons[..4], missing_left, &columns, &mut masks);
            let kept = masks.clone();
            first_bit(level, &mut masks);
            (kept, masks)
        };
        for missing_left in [false, true] {
            let lowest = computed(Level::Baseline, missing_left);
            // One row by hand: NaN passes where it goes left, and nowhere else.
            let row = |column: u32| columns[column as usize * LANES];
            let expected = comparisons[..4].iter().fold(u32::MAX, |mask, one| {
                let value = row(one.column);
                let stays = value <= one.threshold || (missing_left && value.is_nan());
                if stays { mask } else { mask & one.mask }
            });
            assert_eq!(lowest.0[0], expected);
            for level in levels() {
                assert_eq!(lowest, computed(level, missing_left), "{level:?}");
            }
        }
    }
}
