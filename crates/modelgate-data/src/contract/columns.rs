//! What a contract asks of the values of one column, made ready for checking.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex::Regex;

use crate::batch::{BatchColumn, Cells};
use crate::contract::{Bound, ColumnContract};
use crate::exact;
use crate::time;

/// What a number is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// A whole number, day or microsecond: compared as such with whole numbers, which doubles hold only up to 2^53.
    Whole(i64),
    /// A number.
    Number(f64),
}

impl Limit {
    fn compared_with(self, value: i64) -> Option<Ordering> {
        match self {
            Self::Whole(limit) => Some(value.cmp(&limit)),
            Self::Number(limit) => exact::compared(i128::from(value), limit),
        }
    }

    fn compared_with_number(self, value: f64) -> Option<Ordering> {
        match self {
            Self::Whole(limit) => value.partial_cmp(&(limit as f64)),
            Self::Number(limit) => value.partial_cmp(&limit),
        }
    }
}

/// One thing that is asked of the values.
#[derive(Clone, Debug)]
pub(crate) enum ValueCheck {
    NotNull,
    Min(Limit),
    Max(Limit),
    Numbers(Vec<Limit>),
    Texts(BTreeSet<String>),
    Pattern(Regex),
    MinLength(u64),
    MaxLength(u64),
}

/// A check with its name and its sentence.
#[derive(Clone, Debug)]
pub(crate) struct NamedCheck {
    /// What stands behind the column's name in the id.
    pub(crate) name: &'static str,
    /// What holds, such as `is at least 1`.
    pub(crate) sentence: String,
    pub(crate) check: ValueCheck,
}

/// Returns the checks of a column.
pub(crate) fn compile(name: &str, column: &ColumnContract) -> Result<Vec<NamedCheck>, String> {
    let column_type = column.column_type;
    let key = |key: &str| format!("columns.{name}.{key}");
    let number = |what: &str, bound: &Bound| {
        let wrong = || format!("{}: `{bound}` is not a value of a {column_type} column", key(what));
        let whole = bound.whole(column_type).map(Limit::Whole);
        whole.or_else(|| bound.number(column_type).map(Limit::Number)).ok_or_else(wrong)
    };
    let mut found = Vec::new();
    let mut add = |name: &'static str, sentence: String, check: ValueCheck| {
        found.push(NamedCheck { name, sentence, check });
    };
    if column.format.is_some() && !column_type.is_time() {
        return Err(format!("{}: a format is for dates and timestamps", key("format")));
    }
    if let Some(problem) = column.format.as_deref().and_then(time::wrong_format) {
        return Err(format!("{}: {problem}", key("format")));
    }
    if !column.nullable {
        add("nullable", "has a value".to_owned(), ValueCheck::NotNull);
    }
    if let Some(min) = &column.min {
        add("min", format!("is at least {min}"), ValueCheck::Min(number("min", min)?));
    }
    if let Some(max) = &column.max {
        add(
            "max",
            format!("is at most {max}"),
            ValueCheck::Max(
                max.last(column_type).map_or_else(|| number("max", max), |last| Ok(Limit::Whole(last)))?,
            ),
        );
    }
    let as_number = |bound: &Option<Bound>| bound.as_ref().and_then(|bound| bound.number(column_type));
    let last = column.max.as_ref().and_then(|max| max.last(column_type)).map(|last| last as f64);
    let last = last.or_else(|| as_number(&column.max));
    if as_number(&column.min).zip(last).is_some_and(|(min, max)| min > max) {
        return Err(format!("columns.{name}: `min` is above `max`: no value keeps both"));
    }
    if column.min_length.zip(column.max_length).is_some_and(|(min, max)| min > max) {
        return Err(format!("columns.{name}: `min_length` is above `max_length`: no text keeps both"));
    }
    if let Some(values) = &column.values {
        if values.is_empty() {
            return Err(format!("{}: it names no value, so no row could keep it", key("values")));
        }
        let shown: Vec<String> = values.iter().take(12).map(ToString::to_string).collect();
        let more = if values.len() > 12 { format!(" and {} more", values.len() - 12) } else { String::new() };
        let sentence = format!("is one of {}{more}", shown.join(", "));
        let check = if column_type.is_text() {
            ValueCheck::Texts(values.iter().map(ToString::to_string).collect())
        } else {
            ValueCheck::Numbers(values.iter().map(|value| number("values", value)).collect::<Result<_, _>>()?)
        };
        add("values", sentence, check);
    }
    let is_text = column_type.is_text();
    for (what, is_asked) in [
        ("pattern", column.pattern.is_some()),
        ("min_length", column.min_length.is_some()),
        ("max_length", column.max_length.is_some()),
    ] {
        if is_asked && !is_text {
            return Err(format!("{}: it is for text, and the column is {column_type}", key(what)));
        }
    }
    if let Some(pattern) = &column.pattern {
        let anchored = format!("^(?:{pattern})$");
        let regex = Regex::new(&anchored)
            .map_err(|_| format!("{}: `{pattern}` is not a regular expression", key("pattern")))?;
        add("pattern", format!("matches {pattern}"), ValueCheck::Pattern(regex));
    }
    if let Some(length) = column.min_length {
        add("min_length", format!("has at least {length} letters"), ValueCheck::MinLength(length));
    }
    if let Some(length) = column.max_length {
        add("max_length", format!("has at most {length} letters"), ValueCheck::MaxLength(length));
    }
    if column.allow.is_some() && column.unique && found.is_empty() {
        return Err(format!(
            "{}: it is for what is asked of each value, and `unique` allows none; remove it",
            key("allow")
        ));
    }
    Ok(found)
}

