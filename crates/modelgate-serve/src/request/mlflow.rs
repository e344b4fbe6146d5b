//! `POST /invocations` in the forms of MLflow's scoring server (3.17): `dataframe_split`, `dataframe_records`, `instances`,
//! `inputs` and CSV. Stricter than MLflow: an unknown column, an unknown key, a null and a wrong type are refused.

use modelgate_core::schema::FeatureType;
use modelgate_data::{is_null, parse_bool};

use super::rows::{Batch, Cell, Rows};
use super::tree::{Tree, begin};
use crate::refusal::Refusal;

/// Reads a JSON body.
pub(crate) fn read_json(body: &[u8], mut rows: Rows<'_>) -> Result<Batch, Refusal> {
    let tree = Tree::read(body, &rows)?;
    let keys = ["dataframe_split", "dataframe_records", "instances", "inputs", "params"];
    let [split, records, instances, inputs, params] = tree.fields("the body", keys)?;
    if !matches!(params, None | Some(Tree::Null))
        && params.is_some_and(|params| *params != Tree::Object(Vec::new()))
    {
        return Err(Refusal::malformed("`params`: the model takes no parameters"));
    }
    match (split, records, instances, inputs) {
        (Some(split), None, None, None) => read_split(split, &mut rows)?,
        (None, Some(records), None, None) => read_list("dataframe_records", records, &mut rows)?,
        (None, None, Some(instances), None) => read_list("instances", instances, &mut rows)?,
        (None, None, None, Some(Tree::Object(columns))) => read_columns(columns, &mut rows)?,
        (None, None, None, Some(inputs)) => read_list("inputs", inputs, &mut rows)?,
        _ => {
            let sentence =
                "the body needs exactly one of dataframe_split, dataframe_records, instances and inputs";
            return Err(Refusal::malformed(sentence));
        }
    }
    rows.finish()
}

fn read_list(place: &str, list: &Tree, rows: &mut Rows<'_>) -> Result<(), Refusal> {
    let list = list.list().ok_or_else(|| Refusal::malformed(format!("`{place}` is not a list of rows")))?;
    list.iter().try_for_each(|row| row.row(&format!("a row of `{place}`"), rows))
}

fn read_split(split: &Tree, rows: &mut Rows<'_>) -> Result<(), Refusal> {
    let [columns, data, _index] = split.fields("`dataframe_split`", ["columns", "data", "index"])?;
    let wrong = || {
        Refusal::malformed("`dataframe_split` needs `columns`, a list of names, and `data`, a list of rows")
    };
    let data = data.and_then(Tree::list).ok_or_else(wrong)?;
    let Some(columns) = columns else {
        return data.iter().try_for_each(|row| row.row("a row of `data`", rows));
    };
    let names: Option<Vec<&str>> = columns.list().ok_or_else(wrong)?.iter().map(Tree::text).collect();
    let names = names.ok_or_else(wrong)?;
    for row in data {
        let cells = row.list().ok_or_else(|| Refusal::malformed("a row of `data` is not a list"))?;
        if cells.len() != names.len() {
            let sentence = format!("a row of `data` has {} values for {} columns", cells.len(), names.len());
            return Err(Refusal::malformed(sentence));
        }
        begin(rows)?;
        for (guess, (name, cell)) in names.iter().zip(cells).enumerate() {
            if let Some(at) = rows.find(name, guess) {
                rows.set(at, cell.cell());
            }
        }
        rows.end();
    }
    Ok(())
}

/// Columns as lists of the same length; a column may be one value, for one row.
fn read_columns(columns: &[(String, Tree)], rows: &mut Rows<'_>) -> Result<(), Refusal> {
    let values: Vec<(&str, &[Tree])> = columns
        .iter()
        .map(|(name, value)| (name.as_str(), value.list().unwrap_or(std::slice::from_ref(value))))
        .collect();
    let count = values.first().map_or(0, |(_, values)| values.len());
    if values.iter().any(|(_, values)| values.len() != count) {
        return Err(Refusal::malformed("the columns of `inputs` are not of one length"));
    }
    for row in 0..count {
        begin(rows)?;
        for (guess, (name, values)) in values.iter().enumerate() {
            if let Some(at) = rows.find(name, guess) {
                // A column of shape [rows, 1] is one of [rows].
                let cell = match &values[row] {
                    Tree::List(one) if one.len() == 1 => one[0].cell(),
                    value => value.cell(),
                };
                rows.set(at, cell);
            }
        }
        rows.end();
    }
    Ok(())
}

