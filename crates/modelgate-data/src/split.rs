//! Rows to parts: by a hash of what a row is, by time, or by group.
//!
//! The order of the file does not matter, and equal rows never stand on both sides. Only a hash, a class and a
//! moment per row are kept, so that a split needs little memory however wide the data is: see [`RowKeys`].

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::Digest;
use modelgate_core::schema::Classes;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::table::{Column, Table, Values};
use crate::target::Target;

/// More classes that are whole numbers may be numbers.
const FEW_CLASSES: usize = 5;

/// How rows are assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitKind {
    /// By rank of the hash inside a class: exact shares.
    Exact,
    /// By a threshold on the hash: adding rows moves no old row.
    Stable,
    /// By a moment: the oldest rows train, the newest test; rows of one moment stay together.
    Time,
    /// By a column: all rows with the same value stay together, shares as near as that allows.
    Group,
}

impl SplitKind {
    /// Returns the name as the project file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Stable => "stable",
            Self::Time => "time",
            Self::Group => "group",
        }
    }
}

/// What a split is to be like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SplitSpec {
    /// How rows are assigned.
    pub kind: SplitKind,
    /// Share of training rows.
    pub train: f64,
    /// Share of validation rows.
    pub validation: f64,
    /// Share of test rows.
    pub test: f64,
    /// Whether `exact` ranks inside each class; no meaning for the other kinds and for regression.
    pub stratify: bool,
    /// Mixed into the hash.
    pub seed: u64,
}

/// The row numbers of each part, sorted, from 0.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SplitAssignment {
    /// Rows to train on.
    pub train: Vec<u32>,
    /// Rows to decide by.
    pub validation: Vec<u32>,
    /// Rows for the final figure.
    pub test: Vec<u32>,
}

/// What a split knows of the rows; one value per row each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowKeys {
    /// The hash of what stays together: of the key, of the group, or of the row's content.
    pub identities: Vec<u64>,
    /// The moments, for [`SplitKind::Time`]; empty otherwise.
    pub times: Vec<i64>,
}

/// Returns the hash of each row: of its key, or of its content with type and length of each value.
///
/// # Errors
/// Fails when the key column is not there or has no value in a row.
pub fn identities(table: &Table, key: Option<&str>, seed: u64) -> Result<Vec<u64>, DataError> {
    let Some(name) = key else {
        return Ok(hash_rows(table, &table.columns.iter().collect::<Vec<_>>(), seed));
    };
    let column = table.column(name);
    let column = column.ok_or_else(|| DataError::Split(format!("the key column `{name}` is not there")))?;
    match (0..table.rows).find(|row| column.is_null(*row)) {
        Some(row) => Err(without_value("key", name, row as u64)),
        None => Ok(hash_rows(table, &[column], seed)),
    }
}

/// Hashes rows: of some columns, with type and length of each value.
#[derive(Clone, Copy, Debug)]
pub struct RowHasher {
    seed: u64,
}

impl RowHasher {
    /// Returns a hasher whose hashes are others for another seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Begins a row.
    pub(crate) fn begin(self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(&self.seed.to_le_bytes());
    }

    /// Returns the hash of the bytes of a row.
    pub(crate) fn finish(bytes: &[u8]) -> u64 {
        let digest = Digest::of(bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_be_bytes(first)
    }
}

pub(crate) fn push_null(bytes: &mut Vec<u8>) {
    bytes.push(0);
}

pub(crate) fn push_text(bytes: &mut Vec<u8>, value: &str) {
    bytes.push(1);
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value.as_bytes());
}

