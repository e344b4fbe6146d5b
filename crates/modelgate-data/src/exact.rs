//! Values to the last digit, where a cell holds the nearest double or the microsecond before it.
//!
//! Models compute in less. Whoever compares values, counts different ones or knows rows by them asks for their texts.

use std::cmp::Ordering;

use crate::time;
use crate::types::{parse_float, trim};

/// Digits that every double tells apart.
const SURE_DIGITS: usize = 15;

/// Digits that a double has at most when it is written out.
const MOST_DIGITS: usize = 767;

/// Places before and behind the point up to which a number is written without an exponent.
const PLAIN: i64 = 80;

/// A decimal number: its digits without zeros at either end, and the power of ten that the last of them stands for.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    fn read(text: &[u8]) -> Option<Self> {
        let (is_negative, rest) = match trim(text) {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let end = rest.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(rest.len());
        let mut power = match rest.get(end + 1..) {
            Some(exponent) => std::str::from_utf8(exponent).ok()?.parse::<i64>().ok()?,
            None => 0,
        };
        let (mut digits, mut has_point, mut is_number) = (Vec::new(), false, false);
        for byte in &rest[..end] {
            match byte {
                b'0'..=b'9' => {
                    is_number = true;
                    power = power.checked_sub(i64::from(has_point))?;
                    if !digits.is_empty() || *byte != b'0' {
                        digits.push(*byte);
                    }
                }
                b'.' if !has_point => has_point = true,
                _ => return None,
            }
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
            power = power.checked_add(1)?;
        }
        let is_zero = digits.is_empty();
        is_number.then_some(Self {
            is_negative: is_negative && !is_zero,
            power: if is_zero { 0 } else { power },
            digits,
        })
    }

    fn show(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = String::from_utf8_lossy(&self.digits);
        let (count, power) = (self.digits.len() as i64, self.power);
        match power {
            _ if count == 0 => "0".to_owned(),
            0..=PLAIN => format!("{sign}{digits}{}", "0".repeat(power as usize)),
            _ if power < 0 && power >= -count - PLAIN => {
                let padded = "0".repeat((1 - power - count).max(0) as usize) + &digits;
                let (whole, fraction) = padded.split_at((padded.len() as i64 + power) as usize);
                format!("{sign}{whole}.{fraction}")
            }
            _ => format!("{sign}{digits}e{power}"),
        }
    }

    /// Returns whether a double of this text stands for other numbers as well that are written with as many digits. What is
    /// a double written out, as numpy does with 19 digits, is that double.
    fn is_rounded(&self, double: f64) -> bool {
        if !double.is_finite() || (double == 0.0 && !self.digits.is_empty()) {
            return true;
        }
        if self.digits.len() <= SURE_DIGITS {
            return false;
        }
        if self.digits.len() > MOST_DIGITS {
            return true;
        }
        let written = format!("{double:.*e}", self.digits.len() - 1);
        Self::read(written.as_bytes()).is_none_or(|written| written != *self)
    }
}

/// Returns the digits of a number where the double that is read from it has lost some.
pub(crate) fn rounded_number(text: &[u8], double: f64) -> Option<Box<str>> {
    let is_short = text.len() <= SURE_DIGITS && double.is_finite();
    // Most numbers are turned away by their length; none has so few digits that it is nothing.
    if is_short && (double != 0.0 || !text.iter().any(|byte| matches!(byte, b'1'..=b'9'))) {
        return None;
    }
    let read = Decimal::read(text)?;
    (read.is_rounded(double) || parse_float(trim(text)) != Some(double)).then(|| read.show().into())
}

