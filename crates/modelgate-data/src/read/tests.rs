//! Tests of reading: what is inferred, what is declared, and what is refused with its place.

mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use modelgate_core::schema::FeatureType;
use proptest::prelude::*;

use super::*;
use crate::types::{ColumnType, DeclaredType};

fn read(text: &str) -> Result<Table, DataError> {
    read_csv(text.as_bytes(), "a.csv", &ReadOptions::default())
}

fn message(text: &str) -> String {
    read(text).expect_err("bad input").to_string()
}

fn declared(name: &str, column_type: ColumnType) -> ReadOptions {
    let types = BTreeMap::from([(name.to_owned(), DeclaredType::from(column_type))]);
    ReadOptions { types, ..ReadOptions::default() }
}

#[test]
fn types_are_inferred_and_nulls_are_those_of_pandas() {
    let table = read("\u{feff}a,b,c,d\r\n1,1.5,x,\r\n2,NaN,\"y,z\",\r\n-3,2,NA,").expect("table");
    assert_eq!(table.rows, 3);
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), Some(2), Some(-3)]));
    assert_eq!(table.columns[1].values, Values::Float(vec![Some(1.5), None, Some(2.0)]));
    assert_eq!(table.columns[2].values, Values::Text(vec![Some("x".into()), Some("y,z".into()), None]));
    assert_eq!(table.columns[3].values, Values::Float(vec![None; 3]));
}

#[test]
fn words_that_are_declared_as_null_are_so_in_every_column() {
    let text = "a,b,c,d\n1,?,?,-999\n ? ,x,\"?\",2\n3,??,N/A,-999.0\n";
    let nulls = ["?", "-999"].map(str::to_owned).into();
    let literal = BTreeSet::from(["c".to_owned()]);
    let options = ReadOptions { literal, nulls, ..declared("c", ColumnType::Category) };
    let table = read_csv(text.as_bytes(), "a.csv", &options).expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), None, Some(3)]));
    assert_eq!(table.columns[1].values, Values::Text(vec![None, Some("x".into()), Some("??".into())]));
    // What is declared as text is read to the letter, but for what is named.
    assert_eq!(table.columns[2].values, Values::Text(vec![None, None, Some("N/A".into())]));
    // Words, not numbers.
    assert_eq!(table.columns[3].values, Values::Float(vec![None, Some(2.0), Some(-999.0)]));
    let error = message("a\n1\n2\n?\n");
    assert!(error.contains("name it in `data.nulls`"), "{error}");
}

#[test]
fn bools_dates_and_moments_are_recognised() {
    let text = "b,d,t\ntrue,2014-10-13,20141013T000000\nFalse,,2014-10-13T00:00:01Z\n";
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    let types: Vec<ColumnType> =
        dataset.schema.columns.iter().map(|column| column.declared.column_type).collect();
    assert_eq!(types, [ColumnType::Bool, ColumnType::Date, ColumnType::Timestamp]);
    let table = read_table(&dataset).expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), Some(0)]));
    assert_eq!(table.columns[1].values, Values::Int(vec![Some(16_356), None]));
    assert_eq!(
        table.columns[2].values,
        Values::Int(vec![Some(1_413_158_400_000_000), Some(1_413_158_401_000_000)])
    );
}

#[test]
fn a_declared_format_is_read_and_a_value_that_is_not_of_it_is_placed() {
    let declared = DeclaredType { column_type: ColumnType::Date, format: Some("%d.%m.%Y".to_owned()) };
    let types = BTreeMap::from([("d".to_owned(), declared)]);
    let options = ReadOptions { types, ..ReadOptions::default() };
    let table = read_csv(b"d;x\n13.10.2014;1\n", "a.csv", &options).expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(16_356)]));
    let error = read_csv(b"d;x\n13.10.2014;1\n2014-10-13;2\n", "a.csv", &options).expect_err("another form");
    assert_eq!(
        error.to_string(),
        "a.csv: line 3, column `d`: `2014-10-13` is not a date such as `%d.%m.%Y`, as the declared type says"
    );
}

#[test]
fn files_without_rows_are_refused() {
    assert_eq!(message(""), "a.csv: the file is empty; expected a header line and rows");
    assert_eq!(message("\n \n"), "a.csv: the file is empty; expected a header line and rows");
    assert_eq!(message("a,b\n"), "a.csv: the file has a header and no rows");
}

