//! Rows and columns in memory.

use std::collections::{BTreeMap, HashMap};

use modelgate_core::schema::FeatureType;

use crate::ColumnType;

/// The values of a column; `None` is null.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Finite numbers.
    Float(Vec<Option<f64>>),
    /// Text.
    Text(Vec<Option<String>>),
}

/// A named column.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values, one per row.
    pub values: Values,
}

impl Column {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Int(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Text(values) => values.len(),
        }
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the row is null; so is one beyond the table.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Int(values) => values.get(row).is_none_or(Option::is_none),
            Values::Float(values) => values.get(row).is_none_or(Option::is_none),
            Values::Text(values) => values.get(row).is_none_or(Option::is_none),
        }
    }

    /// Returns the type the package takes it as: whole numbers with nulls are `Float`.
    pub fn feature_type(&self) -> FeatureType {
        match &self.values {
            Values::Int(values) if values.iter().all(Option::is_some) => FeatureType::Int,
            Values::Int(_) | Values::Float(_) => FeatureType::Float,
            Values::Text(_) => FeatureType::Text,
        }
    }

    /// Returns the value as a number; `None` for null and for text.
    pub fn number(&self, row: usize) -> Option<f64> {
        match &self.values {
            Values::Int(values) => values.get(row).copied().flatten().map(|value| value as f64),
            Values::Float(values) => values.get(row).copied().flatten(),
            Values::Text(_) => None,
        }
    }

    /// Returns the value as `f32`, rounded once from its own type; NaN for null and for text.
    pub fn single(&self, row: usize) -> f32 {
        match &self.values {
            Values::Int(values) => values.get(row).copied().flatten().map_or(f32::NAN, |value| value as f32),
            Values::Float(values) => {
                values.get(row).copied().flatten().map_or(f32::NAN, |value| value as f32)
            }
            Values::Text(_) => f32::NAN,
        }
    }

    /// Returns the value as text; `None` for null and for numbers.
    pub fn text(&self, row: usize) -> Option<&str> {
        match &self.values {
            Values::Text(values) => values.get(row)?.as_deref(),
            _ => None,
        }
    }

    fn take(&self, rows: &[u32]) -> Self {
        fn pick<T: Clone>(values: &[Option<T>], rows: &[u32]) -> Vec<Option<T>> {
            rows.iter().map(|row| values.get(*row as usize).cloned().flatten()).collect()
        }
        let values = match &self.values {
            Values::Int(values) => Values::Int(pick(values, rows)),
            Values::Float(values) => Values::Float(pick(values, rows)),
            Values::Text(values) => Values::Text(pick(values, rows)),
        };
        Self { name: self.name.clone(), values }
    }
}

/// Columns of equal length.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// The columns, in the order of the file.
    pub columns: Vec<Column>,
    /// The number of rows.
    pub rows: usize,
    /// What the numbers of a column stand for, where it is no number: bools, days and moments.
    pub meanings: BTreeMap<String, ColumnType>,
}

impl Table {
    /// Returns the column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the columns by their names, for who looks up many: [`Self::column`] goes through all of them each time.
    pub fn by_name(&self) -> HashMap<&str, &Column> {
        // The first of two of one name, as there.
        self.columns.iter().rev().map(|column| (column.name.as_str(), column)).collect()
    }

    /// Returns the rows of these numbers, in this order; one beyond the table is all null.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        Self {
            columns: self.columns.iter().map(|column| column.take(rows)).collect(),
            rows: rows.len(),
            meanings: self.meanings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_name_are_those_that_are_found_one_by_one() {
        let column =
            |name: &str, value| Column { name: name.to_owned(), values: Values::Int(vec![Some(value)]) };
        let columns = vec![column("a", 1), column("b", 2), column("a", 3)];
        let table = Table { columns, rows: 1, ..Table::default() };
        let by_name = table.by_name();
        assert_eq!(by_name.len(), 2);
        for name in ["a", "b"] {
            assert_eq!(by_name.get(name).copied(), table.column(name), "{name}");
        }
    }
}