/// Returns a moment to the last digit where the text has some beyond the microsecond.
pub(crate) fn rounded_moment(text: &[u8], micros: i64) -> Option<Box<str>> {
    let point = text.iter().rposition(|byte| *byte == b'.')?;
    let digits = text.get(point + 7..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let is_fraction = text[point + 1..point + 7].iter().all(u8::is_ascii_digit);
    let digits: String = digits.map(|byte| char::from(*byte)).collect();
    let beyond = digits.trim_end_matches('0');
    (is_fraction && !beyond.is_empty()).then(|| moment(micros, beyond))
}

/// Returns a moment of nanoseconds to the last digit where it is no whole microsecond.
pub(crate) fn rounded_nanos(nanos: i64) -> Option<Box<str>> {
    let beyond = nanos.rem_euclid(1000);
    let digits = format!("{beyond:03}");
    (beyond != 0).then(|| moment(nanos.div_euclid(1000), digits.trim_end_matches('0')))
}

fn moment(micros: i64, beyond: &str) -> Box<str> {
    let (second, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let shown = time::show_timestamp(second.saturating_mul(1_000_000));
    format!("{}.{micros:06}{beyond}Z", shown.trim_end_matches('Z')).into()
}

/// Compares a whole number with a double, neither of them rounded to the other.
pub(crate) fn compared(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond the range of a whole number the cast ends at its limits, which no value of the data reaches.
    let below = double.floor();
    let with_fraction = if double > below { Ordering::Less } else { Ordering::Equal };
    Some(whole.cmp(&(below as i128)).then(with_fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(text: &str) -> Option<String> {
        rounded_number(text.as_bytes(), text.trim().parse().expect("a number")).map(String::from)
    }

    #[test]
    fn a_number_is_rounded_where_another_of_as_many_digits_is_the_same_double() {
        for text in [
            "89490000001234567891",
            "9007199254740993",
            "1.000000000000000009",
            "0.12345678901234567891",
            "-12345678901234567.25",
            "1e999",
            "1e-999",
        ] {
            assert_eq!(rounded(text).as_deref(), Some(text));
        }
        for text in [
            "0.1",
            "0.10000000000000001",
            "1.000000000000000056e-01",
            "0.30000000000000004",
            "18446744073709551616",
            "1000000000000000000000000",
            "0.000000000000000000000000000000000001",
            "inf",
            "0e5",
        ] {
            assert_eq!(rounded(text), None, "{text}");
        }
        assert!(rounded(&format!("0.{}", "1".repeat(100_000))).is_some());
        assert_eq!(rounded("+0089490000001234567891.00"), rounded("8949000000123456789.1e1"));
        assert_eq!(rounded("1234567890123456789e-21").as_deref(), Some("0.001234567890123456789"));
        assert_eq!(rounded("1234567890123456789e-200").as_deref(), Some("1234567890123456789e-200"));
    }

    #[test]
    fn a_moment_keeps_what_is_beyond_the_microsecond() {
        let rounded = |text: &str| rounded_moment(text.as_bytes(), 1_413_158_400_000_001).map(String::from);
        let expected = Some("2014-10-13T00:00:00.0000015Z".to_owned());
        assert_eq!(rounded("2014-10-13T00:00:00.000001500Z"), expected);
        assert_eq!(rounded_nanos(1_413_158_400_000_001_500).map(String::from), expected);
        assert_eq!((rounded("2014-10-13T00:00:00.000001000Z"), rounded("13.10.2014")), (None, None));
        assert_eq!(rounded_nanos(-1).as_deref(), Some("1969-12-31T23:59:59.999999999Z"));
    }

    #[test]
    fn a_whole_number_beside_a_double_is_not_rounded() {
        use Ordering::{Equal, Greater, Less};
        for (whole, double, expected) in [
            (10_000_000_000_000_001, 1e16, Greater),
            (10_000_000_000_000_000, 1e16, Equal),
            (9, 9.5, Less),
            (-9, -9.5, Greater),
            (i128::from(i64::MAX), f64::INFINITY, Less),
            (i128::from(i64::MIN), f64::NEG_INFINITY, Greater),
        ] {
            assert_eq!(compared(whole, double), Some(expected), "{whole} {double}");
        }
        assert_eq!(compared(1, f64::NAN), None);
    }
}
