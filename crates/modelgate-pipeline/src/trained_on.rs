//! Which rows a version was trained on, where that follows from no row alone: the end of a split by time, and the groups of
//! one by group.
//!
//! The key type is [`TrainedOn`]. It is a few numbers however many rows there are, and names no group.

use std::collections::{BTreeMap, BTreeSet};

use modelgate_data::split::{self, SplitAssignment, SplitKind};
use modelgate_data::{DataSchema, Table, Values};
use serde::{Deserialize, Serialize};

/// The training rows of a version, by a column that its split went by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct TrainedOn {
    /// The column's type: of another one its values are others.
    column_type: String,
    rows: Told,
}

/// Which values of the column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// Moments up to this one.
    Until(i64),
    /// Groups by the upper half of their hash: those below a place, where the split cut, but for some.
    Groups {
        below: u64,
        /// Not below it, and trained on all the same.
        also: Vec<u32>,
        /// Below it, and not trained on.
        not: Vec<u32>,
    },
}

/// The column that a split goes by, and what it needs of it.
pub(crate) struct By<'a> {
    pub(crate) column: &'a str,
    pub(crate) kind: SplitKind,
    pub(crate) seed: u64,
}

impl TrainedOn {
    /// Returns what `split` trains on; `None` where the rows of a part follow from their hash or number.
    pub(crate) fn of(
        by: &By<'_>,
        table: &Table,
        schema: &DataSchema,
        split: &SplitAssignment,
    ) -> Option<Self> {
        let column_type = schema.column(by.column)?.declared.column_type.to_string();
        let rows = match by.kind {
            SplitKind::Exact | SplitKind::Stable => return None,
            SplitKind::Time => {
                let Values::Int(moments) = &table.column(by.column)?.values else { return None };
                let trained = split.train.iter().filter_map(|row| moments.get(*row as usize).copied()?);
                Told::Until(trained.max()?)
            }
            SplitKind::Group => {
                let places = places(by, table)?;
                let mut all: BTreeMap<u32, bool> = BTreeMap::new();
                // Where two groups share a place, the one that was trained on counts: it comes last.
                for (rows, is_trained) in
                    [(&split.validation, false), (&split.test, false), (&split.train, true)]
                {
                    let found = rows.iter().filter_map(|row| places.get(*row as usize));
                    all.extend(found.map(|place| (*place, is_trained)));
                }
                told(&all)
            }
        };
        Some(Self { column_type, rows })
    }

    /// Returns the rows of `table` that the version was trained on, or why they cannot be told.
    pub(crate) fn among(
        &self,
        by: &By<'_>,
        table: &Table,
        schema: &DataSchema,
    ) -> Result<BTreeSet<u32>, String> {
        let name = by.column;
        let (Some(column), Some(described)) = (table.column(name), schema.column(name)) else {
            return Err(format!("its rows were split by column `{name}`, which is gone"));
        };
        let now = described.declared.column_type.to_string();
        let end = match &self.rows {
            Told::Until(end) => until(*end, &self.column_type, &now),
            Told::Groups { .. } => (now == self.column_type).then_some(0),
        };
        let Some(end) = end else {
            return Err(format!(
                "its rows were split by column `{name}`, which was {} and is {now}",
                self.column_type
            ));
        };
        if (0..table.rows).any(|row| column.is_null(row)) {
            return Err(format!("its rows were split by column `{name}`, which has rows without a value"));
        }
        let gone = || format!("its rows were split by column `{name}`, whose values cannot be read");
        let is_known: Vec<bool> = match &self.rows {
            Told::Until(_) => {
                let Values::Int(moments) = &column.values else { return Err(gone()) };
                moments.iter().map(|moment| moment.is_some_and(|moment| moment <= end)).collect()
            }
            Told::Groups { below, also, not } => {
                let (also, not): (BTreeSet<&u32>, BTreeSet<&u32>) =
                    (also.iter().collect(), not.iter().collect());
                let is_known = |place: &u32| {
                    if u64::from(*place) < *below { !not.contains(place) } else { also.contains(place) }
                };
                places(by, table).ok_or_else(gone)?.iter().map(is_known).collect()
            }
        };
        Ok((0..).zip(is_known).filter(|(_, is_known)| *is_known).map(|(row, _)| row).collect())
    }
}

/// Returns the last moment in values of the type that a column has `now`, of one in values of its type of `before`: a day ends
/// with its last microsecond, and the day of a moment is trained on whole. `None` where they do not compare.
fn until(end: i64, before: &str, now: &str) -> Option<i64> {
    const MICROS_OF_DAY: i64 = 86_400_000_000;
    match (before, now) {
        ("date", "timestamp") => Some(end.saturating_add(1).saturating_mul(MICROS_OF_DAY).saturating_sub(1)),
        ("timestamp", "date") => Some(end.div_euclid(MICROS_OF_DAY)),
        _ => (before == now).then_some(end),
    }
}

/// Returns the upper half of the hash of each row's group.
fn places(by: &By<'_>, table: &Table) -> Option<Vec<u32>> {
    let column = table.column(by.column)?;
    Some(split::hash_rows(table, &[column], by.seed).into_iter().map(|hash| (hash >> 32) as u32).collect())
}

