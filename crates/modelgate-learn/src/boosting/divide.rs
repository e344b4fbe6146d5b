//! One leaf becomes two: its rows are parted, the sums of the bins of both sides are found, and with them how each side is
//! best split. Several leaves are divided side by side, each without a look at the others.

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::bins::{Binned, CELLS};
use super::loss::Heavy;
use super::part::Parting;
use super::simd::{self, BLOCK};
use super::split::{Bounds, Limits, Split, Sums, best_of, better};

/// From how many rows on all threads work on one leaf.
const MANY: usize = 4 * BLOCK;

/// Features that a thread looks at before it is worth to call another.
const FEATURES: usize = 4;

/// What all leaves of a tree have in common.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) binned: &'a Binned,
    pub(super) level: Level,
    /// Gradient and Hessian of every row.
    pub(super) pairs: &'a [u32],
    pub(super) limits: &'a Limits,
}

/// Sums the rows of one part of a leaf.
pub(super) struct Worker {
    /// Cells of at most [`BLOCK`] rows a bin.
    pub(super) packed: Vec<[i64; CELLS]>,
    /// Cells of all.
    pub(super) sums: Vec<i32>,
    /// Rows in `packed`.
    filled: usize,
}

impl Worker {
    /// Takes memory that is used again: `packed` is empty or holds zeros.
    pub(super) fn new(packed: Vec<[i64; CELLS]>, sums: Vec<i32>) -> Self {
        Self { packed, sums, filled: 0 }
    }

    fn clear(&mut self, stride: usize) {
        self.sums.clear();
        self.sums.resize(stride * 3 * CELLS, 0);
        // It is left empty by every flush.
        self.packed.resize(stride, [0; CELLS]);
    }

    /// Adds at most [`BLOCK`] rows; `full` says of which features a bin may get more than that in all.
    fn add(&mut self, ground: &Ground<'_>, full: &[bool], rows: &[u32]) {
        if self.filled + rows.len() > BLOCK {
            let sums = self.sums.chunks_exact_mut(3 * CELLS);
            for ((cells, sums), _) in self.packed.iter_mut().zip(sums).zip(full).filter(|(_, full)| **full) {
                simd::unpack(ground.level, std::slice::from_mut(cells), sums);
            }
            self.filled = 0;
        }
        simd::add_block(ground.binned, rows, ground.pairs, &mut self.packed);
        self.filled += rows.len();
    }

    fn finish(&mut self, ground: &Ground<'_>) {
        simd::unpack(ground.level, &mut self.packed, &mut self.sums);
        self.filled = 0;
    }
}

/// Returns of which features a bin may have more than [`BLOCK`] rows, from the cells of a leaf that has them all; of all
/// features where the cells are not known.
fn full(cells: &[i32], stride: usize) -> Vec<bool> {
    if cells.is_empty() {
        return vec![true; stride];
    }
    let most = |cells: &[i32]| cells[2 * CELLS..].iter().fold(0, |most, count| most.max(*count as u32));
    cells.chunks_exact(3 * CELLS).map(|cells| most(cells) as usize > BLOCK).collect()
}

