//! The rows that are here when a project file is written, or the first of them.

use std::path::Path;

use modelgate_data::{DataSchema, Dataset, Mixed, ReadOptions, Table, find_files, read_table};

/// Of data of more bytes, a beginning alone is read to write a project file.
const LARGEST: u64 = 32 << 20;

/// How long that beginning is.
const BEGINNING: u64 = 1 << 20;

/// Rows of the source.
pub(super) struct Rows {
    pub(super) schema: DataSchema,
    pub(super) table: Table,
    /// Whether there are no more of them.
    pub(super) are_all: bool,
}

/// Returns the rows, if they are there and readable.
pub(super) fn read(folder: &Path, source: &str) -> Option<Rows> {
    read_at_most(folder, source, LARGEST)
}

fn read_at_most(folder: &Path, source: &str, largest: u64) -> Option<Rows> {
    let mut files = find_files(folder, source).ok()?;
    let mut bytes = 0;
    for file in &files {
        bytes += fs_err::metadata(file.on_disk()?).ok()?.len();
    }
    let are_all = bytes <= largest;
    if !are_all {
        files = vec![files.first()?.first_lines(BEGINNING).ok()?];
    }
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::AsText).ok()?;
    let table = read_table(&dataset).ok()?;
    Some(Rows { schema: dataset.schema, table, are_all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_large_data_the_first_lines_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = (0..200_000).map(|row| format!("{row},0.5\n")).collect();
        fs_err::write(folder.path().join("data.csv"), format!("a,y\n{lines}")).expect("written");
        let rows = |largest| read_at_most(folder.path(), "data.csv", largest).expect("rows");
        let first = rows(1 << 20);
        assert!(!first.are_all && (50_000..150_000).contains(&first.table.rows), "{}", first.table.rows);
        assert_eq!(first.schema.names(), ["a", "y"]);
        assert!(rows(LARGEST).are_all);
        assert!(read(folder.path(), "other.csv").is_none());
    }
}
