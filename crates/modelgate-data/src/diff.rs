//! What changed between two versions of a data set: columns, rows by key, and values by column.
//!
//! Two hashes per row are kept, and more only of the rows that changed.

mod repeated;

use std::collections::{BTreeMap, HashMap, HashSet};

use repeated::{Repeated, Twice};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::dataset::{Dataset, ReadColumn};
use crate::error::{DataError, not_there};
use crate::rows::{hash_exactly, push_exactly};
use crate::split::RowHasher;
use crate::types::{ColumnType, DeclaredType};

/// Changed values shown of a column.
const SHOWN: usize = 5;

/// A column whose type changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retyped {
    /// The column.
    pub column: String,
    /// Its type before.
    pub before: ColumnType,
    /// Its type now.
    pub after: ColumnType,
}

/// A value that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedValue {
    /// The row's key.
    pub key: String,
    /// The value before.
    pub before: String,
    /// The value now.
    pub after: String,
}

/// What changed in a column, in rows that both versions have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedColumn {
    /// The column.
    pub column: String,
    /// The rows whose value changed.
    pub rows: u64,
    /// The first of them.
    pub examples: Vec<ChangedValue>,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DataDiff {
    /// The version of this form.
    pub schema_version: u32,
    /// The rows before.
    pub rows_before: u64,
    /// The rows now.
    pub rows_after: u64,
    /// Columns that are new.
    pub columns_added: Vec<String>,
    /// Columns that are gone.
    pub columns_removed: Vec<String>,
    /// Columns whose type changed.
    pub columns_retyped: Vec<Retyped>,
    /// The key that rows are known by; none when they are known by their content.
    pub key: Vec<String>,
    /// Rows that are new.
    pub rows_added: u64,
    /// Rows that are gone.
    pub rows_removed: u64,
    /// Rows with another content; 0 without a key, where such a row is one that is gone and one that is new.
    pub rows_changed: u64,
    /// What changed in each column, most first.
    pub changes: Vec<ChangedColumn>,
    /// What a person should know of how the two versions were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why rows are not known by the key that they usually are known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl DataDiff {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.columns_added.is_empty()
            && self.columns_removed.is_empty()
            && self.columns_retyped.is_empty()
            && self.rows_added + self.rows_removed + self.rows_changed == 0
    }

    /// Returns the lines for people.
    pub fn to_text(&self) -> String {
        let notes = self.notes.iter().map(|note| format!("note: {note}\n"));
        let note: String = self.note.iter().map(|note| format!("{note}\n")).chain(notes).collect();
        if self.is_empty() {
            return format!("{note}no difference in {} rows\n", self.rows_after);
        }
        let mut text = format!("{note}rows: {} before, {} now", self.rows_before, self.rows_after);
        text.push_str(&format!(" · {} added, {} removed", self.rows_added, self.rows_removed));
        if self.key.is_empty() {
            text.push_str(" (by content; with a unique `--key COLUMN` changes are found)\n");
        } else {
            text.push_str(&format!(", {} changed (by {})\n", self.rows_changed, self.key.join(", ")));
        }
        for column in &self.columns_added {
            text.push_str(&format!("+ column {column}\n"));
        }
        for column in &self.columns_removed {
            text.push_str(&format!("- column {column}\n"));
        }
        for retyped in &self.columns_retyped {
            text.push_str(&format!(
                "~ column {}: {} became {}\n",
                retyped.column, retyped.before, retyped.after
            ));
        }
        for change in &self.changes {
            text.push_str(&format!("~ {}: {} rows changed\n", change.column, change.rows));
            for example in &change.examples {
                text.push_str(&format!("    {}: {} → {}\n", example.key, example.before, example.after));
            }
        }
        text
    }
}

struct Side<'a> {
    dataset: &'a Dataset,
    /// The key's columns, then the others that both sides have.
    columns: Vec<ReadColumn>,
}

