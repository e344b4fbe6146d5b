//! The part of the rows that a rule names: what its text means in a column of numbers, texts, days or bools.

use modelgate_core::rule::{GateRule, Slice};
use modelgate_data::{ColumnType, Table, read_int};
use modelgate_evaluate::{Condition, Meaning, NamedColumn, SliceColumn};

use crate::answers::slice_column;

const MICROS_PER_DAY: f64 = 86_400_000_000.0;

/// Returns which of `rows` a rule's slice means; none when a column is not there or the value does not fit it.
pub(crate) fn slice_rows(table: &Table, rows: &[u32], slice: &Slice) -> Vec<u32> {
    let mut members: Vec<u32> = (0..rows.len() as u32).collect();
    for (name, value) in slice {
        let Some(column) = slice_column(table, name, rows) else { return Vec::new() };
        let Ok(condition) = condition(&column, value) else { return Vec::new() };
        let empty = Condition::Is(String::new());
        members.retain(|row| {
            let row = *row as usize;
            condition.holds(&column.values, row)
                || (condition == Condition::Missing && empty.holds(&column.values, row))
        });
    }
    members
}

/// Says of the first rule whose slice no row of its column could ever be in what is wrong with it.
pub(crate) fn misread(table: &Table, rules: &[GateRule]) -> Option<String> {
    let all: Vec<u32> = (0..table.rows as u32).collect();
    let named = rules.iter().flat_map(|rule| rule.slice.iter().map(move |(name, value)| (rule, name, value)));
    for (rule, name, value) in named {
        // One that is not there is told with its place in the file.
        let Some(column) = slice_column(table, name, &all) else { continue };
        if let Err(reason) = condition(&column, value) {
            return Some(format!("rule `{}`: {reason}", rule.id));
        }
    }
    None
}

/// Reads what a rule's slice says of a column: a text, a number, a day, a bool, a range whose ends may be open, or nothing,
/// which means the rows without a value.
fn condition(column: &NamedColumn, value: &str) -> Result<Condition, String> {
    let name = &column.name;
    if value.is_empty() {
        return Ok(Condition::Missing);
    }
    if let SliceColumn::Text(values) = &column.values {
        let there = || values.iter().flatten().any(|text| text == value);
        return match range(value, Meaning::Number).or_else(|| range(value, Meaning::Day)) {
            Some(_) if !there() => Err(format!("`{value}` is a range, and column `{name}` holds texts")),
            _ => Ok(Condition::Is(value.to_owned())),
        };
    }
    if value.contains("..") {
        let (low, high) = range(value, column.meaning)
            .ok_or_else(|| format!("`{value}` is no range of {} in column `{name}`", kind(column.meaning)))?;
        return Ok(Condition::Between(low, high));
    }
    let found = read(value, column.meaning).ok_or_else(|| {
        format!("`{value}` is none of the {} that column `{name}` holds", kind(column.meaning))
    })?;
    // A day without a time is the whole of it.
    if column.meaning == Meaning::Moment && is_day(value) {
        return Ok(Condition::Between(Some(found), Some(found + MICROS_PER_DAY)));
    }
    Ok(Condition::Between(Some(found), Some(found)))
}

fn kind(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Number => "numbers",
        Meaning::Bool => "values `true` and `false`",
        Meaning::Day => "days such as `2024-05-01`",
        Meaning::Moment => "moments such as `2024-05-01T12:00:00Z`",
    }
}

fn is_day(text: &str) -> bool {
    text.trim().len() <= "2024-05-01".len() && read_int(ColumnType::Date, text).is_some()
}

type Ends = (Option<f64>, Option<f64>);

fn range(value: &str, meaning: Meaning) -> Option<Ends> {
    let (low, high) = value.split_once("..")?;
    let end = |text: &str| if text.trim().is_empty() { Some(None) } else { read(text, meaning).map(Some) };
    Some((end(low)?, end(high)?))
}

/// Reads a value as the column keeps it: by what it stands for, else as the number it is kept as.
fn read(text: &str, meaning: Meaning) -> Option<f64> {
    let column_type = match meaning {
        Meaning::Number => None,
        Meaning::Bool => Some(ColumnType::Bool),
        Meaning::Day => Some(ColumnType::Date),
        Meaning::Moment => Some(ColumnType::Timestamp),
    };
    let meant = column_type.and_then(|column_type| read_int(column_type, text)).map(|value| value as f64);
    meant.or_else(|| text.trim().parse::<f64>().ok().filter(|value| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let csv = "flag,when,at,t,n\n\
                   true,2024-05-01,2024-05-01T00:00:00Z,A,1\n\
                   false,2024-05-31,2024-05-01T23:59:59Z,,2\n\
                   ,2024-06-01,2024-05-02T00:00:00Z, A,\n";
        modelgate_data::read_csv(csv.as_bytes(), "d.csv", &modelgate_data::ReadOptions::default())
            .expect("a table")
    }

    fn rows(name: &str, value: &str) -> Vec<u32> {
        slice_rows(&table(), &[0, 1, 2], &Slice::from([(name.to_owned(), value.to_owned())]))
    }

    fn wrong(name: &str, value: &str) -> Option<String> {
        let slice = Slice::from([(name.to_owned(), value.to_owned())]);
        let rule = modelgate_core::rule::parse_expression("accuracy >= 0.5").expect("a rule");
        misread(&table(), &[GateRule { slice, ..rule }])
    }

    #[test]
    fn bools_days_and_missing_values_are_written_as_the_data_writes_them() {
        assert_eq!((rows("flag", "true"), rows("flag", "false")), (vec![0], vec![1]));
        assert_eq!(rows("flag", "1"), [0]);
        assert_eq!(rows("when", "2024-05-01..2024-06-01"), [0, 1]);
        assert_eq!((rows("when", "2024-06-01"), rows("when", "..2024-05-31")), (vec![2], vec![0]));
        assert_eq!(rows("at", "2024-05-01"), [0, 1]);
        assert_eq!(rows("at", "2024-05-01T12:00:00Z.."), [1, 2]);
        assert_eq!((rows("t", ""), rows("n", ""), rows("flag", "")), (vec![1], vec![2], vec![2]));
        assert_eq!((rows("t", "A"), rows("n", "1..2")), (vec![0], vec![0]));
    }

    #[test]
    fn what_no_row_could_ever_be_is_refused() {
        let said = |name, value| wrong(name, value).expect("refused");
        assert!(said("t", "1..2").contains("`1..2` is a range, and column `t` holds texts"));
        assert!(said("n", "north").contains("`north` is none of the numbers that column `n` holds"));
        assert!(said("flag", "yes").contains("none of the values `true` and `false`"));
        assert!(said("when", "May..June").contains("no range of days such as `2024-05-01`"));
        for (name, value) in
            [("t", "B"), ("n", "7"), ("when", "2030-01-01.."), ("flag", ""), ("gone", "1..2")]
        {
            assert_eq!(wrong(name, value), None, "{name} {value}");
        }
    }
}