#[test]
fn a_ragged_row_is_named_by_its_line_also_behind_empty_ones() {
    assert_eq!(message("a,b\n1,2\n3,4,5\n"), "a.csv: line 3: the row has 3 values and the header 2");
    assert!(message("a,b\r\n\r\n1,2\r\n\r\n\r\n3\r\n").starts_with("a.csv: line 6: the row has 1 value and"));
    assert!(message("a,b\n\"1\n\n\",2\n\n3\n").starts_with("a.csv: line 6: the row has 1 value and"));
}

#[test]
fn a_quote_that_is_not_closed_loses_no_row() {
    let text = "a,b\n1,x\n2,\"y\n3,z\n4,w\n";
    assert!(
        message(text).starts_with("a.csv: line 3: a value begins with \" and no \" ends it"),
        "{}",
        message(text)
    );
    assert!(message("a,b\n1,\"x\"y\n").starts_with("a.csv: line 2: there is text behind the \""));
}

#[test]
fn column_names_are_there_and_differ() {
    assert_eq!(message("a,b,a\n1,2,3\n"), "a.csv: the column name `a` stands twice, at 1 and 3; rename one");
    assert_eq!(message("a,,c\n1,2,3\n"), "a.csv: column 2 has no name in the header line; name it");
    assert_eq!(
        message("a;b;;\n1;2;;\n3;4;;\n"),
        "a.csv: column 3 has no name in the header line; name it, or remove the delimiters at the ends of the lines"
    );
    let index = message(",a\n0,1\n1,2\n");
    assert!(
        index.starts_with("a.csv: column 1 has no name in the header line; pandas writes its index so"),
        "{index}"
    );
    let table = read("\"a \"\"b\"\"\",\u{1f600}\n1,2\n").expect("any other name will do");
    assert_eq!(table.columns[0].name, "a \"b\"");
    assert_eq!(table.columns[1].name, "\u{1f600}");
}

#[test]
fn a_number_that_is_not_finite_is_named_by_line_and_column() {
    for value in ["inf", "-Infinity", "1e39", "1e999"] {
        let text = message(&format!("a,b\n1,1.5\n2,{value}\n"));
        assert!(text.starts_with(&format!("a.csv: line 3, column `b`: `{value}` is infinite")), "{text}");
    }
}

#[test]
fn whole_numbers_beyond_64_bits_are_floats_with_a_note_and_refused_where_int_is_declared() {
    let text = "a\n1\n99999999999999999999\n";
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    assert!(dataset.schema.notes[0].contains("line 3, column `a`: its value is beyond 64 bits"));
    let error = read_csv(text.as_bytes(), "a.csv", &declared("a", ColumnType::Int)).expect_err("too large");
    assert!(error.to_string().contains("line 3, column `a`"), "{error}");
}

#[test]
fn a_little_text_among_numbers_is_an_error_and_can_be_declared() {
    let text = "a\n1\n2\nx\n";
    let found = message(text);
    assert!(found.starts_with("a.csv: line 4, column `a`: `x` is not a number, and 2 of 3"), "{found}");
    let hidden = read(text).expect_err("bad input").without_values();
    assert!(hidden.starts_with("a.csv: line 4, column `a`: a value is not a number, and 2 of 3"), "{hidden}");
    let comma = message("a\n1\n2\n\"3,5\"\n");
    assert!(
        comma.contains("it looks like a number with a decimal comma: write them with a point"),
        "{comma}"
    );
    let table = read_csv(text.as_bytes(), "a.csv", &declared("a", ColumnType::String)).expect("table");
    assert_eq!(table.columns[0].feature_type(), FeatureType::Text);
}

fn notes(files: &[(&str, &str)], mixed: Mixed) -> Result<Vec<String>, String> {
    let files = files.iter().map(|(name, text)| SourceFile::bytes(*name, text.as_bytes())).collect();
    let opened = Dataset::open(files, &ReadOptions::default(), mixed).map_err(|error| error.to_string());
    Ok(opened?.schema.notes)
}

#[test]
fn numbers_that_become_text_half_way_are_refused_and_a_few_among_text_are_told() {
    let halfway = "a\n1\n2\nx\ny\n";
    assert!(message(halfway).starts_with("a.csv: line 4, column `a`: `x` is not a number, and 2 of 4"));
    let told = notes(&[("a.csv", "a\nx\n7\ny\nz\n")], Mixed::Refuse).expect("text");
    assert_eq!(
        told,
        [
            "a.csv: line 3, column `a`: its value is a number, and 3 of 4 values of this column are none; taken as text"
        ]
    );
    let told = notes(&[("a.csv", "a\n2014-10-13\n2014-10-14\nsoon\n")], Mixed::Refuse).expect("text");
    assert_eq!(
        told,
        [
            "a.csv: line 4, column `a`: its value is not a date, and 2 of 3 values of this column are; taken as text"
        ]
    );
    assert_eq!(notes(&[("a.csv", "a\nx\ny\n")], Mixed::Refuse).expect("text"), Vec::<String>::new());
}

