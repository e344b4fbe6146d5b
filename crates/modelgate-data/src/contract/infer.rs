//! A first contract from data: what it is like now, to be loosened or tightened by a person.

use std::collections::BTreeMap;

use crate::contract::{Bound, ColumnContract, Contract, ExtraColumns, LabelContract, RowCount, Severity};
use crate::describe::{ColumnDescription, Description};
use crate::types::{ColumnType, DeclaredType, show_int};

/// Text with so many different values or fewer is taken for categories.
const MOST_CATEGORIES: u64 = 30;

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
        // More classes than are shown cannot be listed here.
        let is_whole = column.distinct == Some(column.frequent.len() as u64);
        let value = |text: &str| {
            if column.column_type.is_text() { Bound::Text(text.to_owned()) } else { number(column, text) }
        };
        let mut classes: Vec<Bound> = column.frequent.iter().map(|class| value(&class.value)).collect();
        classes.sort_by_key(ToString::to_string);
        let smallest = column.frequent.iter().map(|class| class.count).min()?;
        let share = smallest as f64 / description.rows.max(1) as f64 / 2.0;
        Some(LabelContract {
            column: label.to_owned(),
            classes: is_whole.then_some(classes),
            min_share: Some((share * 1000.0).floor() / 1000.0),
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
        extra_columns: ExtraColumns::Error,
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
    if let Some(number) = &column.number {
        (found.min, found.max) = match column_type {
            ColumnType::Int => (Some(Bound::Int(number.min as i64)), Some(Bound::Int(number.max as i64))),
            ColumnType::Date | ColumnType::Timestamp => {
                let show = |value: f64| Some(Bound::Text(show_int(column_type, value as i64)));
                (show(number.min), show(number.max))
            }
            ColumnType::Bool => (None, None),
            _ => (Some(rounded(number.min, f64::floor)), Some(rounded(number.max, f64::ceil))),
        };
    }
    let few = column.distinct.is_some_and(|distinct| (1..=MOST_CATEGORIES).contains(&distinct));
    // Only the most frequent values are known; where these are all of them, the set is.
    if column_type.is_text() && few && column.distinct == Some(column.frequent.len() as u64) {
        let mut values: Vec<String> = column.frequent.iter().map(|value| value.value.clone()).collect();
        values.sort();
        found.column_type = ColumnType::Category;
        found.values = Some(values.into_iter().map(Bound::Text).collect());
    }
    found
}

/// Rounds outwards to three digits, so that the contract reads well.
fn rounded(value: f64, round: fn(f64) -> f64) -> Bound {
    if value == 0.0 {
        return Bound::Float(0.0);
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    // Beyond the powers that a double holds exactly, the value itself is clearer than a rounded one.
    if !(-15..=15).contains(&digits) {
        return Bound::Float(value);
    }
    let power = 10_f64.powi(digits.abs());
    Bound::Float(if digits >= 0 { round(value * power) / power } else { round(value / power) * power })
}
