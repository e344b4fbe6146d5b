//! One pass over all rows for a split: what each row is known by, and what would leak from one part into another.

mod count;
mod following;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, BatchColumn, Cells};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::rows::count::Count;
use crate::rows::following::{Following, hash_values};
use crate::split::{
    RowHasher, RowKeys, SplitAssignment, SplitKind, push_float, push_int, push_null, push_text, without_value,
};

/// What to look for.
#[derive(Clone, Debug)]
pub struct RowQuery<'a> {
    /// How rows are to be split.
    pub kind: SplitKind,
    /// What a `group` or `time` split goes by.
    pub by: Option<&'a str>,
    /// The column that identifies a row.
    pub key: Option<&'a str>,
    /// The column to predict.
    pub target: &'a str,
    /// Whether it is a class.
    pub is_class: bool,
    /// The columns that are features.
    pub features: &'a [String],
    /// Mixed into the hashes that decide.
    pub seed: u64,
}

/// What was found, one value per row each.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RowScan {
    /// What the split goes by.
    pub keys: RowKeys,
    /// The hash of features and target.
    pub contents: Vec<u64>,
    /// The hash of the key, when there is one that the split does not go by.
    pub row_keys: Vec<u64>,
    /// Features that hold the target.
    pub copies: Vec<CopiedTarget>,
    /// Features that number the rows.
    pub numbered: Vec<String>,
}

impl RowScan {
    /// Returns what was found of the rows of these numbers, in this order; what is said of features is that of all rows.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|row| values.get(*row as usize).copied()).collect()
        }
        Self {
            keys: RowKeys {
                identities: pick(&self.keys.identities, rows),
                times: pick(&self.keys.times, rows),
            },
            contents: pick(&self.contents, rows),
            row_keys: pick(&self.row_keys, rows),
            copies: self.copies.clone(),
            numbered: self.numbered.clone(),
        }
    }
}

/// A feature that holds the target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopiedTarget {
    /// The feature.
    pub feature: String,
    /// How it follows the target.
    pub how: String,
}

/// What stands on both sides of a split.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Leakage {
    /// Rows of validation and test that stand in train as well.
    pub equal_rows: u64,
    /// Rows of validation and test whose key stands in train as well.
    pub equal_keys: u64,
    /// Features that hold the target.
    pub copies: Vec<CopiedTarget>,
    /// Features that number the rows: where these are sorted, they tell the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbered: Vec<String>,
}

impl Leakage {
    /// Returns what a person should know, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.equal_rows > 0 {
            found.push(format!(
                "leakage: {} rows of validation and test are equal to a row of train",
                self.equal_rows
            ));
        }
        if self.equal_keys > 0 {
            found.push(format!(
                "leakage: {} rows of validation and test have a key that stands in train; `split: {{kind: group}}` \
                 keeps them together",
                self.equal_keys
            ));
        }
        found.extend(self.copies.iter().map(|copy| {
            format!(
                "leakage: the feature `{}` {}; drop it unless it is known before the target is",
                copy.feature, copy.how
            )
        }));
        found.extend(self.numbered.iter().map(|name| {
            format!(
                "leakage: the feature `{name}` numbers the rows, one more from each to the next; drop it, or make it `data.key`"
            )
        }));
        found
    }
}

