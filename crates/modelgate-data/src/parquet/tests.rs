//! Tests of Parquet in.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    StringArray, StructArray, TimestampNanosecondArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::dataset::{Dataset, Mixed, ReadOptions};
use crate::table::Values;

fn batch() -> RecordBatch {
    let dictionary: DictionaryArray<Int32Type> = ["x", "y", "x"].into_iter().collect();
    let decimal = Decimal128Array::from(vec![Some(150), None, Some(-25)])
        .with_precision_and_scale(10, 2)
        .expect("a decimal");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("f", Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("t", Arc::new(StringArray::from(vec![Some("a"), Some(""), None]))),
        ("c", Arc::new(dictionary)),
        ("d", Arc::new(Date32Array::from(vec![Some(16_356), None, Some(0)]))),
        ("m", Arc::new(TimestampNanosecondArray::from(vec![Some(1_000_500), None, Some(-1)]))),
        ("n", Arc::new(decimal)),
        ("u", Arc::new(UInt64Array::from(vec![1, 2, 3]))),
        ("z", Arc::new(arrow_array::NullArray::new(3))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

pub(crate) fn write(path: &std::path::Path) {
    write_batch(path, &batch());
}

pub(crate) fn write_batch(path: &std::path::Path, batch: &RecordBatch) {
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
}

fn open(path: &std::path::Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    Dataset::open(vec![SourceFile::path("a.parquet", path)], options, Mixed::Refuse)
}

#[test]
fn every_flat_type_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    write(&path);
    let dataset = open(&path, &ReadOptions::default()).expect("a data set");
    let types: Vec<String> =
        dataset.schema.columns.iter().map(|column| column.declared.column_type.to_string()).collect();
    assert_eq!(
        types,
        ["int", "float", "bool", "string", "category", "date", "timestamp", "decimal", "int", "float"]
    );
    assert_eq!(dataset.schema.rows, 3);
    let notes = dataset.schema.notes.join("\n");
    assert!(notes.contains("column `n` is decimal(10, 2), read as float"), "{notes}");
    assert!(notes.contains("column `m` is of nanoseconds, cut to microseconds"), "{notes}");
    let table = crate::read_table(&dataset).expect("table");
    let values = |name: &str| &table.column(name).expect("a column").values;
    assert_eq!(*values("i"), Values::Int(vec![Some(1), None, Some(3)]));
    assert_eq!(*values("f"), Values::Float(vec![Some(0.5), None, None]));
    assert_eq!(*values("b"), Values::Int(vec![Some(1), Some(0), None]));
    assert_eq!(*values("t"), Values::Text(vec![Some("a".into()), None, None]));
    assert_eq!(*values("c"), Values::Text(vec![Some("x".into()), Some("y".into()), Some("x".into())]));
    assert_eq!(*values("d"), Values::Int(vec![Some(16_356), None, Some(0)]));
    assert_eq!(*values("m"), Values::Int(vec![Some(1_000), None, Some(-1)]));
    assert_eq!(*values("n"), Values::Float(vec![Some(1.5), None, Some(-0.25)]));
    assert_eq!(*values("z"), Values::Float(vec![None; 3]));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    write(&path);
    let bytes = fs_err::read(&path).expect("bytes");
    fs_err::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
    let error = open(&path, &ReadOptions::default()).expect_err("cut").to_string();
    assert!(error.starts_with("a.parquet: it is not a whole Parquet file"), "{error}");
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let field = Arc::new(arrow_schema::Field::new("x", arrow_schema::DataType::Int64, true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, inner.clone())]));
    write_batch(&path, &RecordBatch::try_from_iter([("s", nested), ("x", inner)]).expect("a batch"));
    let error = open(&path, &ReadOptions::default()).expect_err("nested").to_string();
    assert!(error.contains("column `s` is of type Struct") && error.contains("not flat"), "{error}");
    let options = ReadOptions { drop: vec!["s".to_owned()], ..ReadOptions::default() };
    assert_eq!(open(&path, &options).expect("dropped").schema.names(), ["x"]);
}

