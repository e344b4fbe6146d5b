//! What the numbers of a column stand for, so that a part reads as a rule would write it.

use serde::{Deserialize, Serialize};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// What a number stands for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Itself.
    #[default]
    Number,
    /// `false` and `true`, as 0 and 1.
    Bool,
    /// Days since 1970-01-01.
    Day,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Moment,
}

impl Meaning {
    /// Returns whether numbers stand for themselves.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
    pub(crate) fn is_number(&self) -> bool {
        *self == Self::Number
    }

    /// Returns a number as a rule writes it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Number => value.to_string(),
            Self::Bool => (value != 0.0).to_string(),
            Self::Day => date(value as i64),
            Self::Moment => {
                let (day, micros) =
                    ((value as i64).div_euclid(MICROS_PER_DAY), (value as i64).rem_euclid(MICROS_PER_DAY));
                let (seconds, part) = (micros / 1_000_000, micros % 1_000_000);
                let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
                let part = if part == 0 { String::new() } else { format!(".{part:06}") };
                format!("{}T{clock}{part}Z", date(day))
            }
        }
    }
}

/// Returns `YYYY-MM-DD` of days since 1970-01-01.
///
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn date(days: i64) -> String {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_read_as_they_are_written() {
        let day = |days: i64| Meaning::Day.show(days as f64);
        assert_eq!([day(0), day(-1), day(19_782)], ["1970-01-01", "1969-12-31", "2024-02-29"]);
        assert_eq!([day(19_844), day(11_016)], ["2024-05-01", "2000-02-29"]);
        let moment = |micros: i64| Meaning::Moment.show(micros as f64);
        assert_eq!(moment(19_844 * MICROS_PER_DAY + 3_723_000_000), "2024-05-01T01:02:03Z");
        assert_eq!(moment(-500_000), "1969-12-31T23:59:59.500000Z");
        assert_eq!([Meaning::Bool.show(1.0), Meaning::Bool.show(0.0)], ["true", "false"]);
        assert_eq!(Meaning::Number.show(19_844.0), "19844");
    }
}
