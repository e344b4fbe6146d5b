//! The column to predict, encoded.

use modelgate_core::schema::{Classes, Task};

use crate::dataset::Dataset;
use crate::error::{DataError, listed, not_there};
use crate::preprocess::Written;
use crate::read::read_columns;
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

/// Reads the target of each row of a data set, and its column as a table; `source` is only for messages.
///
/// # Errors
/// As [`extract_target`], and names the words that were read as no value; and where classes would lose leading zeros.
pub fn read_target(
    dataset: &Dataset,
    target: &str,
    task: Task,
    source: &str,
) -> Result<(Table, Target), DataError> {
    // Without a target, the message that says so is told of all columns.
    let is_there = dataset.schema.position(target).is_some();
    if !is_there && dataset.is_partition(target) {
        let message = format!(
            "the target column `{target}` is not in the files but in the names of their folders (`{target}=…`), which are not read: \
             write it into the files as a column"
        );
        return Err(DataError::File { source_name: source.to_owned(), message });
    }
    let names = if is_there { vec![target] } else { dataset.schema.names() };
    let table = read_columns(dataset, &names)?;
    let has_nulls = |column: &Column| (0..table.rows).any(|row| column.is_null(row));
    let words = match table.column(target) {
        Some(column) if has_nulls(column) => dataset.null_words(target)?,
        _ => Vec::new(),
    };
    // One row written otherwise would make texts of all classes, and move rows from part to part: whoever knows decides.
    let loses_zeros = dataset.schema.column(target).is_some_and(|column| column.loses_zeros);
    if task == Task::Classification && loses_zeros {
        let message = format!(
            "classes of the target `{target}` are written with leading zeros, which numbers lose: declare `data.types: \
             {{{target}: string}}` to tell `01` from `1`, or `{{{target}: int}}` to take them for one"
        );
        return Err(DataError::File { source_name: source.to_owned(), message });
    }
    let found = extract(&table, target, task, source, &words, &dataset.declared_nulls())?;
    Ok((table, found))
}

/// Returns the target of each row; `source` is only for messages.
///
/// # Errors
/// Fails when the column is missing, has nulls, has one value only, or does not fit the task.
pub fn extract_target(table: &Table, target: &str, task: Task, source: &str) -> Result<Target, DataError> {
    extract(table, target, task, source, &[], &[])
}

