//! A `.env` file: variables, one a line. Nothing in a value stands for something else, so that a password with a `$` and
//! JSON are what they are. The file is also that of other programs, whose lines have forms of their own: what is wrong with one
//! of them is not ours to say.

use thiserror::Error;

/// A variable of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its value; often a secret.
    pub value: String,
    /// The line that it begins in, from 1.
    pub line: usize,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}=…", self.name)
    }
}

/// A line that is none. What stands there is not repeated: it may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}: {what}")]
pub struct WrongLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub what: &'static str,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// Its variables, in their order, those of other programs too.
    pub entries: Vec<Entry>,
    /// The first line of another program that makes doubtful what the next ones are.
    pub doubtful: Option<WrongLine>,
}

const EXPECTED: &str = "expected NAME=VALUE, a comment that begins with `#`, or nothing";
const UNCLOSED: &str = "the quotation mark before the value has no end";
const BEHIND: &str = "behind the quotation mark that ends the value, only a comment may follow";
const NUL: &str = "the value holds a zero byte, which no variable can";
const NO_TEXT: &str = "the value is no text in UTF-8";

/// Reads the bytes of a `.env` file; `is_ours` says of a name whether its variable is taken from there.
///
/// # Errors
/// Names the first line of a variable of ours that is none.
pub fn parse(bytes: &[u8], is_ours: &dyn Fn(&str) -> bool) -> Result<Said, WrongLine> {
    // What is no text in a line of another program is its own affair; in a value of ours the sign for it is found.
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut line, mut said) = (1, Said::default());
    while !rest.is_empty() {
        let (found, after) = entry(rest, is_ours);
        match found {
            Ok(None) => {}
            Ok(Some((name, value))) => said.entries.push(Entry { name, value, line }),
            Err(Wrong::Ours(what)) => return Err(WrongLine { line, what }),
            Err(Wrong::Others(what)) => {
                said.doubtful.get_or_insert(WrongLine { line, what });
            }
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(said)
}

/// What is wrong with a line, by whose it is.
enum Wrong {
    Ours(&'static str),
    Others(&'static str),
}

/// Whether a byte may stand in a name.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the text up to the end of the line, and what comes behind it.
fn line_of(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Reads what the text begins with, and returns what comes behind it. A line without a value is one that takes it from the
/// environment, or of another program.
fn entry<'t>(
    text: &'t str,
    is_ours: &dyn Fn(&str) -> bool,
) -> (Result<Option<(String, String)>, Wrong>, &'t str) {
    let (line, after) = line_of(text);
    let told = line.trim();
    if told.is_empty() || told.starts_with('#') {
        return (Ok(None), after);
    }
    let told = told.strip_prefix("export ").unwrap_or(told).trim_start();
    let name = &told[..told.bytes().position(|byte| !is_part(byte)).unwrap_or(told.len())];
    let behind = &told[name.len()..];
    let is_name = !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit());
    let Some(plain) = behind.trim_start().strip_prefix('=').filter(|_| is_name) else {
        // `PORT: 1` and `PORT 1` were meant for us; `port-of-others=1` and `PORT` alone were not.
        let is_meant = behind.starts_with([' ', '\t', ':']) && is_ours(name);
        return (if is_meant { Err(Wrong::Ours(EXPECTED)) } else { Ok(None) }, after);
    };
    let ours = is_ours(name);
    let wrong = |what| if ours { Wrong::Ours(what) } else { Wrong::Others(what) };
    // A value in quotation marks may go over lines.
    let whole = text.split_once('=').map_or("", |(_, value)| value).trim_start_matches([' ', '\t']);
    let (value, after) = match whole.chars().next() {
        Some(mark @ ('"' | '\'')) => match quoted(&whole[1..], mark) {
            Err(what) => return (Err(wrong(what)), after),
            Ok((value, behind)) => {
                let (tail, next) = line_of(behind);
                let tail = tail.trim();
                if tail.is_empty() || tail.starts_with('#') {
                    (value, next)
                } else if ours {
                    return (Err(Wrong::Ours(BEHIND)), after);
                } else if value.contains('\n') {
                    // The mark that ends it is the first of another value: the lines between are read for themselves.
                    return (Err(Wrong::Others(UNCLOSED)), after);
                } else {
                    return (Ok(None), next);
                }
            }
        },
        _ => (without_comment(plain).trim().to_owned(), after),
    };
    let what = match () {
        () if value.contains('\0') => NUL,
        () if value.contains('\u{fffd}') => NO_TEXT,
        () => return (Ok(Some((name.to_owned(), value))), after),
    };
    (if ours { Err(Wrong::Ours(what)) } else { Ok(None) }, after)
}

/// Returns a value up to the mark that ends it, and what comes behind that.
fn quoted(text: &str, mark: char) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter == mark => return Ok((value, letters.as_str())),
            '\\' if mark == '"' => match letters.next().ok_or(UNCLOSED)? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                same @ ('"' | '\\' | '$') => value.push(same),
                other => value.extend(['\\', other]),
            },
            _ => value.push(letter),
        }
    }
    Err(UNCLOSED)
}