impl ValueCheck {
    /// Returns whether it compares numbers, days or moments.
    pub(crate) fn compares_numbers(&self) -> bool {
        matches!(self, Self::Min(_) | Self::Max(_) | Self::Numbers(_))
    }

    /// Calls `broken` for each row that breaks the check; a null breaks only [`ValueCheck::NotNull`].
    pub(crate) fn each_broken(&self, column: &BatchColumn, rows: usize, mut broken: impl FnMut(usize)) {
        match self {
            Self::Min(min) => each_number(
                column,
                |value| min.compared_with(value).is_some_and(Ordering::is_ge),
                |value| min.compared_with_number(value).is_some_and(Ordering::is_ge),
                broken,
            ),
            Self::Max(max) => each_number(
                column,
                |value| max.compared_with(value).is_some_and(Ordering::is_le),
                |value| max.compared_with_number(value).is_some_and(Ordering::is_le),
                broken,
            ),
            Self::Numbers(allowed) => each_number(
                column,
                |value| allowed.iter().any(|one| one.compared_with(value) == Some(Ordering::Equal)),
                |value| allowed.iter().any(|one| one.compared_with_number(value) == Some(Ordering::Equal)),
                broken,
            ),
            Self::NotNull => (0..rows).filter(|row| column.is_null(*row)).for_each(broken),
            _ => {
                let Cells::Text(values) = &column.cells else { return };
                for (row, value) in values.iter().enumerate() {
                    let Some(value) = value else { continue };
                    let keeps = match self {
                        Self::Texts(allowed) => allowed.contains(value),
                        Self::Pattern(regex) => regex.is_match(value),
                        Self::MinLength(length) => value.chars().count() as u64 >= *length,
                        Self::MaxLength(length) => value.chars().count() as u64 <= *length,
                        _ => true,
                    };
                    if !keeps {
                        broken(row);
                    }
                }
            }
        }
    }
}

/// Calls `broken` for each row whose number is not kept.
fn each_number(
    column: &BatchColumn,
    keeps: impl Fn(i64) -> bool,
    keeps_number: impl Fn(f64) -> bool,
    mut broken: impl FnMut(usize),
) {
    match &column.cells {
        Cells::Int(values) => {
            for (row, value) in values.iter().enumerate() {
                if value.is_some_and(|value| !keeps(value)) {
                    broken(row);
                }
            }
        }
        Cells::Float(values) => {
            for (row, value) in values.iter().enumerate() {
                if !value.is_nan() && !keeps_number(*value) {
                    broken(row);
                }
            }
        }
        Cells::Text(_) => {}
    }
}
