//! Tests of the structure: types bind, whatever the values would do as.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, NullArray, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::*;

const DAY: i64 = 86_400_000_000;

fn parquet(columns: Vec<(&str, ArrayRef)>) -> (tempfile::TempDir, SourceFile) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    crate::parquet::tests::write_batch(
        &path,
        &RecordBatch::try_from_iter_with_nullable(columns).expect("a batch"),
    );
    (folder, SourceFile::path("a.parquet", path))
}

/// Checks a file whose columns are all of `types`, with `options`; returns what is said.
fn said(file: &SourceFile, types: &str, options: &ReadOptions, is_run: bool) -> Vec<String> {
    let contract = parse(&format!("version: 1\nextra_columns: allow\ncolumns: {{{types}}}"), "c.yaml");
    let check = if is_run { check_for_run } else { check };
    let report = check(vec![file.clone()], options, &contract.expect("a contract"), "c.yaml", 0);
    let violations = report.expect("checked").violations;
    violations.into_iter().map(|found| format!("{}: {}", found.id, found.message)).collect()
}

fn declared(name: &str, column_type: ColumnType) -> ReadOptions {
    ReadOptions { types: [(name.to_owned(), column_type.into())].into(), ..ReadOptions::default() }
}

#[test]
fn a_parquet_file_has_types_of_its_own() {
    let (_folder, file) = parquet(vec![
        ("text", Arc::new(StringArray::from(vec!["1", "2"]))),
        ("days", Arc::new(TimestampMicrosecondArray::from(vec![0, DAY]))),
        ("moments", Arc::new(TimestampMicrosecondArray::from(vec![0, DAY + 1]))),
        ("numbers", Arc::new(Int64Array::from(vec![0, 1]))),
        ("nothing", Arc::new(NullArray::new(2))),
    ]);
    let plain = ReadOptions::default();
    for (types, expected) in [
        (
            "text: {type: int, max: 9}",
            "text.type: `text` is to be int, and the file has it as string: write it so, or",
        ),
        ("text: {type: date}", "text.type: `text` is to be date, and the file has it as string"),
        (
            "numbers: {type: category}",
            "numbers.type: `numbers` is to be category, and the file has it as int",
        ),
        (
            "numbers: {type: timestamp}",
            "numbers.type: `numbers` is to be timestamp, and the file has it as int",
        ),
        (
            "moments: {type: string}",
            "moments.type: `moments` is to be string, and the file has it as timestamp",
        ),
        (
            "moments: {type: date}",
            "moments.type: `moments` is to be date: 1 of 2 rows hold what is not a date such as `2014-10-13`: a moment is a date at midnight in UTC alone",
        ),
    ] {
        let found = said(&file, types, &plain, false);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{types}: {found:?}");
    }
    for types in [
        "text: {type: category}",
        "days: {type: date, max: '1970-01-02'}",
        "days: {type: timestamp}",
        "numbers: {type: float}",
        "numbers: {type: bool}",
        "nothing: {type: string}",
        "nothing: {type: int}",
    ] {
        assert_eq!(said(&file, types, &plain, true), Vec::<String>::new(), "{types}");
    }
    // Nothing is learned from what is dropped, or is predicted, or tells rows apart.
    let types = "text: {type: int}, numbers: {type: category, values: ['0', '1']}";
    let unlearned =
        ReadOptions { unlearned: ["text".to_owned()].into(), drop: vec!["numbers".to_owned()], ..plain };
    assert_eq!(said(&file, types, &unlearned, true), Vec::<String>::new());
    // What the project declares is what is learned from.
    let options = declared("text", ColumnType::Int);
    assert_eq!(said(&file, "text: {type: int, max: 9}", &options, true), Vec::<String>::new());
    let found = said(&file, "text: {type: string}", &options, true);
    assert_eq!(
        found,
        ["text.type: `text` is to be string, and `data.types` has it as int: let both say the same"]
    );
}