#[test]
fn files_of_a_glob_that_differ_in_type_are_judged_together_and_named() {
    let files = [("1.csv", "a\n1\n2\n"), ("2.csv", "a\nx\ny\n")];
    let refused = notes(&files, Mixed::Refuse).expect_err("half numbers");
    assert!(
        refused.starts_with("2.csv: line 2, column `a`: `x` is not a number, and 2 of 4 values"),
        "{refused}"
    );
    let told = notes(&files, Mixed::AsText).expect("text");
    assert!(
        told[0].starts_with("2.csv: line 2, column `a`") && told[0].ends_with("taken as text"),
        "{told:?}"
    );
    let told = notes(&[("1.csv", "a\n1\n"), ("2.csv", "a\nx\ny\n")], Mixed::Refuse).expect("mostly text");
    assert!(told[0].starts_with("1.csv: line 2, column `a`: its value is a number, and 2 of 3"), "{told:?}");
    // What is in one file only is no mixture: numbers here and there are numbers.
    assert_eq!(
        notes(&[("1.csv", "a\n1\n"), ("2.csv", "a\n2.5\n")], Mixed::Refuse).expect("numbers").len(),
        0
    );
}

#[test]
fn a_declared_decimal_is_read_as_float_and_that_is_said() {
    let options = declared("a", ColumnType::Decimal);
    let files = vec![SourceFile::bytes("a.csv", &b"a\n1.50\n2\n"[..])];
    let dataset = Dataset::open(files, &options, Mixed::Refuse).expect("a data set");
    assert_eq!(
        dataset.schema.notes,
        ["column `a` is declared as decimal and read as float: digits beyond 15 are lost"]
    );
    assert_eq!(
        read_table(&dataset).expect("table").columns[0].values,
        Values::Float(vec![Some(1.5), Some(2.0)])
    );
}

#[test]
fn an_empty_line_is_no_row_and_a_quoted_nothing_is_one() {
    let table = read("a\n1\n\n2\n\n").expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), Some(2)]));
    // As pandas writes a missing value of a single column.
    let table = read("a\n1\n\"\"\n2\n").expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), None, Some(2)]));
}

#[test]
fn a_quote_that_is_never_closed_is_named_by_its_line_however_much_stands_behind_it() {
    // Some blocks of a megabyte before it and behind it.
    let row = format!("1,{}\n", "x".repeat(100));
    let (before, behind) = (row.repeat(20_000), row.repeat(40_000));
    let found = message(&format!("a,b\n{before}2,\"y\n{behind}"));
    assert!(found.starts_with("a.csv: line 20002: a value begins with \" and no \" ends it"), "{found}");
}

#[test]
fn values_beyond_f32_are_kept_where_nothing_is_learned() {
    let text = "a\n1.5\n1e39\ninf\n";
    let files = || vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files(), &ReadOptions::default(), Mixed::AsText).expect("a data set");
    let described = crate::describe::describe(&dataset).expect("described");
    let column = &described.columns[0];
    assert_eq!(
        (column.count, column.nulls, column.number.as_ref().map(|number| number.max)),
        (3, 0, Some(1e39))
    );
    assert_eq!(
        described.notes,
        ["column `a`: 1 values are infinite, and the figures are those of the others"]
    );
    let dataset = Dataset::open(files(), &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    assert!(read_table(&dataset).expect_err("too large").to_string().contains("line 3, column `a`: `1e39`"));
}

#[test]
fn a_file_whose_name_looks_like_a_pattern_is_that_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["x[1].csv", "x1.csv", "[a].csv"] {
        fs_err::write(folder.path().join(name), "a\n1\n").expect("written");
    }
    let names = |pattern: &str| -> Vec<String> {
        find(folder.path(), pattern).into_iter().map(|file| file.name).collect()
    };
    assert_eq!(names("x[1].csv"), ["x[1].csv"]);
    assert_eq!(names("x[0-9].csv"), ["x1.csv"]);
    assert_eq!(names("*.csv"), ["[a].csv", "x1.csv", "x[1].csv"]);
}

