//! Whole groups to parts: shares as near as the groups allow, and no part without rows where there are groups enough.
//!
//! The groups are filled in by their hash, so that the order of the file does not decide and most of them stay where they
//! were when groups are added; then as few as it takes change their part ([`repair`]). Where that does not meet the shares,
//! other orders are tried. The first that meets them is taken, else the best of all.

mod repair;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::largest_remainder;
use crate::target::Target;

/// Orders that are tried by hash; one by size is tried behind them.
const ORDERS: u64 = 32;

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
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Distance {
    /// Parts without a row, and classes without a row in a part.
    missing: usize,
    /// The squares of what each part has too many or too few, over what it is to have.
    shares: f64,
}

/// What the parts are to be like.
struct Asked<'a> {
    target: &'a Target,
    shares: [f64; 3],
    /// The rows of each part.
    wanted: [i64; 3],
    /// All rows.
    rows: usize,
}

/// Gives each group of rows with one hash to a part.
pub(super) fn assign(hashes: &[u64], target: &Target, shares: [f64; 3], parts: &mut [Vec<u32>; 3]) {
    let mut rows: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (row, hash) in hashes.iter().enumerate() {
        rows.entry(*hash).or_default().push(row as u32);
    }
    let mut groups: Vec<Group> = rows.into_iter().map(|(hash, rows)| Group { hash, rows }).collect();
    let asked = Asked { target, shares, wanted: largest_remainder(hashes.len(), shares), rows: hashes.len() };
    let mut best: Option<(Distance, Vec<(u64, usize)>)> = None;
    for order in 0..=ORDERS {
        match order {
            0 => {}
            ORDERS => groups.sort_unstable_by_key(|group| (Reverse(group.rows.len()), group.hash)),
            _ => groups.sort_unstable_by_key(|group| (mixed(group.hash, order), group.hash)),
        }
        for fill in [Fill::First, Fill::Even] {
            let filled = place(&groups, asked.wanted, shares, fill);
            let (found, distance, is_met) = repair::repair(&groups, filled, &asked);
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

/// Returns another hash for each order: the finalizer of `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
fn mixed(hash: u64, order: u64) -> u64 {
    let mut value = hash ^ order.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
