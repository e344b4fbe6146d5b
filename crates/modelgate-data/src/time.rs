//! Dates and moments from text: the forms that are recognised, and declared `strptime` formats.

use jiff::civil;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A value that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// Days since 1970-01-01.
    Day(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
}

/// Reads a date or a moment in one of the recognised forms from a trimmed value: `2014-10-13`, `2014/10/13`,
/// `20141013T000000`, `2014-10-13T00:00:00`, with a space for the `T`, a fraction of a second, and `Z` or an offset.
pub(crate) fn parse(value: &[u8]) -> Option<Moment> {
    if value.len() < 10 || !value.first()?.is_ascii_digit() {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        value.get(range)?.iter().try_fold(0_i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte.wrapping_sub(b'0')))
        })
    };
    if value.get(8) == Some(&b'T') {
        let day = day(number(0..4)?, number(4..6)?, number(6..8)?)?;
        let seconds = clock(number(9..11)?, number(11..13)?, number(13..15)?)?;
        return finish(day, seconds, value.get(15..)?);
    }
    let (first, second) = (*value.get(4)?, *value.get(7)?);
    if first != second || !matches!(first, b'-' | b'/') {
        return None;
    }
    let day = day(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let Some(gap) = value.get(10) else { return Some(Moment::Day(day)) };
    if !matches!(gap, b'T' | b't' | b' ') || value.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (number(11..13)?, number(14..16)?);
    match value.get(16) {
        Some(b':') => finish(day, clock(hour, minute, number(17..19)?)?, value.get(19..)?),
        _ => finish(day, clock(hour, minute, 0)?, value.get(16..)?),
    }
}

/// Adds the fraction of a second and takes off the offset.
fn finish(day: i64, seconds: i64, mut rest: &[u8]) -> Option<Moment> {
    let mut micros = 0;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        for place in 0..6 {
            let digit = if place < digits { i64::from(*fraction.get(place)? - b'0') } else { 0 };
            micros = micros * 10 + digit;
        }
        rest = fraction.get(digits..)?;
    }
    let offset = match rest {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let digits: Vec<i64> =
                zone.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| i64::from(byte - b'0')).collect();
            let well_formed = matches!((zone.len(), zone.get(2)), (5, Some(b':')) | (4 | 2, _));
            let (hours, minutes) = match digits.as_slice() {
                [a, b] => (a * 10 + b, 0),
                [a, b, c, d] => (a * 10 + b, c * 10 + d),
                _ => return None,
            };
            if !well_formed || hours > 23 || minutes > 59 {
                return None;
            }
            let size = hours * 3600 + minutes * 60;
            if *sign == b'-' { -size } else { size }
        }
        _ => return None,
    };
    Some(Moment::Instant((day * SECONDS_PER_DAY + seconds - offset) * MICROS_PER_SECOND + micros))
}

fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then(|| hour * 3600 + minute * 60 + second)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
///
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn epoch() -> civil::Date {
    civil::date(1970, 1, 1)
}

fn days_since_epoch(date: civil::Date) -> Option<i64> {
    Some(i64::from(date.since(epoch()).ok()?.get_days()))
}

/// Reads a value by a declared `strptime` format.
pub(crate) fn parse_as(format: &str, value: &[u8]) -> Option<Moment> {
    let text = std::str::from_utf8(value).ok()?;
    let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
    let date = parsed.to_date().ok();
    if let Ok(timestamp) = parsed.to_timestamp() {
        return Some(Moment::Instant(timestamp.as_microsecond()));
    }
    if let Ok(moment) = parsed.to_datetime()
        && parsed.hour().is_some()
    {
        let time = moment.time();
        let seconds =
            i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        let micros = i64::from(time.subsec_nanosecond()) / 1000;
        let days = days_since_epoch(moment.date())?;
        return Some(Moment::Instant((days * SECONDS_PER_DAY + seconds) * MICROS_PER_SECOND + micros));
    }
    days_since_epoch(date?).map(Moment::Day)
}

/// Returns whether what is written by a `strptime` format is recognised without it, as the same date or moment.
pub fn is_recognised(format: &str) -> bool {
    let days = [civil::date(2014, 10, 13).at(12, 30, 15, 0), civil::date(2003, 4, 5).at(6, 7, 8, 0)];
    days.into_iter().all(|moment| {
        let written = written(format, moment).and_then(Result::ok);
        let read =
            written.and_then(|text| Some((parse(text.as_bytes())?, parse_as(format, text.as_bytes())?)));
        read.is_some_and(|(recognised, declared)| recognised == declared)
    })
}

/// Writes a moment of UTC by a `strptime` format.
fn written(format: &str, moment: civil::DateTime) -> Option<Result<String, jiff::Error>> {
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(jiff::fmt::strtime::BrokenDownTime::from(&moment).to_string(format))
}

/// Returns what is wrong with a `strptime` format, if no date could be read by it: a moment that is written by it is to be
/// read back.
pub(crate) fn wrong_format(format: &str) -> Option<String> {
    match written(format, civil::date(2014, 10, 13).at(12, 30, 15, 0))? {
        Err(error) => {
            let error = error.to_string();
            let reason = error.rsplit(": ").next().unwrap_or_default();
            Some(format!("the form `{format}` cannot be read: {reason}"))
        }
        Ok(written) if parse_as(format, written.as_bytes()).is_none() => Some(format!(
            "no date can be read by the form `{format}`: expected one with year, month and day, such as `%d.%m.%Y`"
        )),
        Ok(_) => None,
    }
}