#[test]
fn bytes_that_are_not_utf8_are_named_and_do_not_matter_in_a_dropped_column() {
    let bytes = b"a,b\n1,x\n2,caf\xe9\n";
    let error = read_csv(bytes, "a.csv", &ReadOptions::default()).expect_err("Latin-1").to_string();
    assert!(error.starts_with("a.csv: line 3, column `b`: the bytes of `caf"), "{error}");
    let options = ReadOptions { drop: vec!["b".to_owned()], ..ReadOptions::default() };
    assert_eq!(read_csv(bytes, "a.csv", &options).expect("table").columns.len(), 1);
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = read_csv(&utf16, "a.csv", &ReadOptions::default()).expect_err("UTF-16").to_string();
    assert_eq!(error, "a.csv: the file is UTF-16; save it as UTF-8");
}

#[test]
fn a_column_that_is_not_there_is_named_with_the_nearest() {
    let options = ReadOptions { drop: vec!["targte".to_owned()], ..ReadOptions::default() };
    let error = read_csv(b"a,target\n1,2\n", "a.csv", &options).expect_err("no such column").to_string();
    assert_eq!(
        error,
        "a.csv: preprocess.drop names the column `targte`, which is not there; did you mean `target`? there is `a`, `target`"
    );
    let options = ReadOptions { delimiter: Some(b','), ..declared("b", ColumnType::Int) };
    let error = read_csv(b"a;b\n1;2\n", "a.csv", &options).expect_err("wrong delimiter").to_string();
    assert!(error.ends_with("is the delimiter another one (`data.delimiter`)?"), "{error}");
}

#[test]
#[cfg(unix)]
fn a_pipe_is_refused_rather_than_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("rows.csv")).status();
    assert!(made.expect("mkfifo").success());
    for source in ["rows.csv", "*.csv"] {
        let error = crate::find_files(folder.path(), source).expect_err("a pipe").to_string();
        assert!(error.contains("rows.csv: it is "), "{error}");
    }
}

#[test]
fn compressed_files_and_globs_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a,b\n1,x\n").expect("compressed");
    let packed = gzip.finish().expect("compressed");
    fs_err::write(folder.path().join("1.csv.gz"), &packed).expect("written");
    let zstd = zstd::encode_all(&b"b;a\ny;2\n"[..], 1).expect("compressed");
    fs_err::write(folder.path().join("2.csv.zst"), zstd).expect("written");
    let files = find(folder.path(), "*.csv.*");
    let table =
        read_table(&Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set"));
    let table = table.expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), Some(2)]));
    assert_eq!(table.columns[1].values, Values::Text(vec![Some("x".into()), Some("y".into())]));

    fs_err::write(folder.path().join("1.csv.gz"), &packed[..packed.len() - 9]).expect("cut");
    let error = Dataset::open(find(folder.path(), "1*"), &ReadOptions::default(), Mixed::Refuse);
    let error = error.expect_err("cut short").to_string();
    assert!(error.contains("1.csv.gz: the compressed data is damaged or cut short"), "{error}");
    fs_err::write(folder.path().join("1.csv.gz"), b"a,c\n1,2\n").expect("written");
    let error = Dataset::open(find(folder.path(), "*"), &ReadOptions::default(), Mixed::Refuse);
    assert_eq!(
        error.expect_err("other columns").to_string(),
        "2.csv.zst: its columns are not those of `1.csv.gz`: it lacks `c` and has `b` besides"
    );
    let error = crate::find_files(folder.path(), "*.parquet").expect_err("nothing").to_string();
    assert_eq!(error, "*.parquet: no file has such a name");
}

fn find(folder: &std::path::Path, pattern: &str) -> Vec<SourceFile> {
    crate::find_files(folder, pattern).expect("found")
}

#[test]
fn a_field_of_a_million_letters_and_five_thousand_columns_are_read() {
    let long = "x".repeat(3_000_000);
    let table = read(&format!("a,b\n1,\"{long}\n{long}\"\n2,y\n")).expect("table");
    assert_eq!(table.columns[1].text(0).map(str::len), Some(6_000_001));
    let names: Vec<String> = (0..5000).map(|column| format!("c{column}")).collect();
    let row = vec!["1"; 5000].join(",");
    let table = read(&format!("{}\n{row}\n{row}\n", names.join(","))).expect("table");
    assert_eq!((table.columns.len(), table.rows), (5000, 2));
}