/// Whole numbers that a double holds hash as that double, so that a column of whole numbers stays the same when one
/// row gives it a fraction; larger ones as themselves, since a double would take some of them for the same.
pub(crate) fn push_int(bytes: &mut Vec<u8>, value: i64) {
    if value.unsigned_abs() <= 1 << 53 {
        push_float(bytes, value as f64);
    } else {
        bytes.push(3);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

pub(crate) fn push_float(bytes: &mut Vec<u8>, value: f64) {
    bytes.push(2);
    // Minus zero equals zero.
    bytes.extend_from_slice(&(value + 0.0).to_le_bytes());
}

/// Returns the hash of each row over `columns`.
pub fn hash_rows(table: &Table, columns: &[&Column], seed: u64) -> Vec<u64> {
    let hasher = RowHasher::new(seed);
    let mut bytes = Vec::new();
    let hash = |row: usize| {
        hasher.begin(&mut bytes);
        for column in columns {
            match &column.values {
                Values::Int(values) => match values.get(row).copied().flatten() {
                    Some(value) => push_int(&mut bytes, value),
                    None => push_null(&mut bytes),
                },
                Values::Float(values) => match values.get(row).copied().flatten() {
                    Some(value) => push_float(&mut bytes, value),
                    None => push_null(&mut bytes),
                },
                Values::Text(values) => match values.get(row).and_then(Option::as_deref) {
                    Some(value) => push_text(&mut bytes, value),
                    None => push_null(&mut bytes),
                },
            }
        }
        RowHasher::finish(&bytes)
    };
    (0..table.rows).map(hash).collect()
}

/// Returns the error for a row without a value in a column that decides its part.
pub(crate) fn without_value(what: &str, column: &str, row: u64) -> DataError {
    DataError::Split(format!("the {what} column `{column}` has no value in data row {}", row + 1))
}

/// Assigns each row of a table to a part; `column` is the key, or what a `group` or `time` split goes by.
///
/// # Errors
/// As [`assign`]; and when the column is missing or has nulls.
pub fn split(
    table: &Table,
    column: Option<&str>,
    target: &Target,
    spec: &SplitSpec,
) -> Result<SplitAssignment, DataError> {
    let mut keys = RowKeys::default();
    let what = match spec.kind {
        SplitKind::Time => "time",
        SplitKind::Group => "group",
        _ => "key",
    };
    let found = column.map(|name| {
        let column = table.column(name);
        let column =
            column.ok_or_else(|| DataError::Split(format!("the {what} column `{name}` is not there")))?;
        match (0..table.rows).find(|row| column.is_null(*row)) {
            Some(row) => Err(without_value(what, name, row as u64)),
            None => Ok(column),
        }
    });
    match (spec.kind, found.transpose()?) {
        (SplitKind::Time, Some(Column { values: Values::Int(values), .. })) => {
            keys.times = values.iter().flatten().copied().collect();
        }
        (_, Some(column)) => keys.identities = hash_rows(table, &[column], spec.seed),
        (_, None) => {
            keys.identities = hash_rows(table, &table.columns.iter().collect::<Vec<_>>(), spec.seed);
        }
    }
    assign(&keys, target, spec)
}

/// Assigns each row to a part.
///
/// # Errors
/// Fails when shares are not shares, when there is nothing to go by, when a part that has a share stays empty, and
/// when a class is missing from one.
pub fn assign(keys: &RowKeys, target: &Target, spec: &SplitSpec) -> Result<SplitAssignment, DataError> {
    let shares = [spec.train, spec.validation, spec.test];
    let sum: f64 = shares.iter().sum();
    if !shares.iter().all(|share| (0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-9 {
        let message = format!("the shares {shares:?} are not from 0 to 1 with the sum 1");
        return Err(DataError::Split(message));
    }
    let rows = target_len(target);
    let by_time = spec.kind == SplitKind::Time;
    if (if by_time { keys.times.len() } else { keys.identities.len() }) != rows {
        let what = if by_time { "a date or timestamp column" } else { "something to go by" };
        return Err(DataError::Split(format!("a `{}` split needs {what} for each row", spec.kind.as_str())));
    }
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    match spec.kind {
        SplitKind::Stable => stable(&keys.identities, spec, &mut parts),
        SplitKind::Exact => exact(&keys.identities, target, spec.stratify, shares, &mut parts),
        SplitKind::Group => groups::assign(&keys.identities, target, shares, &mut parts),
        SplitKind::Time => time(&keys.times, shares, &mut parts),
    }
    let [mut train, mut validation, mut test] = parts;
    for part in [&mut train, &mut validation, &mut test] {
        part.sort_unstable();
    }
    let assignment = SplitAssignment { train, validation, test };
    check(&assignment, keys, target, spec)?;
    Ok(assignment)
}

fn stable(hashes: &[u64], spec: &SplitSpec, parts: &mut [Vec<u32>; 3]) {
    let limits = [spec.train, spec.train + spec.validation];
    for (row, hash) in hashes.iter().enumerate() {
        // 53 bits are exact in a double.
        let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        parts[limits.iter().filter(|limit| place >= **limit).count().min(2)].push(row as u32);
    }
    if spec.test == 0.0 {
        let rest = std::mem::take(&mut parts[2]);
        parts[usize::from(spec.validation > 0.0)].extend(rest);
    }
}

/// Ranks groups of equal rows by hash inside each class, and gives each part its share of the class.
fn exact(hashes: &[u64], target: &Target, stratify: bool, shares: [f64; 3], parts: &mut [Vec<u32>; 3]) {
    let class = |row: u32| match target {
        Target::Classes { labels, .. } if stratify => labels[row as usize],
        _ => 0,
    };
    let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (row, hash) in hashes.iter().enumerate() {
        groups.entry(*hash).or_default().push(row as u32);
    }
    let mut strata: BTreeMap<u32, Vec<Vec<u32>>> = BTreeMap::new();
    for group in groups.into_values() {
        // Where rows of one key differ in class, the most frequent one counts, the first of several: not the order of
        // the file.
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        group.iter().for_each(|row| *counts.entry(class(*row)).or_default() += 1);
        let most = counts.iter().fold(
            (0, 0),
            |best, (class, count)| {
                if *count > best.1 { (*class, *count) } else { best }
            },
        );
        strata.entry(most.0).or_default().push(group);
    }
    for groups in strata.into_values() {
        let rows: usize = groups.iter().map(Vec::len).sum();
        let mut wanted = largest_remainder(rows, shares);
        for group in groups {
            // Whole groups go to the first part with room for them, else to the one with most room.
            let fits = (0..3).find(|part| wanted[*part] >= group.len() as i64);
            let part = fits.unwrap_or_else(|| {
                let open = (0..3).filter(|part| shares[*part] > 0.0);
                open.max_by_key(|part| (wanted[*part], 2 - *part)).unwrap_or(0)
            });
            wanted[part] -= group.len() as i64;
            parts[part].extend(group);
        }
    }
}

/// Cuts the rows, ordered by time, where the shares say; a cut never divides rows of one moment.
fn time(times: &[i64], shares: [f64; 3], parts: &mut [Vec<u32>; 3]) {
    let mut moments: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, time) in times.iter().enumerate() {
        moments.entry(*time).or_default().push(row as u32);
    }
    let rows = times.len() as f64;
    let limits = [shares[0] * rows, (shares[0] + shares[1]) * rows];
    let mut before = 0.0;
    for group in moments.into_values() {
        // A moment goes where its middle row belongs.
        let middle = before + group.len() as f64 / 2.0;
        before += group.len() as f64;
        let part = limits.iter().filter(|limit| middle > **limit).count();
        let part = (0..=part).rev().find(|part| shares[*part] > 0.0).unwrap_or(0);
        parts[part].extend(group);
    }
}

/// Returns whole numbers that sum to `rows` and are nearest to the shares.
fn largest_remainder(rows: usize, shares: [f64; 3]) -> [i64; 3] {
    let exact = shares.map(|share| share * rows as f64);
    let mut counts = exact.map(|value| value.floor() as i64);
    let mut order = [0, 1, 2];
    order.sort_by(|one, other| exact[*other].fract().total_cmp(&exact[*one].fract()));
    let missing = rows as i64 - counts.iter().sum::<i64>();
    for part in order.into_iter().cycle().take(missing.max(0) as usize) {
        counts[part] += 1;
    }
    counts
}

/// Returns how many different values there are of what rows stay together by, among `rows`.
fn different(keys: &RowKeys, kind: SplitKind, rows: impl Iterator<Item = usize>) -> usize {
    if kind == SplitKind::Time {
        rows.filter_map(|row| keys.times.get(row)).collect::<BTreeSet<_>>().len()
    } else {
        rows.filter_map(|row| keys.identities.get(row)).collect::<BTreeSet<_>>().len()
    }
}

fn check(
    assignment: &SplitAssignment,
    keys: &RowKeys,
    target: &Target,
    spec: &SplitSpec,
) -> Result<(), DataError> {
    let parts = [
        ("train", &assignment.train, spec.train),
        ("validation", &assignment.validation, spec.validation),
        ("test", &assignment.test, spec.test),
    ];
    for (name, rows, share) in parts {
        if share > 0.0 && rows.is_empty() {
            let rows = target_len(target);
            let found = different(keys, spec.kind, 0..rows);
            let are = |what: &str| match found {
                1 => format!("there is 1 different {what}"),
                _ => format!("there are {found} different {what}s"),
            };
            let what = match spec.kind {
                SplitKind::Group => format!("{}, and a group stays together: add groups", are("group")),
                SplitKind::Time => {
                    format!("{}, and rows of one moment stay together: add moments", are("moment"))
                }
                _ if found < rows => {
                    let what = are("row");
                    format!(
                        "{what} (by `data.key`, or else by all columns), and equal rows stay together: add rows \
                         that differ"
                    )
                }
                _ => "add rows".to_owned(),
            };
            return Err(DataError::Split(format!("{name} gets no row of {rows}; {what}")));
        }
        if let (Target::Classes { labels, classes }, true) = (target, share > 0.0) {
            let mut counts = vec![0_usize; classes.len()];
            for row in rows {
                counts[labels[*row as usize] as usize] += 1;
            }
            if let Some(class) = counts.iter().position(|count| *count == 0) {
                let of_class = || (0..labels.len()).filter(|row| labels[*row] as usize == class);
                let total = of_class().count();
                // Equal rows stay together, whatever the shares.
                let found = different(keys, spec.kind, of_class());
                let equal = match spec.kind {
                    SplitKind::Group if found == 1 => ", in 1 group".to_owned(),
                    SplitKind::Group => format!(", in {found} groups"),
                    SplitKind::Time => String::new(),
                    _ if found == total => String::new(),
                    _ => format!(", {found} of them different"),
                };
                let advice = match spec.kind {
                    SplitKind::Group => "groups stay together: add groups with rows of this class",
                    SplitKind::Time => "add rows of this class from that time",
                    SplitKind::Exact if spec.stratify => "add rows of this class",
                    _ => "add rows of this class, use `stratify: true` with `kind: exact`",
                };
                let message = format!(
                    "class `{}` ({total} rows in all{equal}) has no row in {name}; {advice}, or remove the class",
                    classes.names()[class]
                );
                let hint = match classes {
                    Classes::Int(all) if all.len() > FEW_CLASSES => {
                        "; if these are numbers to predict and no classes, use `task: regression`"
                    }
                    _ => "",
                };
                let message = format!("{message}{hint}");
                return Err(DataError::Split(message));
            }
        }
    }
    Ok(())
}

fn target_len(target: &Target) -> usize {
    match target {
        Target::Classes { labels, .. } => labels.len(),
        Target::Values(values) => values.len(),
    }
}

#[cfg(test)]
mod tests;