/// Returns the day of a moment.
pub(crate) fn as_day(moment: Moment) -> i64 {
    match moment {
        Moment::Day(day) => day,
        Moment::Instant(micros) => micros.div_euclid(MICROS_PER_SECOND * SECONDS_PER_DAY),
    }
}

/// Returns the microseconds of a moment; those of a day are its midnight in UTC.
pub(crate) fn as_micros(moment: Moment) -> i64 {
    match moment {
        Moment::Day(day) => day.saturating_mul(MICROS_PER_SECOND * SECONDS_PER_DAY),
        Moment::Instant(micros) => micros,
    }
}

fn civil_date(days: i64) -> Option<civil::Date> {
    epoch().checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

/// Returns the year, month and day of a date.
pub(crate) fn year_month_day(days: i64) -> Option<(i64, i64, i64)> {
    civil_date(days).map(|date| (i64::from(date.year()), i64::from(date.month()), i64::from(date.day())))
}

/// Returns `YYYY-MM-DD`.
pub(crate) fn show_date(days: i64) -> String {
    civil_date(days).map_or_else(|| format!("day {days}"), |date| date.to_string())
}

/// Returns RFC 3339 in UTC.
pub(crate) fn show_timestamp(micros: i64) -> String {
    if let Ok(timestamp) = jiff::Timestamp::from_microsecond(micros) {
        return timestamp.to_string();
    }
    // Its range ends a day before the calendar does, for the sake of other zones.
    let day = MICROS_PER_SECOND * SECONDS_PER_DAY;
    let Some(date) = civil_date(micros.div_euclid(day)) else { return format!("microsecond {micros}") };
    let (second, micros) =
        (micros.rem_euclid(day) / MICROS_PER_SECOND, micros.rem_euclid(day) % MICROS_PER_SECOND);
    let fraction = format!(".{micros:06}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{date}T{:02}:{:02}:{:02}{fraction}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        parse(text.as_bytes()).map(as_micros)
    }

    #[test]
    fn a_format_that_reads_no_date_is_told_from_one_that_does() {
        for format in [
            "%d.%m.%Y",
            "%d/%m/%y",
            "%Y%m%d",
            "%b %e, %Y",
            "%A, %d %B %Y",
            "%Y-%j",
            "%d.%m.%Y %H:%M",
            "%s",
            "%m/%d/%Y %I:%M:%S %p",
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S %z",
            "%F %T",
            "%D",
        ] {
            assert_eq!(wrong_format(format), None, "{format}");
        }
        for format in ["%Q", "%Y", "%m.%Y", "%H:%M", "%d.%m.", "%Y-%m-%d %!", "%Y-%m-%d %"] {
            let problem = wrong_format(format).unwrap_or_default();
            assert!(problem.contains(&format!("`{format}`")), "{format}: {problem}");
        }
    }

    #[test]
    fn a_form_that_is_recognised_is_told_from_others() {
        for format in [
            "%Y-%m-%d",
            "%F",
            "%Y/%m/%d",
            "%Y-%m-%dT%H:%M:%S",
            "%F %T",
            "%Y%m%dT%H%M%S",
            "%Y-%m-%d %H:%M:%S%z",
        ] {
            assert!(is_recognised(format), "{format}");
        }
        for format in ["%d.%m.%Y", "%Y-%d-%m", "%Y%m%d", "%m/%d/%Y", "%y-%m-%d", "%Q", "%s"] {
            assert!(!is_recognised(format), "{format}");
        }
    }

    #[test]
    fn the_recognised_forms_agree_with_jiff() {
        let expected = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment").as_microsecond();
        for (text, same) in [
            ("20141013T000000", "2014-10-13T00:00:00Z"),
            ("2014-10-13T01:02:03.5", "2014-10-13T01:02:03.5Z"),
            ("2014-10-13 01:02", "2014-10-13T01:02:00Z"),
            ("2014-10-13T01:02:03+02:00", "2014-10-13T01:02:03+02:00"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2014/10/13", "2014-10-13T00:00:00Z"),
            ("2000-02-29", "2000-02-29T00:00:00Z"),
        ] {
            assert_eq!(micros(text), Some(expected(same)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["2014-13-01", "2013-02-29", "2014-10-13T25:00:00", "20141013", "2014-10/13", "2014-10-13x", "x"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_declared_format_is_read() {
        assert_eq!(parse_as("%d.%m.%Y", b"13.10.2014"), parse(b"2014-10-13"));
        assert_eq!(parse_as("%Y%m%dT%H%M%S", b"20141013T010203"), parse(b"2014-10-13T01:02:03"));
        assert_eq!(parse_as("%d.%m.%Y", b"2014-10-13"), None);
    }

    #[test]
    fn the_last_moments_of_the_calendar_read_back_what_they_print() {
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9999Z", "9999-12-30T22:00:01Z"] {
            assert_eq!(micros(text).map(show_timestamp).as_deref(), Some(text));
        }
        assert_eq!(show_timestamp(i64::MAX), format!("microsecond {}", i64::MAX));
    }

    #[test]
    fn every_day_reads_back_what_it_prints() {
        for days in (-200_000..200_000).step_by(97) {
            assert_eq!(parse(show_date(days).as_bytes()), Some(Moment::Day(days)));
        }
    }
}
