//! What a search for parameters tries, and on which rows: pure functions of a seed.
//!
//! Successive halving: Jamieson and Talwalkar, 2016, "Non-stochastic best arm identification and hyperparameter
//! optimization".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::random::SplitMix64;

/// Where one parameter is looked for.
#[derive(Clone, PartialEq, Debug)]
pub enum Range {
    /// One of these values.
    Choice(Vec<Value>),
    /// A number from the first to the second.
    Uniform(f64, f64),
    /// A number from the first to the second, each factor as likely as another.
    LogUniform(f64, f64),
    /// A whole number from the first to the second, both included.
    Int(i64, i64),
    /// A whole number from the first to the second, both included, each factor about as likely as another.
    LogInt(i64, i64),
}

/// Draws for the stream of trials, which is no tree's.
const TRIALS: u64 = 0x7472_6961_6c73;

/// Draws until a trial is a new one, at most.
const ATTEMPTS: usize = 100;

impl Range {
    fn draw(&self, random: &mut SplitMix64) -> Value {
        // The upper 53 bits, as a number from 0 to below 1.
        let mut unit = || (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let logarithmic = |low: f64, high: f64, unit: f64| {
            libm::exp(libm::log(low) + unit * (libm::log(high) - libm::log(low))).clamp(low, high)
        };
        match self {
            Self::Choice(values) => values[random.below(values.len().max(1))].clone(),
            Self::Uniform(low, high) => json!(low + unit() * (high - low)),
            Self::LogUniform(low, high) => json!(logarithmic(*low, *high, unit())),
            Self::Int(low, high) => json!(low + random.below(high.abs_diff(*low) as usize + 1) as i64),
            Self::LogInt(low, high) => {
                let number = logarithmic(*low as f64, *high as f64 + 1.0, unit());
                json!((number as i64).clamp(*low, *high))
            }
        }
    }
}

/// Returns up to `count` different sets of parameters, as many as a search finds; equal arguments give equal sets.
pub fn candidates(space: &BTreeMap<String, Range>, count: usize, seed: u64) -> Vec<BTreeMap<String, Value>> {
    let mut random = SplitMix64::stream(seed ^ TRIALS, 0);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut attempts = 0;
    while found.len() < count && attempts < ATTEMPTS {
        let drawn: BTreeMap<String, Value> =
            space.iter().map(|(name, range)| (name.clone(), range.draw(&mut random))).collect();
        if seen.insert(serde_json::to_string(&drawn).unwrap_or_default()) {
            found.push(drawn);
            attempts = 0;
        } else {
            attempts += 1;
        }
    }
    found
}

/// One round of successive halving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// Trials that take part.
    pub trials: usize,
    /// Rows that they see.
    pub rows: usize,
}

/// Returns the rounds: from `trials` trials on `least` rows, one of `factor` stays and has `factor` times the rows, up
/// to all of `rows`. Without `least` the first round has as many as lead to all rows in the last, and 20 at least.
pub fn rounds(trials: usize, rows: usize, factor: usize, least: Option<usize>) -> Vec<Round> {
    let factor = factor.max(2);
    let mut steps = 0_u32;
    let mut left = trials;
    while left > 1 {
        left = left.div_ceil(factor);
        steps += 1;
    }
    let share = factor.saturating_pow(steps);
    let mut seen = least.unwrap_or_else(|| (rows / share).max(20)).clamp(1, rows.max(1));
    let mut left = trials;
    let mut rounds = vec![Round { trials: left, rows: seen }];
    while left > 1 && seen < rows {
        left = left.div_ceil(factor);
        seen = seen.saturating_mul(factor).min(rows);
        rounds.push(Round { trials: left, rows: seen });
    }
    rounds
}

