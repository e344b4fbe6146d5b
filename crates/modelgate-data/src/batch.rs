//! Some thousand rows at a time: what streams from a file to whoever looks at every row.

use std::borrow::Cow;

use crate::csv::fields::Fields;
use crate::error::clipped;
use crate::exact;
use crate::time;
use crate::types::{ColumnType, DeclaredType, is_null, parse_bool, parse_float, parse_int, show_int, trim};

/// Letters of a date with seventh digits of a second, at least.
const LONGEST_MICROS: usize = 20;

/// Values that are not of their type are kept up to this number.
const KEPT: usize = 10;

/// The text of the rows; one buffer for all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Texts {
    data: String,
    /// Start and end; a start behind the end is null.
    spans: Vec<(u32, u32)>,
}

impl Texts {
    /// Returns the text of a row; `None` is null.
    pub fn get(&self, row: usize) -> Option<&str> {
        let (start, end) = *self.spans.get(row)?;
        self.data.get(start as usize..end as usize)
    }

    /// Returns the texts in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.spans.len()).map(|row| self.get(row))
    }

    pub(crate) fn push(&mut self, value: Option<&str>) {
        match value {
            None => self.spans.push((1, 0)),
            Some(value) => {
                let start = self.data.len() as u32;
                self.data.push_str(value);
                self.spans.push((start, self.data.len() as u32));
            }
        }
    }
}

/// The values of a column in a batch.
#[derive(Clone, PartialEq, Debug)]
pub enum Cells {
    /// Whole numbers, bools as 1 and 0, days and microseconds; `None` is null.
    Int(Vec<Option<i64>>),
    /// Numbers; NaN is null.
    Float(Vec<f64>),
    /// Text.
    Text(Texts),
}

/// A value that is not of the column's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCell {
    /// The row in the batch, from 0.
    pub row: usize,
    /// The value, cut for a message.
    pub value: String,
    /// What is wrong with it.
    pub problem: BadValue,
}

/// What is wrong with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadValue {
    /// It is of another type.
    Type,
    /// It is a number beyond the range of `f32`.
    Infinite,
    /// Its bytes are not UTF-8.
    NotUtf8,
}

/// A column of a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct BatchColumn {
    /// The values; those in `bad` are null here.
    pub cells: Cells,
    /// The number of values that are not of the type.
    pub bad_count: u64,
    /// The first of them.
    pub bad: Vec<BadCell>,
    /// The rows whose value has more digits than its cell holds, with all of them, in order.
    pub(crate) rounded: Vec<(usize, Box<str>)>,
}

impl BatchColumn {
    pub(crate) fn new(cells: Cells) -> Self {
        Self { cells, bad_count: 0, bad: Vec::new(), rounded: Vec::new() }
    }

    /// Returns the value of a row to the last digit, where its cell does not hold it.
    pub(crate) fn exact(&self, row: usize) -> Option<&str> {
        let place = self.rounded.binary_search_by_key(&row, |(row, _)| *row).ok()?;
        self.rounded.get(place).map(|(_, text)| &**text)
    }

    pub(crate) fn note(&mut self, row: usize, value: &[u8], problem: BadValue) {
        self.bad_count += 1;
        if self.bad.len() < KEPT {
            let value = clipped(&String::from_utf8_lossy(value));
            self.bad.push(BadCell { row, value, problem });
        }
    }

    /// Returns whether the row is null.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.cells {
            Cells::Int(values) => values.get(row).copied().flatten().is_none(),
            Cells::Float(values) => values.get(row).is_none_or(|value| value.is_nan()),
            Cells::Text(values) => values.get(row).is_none(),
        }
    }

    /// Returns the value of a row as a person writes it; `null` for none.
    pub fn show(&self, row: usize, column_type: ColumnType) -> String {
        if let Some(exact) = self.exact(row) {
            return clipped(exact).trim_matches('`').to_owned();
        }
        match &self.cells {
            Cells::Int(values) => {
                values.get(row).copied().flatten().map(|value| show_int(column_type, value))
            }
            Cells::Float(values) => values.get(row).filter(|value| !value.is_nan()).map(ToString::to_string),
            Cells::Text(values) => values.get(row).map(|value| clipped(value).trim_matches('`').to_owned()),
        }
        .unwrap_or_else(|| "null".to_owned())
    }
}

/// Where a batch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Position of the file in its source.
    pub file: usize,
    /// The first row of the batch in that file, from 0.
    pub row_in_file: u64,
    /// The first row of the batch in the whole source, from 0.
    pub row: u64,
}

/// Where rows stand in their file.
#[derive(Clone, PartialEq, Debug)]
pub enum RowPlaces {
    /// The lines of a text file, from 1.
    Lines(Vec<u64>),
    /// A file without lines.
    None,
}