#[test]
fn dictionaries_of_numbers_are_read_as_these_and_other_flat_types_are_named() {
    use arrow_array::{BinaryArray, DictionaryArray, DurationSecondArray, Time32MillisecondArray};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let keys = || arrow_array::Int8Array::from(vec![Some(0), None, Some(1), Some(0)]);
    let held = |values: ArrayRef| {
        Arc::new(DictionaryArray::<Int8Type>::try_new(keys(), values).expect("a dictionary")) as ArrayRef
    };
    let columns = [
        ("i", held(Arc::new(Int64Array::from(vec![7, 9])))),
        ("u", held(Arc::new(UInt64Array::from(vec![1, u64::MAX])))),
        ("f", held(Arc::new(Float64Array::from(vec![0.5, 2.5])))),
        ("b", held(Arc::new(arrow_array::BooleanArray::from(vec![false, true])))),
    ];
    write_batch(&path, &RecordBatch::try_from_iter(columns).expect("a batch"));
    let dataset = open(&path, &ReadOptions::default()).expect("a data set");
    let found = |column: &crate::dataset::SchemaColumn| column.declared.column_type;
    let types: Vec<ColumnType> = dataset.schema.columns.iter().map(found).collect();
    assert_eq!(types, [ColumnType::Int, ColumnType::Float, ColumnType::Float, ColumnType::Bool]);
    let table = crate::read_table(&dataset).expect("table");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(7), None, Some(9), Some(7)]));
    assert_eq!(table.columns[2].values, Values::Float(vec![Some(0.5), None, Some(2.5), Some(0.5)]));
    assert_eq!(table.columns[3].values, Values::Int(vec![Some(0), None, Some(1), Some(0)]));
    let others: [(&str, ArrayRef); 3] = [
        ("Time32", Arc::new(Time32MillisecondArray::from(vec![1]))),
        ("Duration", Arc::new(DurationSecondArray::from(vec![1]))),
        ("Binary", Arc::new(BinaryArray::from_vec(vec![b"x"]))),
    ];
    for (name, column) in others {
        write_batch(&path, &RecordBatch::try_from_iter([(name, column)]).expect("a batch"));
        let error = open(&path, &ReadOptions::default()).expect_err("not read").to_string();
        assert!(error.contains(&format!("column `{name}` is of type {name}")), "{error}");
        assert!(
            error.ends_with("which is not read here; write it as a number or a text, or drop it"),
            "{error}"
        );
    }
}

#[test]
fn the_index_of_pandas_is_left_out_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 5]));
    let named = |names: &[&'static str]| {
        RecordBatch::try_from_iter(names.iter().map(|name| (*name, column.clone()))).expect("a batch")
    };
    write_batch(&path, &named(&["x", "__index_level_0__", "__index_level_x__"]));
    let dataset = open(&path, &ReadOptions::default()).expect("a data set");
    assert_eq!(dataset.schema.names(), ["x", "__index_level_x__"]);
    assert!(dataset.schema.notes[0].contains("`__index_level_0__` is the index of pandas and is left out"));
    assert_eq!(crate::read_table(&dataset).expect("table").columns[1].number(1), Some(5.0));
    // Who declares its type wants it, and who drops it is told nothing.
    let types = [("__index_level_0__".to_owned(), ColumnType::Int.into())].into();
    let kept = open(&path, &ReadOptions { types, ..ReadOptions::default() }).expect("declared");
    assert_eq!((kept.schema.columns.len(), kept.schema.notes.len()), (3, 0));
    let drop_name = ["__index_level_0__".to_owned()];
    let drop = drop_name.to_vec();
    let dropped = open(&path, &ReadOptions { drop, ..ReadOptions::default() }).expect("dropped");
    assert_eq!((dropped.schema.columns.len(), dropped.schema.notes.len()), (2, 0));
    // So does who names it otherwise; the header has it in any case.
    let named_so: std::collections::BTreeSet<String> = drop_name.into();
    let kept = open(&path, &ReadOptions { named: named_so, ..ReadOptions::default() }).expect("named");
    assert_eq!((kept.schema.columns.len(), kept.schema.notes.len()), (3, 0));
    let file = SourceFile::path("a.parquet", &path);
    let header = Dataset::column_names(&file, &ReadOptions::default()).expect("a header");
    assert_eq!(header, ["x", "__index_level_0__", "__index_level_x__"]);
    let contract = "version: 1\nextra_columns: allow\ncolumns: {__index_level_0__: {type: int, max: 4}}";
    let contract = crate::contract::parse(contract, "c.yaml").expect("a contract");
    let report = crate::contract::check(vec![file], &ReadOptions::default(), &contract, "c.yaml", 0);
    let violations = report.expect("checked").violations;
    assert_eq!((violations.len(), violations[0].id.as_str()), (1, "__index_level_0__.max"));
    // A file of the same form without one goes with it.
    let whole = folder.path().join("b.parquet");
    write_batch(&whole, &named(&["x", "__index_level_x__"]));
    let files = vec![SourceFile::path("a.parquet", path), SourceFile::path("b.parquet", whole)];
    let both = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    assert_eq!((both.schema.rows, both.schema.columns.len()), (4, 2));
}

