//! Tests of what changed.

use super::*;
use crate::dataset::{Mixed, ReadOptions};
use crate::source::SourceFile;

fn compared(before: &str, after: &str, key: &[&str]) -> Result<DataDiff, DataError> {
    let open = |name: &str, text: &str| {
        let files = vec![SourceFile::bytes(name, text.as_bytes())];
        Dataset::open(files, &ReadOptions::default(), Mixed::Exactly).expect("a data set")
    };
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    diff(&open("a.csv", before), &open("b.csv", after), &key)
}

#[test]
fn rows_are_known_by_their_key_whatever_their_order() {
    let before = "id,x,y,gone\n1,a,1,0\n2,b,2,0\n3,c,3,0\n4,d,,0\n";
    let after = "y,new,x,id\n3,9,c,3\n2.5,9,b,2\n,9,D,4\n7,9,e,5\n";
    let found = compared(before, after, &["id"]).expect("compared");
    assert_eq!((found.rows_added, found.rows_removed, found.rows_changed), (1, 1, 2));
    assert_eq!(
        (found.columns_added, found.columns_removed),
        (vec!["new".to_owned()], vec!["gone".to_owned()])
    );
    assert_eq!(found.columns_retyped[0].column, "y");
    assert_eq!(found.changes.len(), 2);
    let x = &found.changes[0];
    assert_eq!((x.column.as_str(), x.rows), ("x", 1));
    let expected = ChangedValue { key: "4".to_owned(), before: "d".to_owned(), after: "D".to_owned() };
    assert_eq!(x.examples, [expected]);
    let expected = ChangedValue { key: "2".to_owned(), before: "2".to_owned(), after: "2.5".to_owned() };
    assert_eq!(found.changes[1].examples, [expected]);
}

#[test]
fn without_a_key_rows_are_known_by_their_content() {
    let found = compared("a\n1\n1\n2\n", "a\n1\n2\n3\n", &[]).expect("compared");
    assert_eq!((found.rows_added, found.rows_removed, found.rows_changed), (1, 1, 0));
    let same = compared("a,b\n1,x\n2,y\n", "b,a\ny,2\nx,1\n", &[]).expect("compared");
    assert!(same.is_empty());
    assert_eq!(same.to_text(), "no difference in 2 rows\n");
}

#[test]
fn a_column_that_got_another_type_is_compared_by_its_values() {
    // Whole numbers became text because of one value: that value alone has changed.
    let found = compared("id,x\n1,7\n2,8\n3,9\n", "id,x\n1,7\n2,eight\n3,nine\n", &["id"]).expect("compared");
    assert_eq!((found.columns_retyped[0].after, found.rows_changed), (ColumnType::String, 2));
    assert_eq!(found.changes[0].examples[0].before, "8");
    // So it is with a key.
    let found = compared("id,x\n1,7\n2,8\n", "id,x\n1,7\n2,8\nthree,9\nfour,9\nfive,9\n", &["id"]);
    let found = found.expect("compared");
    assert_eq!((found.rows_added, found.rows_removed, found.rows_changed), (3, 0, 0));
    // A date and the moment of its midnight are the same.
    let found = compared("d\n2014-10-13\n", "d\n2014-10-13T00:00:00\n", &[]).expect("compared");
    assert_eq!((found.rows_added, found.rows_removed), (0, 0));
}

#[test]
fn numbers_that_no_model_could_use_are_compared_all_the_same() {
    let found = compared("id,x\n1,1e39\n2,1e999\n", "id,x\n1,1e39\n2,5.5\n", &["id"]).expect("compared");
    assert_eq!((found.rows_changed, found.changes[0].examples[0].before.as_str()), (1, "1e999"));
}

#[test]
fn a_key_that_is_not_one_is_refused() {
    let error = compared("a\n1\n1\n", "a\n1\n", &["a"]).expect_err("twice").to_string();
    let expected =
        "a.csv: 1 row has a key that another row has, such as a = 1 in line 2 and line 3; name a `--key`";
    assert!(error.starts_with(expected), "{error}");
    let error = compared("a,b\n1,x\n2,y\n3,z\n2,y\n3,z\n", "a,b\n1,x\n", &["a", "b"]).expect_err("twice");
    let expected = "2 rows have a key that another row has, such as a, b = 2, y in line 3 and line 5;";
    assert!(error.to_string().contains(expected), "{error}");
    let error = compared("a\n1\n", "b\n1\n", &["a"]).expect_err("missing").to_string();
    assert!(error.starts_with("b.csv: the key column `a` is not there"), "{error}");
}

#[test]
fn a_usual_key_that_repeats_gives_way_to_the_content_and_that_is_said() {
    let open = |text: &str| {
        let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
        Dataset::open(files, &ReadOptions::default(), Mixed::Exactly).expect("a data set")
    };
    let key = ["id".to_owned()];
    let (before, after) = (open("id,x\n7,a\n7,b\n8,c\n"), open("id,x\n7,a\n7,d\n8,c\n"));
    let found = diff_by_usual(&before, &after, &key).expect("compared");
    assert_eq!((found.rows_added, found.rows_removed, found.key.len()), (1, 1, 0));
    let note = "a.csv: 1 row has a key (`id`) that another row has, so rows are compared by their content";
    assert_eq!(found.note.as_deref(), Some(note));
    assert!(found.to_text().starts_with(note), "{}", found.to_text());
    let found = diff_by_usual(&open("id,x\n7,a\n8,c\n"), &open("id,x\n7,a\n8,d\n"), &key).expect("by key");
    assert_eq!((found.rows_changed, found.note), (1, None));
    let error = diff(&before, &after, &key).expect_err("asked for");
    assert!(error.to_string().contains("such as id = 7 in line 2 and line 3"), "{error}");
    let hidden = error.without_values();
    assert!(hidden.contains("such as a value in line 2 and line 3; name a `--key`"), "{hidden}");
}

