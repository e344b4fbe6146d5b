//! The best split of a node, from the sums of its bins.
//!
//! Sources: Friedman, 2001, "Greedy function approximation"; Chen and Guestrin, 2016, "`XGBoost`", for penalties and the
//! learned direction of missing values; Fisher, 1958, "On grouping for maximum homogeneity", for categories in the
//! order of their mean gradient.

mod simd;

use modelgate_model::processor::Level;

use super::bins::{CELLS, Feature, MISSING, Scale};

/// Sums over rows: gradient and Hessian in units of the round, rows as they are.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Sums {
    pub(super) gradient: i64,
    pub(super) hessian: i64,
    pub(super) rows: u32,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            hessian: self.hessian + other.hessian,
            rows: self.rows + other.rows,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            hessian: self.hessian - other.hessian,
            rows: self.rows - other.rows,
        }
    }
}

/// What a split must keep to.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) min_samples_leaf: u32,
    pub(super) min_hessian: f64,
    pub(super) l1: f64,
    pub(super) l2: f64,
    /// A leaf's value is no larger than this, before the learning rate.
    pub(super) most: f64,
    /// One unit of gradient and of Hessian.
    pub(super) units: [f64; 2],
}

/// Between what a leaf's value must lie, for monotone features.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Bounds {
    pub(super) const NONE: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// Returns the bounds of both sides of a split, which have these values: those by a monotone feature, `sign` says how, meet in
    /// the middle and never cross it further down.
    pub(super) fn parted(self, sign: i8, left: f64, right: f64) -> [Self; 2] {
        let middle = f64::midpoint(left, right);
        let (below, above) = (Self { high: middle, ..self }, Self { low: middle, ..self });
        match sign {
            0 => [self, self],
            sign if sign > 0 => [below, above],
            _ => [above, below],
        }
    }
}

/// Which bins go left: a bit each.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct BinSet([u64; 4]);

impl BinSet {
    pub(super) fn insert(&mut self, bin: usize) {
        self.0[bin >> 6] |= 1 << (bin & 63);
    }

    pub(super) fn holds(self, bin: usize) -> bool {
        self.0[bin >> 6] >> (bin & 63) & 1 == 1
    }
}

/// A split that can be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) gain: f64,
    pub(super) feature: usize,
    pub(super) goes_left: BinSet,
    /// The last bin of numbers that goes left.
    pub(super) last: usize,
    pub(super) left: Sums,
}

impl Limits {
    /// Returns the penalised gradient and Hessian in their own units.
    fn real(&self, sums: Sums) -> (f64, f64) {
        let gradient = sums.gradient as f64 * self.units[0];
        let shrunk =
            if self.l1 > 0.0 { (gradient.abs() - self.l1).max(0.0).copysign(gradient) } else { gradient };
        (shrunk, sums.hessian as f64 * self.units[1] + self.l2)
    }

    /// Returns the value of a leaf, before the learning rate.
    pub(super) fn value(&self, sums: Sums, bounds: Bounds) -> f64 {
        let (gradient, hessian) = self.real(sums);
        let value = if hessian > 0.0 { -gradient / hessian } else { 0.0 };
        value.clamp(-self.most, self.most).clamp(bounds.low, bounds.high)
    }

    /// Returns by how much the loss falls, twice, when the rows get one value.
    fn score(&self, sums: Sums) -> f64 {
        let (gradient, hessian) = self.real(sums);
        if hessian > 0.0 { gradient * gradient / hessian } else { 0.0 }
    }

    /// As [`score`](Self::score), for the value that bounds allow.
    fn bounded_score(&self, sums: Sums, bounds: Bounds) -> f64 {
        let (gradient, hessian) = self.real(sums);
        let value = self.value(sums, bounds);
        -(2.0 * gradient * value + hessian * value * value)
    }

    fn allows(&self, sums: Sums) -> bool {
        sums.rows >= self.min_samples_leaf && sums.hessian as f64 * self.units[1] >= self.min_hessian
    }
}

/// Looks for the best split of one feature.
struct Search<'a> {
    level: Level,
    feature: usize,
    monotonic: i8,
    limits: &'a Limits,
    bounds: Bounds,
    total: Sums,
    parent: f64,
    best: Option<Split>,
}

