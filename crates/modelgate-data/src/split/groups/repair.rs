//! As few groups as it takes change their part until each part has every class and its share.
//!
//! Step by step the change that brings the parts nearest to what is asked: one group goes elsewhere, or two change places.
//! A class that few groups have finds its parts so, which no order of the groups by chance would give it.

use std::collections::BTreeSet;

use super::{Asked, Distance, Group};
use crate::target::Target;

/// Shares that are off by no more than one row in so many are met.
const MET: i64 = 100;

/// With more groups than this none change places: one alone is small enough to meet the shares.
const MOST_PAIRED: usize = 300;

/// The most steps.
const STEPS: usize = 200;

/// The most looks at a change that all steps take together, where they are more than two.
const LOOKS: usize = 5_000_000;

/// Changes `parts`, the part of each group, until they are what is asked; returns them, how far they are from that, and
/// whether they are near enough.
pub(super) fn repair(groups: &[Group], parts: Vec<usize>, asked: &Asked<'_>) -> (Vec<usize>, Distance, bool) {
    let mut now = Parts::of(groups, parts, asked);
    let mut distance = now.distance();
    let looks = if groups.len() > MOST_PAIRED { groups.len() } else { groups.len() * groups.len() };
    for _ in 0..(LOOKS / looks.max(1)).clamp(2, STEPS) {
        if now.is_met() {
            break;
        }
        let Some((found, change)) = now.best(distance) else { break };
        change.iter().flatten().for_each(|(group, part)| now.shift(*group, *part));
        distance = found;
    }
    let is_met = now.is_met();
    (now.found, distance, is_met)
}

/// One group that goes to another part, or two.
type Change = [Option<(usize, usize)>; 2];

/// The parts as they are, with what a change of them needs to know.
struct Parts<'a> {
    asked: &'a Asked<'a>,
    /// The part of each group.
    found: Vec<usize>,
    /// The rows of each group.
    sizes: Vec<i64>,
    /// The classes of each group.
    classes: Vec<Vec<u32>>,
    /// Groups with a class, by class and part.
    having: Vec<[usize; 3]>,
    groups: [usize; 3],
    rows: [i64; 3],
    /// As [`Distance`] has it.
    missing: usize,
}

impl<'a> Parts<'a> {
    fn of(groups: &[Group], found: Vec<usize>, asked: &'a Asked<'a>) -> Self {
        let classes = |group: &Group| match asked.target {
            Target::Classes { labels, .. } => {
                let different: BTreeSet<u32> = group.rows.iter().map(|row| labels[*row as usize]).collect();
                different.into_iter().collect()
            }
            Target::Values(_) => Vec::new(),
        };
        let known = match asked.target {
            Target::Classes { classes, .. } => classes.len(),
            Target::Values(_) => 0,
        };
        let mut now = Self {
            asked,
            sizes: groups.iter().map(|group| group.rows.len() as i64).collect(),
            classes: groups.iter().map(classes).collect(),
            having: vec![[0; 3]; known],
            groups: [0; 3],
            rows: [0; 3],
            missing: 0,
            found,
        };
        for (group, part) in now.found.iter().enumerate() {
            now.groups[*part] += 1;
            now.rows[*part] += now.sizes[group];
            now.classes[group].iter().for_each(|class| now.having[*class as usize][*part] += 1);
        }
        let counts = now.having.iter().chain([&now.groups]);
        let open = |part: &usize| asked.shares[*part] > 0.0;
        now.missing =
            counts.map(|counts| (0..3).filter(open).filter(|part| counts[*part] == 0).count()).sum();
        now
    }

    fn distance(&self) -> Distance {
        let square = |part: usize| {
            let off = (self.rows[part] - self.asked.wanted[part]) as f64;
            off * off / (self.asked.wanted[part].max(1)) as f64
        };
        Distance { missing: self.missing, shares: (0..3).map(square).sum() }
    }

    fn is_met(&self) -> bool {
        let mut off = self.rows.iter().zip(self.asked.wanted).map(|(rows, wanted)| (rows - wanted).abs());
        self.missing == 0 && off.all(|off| off * MET <= self.asked.rows as i64)
    }

    /// Gives a group to a part.
    fn shift(&mut self, group: usize, to: usize) {
        let from = std::mem::replace(&mut self.found[group], to);
        let open = |part: usize| usize::from(self.asked.shares[part] > 0.0);
        let (open_from, open_to) = (open(from), open(to));
        self.rows[from] -= self.sizes[group];
        self.rows[to] += self.sizes[group];
        let classes = self.classes[group].iter();
        let mut missing = self.missing;
        let mut count = |counts: &mut [usize; 3]| {
            counts[from] -= 1;
            missing += if counts[from] == 0 { open_from } else { 0 };
            missing -= if counts[to] == 0 { open_to } else { 0 };
            counts[to] += 1;
        };
        count(&mut self.groups);
        classes.for_each(|class| count(&mut self.having[*class as usize]));
        self.missing = missing;
    }

    /// Returns the distance that a change would leave.
    fn after(&mut self, change: Change) -> Distance {
        let before = change.map(|one| one.map(|(group, _)| (group, self.found[group])));
        change.iter().flatten().for_each(|(group, part)| self.shift(*group, *part));
        let distance = self.distance();
        before.iter().flatten().for_each(|(group, part)| self.shift(*group, *part));
        distance
    }

    /// Returns the change that leaves the least, less than `distance`; the first of several.
    fn best(&mut self, distance: Distance) -> Option<(Distance, Change)> {
        let mut best: Option<(Distance, Change)> = None;
        let mut least = distance;
        let mut look = |now: &mut Self, change: Change| {
            let found = now.after(change);
            if found < least {
                (least, best) = (found, Some((found, change)));
            }
        };
        let all = self.found.len();
        for group in 0..all {
            for part in (0..3).filter(|part| self.asked.shares[*part] > 0.0) {
                if part != self.found[group] {
                    look(self, [Some((group, part)), None]);
                }
            }
        }
        let paired = if all > MOST_PAIRED { 0 } else { all };
        for one in 0..paired {
            for other in one + 1..paired {
                let (here, there) = (self.found[one], self.found[other]);
                if here != there {
                    look(self, [Some((one, there)), Some((other, here))]);
                }
            }
        }
        best
    }
}