/// As [`extract_target`]; `words` were read as no value, some of them because they are `declared` to be none.
fn extract(
    table: &Table,
    target: &str,
    task: Task,
    source: &str,
    words: &[String],
    declared: &[String],
) -> Result<Target, DataError> {
    let error = |message: String| DataError::File { source_name: source.to_owned(), message };
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let column = table.column(target).ok_or_else(|| error(not_there("the target column", target, &names)))?;
    let nulls: Vec<usize> = (0..table.rows).filter(|row| column.is_null(*row)).collect();
    if let Some(first) = nulls.first() {
        let shown = listed(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let are = if words.len() == 1 { "is" } else { "are" };
        let advice = match task {
            _ if words.is_empty() => "remove these rows".to_owned(),
            Task::Regression => format!("{shown} {are} read as no value; remove these rows"),
            // What is declared does not help against what is declared.
            Task::Classification if words.iter().any(|word| declared.contains(word)) => format!(
                "{shown} {are} read as no value; take out of `data.nulls` what is a class, or remove these rows"
            ),
            Task::Classification => format!(
                "{shown} {are} read as no value; declare `data.types: {{{target}: category}}` if it is a class, or remove \
                 these rows"
            ),
        };
        return Err(error(format!(
            "the target `{target}` has no value in {} of {} rows, first in data row {}; {advice}",
            nulls.len(),
            table.rows,
            first + 1
        )));
    }
    let found = match task {
        Task::Classification => classes(column, target, source)?,
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
        let texts: Vec<&str> = values.iter().flatten().map(String::as_str).collect();
        let use_it = "use `task: classification`".to_owned();
        let advice = Written::of(&texts).map_or(use_it, told);
        return Err(error(format!("the target `{target}` of a regression is text; {advice}")));
    }
    Ok(Target::Values((0..column.len()).filter_map(|row| column.number(row)).collect()))
}

fn told(written: Written) -> String {
    format!("these are numbers with {written}: {}", written.advice())
}

fn classes(column: &Column, target: &str, source: &str) -> Result<Target, DataError> {
    let too_many = |count: usize, written: Option<Written>| {
        let written = written.map_or_else(String::new, |written| format!("; {}", told(written)));
        DataError::File {
            source_name: source.to_owned(),
            message: format!(
                "the target `{target}` has {count} classes, at most {MAX_CLASSES} are allowed; use `task: regression` if it is \
                 a number to predict{written}"
            ),
        }
    };
    let encode = |values: Vec<i64>| {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > MAX_CLASSES {
            return Err(too_many(sorted.len(), None));
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
                return Err(DataError::Value {
                    place: source.to_owned(),
                    before: format!("the target `{target}` of a classification holds "),
                    value: format!("`{broken}`"),
                    after: format!(
                        ", which is no class; use `task: regression`, or declare `data.types: {{{target}: string}}`"
                    ),
                });
            }
            encode(numbers.iter().map(|value| *value as i64).collect())
        }
        Values::Text(values) => {
            let values: Vec<&String> = values.iter().flatten().collect();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if sorted.len() > MAX_CLASSES {
                let texts: Vec<&str> = sorted.iter().map(|text| text.as_str()).collect();
                return Err(too_many(sorted.len(), Written::of(&texts)));
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
    fn a_class_that_is_called_as_what_is_missing_is_named_and_read_when_declared() {
        let text = "x,y\n1,brick\n2,None\n3,\n4,NA\n5,brick\n";
        let read_with = |text: &str, literal: &[&str], nulls: &[&str]| {
            let literal = literal.iter().map(|name| (*name).to_owned());
            let types = literal.clone().map(|name| (name, crate::ColumnType::Category.into()));
            let options = ReadOptions {
                types: types.collect(),
                literal: literal.collect(),
                nulls: nulls.iter().map(|word| (*word).to_owned()).collect(),
                ..ReadOptions::default()
            };
            let files = vec![crate::SourceFile::bytes("a.csv", text.as_bytes())];
            let dataset = Dataset::open(files, &options, crate::Mixed::Refuse).expect("a data set");
            let found = read_target(&dataset, "y", Task::Classification, "a.csv");
            found.map(|(_, target)| target).map_err(|error| error.to_string())
        };
        let read = |text: &str, literal: &[&str]| read_with(text, literal, &[]);
        assert_eq!(
            read(text, &[]).expect_err("no value"),
            "a.csv: the target `y` has no value in 3 of 5 rows, first in data row 2; `NA`, `None` are read as no value; \
             declare `data.types: {y: category}` if it is a class, or remove these rows"
        );
        // A word of `data.nulls` is no class, whatever its column's type is.
        for literal in [&[][..], &["y"]] {
            let error = read_with("x,y\n1,yes\n2,no\n", literal, &["no"]).expect_err("no value");
            let expected =
                "`no` is read as no value; take out of `data.nulls` what is a class, or remove these rows";
            assert!(error.ends_with(expected), "{error}");
        }
        // Declared, the words are classes; what is empty is no value all the same.
        let error = read(text, &["y"]).expect_err("an empty value");
        assert!(
            error.ends_with("no value in 1 of 5 rows, first in data row 3; remove these rows"),
            "{error}"
        );
        let found = read(&text.replace("3,\n", "3,nan\n"), &["y"]).expect("classes");
        let classes = ["NA", "None", "brick", "nan"].map(str::to_owned).to_vec();
        assert_eq!(found, Target::Classes { labels: vec![2, 1, 3, 0, 2], classes: Classes::Text(classes) });
    }

    #[test]
    fn a_target_that_only_folders_say_is_told_to_be_there() {
        let files = vec![crate::SourceFile::bytes("d/y=1/a.csv", &b"x\n1\n"[..])];
        let options = ReadOptions::default();
        let dataset = Dataset::open(files, &options, crate::Mixed::Refuse).expect("a data set");
        let error = read_target(&dataset, "y", Task::Classification, "d").expect_err("no column").to_string();
        assert!(error.contains("in the names of their folders (`y=…`)"), "{error}");
    }

    #[test]
    fn a_target_that_cannot_be_learned_is_refused() {
        let cases = [
            ("x,z\n1,2\n", Task::Regression, "the target column `y` is not there; there is `x`, `z`"),
            ("x,y\n1,2\n1,\n", Task::Regression, "has no value in 1 of 2 rows, first in data row 2"),
            ("x,y\n1,2\n1,2\n", Task::Regression, "the same value in every row"),
            ("x,y\n1,a\n1,b\n", Task::Regression, "is text; use `task: classification`"),
            (
                "x,y\n1,\"2,5\"\n1,\"3,75\"\n",
                Task::Regression,
                "is text; these are numbers with a decimal comma",
            ),
            ("x,y\n1,0.5\n1,1\n", Task::Classification, "holds `0.5`, which is no class"),
            ("x,y\n1,1\n1,1\n", Task::Classification, "the same value in every row"),
        ];
        for (text, task, expected) in cases {
            let message = extract(text, task).expect_err("refused");
            assert!(message.contains(expected), "{expected} not in {message}");
        }
    }
}