impl<'a> Side<'a> {
    /// Reads the columns `names` by the types that both sides can be read as; `texts` are those that are read to the letter.
    fn new(
        dataset: &'a Dataset,
        names: &[String],
        retyped: &[Retyped],
        texts: &HashSet<&str>,
    ) -> Result<Self, DataError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut columns = dataset.columns(&names)?;
        let retyped: HashMap<&str, &Retyped> = retyped.iter().map(|one| (one.column.as_str(), one)).collect();
        for (column, name) in columns.iter_mut().zip(&names) {
            if texts.contains(name) {
                column.declared = ColumnType::String.into();
            } else if let Some(retyped) = retyped.get(name) {
                let format = column.declared.format.take();
                let column_type = retyped.before.widened(retyped.after);
                let format = format.filter(|_| column_type.is_time());
                column.declared = DeclaredType { column_type, format };
            }
        }
        Ok(Self { dataset, columns })
    }

    /// Returns the hashes of key and content of each row.
    fn hashes(&self, key: usize) -> Result<Vec<(u64, u64)>, DataError> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let of_key = if key == 0 { &all[..] } else { &all[..key] };
        let mut found = Vec::new();
        self.dataset.scan_strictly(
            &self.columns,
            |batch| {
                let keys = hash_exactly(batch, of_key);
                keys.into_iter().zip(hash_exactly(batch, &all)).collect::<Vec<_>>()
            },
            |hashes, _| found.extend(hashes),
        )?;
        Ok(found)
    }

    /// Calls `see` for each row whose key is one of `wanted`, in the order of the file.
    fn each(
        &self,
        key: usize,
        wanted: &HashSet<u64>,
        mut see: impl FnMut(u64, &Batch, usize),
    ) -> Result<(), DataError> {
        let of_key: Vec<usize> = (0..key).collect();
        self.dataset.scan_strictly(
            &self.columns,
            |batch| {
                let keys = hash_exactly(batch, &of_key);
                let rows = keys.into_iter().enumerate().filter(|(_, key)| wanted.contains(key));
                let rows: Vec<(usize, u64)> = rows.collect();
                (!rows.is_empty()).then(|| (batch.clone(), rows))
            },
            |found, _| {
                if let Some((batch, rows)) = found {
                    rows.iter().for_each(|(row, key)| see(*key, &batch, *row));
                }
            },
        )
    }

    /// Returns where the first key stands that stands again; `hashes` are those of all rows, sorted.
    fn first_twice(&self, key: &[String], hashes: &[(u64, u64)]) -> Result<Option<Twice>, DataError> {
        let twice: HashSet<u64> =
            hashes.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0).collect();
        let of_key: Vec<usize> = (0..key.len()).collect();
        let files = self.dataset.files();
        let mut seen: HashMap<u64, String> = HashMap::new();
        let mut found = None;
        self.dataset.scan_strictly(
            &self.columns[..key.len()],
            |batch| {
                let hashes = hash_exactly(batch, &of_key);
                let rows = hashes.into_iter().enumerate().filter(|(_, hash)| twice.contains(hash));
                let row = |(row, hash): (usize, u64)| {
                    let shown: Vec<String> = of_key.iter().map(|part| self.show(batch, row, *part)).collect();
                    (row, hash, batch.line(row), shown.join(", "))
                };
                rows.map(row).collect::<Vec<_>>()
            },
            |rows, position| {
                for (row, hash, line, shown) in rows {
                    let place = match line {
                        Some(line) => format!("line {line}"),
                        None => format!("row {}", position.row_in_file + row as u64 + 1),
                    };
                    let place =
                        if files.len() == 1 { place } else { format!("{place} of {}", files[position.file]) };
                    match seen.get(&hash) {
                        Some(first) if found.is_none() => {
                            let key = format!("{} = {shown}", key.join(", "));
                            found = Some(Twice { key, places: format!("{first} and {place}") });
                        }
                        _ => drop(seen.insert(hash, place)),
                    }
                }
            },
        )?;
        Ok(found)
    }

    fn show(&self, batch: &Batch, row: usize, column: usize) -> String {
        batch.columns[column].show(row, self.columns[column].declared.column_type)
    }
}

/// Compares two versions of a data set; rows are known by `key`, or by their content when it is empty.
///
/// # Errors
/// Fails when a column of the key is missing, or when two rows of one side have the same key.
pub fn diff(before: &Dataset, after: &Dataset, key: &[String]) -> Result<DataDiff, DataError> {
    by_key(before, after, key)?.map_err(Repeated::into_error)
}

/// Compares as [`diff`] does by a key that nobody has asked for just now: where it repeats, rows are known by their content,
/// and a note says so.
///
/// # Errors
/// Fails when a column of the key is missing.
pub fn diff_by_usual(before: &Dataset, after: &Dataset, key: &[String]) -> Result<DataDiff, DataError> {
    match by_key(before, after, key)? {
        Ok(found) => Ok(found),
        Err(repeated) => Ok(DataDiff { note: Some(repeated.note(key)), ..diff(before, after, &[])? }),
    }
}