/// Looks at all rows once.
///
/// # Errors
/// Names the place of a value that is not of its column's type, and of a row without a key.
pub fn scan_rows(dataset: &Dataset, query: &RowQuery<'_>) -> Result<RowScan, DataError> {
    let names = dataset.schema.names();
    // Rows are numbered by 32 bits from here on.
    if dataset.schema.rows > u64::from(u32::MAX) {
        return Err(DataError::Split(format!(
            "it has {} rows, and at most {} can be learned from; take a part of it as `data.source`",
            dataset.schema.rows,
            u32::MAX
        )));
    }
    let places = dataset.schema.places();
    let place = |what: &str, name: &str| {
        places.get(name).copied().ok_or_else(|| {
            DataError::Split(crate::error::not_there(&format!("the {what} column"), name, &names))
        })
    };
    let key = query.key.map(|key| place("key", key)).transpose()?;
    let by = match query.kind {
        SplitKind::Time => {
            let by = query.by.ok_or_else(|| missing_column("time"))?;
            let found = place("time", by)?;
            let column_type = dataset.schema.columns[found].declared.column_type;
            if !column_type.is_time() && column_type != crate::ColumnType::Int {
                let message = format!(
                    "the time column `{by}` is {column_type}; declare `data.types: {{{by}: timestamp}}`, with a `format` \
                     when it is not recognised"
                );
                return Err(DataError::Split(message));
            }
            Some(found)
        }
        SplitKind::Group => Some(place("group", query.by.ok_or_else(|| missing_column("group"))?)?),
        SplitKind::Exact | SplitKind::Stable => key,
    };
    let target = place("target", query.target)?;
    let features: Vec<usize> =
        query.features.iter().map(|name| place("feature", name)).collect::<Result<_, _>>()?;
    let mut content = features.clone();
    content.push(target);
    content.sort_unstable();
    let plan = Plan { query, key, by, target, features, content, width: names.len() };
    let mut scan = RowScan::default();
    let mut copies = vec![Following::default(); plan.features.len()];
    let mut counts = vec![Count::default(); plan.features.len()];
    let mut missing: Option<(&'static str, String, u64)> = None;
    dataset.scan_strictly(
        &dataset.all_columns(),
        |batch| plan.look(batch),
        |found, position| {
            if let (None, Some((what, column, row))) = (&missing, found.missing) {
                missing = Some((what, names[column].to_owned(), position.row + row as u64));
            }
            scan.keys.identities.extend(found.identities);
            scan.keys.times.extend(found.times);
            scan.contents.extend(found.contents);
            scan.row_keys.extend(found.row_keys);
            copies.iter_mut().zip(found.copies).for_each(|(all, some)| all.merge(some));
            let is_first = position.row_in_file == 0;
            counts.iter_mut().zip(found.counts).for_each(|(all, some)| all.merge(some, is_first));
        },
    )?;
    if let Some((what, column, row)) = missing {
        return Err(without_value(what, &column, row));
    }
    let found = copies.iter().zip(query.features).filter_map(|(copy, feature)| {
        Some(CopiedTarget { feature: feature.clone(), how: copy.verdict(query.is_class)? })
    });
    scan.copies = found.collect();
    let numbered = counts.iter().zip(query.features).filter(|(count, _)| count.is_of(dataset.schema.rows));
    scan.numbered = numbered.map(|(_, feature)| feature.clone()).collect();
    Ok(scan)
}

fn missing_column(kind: &str) -> DataError {
    DataError::Split(format!("a `{kind}` split needs `data.split.column`, the column to go by"))
}

struct Plan<'a> {
    query: &'a RowQuery<'a>,
    key: Option<usize>,
    by: Option<usize>,
    target: usize,
    features: Vec<usize>,
    content: Vec<usize>,
    width: usize,
}

#[derive(Default)]
struct Found {
    identities: Vec<u64>,
    times: Vec<i64>,
    contents: Vec<u64>,
    row_keys: Vec<u64>,
    copies: Vec<Following>,
    counts: Vec<Count>,
    missing: Option<(&'static str, usize, usize)>,
}

impl Plan<'_> {
    fn look(&self, batch: &Batch) -> Found {
        let mut found = Found::default();
        let column = |at: usize| &batch.columns[at];
        let what = match self.query.kind {
            SplitKind::Time => "time",
            SplitKind::Group => "group",
            _ => "key",
        };
        for (what, at) in [(what, self.by), ("key", self.key)] {
            let Some(at) = at else { continue };
            if let (None, Some(row)) = (found.missing, (0..batch.rows).find(|row| column(at).is_null(*row))) {
                found.missing = Some((what, at, row));
            }
        }
        let seed = self.query.seed;
        match (self.query.kind, self.by) {
            (SplitKind::Time, Some(at)) => {
                if let Cells::Int(values) = &column(at).cells {
                    found.times = values.iter().map(|value| value.unwrap_or_default()).collect();
                }
            }
            (_, Some(at)) => found.identities = hash_columns(batch, &[at], seed),
            (_, None) => found.identities = hash_columns(batch, &(0..self.width).collect::<Vec<_>>(), seed),
        }
        found.contents = hash_columns(batch, &self.content, 0);
        if let Some(key) = self.key.filter(|key| self.by != Some(*key)) {
            found.row_keys = hash_exactly(batch, &[key]);
        }
        let target = column(self.target);
        let classes = self.query.is_class.then(|| hash_values(target, batch.rows));
        let of = |at: &usize| match &classes {
            Some(classes) => Following::classes(column(*at), classes),
            None => Following::numbers(column(*at), target),
        };
        found.copies = self.features.iter().map(of).collect();
        found.counts = self.features.iter().map(|at| Count::of(column(*at))).collect();
        found
    }
}

