//! Apache Parquet in, by the `parquet` crate: flat columns of numbers, text, bools, dates and moments.

mod kinds;
mod pages;
mod rounded;
mod written;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, FieldRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::batch::{BadCell, BadValue, BatchColumn, Cells, Nulls, NumberRange, Texts};
use crate::error::DataError;
pub(crate) use crate::parquet::kinds::Unread;
use crate::parquet::kinds::{as_views, column_type, of_values};
pub(crate) use crate::parquet::written::written_out;
use crate::source::{RandomAccess, SourceFile};
use crate::types::{ColumnType, DeclaredType};

/// Rows of a batch at most, and cells: of thousands of columns a batch would be most of a gigabyte.
const BATCH_ROWS: usize = 8192;
const BATCH_CELLS: usize = 1 << 20;

/// A column as the file declares it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ParquetColumn {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    /// Whether it holds whole numbers of 64 bits without a sign: [`ColumnType::Float`] when one is beyond those with a sign.
    pub(crate) is_unsigned: bool,
    /// What is lost on the way to that type.
    pub(crate) note: Option<String>,
    /// Why no value can be read of it, if so.
    pub(crate) unread: Option<Unread>,
}

/// What a file says of itself.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ParquetInfo {
    pub(crate) columns: Vec<ParquetColumn>,
    pub(crate) rows: u64,
}

fn damaged(file: &SourceFile, error: impl std::fmt::Display) -> DataError {
    file.error(format!("it is not a whole Parquet file: {error}"))
}

/// Returns what is said of a file compressed by what is not read here.
fn unread(codec: Compression) -> Option<String> {
    let name = match codec {
        Compression::BROTLI(_) => "Brotli",
        Compression::LZO => "LZO",
        _ => return None,
    };
    Some(format!(
        "it is compressed with {name}, which is not read here; write it with Snappy, Zstandard, gzip or LZ4"
    ))
}

/// Returns the place of a column that is not nested among those that hold values.
fn leaf(metadata: &ArrowReaderMetadata, at: usize) -> usize {
    let schema = metadata.parquet_schema();
    (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == at).unwrap_or(at)
}

/// Says that nanoseconds are cut, where the least or the greatest moment of some rows has any: pandas declares them for all
/// moments, and most have none.
fn has_nanoseconds(metadata: &ArrowReaderMetadata, at: usize, data_type: &DataType) -> Option<String> {
    let DataType::Timestamp(TimeUnit::Nanosecond, _) = data_type else { return None };
    let leaf = leaf(metadata, at);
    let is_cut = |group: &RowGroupMetaData| match group.column(leaf).statistics() {
        Some(Statistics::Int64(found)) => {
            found.min_opt().into_iter().chain(found.max_opt()).any(|nanos| nanos % 1000 != 0)
        }
        _ => false,
    };
    let groups = metadata.metadata().row_groups();
    groups.iter().any(is_cut).then(|| "of nanoseconds, cut to microseconds".to_owned())
}

