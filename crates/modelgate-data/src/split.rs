//! Rows to parts: by a hash of what a row is, so that the order of the file does not matter and equal rows
//! never stand on both sides.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::table::{Table, Values};
use crate::target::Target;

/// How rows are assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitKind {
    /// By rank of the hash inside a class: exact shares.
    Exact,
    /// By a threshold on the hash: adding rows moves no old row.
    Stable,
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
    /// Whether `exact` ranks inside each class; no meaning for `stable` and for regression.
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

/// Returns the hash of each row: of its key, or of its content with type and length of each value.
///
/// # Errors
/// Fails when the key column is not there or has no value in a row.
pub fn identities(table: &Table, key: Option<&str>, seed: u64) -> Result<Vec<u64>, DataError> {
    let columns: Vec<&crate::Column> = match key {
        None => table.columns.iter().collect(),
        Some(key) => {
            let column = table.column(key);
            let column =
                column.ok_or_else(|| DataError::Split(format!("the key column `{key}` is not there")))?;
            if let Some(row) = (0..table.rows).find(|row| column.is_null(*row)) {
                return Err(DataError::Split(format!(
                    "the key column `{key}` has no value in data row {}",
                    row + 1
                )));
            }
            vec![column]
        }
    };
    let mut bytes = Vec::new();
    let hash = |row: usize| {
        bytes.clear();
        bytes.extend_from_slice(&seed.to_le_bytes());
        for column in &columns {
            match &column.values {
                _ if column.is_null(row) => bytes.push(0),
                Values::Text(values) => {
                    let value = values[row].as_deref().unwrap_or_default();
                    bytes.push(1);
                    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(value.as_bytes());
                }
                // A column of whole numbers stays the same when one row gives it a fraction.
                _ => {
                    bytes.push(2);
                    bytes.extend_from_slice(&(column.number(row).unwrap_or_default() + 0.0).to_le_bytes());
                }
            }
        }
        let digest = Digest::of(&bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_be_bytes(first)
    };
    Ok((0..table.rows).map(hash).collect())
}

/// Assigns each row to a part.
///
/// # Errors
/// Fails when a part that has a share stays empty, or when a class is missing from one.
pub fn split(
    table: &Table,
    key: Option<&str>,
    target: &Target,
    spec: &SplitSpec,
) -> Result<SplitAssignment, DataError> {
    let hashes = identities(table, key, spec.seed)?;
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    match spec.kind {
        SplitKind::Stable => {
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
        SplitKind::Exact => exact(&hashes, target, spec, &mut parts),
    }
    let [mut train, mut validation, mut test] = parts;
    for part in [&mut train, &mut validation, &mut test] {
        part.sort_unstable();
    }
    let assignment = SplitAssignment { train, validation, test };
    check(&assignment, target, spec)?;
    Ok(assignment)
}

/// Ranks groups of equal rows by hash inside each class, and gives each part its share of the class.
fn exact(hashes: &[u64], target: &Target, spec: &SplitSpec, parts: &mut [Vec<u32>; 3]) {
    let class = |row: usize| match target {
        Target::Classes { labels, .. } if spec.stratify => labels[row],
        _ => 0,
    };
    // Equal rows share a hash; where they differ in class (a key with two targets), the first row's class counts.
    let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (row, hash) in hashes.iter().enumerate() {
        groups.entry(*hash).or_default().push(row as u32);
    }
    let mut strata: BTreeMap<u32, Vec<Vec<u32>>> = BTreeMap::new();
    for group in groups.into_values() {
        strata.entry(class(group[0] as usize)).or_default().push(group);
    }
    let shares = [spec.train, spec.validation, spec.test];
    for groups in strata.into_values() {
        let rows: usize = groups.iter().map(Vec::len).sum();
        let mut wanted = largest_remainder(rows, shares);
        for group in groups {
            // Whole groups go to the first part with room for them, else to the one with most room.
            let fits = (0..3).find(|part| wanted[*part] >= group.len() as i64);
            let part =
                fits.unwrap_or_else(|| (0..3).max_by_key(|part| (wanted[*part], 2 - *part)).unwrap_or(0));
            wanted[part] -= group.len() as i64;
            parts[part].extend(group);
        }
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

fn check(assignment: &SplitAssignment, target: &Target, spec: &SplitSpec) -> Result<(), DataError> {
    let parts = [
        ("train", &assignment.train, spec.train),
        ("validation", &assignment.validation, spec.validation),
        ("test", &assignment.test, spec.test),
    ];
    for (name, rows, share) in parts {
        if share > 0.0 && rows.is_empty() {
            return Err(DataError::Split(format!("{name} gets no row of {}; add rows", target_len(target))));
        }
        if let (Target::Classes { labels, classes }, true) = (target, share > 0.0) {
            let mut counts = vec![0_usize; classes.len()];
            for row in rows {
                counts[labels[*row as usize] as usize] += 1;
            }
            if let Some(class) = counts.iter().position(|count| *count == 0) {
                let total = labels.iter().filter(|label| **label as usize == class).count();
                let message = format!(
                    "class `{}` ({total} rows in all) has no row in {name}; add rows of this class, use `stratify: true` \
                     with `kind: exact`, or remove the class",
                    classes.names()[class]
                );
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