/// Returns the positions of `classes` in the order of `identities`, in which each stretch holds the classes in about
/// their shares: a beginning of it is a sample, and a stretch a fold. All of one class for a regression.
///
/// Rows of one identity, such as a hash of their content, stand together.
pub fn stratified_order(classes: &[u32], identities: &[u64]) -> Vec<usize> {
    let mut by_class: BTreeMap<u32, Vec<(u64, usize)>> = BTreeMap::new();
    for (position, (class, identity)) in classes.iter().zip(identities).enumerate() {
        by_class.entry(*class).or_default().push((*identity, position));
    }
    let mut placed: Vec<(f64, u32, usize)> = Vec::with_capacity(classes.len());
    for (class, mut members) in by_class {
        members.sort_unstable();
        let count = members.len() as f64;
        let mut place = 0.0;
        for (at, (identity, position)) in members.iter().enumerate() {
            if at == 0 || members[at - 1].0 != *identity {
                place = (at as f64 + 0.5) / count;
            }
            placed.push((place, class, *position));
        }
    }
    placed
        .sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)).then(one.2.cmp(&other.2)));
    placed.into_iter().map(|(_, _, position)| position).collect()
}

/// Returns the fold of each row of an order: stretches of about equal length, rows of one identity in one fold. No fold is empty where
/// there are as many identities as folds.
pub fn folds(identities: &[u64], count: usize) -> Vec<usize> {
    let length = identities.len();
    let mut first: BTreeMap<u64, usize> = BTreeMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    let places: Vec<usize> = identities
        .iter()
        .map(|identity| {
            let place = *first.entry(*identity).or_insert(sizes.len());
            if place == sizes.len() {
                sizes.push(0);
            }
            sizes[place] += 1;
            place
        })
        .collect();
    let mut fold_of = vec![usize::MAX; sizes.len()];
    let mut rows = vec![0; count];
    for (at, place) in places.iter().enumerate() {
        if fold_of[*place] == usize::MAX {
            fold_of[*place] = at * count / length;
            rows[fold_of[*place]] += sizes[*place];
        }
    }
    // A group with many rows, of all or of a rare class, takes the stretches in which no other group begins.
    let is_even = |rows: &usize| 2 * count * rows >= length && count * rows <= 2 * length;
    if !sizes.iter().all(|size| 2 * count * size <= length) || !rows.iter().all(is_even) {
        fold_of = by_size(&sizes, count);
    }
    places.into_iter().map(|place| fold_of[place]).collect()
}

/// Returns the fold of each identity of so many rows: the largest first, each goes to the fold that has the fewest.
fn by_size(sizes: &[usize], count: usize) -> Vec<usize> {
    let (mut fold_of, mut rows) = (vec![0; sizes.len()], vec![0; count]);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(sizes[*place]));
    for place in order {
        let fewest = (0..count).min_by_key(|fold| rows[*fold]).unwrap_or(0);
        rows[fewest] += sizes[place];
        fold_of[place] = fewest;
    }
    fold_of
}

/// Returns the stretch of each row of an order in time, of which `moments` are sorted: `count` stretches of about equal length, rows of
/// one moment in one. None is empty where there are as many moments.
pub fn stretches(moments: &[u64], count: usize) -> Vec<usize> {
    let all = moments.chunk_by(|one, other| one == other).count();
    let (mut found, mut last) = (Vec::with_capacity(moments.len()), 0);
    for (number, rows) in moments.chunk_by(|one, other| one == other).enumerate() {
        let by_rows = found.len() * count / moments.len();
        let next = if number == 0 { 0 } else { last + 1 };
        // As many moments have to be left as stretches.
        last = by_rows.max(count.saturating_sub(all - number)).clamp(last, next);
        found.extend(std::iter::repeat_n(last, rows.len()));
    }
    found
}

/// Returns how many identities there are.
pub fn distinct(identities: &[u64]) -> usize {
    identities.iter().collect::<BTreeSet<_>>().len()
}

