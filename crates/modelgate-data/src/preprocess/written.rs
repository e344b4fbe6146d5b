//! Numbers that are text here, by how they are written: with a decimal comma, or with commas between thousands.

use std::fmt;

/// How numbers are written that are not read as such.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// `1.234,5`.
    DecimalComma,
    /// `1,234.5`.
    Thousands,
    /// `1,234`, which may be either.
    Commas,
}

impl Written {
    /// Returns how nearly all of `texts` are written; `None` when they are no such numbers.
    pub(crate) fn of(texts: &[&str]) -> Option<Self> {
        if !texts.iter().any(|text| text.contains(',')) {
            return None;
        }
        let nearly_all =
            |is: fn(&str) -> bool| texts.iter().filter(|text| is(text)).count() * 20 >= texts.len() * 19;
        match (nearly_all(has_decimal_comma), nearly_all(has_thousands)) {
            (true, false) => Some(Self::DecimalComma),
            (false, true) => Some(Self::Thousands),
            (true, true) => Some(Self::Commas),
            (false, false) => None,
        }
    }

    /// Returns what to do.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::DecimalComma => {
                "write them with a point, as pandas does with what `read_csv(…, decimal=\",\")` has read"
            }
            Self::Thousands => {
                "write them without, as pandas does with what `read_csv(…, thousands=\",\")` has read"
            }
            Self::Commas => {
                "write them with a point or without, as pandas does with what `read_csv(…, decimal=\",\")` or `thousands=\",\"` \
                 has read"
            }
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DecimalComma => "a decimal comma",
            Self::Thousands => "commas between thousands",
            Self::Commas => "commas",
        })
    }
}

/// Holds for `1.234,5` and `-3,75`, also `12`, of a column that has others.
fn has_decimal_comma(text: &str) -> bool {
    let text = unsigned(text);
    let (whole, part) = text.split_once(',').unwrap_or((text, "0"));
    is_grouped(whole, '.') && is_digits(part)
}

/// Holds for `1,234.5` and `-12,345`, also `12.5`, of a column that has others.
fn has_thousands(text: &str) -> bool {
    let text = unsigned(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    is_grouped(whole, ',') && is_digits(part)
}

fn unsigned(text: &str) -> &str {
    text.trim().trim_start_matches(['-', '+'])
}

/// Holds for digits, and for groups of three behind up to three.
fn is_grouped(text: &str, separator: char) -> bool {
    let mut groups = text.split(separator);
    let Some(first) = groups.next().filter(|first| is_digits(first)) else { return false };
    let mut groups = groups.peekable();
    (groups.peek().is_none() || first.len() <= 3) && groups.all(|group| is_digits(group) && group.len() == 3)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_texts_by_how_they_are_written() {
        for (texts, expected) in [
            (&["1.234,5", "-3,75", "12"][..], Some(Written::DecimalComma)),
            (&["25,734.80", "734.80", "-1,000"], Some(Written::Thousands)),
            (&["1,234", "12,345", "99"], Some(Written::Commas)),
            (&["12.5", "13"], None),
            (&["1234,567.8"], None),
            (&["1,2,3"], None),
            (&["Main St, 5", "1,5"], None),
            (&["", ","], None),
            (&[], None),
        ] {
            assert_eq!(Written::of(texts), expected, "{texts:?}");
        }
    }
}
