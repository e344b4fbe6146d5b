//! Tests of how tools write a file: lines above the header, delimiters at the ends of lines, leading zeros, an index.

use std::collections::BTreeSet;

use modelgate_core::schema::Task;

use super::*;

#[test]
fn what_stands_above_the_header_is_skipped_or_named() {
    let table = read("\u{feff}sep=;\r\na;b\r\n1;x\r\n").expect("Excel's line");
    assert_eq!(table.columns[0].values, Values::Int(vec![Some(1)]));
    assert!(message("sep=;\na;b\n1;x\n2;y;z\n").starts_with("a.csv: line 4: the row has 3 values and"));
    let refused = "it has one value and the rows below have 3, so it is no header; remove what stands above";
    for text in ["# exported 2024\na,b,y\n1,2,3\n", "Sales\n\na,b,y\n1,2,3\n", "# exported\na;b;y\n1;2;3\n"] {
        let message = message(text);
        assert!(message.starts_with("a.csv: line 1: ") && message.contains(refused), "{message}");
    }
    // One column whose texts have a semicolon each has a header.
    assert_eq!(read("a\nx;1\ny;2\n").expect("texts").columns[0].name, "a");
    let ends = message("a,b\n1,2,\n3,4,\n");
    assert!(ends.ends_with("it ends in a delimiter: remove those at the ends of the lines"), "{ends}");
}

#[test]
fn leading_zeros_are_told_and_classes_do_not_lose_them() {
    let text = "zip,n,y\n01000,0,00\n2000,10,1\n";
    let open = |options: &ReadOptions| {
        let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
        Dataset::open(files, options, Mixed::Refuse).expect("a data set")
    };
    let dataset = open(&ReadOptions::default());
    assert_eq!(dataset.schema.notes.len(), 2, "{:?}", dataset.schema.notes);
    let expected = "a.csv: line 2, column `zip`: its value has leading zeros, which are lost as a number: `data.types: {zip: string}` \
                    keeps them, and `int` says that they mean nothing";
    assert_eq!(dataset.schema.notes[0], expected);
    let target = |dataset: &Dataset, task| crate::target::read_target(dataset, "y", task, "a.csv");
    let error = target(&dataset, Task::Classification).expect_err("`00` is not `0`").to_string();
    assert!(
        error.contains("declare `data.types: {y: string}` to tell `01` from `1`, or `{y: int}`"),
        "{error}"
    );
    assert!(target(&dataset, Task::Regression).is_ok());
    for column_type in [ColumnType::String, ColumnType::Int] {
        let dataset = open(&declared("y", column_type));
        assert_eq!(dataset.schema.notes.len(), 1, "{:?}", dataset.schema.notes);
        assert!(target(&dataset, Task::Classification).is_ok());
    }
    // It is kept with the schema, which is what later stages have.
    let kept = serde_json::to_string(&dataset.schema).expect("written");
    let kept: crate::DataSchema = serde_json::from_str(&kept).expect("read");
    assert!(kept.columns[2].loses_zeros && !kept.columns[1].loses_zeros);
}

#[test]
fn the_index_that_pandas_reads_from_a_csv_is_left_out_unless_it_is_wanted() {
    let file =
        || vec![SourceFile::bytes("a.csv", &b"Unnamed: 0.1,Unnamed: 0,x,Unnamed: 1\n4,0,5,1\n2,7,6,1\n"[..])];
    let open = |options: &ReadOptions| Dataset::open(file(), options, Mixed::Refuse).expect("a data set");
    let found = open(&ReadOptions::default());
    assert_eq!(found.schema.names(), ["x", "Unnamed: 1"]);
    assert_eq!(
        found.schema.notes[1],
        "column `Unnamed: 0` is the index of pandas and is left out; `to_csv(…, index=False)` does not write it, and \
         `data.types: {\"Unnamed: 0\": int}` keeps it"
    );
    assert_eq!(
        open(&declared("Unnamed: 0", ColumnType::Int)).schema.names(),
        ["Unnamed: 0", "x", "Unnamed: 1"]
    );
    let named = BTreeSet::from(["Unnamed: 0".to_owned()]);
    let kept = open(&ReadOptions { named, ..ReadOptions::default() });
    assert_eq!(kept.schema.names(), ["Unnamed: 0", "x", "Unnamed: 1"]);
    // A schema of before, when it was read, is read by.
    let again =
        Dataset::with_schema(file(), &ReadOptions::default(), kept.schema.clone()).expect("its columns");
    assert_eq!(read_table(&again).expect("table").columns[0].values, Values::Int(vec![Some(0), Some(7)]));
}

#[test]
fn an_apostrophe_takes_no_row() {
    let songs =
        "id,title,hit\n1,'Round Midnight,no\n2,Blue Train,yes\n3,Truckin',yes\n4,'Tis,no\n5,Singin',yes\n";
    let table = read(songs).expect("table");
    assert_eq!(table.rows, 5);
    let Values::Text(titles) = &table.columns[1].values else { panic!("no texts") };
    assert_eq!(titles[0].as_deref(), Some("'Round Midnight"));
    // Nor does a row put apostrophes around the values of all others.
    let quoted = "id,title,hit\n1,'Naima',no\n2,'Blue Train',yes\n";
    let Values::Text(titles) = read(quoted).expect("table").columns.swap_remove(1).values else {
        panic!("no texts")
    };
    assert_eq!(titles[0].as_deref(), Some("Naima"));
    let told = message(&format!("{quoted}3,'Truckin' home',yes\n"));
    assert!(
        told.starts_with("a.csv: line 4: ' stands around values of other lines")
            && told.contains("data.quote")
    );
    // What the first lines show does not hold further down: that is told, whatever would fit.
    let mut long = String::from("id,title,hit\n0,'Heroes',no\n");
    (0..5000).for_each(|row| long.push_str(&format!("{row},Blue Train,no\n")));
    for (end, line) in [("\n6,So What,no\n", 5003), ("", 5003)] {
        let text = format!("{long}1,'Round Midnight,no\n2,So What,yes\n3,Truckin',yes{end}");
        let told = message(&text);
        let expected =
            format!("a.csv: line {line}: a value that begins with ' ends on another line; declare");
        assert!(told.starts_with(&expected), "{told}");
        for (quote, rows) in [(b'"', 5004), (b'\'', 5002)] {
            let options = ReadOptions { quoting: crate::Quoting::By(quote), ..ReadOptions::default() };
            let table = read_csv(text.as_bytes(), "a.csv", &options).expect("declared");
            assert_eq!(table.rows, rows + usize::from(!end.is_empty()));
        }
    }
    let told = message("a,b\n1,'x\ny'\n2,z\n");
    assert!(told.contains("line 3: the row has 1 value") && !told.contains("data.quote"), "{told}");
    assert!(
        message("a,b\n1,x\n2,'y,z'\n3,'a\n")
            .contains("line 3: the row has 3 values and the header 2; where '")
    );
}
