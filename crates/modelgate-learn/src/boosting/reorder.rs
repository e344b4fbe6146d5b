//! Rows that reach the same leaf are moved side by side. The trees that follow split much as those before, so the rows of their
//! nodes then lie in runs, and little is read from memory that belongs to other nodes. Sums do not depend on the order of the
//! rows, nor does the way that a row is rounded: the model is the same without.

use rayon::prelude::*;

use super::bins::{Binned, PAD};

/// After which rounds the rows are moved.
const ROUNDS: [usize; 3] = [1, 2, 4];

/// Fewer rounds than this are over before moving has paid.
const FEWEST: usize = 12;

/// Bytes of bins up to which they stay in a cache anyway.
const CACHED: usize = 1 << 20;

/// Rows that one thread moves at a time.
const PIECE: usize = 1 << 14;

/// Returns whether to move the rows after a round of so many.
pub(super) fn is_due(round: usize, rounds: usize, rows: usize, binned: &Binned) -> bool {
    ROUNDS.contains(&round) && rounds >= FEWEST && rows * binned.stride > CACHED
}

/// Moves figures of the rows: that of `rows[0]` becomes the first; nothing where there are none. `spare` has room for all.
pub(super) fn figures<T: Copy + Send + Sync>(
    figures: &mut [T],
    rows: &[u32],
    spare: &mut [u32],
    bits: impl Fn(T) -> u32 + Sync,
    of_bits: impl Fn(u32) -> T + Sync,
) {
    if figures.is_empty() {
        return;
    }
    gather(rows, spare, |row| bits(figures[row]));
    figures
        .par_iter_mut()
        .zip(spare.par_iter())
        .with_min_len(PIECE)
        .for_each(|(to, from)| *to = of_bits(*from));
}

/// Moves rows of bins, `width` bytes each, a multiple of [`PAD`]: a few features at a time, so that no second copy of all is
/// needed. `spare` has room for a number of each.
pub(super) fn bins(bins: &mut [u8], width: usize, rows: &[u32], spare: &mut [u32]) {
    for first in (0..width).step_by(PAD) {
        let from = &*bins;
        gather(rows, spare, |row| {
            let cells = &from[row * width + first..];
            cells.first_chunk().map_or(0, |cells: &[u8; PAD]| u32::from_ne_bytes(*cells))
        });
        bins.par_chunks_mut(PIECE * width).zip(spare.par_chunks(PIECE)).for_each(|(bins, spare)| {
            for (row, from) in bins.chunks_exact_mut(width).zip(spare) {
                row[first..first + PAD].copy_from_slice(&from.to_ne_bytes());
            }
        });
    }
}

fn gather(rows: &[u32], to: &mut [u32], of: impl Fn(usize) -> u32 + Sync) {
    to.par_chunks_mut(PIECE).zip(rows.par_chunks(PIECE)).for_each(|(to, rows)| {
        to.iter_mut().zip(rows).for_each(|(to, row)| *to = of(*row as usize));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_moved_with_all_their_figures() {
        let (count, width) = (3 * PIECE + 5, 3 * PAD);
        let rows: Vec<u32> = (0..count as u32).map(|at| (at * 7919 + 3) % count as u32).collect();
        let of = |row: u32, place: usize| (row as usize * 31 + place * 7) as u8;
        let mut all: Vec<u8> =
            (0..count as u32).flat_map(|row| (0..width).map(move |at| of(row, at))).collect();
        let mut spare = vec![0; count];
        bins(&mut all, width, &rows, &mut spare);
        let mut numbers: Vec<f32> = (0..count as u32).map(|at| at as f32 - 9.5).collect();
        figures(&mut numbers, &rows, &mut spare, f32::to_bits, f32::from_bits);
        assert!(numbers.iter().zip(&rows).all(|(number, row)| *number == *row as f32 - 9.5));
        for (row, bins) in rows.iter().zip(all.chunks_exact(width)) {
            assert!(bins.iter().enumerate().all(|(at, bin)| *bin == of(*row, at)), "{row}");
        }
        figures(&mut [], &rows, &mut spare, f32::to_bits, f32::from_bits);
    }
}
