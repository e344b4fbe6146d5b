//! A file as blocks of whole records.

use std::io::Read;

use memchr::{memchr, memchr_iter, memrchr};

use crate::csv::dialect::{Dialect, Quoting, named_delimiter};
use crate::csv::records::{BadQuote, Cursor, Field, Record, Records, skip_empty_lines};
use crate::error::DataError;
use crate::source::SourceFile;

/// Bytes of a block, about.
const BLOCK: usize = 1 << 20;

/// Bytes of a record at most.
const LONGEST_RECORD: usize = 64 << 20;

/// Bytes that the dialect is found in.
const HEAD: usize = 64 << 10;

/// What to do about a quote that was found wrongly.
const DECLARE: &str =
    "declare `data.quote`: `'\"'` where ' is an apostrophe, `\"'\"` where it stands around values";

/// Whole records.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    /// The line of the first byte, from 1.
    pub(crate) first_line: u64,
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) delimiter: Option<u8>,
    pub(crate) quoting: Quoting,
}

/// Reads blocks.
pub(crate) struct Blocks<'a> {
    file: &'a SourceFile,
    reader: Box<dyn Read + Send>,
    /// Read and not given out.
    rest: Vec<u8>,
    ended: bool,
    line: u64,
    pub(crate) dialect: Dialect,
    /// Whether `'` was found to be the quote: further down it may prove to be an apostrophe.
    is_guessed: bool,
    /// The column names.
    pub(crate) header: Vec<String>,
}

impl<'a> Blocks<'a> {
    /// Opens a file and reads its header line.
    pub(crate) fn open(file: &'a SourceFile, declared: Declared) -> Result<Self, DataError> {
        let mut blocks = Self {
            file,
            reader: file.open()?,
            rest: Vec::new(),
            ended: false,
            line: 1,
            dialect: Dialect { delimiter: b',', quote: Some(b'"') },
            is_guessed: false,
            header: Vec::new(),
        };
        blocks.fill(HEAD)?;
        blocks.check_encoding()?;
        if blocks.rest.starts_with(b"\xef\xbb\xbf") {
            blocks.rest.drain(..3);
        }
        let named = named_delimiter(&blocks.rest);
        if let Some((_, length)) = named {
            blocks.rest.drain(..length);
            blocks.line += 1;
        }
        let head = &blocks.rest[..blocks.rest.len().min(HEAD)];
        // The head of a longer file ends in the middle of a record.
        let head = if blocks.ended { head } else { &head[..memrchr(b'\n', head).map_or(0, |end| end + 1)] };
        let delimiter = declared.delimiter.or(named.map(|(delimiter, _)| delimiter));
        blocks.dialect = Dialect::detect(head, delimiter, declared.quoting)
            .map_err(|doubt| blocks.at(blocks.line + doubt.line, format!("{} {DECLARE}", doubt.reason)))?;
        blocks.is_guessed =
            declared.quoting == Quoting::Detect && blocks.dialect.quote.is_some_and(|quote| quote == b'\'');
        blocks.read_header()?;
        blocks.check_title(delimiter, declared.quoting)?;
        Ok(blocks)
    }

    /// Refuses a first line that is a title: one value above rows of several.
    fn check_title(&self, delimiter: Option<u8>, quoting: Quoting) -> Result<(), DataError> {
        let [only] = self.header.as_slice() else { return Ok(()) };
        let head =
            &self.rest[..memrchr(b'\n', &self.rest[..self.rest.len().min(HEAD)]).map_or(0, |end| end + 1)];
        let Ok(dialect) = Dialect::detect(head, delimiter, quoting) else { return Ok(()) };
        let mut widths = Records::new(head, dialect).flatten().map(|record| record.fields);
        let width = widths.next().unwrap_or_default();
        let are_alike = width > 1 && widths.all(|other| other == width);
        // Texts of a file of one column may all have a semicolon.
        if !are_alike || !(dialect.delimiter == self.dialect.delimiter || only.trim_start().starts_with('#'))
        {
            return Ok(());
        }
        let message = format!(
            "it has one value and the rows below have {width}, so it is no header; remove what stands above the line with the \
             names of the columns"
        );
        Err(self.at(self.line - 1, message))
    }