/// Returns whether a column of unsigned numbers has one from 2^63 on, which no whole number of 64 bits with a sign holds.
fn is_beyond(file: &SourceFile, metadata: &ArrowReaderMetadata, at: usize) -> Result<bool, DataError> {
    let leaf = leaf(metadata, at);
    // Whichever order its writer put them in, as numbers with a sign none is below zero then.
    let is_below = |group: &RowGroupMetaData| match group.column(leaf).statistics() {
        Some(Statistics::Int64(found)) => {
            let known = |value: Option<&i64>| value.is_some_and(|value| *value >= 0);
            known(found.min_opt()) && known(found.max_opt())
        }
        _ => false,
    };
    if metadata.metadata().row_groups().iter().all(is_below) {
        return Ok(false);
    }
    let mut batches = open(file, &[at])?;
    while let Some(batch) = batches.next()? {
        let values = batch.column(0).as_primitive_opt::<UInt64Type>();
        if values.is_some_and(|values| values.iter().flatten().any(|value| i64::try_from(value).is_err())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads schema and number of rows.
pub(crate) fn info(file: &SourceFile) -> Result<ParquetInfo, DataError> {
    let metadata = match file.open_at_random()? {
        RandomAccess::Bytes(bytes) => ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::default()),
        RandomAccess::File(open) => ArrowReaderMetadata::load(&open, ArrowReaderOptions::default()),
    };
    let metadata = metadata.map_err(|error| damaged(file, error))?;
    let groups = metadata.metadata().row_groups().iter();
    let unread = groups.flat_map(RowGroupMetaData::columns).find_map(|column| unread(column.compression()));
    if let Some(message) = unread {
        return Err(file.error(message));
    }
    let column = |(at, field): (usize, &FieldRef)| {
        let name = field.name().clone();
        let is_unsigned = *of_values(field.data_type()) == DataType::UInt64;
        if is_unsigned && is_beyond(file, &metadata, at)? {
            let note =
                format!("{}: column `{name}` is uint64 with values from 2^63 on, read as float", file.name);
            let (column_type, note) = (ColumnType::Float, Some(note));
            return Ok(ParquetColumn { name, column_type, is_unsigned, note, unread: None });
        }
        let Some((column_type, note)) = column_type(field.data_type()) else {
            let (column_type, unread) = (ColumnType::String, Some(Unread::of(of_values(field.data_type()))));
            return Ok(ParquetColumn { name, column_type, is_unsigned, note: None, unread });
        };
        let note = note.or_else(|| has_nanoseconds(&metadata, at, field.data_type()));
        let note = note.map(|note| format!("{}: column `{name}` is {note}", file.name));
        Ok(ParquetColumn { name, column_type, is_unsigned, note, unread: None })
    };
    let columns =
        metadata.schema().fields().iter().enumerate().map(column).collect::<Result<_, DataError>>()?;
    let rows = metadata.metadata().file_metadata().num_rows().max(0) as u64;
    Ok(ParquetInfo { columns, rows })
}

/// Bytes of a text at most, as of a record of CSV.
const LONGEST_TEXT: u64 = 64 << 20;

/// Bytes of texts that a batch holds, about: some hundred rows, or one, where they are long.
const BATCH_TEXTS: u64 = 16 << 20;

/// How many times as many bytes as the file the texts of all rows may have, beside [`ALWAYS`]: a text that stands once in a
/// file can be that of a billion rows.
const MOST_TIMES: u64 = 1000;

/// Bytes that the texts of all rows may have in any case.
const ALWAYS: u64 = 1 << 30;

/// The rows of some columns, batch by batch.
pub(crate) struct Batches<'a> {
    file: &'a SourceFile,
    reader: ParquetRecordBatchReader,
    /// A batch of which rows are still to be given out, and from which on.
    rest: Option<(RecordBatch, usize)>,
    /// Rows that were given out.
    rows: u64,
    /// Bytes of texts that may still be given out.
    texts_left: u64,
}

/// Opens the columns at `positions` of a file, in the order of the file.
///
/// # Errors
/// Fails when the file cannot be read, or takes more memory than a file of rows has a reason to.
pub(crate) fn open<'a>(file: &'a SourceFile, positions: &[usize]) -> Result<Batches<'a>, DataError> {
    let reader = match file.open_at_random()? {
        RandomAccess::Bytes(bytes) => build(file, bytes, positions),
        RandomAccess::File(open) => build(file, open, positions),
    }?;
    let texts_left = file.size()?.saturating_mul(MOST_TIMES).saturating_add(ALWAYS);
    Ok(Batches { file, reader, rest: None, rows: 0, texts_left })
}

fn build<R: parquet::file::reader::ChunkReader + 'static>(
    file: &SourceFile,
    reader: R,
    positions: &[usize],
) -> Result<ParquetRecordBatchReader, DataError> {
    let wrong = |error| damaged(file, error);
    let own = ArrowReaderMetadata::load(&reader, ArrowReaderOptions::default()).map_err(wrong)?;
    let held = pages::held(&reader, own.metadata(), positions).map_err(wrong)?;
    if held > pages::MOST_HELD {
        return Err(file.error(format!(
            "its pages take {:.1} GiB of memory when they are unpacked, and {} GiB are read here; write it with smaller pages, \
             or drop the columns with long texts",
            held as f64 / f64::from(1 << 30),
            pages::MOST_HELD >> 30
        )));
    }
    let most = (BATCH_CELLS / positions.len().max(1)).clamp(256, BATCH_ROWS);
    let rows = pages::rows_at_a_time(&reader, own.metadata(), positions, most).map_err(wrong)?;
    let options = ArrowReaderOptions::default().with_schema(Arc::new(as_views(own.schema())));
    let viewed = ArrowReaderMetadata::try_new(Arc::clone(own.metadata()), options).map_err(wrong)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(reader, viewed);
    let mask = ProjectionMask::roots(builder.parquet_schema(), positions.iter().copied());
    builder.with_projection(mask).with_batch_size(rows).build().map_err(wrong)
}

