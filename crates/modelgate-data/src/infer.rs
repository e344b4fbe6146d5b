//! What the values of a text file's columns are, found by looking at all of them.

use crate::csv::fields::Fields;
use crate::error::clipped;
use crate::time::{self, Moment};
use crate::types::{ColumnType, is_null, parse_bool, parse_float, parse_int, trim};

/// A value and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Example {
    /// The file's position in its source.
    pub(crate) file: usize,
    pub(crate) line: u64,
    pub(crate) value: String,
}

/// What was seen in a column.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) nulls: u64,
    pub(crate) ints: u64,
    pub(crate) floats: u64,
    bools: u64,
    dates: u64,
    timestamps: u64,
    texts: u64,
    /// The first value that is no number.
    pub(crate) first_other: Option<Example>,
    /// The first number.
    first_number: Option<Example>,
    /// The first value that is neither a number nor a date or moment.
    first_text: Option<Example>,
    /// The first whole number beyond 64 bits.
    pub(crate) first_beyond: Option<Example>,
    /// The first whole number that is written with a zero before its digits.
    pub(crate) first_zero: Option<Example>,
    /// The first value whose bytes are not UTF-8.
    pub(crate) first_not_utf8: Option<Example>,
}

/// What a column is taken for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Finding {
    /// All values are of this type.
    Type(ColumnType),
    /// Numbers and others stand together; the first of the fewer ones.
    Mixed { numbers: u64, others: u64, first: Example },
    /// Dates and text stand together; the first text.
    NotAllDates { dates: u64, others: u64, first: Example },
}

impl Evidence {
    /// Looks at a column of a block.
    pub(crate) fn of(fields: &Fields<'_>, column: usize, file: usize) -> Self {
        let mut found = Self::default();
        for (row, value) in fields.column(column).enumerate() {
            let value = trim(value);
            let first = value.first().copied().unwrap_or_default();
            let example =
                || Example { file, line: fields.line(row), value: clipped(&String::from_utf8_lossy(value)) };
            if is_null(value) {
                found.nulls += 1;
            } else if matches!(first, b'0'..=b'9' | b'-' | b'+' | b'.' | b'i' | b'I')
                && let Some(number) = parse_float(value)
            {
                if found.first_number.is_none() {
                    found.first_number = Some(example());
                }
                if parse_int(value).is_some() {
                    found.ints += 1;
                    if found.first_zero.is_none() && matches!(value, [b'0', _, ..]) {
                        found.first_zero = Some(example());
                    }
                } else {
                    found.floats += 1;
                    let is_whole = value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'));
                    if is_whole && number.is_finite() && found.first_beyond.is_none() {
                        found.first_beyond = Some(example());
                    }
                }
            } else {
                if parse_bool(value).is_some() {
                    found.bools += 1;
                } else {
                    match time::parse(value) {
                        Some(Moment::Day(_)) => found.dates += 1,
                        Some(Moment::Instant(_)) => found.timestamps += 1,
                        None => {
                            found.texts += 1;
                            if found.first_text.is_none() {
                                found.first_text = Some(example());
                            }
                        }
                    }
                    if found.first_not_utf8.is_none() && std::str::from_utf8(value).is_err() {
                        found.first_not_utf8 = Some(example());
                    }
                }
                if found.first_other.is_none() {
                    found.first_other = Some(example());
                }
            }
        }
        found
    }

    /// Adds what was seen behind this.
    pub(crate) fn merge(&mut self, later: Self) {
        self.nulls += later.nulls;
        self.ints += later.ints;
        self.floats += later.floats;
        self.bools += later.bools;
        self.dates += later.dates;
        self.timestamps += later.timestamps;
        self.texts += later.texts;
        self.first_other = self.first_other.take().or(later.first_other);
        self.first_number = self.first_number.take().or(later.first_number);
        self.first_text = self.first_text.take().or(later.first_text);
        self.first_beyond = self.first_beyond.take().or(later.first_beyond);
        self.first_zero = self.first_zero.take().or(later.first_zero);
        self.first_not_utf8 = self.first_not_utf8.take().or(later.first_not_utf8);
    }

    /// Returns the first value that loses zeros when the column is read as it is found.
    pub(crate) fn leading_zero(&self) -> Option<&Example> {
        let is_int = self.finding() == Finding::Type(ColumnType::Int);
        self.first_zero.as_ref().filter(|_| is_int)
    }

    /// Returns what the column is taken for. One without any value is numbers, to whoever fills it in.
    pub(crate) fn finding(&self) -> Finding {
        let numbers = self.ints + self.floats;
        let others = self.bools + self.dates + self.timestamps + self.texts;
        let fewer = if numbers >= others { &self.first_other } else { &self.first_number };
        if let (Some(first), true) = (fewer, numbers > 0 && others > 0) {
            return Finding::Mixed { numbers, others, first: first.clone() };
        }
        let dates = self.dates + self.timestamps;
        if let (Some(first), true) = (&self.first_text, dates > 0) {
            return Finding::NotAllDates { dates, others: others - dates, first: first.clone() };
        }
        Finding::Type(if others == 0 {
            if self.floats == 0 && self.ints > 0 { ColumnType::Int } else { ColumnType::Float }
        } else if self.bools == others && numbers == 0 {
            ColumnType::Bool
        } else if self.dates == others && numbers == 0 {
            ColumnType::Date
        } else if self.dates + self.timestamps == others && numbers == 0 {
            ColumnType::Timestamp
        } else {
            ColumnType::String
        })
    }
}