/// Consecutive rows of one file.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// The columns that were asked for, in that order.
    pub columns: Vec<BatchColumn>,
    /// Where the rows stand.
    pub places: RowPlaces,
}

impl Batch {
    /// Returns the line of a row, in a file that has lines.
    pub fn line(&self, row: usize) -> Option<u64> {
        match &self.places {
            RowPlaces::Lines(lines) => lines.get(row).copied(),
            RowPlaces::None => None,
        }
    }
}

/// Reads one column of a block by its type.
pub(crate) fn read_column(
    fields: &Fields<'_>,
    column: usize,
    declared: &DeclaredType,
    range: NumberRange,
    nulls: Nulls,
) -> BatchColumn {
    read_texts(fields.column(column), declared, range, nulls)
}

/// Which texts of a column of text are null.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nulls {
    /// [`crate::NULL_TOKENS`].
    Words,
    /// The empty one.
    Empty,
}

/// Which numbers are values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NumberRange {
    /// Those that are finite as `f32`, which models compute in.
    Models,
    /// All, infinite ones too: to say what is in a file.
    All,
}

/// Reads texts by a type.
pub(crate) fn read_texts<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    declared: &DeclaredType,
    range: NumberRange,
    nulls: Nulls,
) -> BatchColumn {
    match declared.column_type {
        ColumnType::Int => ints(values, parse_int),
        ColumnType::Bool => ints(values, |value| parse_bool(value).map(i64::from)),
        ColumnType::Float | ColumnType::Decimal => floats(values, range),
        ColumnType::Date => times(values, declared, time::as_day),
        ColumnType::Timestamp => times(values, declared, time::as_micros),
        ColumnType::String | ColumnType::Category => texts(values, nulls),
    }
}

fn ints<'a>(values: impl Iterator<Item = &'a [u8]>, parse: impl Fn(&[u8]) -> Option<i64>) -> BatchColumn {
    let mut cells = Vec::with_capacity(values.size_hint().0);
    let mut found = BatchColumn::new(Cells::Int(Vec::new()));
    for (row, value) in values.map(trim).enumerate() {
        let parsed = parse(value);
        if parsed.is_none() && !is_null(value) {
            found.note(row, value, BadValue::Type);
        }
        cells.push(parsed);
    }
    found.cells = Cells::Int(cells);
    found
}

fn floats<'a>(values: impl Iterator<Item = &'a [u8]>, range: NumberRange) -> BatchColumn {
    let mut cells = Vec::with_capacity(values.size_hint().0);
    let mut found = BatchColumn::new(Cells::Float(Vec::new()));
    for (row, value) in values.map(trim).enumerate() {
        let mut number = f64::NAN;
        match parse_float(value) {
            // Models compute in f32: what is infinite there is no value.
            Some(parsed) if range == NumberRange::Models && (parsed as f32).is_infinite() => {
                found.note(row, value, BadValue::Infinite);
            }
            Some(parsed) => {
                number = parsed;
                found.rounded.extend(exact::rounded_number(value, parsed).map(|exact| (row, exact)));
            }
            None if is_null(value) => {}
            None => found.note(row, value, BadValue::Type),
        }
        cells.push(number);
    }
    found.cells = Cells::Float(cells);
    found
}

fn times<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    declared: &DeclaredType,
    convert: impl Fn(time::Moment) -> i64,
) -> BatchColumn {
    let parse = |value: &[u8]| match &declared.format {
        Some(format) => time::parse_as(format, value),
        None => time::parse(value),
    };
    let mut rounded = Vec::new();
    let mut found = ints(
        values.enumerate().map(|(row, value)| {
            // Only a fraction of a second is so long.
            if value.len() > LONGEST_MICROS && declared.column_type == ColumnType::Timestamp {
                let micros = parse(trim(value)).map(time::as_micros);
                let exact = micros.and_then(|micros| exact::rounded_moment(value, micros));
                rounded.extend(exact.map(|exact| (row, exact)));
            }
            value
        }),
        |value| parse(value).map(&convert),
    );
    found.rounded = rounded;
    found
}

fn texts<'a>(values: impl Iterator<Item = &'a [u8]>, nulls: Nulls) -> BatchColumn {
    let mut cells = Texts::default();
    let mut found = BatchColumn::new(Cells::Text(Texts::default()));
    for (row, value) in values.enumerate() {
        let trimmed = trim(value);
        if trimmed.is_empty() || (nulls == Nulls::Words && is_null(trimmed)) {
            cells.push(None);
            continue;
        }
        if let Cow::Borrowed(text) = String::from_utf8_lossy(value) {
            cells.push(Some(text));
        } else {
            found.note(row, value, BadValue::NotUtf8);
            cells.push(None);
        }
    }
    found.cells = Cells::Text(cells);
    found
}
