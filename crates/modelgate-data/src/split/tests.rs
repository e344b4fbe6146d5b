//! Tests of the split.

use super::*;
use modelgate_core::schema::Classes;
use proptest::prelude::*;

use crate::Column;

fn table(values: &[i64]) -> Table {
    let values = Values::Int(values.iter().copied().map(Some).collect::<Vec<_>>());
    let rows = match &values {
        Values::Int(values) => values.len(),
        _ => 0,
    };
    Table { columns: vec![Column { name: "x".to_owned(), values }], rows, ..Table::default() }
}

fn spec(kind: SplitKind) -> SplitSpec {
    SplitSpec { kind, train: 0.7, validation: 0.15, test: 0.15, stratify: true, seed: 42 }
}

fn regression(values: &[i64]) -> Target {
    Target::Values(values.iter().map(|value| *value as f64).collect())
}

#[test]
fn exact_meets_the_shares_inside_each_class() {
    let values: Vec<i64> = (0..200).collect();
    let labels: Vec<u32> = (0..200).map(|row| u32::from(row % 10 == 0)).collect();
    let target = Target::Classes { labels: labels.clone(), classes: Classes::Int(vec![0, 1]) };
    let found = split(&table(&values), None, &target, &spec(SplitKind::Exact)).expect("split");
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (140, 30, 30));
    let rare = |rows: &[u32]| rows.iter().filter(|row| labels[**row as usize] == 1).count();
    assert_eq!((rare(&found.train), rare(&found.validation), rare(&found.test)), (14, 3, 3));
}

#[test]
fn a_class_that_is_missing_from_a_part_is_named() {
    let values: Vec<i64> = (0..50).collect();
    let labels: Vec<u32> = (0..50).map(|row| u32::from(row == 0)).collect();
    let target = Target::Classes { labels, classes: Classes::Text(vec!["common".into(), "rare".into()]) };
    let error =
        split(&table(&values), None, &target, &spec(SplitKind::Exact)).expect_err("too few").to_string();
    assert!(error.contains("class `rare` (1 rows in all) has no row in validation"), "{error}");
    assert!(!error.contains("regression"), "{error}");
    // Whole numbers, and many of them.
    let target = Target::Classes {
        labels: (0..50).map(|row| row.min(6)).collect(),
        classes: Classes::Int((-2..5).collect()),
    };
    let error =
        split(&table(&values), None, &target, &spec(SplitKind::Exact)).expect_err("numbers").to_string();
    assert!(error.contains("class `-2` (1 rows in all) has no row in"), "{error}");
    assert!(
        error.ends_with("; if these are numbers to predict and no classes, use `task: regression`"),
        "{error}"
    );
}

#[test]
fn equal_rows_are_told_from_too_few_rows() {
    let refused = |values: &[i64], kind: SplitKind| {
        split(&table(values), Some("x"), &regression(values), &spec(kind)).expect_err("too few").to_string()
    };
    for kind in [SplitKind::Exact, SplitKind::Stable] {
        let message = refused(&[7; 200], kind);
        assert!(message.contains("gets no row of 200; there is 1 different row"), "{message}");
        assert!(message.ends_with("equal rows stay together: add rows that differ"), "{message}");
    }
    let message = refused(&[1, 2], SplitKind::Exact);
    assert!(message.ends_with("gets no row of 2; add rows"), "{message}");
    let message = refused(&[1, 1, 2, 2], SplitKind::Group);
    assert!(message.contains("there are 2 different groups"), "{message}");
    let message = refused(&[5; 9], SplitKind::Time);
    assert!(message.contains("gets no row of 9; there is 1 different moment"), "{message}");
    // A class whose rows are all equal is in one part, however many they are.
    let values: Vec<i64> = (0..100).map(|row| if row < 40 { 0 } else { row }).collect();
    let labels: Vec<u32> = (0..100).map(|row| u32::from(row < 40)).collect();
    let target = Target::Classes { labels, classes: Classes::Int(vec![0, 1]) };
    let error =
        split(&table(&values), None, &target, &spec(SplitKind::Exact)).expect_err("equal").to_string();
    assert!(error.contains("class `1` (40 rows in all, 1 of them different) has no row in"), "{error}");
}

#[test]
fn another_seed_gives_another_split() {
    let values: Vec<i64> = (0..100).collect();
    let found = |seed| {
        split(&table(&values), None, &regression(&values), &SplitSpec { seed, ..spec(SplitKind::Exact) })
    };
    assert_ne!(found(1), found(2));
    assert_eq!(found(1), found(1));
}

