//! The best split of a node, from the sums of its bins.
//!
//! Sources: Friedman, 2001, "Greedy function approximation"; Chen and Guestrin, 2016, "`XGBoost`", for penalties and the
//! learned direction of missing values; Fisher, 1958, "On grouping for maximum homogeneity", for categories in the
//! order of their mean gradient.

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
        value.clamp(bounds.low, bounds.high)
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
    feature: usize,
    monotonic: i8,
    limits: &'a Limits,
    bounds: Bounds,
    total: Sums,
    parent: f64,
    best: Option<Split>,
}

impl Search<'_> {
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
        let gain = if self.bounds.low.is_finite() || self.bounds.high.is_finite() || self.monotonic != 0 {
            let values = (self.limits.value(left, self.bounds), self.limits.value(right, self.bounds));
            let order = f64::from(self.monotonic) * (values.1 - values.0);
            if order < 0.0 {
                return true;
            }
            self.limits.bounded_score(left, self.bounds) + self.limits.bounded_score(right, self.bounds)
                - self.parent
        } else {
            self.limits.score(left) + self.limits.score(right) - self.parent
        };
        if gain > self.best.map_or(self.parent * 1e-12, |best| best.gain) {
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
    let mut left = Sums::default();
    let mut goes_left = BinSet::default();
    for (_, bin, sums) in present.iter().take(present.len().saturating_sub(1)) {
        left = left.plus(*sums);
        goes_left.insert(*bin);
        if !search.look(left, || (goes_left, 0)) {
            break;
        }
    }
}

/// Returns the best split of a node by one feature, from its cells.
pub(super) fn best_of(
    feature: usize,
    of: &Feature,
    cells: &[i32],
    total: Sums,
    bounds: Bounds,
    limits: &Limits,
) -> Option<Split> {
    let bounded = bounds.low.is_finite() || bounds.high.is_finite();
    let parent = if bounded { limits.bounded_score(total, bounds) } else { limits.score(total) };
    let mut search = Search { feature, monotonic: of.monotonic, limits, bounds, total, parent, best: None };
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