impl Search<'_> {
    /// Returns whether a gain depends on sums alone, and not on values that a leaf may not have.
    fn is_free(&self) -> bool {
        self.monotonic == 0 && self.bounds.low == f64::NEG_INFINITY && self.bounds.high == f64::INFINITY
    }

    /// Returns the gain that a split must exceed.
    fn least(&self) -> f64 {
        self.best.map_or(self.parent * 1e-12, |best| best.gain)
    }

    /// Looks at every threshold from the first bin to `end` at once; `first` is left of all of them.
    fn look_at_all(
        &mut self,
        cells: &[i32],
        first: Sums,
        end: usize,
        goes_left: impl FnOnce(usize, Sums) -> BinSet,
    ) {
        let scan = simd::Scan { cells, first, total: self.total, limits: self.limits, parent: self.parent };
        let mut gains = [0.0; CELLS];
        simd::gains(self.level, &scan, end, &mut gains);
        // Gains from 0 on have the order of their bits.
        let most = f64::from_bits(gains.iter().map(|gain| gain.to_bits()).fold(0, u64::max));
        if most > self.least()
            && let Some(last) = gains.iter().position(|gain| *gain == most)
        {
            let left = (1..=last).fold(first, |sums, bin| sums.plus(cell(cells, bin)));
            let goes_left = goes_left(last, left);
            self.best = Some(Split { gain: most, feature: self.feature, goes_left, last, left });
        }
    }

    /// Looks at a split; returns false when the right side has become too small.
    #[inline]
    fn look(&mut self, left: Sums, goes_left: impl FnOnce() -> (BinSet, usize)) -> bool {
        let right = self.total.minus(left);
        if right.rows < self.limits.min_samples_leaf {
            return false;
        }
        if !self.limits.allows(left) || !self.limits.allows(right) {
            return true;
        }
        let gain = if self.is_free() {
            self.limits.score(left) + self.limits.score(right) - self.parent
        } else {
            let values = (self.limits.value(left, self.bounds), self.limits.value(right, self.bounds));
            let order = f64::from(self.monotonic) * (values.1 - values.0);
            if order < 0.0 {
                return true;
            }
            self.limits.bounded_score(left, self.bounds) + self.limits.bounded_score(right, self.bounds)
                - self.parent
        };
        if gain > self.least() {
            let (goes_left, last) = goes_left();
            self.best = Some(Split { gain, feature: self.feature, goes_left, last, left });
        }
        true
    }
}

/// Returns the sums of a bin of a feature's cells.
#[inline]
fn cell(cells: &[i32], bin: usize) -> Sums {
    Sums {
        gradient: i64::from(cells[bin]),
        hessian: i64::from(cells[CELLS + bin] as u32),
        rows: cells[2 * CELLS + bin] as u32,
    }
}

/// Returns the sums over all bins of a feature.
pub(super) fn total(cells: &[i32]) -> Sums {
    (0..CELLS).fold(Sums::default(), |sums, bin| sums.plus(cell(cells, bin)))
}

fn ordered(search: &mut Search<'_>, cells: &[i32], bins: usize) {
    let missing = cell(cells, MISSING);
    let set = |last: usize, with_missing: bool| {
        let mut goes_left = BinSet::default();
        (1..=last).for_each(|bin| goes_left.insert(bin));
        if with_missing {
            goes_left.insert(MISSING);
        }
        (goes_left, last)
    };
    // What is missing in no row of the node goes where most rows go, should it come.
    let most = |left: Sums, total: Sums| missing.rows == 0 && left.rows * 2 > total.rows;
    let total = search.total;
    let mut left = Sums::default();
    // The last bin of all goes left as a whole only where it leaves the missing ones for the right.
    let end = if missing.rows > 0 { bins } else { bins - 1 };
    if search.is_free() {
        search.look_at_all(cells, Sums::default(), end, |last, left| set(last, most(left, total)).0);
        if missing.rows > 0 {
            search.look_at_all(cells, missing, bins - 1, |last, _| set(last, true).0);
        }
        return;
    }
    for last in 1..=end {
        let found = cell(cells, last);
        if found.rows == 0 {
            continue;
        }
        left = left.plus(found);
        if !search.look(left, || set(last, most(left, total))) {
            break;
        }
    }
    if missing.rows > 0 {
        let mut left = missing;
        for last in 1..bins {
            let found = cell(cells, last);
            if found.rows == 0 {
                continue;
            }
            left = left.plus(found);
            if !search.look(left, || set(last, true)) {
                break;
            }
        }
    }
}

/// Categories with fewer rows than this are drawn towards the mean when they are put in order.
const SMOOTHING: f64 = 10.0;

