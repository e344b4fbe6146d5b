//! Tests of contracts.

use super::*;
use crate::dataset::{Dataset, Mixed, ReadOptions};
use crate::describe::describe;
use crate::source::SourceFile;

const HOUSES: &str = "
version: 1
name: houses
rows: {min: 2, max: 10}
freshness: {column: date, max_age: 30d, severity: warning}
columns:
  id: {type: int, unique: true, nullable: false}
  date: {type: timestamp, min: '2014-01-01'}
  price: {type: float, min: 1, max: 1e7, nullable: false}
  kind: {type: category, values: [flat, house]}
  code: {type: string, pattern: '[A-Z]{2}', min_length: 2, max_length: 2, optional: true}
  total: {type: int}
  part: {type: int, min: 0, allow: 1}
unique: [[date, kind]]
label: {column: kind, classes: [flat, house], min_share: 0.2}
rules:
  - {id: parts, check: part <= total}
  - {check: year(date) >= 2015, severity: warning}
";

fn checked(contract: &str, text: &str) -> ContractReport {
    let contract = parse(contract, "c.yaml").expect("a contract");
    let now = 1_500_000_000_000_000; // 2017-07-14
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    check(files, &ReadOptions::default(), &contract, "c.yaml", now).expect("checked")
}

fn ids(report: &ContractReport) -> Vec<&str> {
    report.violations.iter().map(|violation| violation.id.as_str()).collect()
}

const HEADER: &str = "id,date,price,kind,code,total,part\n";

#[test]
fn data_that_keeps_the_contract_passes() {
    let report = checked(
        HOUSES,
        &format!("{HEADER}1,2017-07-01T00:00:00,5.5,flat,AB,3,1\n2,2017-07-02T00:00:00,6,house,,3,3\n"),
    );
    assert_eq!(report.violations, []);
    assert!(report.passed() && report.content_checked);
    assert_eq!(report.rows, 2);
}

#[test]
fn each_broken_rule_is_named_with_its_rows_and_values() {
    let rows = "1,2017-07-01T00:00:00,0,flat,ab,3,4\n1,2013-07-01T00:00:00,,tent,ABC,3,1\n\n3,2013-07-01T00:00:00,5,tent,AB,,-1\n";
    let report = checked(HOUSES, &format!("{HEADER}{rows}"));
    let expected = [
        "code.max_length",
        "code.pattern",
        "date+kind.unique",
        "date.min",
        "id.unique",
        "kind.values",
        "label.missing",
        "label.new",
        "parts",
        "price.min",
        "price.nullable",
    ];
    let mut errors: Vec<&str> = report
        .violations
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(|found| found.id.as_str())
        .collect();
    errors.sort_unstable();
    assert_eq!(errors, expected);
    let find = |id: &str| report.violations.iter().find(|found| found.id == id).expect("found");
    let parts = find("parts");
    assert_eq!((parts.count, parts.rows[0].row, parts.rows[0].line), (1, 1, Some(2)));
    assert_eq!(parts.rows[0].values["part"], "4");
    let twice = find("id.unique");
    assert_eq!((twice.count, twice.rows[0].line), (1, Some(3)));
    let kind = find("kind.values");
    assert_eq!((kind.count, kind.rows[1].row, kind.rows[1].line), (2, 3, Some(5)));
    assert_eq!(kind.message, "`kind` is one of flat, house: 2 of 3 rows do not keep this");
    let year = find("year(date) >= 2015");
    assert_eq!((year.severity, year.count), (Severity::Warning, 2));
    assert_eq!(find("date.min").rows[0].values["date"], "2013-07-01T00:00:00Z");
    assert!(!ids(&report).contains(&"part.min"), "one row may break it");
    assert!(!report.passed());
}

#[test]
fn structure_comes_first() {
    let report = checked(
        HOUSES,
        "id,date,price,kind,total,zip\n1,yesterday,1,tent,3,9\nx,2017-07-01T00:00:00,2,flat,3,9\n",
    );
    assert!(!report.content_checked);
    assert_eq!(ids(&report), ["part.present", "zip.extra", "date.type", "id.type"]);
    assert!(report.violations.iter().all(|found| found.layer == Layer::Structure));
    assert_eq!(report.violations[2].rows[0].values["date"], "yesterday");
    assert_eq!(
        report.violations[3].message,
        "`id` is to be int: 1 of 2 rows hold what is not a whole number of 64 bits, such as `x`"
    );
    assert!(
        report.summary().ends_with("broken: 4 errors; the content was not judged"),
        "{}",
        report.summary()
    );
}

#[test]
fn rows_and_freshness_are_judged_as_a_whole() {
    let one = format!("{HEADER}1,2016-07-01T00:00:00,5.5,flat,AB,3,1\n");
    let report = checked(&HOUSES.replace("classes: [flat, house], ", ""), &one);
    assert_eq!(ids(&report), ["rows.min", "freshness"]);
    assert!(report.violations[1].message.contains("378.1 days ago, and at most 30d are allowed"));
}

