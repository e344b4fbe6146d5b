//! Rows to send, each with the answer that it should get. A file is read as training reads it: whatever its delimiter,
//! compression, nulls and booleans are, a model sees here what it would have learnt from.

use std::path::Path;

use modelgate_data::{Column, ColumnType, Dataset, Mixed, ReadOptions, SourceFile, Values, read_columns};
use serde_json::{Map, Value, json};

use super::SmokeError;

/// A row to send, and the answer it should get.
#[derive(PartialEq, Debug)]
pub(super) struct Row {
    pub(super) body: String,
    pub(super) expected: Option<String>,
}

impl Row {
    fn of(features: &Map<String, Value>, expected: Option<String>) -> Self {
        Self { body: json!({ "features": [features] }).to_string(), expected }
    }
}

/// Rows of the file that are sent at most.
const ROWS: usize = 10_000;

/// Returns the row that `/models/{name}` calls typical.
pub(super) fn typical(model: &Value) -> Row {
    let features = features(model).iter();
    let row = features
        .filter_map(|feature| Some((feature["name"].as_str()?.to_owned(), feature["typical"].clone())))
        .collect();
    Row::of(&row, None)
}

/// Returns the rows of a file that are sent, for the model that `/models/{name}` describes, and how many more there are.
pub(super) fn read(path: &Path, model: &Value) -> Result<(Vec<Row>, usize), SmokeError> {
    let wrong = |reason: String| SmokeError::Rows { path: path.to_owned(), reason };
    let file = SourceFile::path(path.display().to_string(), path);
    let words = model["nulls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nulls = words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
    let there = Dataset::column_names(&file, &ReadOptions::default())?;
    let mut names: Vec<&str> =
        features(model).iter().filter_map(|feature| feature["name"].as_str()).collect();
    if let Some(name) = names.iter().find(|name| !there.iter().any(|other| other == *name)) {
        return Err(wrong(format!("it has no column `{name}`, which the model takes")));
    }
    let target = model["target"].as_str().filter(|target| there.iter().any(|name| name == target));
    names.extend(target);
    let drop = there.iter().filter(|name| !names.contains(&name.as_str())).cloned().collect();
    // `007` is text to a model that learnt from text.
    let texts = features(model).iter().filter(|feature| feature["type"] == "text");
    let texts: Vec<&str> = texts.filter_map(|feature| feature["name"].as_str()).collect();
    // `NA` may be a category that the model knows: the service decides.
    let literal = texts.iter().map(|name| (*name).to_owned()).collect();
    let named =
        target.filter(|_| model["classes"].as_array().is_some_and(|all| all.iter().any(Value::is_string)));
    let types =
        texts.into_iter().chain(named).map(|name| (name.to_owned(), ColumnType::String.into())).collect();
    let named = names.iter().map(|name| (*name).to_owned()).collect();
    let options = ReadOptions { drop, types, literal, nulls, named, ..ReadOptions::default() };
    let mut dataset = Dataset::open(vec![file], &options, Mixed::AsText)?;
    // A date is no feature: the service is shown what stands there, and says so.
    for column in dataset.schema.columns.iter_mut().filter(|one| one.declared.column_type.is_time()) {
        column.declared = ColumnType::String.into();
    }
    let table = read_columns(&dataset, &names)?;
    let features = table.columns.iter().filter(|column| Some(column.name.as_str()) != target);
    let features: Vec<&Column> = features.collect();
    let target = target.and_then(|target| table.column(target));
    let rows = (0..table.rows.min(ROWS)).map(|row| {
        let cells = features.iter().map(|column| (column.name.clone(), cell(column, row)));
        Row::of(&cells.collect(), target.and_then(|column| class(column, row)))
    });
    Ok((rows.collect(), table.rows.saturating_sub(ROWS)))
}

fn features(model: &Value) -> &[Value] {
    model["features"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn cell(column: &Column, row: usize) -> Value {
    match &column.values {
        Values::Int(values) => json!(values.get(row).copied().flatten()),
        // JSON has no infinity; its name is refused where a null might be answered.
        Values::Float(values) => match values.get(row).copied().flatten() {
            Some(number) if !number.is_finite() => json!(number.to_string()),
            number => json!(number),
        },
        Values::Text(values) => json!(values.get(row).and_then(Option::as_deref)),
    }
}

/// Returns a value of the target as the service writes it.
fn class(column: &Column, row: usize) -> Option<String> {
    match &column.values {
        Values::Int(values) => values.get(row).copied().flatten().map(|value| value.to_string()),
        Values::Float(values) => values.get(row).copied().flatten().map(|value| value.to_string()),
        Values::Text(values) => values.get(row).cloned().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(classes: &Value) -> Value {
        let feature = |name: &str, kind: &str| json!({ "name": name, "type": kind });
        json!({ "target": "label", "classes": classes, "features": [
            feature("member", "int"), feature("income", "float"), feature("code", "text"),
        ] })
    }

    fn read(text: &str, classes: &Value) -> Result<Vec<Row>, SmokeError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        fs_err::write(&path, text).expect("written");
        super::read(&path, &model(classes)).map(|(rows, _)| rows)
    }

    fn row(member: &Value, income: &Value, code: &str, expected: &str) -> Row {
        let features = json!([{ "member": member, "income": income, "code": code }]);
        Row { body: json!({ "features": features }).to_string(), expected: Some(expected.to_owned()) }
    }

    #[test]
    fn a_file_is_read_as_training_reads_it() {
        let expected = [row(&json!(1), &json!(2.5), "007", "1"), row(&json!(0), &json!(null), "8", "0")];
        for (yes, no) in [("True", "False"), ("TRUE", "FALSE"), ("true", "false"), ("1", "0"), ("1.0", "0.0")]
        {
            for delimiter in [",", ";", "\t"] {
                let text = format!(
                    "label,other,code,income,member\n{yes},x,007,2.5,{yes}\n{no},2020-01-01,8,NA,{no}\n"
                );
                let rows = read(&text.replace(',', delimiter), &json!([0, 1])).expect("rows");
                if yes == "1.0" {
                    assert_eq!(rows[0].expected, expected[0].expected);
                } else {
                    assert_eq!(rows, expected, "{yes} {delimiter}");
                }
            }
        }
    }

    #[test]
    fn words_that_the_service_names_are_no_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        fs_err::write(&path, "label,code,income,member\n1,?,-999,1\n0,8,2.5,0\n").expect("written");
        let mut model = model(&json!([0, 1]));
        model["nulls"] = json!(["-999", "?"]);
        let (rows, left_out) = super::read(&path, &model).expect("rows");
        assert_eq!(left_out, 0);
        let features = json!([{ "member": 1, "income": null, "code": null }]);
        assert_eq!(rows[0].body, json!({ "features": features }).to_string());
        assert_eq!(rows[1], row(&json!(0), &json!(2.5), "8", "0"));
    }

    #[test]
    fn the_first_rows_of_a_long_file_are_sent_and_the_others_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        let text = format!("code,income,member,label\n{}", "1,1,1,0\n".repeat(ROWS + 3));
        fs_err::write(&path, text).expect("written");
        let (rows, left_out) = super::read(&path, &model(&json!([0, 1]))).expect("rows");
        assert_eq!((rows.len(), left_out), (ROWS, 3));
    }

    #[test]
    fn classes_that_are_text_stay_text_and_a_target_may_be_missing() {
        let rows = read("code,income,member,label\n1,1,1,01\n1,1,0,\n", &json!(["01", "02"])).expect("rows");
        let expected: Vec<Option<&str>> = rows.iter().map(|row| row.expected.as_deref()).collect();
        assert_eq!(expected, [Some("01"), None]);
        let rows = read("code,income,member\n1,1,1\n", &json!(["01", "02"])).expect("rows");
        assert_eq!(rows[0].expected, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |text: &str| read(text, &json!([0, 1])).expect_err("refused").to_string();
        assert!(said("income,member\n1,1\n").contains("no column `code`"));
        assert!(said("code,income,member\n").contains("no rows"));
        assert!(said("").contains("rows.csv"));
    }
}
