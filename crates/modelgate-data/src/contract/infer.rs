//! A first contract from data: what it is like now, to be loosened or tightened by a person.

use std::collections::BTreeMap;

use crate::contract::{Bound, ColumnContract, Contract, ExtraColumns, LabelContract, RowCount, Severity};
use crate::describe::{ColumnDescription, Description, NumberDescription};
use crate::types::{ColumnType, DeclaredType, show_int};

/// Text with so many different values or fewer is taken for categories.
const MOST_CATEGORIES: usize = 30;

/// Returns a contract that the described data keeps.
///
/// Ranges are those of the data, rounded outwards; text with few values becomes categories; a column whose values all
/// differ and that is not a float is unique; at least half as many rows are asked for; `label` gets its classes.
pub fn infer(
    description: &Description,
    declared: &BTreeMap<String, DeclaredType>,
    name: &str,
    label: Option<&str>,
) -> Contract {
    let columns = description.columns.iter().map(|column| {
        let format = declared.get(&column.name).and_then(|declared| declared.format.clone());
        (column.name.clone(), ColumnContract { format, ..infer_column(column, description.rows) })
    });
    let label = label.and_then(|label| {
        let column = description.columns.iter().find(|column| column.name == label)?;
        // Without all of them, neither the classes nor the smallest are known.
        let counts = column.whole.as_ref().filter(|counts| !counts.is_empty())?;
        let value = |text: &str| {
            if column.column_type.is_text() { Bound::Text(text.to_owned()) } else { number(column, text) }
        };
        let mut classes: Vec<Bound> = counts.iter().map(|class| value(&class.value)).collect();
        classes.sort_by_key(ToString::to_string);
        let smallest = counts.iter().map(|class| class.count).min()?;
        let share = smallest as f64 / description.rows.max(1) as f64 / 2.0;
        let share = (share * 1000.0).floor() / 1000.0;
        Some(LabelContract {
            column: label.to_owned(),
            classes: Some(classes),
            min_share: (share > 0.0).then_some(share),
            severity: Severity::Error,
        })
    });
    Contract {
        version: 1,
        name: Some(name.to_owned()),
        description: None,
        rows: Some(RowCount {
            min: Some((description.rows / 2).max(1)),
            max: None,
            severity: Severity::Error,
        }),
        freshness: None,
        // What cannot be read cannot be named here, and is there all the same.
        extra_columns: if description.left_out.is_empty() {
            ExtraColumns::Error
        } else {
            ExtraColumns::Warning
        },
        columns: columns.collect(),
        unique: Vec::new(),
        label,
        rules: Vec::new(),
    }
}

fn number(column: &ColumnDescription, text: &str) -> Bound {
    match column.column_type {
        ColumnType::Int => text.parse().map_or_else(|_| Bound::Text(text.to_owned()), Bound::Int),
        ColumnType::Bool => Bound::Bool(text == "true"),
        _ => text.parse().map_or_else(|_| Bound::Text(text.to_owned()), Bound::Float),
    }
}

fn infer_column(column: &ColumnDescription, rows: u64) -> ColumnContract {
    let column_type = column.column_type;
    let mut found = ColumnContract { nullable: column.nulls > 0, ..ColumnContract::of(column_type) };
    let all_differ = column.distinct == Some(column.count) && column.nulls == 0 && rows > 100;
    found.unique = all_differ && !matches!(column_type, ColumnType::Float | ColumnType::Decimal);
    (found.min, found.max) = match (column_type, column.int_range, &column.number) {
        (ColumnType::Bool, ..) => (None, None),
        (ColumnType::Int, Some((low, high)), _) => (Some(Bound::Int(low)), Some(Bound::Int(high))),
        (ColumnType::Date | ColumnType::Timestamp, Some((low, high)), _) => {
            // A moment beyond the calendar has no text that could be read back.
            let show = |value: i64| Some(Bound::Text(show_int(column_type, value)));
            let reads_back = |bound: &Bound| bound.whole(column_type).is_some();
            (show(low).filter(reads_back), show(high).filter(reads_back))
        }
        (ColumnType::Float | ColumnType::Decimal, _, Some(number)) => range(number),
        _ => (None, None),
    };
    let few = |values: &&Vec<_>| (1..=MOST_CATEGORIES).contains(&values.len());
    if let Some(values) = column.whole.as_ref().filter(few).filter(|_| column_type.is_text()) {
        found.column_type = ColumnType::Category;
        found.values = Some(values.iter().map(|value| Bound::Text(value.value.clone())).collect());
    }
    found
}

/// Returns the range of numbers, rounded outwards.
fn range(number: &NumberDescription) -> (Option<Bound>, Option<Bound>) {
    let (low, high) = (rounded(number.min, f64::floor), rounded(number.max, f64::ceil));
    // Rounding in doubles may end on the wrong side by the last bit.
    let low = if low <= number.min { low } else { number.min };
    let high = if high >= number.max { high } else { number.max };
    (Some(Bound::Float(low)), Some(Bound::Float(high)))
}

/// Rounds to three digits, so that the contract reads well.
fn rounded(value: f64, round: fn(f64) -> f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    // Beyond the powers that a double holds exactly, the value itself is clearer than a rounded one.
    if !(-15..=15).contains(&digits) {
        return value;
    }
    let power = 10_f64.powi(digits.abs());
    if digits >= 0 { round(value * power) / power } else { round(value / power) * power }
}
