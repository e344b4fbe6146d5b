//! The column to predict, encoded.

use modelgate_core::schema::{Classes, Task};

use crate::error::{DataError, clipped, not_there};
use crate::table::{Column, Table, Values};

/// More classes than this look like a regression.
const MAX_CLASSES: usize = 1000;

/// The target of each row.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// Positions in `classes`.
    Classes {
        /// One per row.
        labels: Vec<u32>,
        /// The classes, sorted.
        classes: Classes,
    },
    /// Numbers.
    Values(Vec<f64>),
}

/// Returns the target of each row; `source` is only for messages.
///
/// # Errors
/// Fails when the column is missing, has nulls, has one value only, or does not fit the task.
pub fn extract_target(table: &Table, target: &str, task: Task, source: &str) -> Result<Target, DataError> {
    let error = |message: String| DataError::File { source_name: source.to_owned(), message };
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let column = table.column(target).ok_or_else(|| error(not_there("the target column", target, &names)))?;
    let nulls: Vec<usize> = (0..table.rows).filter(|row| column.is_null(*row)).collect();
    if let Some(first) = nulls.first() {
        return Err(error(format!(
            "the target `{target}` has no value in {} of {} rows, first in data row {}; remove these rows",
            nulls.len(),
            table.rows,
            first + 1
        )));
    }
    let found = match task {
        Task::Classification => classes(column, target, &error)?,
        Task::Regression => values(column, target, &error)?,
    };
    let constant = match &found {
        Target::Classes { classes, .. } => classes.len() < 2,
        Target::Values(values) => values.windows(2).all(|pair| pair[0] == pair[1]),
    };
    if constant {
        return Err(error(format!(
            "the target `{target}` has the same value in every row: there is nothing to learn"
        )));
    }
    Ok(found)
}

fn values(column: &Column, target: &str, error: &dyn Fn(String) -> DataError) -> Result<Target, DataError> {
    if let Values::Text(values) = &column.values {
        let first = values.iter().flatten().next().map_or_else(String::new, |value| clipped(value));
        return Err(error(format!(
            "the target `{target}` of a regression is text, such as {first}; use `task: classification`"
        )));
    }
    Ok(Target::Values((0..column.len()).filter_map(|row| column.number(row)).collect()))
}

fn classes(column: &Column, target: &str, error: &dyn Fn(String) -> DataError) -> Result<Target, DataError> {
    let too_many = |count: usize| {
        error(format!(
            "the target `{target}` has {count} classes, at most {MAX_CLASSES} are allowed; is this a regression?"
        ))
    };
    let encode = |values: Vec<i64>| {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > MAX_CLASSES {
            return Err(too_many(sorted.len()));
        }
        let labels =
            values.iter().map(|value| sorted.partition_point(|class| class < value) as u32).collect();
        Ok(Target::Classes { labels, classes: Classes::Int(sorted) })
    };
    match &column.values {
        Values::Int(values) => encode(values.iter().flatten().copied().collect()),
        Values::Float(values) => {
            let numbers: Vec<f64> = values.iter().flatten().copied().collect();
            if let Some(broken) = numbers.iter().find(|value| value.fract() != 0.0 || value.abs() > 9e15) {
                return Err(error(format!(
                    "the target `{target}` of a classification holds `{broken}`, which is no class; use `task: regression`, \
                     or declare `data.types: {{{target}: string}}`"
                )));
            }
            encode(numbers.iter().map(|value| *value as i64).collect())
        }
        Values::Text(values) => {
            let values: Vec<&String> = values.iter().flatten().collect();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if sorted.len() > MAX_CLASSES {
                return Err(too_many(sorted.len()));
            }
            let labels =
                values.iter().map(|value| sorted.partition_point(|class| class < value) as u32).collect();
            Ok(Target::Classes { labels, classes: Classes::Text(sorted.into_iter().cloned().collect()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, read_csv};

    fn extract(text: &str, task: Task) -> Result<Target, String> {
        let table = read_csv(text.as_bytes(), "a.csv", &ReadOptions::default()).expect("table");
        extract_target(&table, "y", task, "a.csv").map_err(|error| error.to_string())
    }

    #[test]
    fn classes_are_sorted_and_whole_floats_are_whole_numbers() {
        let found = extract("x,y\n1,2.0\n1,0.0\n1,2.0\n", Task::Classification).expect("target");
        assert_eq!(found, Target::Classes { labels: vec![1, 0, 1], classes: Classes::Int(vec![0, 2]) });
        let found = extract("x,y\n1,b\n1,a\n", Task::Classification).expect("target");
        assert_eq!(
            found,
            Target::Classes { labels: vec![1, 0], classes: Classes::Text(vec!["a".into(), "b".into()]) }
        );
    }

    #[test]
    fn a_target_that_cannot_be_learned_is_refused() {
        let cases = [
            ("x,z\n1,2\n", Task::Regression, "the target column `y` is not there; there is `x`, `z`"),
            ("x,y\n1,2\n1,\n", Task::Regression, "has no value in 1 of 2 rows, first in data row 2"),
            ("x,y\n1,2\n1,2\n", Task::Regression, "the same value in every row"),
            ("x,y\n1,a\n1,b\n", Task::Regression, "is text, such as `a`"),
            ("x,y\n1,0.5\n1,1\n", Task::Classification, "holds `0.5`, which is no class"),
            ("x,y\n1,1\n1,1\n", Task::Classification, "the same value in every row"),
        ];
        for (text, task, expected) in cases {
            let message = extract(text, task).expect_err("refused");
            assert!(message.contains(expected), "{expected} not in {message}");
        }
    }
}
