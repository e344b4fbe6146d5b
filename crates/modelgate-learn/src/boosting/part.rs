//! The rows of a leaf go to two sides, as the bin of one feature says: both keep the order they had.
//!
//! What this waits for is memory: of each row one byte is read, from a line that no other row of the leaf may be in. So rows are
//! asked for far ahead, beyond the block that is being parted too.
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]

mod simd;

use std::ops::Range;

use modelgate_model::processor::Level;

use super::bins::{Binned, CELLS, GROUP};
use super::simd::prefetch;
use super::split::BinSet;

/// How many rows ahead a byte is asked for.
const AHEAD: usize = 256;

/// By what rows are parted.
pub(super) struct Parting<'a> {
    /// The group of the feature, row-major.
    bins: &'a [u8],
    /// Bytes of a row.
    stride: usize,
    /// Which of them is the feature's.
    place: usize,
    /// 1 for a bin that goes left, else 0.
    table: [u8; CELLS],
}

impl<'a> Parting<'a> {
    pub(super) fn new(binned: &'a Binned, feature: usize, goes_left: BinSet) -> Self {
        let (bins, stride) = binned.group(feature / GROUP * GROUP);
        let table = std::array::from_fn(|bin| u8::from(goes_left.holds(bin)));
        Self { bins, stride, place: feature % GROUP, table }
    }

    /// Returns 1 if a row goes left, else 0.
    #[inline(always)]
    fn side(&self, row: u32) -> u8 {
        self.table[usize::from(self.bins[row as usize * self.stride + self.place])]
    }

    #[inline(always)]
    fn ask_for(&self, row: u32) {
        prefetch(self.bins, row as usize * self.stride + self.place);
    }

    /// Returns how many of some rows go left.
    pub(super) fn count_left(&self, rows: &[u32]) -> usize {
        let ahead = rows.len().saturating_sub(AHEAD);
        let mut count = 0;
        for (row, next) in rows[..ahead].iter().zip(&rows[rows.len() - ahead..]) {
            self.ask_for(*next);
            count += usize::from(self.side(*row));
        }
        count + rows[ahead..].iter().map(|row| usize::from(self.side(*row))).sum::<usize>()
    }

    /// Writes those of `rows` that are in `block` behind those that are already on the left and the right side, of which there are
    /// `done`.
    ///
    /// # Panics
    /// Where a side has no room, or a row is none of the bins'.
    pub(super) fn part(
        &self,
        level: Level,
        rows: &[u32],
        block: Range<usize>,
        sides: [&mut [u32]; 2],
        done: &mut [usize; 2],
    ) {
        let next = rows.get(block.start + AHEAD..).unwrap_or(&[]);
        simd::part(level, self, &rows[block], next, sides, done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;
    use crate::trainer::FeatureMatrix;
    use modelgate_model::processor::levels;

    #[test]
    fn rows_are_parted_in_their_order_at_every_level_and_in_any_blocks() {
        let mut random = SplitMix64::stream(11, 0);
        let (count, columns) = (3000_usize, 21);
        let values: Vec<f32> = (0..count * columns).map(|_| random.below(300) as f32).collect();
        let matrix = FeatureMatrix { rows: count, columns, values: &values, names: &[] };
        let all: Vec<u32> = (0..count as u32).collect();
        let binned =
            Binned::new(&matrix, &all, &all, 255, &vec![false; columns], &vec![0; columns]).expect("bins");
        for case in 0..60_usize {
            let (feature, one_of, most) = (random.below(columns), 1 + random.below(9), random.below(257));
            let rows: Vec<u32> = all.iter().copied().filter(|_| random.below(one_of) == 0).collect();
            let mut goes_left = BinSet::default();
            (0..CELLS).filter(|bin| bin * 7919 % 257 < most).for_each(|bin| goes_left.insert(bin));
            let [left, right] = [true, false].map(|side| {
                let of = |row: &u32| goes_left.holds(binned.bin(*row, feature)) == side;
                rows.iter().copied().filter(of).collect::<Vec<u32>>()
            });
            let parting = Parting::new(&binned, feature, goes_left);
            assert_eq!(parting.count_left(&rows), left.len());
            let size = [1, 15, 16, 100, 4096][case % 5];
            for level in levels() {
                let mut found = vec![u32::MAX; rows.len() + 2];
                // The sides lie side by side, with a guard between them and at the end.
                let (first, second) = found.split_at_mut(left.len() + 1);
                let (last, end) = (left.len(), right.len());
                let mut done = [0; 2];
                for start in (0..rows.len()).step_by(size) {
                    let block = start..(start + size).min(rows.len());
                    let sides = [&mut first[..last], &mut second[..end]];
                    parting.part(level, &rows, block, sides, &mut done);
                }
                assert_eq!(done, [last, end], "{level:?}");
                assert_eq!((&first[..last], &second[..end]), (&left[..], &right[..]), "{level:?}");
                assert_eq!((first[last], second[end]), (u32::MAX, u32::MAX), "{level:?}");
            }
        }
    }
}
