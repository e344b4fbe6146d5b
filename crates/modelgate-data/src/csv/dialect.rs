//! How a file separates and quotes its values: declared, or found in its first lines.

use memchr::memchr_iter;

use crate::csv::records::{Cursor, Field, Records, skip_empty_lines};

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

/// Why it cannot be told whether `'` is the quote, and in which line of the head that shows, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Doubt {
    pub(crate) line: u64,
    pub(crate) reason: &'static str,
}

/// A line that `'` does not take apart, among more that it does.
const BROKEN: &str =
    "' stands around values of other lines, and by it this line is no row like the header: mend it, or";
/// A value of the other quote, which nothing in the file needs.
const BOTH: &str =
    "a value begins with \" here, and ' stands around values of other lines: let one of them quote all, or";

impl Dialect {
    /// Returns the dialect of a file that begins with `head`; what is declared is kept.
    ///
    /// A delimiter is one that gives the first records the same number of values, and more than one.
    ///
    /// # Errors
    /// Fails where the one quote would be as good as the other.
    pub(crate) fn detect(head: &[u8], delimiter: Option<u8>, quoting: Quoting) -> Result<Self, Doubt> {
        let quote = match quoting {
            Quoting::Detect => Some(detect_quote(head, delimiter)?),
            Quoting::Never => None,
            Quoting::By(quote) => Some(quote),
        };
        Ok(Self { delimiter: delimiter.unwrap_or_else(|| detect_delimiter(head, quote)), quote })
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
///
/// Where it stands around values of more lines than it breaks, neither is taken: one row more would put apostrophes around the
/// values of all others, and who learned from them without would learn something else.
fn detect_quote(head: &[u8], delimiter: Option<u8>) -> Result<u8, Doubt> {
    let begins = |quote: u8| {
        let mut before = b'\n';
        head.iter().position(|byte| {
            let is_first =
                before == b'\n' || delimiter.map_or(DELIMITERS.contains(&before), |one| one == before);
            before = *byte;
            *byte == quote && is_first
        })
    };
    if begins(b'\'').is_none() {
        return Ok(b'"');
    }
    let other = begins(b'"');
    let found = |quote: u8| delimiter.unwrap_or_else(|| detect_delimiter(head, Some(quote)));
    let looks = [b'\'', b'"'].map(|quote| Apostrophes::look(head, found(quote)));
    // By a delimiter that fits no line everything is one value, and nothing is broken.
    if other.is_none() && looks[0].broken == 0 && (looks[0].around > 0 || looks[1].broken == 0) {
        return Ok(b'\'');
    }
    let Some(look) = looks.into_iter().find(|look| look.around > look.broken) else { return Ok(b'"') };
    match (other, look.first_broken) {
        (Some(_), _) if is_needed(head, found(b'"')) => Ok(b'"'),
        (_, Some(line)) => Err(Doubt { line, reason: BROKEN }),
        (Some(place), None) => {
            Err(Doubt { line: memchr_iter(b'\n', &head[..place]).count() as u64, reason: BOTH })
        }
        // By the delimiter that `'` gives they are not as wide, and by the other one they are.
        (None, None) => Ok(b'"'),
    }
}

/// What `'` does to the lines of a file.
struct Apostrophes {
    /// Lines that are as wide as the header by it, and have a value that it stands around.
    around: usize,
    /// Lines that it makes no record of that width of.
    broken: usize,
    first_broken: Option<u64>,
}

impl Apostrophes {
    fn look(head: &[u8], delimiter: u8) -> Self {
        let mut found = Self { around: 0, broken: 0, first_broken: None };
        let mut columns = None;
        for (number, line) in head.split(|byte| *byte == b'\n').enumerate() {
            if matches!(line, [] | [b'\r']) {
                continue;
            }
            let by = |quote: u8| width(line, Dialect { delimiter, quote: Some(quote) });
            let own = by(b'\'');
            // The header may be what is broken.
            let columns = *columns.get_or_insert_with(|| own.or(by(b'"')).map(|(fields, _)| fields));
            if let Some((_, quoted)) = own.filter(|(fields, _)| Some(*fields) == columns) {
                found.around += usize::from(quoted > 0);
            } else {
                found.broken += 1;
                found.first_broken = found.first_broken.or(Some(number as u64));
            }
        }
        found
    }
}

/// Returns whether `"` makes records of one width of all, and stands around something that would not be a value without.
fn is_needed(head: &[u8], delimiter: u8) -> bool {
    let dialect = Dialect { delimiter, quote: Some(b'"') };
    let (mut columns, mut at, mut is_needed) = (None, skip_empty_lines(head, 0), false);
    while at < head.len() {
        let mut cursor = Cursor::new(head, dialect, at);
        let mut fields = 0;
        at = loop {
            let is_quoted = cursor.is_quoted();
            match cursor.next() {
                Ok(Field::Value(value)) => {
                    fields += 1;
                    is_needed |= is_quoted
                        && value.iter().any(|byte| matches!(byte, b'"' | b'\n') || *byte == delimiter);
                }
                Ok(Field::End(end)) => break skip_empty_lines(head, end),
                Err(_) => return false,
            }
        };
        if *columns.get_or_insert(fields) != fields {
            return false;
        }
    }
    is_needed
}

/// Returns how many values a line has, and how many of them are quoted, if its quotes match.
fn width(line: &[u8], dialect: Dialect) -> Option<(usize, usize)> {
    let mut cursor = Cursor::new(line, dialect, 0);
    let (mut fields, mut quoted) = (0, 0);
    loop {
        let is_quoted = cursor.is_quoted();
        match cursor.next().ok()? {
            Field::Value(_) => {
                fields += 1;
                quoted += usize::from(is_quoted);
            }
            Field::End(_) => return Some((fields, quoted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &str) -> (char, char) {
        let dialect = Dialect::detect(head.as_bytes(), None, Quoting::Detect).expect("no doubt");
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
    fn one_row_does_not_put_apostrophes_around_the_values_of_all_others() {
        let doubt = |head: &str, delimiter: Option<u8>| {
            Dialect::detect(head.as_bytes(), delimiter, Quoting::Detect)
                .map_err(|doubt| (doubt.line, doubt.reason))
        };
        let songs = "tempo,title,hit\n0.5,'Naima',no\n\n0.6,'Blue Train',yes\n";
        for (row, reason) in [
            ("0.7,'Truckin' home',yes", BROKEN),
            ("0.7,'Round Midnight,yes", BROKEN),
            ("0.7,'Truckin'", BROKEN),
            ("0.7,\"Truckin\",yes", BOTH),
        ] {
            assert_eq!(doubt(&format!("{songs}{row}\n"), None), Err((4, reason)), "{row}");
            let text = format!("{songs}{row}\n").replace(',', ";");
            assert_eq!(doubt(&text, Some(b';')), Err((4, reason)), "{row}");
        }
        assert_eq!(doubt("'a,'b'\n1,'x'\n2,'y'\n", None), Err((0, BROKEN)));
        assert_eq!(doubt("\"a\",\"b\"\n1,'x'\n2,'y'\n", None), Err((0, BOTH)));
        assert_eq!(found("a;b;c\n1;'Tis;Autumn'\n"), (';', '"'));
        // Where `"` is needed it is the quote, and what is around a few titles among more that only begin so is none.
        assert_eq!(found("a,b\n1,'x'\n2,'y'\n3,\"'y, z'\"\n"), (',', '"'));
        assert_eq!(found("a,b\n1,'x'\n2,'y'\n3,\"a \"\"z\"\"\"\n"), (',', '"'));
        assert_eq!(found("a,b\n1,'Heroes'\n2,'Round Midnight\n3,Truckin'\n"), (',', '"'));
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
        assert_eq!(dialect, Ok(Dialect { delimiter: b';', quote: None }));
    }
}