/// A data set of a file of `rows` rows, as a closure that changes the file finds it.
fn on_disk(rows: usize) -> (tempfile::TempDir, std::path::PathBuf, Dataset) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.csv");
    let text: String = (0..rows).map(|row| format!("{row},text of row {row}\n")).collect();
    fs_err::write(&path, format!("n,t\n{text}")).expect("written");
    let files = vec![SourceFile::path("a.csv", &path)];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set");
    (folder, path, dataset)
}

#[test]
fn a_file_that_is_written_to_between_two_passes_is_named() {
    let changed = "a.csv: the file changed while it was read; try again when nothing writes to it";
    let append = |path: &std::path::Path| {
        let mut file = fs_err::OpenOptions::new().append(true).open(path).expect("opened");
        file.write_all(b"9,more\n").expect("written");
    };
    // A row more; cut in the middle of a row, which is no ragged row; another file of the same size; other bytes in place.
    let cut = |path: &std::path::Path| {
        let file = fs_err::OpenOptions::new().write(true).open(path).expect("opened");
        file.file().set_len(20).expect("cut");
    };
    let replace = |path: &std::path::Path| {
        let other = path.with_extension("new");
        fs_err::copy(path, &other).expect("copied");
        fs_err::rename(other, path).expect("renamed");
    };
    let rewrite = |path: &std::path::Path| {
        let bytes = fs_err::read(path).expect("read");
        fs_err::write(path, bytes).expect("written");
        let file = fs_err::OpenOptions::new().write(true).open(path).expect("opened").into_file();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
        file.set_modified(later).expect("a time");
    };
    for change in [&append as &dyn Fn(&std::path::Path), &cut, &replace, &rewrite] {
        let (_folder, path, dataset) = on_disk(50);
        crate::describe::describe(&dataset).expect("nothing has changed");
        change(&path);
        let error = crate::describe::describe(&dataset).expect_err("changed").to_string();
        assert_eq!(error, changed);
        assert_eq!(read_table(&dataset).expect_err("changed").to_string(), changed);
    }
    // A link to it, as a snapshot makes one, is no change.
    let (folder, path, dataset) = on_disk(50);
    fs_err::hard_link(&path, folder.path().join("b.csv")).expect("linked");
    read_table(&dataset).expect("nothing has changed");
}

#[test]
fn a_file_that_is_written_to_during_a_pass_is_named() {
    let (_folder, path, dataset) = on_disk(50);
    let columns = dataset.all_columns();
    let result = dataset.scan(
        &columns,
        |_| {
            let mut file = fs_err::OpenOptions::new().append(true).open(&path).expect("opened");
            file.write_all(b"9,more\n").expect("written");
            Ok::<_, DataError>(())
        },
        |(), _| Ok(()),
    );
    assert!(result.expect_err("changed").to_string().contains("a.csv: the file changed while it was read"));
}

#[test]
fn a_parquet_file_that_is_replaced_between_two_passes_is_named() {
    use std::sync::Arc;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.parquet");
    let write = |rows: i64| {
        let column = arrow_array::Int64Array::from_iter_values(0..rows);
        let column: arrow_array::ArrayRef = Arc::new(column);
        let batch = arrow_array::RecordBatch::try_from_iter([("n", column)]).expect("a batch");
        let file = fs_err::File::create(&path).expect("created").into_parts().0;
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    };
    write(3);
    let files = vec![SourceFile::path("a.parquet", &path)];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set");
    write(9000);
    let error = crate::describe::describe(&dataset).expect_err("changed").to_string();
    assert!(error.contains("a.parquet: the file changed while it was read"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn blocks_and_threads_change_nothing(rows in 1..40_000_usize, quoted: bool, threads in 1..5_usize) {
        let quote = if quoted { "\"" } else { "" };
        let mut text = String::from("n,t\n");
        for row in 0..rows {
            text.push_str(&format!("{row},{quote}value of row {row}{quote}\n"));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let table = pool.install(|| read(&text)).expect("table");
        prop_assert_eq!(table.rows, rows);
        for row in 0..rows {
            prop_assert_eq!(table.columns[0].number(row), Some(row as f64));
            let expected = format!("value of row {row}");
            prop_assert_eq!(table.columns[1].text(row), Some(expected.as_str()));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(b"a1,;\"'\r\n\xff\0.-".to_vec()), 0..80)) {
        let _ = read_csv(&bytes, "a.csv", &ReadOptions::default());
    }
}