fn grouped(search: &mut Search<'_>, cells: &[i32]) {
    let mean_hessian = search.total.hessian as f64 / f64::from(search.total.rows.max(1));
    let rank =
        |sums: Sums| sums.gradient as f64 / (sums.hessian as f64 + SMOOTHING * mean_hessian).max(1e-30);
    let mut present: Vec<(f64, usize, Sums)> = (0..CELLS)
        .map(|bin| (bin, cell(cells, bin)))
        .filter(|(_, sums)| sums.rows > 0)
        .map(|(bin, sums)| (rank(sums), bin, sums))
        .collect();
    present.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let is_missing = present.iter().any(|(_, bin, _)| *bin == MISSING);
    let total = search.total;
    let mut left = Sums::default();
    let mut goes_left = BinSet::default();
    for (_, bin, sums) in present.iter().take(present.len().saturating_sub(1)) {
        left = left.plus(*sums);
        goes_left.insert(*bin);
        // What is missing in no row of the node, and a category that training did not see, go where most rows go.
        let whole = || {
            let mut whole = goes_left;
            if !is_missing && left.rows * 2 > total.rows {
                whole.insert(MISSING);
            }
            (whole, 0)
        };
        if !search.look(left, whole) {
            break;
        }
    }
}

/// Returns the best split of a node by one feature, from its cells.
pub(super) fn best_of(
    level: Level,
    (feature, of): (usize, &Feature),
    cells: &[i32],
    total: Sums,
    bounds: Bounds,
    limits: &Limits,
) -> Option<Split> {
    let bounded = bounds.low.is_finite() || bounds.high.is_finite();
    let parent = if bounded { limits.bounded_score(total, bounds) } else { limits.score(total) };
    let monotonic = of.monotonic;
    let mut search = Search { level, feature, monotonic, limits, bounds, total, parent, best: None };
    match of.scale {
        Scale::Ordered(_) => ordered(&mut search, cells, of.bins),
        Scale::Categories(_) => grouped(&mut search, cells),
    }
    search.best
}

/// Returns the better of two splits; of equal ones that of the first feature.
pub(super) fn better(one: Option<Split>, other: Option<Split>) -> Option<Split> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let second = other.gain > one.gain || (other.gain == one.gain && other.feature < one.feature);
            Some(if second { other } else { one })
        }
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use modelgate_model::processor::levels;

    use super::*;
    use crate::random::SplitMix64;

    /// Cells of a feature, some of them empty.
    fn random_cells(random: &mut SplitMix64, bins: usize, missing: bool) -> Vec<i32> {
        let mut cells = vec![0; 3 * CELLS];
        for bin in usize::from(!missing)..=bins {
            let rows = random.below(40) as i32 - 10;
            if rows > 0 {
                cells[bin] = (random.below(4000) as i32 - 2000) * rows;
                cells[CELLS + bin] = random.below(2000) as i32 * rows;
                cells[2 * CELLS + bin] = rows;
            }
        }
        cells
    }

    #[test]
    fn thresholds_at_once_give_the_split_that_one_after_the_other_gives() {
        let mut random = SplitMix64::stream(5, 0);
        for case in 0..300_usize {
            let bins = 1 + random.below(255);
            let cells = random_cells(&mut random, bins, case % 2 == 0);
            let limits = Limits {
                min_samples_leaf: random.below(60) as u32 + 1,
                min_hessian: if case % 3 == 0 { 5.0 } else { 0.0 },
                l1: if case % 5 == 0 { 3.0 } else { 0.0 },
                l2: if case % 7 == 0 { 10.0 } else { 0.0 },
                most: f64::INFINITY,
                units: [0.001, 0.0005],
            };
            let total = total(&cells);
            let found = |level: Level, wide: bool| {
                // A bound that no value reaches takes the way of one after the other.
                let bounds = if wide { Bounds::NONE } else { Bounds { low: -f64::MAX, high: f64::MAX } };
                let parent = limits.score(total);
                let best = None;
                let mut search =
                    Search { level, feature: 0, monotonic: 0, limits: &limits, bounds, total, parent, best };
                ordered(&mut search, &cells, bins);
                search.best
            };
            let one_by_one = found(Level::Baseline, false);
            let at_once = found(Level::Baseline, true);
            match (one_by_one, at_once) {
                (None, None) => {}
                (Some(one), Some(other)) => {
                    assert!((one.gain - other.gain).abs() <= 1e-9 * (1.0 + one.gain), "{one:?} {other:?}");
                    assert_eq!((one.last, one.left), (other.last, other.left), "{case}");
                    assert_eq!(one.goes_left, other.goes_left);
                }
                (one, other) => {
                    assert!(one.or(other).is_some_and(|split| split.gain < 1e-6), "{one:?} {other:?}");
                }
            }
            for level in levels() {
                assert_eq!(format!("{:?}", found(level, true)), format!("{at_once:?}"), "{level:?}");
            }
        }
    }
}
