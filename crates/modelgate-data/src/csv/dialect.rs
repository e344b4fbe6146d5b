//! How a file separates and quotes its values: declared, or found in its first lines.

use crate::csv::records::Records;

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
            Quoting::Detect => Some(detect_quote(head)),
            Quoting::Never => None,
            Quoting::By(quote) => Some(quote),
        };
        let delimiter = delimiter.unwrap_or_else(|| {
            let width = |delimiter: u8| {
                let dialect = Self { delimiter, quote };
                let mut widths = Records::new(head, dialect).flatten().map(|record| record.fields);
                let first = widths.next()?;
                (first > 1 && widths.take(SAMPLE).all(|width| width == first)).then_some(first)
            };
            let fitting = DELIMITERS.iter().filter_map(|delimiter| Some((width(*delimiter)?, *delimiter)));
            // The first of several that give as many values, which is the comma.
            fitting.fold((0, b','), |best, found| if found.0 > best.0 { found } else { best }).1
        });
        Self { delimiter, quote }
    }
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

/// Returns `'` when values begin with it and none begins with `"`.
fn detect_quote(head: &[u8]) -> u8 {
    let begins = |quote: u8| {
        let mut before = b'\n';
        head.iter().any(|byte| {
            let found = *byte == quote && (DELIMITERS.contains(&before) || before == b'\n');
            before = *byte;
            found
        })
    };
    let ends = || {
        head.windows(2).any(|pair| {
            pair[0] == b'\'' && (DELIMITERS.contains(&pair[1]) || matches!(pair[1], b'\n' | b'\r'))
        })
    };
    if !begins(b'"') && begins(b'\'') && ends() { b'\'' } else { b'"' }
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
        // An apostrophe inside a value is no quote.
        assert_eq!(found("a,b\nit's,2\n"), (',', '"'));
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
