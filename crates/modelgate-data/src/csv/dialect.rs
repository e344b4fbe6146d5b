//! How a file separates and quotes its values: declared, or found in its first lines.

use crate::csv::records::{Cursor, Field, Records};

/// The delimiters that are recognised.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Records looked at.
const SAMPLE: usize = 50;

/// What stands around values that hold a delimiter or a line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Quoting {
    /// What the first lines show.
    #[default]
    Detect,
    /// Nothing: a quote is a letter.
    Never,
    /// This character.
    By(u8),
}

/// How values are separated and quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dialect {
    /// Between values.
    pub(crate) delimiter: u8,
    /// Around values that hold a delimiter or a line end; twice for itself. `None` when nothing is quoted.
    pub(crate) quote: Option<u8>,
}

impl Dialect {
    /// Returns the dialect of a file that begins with `head`; what is declared is kept.
    ///
    /// A delimiter is one that gives the first records the same number of values, and more than one.
    pub(crate) fn detect(head: &[u8], delimiter: Option<u8>, quoting: Quoting) -> Self {
        let quote = match quoting {
            Quoting::Detect => Some(detect_quote(head, delimiter)),
            Quoting::Never => None,
            Quoting::By(quote) => Some(quote),
        };
        Self { delimiter: delimiter.unwrap_or_else(|| detect_delimiter(head, quote)), quote }
    }
}

/// Returns the delimiter that gives the first records the same number of values, the most of them; a comma where none does.
fn detect_delimiter(head: &[u8], quote: Option<u8>) -> u8 {
    let width = |delimiter: u8| {
        let mut widths =
            Records::new(head, Dialect { delimiter, quote }).flatten().map(|record| record.fields);
        let first = widths.next()?;
        (first > 1 && widths.take(SAMPLE).all(|width| width == first)).then_some(first)
    };
    let fitting = DELIMITERS.iter().filter_map(|delimiter| Some((width(*delimiter)?, *delimiter)));
    // The first of several that give as many values, which is the comma.
    fitting.fold((0, b','), |best, found| if found.0 > best.0 { found } else { best }).1
}

/// Returns the delimiter that a first line `sep=;` names, as Excel reads and writes it, and how long that line is.
pub(crate) fn named_delimiter(head: &[u8]) -> Option<(u8, usize)> {
    let (named, rest) = head.split_at_checked(5)?;
    let named = match named {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => *delimiter,
        _ => return None,
    };
    let end = match rest {
        [b'\n', ..] => 6,
        [b'\r', b'\n', ..] => 7,
        _ => return None,
    };
    let is_one =
        named.is_ascii() && !named.is_ascii_alphanumeric() && !matches!(named, b'"' | b'\'' | b'\r' | b'\n');
    is_one.then_some((named, end))
}

/// Returns `'` when values begin with it, none begins with `"`, and each line is a record of its own by it, as wide as the
/// header. Else it is an apostrophe: of `'Round Midnight` and, some lines below, `Truckin'` it would make one value, and the
/// rows between them would be gone.
fn detect_quote(head: &[u8], delimiter: Option<u8>) -> u8 {
    let begins = |quote: u8| {
        let mut before = b'\n';
        head.iter().any(|byte| {
            let is_first =
                before == b'\n' || delimiter.map_or(DELIMITERS.contains(&before), |one| one == before);
            before = *byte;
            *byte == quote && is_first
        })
    };
    if begins(b'"') || !begins(b'\'') {
        return b'"';
    }
    let quote = Some(b'\'');
    let dialect = Dialect { delimiter: delimiter.unwrap_or_else(|| detect_delimiter(head, quote)), quote };
    let lines = head.split(|byte| *byte == b'\n').filter(|line| !matches!(line, [] | [b'\r']));
    let mut widths = lines.map(|line| width(line, dialect));
    let first = widths.next().flatten();
    if first.is_some() && widths.all(|width| width == first) { b'\'' } else { b'"' }
}

/// Returns how many values a line has, if its quotes match.
fn width(line: &[u8], dialect: Dialect) -> Option<usize> {
    let mut cursor = Cursor::new(line, dialect, 0);
    let mut fields = 0;
    loop {
        match cursor.next().ok()? {
            Field::Value(_) => fields += 1,
            Field::End(_) => return Some(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &str) -> (char, char) {
        let dialect = Dialect::detect(head.as_bytes(), None, Quoting::Detect);
        (char::from(dialect.delimiter), char::from(dialect.quote.expect("quoted")))
    }

    #[test]
    fn delimiter_and_quote_are_found() {
        assert_eq!(found("a,b\n1,2\n"), (',', '"'));
        assert_eq!(found("a;b;c\n1,5;2;3\n2,5;3;\"x;y\"\n"), (';', '"'));
        assert_eq!(found("a\tb\n1\t2\n"), ('\t', '"'));
        assert_eq!(found("a|b\n'x|y'|2\n"), ('|', '\''));
        assert_eq!(found("a\n1\n"), (',', '"'));
        assert_eq!(found("a;b\r\n'it''s; so';2\r\n'x';'3'"), (';', '\''));
        // An apostrophe inside a value is no quote.
        assert_eq!(found("a,b\nit's,2\n"), (',', '"'));
    }

    #[test]
    fn apostrophes_at_the_ends_of_texts_are_no_quotes() {
        for rows in [
            "1,'Round Midnight,80,no\n2,Blue Train,120,yes\n3,Truckin',110,yes\n",
            // Without a line end the last record is one that swallows the others.
            "1,Naima,60,no\n2,'Round Midnight,80,no\n3,Blue Train,120,Truckin'",
            "1,'s-Gravenhage,2,no\n3,Leiden,Foto's',yes\n",
            "1,'Tis,Autumn',no\n",
        ] {
            assert_eq!(found(&format!("id,title,tempo,hit\n{rows}")), (',', '"'), "{rows}");
        }
    }

    #[test]
    fn the_delimiter_is_named_by_a_line_of_excel() {
        assert_eq!(named_delimiter(b"sep=;\na;b\n"), Some((b';', 6)));
        assert_eq!(named_delimiter(b"SEP=\t\r\na\tb\r\n"), Some((b'\t', 7)));
        for head in ["sep=", "sep=;", "sep=;a\n", "sep=x\n", "sepia\n", "sep=\n\n", "a,b\n"] {
            assert_eq!(named_delimiter(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn what_is_declared_is_kept() {
        let dialect = Dialect::detect(b"a,b\n1,2\n", Some(b';'), Quoting::Never);
        assert_eq!(dialect, Dialect { delimiter: b';', quote: None });
    }
}
