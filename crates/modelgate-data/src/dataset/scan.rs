//! The rows of a data set, batch by batch: read in parallel, folded in their order.

use rayon::prelude::*;

use super::{Dataset, Member, ReadColumn};
use crate::batch::{Batch, Position, RowPlaces, read_column};
use crate::csv::blocks::{Block, Blocks, Declared};
use crate::csv::dialect::Dialect;
use crate::csv::fields::Fields;
use crate::error::DataError;
use crate::parquet;
use crate::source::{Format, SourceFile};

impl Dataset {
    /// Reads `columns` of all rows: `map` sees each batch, on any thread; `fold` takes what it made, in order.
    ///
    /// Values that are not of their type are left to the caller; [`Self::scan_strictly`] refuses them.
    ///
    /// # Errors
    /// Fails when a file cannot be read or was written to since the data set was opened, and when `map` or `fold` does.
    pub fn scan<T: Send, E: From<DataError> + Send>(
        &self,
        columns: &[ReadColumn],
        map: impl Fn(Batch) -> Result<T, E> + Sync,
        mut fold: impl FnMut(T, Position) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut position = Position::default();
        for (number, member) in self.members.iter().enumerate() {
            position.file = number;
            position.row_in_file = 0;
            let take = |(rows, made): (usize, T)| {
                fold(made, position)?;
                position.row_in_file += rows as u64;
                position.row += rows as u64;
                Ok(())
            };
            let scanned = match member.format {
                Format::Csv => {
                    let read = |block: &Block, dialect: Dialect| {
                        let fields = self.fields(block, dialect, member)?;
                        let column = |column: &ReadColumn| {
                            let at = member.positions[column.position];
                            read_column(&fields, at, &column.declared, self.range, self.nulls(column))
                        };
                        let columns = columns.iter().map(column).collect();
                        let rows = fields.rows();
                        map(Batch { rows, columns, places: RowPlaces::Lines(fields.lines()) })
                            .map(|made| (rows, made))
                    };
                    each_block(&member.file, self.declared, read, take)
                }
                Format::Parquet => self.scan_parquet(member, columns, &map, take),
            };
            member.file.unchanged_since(member.state, scanned)?;
        }
        Ok(())
    }

    /// As [`Self::scan`], and a value that is not of its type is an error.
    ///
    /// # Errors
    /// As [`Self::scan`]; names the value's place.
    pub fn scan_strictly<T: Send>(
        &self,
        columns: &[ReadColumn],
        map: impl Fn(&Batch) -> T + Sync,
        mut fold: impl FnMut(T, Position),
    ) -> Result<(), DataError> {
        self.scan(
            columns,
            |batch| Ok((map(&batch), self.bad_places(columns, &batch))),
            |(made, bad), position| {
                if let Some(bad) = bad {
                    return Err(self.bad_value(&bad, position));
                }
                fold(made, position);
                Ok(())
            },
        )
    }

    fn scan_parquet<T: Send, E: From<DataError> + Send>(
        &self,
        member: &Member,
        columns: &[ReadColumn],
        map: &(impl Fn(Batch) -> Result<T, E> + Sync),
        mut fold: impl FnMut((usize, T)) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut positions: Vec<usize> =
            columns.iter().map(|column| member.positions[column.position]).collect();
        positions.sort_unstable();
        positions.dedup();
        let is_written_out = |name: &str| self.writes_nested && self.nested.contains_key(name);
        let written_out: Vec<bool> =
            self.schema.columns.iter().map(|column| is_written_out(&column.name)).collect();
        let mut batches = parquet::open(&member.file, &positions)?;
        let group = rayon::current_num_threads() * 2;
        loop {
            let mut pending = Vec::with_capacity(group);
            while pending.len() < group {
                match batches.next()? {
                    Some(batch) => pending.push(batch),
                    None => break,
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
            let read = |batch: &arrow_array::RecordBatch| {
                let column = |column: &ReadColumn| {
                    let place = positions.partition_point(|place| *place < member.positions[column.position]);
                    let array = batch.column(place);
                    if written_out[column.position] {
                        return parquet::written_out(array);
                    }
                    parquet::read_column(array, &column.declared, self.range)
                };
                let columns = columns.iter().map(column).collect();
                let rows = batch.num_rows();
                map(Batch { rows, columns, places: RowPlaces::None }).map(|made| (rows, made))
            };
            let results: Vec<_> = pending.par_iter().map(read).collect();
            for result in results {
                fold(result?)?;
            }
        }
    }

    /// Returns the values of a block of a text file; words that are null are empty.
    pub(super) fn fields<'a>(
        &self,
        block: &'a Block,
        dialect: Dialect,
        member: &Member,
    ) -> Result<Fields<'a>, DataError> {
        Ok(Fields::new(block, dialect, member.width, &member.file.name)?.without(&self.null_words))
    }
}

/// Reads blocks and works on several at once, while the next ones are read; `fold` takes the results in order.
pub(super) fn each_block<T: Send, E: From<DataError> + Send>(
    file: &SourceFile,
    declared: Declared,
    map: impl Fn(&Block, Dialect) -> Result<T, E> + Sync,
    mut fold: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Blocks::open(file, declared)?;
    let dialect = reader.dialect;
    let group = rayon::current_num_threads() * 2;
    let read = |reader: &mut Blocks<'_>| {
        let mut blocks = Vec::with_capacity(group);
        while blocks.len() < group {
            match reader.next_block()? {
                Some(block) => blocks.push(block),
                None => break,
            }
        }
        Ok::<_, DataError>(blocks)
    };
    let mut pending = read(&mut reader)?;
    while !pending.is_empty() {
        let (next, results) = rayon::join(
            || read(&mut reader),
            || pending.par_iter().map(|block| map(block, dialect)).collect::<Vec<_>>(),
        );
        for result in results {
            fold(result?)?;
        }
        pending = next?;
    }
    Ok(())
}