/// Reads CSV with a header.
pub(crate) fn read_csv(body: &[u8], types: &[FeatureType], mut rows: Rows<'_>) -> Result<Batch, Refusal> {
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let wrong = |error: &csv::Error| {
        let line =
            error.position().map_or_else(String::new, |position| format!(" in line {}", position.line()));
        let sentence = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("the CSV has {len} values for {expected_len} columns{line}")
            }
            csv::ErrorKind::Utf8 { .. } => format!("the CSV is not UTF-8{line}"),
            _ => format!("the CSV cannot be read{line}"),
        };
        Refusal::malformed(sentence)
    };
    let names = reader.headers().map_err(|error| wrong(&error))?.clone();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error))?;
        begin(&mut rows)?;
        for (guess, (name, text)) in names.iter().zip(&record).enumerate() {
            if let Some(at) = rows.find(name, guess) {
                // A category that a model knows is no null, whatever it is called.
                let known = types[at] == FeatureType::Text && rows.knows(at, text);
                rows.set(at, if known { Cell::Text(text) } else { typed(text, types[at]) });
            }
        }
        rows.end();
    }
    rows.finish()
}

/// Text of CSV in the type of its feature, with the nulls and booleans of training; what is no number stays text and is
/// refused as such.
fn typed(text: &str, feature_type: FeatureType) -> Cell<'_> {
    let trimmed = text.trim_ascii();
    if is_null(trimmed.as_bytes()) {
        return Cell::Null;
    }
    match (feature_type, parse_bool(trimmed.as_bytes())) {
        (FeatureType::Text, _) => Cell::Text(text),
        (FeatureType::Int, Some(value)) => Cell::Bool(value),
        (FeatureType::Int | FeatureType::Float, _) => {
            match (trimmed.parse::<i64>(), trimmed.parse::<f64>()) {
                (Ok(whole), _) => Cell::Int(whole),
                (_, Ok(number)) => Cell::Number(number),
                _ => Cell::Text(text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::Feature;
    use modelgate_model::InputColumn;

    use super::*;
    use crate::request::inputs::{Inputs, of_features};
    use crate::settings::Leniency;

    fn inputs() -> Inputs {
        let member = Feature { range: Some((0.0, 1.0)), ..Feature::of("member", FeatureType::Int, false) };
        let income = Feature::of("income", FeatureType::Float, true);
        let categories = vec!["NA".to_owned(), "north".to_owned()];
        let region = Feature { categories, ..Feature::of("region", FeatureType::Text, true) };
        of_features(vec![member, income, region])
    }

    fn read(text: &str) -> Result<Batch, Refusal> {
        let inputs = inputs();
        let types = [FeatureType::Int, FeatureType::Float, FeatureType::Text];
        read_csv(text.as_bytes(), &types, Rows::new(&inputs, Leniency::default(), 100))
    }

    #[test]
    fn csv_has_the_booleans_and_nulls_of_training() {
        for (yes, no) in
            [("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("1", "0"), (" TRUE", "0 ")]
        {
            let batch = read(&format!("member,income,region\n{yes},1,north\n{no},2,north\n")).expect("rows");
            assert!(matches!(&batch.columns[0], InputColumn::Ints(found) if found == &[1, 0]), "{yes} {no}");
        }
        for null in modelgate_data::NULL_TOKENS {
            let batch = read(&format!("member,income,region\n1,{null},north\n")).expect("rows");
            assert!(matches!(&batch.columns[1], InputColumn::Floats(found) if found[0].is_nan()), "{null}");
        }
        // What a model knows as a category is one: its rows may have come from Parquet, where `NA` is text.
        let batch = read("member,income,region\n1,1,NA\n1,1,None\n").expect("rows");
        assert!(matches!(&batch.columns[2], InputColumn::Texts(found) if found == &["NA", ""]));
        assert_eq!(read("member,income,region\nyes,1,north\n").expect_err("refused").reason(), "wrong_type");
    }

    #[test]
    fn the_index_that_pandas_writes_is_told_of() {
        for name in ["", "Unnamed: 0"] {
            let refusal = read(&format!("{name},member,income,region\n0,1,1,north\n")).expect_err("refused");
            assert!(refusal.message.contains("`index=False` leaves it out"), "{}", refusal.message);
            assert_eq!(refusal.reason(), "unknown");
        }
    }
}
