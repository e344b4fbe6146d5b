//! The fields of a block: where each value stands.

use std::borrow::Cow;
use std::collections::BTreeSet;

use memchr::{memchr, memchr_iter, memchr2_iter};

use crate::csv::blocks::Block;
use crate::csv::dialect::Dialect;
use crate::csv::records::{Cursor, Field, skip_empty_lines};
use crate::error::DataError;
use crate::types::trim;

/// The values of a block, row by row.
pub(crate) struct Fields<'a> {
    bytes: Cow<'a, [u8]>,
    /// Start and end of each value, row-major `[rows × columns]`.
    spans: Vec<(u32, u32)>,
    columns: usize,
    lines: Lines,
}

/// The line of each row.
enum Lines {
    /// Each row has one line, behind this one.
    From(u64),
    Each(Vec<u64>),
}

impl<'a> Fields<'a> {
    /// Takes a block apart; each row has as many values as the header.
    pub(crate) fn new(
        block: &'a Block,
        dialect: Dialect,
        columns: usize,
        source: &str,
    ) -> Result<Self, DataError> {
        let is_quoted = dialect.quote.is_some_and(|quote| memchr(quote, &block.bytes).is_some());
        if is_quoted {
            Self::quoted(block, dialect, columns, source)
        } else {
            Self::plain(block, dialect, columns, source)
        }
    }

    fn plain(block: &'a Block, dialect: Dialect, columns: usize, source: &str) -> Result<Self, DataError> {
        let bytes = block.bytes.as_slice();
        let mut spans = Vec::with_capacity(bytes.len() / 6);
        let mut lines = Lines::From(block.first_line);
        let (mut start, mut row_start, mut rows, mut line) = (0, 0, 0_usize, block.first_line);
        for place in memchr2_iter(dialect.delimiter, b'\n', bytes) {
            if bytes[place] == dialect.delimiter {
                spans.push((start as u32, place as u32));
                start = place + 1;
                continue;
            }
            let end = if place > start && bytes[place - 1] == b'\r' { place - 1 } else { place };
            let width = spans.len() - rows * columns + 1;
            if width == 1 && end == row_start {
                // An empty line is no row; from here on rows and lines differ.
                if let Lines::From(first) = lines {
                    lines = Lines::Each((0..rows as u64).map(|row| first + row).collect());
                }
            } else {
                if width != columns {
                    let row = &bytes[row_start..end];
                    return Err(ragged(
                        source,
                        line,
                        [width, columns],
                        start == end,
                        apostrophe(row, dialect),
                    ));
                }
                spans.push((start as u32, end as u32));
                rows += 1;
                if let Lines::Each(all) = &mut lines {
                    all.push(line);
                }
            }
            line += 1;
            start = place + 1;
            row_start = start;
        }
        Ok(Self { bytes: Cow::Borrowed(bytes), spans, columns, lines })
    }

    fn quoted(block: &'a Block, dialect: Dialect, columns: usize, source: &str) -> Result<Self, DataError> {
        let bytes = block.bytes.as_slice();
        let mut values = Vec::with_capacity(bytes.len());
        let (mut spans, mut lines) = (Vec::new(), Vec::new());
        let (mut counted, mut line) = (0, block.first_line);
        let mut at = skip_empty_lines(bytes, 0);
        while at < bytes.len() {
            line += memchr_iter(b'\n', &bytes[counted..at]).count() as u64;
            counted = at;
            let mut cursor = Cursor::new(bytes, dialect, at);
            let before = spans.len();
            loop {
                match cursor.next() {
                    Ok(Field::Value(value)) => {
                        let start = values.len() as u32;
                        values.extend_from_slice(&value);
                        spans.push((start, values.len() as u32));
                    }
                    Ok(Field::End(end)) => {
                        at = skip_empty_lines(bytes, end);
                        break;
                    }
                    // Blocks are cut where quotes are closed.
                    Err(_) => {
                        let message = "the quotes of this record do not match".to_owned();
                        return Err(DataError::Line {
                            source_name: source.to_owned(),
                            line,
                            column: None,
                            message,
                        });
                    }
                }
            }
            let width = spans.len() - before;
            if width != columns {
                let is_last_empty = spans.last().is_some_and(|(start, end)| start == end);
                // Something is quoted here, and not by '.
                return Err(ragged(source, line, [width, columns], is_last_empty, false));
            }
            lines.push(line);
        }
        Ok(Self { bytes: Cow::Owned(values), spans, columns, lines: Lines::Each(lines) })
    }

    /// Makes each of these words an empty value, whatever white space stands around it.
    pub(crate) fn without(mut self, words: &BTreeSet<String>) -> Self {
        let longest = words.iter().map(String::len).max().unwrap_or(0);
        for (start, end) in self.spans.iter_mut().filter(|_| longest > 0) {
            let value = trim(&self.bytes[*start as usize..*end as usize]);
            if value.len() <= longest && words.iter().any(|word| word.as_bytes() == value) {
                *end = *start;
            }
        }
        self
    }

    pub(crate) fn rows(&self) -> usize {
        self.spans.len().checked_div(self.columns).unwrap_or(0)
    }

    /// Returns the line of a row, from 1.
    pub(crate) fn line(&self, row: usize) -> u64 {
        match &self.lines {
            Lines::From(first) => first + row as u64,
            Lines::Each(lines) => lines.get(row).copied().unwrap_or_default(),
        }
    }

    /// Returns the lines of all rows.
    pub(crate) fn lines(&self) -> Vec<u64> {
        (0..self.rows()).map(|row| self.line(row)).collect()
    }

    /// Returns the values of a column.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = &[u8]> {
        self.spans
            .iter()
            .skip(column)
            .step_by(self.columns)
            .map(|(start, end)| &self.bytes[*start as usize..*end as usize])
    }
}

/// Returns whether a value of a row begins with `'`, which is no quote in this file.
fn apostrophe(row: &[u8], dialect: Dialect) -> bool {
    let begins = |value: &[u8]| value.first() == Some(&b'\'');
    dialect.quote == Some(b'"') && row.split(|byte| *byte == dialect.delimiter).any(begins)
}

fn ragged(
    source: &str,
    line: u64,
    [width, columns]: [usize; 2],
    is_last_empty: bool,
    has_apostrophe: bool,
) -> DataError {
    let values = if width == 1 { "value" } else { "values" };
    let hint = if has_apostrophe {
        "; where ' stands around values that hold a delimiter or a line end, declare `data.quote: \"'\"`"
    } else if width == 1 {
        "; is it cut short, or is the delimiter another one?"
    } else if width > columns && is_last_empty {
        "; it ends in a delimiter: remove those at the ends of the lines"
    } else {
        ""
    };
    let message = format!("the row has {width} {values} and the header {columns}{hint}");
    DataError::Line { source_name: source.to_owned(), line, column: None, message }
}
