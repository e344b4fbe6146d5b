//! Tests of what changed.

use super::*;
use crate::dataset::{Mixed, ReadOptions};
use crate::source::SourceFile;

fn compared(before: &str, after: &str, key: &[&str]) -> Result<DataDiff, DataError> {
    let open = |name: &str, text: &str| {
        let files = vec![SourceFile::bytes(name, text.as_bytes())];
        Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set")
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
    assert_eq!((found.rows_changed, found.changes[0].examples[0].before.as_str()), (1, "inf"));
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
        Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set")
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