/// Returns a value without the comment behind it: a `#` within a word is part of it.
fn without_comment(value: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| value[..*at].ends_with([' ', '\t']);
    value.match_indices('#').find(begins).map_or(value, |(at, _)| &value[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_stands_there() {
        let text = "\u{feff}# secrets\r\n\nPORT=8081\r\n export HOST = 127.0.0.1  # here\nTOKEN=pa$s#word'\n\
                    MODELGATE_SERVE={\"out_of_range\": \"reject\"}\nSINGLE='a \\n $b # c' # d\n\
                    DOUBLE=\"one\\ntwo \\\"three\\\" C:\\dir\"\nLONG=\"first\nsecond\"\nEMPTY=\nNONE= # nothing\nLAST=a=b";
        let entries = parse(text.as_bytes(), &|_| true).expect("a file").entries;
        let found: Vec<(&str, &str)> =
            entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("PORT", "8081"),
                ("HOST", "127.0.0.1"),
                ("TOKEN", "pa$s#word'"),
                ("MODELGATE_SERVE", "{\"out_of_range\": \"reject\"}"),
                ("SINGLE", "a \\n $b # c"),
                ("DOUBLE", "one\ntwo \"three\" C:\\dir"),
                ("LONG", "first\nsecond"),
                ("EMPTY", ""),
                ("NONE", ""),
                ("LAST", "a=b"),
            ]
        );
        assert_eq!(format!("{:?}", entries[2]), "TOKEN=…");
        assert_eq!(
            entries.iter().map(|entry| entry.line).collect::<Vec<_>>(),
            [3, 4, 5, 6, 7, 8, 9, 11, 12, 13]
        );
        assert_eq!(parse(b"", &|_| true), Ok(Said::default()));
    }

    #[test]
    fn a_line_of_ours_that_is_none_is_told_by_its_number_alone() {
        for (text, line, what) in [
            (&b"A=1\n\nTOKEN secret\n"[..], 3, EXPECTED),
            (b"A=\"1\n2\"\nTOKEN: secret\n", 3, EXPECTED),
            (b"TOKEN='secret\nB=1\n", 1, UNCLOSED),
            (b"B=1\nTOKEN=\"secret\\", 2, UNCLOSED),
            (b"export TOKEN='x'secret", 1, BEHIND),
            (b"TOKEN=sec\0ret", 1, NUL),
            (b"# \xe9\nTOKEN=secret\xe9", 2, NO_TEXT),
        ] {
            let found = parse(text, &|name| name == "TOKEN");
            assert_eq!(found, Err(WrongLine { line, what }), "{}", text.escape_ascii());
        }
        let told = parse(b"TOKEN secret", &|_| true).expect_err("no variable").to_string();
        assert!(told.starts_with("line 1: expected NAME=VALUE") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn lines_of_other_programs_are_passed_over() {
        let ours = |name: &str| ["TOKEN", "PORT"].contains(&name);
        for (text, doubtful) in [
            (&b"BARE\nexport FOO\nTOKEN\nFOO: bar\nmy-key=1\nspring.port=1\nPORT.x=1\nPORT-y=1\nset -a\n1A=x\nA B=x\n=x"[..], None),
            (b"A=\"x\"y\nB='it''s'\nC=x\0y", None),
            (b"# caf\xe9\nNAME=\xe9", None),
            (b"KEY=-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF+/AASC==\n-----END PRIVATE KEY-----", None),
            (b"X=1\nA=\"no end", Some(2)),
            (b"A='no end\nB='x'", Some(1)),
        ] {
            let text = [text, b"\nTOKEN='t'\n"].concat();
            let said = parse(&text, &ours).unwrap_or_else(|wrong| panic!("{}: {wrong}", text.escape_ascii()));
            let last = said.entries.last().map(|entry| (entry.name.as_str(), entry.value.as_str()));
            assert_eq!(last, Some(("TOKEN", "t")), "{}", text.escape_ascii());
            assert_eq!(said.doubtful.map(|wrong| wrong.line), doubtful, "{}", text.escape_ascii());
        }
    }
}