impl Ground<'_> {
    /// Returns the sums of each bin over `rows`, one part of them for each worker, and over the rows held apart.
    pub(super) fn sums(
        &self,
        rows: &[u32],
        heavy: &[Heavy],
        full: &[bool],
        workers: &mut [Worker],
    ) -> Vec<i32> {
        let part = part(rows.len(), workers.len());
        let one = |(worker, rows): (&mut Worker, &[u32])| {
            worker.clear(self.binned.stride);
            rows.chunks(BLOCK).for_each(|rows| worker.add(self, full, rows));
            worker.finish(self);
        };
        let used = rows.len().div_ceil(part).max(1);
        workers[..used].par_iter_mut().zip(rows.par_chunks(part)).for_each(one);
        self.joined(&mut workers[..used], heavy)
    }

    /// Returns the sums of all workers and of the rows held apart together.
    fn joined(&self, workers: &mut [Worker], heavy: &[Heavy]) -> Vec<i32> {
        let Some((first, others)) = workers.split_first_mut() else { return Vec::new() };
        let mut sums = std::mem::take(&mut first.sums);
        others.iter().for_each(|other| simd::add(self.level, &mut sums, &other.sums));
        for heavy in heavy {
            let features = sums.chunks_exact_mut(3 * CELLS).enumerate().take(self.binned.features.len());
            for (feature, cells) in features {
                let bin = self.binned.bin(heavy.row, feature);
                cells[bin] = cells[bin].wrapping_add(heavy.gradient);
                cells[CELLS + bin] = cells[CELLS + bin].wrapping_add(heavy.hessian as i32);
            }
        }
        sums
    }

    /// Returns the best split of a leaf among the features that are looked at; all for `None`.
    pub(super) fn search(
        &self,
        sums: Sums,
        cells: &[i32],
        bounds: Bounds,
        looked: Option<&[bool]>,
    ) -> Option<Split> {
        if sums.rows / 2 < self.limits.min_samples_leaf {
            return None;
        }
        let one = |(place, feature): (usize, _)| {
            if looked.is_some_and(|looked| !looked[place]) {
                return None;
            }
            let cells = &cells[place * 3 * CELLS..(place + 1) * 3 * CELLS];
            best_of(self.level, (place, feature), cells, sums, bounds, self.limits)
        };
        let features = self.binned.features.par_iter().enumerate().with_min_len(FEATURES);
        features.map(one).reduce(|| None, better)
    }

    /// Returns rows that are held apart, those of the left side first.
    pub(super) fn sides(&self, split: &Split, heavy: Vec<Heavy>) -> [Vec<Heavy>; 2] {
        let goes_left = |heavy: &Heavy| split.goes_left.holds(self.binned.bin(heavy.row, split.feature));
        heavy.into_iter().partition::<Vec<Heavy>, _>(goes_left).into()
    }
}

/// Returns how many rows each of some workers gets.
fn part(rows: usize, workers: usize) -> usize {
    rows.div_ceil(workers.max(1)).next_multiple_of(BLOCK).max(BLOCK)
}

/// Returns how many workers a leaf with some of the rows of a tree gets, where so many threads have nothing else to do: one where
/// it is a small part, for then there are others to be divided at the same time. Never more than threads: each has sums of its own.
pub(super) fn workers(rows: usize, of: usize, helpers: usize) -> usize {
    let threads = rayon::current_num_threads();
    if rows < MANY || threads == 1 {
        return 1;
    }
    (2 * threads * rows).div_ceil(of).max(1 + helpers).min(threads)
}

/// A leaf that is to be divided.
pub(super) struct Division<'a> {
    /// Its rows, rising.
    pub(super) from: &'a [u32],
    /// Where they go, those of the left side first.
    pub(super) to: &'a mut [u32],
    /// Those of its rows that are held apart.
    pub(super) heavy: Vec<Heavy>,
    pub(super) split: Split,
    pub(super) sums: Sums,
    pub(super) bounds: Bounds,
    /// The sums of its bins; empty where they were given up.
    pub(super) cells: Vec<i32>,
    /// Which features each side looks at, `None` for all; nothing where the sides stay leaves and need no sums.
    pub(super) looked: Option<[Option<Vec<bool>>; 2]>,
    /// Who sums, each a part.
    pub(super) workers: Vec<Worker>,
    /// Memory for the sums of the other side, where those of the leaf were given up.
    pub(super) room: Vec<i32>,
}

/// The two sides of a leaf; the left one first.
pub(super) struct Divided {
    pub(super) bounds: [Bounds; 2],
    pub(super) sums: [Sums; 2],
    /// Their rows that are held apart.
    pub(super) heavy: [Vec<Heavy>; 2],
    /// The sums of their bins; empty where the sides stay leaves.
    pub(super) cells: [Vec<i32>; 2],
    pub(super) splits: [Option<Split>; 2],
    /// Whose memory can be used again.
    pub(super) workers: Vec<Worker>,
    /// Cells that can be used again.
    pub(super) free: Option<Vec<i32>>,
}

