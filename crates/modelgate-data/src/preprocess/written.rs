//! Numbers that are text here, by how they are written: with a decimal comma, with something between thousands, with a sign of
//! per cent, of a currency or of a unit, or with a minus that no keyboard has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Letters that a unit has at most, as `km/h`: longer ones are words, and what has them is a category.
const LONGEST_UNIT: usize = 4;

/// What stands between thousands besides commas: white space that divides no line, and the common one.
const SPACES: [char; 4] = [' ', '\u{a0}', '\u{2009}', '\u{202f}'];

/// How numbers are written that are not read as such.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Written {
    commas: Option<Commas>,
    /// Whether there is white space between thousands.
    spaces: bool,
    /// Whether a minus is the sign of mathematics, U+2212.
    minus: bool,
    /// What stands before or behind the digits, as `%`, `$` or `kg`.
    sign: Option<String>,
}

/// What commas are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Commas {
    /// `1.234,5`.
    Decimal,
    /// `1,234.5`.
    Thousands,
    /// `1,234`, which may be either.
    Either,
}

/// A number as it is written.
struct Parts<'a> {
    /// Digits, points and commas.
    digits: Cow<'a, str>,
    spaces: bool,
    minus: bool,
    /// Empty when there is none.
    sign: &'a str,
}

impl Written {
    /// Returns how nearly all of `texts` are written; `None` when they are no such numbers.
    pub(crate) fn of(texts: &[&str]) -> Option<Self> {
        let most_others = texts.len() / 20;
        let mut parts = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            parts.extend(Parts::of(text));
            // Most columns of text are known to be none by their first texts.
            if at + 1 - parts.len() > most_others {
                return None;
            }
        }
        let mut signs: BTreeMap<&str, usize> = BTreeMap::new();
        for part in parts.iter().filter(|part| !part.sign.is_empty()) {
            *signs.entry(part.sign).or_default() += 1;
        }
        // The first of several.
        let sign = signs.iter().fold(
            ("", 0),
            |best, (sign, count)| {
                if *count > best.1 { (*sign, *count) } else { best }
            },
        );
        let enough = |is: &dyn Fn(&Parts<'_>) -> bool| {
            texts.len() - parts.iter().filter(|part| is(part)).count() <= most_others
        };
        if !enough(&|part| part.sign.is_empty() || part.sign == sign.0) {
            return None;
        }
        let commas = if parts.iter().any(|part| part.digits.contains(',')) {
            let decimal = enough(&|part| has_decimal_comma(&part.digits));
            Some(match (decimal, enough(&|part| has_thousands(&part.digits))) {
                (true, false) => Commas::Decimal,
                (false, true) => Commas::Thousands,
                (true, true) => Commas::Either,
                (false, false) => return None,
            })
        } else if enough(&|part| has_thousands(&part.digits)) {
            None
        } else {
            return None;
        };
        let found = Self {
            commas,
            spaces: parts.iter().any(|part| part.spaces),
            minus: parts.iter().any(|part| part.minus),
            sign: (!sign.0.is_empty()).then(|| sign.0.to_owned()),
        };
        (found != Self::default()).then_some(found)
    }

    /// Returns whether few texts are enough to say so: `1st`, `2nd` and `4WD` have letters as well.
    pub(crate) fn is_sure(&self) -> bool {
        self.sign.as_ref().is_none_or(|sign| !sign.starts_with(char::is_alphabetic) || has_currency(sign))
    }

    /// Returns what to do.
    pub(crate) fn advice(&self) -> &'static str {
        match (self.commas, self.spaces || self.sign.is_some(), self.minus) {
            (Some(Commas::Decimal), false, false) => {
                "write them with a point, as pandas does with what `read_csv(…, decimal=\",\")` has read"
            }
            (Some(Commas::Thousands), false, false) => {
                "write them without, as pandas does with what `read_csv(…, thousands=\",\")` has read"
            }
            (Some(Commas::Either), false, false) => {
                "write them with a point or without, as pandas does with what `read_csv(…, decimal=\",\")` or `thousands=\",\"` \
                 has read"
            }
            (None, true, false) => "write them without",
            (None, false, true) => "write it as `-`",
            _ => "write them as in `-1234.5`",
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commas = self.commas.map(|commas| match commas {
            Commas::Decimal => "a decimal comma",
            Commas::Thousands => "commas between thousands",
            Commas::Either => "commas",
        });
        let parts = [
            self.sign.as_ref().map(|sign| format!("`{sign}`")),
            commas.map(str::to_owned),
            self.spaces.then(|| "spaces between thousands".to_owned()),
            self.minus.then(|| "a minus that is not `-` (U+2212)".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        formatter.write_str(&parts.join(" and "))
    }
}

impl<'a> Parts<'a> {
    /// Takes a text apart; `None` when it is no number.
    fn of(text: &'a str) -> Option<Self> {
        let (mut rest, mut minus) = unsigned(text.trim());
        let currency = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.')?;
        let before = rest[..currency].trim_end_matches(['-', '+', '\u{2212}']).trim();
        if !before.is_empty() {
            if !has_currency(before) {
                return None;
            }
            let behind = unsigned(rest[before.len()..].trim_start());
            (rest, minus) = (behind.0, minus || behind.1);
        }
        let end = rest.rfind(|letter: char| letter.is_ascii_digit())? + 1;
        let behind = rest[end..].trim();
        if !behind.is_empty() && (!before.is_empty() || !is_unit(behind)) {
            return None;
        }
        let (digits, spaces) = without_spaces(&rest[..end])?;
        let sign = if before.is_empty() { behind } else { before };
        Some(Self { digits, spaces, minus, sign })
    }
}

/// Returns a text without the sign before it, and whether that is the minus of mathematics.
fn unsigned(text: &str) -> (&str, bool) {
    match text.strip_prefix('\u{2212}') {
        Some(rest) => (rest.trim_start(), true),
        None => (text.trim_start_matches(['-', '+']).trim_start(), false),
    }
}

/// Holds for `$`, `US$`, `€` and `USD`: a sign of a currency, and the codes of those that are written most.
fn has_currency(text: &str) -> bool {
    let is_sign = |letter: char| matches!(letter, '$' | '£' | '¥' | '¢' | '\u{20a0}'..='\u{20cf}');
    let is_code = ["USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR"].contains(&text);
    is_code || (text.contains(is_sign) && text.chars().count() <= LONGEST_UNIT)
}

/// Holds for `%`, `€`, `kg`, `m²`, `km/h` and `°C`.
fn is_unit(text: &str) -> bool {
    let is_part = |letter: char| {
        letter.is_alphabetic() || matches!(letter, '°' | '/' | '²' | '³' | '\'' | '"' | '′' | '″')
    };
    matches!(text, "%" | "‰")
        || has_currency(text)
        || (text.chars().count() <= LONGEST_UNIT && text.chars().all(is_part))
}

/// Returns digits without the white space between thousands, and whether there was any; `None` where it stands elsewhere.
/// A number does not begin with 0 before more digits, as those of telephones do.
fn without_spaces(text: &str) -> Option<(Cow<'_, str>, bool)> {
    if !text.contains(SPACES) {
        return Some((Cow::Borrowed(text), false));
    }
    let whole = text.split(['.', ',']).next().unwrap_or_default();
    let grouped: String =
        whole.chars().map(|letter| if SPACES.contains(&letter) { ' ' } else { letter }).collect();
    if !is_grouped(&grouped, ' ') || grouped.starts_with('0') || text[whole.len()..].contains(SPACES) {
        return None;
    }
    Some((Cow::Owned(text.replace(SPACES, "")), true))
}

/// Holds for `1.234,5` and `3,75`, also `12`, of a column that has others.
fn has_decimal_comma(text: &str) -> bool {
    let (whole, part) = text.split_once(',').unwrap_or((text, "0"));
    is_grouped(whole, '.') && is_digits(part)
}

/// Holds for `1,234.5` and `12,345`, also `12.5` and `.5`, of a column that has others.
fn has_thousands(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    (whole.is_empty() || is_grouped(whole, ',')) && is_digits(part)
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_number_or_none(text in "[-+\u{2212}€$% \u{a0}.,05kUSD°²]{0,8}") {
            let _ = Written::of(&[text.as_str()]).map(|written| (written.to_string(), written.advice()));
        }
    }

    #[test]
    fn numbers_are_told_from_texts_by_how_they_are_written() {
        for (texts, expected) in [
            (&["1.234,5", "-3,75", "12"][..], "a decimal comma"),
            (&["25,734.80", "734.80", "-1,000"], "commas between thousands"),
            (&["1,234", "12,345", "99"], "commas"),
            (&["43.4558%", "5 %", "0"], "`%`"),
            (&["$5650", "-$7.20", "$-1"], "`$`"),
            (&["12.30 €", "0.00 €"], "`€`"),
            (&["1.234,50 €", "−3,00 €"], "`€` and a decimal comma and a minus that is not `-` (U+2212)"),
            (&["17kg", "2.5 kg"], "`kg`"),
            (&["1\u{a0}100", "12 345 678", "99"], "spaces between thousands"),
            (&["1 234,5", "2,5"], "a decimal comma and spaces between thousands"),
            (&["−0.5", "1.5"], "a minus that is not `-` (U+2212)"),
            (&["- €5", "€ 7"], "`€`"),
            (&["USD 5", "USD 1,200.50"], "`USD` and commas between thousands"),
        ] {
            let found = Written::of(texts).map(|written| written.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{texts:?}");
        }
        for texts in [
            &["12.5", "13"][..],
            &["1234,567.8"],
            &["1,2,3"],
            &["Main St, 5", "1,5"],
            &["", ","],
            &[],
            &["A1", "A2"],
            &["customer 7", "customer 8"],
            &["1kg", "500g"],
            &["1 bedroom", "2 bedroom"],
            &["030 123 456", "555 12"],
            &["10-19", "20-29"],
            &["31.12.2024", "01.02.2024"],
            &["1.2.10%"],
            &["−"],
            &["$"],
        ] {
            assert_eq!(Written::of(texts), None, "{texts:?}");
        }
        let sure = |text: &str| Written::of(&[text]).is_some_and(|written| written.is_sure());
        assert!(sure("5%") && sure("€ 5") && sure("USD 5") && !sure("4WD") && !sure("12a"));
    }

    #[test]
    fn what_is_said_is_what_to_write() {
        let advice = |text: &str| Written::of(&[text]).map(|written| written.advice());
        assert_eq!(advice("5 %"), Some("write them without"));
        assert_eq!(advice("1\u{a0}234"), Some("write them without"));
        assert_eq!(advice("−5"), Some("write it as `-`"));
        assert_eq!(advice("−1.234,5 €"), Some("write them as in `-1234.5`"));
        assert!(advice("3,75").is_some_and(|said| said.starts_with("write them with a point")));
    }
}