impl Batches<'_> {
    /// Returns the next rows: some thousand, and fewer where their texts are long.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, DataError> {
        let (batch, from) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.reader.next().transpose() {
                Ok(Some(batch)) => (batch, 0),
                Ok(None) => return Ok(None),
                Err(error) => return Err(damaged(self.file, error)),
            },
        };
        let (rows, texts) = self.fitting(&batch, from)?;
        self.texts_left = self.texts_left.checked_sub(texts).ok_or_else(|| {
            self.file.error(format!(
                "the texts of its rows are more than {MOST_TIMES} times as long as the file; drop the columns with long texts"
            ))
        })?;
        self.rows += rows as u64;
        let part = if rows == batch.num_rows() { batch.clone() } else { batch.slice(from, rows) };
        if from + rows < batch.num_rows() {
            self.rest = Some((batch, from + rows));
        }
        Ok(Some(part))
    }

    /// Returns how many rows of a batch go together, counted from the row `from`, and the bytes of their texts.
    fn fitting(&self, batch: &RecordBatch, from: usize) -> Result<(usize, u64), DataError> {
        let columns = || batch.columns().iter().enumerate();
        let lengths = || columns().filter_map(|(at, column)| Some((at, lengths(column)?)));
        let all: u64 = lengths().flat_map(|(_, lengths)| lengths.skip(from)).sum();
        let left = batch.num_rows() - from;
        if all <= BATCH_TEXTS {
            return Ok((left, all));
        }
        let mut of_rows = vec![0; left];
        for (at, lengths) in lengths() {
            for (row, length) in lengths.skip(from).enumerate() {
                if length > LONGEST_TEXT {
                    return Err(self.file.error(format!(
                        "row {}, column `{}`: the text has {} bytes, and {} MiB are read at most; drop the column",
                        self.rows + row as u64 + 1,
                        batch.schema().field(at).name(),
                        length,
                        LONGEST_TEXT >> 20
                    )));
                }
                of_rows[row] += length;
            }
        }
        let (mut rows, mut sum) = (1, of_rows[0]);
        while let Some(length) = of_rows.get(rows).filter(|length| sum + **length <= BATCH_TEXTS) {
            sum += length;
            rows += 1;
        }
        Ok((rows, sum))
    }
}

/// Returns the bytes of each text of a column of texts.
fn lengths(column: &ArrayRef) -> Option<impl Iterator<Item = u64>> {
    let texts = column.as_string_view_opt()?;
    // The lower half of a view is how long its text is.
    Some(texts.views().iter().map(|view| u64::from(*view as u32)))
}