impl Division<'_> {
    /// Divides it.
    pub(super) fn run(mut self, ground: &Ground<'_>) -> Divided {
        let (limits, split) = (ground.limits, self.split);
        let sums = [split.left, self.sums.minus(split.left)];
        let values = sums.map(|sums| limits.value(sums, self.bounds));
        let sign = ground.binned.features[split.feature].monotonic;
        let bounds = self.bounds.parted(sign, values[0], values[1]);
        // The sums of the smaller side are built, those of the other are the rest.
        let built = usize::from(sums[0].rows > sums[1].rows);
        let heavy = ground.sides(&split, std::mem::take(&mut self.heavy));
        let used = self.part(ground, self.looked.is_some().then_some(built));
        let Some(looked) = self.looked else {
            let (cells, splits) = Default::default();
            let free = Some(self.cells).filter(|cells| !cells.is_empty());
            return Divided { bounds, sums, heavy, cells, splits, workers: self.workers, free };
        };
        let found = ground.joined(&mut self.workers[..used], &heavy[built]);
        let mut rest = self.cells;
        if rest.is_empty() {
            let (left, right) = self.to.split_at(split.left.rows as usize);
            let rows = if built == 0 { right } else { left };
            let full = full(&rest, ground.binned.stride);
            self.workers[0].sums = self.room;
            rest = ground.sums(rows, &heavy[1 - built], &full, &mut self.workers);
        } else {
            simd::subtract(ground.level, &mut rest, &found);
        }
        let cells = if built == 0 { [found, rest] } else { [rest, found] };
        let side =
            |side: usize| ground.search(sums[side], &cells[side], bounds[side], looked[side].as_deref());
        let splits = rayon::join(|| side(0), || side(1)).into();
        Divided { bounds, sums, heavy, cells, splits, workers: self.workers, free: None }
    }

    /// Parts the rows, both sides in the order they had, and sums those of one side block by block, while they are still in the
    /// cache; returns how many workers have a part.
    fn part(&mut self, ground: &Ground<'_>, built: Option<usize>) -> usize {
        let binned = ground.binned;
        let parting = Parting::new(binned, self.split.feature, self.split.goes_left);
        let part = part(self.from.len(), self.workers.len());
        let parts: Vec<&[u32]> = self.from.chunks(part).collect();
        let count = self.split.left.rows as usize;
        let mut lefts = vec![count];
        if parts.len() > 1 {
            // All threads count, also where there are but two parts and thus one to be counted.
            let counted = |rows: &&[u32]| rows.par_chunks(MANY).map(|rows| parting.count_left(rows)).sum();
            lefts = parts[..parts.len() - 1].par_iter().map(counted).collect();
            lefts.push(count - lefts.iter().sum::<usize>());
        }
        let (mut to_left, mut to_right) = self.to.split_at_mut(count);
        let mut tasks = Vec::with_capacity(parts.len());
        for ((rows, left), worker) in parts.into_iter().zip(lefts).zip(&mut self.workers) {
            let (first, rest) = to_left.split_at_mut(left);
            let (second, other) = to_right.split_at_mut(rows.len() - left);
            (to_left, to_right) = (rest, other);
            tasks.push((rows, [first, second], worker));
        }
        let full = full(&self.cells, binned.stride);
        let used = tasks.len();
        tasks.into_par_iter().for_each(|(rows, [left, right], worker)| {
            if built.is_some() {
                worker.clear(binned.stride);
            }
            let mut done = [0; 2];
            for start in (0..rows.len()).step_by(BLOCK) {
                let (before, block) = (done, start..(start + BLOCK).min(rows.len()));
                parting.part(ground.level, rows, block, [&mut *left, &mut *right], &mut done);
                match built {
                    Some(0) => worker.add(ground, &full, &left[before[0]..done[0]]),
                    Some(_) => worker.add(ground, &full, &right[before[1]..done[1]]),
                    None => {}
                }
            }
            if built.is_some() {
                worker.finish(ground);
            }
        });
        used
    }
}