    fn check_encoding(&self) -> Result<(), DataError> {
        let head = &self.rest[..self.rest.len().min(HEAD)];
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(self.file.error("the file is UTF-16; save it as UTF-8"));
        }
        if let Some(place) = memchr(0, head) {
            let line = memchr_iter(b'\n', &head[..place]).count() as u64 + 1;
            let message = "there is a zero byte: this is not a CSV file in UTF-8; if it is UTF-16 without a byte-order mark, save it as UTF-8";
            return Err(self.at(line, message));
        }
        if head.iter().all(u8::is_ascii_whitespace) && self.ended {
            return Err(self.file.error("the file is empty; expected a header line and rows"));
        }
        if memchr(b'\n', head).is_none() && head.windows(2).any(|pair| pair[0] == b'\r') {
            return Err(self.file.error("its lines end in CR alone; save it with LF or CRLF line ends"));
        }
        Ok(())
    }

    fn at(&self, line: u64, message: impl Into<String>) -> DataError {
        DataError::Line { source_name: self.file.name.clone(), line, column: None, message: message.into() }
    }

    /// Reads until `rest` has `wanted` bytes, or the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), DataError> {
        if !self.ended && self.rest.len() < wanted {
            let missing = (wanted - self.rest.len()) as u64;
            let read = (&mut self.reader).take(missing).read_to_end(&mut self.rest);
            let read = read.map_err(|error| self.file.io_error(&error))?;
            self.ended = (read as u64) < missing;
        }
        Ok(())
    }

    fn read_header(&mut self) -> Result<(), DataError> {
        let mut wanted = HEAD;
        let start = skip_empty_lines(&self.rest, 0);
        loop {
            let mut names = Vec::new();
            let mut cursor = Cursor::new(&self.rest, self.dialect, start);
            let end = loop {
                match cursor.next() {
                    Ok(Field::Value(value)) => names.push(value.into_owned()),
                    Ok(Field::End(end)) => break Some(end),
                    Err(BadQuote::Unclosed(_)) if !self.ended => break None,
                    Err(bad) => return Err(self.bad_quote(&self.rest, self.line, bad)),
                }
            };
            let is_whole = end.is_some_and(|end| self.ended || self.rest.get(end - 1) == Some(&b'\n'));
            if let (true, Some(end)) = (is_whole, end) {
                let line = self.line + memchr_iter(b'\n', &self.rest[..start]).count() as u64;
                let names = names.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>();
                self.header = names.map_err(|_| {
                    self.at(line, "the column names are not UTF-8; save the file as UTF-8".to_owned())
                })?;
                self.line += memchr_iter(b'\n', &self.rest[..end]).count() as u64;
                self.rest.drain(..end);
                return Ok(());
            }
            wanted = self.larger(wanted)?;
            self.fill(wanted)?;
        }
    }

    fn larger(&self, wanted: usize) -> Result<usize, DataError> {
        if wanted >= LONGEST_RECORD {
            let message = format!(
                "the record that begins here has more than {} MiB; is a quote not closed?",
                LONGEST_RECORD >> 20
            );
            return Err(self.at(self.line, message));
        }
        Ok(wanted.max(self.rest.len()) * 2)
    }

    fn bad_quote(&self, bytes: &[u8], first_line: u64, bad: BadQuote) -> DataError {
        let (BadQuote::Unclosed(offset) | BadQuote::TextBehind(offset)) = bad;
        let line = first_line + memchr_iter(b'\n', &bytes[..offset]).count() as u64;
        let quote = char::from(self.dialect.quote.unwrap_or(b'"'));
        let message = match bad {
            BadQuote::Unclosed(_) => format!(
                "a value begins with {quote} and no {quote} ends it: the rest of the file would be one value; close it"
            ),
            BadQuote::TextBehind(_) => format!(
                "there is text behind the {quote} that ends a value; a {quote} inside a quoted value stands twice"
            ),
        };
        self.at(line, if self.is_guessed { format!("{message}, or {DECLARE}") } else { message })
    }

    /// Refuses a record that goes on behind the end of its line by a quote that was found: with two apostrophes for quotes, the
    /// rows between them would be gone.
    fn check_ends_on_its_line(&self, record: Record) -> Result<(), DataError> {
        let Some(place) = memchr(b'\n', &self.rest[record.start..record.end - 1]) else { return Ok(()) };
        let line = self.line + memchr_iter(b'\n', &self.rest[..record.start + place]).count() as u64;
        let message = format!("a value that begins with ' ends on another line; {DECLARE}");
        Err(self.at(line, message))
    }

    /// Returns the next block, or `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, DataError> {
        let mut wanted = BLOCK;
        loop {
            self.fill(wanted)?;
            if self.rest.is_empty() {
                return Ok(None);
            }
            let length = self.whole_records()?;
            if length == 0 {
                wanted = self.larger(wanted)?;
                continue;
            }
            let behind = self.rest.split_off(length);
            let mut bytes = std::mem::replace(&mut self.rest, behind);
            let first_line = self.line;
            self.line += memchr_iter(b'\n', &bytes).count() as u64;
            if self.ended && self.rest.is_empty() && bytes.last() != Some(&b'\n') {
                // A last line without a line end is a line.
                bytes.push(b'\n');
            }
            self.rest.reserve(BLOCK.saturating_sub(self.rest.len()));
            return Ok(Some(Block { bytes, first_line }));
        }
    }

    /// Returns the length of the whole records in `rest`.
    fn whole_records(&self) -> Result<usize, DataError> {
        let quote = self.dialect.quote.filter(|quote| memchr(*quote, &self.rest).is_some());
        if quote.is_none() {
            let last = memrchr(b'\n', &self.rest).map_or(0, |place| place + 1);
            return Ok(if self.ended { self.rest.len() } else { last });
        }
        let mut end = 0;
        for record in Records::new(&self.rest, self.dialect) {
            match record {
                Ok(record) => {
                    if self.is_guessed {
                        self.check_ends_on_its_line(record)?;
                    }
                    end = record.end;
                }
                Err(BadQuote::Unclosed(_)) if !self.ended => break,
                // At the end of what was read, the letter behind a quote may still be to come.
                Err(BadQuote::TextBehind(place)) if !self.ended && place + 2 >= self.rest.len() => break,
                Err(bad) => return Err(self.bad_quote(&self.rest, self.line, bad)),
            }
        }
        if self.is_guessed && self.ended {
            // The last line may have no end.
            let (start, end) = (skip_empty_lines(&self.rest, end), self.rest.len() + 1);
            self.check_ends_on_its_line(Record { start, end, fields: 0 })?;
        }
        Ok(if self.ended { self.rest.len() } else { end })
    }
}
