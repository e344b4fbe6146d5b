//! The structure: whether the columns are there, and of the types that are asked for: as their files say it, as a run reads
//! them, and by each value.

use super::{Check, Found};
use crate::batch::{BadValue, Batch, BatchColumn, Cells};
use crate::contract::{ColumnContract, Contract, ExtraColumns, Layer, Offender, Severity, Violation};
use crate::dataset::{Dataset, ReadOptions, expected};
use crate::error::listed;
use crate::time::{self, Moment};
use crate::types::{ColumnType, DeclaredType, parse_bool, parse_float, trim};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Types that are alike to who learns from them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bools are 1 and 0.
    Number,
    Text,
    Time,
}

fn kind(column_type: ColumnType) -> Kind {
    match column_type {
        ColumnType::Int | ColumnType::Float | ColumnType::Decimal | ColumnType::Bool => Kind::Number,
        ColumnType::String | ColumnType::Category => Kind::Text,
        ColumnType::Date | ColumnType::Timestamp => Kind::Time,
    }
}

/// What may be of another kind than the contract asks for, once a column holds a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// `data.types` declares another.
    Declared(ColumnType),
    /// A Parquet file has another.
    Stored(ColumnType),
    /// A run takes texts of a text file for what they look like.
    Text,
    /// A run knows no date of this form.
    Form,
}

/// Returns what may be of another kind in the column `name`.
pub(super) fn doubt(
    dataset: &Dataset,
    name: &str,
    contract: &ColumnContract,
    options: &ReadOptions,
    is_run: bool,
) -> Option<Doubt> {
    // To declare another type changes what rows are known, divided or judged by, and nothing that is learned from.
    if options.unlearned.contains(name) || options.drop.iter().any(|dropped| dropped == name) {
        return None;
    }
    let asked = contract.column_type;
    let differs = |other: &ColumnType| kind(*other) != kind(asked);
    if let Some(declared) = options.types.get(name) {
        return Some(declared.column_type).filter(differs).map(Doubt::Declared);
    }
    if dataset.is_parquet() {
        let column = dataset.schema.column(name).filter(|_| dataset.nested().all(|nested| nested != name))?;
        return Some(column.declared.column_type).filter(differs).map(Doubt::Stored);
    }
    let form = contract.format.as_deref().filter(|_| asked.is_time());
    if !is_run {
        None
    } else if form.is_some_and(|form| !time::is_recognised(form)) {
        Some(Doubt::Form)
    } else {
        asked.is_text().then_some(Doubt::Text)
    }
}

/// Returns how a column is read to be checked: of a date, which moment of the day, so that none is cut off.
pub(super) fn read_as(contract: &ColumnContract) -> DeclaredType {
    let declared = contract.declared();
    match declared.column_type {
        ColumnType::Date => DeclaredType { column_type: ColumnType::Timestamp, ..declared },
        _ => declared,
    }
}

/// Makes days of the moments of a column; one that is no midnight is no date.
pub(super) fn settle_days(column: &mut BatchColumn) {
    let Cells::Int(values) = &mut column.cells else { return };
    let mut cut = Vec::new();
    for (row, value) in values.iter_mut().enumerate() {
        let Some(micros) = *value else { continue };
        *value = (micros.rem_euclid(DAY) == 0).then_some(micros.div_euclid(DAY));
        if value.is_none() {
            cut.push((row, micros));
        }
    }
    for (row, micros) in cut {
        column.note(row, time::show_timestamp(micros).as_bytes(), BadValue::Type);
    }
    column.bad.sort_by_key(|bad| bad.row);
}

fn structure(id: String, column: &str, severity: Severity, message: String) -> Violation {
    let columns = vec![column.to_owned()];
    Violation { id, layer: Layer::Structure, severity, columns, message, count: 0, rows: Vec::new() }
}

/// Returns the columns that are missing and those that nobody asked for.
pub(super) fn missing_and_extra(dataset: &Dataset, contract: &Contract) -> Vec<Violation> {
    let names = dataset.schema.names();
    let places = dataset.schema.places();
    let missing = contract
        .columns
        .iter()
        .filter(|(name, column)| !column.optional && !places.contains_key(name.as_str()));
    let mut found: Vec<Violation> = missing
        .map(|(name, _)| {
            let message = format!("the column `{name}` is not there; there is {}", listed(&names));
            structure(format!("{name}.present"), name, Severity::Error, message)
        })
        .collect();
    let severity = match contract.extra_columns {
        ExtraColumns::Allow => return found,
        ExtraColumns::Warning => Severity::Warning,
        ExtraColumns::Error => Severity::Error,
    };
    let extra = names.iter().filter(|name| !contract.columns.contains_key(**name));
    found.extend(extra.map(|name| {
        let message = format!("the column `{name}` is not in the contract");
        structure(format!("{name}.extra"), name, severity, message)
    }));
    found
}

/// What the values of a column were seen to be.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Seen(u8);

impl Seen {
    const NUMBER: Self = Self(1);
    const BOOL: Self = Self(2);
    const TIME: Self = Self(4);
    const TEXT: Self = Self(8);
    /// Of a type where it does not matter what it looks like.
    const VALUE: Self = Self(16);
    /// No value of the type, and a number beyond the range of `f32`.
    const WRONG: Self = Self(32);
    const BEYOND: Self = Self(64);

