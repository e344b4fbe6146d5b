//! Record by record through bytes, by RFC 4180: a value is quoted when it begins with the quote, and a quote inside
//! stands twice. Lines end in LF or CRLF; empty lines are no records.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::csv::dialect::Dialect;

/// One record's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// Offset of its first byte.
    pub(crate) start: usize,
    /// Offset behind its line end.
    pub(crate) end: usize,
    /// Number of values.
    pub(crate) fields: usize,
}

/// What breaks the rules of quoting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadQuote {
    /// A value begins with a quote at this offset, and no quote ends it.
    Unclosed(usize),
    /// Something stands between the quote that ends a value, at this offset, and the delimiter.
    TextBehind(usize),
}

/// One value.
pub(crate) enum Field<'a> {
    /// Its bytes, without the quotes; owned when a quote inside stood twice.
    Value(Cow<'a, [u8]>),
    /// The end of the record, at this offset.
    End(usize),
}

/// Reads value after value.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    dialect: Dialect,
    at: usize,
    /// Whether a value must come: at the beginning of a record and behind a delimiter.
    open: bool,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of a record.
    pub(crate) fn new(bytes: &'a [u8], dialect: Dialect, at: usize) -> Self {
        Self { bytes, dialect, at, open: true }
    }

    /// Returns whether the value that comes next is quoted.
    pub(crate) fn is_quoted(&self) -> bool {
        self.open && self.dialect.quote.is_some_and(|quote| self.bytes.get(self.at) == Some(&quote))
    }

    pub(crate) fn next(&mut self) -> Result<Field<'a>, BadQuote> {
        if !self.open {
            return Ok(Field::End(self.at));
        }
        let rest = &self.bytes[self.at..];
        match (self.dialect.quote, rest.first()) {
            (Some(quote), Some(first)) if quote == *first => self.quoted(quote),
            _ => {
                let length = memchr2(self.dialect.delimiter, b'\n', rest).unwrap_or(rest.len());
                let value = &rest[..length];
                self.at += length;
                let is_last = self.bytes.get(self.at) != Some(&self.dialect.delimiter);
                // The CR of a CRLF is not part of the last value.
                let value = if is_last { value.strip_suffix(b"\r").unwrap_or(value) } else { value };
                self.step();
                Ok(Field::Value(Cow::Borrowed(value)))
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Field<'a>, BadQuote> {
        let opening = self.at;
        let start = opening + 1;
        let mut value: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        let mut from = start;
        loop {
            let Some(length) = memchr(quote, &self.bytes[from..]) else {
                return Err(BadQuote::Unclosed(opening));
            };
            let closing = from + length;
            let piece = &self.bytes[from..closing];
            if value.is_empty() && !matches!(value, Cow::Owned(_)) {
                value = Cow::Borrowed(piece);
            } else {
                value.to_mut().extend_from_slice(piece);
            }
            if self.bytes.get(closing + 1) == Some(&quote) {
                value.to_mut().push(quote);
                from = closing + 2;
                continue;
            }
            self.at = closing + 1;
            let behind = self.bytes[self.at..].strip_prefix(b"\r").unwrap_or(&self.bytes[self.at..]);
            match behind.first() {
                None | Some(b'\n') => self.at = self.bytes.len() - behind.len(),
                _ if self.bytes[self.at] == self.dialect.delimiter => {}
                _ => return Err(BadQuote::TextBehind(closing)),
            }
            self.step();
            return Ok(Field::Value(value));
        }
    }

    /// Steps over the delimiter or the line end.
    fn step(&mut self) {
        self.open = self.bytes.get(self.at) == Some(&self.dialect.delimiter);
        self.at = (self.at + 1).min(self.bytes.len());
    }
}

/// Skips line ends; returns where the next record begins, or the end.
pub(crate) fn skip_empty_lines(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match &bytes[at.min(bytes.len())..] {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            [b'\r'] => at += 1,
            _ => return at,
        }
    }
}

/// The records that are whole: an iterator that ends before one without a line end.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    dialect: Dialect,
    at: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8], dialect: Dialect) -> Self {
        Self { bytes, dialect, at: 0 }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, BadQuote>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_empty_lines(self.bytes, self.at);
        if start >= self.bytes.len() {
            return None;
        }
        let mut cursor = Cursor::new(self.bytes, self.dialect, start);
        let mut fields = 0;
        loop {
            match cursor.next() {
                Ok(Field::Value(_)) => fields += 1,
                Ok(Field::End(end)) => {
                    self.at = end;
                    // Without a line end there may be more of it in bytes that are still to come.
                    return (self.bytes.get(end - 1) == Some(&b'\n')).then_some(Ok(Record {
                        start,
                        end,
                        fields,
                    }));
                }
                Err(error) => {
                    self.at = self.bytes.len();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Dialect = Dialect { delimiter: b',', quote: Some(b'"') };

    fn values(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, BadQuote> {
        let mut all = Vec::new();
        let mut at = skip_empty_lines(bytes, 0);
        while at < bytes.len() {
            let mut cursor = Cursor::new(bytes, COMMA, at);
            let mut record = Vec::new();
            loop {
                match cursor.next()? {
                    Field::Value(value) => record.push(value.into_owned()),
                    Field::End(end) => {
                        at = skip_empty_lines(bytes, end);
                        break;
                    }
                }
            }
            all.push(record);
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read_back(records in prop::collection::vec(prop::collection::vec("[a\"',;\r\n\u{e9}]{0,5}", 3), 0..20)) {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            for record in &records {
                writer.write_record(record).expect("written");
            }
            let bytes = writer.into_inner().expect("flushed");
            let expected: Vec<Vec<Vec<u8>>> = records.iter().map(|record| record.iter().map(|value| value.clone().into_bytes()).collect()).collect();
            prop_assert_eq!(values(&bytes), Ok(expected));
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(prop::sample::select(b"a,\"\r\n".to_vec()), 0..60)) {
            let _ = values(&bytes);
            let _ = Records::new(&bytes, COMMA).count();
        }
    }

    #[test]
    fn bad_quotes_are_placed() {
        assert_eq!(values(b"a,b\n1,\"x\n2,y\n"), Err(BadQuote::Unclosed(6)));
        assert_eq!(values(b"a,b\n1,\"x\"y\n"), Err(BadQuote::TextBehind(8)));
        assert_eq!(values(b"5\" pipe,b\n").expect("a quote inside is a letter")[0][0], b"5\" pipe");
    }

    #[test]
    fn a_record_without_a_line_end_is_not_whole_yet() {
        let found: Vec<_> = Records::new(b"a,b\r\n\r\n1,2\n3,", COMMA).flatten().collect();
        assert_eq!(found, [Record { start: 0, end: 5, fields: 2 }, Record { start: 7, end: 11, fields: 2 }]);
    }
}
