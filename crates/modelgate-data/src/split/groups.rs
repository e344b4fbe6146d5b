//! Whole groups to parts: shares as near as the groups allow, and no part without rows where there are groups enough.
//!
//! Several orders of the groups are tried, each by a hash of the group, so that neither the order of the file decides nor
//! the size of a group alone where it goes. The first order that meets the shares is taken, else the best of all.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::largest_remainder;
use crate::target::Target;

/// Orders that are tried by hash; one by size is tried behind them.
const ORDERS: u64 = 32;

/// Shares that are off by no more than one row in so many are met.
const MET: i64 = 100;

/// Rows that stay together.
struct Group {
    hash: u64,
    rows: Vec<u32>,
}

/// How a group finds its part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// The first part with room for it, else the one with most room.
    First,
    /// The part with most room.
    Even,
}

/// How far an assignment is from what is asked, the worst first.
#[derive(PartialEq, PartialOrd)]
struct Distance {
    /// Parts without a row, and classes without a row in a part.
    missing: usize,
    /// The squares of what each part has too many or too few, over what it is to have.
    shares: f64,
}

/// Gives each group of rows with one hash to a part.
pub(super) fn assign(hashes: &[u64], target: &Target, shares: [f64; 3], parts: &mut [Vec<u32>; 3]) {
    let mut rows: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (row, hash) in hashes.iter().enumerate() {
        rows.entry(*hash).or_default().push(row as u32);
    }
    let mut groups: Vec<Group> = rows.into_iter().map(|(hash, rows)| Group { hash, rows }).collect();
    let wanted = largest_remainder(hashes.len(), shares);
    let mut best: Option<(Distance, Vec<(u64, usize)>)> = None;
    for order in 0..=ORDERS {
        match order {
            0 => {}
            ORDERS => groups.sort_unstable_by_key(|group| (Reverse(group.rows.len()), group.hash)),
            _ => groups.sort_unstable_by_key(|group| (mixed(group.hash, order), group.hash)),
        }
        for fill in [Fill::First, Fill::Even] {
            let found = place(&groups, wanted, shares, fill);
            let distance = distance(&groups, &found, target, wanted, shares);
            let is_met = distance.missing == 0 && is_met(&groups, &found, wanted, hashes.len());
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                let found = groups.iter().zip(found).map(|(group, part)| (group.hash, part));
                best = Some((distance, found.collect()));
            }
            if is_met {
                return give(groups, best, parts);
            }
        }
    }
    give(groups, best, parts);
}

fn give(groups: Vec<Group>, best: Option<(Distance, Vec<(u64, usize)>)>, parts: &mut [Vec<u32>; 3]) {
    let found: BTreeMap<u64, usize> = best.into_iter().flat_map(|(_, found)| found).collect();
    for group in groups {
        let part = found.get(&group.hash).copied().unwrap_or_default();
        parts[part].extend(group.rows);
    }
}

/// Returns the part of each group, in the order of `groups`.
fn place(groups: &[Group], wanted: [i64; 3], shares: [f64; 3], fill: Fill) -> Vec<usize> {
    let mut room = wanted;
    let mut is_empty = shares.map(|share| share > 0.0);
    let mut found = Vec::with_capacity(groups.len());
    for (at, group) in groups.iter().enumerate() {
        let size = group.rows.len() as i64;
        let open = |part: &usize| shares[*part] > 0.0;
        let most = |among: &dyn Fn(&usize) -> bool| {
            (0..3).filter(|part| among(part)).max_by_key(|part| (room[*part], 2 - *part))
        };
        let empty = is_empty.iter().filter(|empty| **empty).count();
        // The last groups go where there is none.
        let part = if groups.len() - at <= empty {
            most(&|part| is_empty[*part])
        } else {
            let fits = (0..3).find(|part| open(part) && room[*part] >= size);
            fits.filter(|_| fill == Fill::First).or_else(|| most(&open))
        };
        let part = part.unwrap_or_default();
        room[part] -= size;
        is_empty[part] = false;
        found.push(part);
    }
    found
}

fn sizes(groups: &[Group], found: &[usize]) -> [i64; 3] {
    let mut sizes = [0; 3];
    groups.iter().zip(found).for_each(|(group, part)| sizes[*part] += group.rows.len() as i64);
    sizes
}

fn is_met(groups: &[Group], found: &[usize], wanted: [i64; 3], rows: usize) -> bool {
    sizes(groups, found).iter().zip(wanted).all(|(size, wanted)| (size - wanted).abs() * MET <= rows as i64)
}

fn distance(
    groups: &[Group],
    found: &[usize],
    target: &Target,
    wanted: [i64; 3],
    shares: [f64; 3],
) -> Distance {
    let sizes = sizes(groups, found);
    let open = |part: &usize| shares[*part] > 0.0;
    let mut missing = (0..3).filter(open).filter(|part| sizes[*part] == 0).count();
    if let Target::Classes { labels, classes } = target {
        let mut there = vec![[false; 3]; classes.len()];
        for (group, part) in groups.iter().zip(found) {
            for row in &group.rows {
                there[labels[*row as usize] as usize][*part] = true;
            }
        }
        missing +=
            there.iter().map(|there| (0..3).filter(open).filter(|part| !there[*part]).count()).sum::<usize>();
    }
    let square = |part: usize| {
        let off = (sizes[part] - wanted[part]) as f64;
        off * off / (wanted[part].max(1)) as f64
    };
    Distance { missing, shares: (0..3).map(square).sum() }
}

/// Returns another hash for each order: the finalizer of `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
fn mixed(hash: u64, order: u64) -> u64 {
    let mut value = hash ^ order.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