#[test]
fn a_run_reads_by_the_types_that_the_contract_asks_for() {
    let text = "zip,flag,day,word,when,empty\n01000,true,2024-05-01,1,31/12/2024,\n2,false,2024-05-02,x,01/12/2024,\n";
    let file = SourceFile::bytes("a.csv", text.as_bytes());
    let plain = ReadOptions::default();
    let when = "when: {type: date, format: '%d/%m/%Y'}";
    for (types, expected) in [
        (
            "zip: {type: category}",
            "zip.type: `zip` is to be category, and a run reads its values as numbers: declare `data.types: {zip: category}`",
        ),
        ("flag: {type: string}", "flag.type: `flag` is to be string, and a run reads its values as bools"),
        ("day: {type: string}", "day.type: `day` is to be string, and a run reads its values as dates"),
        (when, "when.type: `when` is to be date, and a run knows no date of the form `%d/%m/%Y`: declare"),
    ] {
        let found = said(&file, types, &plain, true);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{types}: {found:?}");
        // A text file alone has no types, and what is dropped is not learned from.
        assert_eq!(said(&file, types, &plain, false), Vec::<String>::new(), "{types}");
        let drop = vec![types.split(':').next().unwrap_or_default().to_owned()];
        assert_eq!(said(&file, types, &ReadOptions { drop, ..plain.clone() }, true), Vec::<String>::new());
    }
    for types in ["word: {type: category}", "empty: {type: string}", "zip: {type: int}", "flag: {type: bool}"]
    {
        assert_eq!(said(&file, types, &plain, true), Vec::<String>::new(), "{types}");
    }
    let unlearned = ReadOptions { unlearned: ["zip".to_owned()].into(), ..declared("zip", ColumnType::Int) };
    assert_eq!(said(&file, "zip: {type: category}", &unlearned, true), Vec::<String>::new());
    assert!(said(&file, "zip: {type: date}", &unlearned, true)[0].contains("hold what is not a date"));
    let options = declared("zip", ColumnType::String);
    assert_eq!(said(&file, "zip: {type: category}", &options, true), Vec::<String>::new());
    assert!(said(&file, "zip: {type: int}", &options, true)[0].contains("`data.types` has it as string"));
}

#[test]
fn a_moment_is_no_date_and_a_day_lasts_to_its_end() {
    let text = "id,when\n1,2024-05-01T00:00:00\n1,2024-05-01T17:30:00\n1,2024-05-02\n";
    let found =
        checked("version: 1\ncolumns: {id: {type: int}, when: {type: date}}\nunique: [[id, when]]", text);
    assert_eq!(ids(&found), ["when.type"]);
    assert_eq!((found.violations[0].count, found.violations[0].rows[0].line), (1, Some(3)));
    assert_eq!(found.violations[0].rows[0].values["when"], "2024-05-01T17:30:00Z");
    let days = text.replace("17:30", "00:00");
    let found =
        checked("version: 1\ncolumns: {id: {type: int}, when: {type: date}}\nunique: [[id, when]]", &days);
    assert_eq!(
        (ids(&found), &*found.violations[0].rows[0].values["when"]),
        (vec!["id+when.unique"], "2024-05-01")
    );
    let bounded = |bounds: &str| {
        let contract =
            format!("version: 1\ncolumns: {{id: {{type: int}}, when: {{type: timestamp, {bounds}}}}}");
        checked(&contract, text).violations.iter().map(|found| found.count).sum::<u64>()
    };
    assert_eq!(bounded("max: '2024-05-02'"), 0);
    assert_eq!(bounded("max: '2024-05-01'"), 1);
    assert_eq!(bounded("max: '2024-05-01T00:00:00'"), 2);
    assert_eq!(bounded("min: '2024-05-01T12:00:00', max: '2024-05-01'"), 2);
    assert_eq!(bounded("min: '2024-05-02'"), 2);
}

#[test]
fn a_number_that_models_cannot_hold_is_told_from_what_is_none() {
    let contract = "version: 1\ncolumns: {x: {type: float, max: 1e300}}";
    let message = |rows: &str| checked(contract, &format!("x\n1\n{rows}")).violations[0].message.clone();
    assert_eq!(
        message("1e39\n"),
        "`x` is to be float: 1 of 2 rows hold a number beyond ±3.4e38, the range of `f32`, which models compute in"
    );
    assert_eq!(message("x\n"), "`x` is to be float: 1 of 2 rows hold what is not a number");
    assert!(message("x\n1e39\n").contains("2 of 3 rows hold what is not a number, or is beyond ±3.4e38"));
}