/// Reads an array by a type, which need not be its own: a contract or the project may declare another.
pub(crate) fn read_column(array: &dyn Array, declared: &DeclaredType, range: NumberRange) -> BatchColumn {
    let found = match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            Read::Bools(values.iter().map(|value| value.map(i64::from)).collect())
        }
        DataType::Int8 => ints::<Int8Type>(array, |value| Some(i64::from(value))),
        DataType::Int16 => ints::<Int16Type>(array, |value| Some(i64::from(value))),
        DataType::Int32 => ints::<Int32Type>(array, |value| Some(i64::from(value))),
        DataType::Int64 => ints::<Int64Type>(array, Some),
        DataType::UInt8 => ints::<UInt8Type>(array, |value| Some(i64::from(value))),
        DataType::UInt16 => ints::<UInt16Type>(array, |value| Some(i64::from(value))),
        DataType::UInt32 => ints::<UInt32Type>(array, |value| Some(i64::from(value))),
        DataType::UInt64 if matches!(declared.column_type, ColumnType::Float | ColumnType::Decimal) => {
            floats::<UInt64Type>(array, |value| value as f64, range)
        }
        DataType::UInt64 => ints::<UInt64Type>(array, |value| i64::try_from(value).ok()),
        DataType::Float16 => floats::<Float16Type>(array, f64::from, range),
        DataType::Float32 => floats::<Float32Type>(array, f64::from, range),
        DataType::Float64 => floats::<Float64Type>(array, |value| value, range),
        DataType::Decimal32(_, scale) => {
            let power = power(*scale);
            floats::<Decimal32Type>(array, move |value| f64::from(value) / power, range)
        }
        DataType::Decimal64(_, scale) => {
            let power = power(*scale);
            floats::<Decimal64Type>(array, move |value| value as f64 / power, range)
        }
        DataType::Decimal128(_, scale) => {
            let power = power(*scale);
            floats::<Decimal128Type>(array, move |value| value as f64 / power, range)
        }
        DataType::Decimal256(_, scale) => {
            let power = power(*scale);
            // Its text is what the standard library rounds once.
            let convert = move |value: <Decimal256Type as ArrowPrimitiveType>::Native| {
                value.to_string().parse::<f64>().unwrap_or(f64::NAN) / power
            };
            floats::<Decimal256Type>(array, convert, range)
        }
        DataType::Utf8View => texts(array.as_string_view().iter()),
        DataType::Date32 => times::<Date32Type>(array, |days| i64::from(days).checked_mul(86_400_000_000)),
        DataType::Date64 => times::<Date64Type>(array, |millis| millis.checked_mul(1000)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            times::<TimestampSecondType>(array, |seconds| seconds.checked_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            times::<TimestampMillisecondType>(array, |millis| millis.checked_mul(1000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => times::<TimestampMicrosecondType>(array, Some),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            times::<TimestampNanosecondType>(array, |nanos| Some(nanos.div_euclid(1000)))
        }
        // What `pandas` writes for a column without any value.
        DataType::Null => texts((0..array.len()).map(|_| None)),
        _ => Read::Nothing(array.len()),
    };
    found.convert(array, declared, range)
}

/// Returns what the digits of a decimal are divided by; the scale may be below zero.
fn power(scale: i8) -> f64 {
    10_f64.powi(i32::from(scale))
}

/// What an array held, before it is given the declared type.
enum Read {
    /// Values, and the rows whose value does not fit.
    Ints(Vec<Option<i64>>, Vec<usize>),
    Bools(Vec<Option<i64>>),
    Floats(Vec<f64>, Vec<usize>),
    Micros(Vec<Option<i64>>, Vec<usize>),
    Texts(Texts),
    Nothing(usize),
}

fn ints<T: ArrowPrimitiveType>(array: &dyn Array, convert: impl Fn(T::Native) -> Option<i64>) -> Read {
    let mut bad = Vec::new();
    let values = array.as_primitive::<T>().iter().enumerate().map(|(row, value)| {
        let found = value.and_then(&convert);
        if value.is_some() && found.is_none() {
            bad.push(row);
        }
        found
    });
    Read::Ints(values.collect(), bad)
}

fn floats<T: ArrowPrimitiveType>(
    array: &dyn Array,
    convert: impl Fn(T::Native) -> f64,
    range: NumberRange,
) -> Read {
    let mut bad = Vec::new();
    let values = array.as_primitive::<T>().iter().enumerate().map(|(row, value)| {
        let value = value.map_or(f64::NAN, &convert);
        if range == NumberRange::Models && (value as f32).is_infinite() {
            bad.push(row);
            return f64::NAN;
        }
        value
    });
    Read::Floats(values.collect(), bad)
}

/// Returns microseconds; a moment hundreds of thousands of years away has none.
fn times<T: ArrowPrimitiveType>(array: &dyn Array, convert: impl Fn(T::Native) -> Option<i64>) -> Read {
    match ints::<T>(array, convert) {
        Read::Ints(micros, bad) => Read::Micros(micros, bad),
        other => other,
    }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Read {
    let mut found = Texts::default();
    // An empty text is null in a CSV file; so it is here.
    values.for_each(|value| found.push(value.filter(|value| !value.is_empty())));
    Read::Texts(found)
}

impl Read {
    /// Gives the values the declared type; what does not fit is bad.
    fn convert(self, array: &dyn Array, declared: &DeclaredType, range: NumberRange) -> BatchColumn {
        let column_type = declared.column_type;
        let bad_rows = |rows: Vec<usize>, problem: BadValue| {
            let show = |row: usize| {
                arrow_cast::display::array_value_to_string(array, row)
                    .unwrap_or_else(|_| "a value".to_owned())
            };
            let kept = rows.iter().take(10);
            let bad =
                kept.map(|row| BadCell { row: *row, value: format!("`{}`", show(*row)), problem }).collect();
            (rows.len() as u64, bad)
        };
        let column = |cells: Cells, rows: Vec<usize>, problem: BadValue| {
            let (bad_count, bad) = bad_rows(rows, problem);
            let rounded = rounded::rounded(array, &cells);
            BatchColumn { cells, bad_count, bad, rounded }
        };
        let present = || (0..array.len()).filter(|row| !array.is_null(*row)).collect::<Vec<_>>();
        match (self, column_type) {
            (Self::Ints(values, bad), ColumnType::Int) => column(Cells::Int(values), bad, BadValue::Type),
            (Self::Bools(values), ColumnType::Bool | ColumnType::Int) => {
                column(Cells::Int(values), Vec::new(), BadValue::Type)
            }
            (Self::Ints(values, mut bad), ColumnType::Bool) => {
                bad.extend(
                    (0..values.len())
                        .filter(|row| values[*row].is_some_and(|value| !(0..=1).contains(&value))),
                );
                column(Cells::Int(values), bad, BadValue::Type)
            }
            (Self::Ints(values, bad), ColumnType::Float | ColumnType::Decimal) => {
                let floats =
                    values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect();
                column(Cells::Float(floats), bad, BadValue::Type)
            }
            (Self::Bools(values), ColumnType::Float) => {
                let floats =
                    values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect();
                column(Cells::Float(floats), Vec::new(), BadValue::Type)
            }
            (Self::Floats(values, bad), ColumnType::Float | ColumnType::Decimal) => {
                column(Cells::Float(values), bad, BadValue::Infinite)
            }
            (Self::Floats(values, mut bad), ColumnType::Int) => {
                // pandas keeps whole numbers with nulls as floats.
                let whole = |value: f64| value.fract() == 0.0 && value.abs() < 9e15;
                bad.extend((0..values.len()).filter(|row| !values[*row].is_nan() && !whole(values[*row])));
                let ints = values.iter().map(|value| whole(*value).then_some(*value as i64)).collect();
                column(Cells::Int(ints), bad, BadValue::Type)
            }
            (Self::Micros(values, bad), ColumnType::Timestamp) => {
                column(Cells::Int(values), bad, BadValue::Type)
            }
            (Self::Micros(values, bad), ColumnType::Date) => {
                let days = values.iter().map(|value| value.map(|micros| micros.div_euclid(86_400_000_000)));
                column(Cells::Int(days.collect()), bad, BadValue::Type)
            }
            (Self::Texts(values), ColumnType::String | ColumnType::Category) => {
                column(Cells::Text(values), Vec::new(), BadValue::Type)
            }
            (Self::Texts(values), _) => reparse(&values, declared, range),
            (Self::Nothing(rows), ColumnType::String | ColumnType::Category) => {
                let mut found = Texts::default();
                (0..rows).for_each(|_| found.push(None));
                column(Cells::Text(found), present(), BadValue::Type)
            }
            (_, ColumnType::String | ColumnType::Category) => {
                let mut found = Texts::default();
                for row in 0..array.len() {
                    let shown = arrow_cast::display::array_value_to_string(array, row).ok();
                    found.push(shown.as_deref().filter(|_| !array.is_null(row)));
                }
                column(Cells::Text(found), Vec::new(), BadValue::Type)
            }
            (Self::Nothing(rows), ColumnType::Float | ColumnType::Decimal) => {
                column(Cells::Float(vec![f64::NAN; rows]), present(), BadValue::Type)
            }
            _ => column(Cells::Int(vec![None; array.len()]), present(), BadValue::Type),
        }
    }
}

/// Reads text of a Parquet file by another declared type, as text of a CSV file is.
fn reparse(values: &Texts, declared: &DeclaredType, range: NumberRange) -> BatchColumn {
    let texts = values.iter().map(|value| value.unwrap_or_default().as_bytes());
    crate::batch::read_texts(texts, declared, range, Nulls::Words)
}

#[cfg(test)]
pub(crate) mod tests;