/// Compares as asked, or tells of the key that repeats.
fn by_key(
    before: &Dataset,
    after: &Dataset,
    key: &[String],
) -> Result<Result<DataDiff, Repeated>, DataError> {
    let (old, new) = (before.schema.names(), after.schema.names());
    for (dataset, names) in [(before, &old), (after, &new)] {
        if let Some(missing) = key.iter().find(|name| !names.contains(&name.as_str())) {
            let message = not_there("the key column", missing, names);
            return Err(DataError::File { source_name: dataset.files()[0].to_owned(), message });
        }
    }
    // Looked up by name: a side may have a hundred thousand columns.
    let (old_places, new_places) = (before.schema.places(), after.schema.places());
    let owned = |names: Vec<&&str>| names.into_iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let shared = owned(
        old.iter()
            .filter(|name| new_places.contains_key(*name) && !key.iter().any(|key| key == *name))
            .collect(),
    );
    let names: Vec<String> = key.iter().cloned().chain(shared.iter().cloned()).collect();
    let type_of = |dataset: &Dataset, at: &usize| dataset.schema.columns[*at].declared.column_type;
    let retyped = names.iter().filter_map(|name| {
        let name = name.as_str();
        let (before, after) = (type_of(before, old_places.get(name)?), type_of(after, new_places.get(name)?));
        (before != after).then(|| Retyped { column: name.to_owned(), before, after })
    });
    let mut found = DataDiff {
        schema_version: 1,
        rows_before: before.schema.rows,
        rows_after: after.schema.rows,
        columns_added: owned(new.iter().filter(|name| !old_places.contains_key(*name)).collect()),
        columns_removed: owned(old.iter().filter(|name| !new_places.contains_key(*name)).collect()),
        columns_retyped: retyped.collect(),
        key: key.to_vec(),
        rows_added: 0,
        rows_removed: 0,
        rows_changed: 0,
        changes: Vec::new(),
        notes: before.schema.notes.clone(),
        note: None,
    };
    let new_notes = after.schema.notes.iter().filter(|note| !before.schema.notes.contains(note));
    found.notes.extend(new_notes.cloned());
    let retyped = &found.columns_retyped;
    // `01000` is a zip code and no thousand, unless it is declared as a number.
    let columns = before.schema.columns.iter().chain(&after.schema.columns);
    let texts = columns.filter(|column| column.loses_zeros).map(|column| column.name.as_str()).collect();
    let (old, new) =
        (Side::new(before, &names, retyped, &texts)?, Side::new(after, &names, retyped, &texts)?);
    let mut sides = [Vec::new(), Vec::new()];
    for (side, sorted) in [&old, &new].into_iter().zip(&mut sides) {
        *sorted = side.hashes(key.len())?;
        sorted.sort_unstable();
        let twice = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
        if !key.is_empty() && twice > 0 {
            let source_name = side.dataset.files()[0].to_owned();
            let first = side.first_twice(key, sorted)?;
            return Ok(Err(Repeated { source_name, rows: twice, first }));
        }
    }
    let [one, other] = sides;
    let mut changed = HashSet::new();
    let (mut left, mut right) = (0, 0);
    while left < one.len() || right < other.len() {
        match (one.get(left), other.get(right)) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                if a.1 != b.1 {
                    changed.insert(a.0);
                }
                left += 1;
                right += 1;
            }
            (Some(a), Some(b)) if a.0 < b.0 => {
                found.rows_removed += 1;
                left += 1;
            }
            (_, Some(_)) => {
                found.rows_added += 1;
                right += 1;
            }
            (_, None) => {
                found.rows_removed += 1;
                left += 1;
            }
        }
    }
    found.rows_changed = changed.len() as u64;
    if !changed.is_empty() {
        found.changes = changes(&old, &new, key.len(), &names, &changed)?;
    }
    Ok(Ok(found))
}

fn cells(batch: &Batch, row: usize, columns: std::ops::Range<usize>) -> Vec<u64> {
    let mut bytes = Vec::new();
    let hash = |column: usize| {
        bytes.clear();
        push_exactly(&mut bytes, &batch.columns[column], row);
        RowHasher::finish(&bytes)
    };
    columns.map(hash).collect()
}

fn changes(
    old: &Side<'_>,
    new: &Side<'_>,
    key: usize,
    names: &[String],
    changed: &HashSet<u64>,
) -> Result<Vec<ChangedColumn>, DataError> {
    let values = key..names.len();
    let mut before: HashMap<u64, Vec<u64>> = HashMap::with_capacity(changed.len());
    old.each(key, changed, |hash, batch, row| {
        before.insert(hash, cells(batch, row, values.clone()));
    })?;
    let mut counts = vec![0_u64; names.len()];
    let mut examples: Vec<Vec<(u64, ChangedValue)>> = vec![Vec::new(); names.len()];
    new.each(key, changed, |hash, batch, row| {
        let Some(old_cells) = before.get(&hash) else { return };
        for (place, new_cell) in cells(batch, row, values.clone()).into_iter().enumerate() {
            let column = key + place;
            if old_cells[place] == new_cell {
                continue;
            }
            counts[column] += 1;
            if examples[column].len() < SHOWN {
                let shown: Vec<String> = (0..key).map(|part| new.show(batch, row, part)).collect();
                let after = new.show(batch, row, column);
                examples[column]
                    .push((hash, ChangedValue { key: shown.join(", "), before: String::new(), after }));
            }
        }
    })?;
    let shown: HashSet<u64> = examples.iter().flatten().map(|(hash, _)| *hash).collect();
    old.each(key, &shown, |hash, batch, row| {
        for (column, examples) in examples.iter_mut().enumerate() {
            for (_, example) in examples.iter_mut().filter(|(other, _)| *other == hash) {
                example.before = old.show(batch, row, column);
            }
        }
    })?;
    let all: BTreeMap<usize, u64> = counts.into_iter().enumerate().filter(|(_, count)| *count > 0).collect();
    let mut found: Vec<ChangedColumn> = all
        .into_iter()
        .map(|(column, rows)| ChangedColumn {
            column: names[column].clone(),
            rows,
            examples: std::mem::take(&mut examples[column]).into_iter().map(|(_, example)| example).collect(),
        })
        .collect();
    found.sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.column.cmp(&other.column)));
    Ok(found)
}

#[cfg(test)]
mod tests;