    /// Looks at a column of a batch, as far as `doubt` asks for it.
    pub(super) fn of(column: &BatchColumn, rows: usize, doubt: Option<Doubt>) -> Self {
        let mut found = Self::default();
        for bad in &column.bad {
            found.add(if bad.problem == BadValue::Infinite { Self::BEYOND } else { Self::WRONG });
        }
        match (&column.cells, doubt) {
            (_, None) => {}
            (Cells::Text(texts), Some(Doubt::Text)) => {
                for text in texts.iter().flatten() {
                    found.add(Self::of_text(text));
                    if found.is_text() {
                        break;
                    }
                }
            }
            _ if (0..rows).any(|row| !column.is_null(row)) => found.add(Self::VALUE),
            _ => {}
        }
        found
    }

    /// What a text looks like to a run.
    fn of_text(text: &str) -> Self {
        let text = trim(text.as_bytes());
        // As types are found: by its first letter `nan` is no number.
        let is_number = matches!(text.first(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'i' | b'I'));
        if is_number && parse_float(text).is_some() {
            Self::NUMBER
        } else if parse_bool(text).is_some() {
            Self::BOOL
        } else {
            time::parse(text).map_or(Self::TEXT, |_: Moment| Self::TIME)
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn has_value(self) -> bool {
        self.0 & (Self::BEYOND.0 - 1) != 0
    }

    /// Returns whether a run reads the column as text: one is no number, bool or date, or they stand together.
    fn is_text(self) -> bool {
        self.has(Self::TEXT) || self.looks_like().is_none()
    }

    /// Returns what a run reads the texts as, if not as text.
    fn looks_like(self) -> Option<&'static str> {
        let kinds = self.0 & (Self::NUMBER.0 | Self::BOOL.0 | Self::TIME.0 | Self::TEXT.0);
        match Self(kinds) {
            Self::NUMBER => Some("numbers"),
            Self::BOOL => Some("bools"),
            Self::TIME => Some("dates"),
            _ => None,
        }
    }
}

impl Check<'_> {
    /// Makes days of the dates of a batch with the columns at `places`.
    pub(super) fn settle(&self, batch: &mut Batch, places: impl Iterator<Item = usize>) {
        for (column, place) in batch.columns.iter_mut().zip(places) {
            if self.column_type(place) == ColumnType::Date {
                settle_days(column);
            }
        }
    }

    /// Returns the columns that are not of their types.
    pub(super) fn wrong_types(&self, found: &Found) -> Vec<Violation> {
        let columns = self.plan.columns.iter().zip(&self.doubts).zip(found.types.iter().zip(&found.seen));
        let judged = columns.filter_map(|((planned, doubt), (broken, seen))| {
            let name = &planned.name;
            let column = &self.contract.columns[name];
            let asked = column.column_type;
            // Rows say more, but for a file that has none of the type.
            let doubt = doubt.filter(|doubt| broken.count == 0 || matches!(doubt, Doubt::Stored(_)));
            if let Some(told) = doubt.and_then(|doubt| told(doubt, name, column, *seen)) {
                let message = format!("`{name}` is to be {asked}, and {told}");
                return Some(structure(format!("{name}.type"), name, Severity::Error, message));
            }
            let what = expected(asked, column.format.as_deref());
            let beyond = "beyond ±3.4e38, the range of `f32`, which models compute in";
            let problem = match (seen.has(Seen::WRONG), seen.has(Seen::BEYOND)) {
                (false, true) => format!("a number {beyond}"),
                (true, true) => format!("what is not {what}, or is {beyond}"),
                _ => format!("what is not {what}"),
            };
            // Midnight of another zone is no end of a day.
            let is_moment = |row: &Offender| row.values.values().any(|value| value.ends_with('Z'));
            let problem = if asked == ColumnType::Date && broken.rows.iter().any(is_moment) {
                format!("{problem}: a moment is a date at midnight in UTC alone; ask for `timestamp` where it is of another zone")
            } else {
                problem
            };
            let message =
                format!("`{name}` is to be {asked}: {} of {} rows hold {problem}", broken.count, found.rows);
            (broken.count > 0).then(|| Violation {
                count: broken.count,
                rows: broken.rows.clone(),
                ..structure(format!("{name}.type"), name, Severity::Error, message)
            })
        });
        judged.collect()
    }
}

/// Says of what other kind a column is, if it is, and what to do.
fn told(doubt: Doubt, name: &str, column: &ColumnContract, seen: Seen) -> Option<String> {
    let asked = column.column_type;
    if !seen.has_value() {
        return None;
    }
    Some(match doubt {
        Doubt::Declared(other) => format!("`data.types` has it as {other}: let both say the same"),
        Doubt::Stored(other) => {
            let form = column.format.as_ref().map_or_else(String::new, |form| format!(":{form}"));
            format!(
                "the file has it as {other}: write it so, or declare `data.types: {{{name}: \"{asked}{form}\"}}`"
            )
        }
        Doubt::Text => {
            let other = seen.looks_like()?;
            format!(
                "a run reads its values as {other}: declare `data.types: {{{name}: {asked}}}`, or ask for {other}"
            )
        }
        Doubt::Form => {
            let form = column.format.as_deref().unwrap_or_default();
            format!(
                "a run knows no date of the form `{form}`: declare `data.types: {{{name}: \"{asked}:{form}\"}}`"
            )
        }
    })
}