#[test]
fn decimals_of_every_width_are_read_as_float_and_that_is_said() {
    use arrow_array::{Decimal32Array, Decimal64Array, Decimal256Array};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let wide: Vec<Option<<Decimal256Type as ArrowPrimitiveType>::Native>> =
        vec![Some(<Decimal256Type as ArrowPrimitiveType>::Native::from_i128(-12_345)), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "a",
            Arc::new(
                Decimal32Array::from(vec![Some(150), None]).with_precision_and_scale(9, 2).expect("one"),
            ),
        ),
        (
            "b",
            Arc::new(
                Decimal64Array::from(vec![Some(-25), None]).with_precision_and_scale(18, 1).expect("one"),
            ),
        ),
        ("c", Arc::new(Decimal256Array::from(wide).with_precision_and_scale(60, 3).expect("one"))),
    ];
    write_batch(&path, &RecordBatch::try_from_iter(columns).expect("a batch"));
    let dataset = open(&path, &ReadOptions::default()).expect("a data set");
    let notes = dataset.schema.notes.join("\n");
    for text in ["`a` is decimal(9, 2), read as float", "`b` is decimal(18, 1)", "`c` is decimal(60, 3)"] {
        assert!(notes.contains(text), "{notes}");
    }
    let table = crate::read_table(&dataset).expect("table");
    let first: Vec<Option<f64>> = table.columns.iter().map(|column| column.number(0)).collect();
    assert_eq!(first, [Some(1.5), Some(-2.5), Some(-12.345)]);
}