/// Finds the place to cut at that leaves the fewest exceptions, the first of several.
fn told(all: &BTreeMap<u32, bool>) -> Told {
    let trained = all.values().filter(|trained| **trained).count();
    // Cut before all: each that was trained on is an exception.
    let (mut exceptions, mut least, mut below) = (trained, trained, 0);
    for (place, trained) in all {
        if *trained {
            exceptions -= 1;
        } else {
            exceptions += 1;
        }
        if exceptions < least {
            (least, below) = (exceptions, u64::from(*place) + 1);
        }
    }
    let pick = |wanted: bool| {
        let found = all
            .iter()
            .filter(|(place, trained)| **trained == wanted && (u64::from(**place) < below) != wanted);
        found.map(|(place, _)| *place).collect()
    };
    Told::Groups { below, also: pick(true), not: pick(false) }
}

#[cfg(test)]
mod tests {
    use modelgate_data::split::SplitSpec;
    use modelgate_data::target::Target;
    use modelgate_data::{Dataset, Mixed, ReadOptions, SourceFile, read_table};

    use super::*;

    /// Rows of groups of these sizes.
    fn rows(sizes: &[usize]) -> (Table, DataSchema) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("d.csv");
        let lines =
            sizes.iter().enumerate().flat_map(|(group, size)| vec![format!("c{group},{group}\n"); *size]);
        fs_err::write(&path, format!("who,day\n{}", lines.collect::<String>())).expect("written");
        let files = vec![SourceFile::path("d.csv", path)];
        let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
        (read_table(&dataset).expect("a table"), dataset.schema.clone())
    }

    fn divided(by: &By<'_>, table: &Table) -> SplitAssignment {
        let spec = SplitSpec {
            kind: by.kind,
            train: 0.7,
            validation: 0.15,
            test: 0.15,
            stratify: true,
            seed: by.seed,
        };
        let target = Target::Values(vec![0.0; table.rows]);
        split::split(table, Some(by.column), &target, &spec).expect("a split")
    }

    fn values(table: &Table, name: &str, rows: impl IntoIterator<Item = u32>) -> BTreeSet<String> {
        let column = table.column(name).expect("the column");
        let value = |row: u32| match column.text(row as usize) {
            Some(text) => text.to_owned(),
            None => format!("{:?}", column.number(row as usize)),
        };
        rows.into_iter().map(value).collect()
    }

    #[test]
    fn groups_that_were_trained_on_are_known_again_in_other_data() {
        let sizes: Vec<usize> = (0..30).map(|group| 5 + (group * 37) % 19).collect();
        let more: Vec<usize> = sizes.iter().map(|size| size * 2 + size % 3).chain([9, 9, 9]).collect();
        for seed in 0..20 {
            let by = By { column: "who", kind: SplitKind::Group, seed };
            let (table, schema) = rows(&sizes);
            let split = divided(&by, &table);
            let trained = TrainedOn::of(&by, &table, &schema, &split).expect("told");
            let text = serde_json::to_string(&trained).expect("json");
            let trained: TrainedOn = serde_json::from_str(&text).expect("read back");
            let (now, schema) = rows(&more);
            let found = values(&now, "who", trained.among(&by, &now, &schema).expect("rows"));
            let known = values(&table, "who", split.train.iter().copied());
            let held_back = values(&table, "who", split.validation.into_iter().chain(split.test));
            assert!(found.is_superset(&known) && found.is_disjoint(&held_back), "seed {seed}: {text}");
            let Told::Groups { also, not, .. } = &trained.rows else { panic!("{text}") };
            assert!(also.len() + not.len() < 10, "{text}");
        }
    }

    #[test]
    fn moments_that_were_trained_on_are_known_again_in_other_data() {
        let by = By { column: "day", kind: SplitKind::Time, seed: 1 };
        let (table, schema) = rows(&[3; 40]);
        let split = divided(&by, &table);
        let trained = TrainedOn::of(&by, &table, &schema, &split).expect("told");
        assert_eq!(trained.rows, Told::Until(27));
        // The newest days are gone: what was the training part reaches into today's other parts.
        let (now, schema) = rows(&[3; 30]);
        let today = divided(&by, &now);
        let known = trained.among(&by, &now, &schema).expect("rows");
        assert_eq!(known, (0..84).collect());
        assert!(today.validation.iter().all(|row| known.contains(row)));
        assert!(today.test.iter().any(|row| !known.contains(row)));
    }

    #[test]
    fn a_column_that_is_gone_or_of_another_type_is_told() {
        let by = By { column: "day", kind: SplitKind::Time, seed: 1 };
        let (table, schema) = rows(&[3; 40]);
        let trained = TrainedOn::of(&by, &table, &schema, &divided(&by, &table)).expect("told");
        let gone = By { column: "when", ..by };
        assert!(trained.among(&gone, &table, &schema).expect_err("gone").contains("`when`, which is gone"));
        assert_eq!(until(2, "date", "timestamp"), Some(259_199_999_999));
        assert_eq!(until(259_200_000_000, "timestamp", "date"), Some(3));
        assert_eq!((until(7, "date", "date"), until(7, "date", "int")), (Some(7), None));
        let other = TrainedOn { column_type: "date".to_owned(), ..trained };
        let said = other.among(&by, &table, &schema).expect_err("another type");
        assert!(said.contains("which was date and is int"), "{said}");
    }
}