/// Returns how many rows a beginning of an order needs that has `rows` of them at least: `least` identities, as far as there are so
/// many, and no end between two rows of one.
pub fn lengthened<'a>(identities: impl Iterator<Item = &'a u64>, rows: usize, least: usize) -> usize {
    let (mut seen, mut last, mut length) = (BTreeSet::new(), None, 0);
    for identity in identities {
        if length >= rows && seen.len() >= least && last != Some(identity) {
            break;
        }
        seen.insert(identity);
        last = Some(identity);
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_lie_in_their_ranges_differ_and_follow_the_seed() {
        let space = BTreeMap::from([
            ("a".to_owned(), Range::Choice(vec![json!(null), json!("x")])),
            ("b".to_owned(), Range::LogUniform(1e-3, 1e3)),
            ("c".to_owned(), Range::Int(-2, 2)),
            ("d".to_owned(), Range::LogInt(1, 100)),
            ("e".to_owned(), Range::Uniform(0.0, 1.0)),
        ]);
        let found = candidates(&space, 500, 42);
        assert_eq!(found, candidates(&space, 500, 42));
        assert_ne!(found, candidates(&space, 500, 43));
        assert_eq!(found.len(), 500);
        let numbers =
            |name: &str| found.iter().map(|one| one[name].as_f64().expect("a number")).collect::<Vec<_>>();
        assert!(numbers("b").iter().all(|value| (1e-3..=1e3).contains(value)));
        let below_one = numbers("b").iter().filter(|value| **value < 1.0).count();
        assert!((200..300).contains(&below_one), "{below_one}");
        let whole: BTreeSet<i64> = numbers("c").iter().map(|value| *value as i64).collect();
        assert_eq!(whole.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        assert!(numbers("d").iter().all(|value| (1.0..=100.0).contains(value) && value.fract() == 0.0));
    }

    #[test]
    fn a_small_space_gives_each_of_its_points_once() {
        let space = BTreeMap::from([("a".to_owned(), Range::Choice(vec![json!(1), json!(2), json!(3)]))]);
        assert_eq!(candidates(&space, 20, 1).len(), 3);
    }

    #[test]
    fn halving_ends_with_all_rows_and_few_trials() {
        let expected = [(27, 37), (9, 111), (3, 333), (1, 999)];
        let found: Vec<(usize, usize)> =
            rounds(27, 999, 3, None).iter().map(|round| (round.trials, round.rows)).collect();
        assert_eq!(found, expected);
        assert_eq!(rounds(1, 50, 3, None), [Round { trials: 1, rows: 50 }]);
        assert_eq!(rounds(9, 50, 3, Some(50)), [Round { trials: 9, rows: 50 }]);
    }

    fn hashes(count: usize) -> Vec<u64> {
        let mut random = SplitMix64::stream(3, 0);
        (0..count).map(|_| random.next()).collect()
    }

    #[test]
    fn a_beginning_of_the_order_holds_each_class_in_its_share_and_so_does_a_fold() {
        let classes: Vec<u32> = (0..1000).map(|at| u32::from(at % 10 == 0)).collect();
        let identities = hashes(1000);
        let order = stratified_order(&classes, &identities);
        let rare = |part: &[usize]| part.iter().filter(|position| classes[**position] == 1).count();
        assert_eq!(rare(&order[..100]), 10);
        let all: BTreeSet<usize> = order.iter().copied().collect();
        assert_eq!(all.len(), 1000);
        let ordered: Vec<u64> = order.iter().map(|position| identities[*position]).collect();
        let folds = folds(&ordered, 5);
        for fold in 0..5 {
            let part: Vec<usize> =
                order.iter().zip(&folds).filter(|(_, other)| **other == fold).map(|(at, _)| *at).collect();
            assert_eq!((part.len(), rare(&part)), (200, 20));
        }
    }

    #[test]
    fn rows_of_one_identity_are_in_one_fold() {
        let identities: Vec<u64> = hashes(60).into_iter().flat_map(|hash| [hash; 7]).collect();
        let classes: Vec<u32> = (0..420).map(|at| at % 2).collect();
        let order = stratified_order(&classes, &identities);
        let ordered: Vec<u64> = order.iter().map(|position| identities[*position]).collect();
        let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
        for (identity, fold) in ordered.iter().zip(folds(&ordered, 4)) {
            assert_eq!(*seen.entry(*identity).or_insert(fold), fold);
        }
        assert_eq!(seen.values().collect::<BTreeSet<_>>().len(), 4);
    }

    fn rows_of(folds: &[usize], count: usize) -> Vec<usize> {
        (0..count).map(|fold| folds.iter().filter(|one| **one == fold).count()).collect()
    }

    #[test]
    fn a_group_with_many_rows_leaves_no_fold_empty() {
        // One of 41 groups has 40 % of the rows, wherever it stands.
        for giant in [0, 7, 40] {
            let sizes = (0..41).map(|group| if group == giant { 400 } else { 15 });
            let hashes = hashes(41);
            let groups: Vec<u64> =
                sizes.zip(&hashes).flat_map(|(size, hash)| std::iter::repeat_n(*hash, size)).collect();
            let classes: Vec<u32> = (0..groups.len()).map(|at| (at % 2) as u32).collect();
            for classes in [vec![0; groups.len()], classes] {
                let order = stratified_order(&classes, &groups);
                let ordered: Vec<u64> = order.iter().map(|at| groups[*at]).collect();
                let found = folds(&ordered, 5);
                let rows = rows_of(&found, 5);
                assert_eq!(rows.iter().filter(|rows| **rows == 400).count(), 1, "{rows:?}");
                assert!(rows.iter().all(|rows| *rows >= 135), "{rows:?}");
            }
        }
        let few: Vec<u64> = [1, 2, 3, 4, 5].iter().flat_map(|group| [*group; 80]).collect();
        assert_eq!(rows_of(&folds(&few, 5), 5), [80; 5]);
    }

    #[test]
    fn a_group_with_half_of_a_rare_class_leaves_no_fold_empty() {
        // 100 groups of 10 rows, of which one is of the rare class, and a group of 95 rows that all are.
        for seed in 0..20 {
            let mut random = SplitMix64::stream(seed, 0);
            let hashes: Vec<u64> = (0..101).map(|_| random.next()).collect();
            let rows = |group: usize| if group == 100 { 95 } else { 10 };
            let groups: Vec<u64> =
                (0..101).flat_map(|group| std::iter::repeat_n(hashes[group], rows(group))).collect();
            let classes: Vec<u32> =
                (0..groups.len()).map(|at| u32::from(at >= 1000 || at % 10 == 0)).collect();
            let order = stratified_order(&classes, &groups);
            let ordered: Vec<u64> = order.iter().map(|at| groups[*at]).collect();
            let rows = rows_of(&folds(&ordered, 5), 5);
            assert!(rows.iter().all(|rows| (110..=438).contains(rows)), "{seed}: {rows:?}");
        }
    }

    #[test]
    fn stretches_of_time_follow_one_another_and_none_is_empty() {
        let even: Vec<u64> = (0..60).collect();
        assert_eq!(rows_of(&stretches(&even, 6), 6), [10; 6]);
        // The first moment, and then the last, has nearly all rows.
        for sizes in [[95, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 95]] {
            let moments: Vec<u64> =
                (0..).zip(sizes).flat_map(|(moment, size)| std::iter::repeat_n(moment, size)).collect();
            let found = stretches(&moments, 6);
            assert!(found.is_sorted());
            assert_eq!(rows_of(&found, 6), sizes);
        }
    }

    #[test]
    fn the_rows_of_a_round_hold_whole_groups_and_enough_of_them() {
        let groups: Vec<u64> = (0..40).flat_map(|group| [group; 100]).collect();
        assert_eq!(lengthened(groups.iter(), 148, 6), 600);
        assert_eq!(lengthened(groups.iter(), 601, 6), 700);
        assert_eq!(lengthened(groups.iter(), 148, 50), 4000);
        assert_eq!(lengthened(groups.iter().rev(), 1, 1), 100);
        assert_eq!(lengthened((0..999).collect::<Vec<_>>().iter(), 37, 6), 37);
        assert_eq!(distinct(&groups), 40);
    }
}