#[test]
fn values_that_doubles_and_microseconds_do_not_tell_apart_are_compared_to_the_last_digit() {
    for [before, after] in [
        ["89490000001234567891", "89490000001234567892"],
        ["1.000000000000000001", "1.000000000000000009"],
        ["01000", "1000"],
        ["2024-01-01T00:00:00.0000001", "2024-01-01T00:00:00.0000002"],
        ["9007199254740993", "9007199254740992.0"],
        ["1e999", "2e999"],
    ] {
        let text = |value: &str| format!("id,x\n1,{value}\n2,{before}\n");
        let found = compared(&text(before), &text(after), &["id"]).expect("compared");
        assert_eq!((found.rows_changed, found.changes.len()), (1, 1), "{before}");
        let by_content = compared(&text(before), &text(after), &[]).expect("compared");
        assert_eq!((by_content.rows_added, by_content.rows_removed), (1, 1), "{before}");
        assert!(compared(&text(before), &text(before), &["x"]).is_err(), "{before} stands twice");
        let keys = format!("x\n{before}\n{after}\n");
        assert!(compared(&keys, &keys, &["x"]).expect("two keys").is_empty(), "{before}");
    }
    for [before, after] in [["0.1", "0.10"], ["1e-1", "0.10000000000000001"], ["1", "1.0"]] {
        let text = |value: &str| format!("id,x\n1,{value}\n2,0.5\n");
        assert!(compared(&text(before), &text(after), &["id"]).expect("compared").is_empty(), "{before}");
    }
}

#[test]
fn columns_that_no_model_learns_from_are_compared_and_notes_are_told() {
    use arrow_array::{
        ArrayRef, BinaryArray, Decimal128Array, ListArray, StringArray, Time64MicrosecondArray, UInt64Array,
    };
    use std::sync::Arc;
    let folder = tempfile::tempdir().expect("a folder");
    let open = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let path = folder.path().join(name);
        let batch = arrow_array::RecordBatch::try_from_iter(columns).expect("a batch");
        crate::parquet::tests::write_batch(&path, &batch);
        Dataset::open(vec![SourceFile::path(name, &path)], &ReadOptions::default(), Mixed::Exactly)
            .expect("a data set")
    };
    let id = || ("id", Arc::new(UInt64Array::from(vec![1, 2])) as ArrayRef);
    let list = |texts: &[&str]| -> ArrayRef {
        let mut lists = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
        texts.iter().for_each(|text| lists.values().append_value(text));
        lists.append(true);
        lists.append(false);
        let found: ListArray = lists.finish();
        Arc::new(found)
    };
    let decimal = |value: i128| -> ArrayRef {
        let found =
            Decimal128Array::from(vec![value, 5]).with_precision_and_scale(38, 10).expect("a decimal");
        Arc::new(found)
    };
    let pairs: Vec<[ArrayRef; 2]> = vec![
        [list(&["a", "b"]), list(&["a, b"])],
        [
            Arc::new(BinaryArray::from(vec![&b"a"[..], b"b"])),
            Arc::new(BinaryArray::from(vec![&b"a"[..], b"c"])),
        ],
        [
            Arc::new(Time64MicrosecondArray::from(vec![1, 2])),
            Arc::new(Time64MicrosecondArray::from(vec![1, 3])),
        ],
        [Arc::new(UInt64Array::from(vec![u64::MAX, 0])), Arc::new(UInt64Array::from(vec![u64::MAX - 1, 0]))],
        [decimal(12_345_678_901_234_567_890_123), decimal(12_345_678_901_234_567_890_124)],
    ];
    let key = ["id".to_owned()];
    for [before, after] in pairs {
        let what = before.data_type().to_string();
        let old = open("a.parquet", vec![id(), ("x", before)]);
        assert!(diff(&old, &old, &key).expect("compared").is_empty(), "{what}");
        let found = diff(&old, &open("b.parquet", vec![id(), ("x", after)]), &key).expect("compared");
        assert_eq!((found.rows_changed, found.changes.len()), (1, 1), "{what}");
        assert_ne!(found.changes[0].examples[0].before, found.changes[0].examples[0].after, "{what}");
        let found = diff(&old, &open("c.parquet", vec![id()]), &key).expect("compared");
        assert_eq!(found.columns_removed, ["x"], "{what}");
    }
    let index = ("__index_level_0__", Arc::new(StringArray::from(vec!["7", "8"])) as ArrayRef);
    let found = diff(&open("d.parquet", vec![id(), index]), &open("e.parquet", vec![id()]), &key);
    let found = found.expect("compared");
    assert!(found.notes[0].contains("is the index of pandas and is left out"), "{:?}", found.notes);
    assert!(found.to_text().starts_with("note: column `__index_level_0__`"), "{}", found.to_text());
}