#[test]
fn a_description_leaves_out_what_is_nested_and_widens_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let field = Arc::new(arrow_schema::Field::new("x", arrow_schema::DataType::Int64, true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, inner.clone())]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![2.5]));
    for (name, column) in [("a.parquet", &inner), ("b.parquet", &floats)] {
        let columns = [("s", nested.clone()), ("n", (*column).clone())];
        write_batch(&folder.path().join(name), &RecordBatch::try_from_iter(columns).expect("a batch"));
    }
    let files = || crate::find_files(folder.path(), "*.parquet").expect("found");
    let dataset = Dataset::open(files(), &ReadOptions::default(), Mixed::AsText).expect("a data set");
    assert_eq!(dataset.schema.names(), ["n"]);
    assert_eq!(dataset.schema.columns[0].declared.column_type, ColumnType::Float);
    assert!(
        dataset.schema.notes[0].contains("column `n` is float and in `a.parquet` it is int; taken as float")
    );
    assert!(dataset.schema.notes[1].contains("column `s` is of type Struct"), "{:?}", dataset.schema.notes);
    let table = crate::read_table(&dataset).expect("table");
    assert_eq!(table.columns[0].values, Values::Float(vec![Some(1.0), Some(2.5)]));
    // A contract that is made of the description is kept by the data.
    let found = crate::describe::describe(&dataset).expect("described");
    let found = crate::contract::infer(&found, &std::collections::BTreeMap::new(), "mine", None);
    let report =
        crate::contract::check(files(), &ReadOptions::default(), &found, "c.yaml", 0).expect("checked");
    assert!(report.passed() && report.violations[0].id == "s.extra", "{:?}", report.violations);
    // A contract reads both by its own types and need not know of what is nested.
    let contract = "version: 1\nextra_columns: allow\ncolumns: {n: {type: float, max: 2}}";
    let contract = crate::contract::parse(contract, "c.yaml").expect("a contract");
    let report = crate::contract::check(files(), &ReadOptions::default(), &contract, "c.yaml", 0);
    let report = report.expect("checked");
    assert_eq!((report.rows, report.violations.len(), report.violations[0].id.as_str()), (2, 1, "n.max"));
    let contract = "version: 1\ncolumns: {n: {type: float}, s: {type: string}}";
    let contract = crate::contract::parse(contract, "c.yaml").expect("a contract");
    let report = crate::contract::check(files(), &ReadOptions::default(), &contract, "c.yaml", 0);
    assert_eq!(report.expect("checked").violations[0].id, "s.type");
}

#[test]
fn other_schemas_under_one_glob_are_refused_and_a_wrong_declared_type_is_placed() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("a.parquet"));
    let column: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    write_batch(
        &folder.path().join("b.parquet"),
        &RecordBatch::try_from_iter([("i", column)]).expect("a batch"),
    );
    let files = crate::find_files(folder.path(), "*.parquet").expect("found");
    let error = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect_err("differ").to_string();
    assert!(error.starts_with("b.parquet: its columns are not those of `a.parquet`"), "{error}");
    let path = folder.path().join("a.parquet");
    let types = std::collections::BTreeMap::from([("t".to_owned(), ColumnType::Int.into())]);
    let dataset = open(&path, &ReadOptions { types, ..ReadOptions::default() }).expect("a data set");
    let error = crate::read_table(&dataset).expect_err("text").to_string();
    assert!(error.contains("row 1, column `t`: `a` is not a whole number"), "{error}");
}

#[test]
fn unsigned_numbers_beyond_those_with_a_sign_are_read_as_float() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, values: Vec<u64>| {
        let column: ArrayRef = Arc::new(UInt64Array::from(values));
        write_batch(
            &folder.path().join(name),
            &RecordBatch::try_from_iter([("u", column)]).expect("a batch"),
        );
    };
    write("a.parquet", vec![1, i64::MAX as u64]);
    write("b.parquet", vec![2, u64::MAX]);
    let opened = |name: &str, types: &[(&str, ColumnType)]| {
        let types = types.iter().map(|(name, column_type)| ((*name).to_owned(), (*column_type).into()));
        let options = ReadOptions { types: types.collect(), ..ReadOptions::default() };
        let files = crate::find_files(folder.path(), name).expect("found");
        Dataset::open(files, &options, Mixed::Refuse).expect("a data set")
    };
    let small = opened("a.parquet", &[]);
    assert_eq!(small.schema.columns[0].declared.column_type, ColumnType::Int);
    assert_eq!(small.schema.notes, Vec::<String>::new());
    let values = |dataset: &Dataset| crate::read_table(dataset).expect("table").columns.remove(0).values;
    assert_eq!(values(&small), Values::Int(vec![Some(1), Some(i64::MAX)]));
    let large = opened("b.parquet", &[]);
    assert_eq!(values(&large), Values::Float(vec![Some(2.0), Some(18_446_744_073_709_551_615.0)]));
    assert_eq!(
        large.schema.notes,
        ["b.parquet: column `u` is uint64 with values from 2^63 on, read as float"]
    );
    // Of all files together, as in text; and as declared.
    let both = opened("*.parquet", &[]);
    assert_eq!(
        values(&both).clone(),
        Values::Float(vec![
            Some(1.0),
            Some(9_223_372_036_854_775_807.0),
            Some(2.0),
            Some(18_446_744_073_709_551_615.0),
        ])
    );
    assert_eq!(values(&opened("b.parquet", &[("u", ColumnType::Float)])), values(&large));
    let error = crate::read_table(&opened("b.parquet", &[("u", ColumnType::Int)])).expect_err("too large");
    assert!(
        error
            .to_string()
            .contains("row 2, column `u`: `18446744073709551615` is not a whole number of 64 bits")
    );
}

