//! A `.env` file: variables, one a line. Nothing in a value stands for something else, so that a password with a `$` and
//! JSON are what they are.

use thiserror::Error;

/// A variable of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its value; often a secret.
    pub value: String,
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

const EXPECTED: &str = "expected NAME=VALUE, a comment that begins with `#`, or nothing";
const NAME: &str = "expected a name of letters, digits and `_` before the `=`";
const UNCLOSED: &str = "the quotation mark before the value has no end";
const BEHIND: &str = "behind the quotation mark that ends the value, only a comment may follow";
const NUL: &str = "the value holds a zero byte, which no variable can";

/// Reads the text of a `.env` file.
///
/// # Errors
/// Names the first line that is none.
pub fn parse(text: &str) -> Result<Vec<Entry>, WrongLine> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut line, mut entries) = (1, Vec::new());
    while !rest.is_empty() {
        let (found, after) = entry(rest).map_err(|what| WrongLine { line, what })?;
        entries.extend(found);
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(entries)
}

/// Returns the text up to the end of the line, and what comes behind it.
fn line_of(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Reads what the text begins with, and returns what comes behind it.
fn entry(text: &str) -> Result<(Option<Entry>, &str), &'static str> {
    let (line, after) = line_of(text);
    let told = line.trim();
    if told.is_empty() || told.starts_with('#') {
        return Ok((None, after));
    }
    let told = told.strip_prefix("export ").unwrap_or(told);
    let (name, plain) = told.split_once('=').ok_or(EXPECTED)?;
    let name = name.trim();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(is_part)
    {
        return Err(NAME);
    }
    // A value in quotation marks may go over lines.
    let whole = text.split_once('=').map_or("", |(_, value)| value).trim_start_matches([' ', '\t']);
    let (value, after) = match whole.chars().next() {
        Some(mark @ ('"' | '\'')) => {
            let (value, behind) = quoted(&whole[1..], mark)?;
            let (tail, after) = line_of(behind);
            let tail = tail.trim();
            if !tail.is_empty() && !tail.starts_with('#') {
                return Err(BEHIND);
            }
            (value, after)
        }
        _ => (without_comment(plain).trim().to_owned(), after),
    };
    if value.contains('\0') {
        return Err(NUL);
    }
    Ok((Some(Entry { name: name.to_owned(), value }), after))
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
        let entries = parse(text).expect("a file");
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
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number_alone() {
        for (text, line, what) in [
            ("A=1\n\nsecret\n", 3, EXPECTED),
            ("A=\"1\n2\"\n=secret\n", 3, NAME),
            ("1A=secret", 1, NAME),
            ("A B=secret", 1, NAME),
            ("A='secret\nB=1\n", 1, UNCLOSED),
            ("B=1\nA=\"secret\\", 2, UNCLOSED),
            ("A='x'secret", 1, BEHIND),
            ("A=sec\0ret", 1, NUL),
        ] {
            assert_eq!(parse(text), Err(WrongLine { line, what }), "{text}");
        }
        let told = parse("secret").expect_err("no variable").to_string();
        assert!(told.starts_with("line 1: expected NAME=VALUE") && !told.contains("secret"), "{told}");
    }
}
