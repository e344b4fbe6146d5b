//! `POST /invocations` in the forms of MLflow's scoring server (3.17): `dataframe_split`, `dataframe_records`, `instances` and
//! `inputs`; CSV is in `csv.rs`. Stricter than MLflow: an unknown column, an unknown key, a null and a wrong type are refused.
//! Its client writes what is missing in a frame as a bare `NaN`, which is null here.

use super::rows::{Batch, Rows};
use super::tree::{Tree, begin};
use crate::refusal::Refusal;

/// Reads a JSON body.
pub(crate) fn read_json(body: &[u8], mut rows: Rows<'_>) -> Result<Batch, Refusal> {
    let tree = Tree::read_with_words(body, &rows)?;
    let keys = ["dataframe_split", "dataframe_records", "instances", "inputs", "params"];
    let [split, records, instances, inputs, params] = tree.fields("the body", keys)?;
    if params.is_some_and(|params| *params != Tree::Object(Vec::new())) {
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
    let [columns, data, index] = split.fields("`dataframe_split`", ["columns", "data", "index"])?;
    let wrong = || {
        Refusal::malformed("`dataframe_split` needs `columns`, a list of names, and `data`, a list of rows")
    };
    let data = data.and_then(Tree::list).ok_or_else(wrong)?;
    if let Some(index) = index
        && index.list().is_none_or(|index| index.len() != data.len())
    {
        let rows = data.len();
        let sentence =
            format!("the `index` of `dataframe_split` is no list with a value for each of its {rows} rows");
        return Err(Refusal::malformed(sentence));
    }
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

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Feature, FeatureType};
    use modelgate_model::InputColumn;

    use super::*;
    use crate::request::inputs::of_features;
    use crate::settings::Leniency;

    fn asked(body: &str) -> Result<Batch, Refusal> {
        let inputs = of_features(vec![Feature::of("age", FeatureType::Float, false)]);
        read_json(body.as_bytes(), Rows::new(&inputs, Leniency::default(), 10))
    }

    #[test]
    fn what_is_null_was_not_given() {
        for body in [
            r#"{"instances": null, "dataframe_records": [{"age": 1}], "params": null}"#,
            r#"{"dataframe_split": {"columns": null, "data": [[1]], "index": null}, "inputs": null}"#,
        ] {
            assert_eq!(asked(body).unwrap_or_else(|refusal| panic!("{body}: {refusal:?}")).rows, 1);
        }
        let refusal = asked(r#"{"instances": null}"#).expect_err("nothing");
        assert!(refusal.message.contains("exactly one of"), "{}", refusal.message);
    }

    #[test]
    fn what_python_writes_for_a_missing_value_is_null_and_an_endless_number_is_none() {
        let inputs = of_features(vec![
            Feature::of("floors", FeatureType::Float, true),
            Feature::of("rooms", FeatureType::Int, false),
            Feature::of("wall", FeatureType::Text, true),
        ]);
        let asked = |row: &str| {
            let split = format!(r#""columns": ["floors", "rooms", "wall"], "data": [[1, 2, "NaN"], {row}]"#);
            let body = format!(r#"{{"dataframe_split": {{{split}}}}}"#);
            let leniency = Leniency { reject_unknown_category: false, ..Leniency::default() };
            read_json(body.as_bytes(), Rows::new(&inputs, leniency, 10))
        };
        let batch = asked("[NaN, 3, NaN]").expect("rows");
        assert!(matches!(&batch.columns[0], InputColumn::Floats(found) if found[1].is_nan()));
        assert!(matches!(&batch.columns[2], InputColumn::Texts(found) if found[1].is_empty()));
        let problem = |row: &str| {
            let refusal = asked(row).expect_err(row);
            assert!(refusal.status == 422 && refusal.message.starts_with("row 1: feature `"), "{refusal:?}");
            let first = refusal.problems.into_iter().next().expect("a problem");
            (first.feature.unwrap_or_default(), first.reason, first.got)
        };
        let endless = "a number that is not finite";
        assert_eq!(problem("[1, NaN, null]"), ("rooms".to_owned(), "null", "null"));
        assert_eq!(problem("[-Infinity, 1, NaN]"), ("floors".to_owned(), "not_finite", endless));
        assert_eq!(problem("[1, Infinity, null]"), ("rooms".to_owned(), "wrong_type", endless));
        // Another word is none.
        let refusal = asked("[nan, 1, null]").expect_err("no JSON");
        assert!(refusal.message.contains("expected ident at line 1 column"), "{}", refusal.message);
        let refusal = asked("[NaN, 1, SECRET]").expect_err("no JSON");
        assert!(refusal.message.ends_with("where each `NaN` is read as `null`"), "{}", refusal.message);
        assert!(!refusal.message.contains("SECRET"), "{}", refusal.message);
    }

    #[test]
    fn an_index_has_a_value_for_each_row() {
        let split = |index: &str| {
            asked(&format!(r#"{{"dataframe_split": {{"data": [[1], [2]], "index": {index}}}}}"#))
        };
        assert_eq!(split("[7, \"x\"]").expect("rows").rows, 2);
        for wrong in ["[1, 2, 3]", "[1]", "7", "{}"] {
            let refusal = split(wrong).expect_err(wrong);
            assert!(refusal.message.contains("each of its 2 rows"), "{wrong}: {}", refusal.message);
        }
    }
}