/// Returns the hash of each row of a batch over `columns`, as models see them.
fn hash_columns(batch: &Batch, columns: &[usize], seed: u64) -> Vec<u64> {
    let hasher = RowHasher::new(seed);
    let mut bytes = Vec::new();
    let hash = |row: usize| {
        hasher.begin(&mut bytes);
        for at in columns {
            push_cell(&mut bytes, &batch.columns[*at], row);
        }
        RowHasher::finish(&bytes)
    };
    (0..batch.rows).map(hash).collect()
}

/// Returns the hash of each row of a batch over `columns`, to the last digit.
pub(crate) fn hash_exactly(batch: &Batch, columns: &[usize]) -> Vec<u64> {
    let hasher = RowHasher::new(0);
    let mut bytes = Vec::new();
    let hash = |row: usize| {
        hasher.begin(&mut bytes);
        columns.iter().for_each(|at| push_exactly(&mut bytes, &batch.columns[*at], row));
        RowHasher::finish(&bytes)
    };
    (0..batch.rows).map(hash).collect()
}

/// As [`push_cell`], and what the cell has lost of the value.
pub(crate) fn push_exactly(bytes: &mut Vec<u8>, column: &BatchColumn, row: usize) {
    push_cell(bytes, column, row);
    if let Some(exact) = column.exact(row) {
        push_text(bytes, exact);
    }
}

pub(crate) fn push_cell(bytes: &mut Vec<u8>, column: &BatchColumn, row: usize) {
    match &column.cells {
        Cells::Int(values) => match values.get(row).copied().flatten() {
            Some(value) => push_int(bytes, value),
            None => push_null(bytes),
        },
        Cells::Float(values) => match values.get(row).filter(|value| !value.is_nan()) {
            Some(value) => push_float(bytes, *value),
            None => push_null(bytes),
        },
        Cells::Text(values) => match values.get(row) {
            Some(value) => push_text(bytes, value),
            None => push_null(bytes),
        },
    }
}