#[test]
fn a_file_compressed_by_what_is_not_read_here_is_said_to_be_so() {
    // Made by pyarrow 25.0.1: `write_table(table({"x": [1, 2]}), "brotli.parquet", compression="brotli")`, without dictionary
    // and statistics.
    let bytes = include_bytes!("brotli.parquet").as_slice();
    let error = crate::read_csv(bytes, "b.parquet", &ReadOptions::default()).expect_err("Brotli").to_string();
    let expected = "b.parquet: it is compressed with Brotli, which is not read here; write it with Snappy, Zstandard, gzip or LZ4";
    assert_eq!(error, expected);
}

#[test]
fn long_texts_come_in_few_rows_and_one_that_is_too_long_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let text = "x".repeat(1 << 20);
    let long: DictionaryArray<Int32Type> = std::iter::repeat_n(text.as_str(), 80).collect();
    let plain: ArrayRef = Arc::new(Int64Array::from((0..80).collect::<Vec<_>>()));
    write_batch(
        &path,
        &RecordBatch::try_from_iter([("t", Arc::new(long) as ArrayRef), ("n", plain)]).expect("a batch"),
    );
    let dataset = open(&path, &ReadOptions::default()).expect("a data set");
    assert_eq!(dataset.schema.columns[0].declared.column_type, ColumnType::Category);
    let (mut rows, mut numbers) = (Vec::new(), Vec::new());
    let read = dataset.scan_strictly(
        &dataset.all_columns(),
        |batch| match &batch.columns[1].cells {
            Cells::Int(values) => values.clone(),
            _ => Vec::new(),
        },
        |values, _| {
            rows.push(values.len());
            numbers.extend(values.into_iter().flatten());
        },
    );
    read.expect("read");
    assert_eq!(rows, [16; 5]);
    assert!(numbers.into_iter().eq(0..80));
    let text = "x".repeat((64 << 20) + 1);
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a", text.as_str()]));
    write_batch(&path, &RecordBatch::try_from_iter([("t", column)]).expect("a batch"));
    let error = crate::read_table(&open(&path, &ReadOptions::default()).expect("a data set"));
    let error = error.expect_err("too long").to_string();
    assert_eq!(
        error,
        "a.parquet: row 2, column `t`: the text has 67108865 bytes, and 64 MiB are read at most; drop the column"
    );
}

#[test]
fn texts_that_are_far_more_than_the_file_are_refused() {
    // Made by pyarrow 25.0.1: `array(["x" * (32 << 20)] * 50).dictionary_encode()`, with Zstandard and without statistics.
    let bytes = include_bytes!("far_more.parquet").as_slice();
    let files = vec![SourceFile::bytes("a.parquet", bytes)];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    let error = dataset.scan_strictly(&dataset.all_columns(), |_| (), |(), _| ()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "a.parquet: the texts of its rows are more than 1000 times as long as the file; drop the columns with long texts"
    );
}

#[test]
fn a_moment_beyond_what_is_kept_is_an_error_that_names_its_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let days: ArrayRef = Arc::new(Date32Array::from(vec![2_932_896, i32::MAX]));
    write_batch(&path, &RecordBatch::try_from_iter([("d", days)]).expect("a batch"));
    let error = crate::read_table(&open(&path, &ReadOptions::default()).expect("a data set"));
    let error = error.expect_err("a day of the year 5881580").to_string();
    assert!(error.contains("row 2, column `d`") && error.contains("is not a date"), "{error}");
}