proptest! {
    #[test]
    fn every_row_has_one_part_and_equal_rows_stay_together(values in prop::collection::vec(0..40_i64, 60..200), stable: bool) {
        let kind = if stable { SplitKind::Stable } else { SplitKind::Exact };
        if let Ok(found) = split(&table(&values), None, &regression(&values), &spec(kind)) {
            let mut all: Vec<u32> = [&found.train[..], &found.validation, &found.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..values.len() as u32).collect::<Vec<_>>());
            let part = |row: u32| [&found.train, &found.validation, &found.test].iter().position(|part| part.contains(&row));
            for (row, value) in values.iter().enumerate() {
                let first = values.iter().position(|other| other == value).unwrap_or(row);
                prop_assert_eq!(part(row as u32), part(first as u32));
            }
        }
    }

    #[test]
    fn stable_moves_no_old_row_when_rows_are_added(old in 100..200_usize, added in 1..200_usize) {
        let values: Vec<i64> = (0..(old + added) as i64).collect();
        let before = split(&table(&values[..old]), None, &regression(&values[..old]), &spec(SplitKind::Stable)).expect("split");
        let after = split(&table(&values), None, &regression(&values), &spec(SplitKind::Stable)).expect("split");
        let kept: Vec<u32> = after.train.iter().copied().filter(|row| (*row as usize) < old).collect();
        prop_assert_eq!(before.train, kept);
    }

    #[test]
    fn the_order_of_the_file_does_not_matter(seed: u64) {
        let values: Vec<i64> = (0..100).collect();
        let reversed: Vec<i64> = values.iter().rev().copied().collect();
        let spec = SplitSpec { seed, ..spec(SplitKind::Exact) };
        let found = split(&table(&values), None, &regression(&values), &spec).expect("split");
        let other = split(&table(&reversed), None, &regression(&reversed), &spec).expect("split");
        let mut mirrored: Vec<u32> = other.train.iter().map(|row| 99 - row).collect();
        mirrored.sort_unstable();
        prop_assert_eq!(found.train, mirrored);
    }
}

#[test]
fn a_time_split_trains_on_the_oldest_rows_and_divides_no_moment() {
    let times: Vec<i64> = (0..100).map(|row| (100 - row) / 4).collect();
    let keys = RowKeys { identities: Vec::new(), times: times.clone() };
    let target = regression(&(0..100).collect::<Vec<_>>());
    let found = assign(&keys, &target, &spec(SplitKind::Time)).expect("split");
    let range = |rows: &[u32]| {
        let times: Vec<i64> = rows.iter().map(|row| times[*row as usize]).collect();
        (*times.iter().min().expect("rows"), *times.iter().max().expect("rows"))
    };
    assert!(range(&found.train).1 < range(&found.validation).0);
    assert!(range(&found.validation).1 < range(&found.test).0);
    assert!((60..=80).contains(&found.train.len()), "{}", found.train.len());
    let constant = RowKeys { identities: Vec::new(), times: vec![0; 100] };
    let error = assign(&constant, &target, &spec(SplitKind::Time)).expect_err("one moment").to_string();
    assert!(error.contains("there is 1 different moment, and rows of one moment stay together"), "{error}");
}

#[test]
fn a_group_stays_together_and_the_order_of_the_file_does_not_matter() {
    let groups: Vec<i64> = (0..300).map(|row| row % 60).collect();
    let target = regression(&(0..300).collect::<Vec<_>>());
    let found = split(&table(&groups), Some("x"), &target, &spec(SplitKind::Group)).expect("split");
    let of = |rows: &[u32]| {
        rows.iter().map(|row| groups[*row as usize]).collect::<std::collections::BTreeSet<_>>()
    };
    let (train, validation, test) = (of(&found.train), of(&found.validation), of(&found.test));
    assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (210, 45, 45));
    let reversed: Vec<i64> = groups.iter().rev().copied().collect();
    let again = split(&table(&reversed), Some("x"), &target, &spec(SplitKind::Group)).expect("split");
    let again: std::collections::BTreeSet<i64> =
        again.train.iter().map(|row| reversed[*row as usize]).collect();
    assert_eq!(again, train);
}

#[test]
fn keys_beyond_the_range_of_doubles_differ_and_wrong_shares_are_refused() {
    let large = 9_007_199_254_740_992_i64;
    let found = table(&[large, large + 1]);
    let hashes = hash_rows(&found, &[&found.columns[0]], 0);
    assert_ne!(hashes[0], hashes[1]);
    let wrong = SplitSpec { train: 0.9, ..spec(SplitKind::Exact) };
    let error = split(&found, None, &regression(&[1, 2]), &wrong).expect_err("more than 1").to_string();
    assert!(error.contains("with the sum 1"), "{error}");
}

/// Rows of groups of these sizes, and the spec of a split by them.
fn grouped(sizes: &[usize], seed: u64) -> Result<[usize; 3], String> {
    let groups: Vec<i64> =
        sizes.iter().enumerate().flat_map(|(group, size)| vec![group as i64; *size]).collect();
    let target = regression(&(0..groups.len() as i64).collect::<Vec<_>>());
    let spec = SplitSpec { seed, ..spec(SplitKind::Group) };
    let found = split(&table(&groups), Some("x"), &target, &spec).map_err(|error| error.to_string())?;
    let parts = [&found.train, &found.validation, &found.test];
    let of = |rows: &Vec<u32>| rows.iter().map(|row| groups[*row as usize]).collect::<BTreeSet<_>>();
    let parted: usize = parts.iter().map(|rows| of(rows).len()).sum();
    assert_eq!(parted, sizes.len(), "a group stays together: {sizes:?}");
    Ok(parts.map(Vec::len))
}