/// Returns what stands on both sides of `split`.
pub fn leakage(scan: &RowScan, split: &SplitAssignment) -> Leakage {
    let across = |hashes: &[u64]| {
        let mut train: Vec<u64> =
            split.train.iter().filter_map(|row| hashes.get(*row as usize)).copied().collect();
        train.sort_unstable();
        let others = split.validation.iter().chain(&split.test);
        let found = others.filter_map(|row| hashes.get(*row as usize));
        found.filter(|hash| train.binary_search(hash).is_ok()).count() as u64
    };
    Leakage {
        equal_rows: across(&scan.contents),
        equal_keys: across(&scan.row_keys),
        copies: scan.copies.clone(),
        numbered: scan.numbered.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Mixed, ReadOptions};
    use crate::source::SourceFile;

    fn scan(text: &str, query: &RowQuery<'_>) -> Result<RowScan, DataError> {
        let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
        scan_rows(&Dataset::open(files, &ReadOptions::default(), Mixed::Refuse)?, query)
    }

    fn query(kind: SplitKind, is_class: bool, features: &[String]) -> RowQuery<'_> {
        RowQuery { kind, by: None, key: None, target: "y", is_class, features, seed: 1 }
    }

    #[test]
    fn identities_are_those_of_a_table() {
        let text = "a,b,y\n1,x,0\n2.5,,1\n9007199254740993,z,0\n";
        let features = ["a".to_owned(), "b".to_owned()];
        let found = scan(text, &query(SplitKind::Exact, true, &features)).expect("scanned");
        let table = crate::read_csv(text.as_bytes(), "a.csv", &ReadOptions::default()).expect("table");
        let columns: Vec<_> = table.columns.iter().collect();
        assert_eq!(found.keys.identities, crate::split::hash_rows(&table, &columns, 1));
    }

    #[test]
    fn a_copied_target_is_found_in_numbers_and_in_classes() {
        let features = ["a", "b", "c"].map(str::to_owned);
        let text = "a,b,c,y\n1,20.5,3,10\n2,40.5,1,20\n3,60.5,7,30\n4,80.5,2,40\n";
        let found = scan(text, &query(SplitKind::Exact, false, &features)).expect("scanned");
        let names: Vec<&str> = found.copies.iter().map(|copy| copy.feature.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let text = "a,b,c,y\nx,1,1,p\ny,2,2,q\nx,1,3,p\ny,3,4,q\n";
        let found = scan(text, &query(SplitKind::Exact, true, &features)).expect("scanned");
        assert_eq!(
            found.copies,
            [CopiedTarget {
                feature: "a".to_owned(),
                how: "has one value for each class of the target".to_owned()
            }]
        );
    }

    #[test]
    fn a_copy_of_the_classes_may_lack_values() {
        let features = ["a".to_owned()];
        let copies = |values: &[&str]| {
            let rows = values.iter().zip(["p", "q"].iter().cycle());
            let rows: String = rows.map(|(value, class)| format!("{value},{class}\n")).collect();
            let found = scan(&format!("a,y\n{rows}"), &query(SplitKind::Exact, true, &features));
            found.expect("scanned").copies.into_iter().map(|copy| copy.how).collect::<Vec<_>>()
        };
        let (whole, part) = (
            "has one value for each class of the target",
            "has one value for each class of the target, in the rows that have one",
        );
        assert_eq!(copies(&["x", "z", "x", "z"]), [whole]);
        assert_eq!(copies(&["", "z", "x", "z", "x", ""]), [part]);
        assert_eq!(copies(&["", "z", "x", "z"]), [part]);
        // That one class has no value is a value too.
        assert_eq!(copies(&["", "z", "", "z"]), [whole]);
        // Of few rows it may be chance, and what differs once is no copy.
        assert_eq!(copies(&["", "", "", "", "x", "z"]), Vec::<String>::new());
        assert_eq!(copies(&["", "z", "x", "z", "z", "z"]), Vec::<String>::new());
    }

    #[test]
    fn a_feature_that_numbers_the_rows_is_told() {
        let rows = |from: i32| (from..from + 15).map(|row| format!("{row},{},{row}\n", row / 2));
        let text = |from: i32| format!("rownames,b,y\n{}", rows(from).collect::<String>());
        let files = ["a.csv", "b.csv"].map(|name| SourceFile::bytes(name, text(1).as_bytes()));
        let dataset =
            Dataset::open(files.to_vec(), &ReadOptions::default(), Mixed::Refuse).expect("a data set");
        let features = ["rownames", "b"].map(str::to_owned);
        let found = scan_rows(&dataset, &query(SplitKind::Exact, true, &features)).expect("scanned");
        assert_eq!(found.numbered, ["rownames"]);
        let warnings = leakage(&found, &SplitAssignment::default()).warnings();
        let expected = "the feature `rownames` numbers the rows, one more from each to the next; drop it";
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{warnings:?}");
    }

    #[test]
    fn equal_rows_and_keys_on_both_sides_are_counted() {
        let features = ["a".to_owned()];
        let text = "k,t,a,y\n1,2014-01-01,5,0\n1,2014-01-02,5,0\n2,2014-01-03,6,1\n3,2014-01-04,6,1\n";
        let asked = RowQuery { by: Some("t"), key: Some("k"), ..query(SplitKind::Time, true, &features) };
        let found = scan(text, &asked).expect("scanned");
        assert!(found.keys.times.is_sorted());
        let split = SplitAssignment { train: vec![0, 2], validation: vec![1], test: vec![3] };
        let leakage = leakage(&found, &split);
        assert_eq!((leakage.equal_rows, leakage.equal_keys), (2, 1));
        assert_eq!(leakage.warnings().len(), 3, "a follows y as well");
    }

    #[test]
    fn more_rows_than_can_be_numbered_are_refused() {
        let files = vec![SourceFile::bytes("a.csv", &b"a,y\n1,0\n2,1\n"[..])];
        let mut dataset = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
        dataset.schema.rows = 1 << 32;
        let features = ["a".to_owned()];
        let error = scan_rows(&dataset, &query(SplitKind::Exact, true, &features)).expect_err("too many");
        assert!(error.to_string().contains("it has 4294967296 rows, and at most 4294967295"), "{error}");
    }

    #[test]
    fn a_row_without_a_key_is_named() {
        let features = ["a".to_owned()];
        let asked = RowQuery { key: Some("k"), ..query(SplitKind::Stable, true, &features) };
        let error = scan("k,a,y\n1,2,0\n,3,1\n", &asked).expect_err("no key").to_string();
        assert!(error.contains("the key column `k` has no value in data row 2"), "{error}");
        let asked = RowQuery { by: Some("a"), ..query(SplitKind::Time, true, &features) };
        let error = scan("a,y\nx,0\ny,1\n", &asked).expect_err("no time").to_string();
        assert!(error.contains("the time column `a` is string; declare"), "{error}");
    }
}