#[test]
fn a_contract_that_makes_no_sense_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "line 1: the contract is empty"),
        ("version: 2\ncolumns: {a: {type: int}}", "version 1, not 2"),
        ("version: 1\ncolumns: {}", "a contract names its `columns`"),
        ("version: 1\ncolumns:\n  a: {typ: int}", "line 3: unknown key `typ`"),
        ("version: 1\ncolumns:\n  a: {type: number}", "line 3"),
        (
            "version: 1\ncolumns: {a: {type: int, min: x}}",
            "columns.a.min: `x` is not a value of a int column",
        ),
        ("version: 1\ncolumns: {a: {type: int, pattern: x}}", "columns.a.pattern: it is for text"),
        ("version: 1\ncolumns: {a: {type: string, pattern: '('}}", "`(` is not a regular expression"),
        ("version: 1\ncolumns: {a: {type: int}}\nrules: [{check: a < b}]", "the column `b` is not in"),
        ("version: 1\ncolumns: {a: {type: int}}\nunique: [[b]]", "unique[0]: the column `b` is not in"),
        ("version: 1\ncolumns: {a: {type: int}}\nfreshness: {column: a, max_age: 1d}", "`a` is not a date"),
        ("version: 1\ncolumns: {a: {type: date}}\nfreshness: {column: a, max_age: 1y}", "`1y` is not a time"),
        ("version: 1\ncolumns: {a: {type: int, allow: -1}}", "`allow` is a number of rows"),
    ] {
        let error = parse(text, "c.yaml").expect_err(text).to_string();
        assert!(error.starts_with("c.yaml") && error.contains(expected), "{expected} not in {error}");
    }
}

#[test]
fn an_inferred_contract_holds_and_survives_yaml_and_the_open_standard() {
    let mut text = String::from("id,x,kind,d,flag\n");
    for row in 0..200 {
        let kind = if row % 5 == 0 { "rare: \"one\"" } else { "common" };
        let quoted = kind.replace('"', "\"\"");
        text.push_str(&format!(
            "{row},{},\"{quoted}\",2014-10-{:02},{}\n",
            f64::from(row) * 0.37 - 5.0,
            row % 28 + 1,
            row % 2 == 0
        ));
    }
    let files = || vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files(), &ReadOptions::default(), Mixed::AsText).expect("a data set");
    let found = infer(&describe(&dataset).expect("described"), &BTreeMap::new(), "mine", Some("kind"));
    assert!(found.columns["id"].unique && !found.columns["x"].unique);
    assert_eq!(found.columns["kind"].column_type, ColumnType::Category);
    assert_eq!(found.label.as_ref().and_then(|label| label.min_share), Some(0.1));
    let order = dataset.schema.names();
    let yaml = to_yaml(&found, &order).expect("YAML");
    assert!(yaml.find("  id:") < yaml.find("  flag:"), "in the order of the file: {yaml}");
    let again = parse(&yaml, "c.yaml").expect("a contract");
    assert_eq!(again, found);
    let report = check(files(), &ReadOptions::default(), &again, "c.yaml", 0).expect("checked");
    assert_eq!(report.violations, []);
    let odcs = to_odcs(&found, &order).expect("YAML");
    let (back, left) = from_odcs(&odcs, "o.yaml").expect("a contract");
    assert_eq!(left, Vec::<String>::new());
    assert_eq!((back.columns, back.rows), (found.columns, found.rows));
}

#[test]
fn a_foreign_open_contract_is_read_and_what_is_left_out_is_told() {
    let text = "
apiVersion: v3.1.0
kind: DataContract
id: orders
status: active
version: 1.1.0
servers: []
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, required: true, unique: true}
      - {name: mail, logicalType: string, logicalTypeOptions: {pattern: '@', maxLength: 80}}
      - {name: at, logicalType: timestamp, logicalTypeOptions: {format: yyyy-MM-dd}}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 10}
      - {type: sql, query: SELECT 1}
";
    let (found, left) = from_odcs(text, "o.yaml").expect("a contract");
    assert_eq!(found.rows.as_ref().and_then(|rows| rows.min), Some(11));
    assert!(!found.columns["id"].nullable && found.columns["id"].unique);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(from_odcs("kind: Other\n", "o.yaml").is_err());
    let files = vec![SourceFile::bytes("a.csv", &b"id,mail,at\n1,a@b,\n2,nobody,\n"[..])];
    let report = check(files, &ReadOptions::default(), &found, "o.yaml", 0).expect("checked");
    assert_eq!(ids(&report), ["rows.min", "mail.pattern"].into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn parquet_is_checked_as_csv_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    crate::parquet::tests::write(&path);
    let contract = parse(
        "version: 1\nextra_columns: allow\ncolumns: {i: {type: int, max: 2}, t: {type: string}, b: {type: int, min: 1}}",
        "c.yaml",
    );
    let files = vec![SourceFile::path("a.parquet", &path)];
    let report =
        check(files, &ReadOptions::default(), &contract.expect("a contract"), "c.yaml", 0).expect("checked");
    assert_eq!(ids(&report), ["b.min", "i.max"]);
    assert_eq!((report.violations[1].rows[0].row, report.violations[1].rows[0].line), (3, None));
}