#[test]
fn few_and_large_groups_are_split_whatever_the_seed() {
    for seed in 0..50 {
        let [train, validation, test] = grouped(&[500, 300, 200], seed).expect("three groups, three parts");
        assert_eq!((train, validation + test), (500, 500), "seed {seed}");
        let mut one_large = vec![10; 20];
        one_large.push(800);
        assert_eq!(grouped(&one_large, seed).expect("one large group"), [800, 100, 100], "seed {seed}");
        let [train, validation, test] = grouped(&[201, 199, 200, 202, 198], seed).expect("five groups");
        assert!(train >= 596 && validation.min(test) >= 198, "seed {seed}: {train}, {validation}, {test}");
    }
    assert!(grouped(&[500, 500], 1).expect_err("two groups").contains("there are 2 different groups"));
}

#[test]
fn shares_of_a_group_split_are_near_where_the_groups_allow_it() {
    let sizes: Vec<usize> = (0..40).map(|group| 10 + (group * 37) % 91).collect();
    let rows: usize = sizes.iter().sum();
    for seed in 0..20 {
        let found = grouped(&sizes, seed).expect("a split");
        for (size, share) in found.iter().zip([0.7, 0.15, 0.15]) {
            let off = (*size as f64 / rows as f64 - share).abs();
            assert!(off <= 0.011, "seed {seed}: {found:?} of {rows}");
        }
    }
    assert_ne!(grouped(&sizes, 1), grouped(&sizes, 2));
}

#[test]
fn a_group_split_looks_for_parts_that_have_every_class() {
    // Six groups, three of which have a row of the rare class.
    let groups: Vec<i64> = (0..600).map(|row| row / 100).collect();
    let labels: Vec<u32> = (0..600).map(|row| u32::from(row % 200 == 0)).collect();
    let target = |labels: Vec<u32>| Target::Classes { labels, classes: Classes::Int(vec![0, 1]) };
    for seed in 0..50 {
        let spec = SplitSpec { seed, ..spec(SplitKind::Group) };
        let found = split(&table(&groups), Some("x"), &target(labels.clone()), &spec);
        let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(found.validation.iter().any(|row| labels[*row as usize] == 1));
    }
    let labels: Vec<u32> = (0..600).map(|row| u32::from(row < 5)).collect();
    let error = split(&table(&groups), Some("x"), &target(labels), &spec(SplitKind::Group));
    let error = error.expect_err("one group has the class").to_string();
    assert!(error.contains("class `1` (5 rows in all, in 1 group) has no row in"), "{error}");
    assert!(error.contains("add groups with rows of this class"), "{error}");
    assert!(!error.contains("stratify"), "{error}");
}

#[test]
fn classes_that_few_groups_have_find_their_parts() {
    // Sixty groups of ten rows; of `rare` classes each is half of `per` groups.
    let refused = |rare: usize, per: usize, seed: u64| {
        let groups: Vec<i64> = (0..600).map(|row| row / 10).collect();
        let label = |row: usize| match (row / 10) / per {
            class if class < rare && row % 10 < 5 => class as u32,
            _ => (rare + row % 2) as u32,
        };
        let labels = (0..600).map(label).collect();
        let classes = Classes::Int((0..rare as i64 + 2).collect());
        let spec = SplitSpec { seed, ..spec(SplitKind::Group) };
        let found = split(&table(&groups), Some("x"), &Target::Classes { labels, classes }, &spec);
        let found = found.map_err(|error| format!("{rare} classes in {per} groups, seed {seed}: {error}"))?;
        let sizes = (found.train.len(), found.validation.len(), found.test.len());
        assert_eq!(sizes, (420, 90, 90), "{rare} classes in {per} groups, seed {seed}");
        Ok::<(), String>(())
    };
    for seed in 0..6 {
        for (rare, per) in [(2, 3), (3, 3), (3, 4), (4, 4), (5, 5), (9, 3)] {
            assert_eq!(refused(rare, per, seed), Ok(()));
        }
    }
    assert!(refused(2, 2, 1).expect_err("two groups, three parts").contains("in 2 groups"));
}

#[test]
fn most_groups_stay_where_they_were_when_groups_are_added() {
    let parts = |count: usize, seed: u64| {
        let sizes = (0..count).map(|group| 10 + (group * 37) % 91);
        let groups: Vec<i64> = sizes.enumerate().flat_map(|(group, size)| vec![group as i64; size]).collect();
        let target = regression(&groups);
        let spec = SplitSpec { seed, ..spec(SplitKind::Group) };
        let found = split(&table(&groups), Some("x"), &target, &spec).expect("a split");
        let of = |rows: &[u32]| rows.iter().map(|row| groups[*row as usize]).collect::<BTreeSet<i64>>();
        [of(&found.train), of(&found.validation), of(&found.test)]
    };
    let mut moved = 0;
    for seed in 0..20 {
        let (before, after) = (parts(38, seed), parts(39, seed));
        moved +=
            before.iter().zip(&after).map(|(before, after)| before.difference(after).count()).sum::<usize>();
    }
    // By chance it is nearly half of the 760.
    assert!(moved < 760 / 6, "{moved} of 760");
}
