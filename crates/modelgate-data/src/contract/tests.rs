//! Tests of contracts.

mod digits;
mod imported;
mod structure;

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
        "`id` is to be int: 1 of 2 rows hold what is not a whole number of 64 bits"
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
    let (odcs, _) = to_odcs(&found, &order).expect("YAML");
    let (back, left) = from_odcs(&odcs, "o.yaml").expect("a contract");
    assert_eq!((back, left), (found, vec![]));
}

#[test]
fn a_column_name_of_any_length_is_read_back() {
    let (found, _) = inferred(&format!("{},{},y\n1,2,3\n", "x".repeat(999), "\u{e9} ".repeat(3000)), None);
    assert_eq!(found.columns.len(), 3);
}

/// Infers a contract of a CSV file, with `label` as the column of classes, and checks the file against it.
fn inferred(text: &str, label: Option<&str>) -> (Contract, ContractReport) {
    let files = || vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files(), &ReadOptions::default(), Mixed::AsText).expect("a data set");
    let found = infer(&describe(&dataset).expect("described"), &BTreeMap::new(), "mine", label);
    let yaml = to_yaml(&found, &dataset.schema.names()).expect("YAML");
    let again = parse(&yaml, "c.yaml").unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
    assert_eq!(again, found, "{yaml}");
    let report = check(files(), &ReadOptions::default(), &again, "c.yaml", 0).expect("checked");
    (found, report)
}

#[test]
fn an_inferred_contract_accepts_long_categories_many_skewed_classes_and_control_letters() {
    let long = "a category of far more than forty letters, which is longer than a message shows: ";
    let mut text = String::from("long,class,odd\n");
    for row in 0..3000_u32 {
        // 26 classes: the first has half of the rows, the last a few.
        let class = 25 - (32 - (row % 1024).leading_zeros()).min(25);
        let class = if row < 26 * 3 { row / 3 } else { class };
        let letter = char::from(b'a' + class as u8);
        let odd = [
            "\u{1}bell",
            "tab\there",
            "nel\u{85}",
            "two\nlines",
            "\u{2028}",
            "'",
            "#x",
            "- a",
            " b ",
            "e: f",
        ];
        text.push_str(&format!(
            "\"{long}{}\",class {letter},\"{}\"\n",
            row % 4,
            odd[row as usize % odd.len()]
        ));
    }
    let (found, report) = inferred(&text, Some("class"));
    assert_eq!(report.violations, []);
    assert_eq!(found.columns["long"].values.as_ref().map(Vec::len), Some(4));
    assert_eq!(found.columns["class"].values.as_ref().map(Vec::len), Some(26));
    let label = found.label.expect("a label");
    assert_eq!(label.classes.map(|classes| classes.len()), Some(26));
    // As is a label: its classes are not cut either.
    let (found, report) = inferred(&text, Some("long"));
    assert_eq!(report.violations, []);
    assert!(found.label.expect("a label").classes.expect("classes")[0].to_string().len() > 80);
    // One letter at the end is another class.
    let other = text.replacen(&format!("{long}3"), &format!("{long}4"), 1);
    let files = vec![SourceFile::bytes("a.csv", other.as_bytes())];
    let (contract, _) = inferred(&text, Some("long"));
    let report = check(files, &ReadOptions::default(), &contract, "c.yaml", 0).expect("checked");
    assert_eq!(ids(&report), ["long.values", "label.new", "label.min_share"]);
}

#[test]
fn more_classes_than_can_be_counted_are_none() {
    let mut text = String::from("y\n");
    (0..20_000).for_each(|row| text.push_str(&format!("class {row}\n")));
    let contract = "version: 1\ncolumns: {y: {type: string}}\nlabel: {column: y, min_share: 0.1}\n";
    let report = checked(contract, &text);
    assert_eq!(ids(&report), ["label.new"]);
    assert!(report.violations[0].message.contains("more than 10000 different values"));
}

#[test]
fn whole_numbers_beyond_the_digits_of_a_double_are_compared_exactly() {
    // 2^53 + 1 is 2^53 as a double.
    let text = "a,b\n9007199254740993,9007199254740992\n9007199254740991,9007199254740991\n";
    let contract = "version: 1\ncolumns:\n  a: {type: int, max: 9007199254740992}\n  b: {type: int, values: [9007199254740991, 9007199254740993]}\n\
                    rules: [{id: same, check: a == b}, {id: sum, check: a + 1 > a}, {id: one, check: a - b <= 0}]\n";
    let report = checked(contract, text);
    assert_eq!(ids(&report), ["a.max", "b.values", "same", "one"]);
    assert!(report.violations.iter().all(|found| found.count == 1 && found.rows[0].row == 1));
    let (found, report) = inferred(text, None);
    assert_eq!(found.columns["a"].max, Some(Bound::Int(9_007_199_254_740_993)));
    assert_eq!(report.violations, []);
}

#[test]
fn a_unique_key_has_a_severity() {
    let text = "a,b\n1,x\n1,x\n";
    let contract = |key: &str| {
        format!("version: 1\ncolumns: {{a: {{type: int}}, b: {{type: string}}}}\nunique: [{key}]\n")
    };
    let report = checked(&contract("{columns: [a, b], severity: warning}"), text);
    assert_eq!((ids(&report), report.violations[0].severity), (vec!["a+b.unique"], Severity::Warning));
    assert_eq!(checked(&contract("[a, b]"), text).violations[0].severity, Severity::Error);
    let error = parse(&contract("{columns: [a], severty: warning}"), "c.yaml").expect_err("a wrong key");
    assert!(error.to_string().contains("unknown key `severty`"), "{error}");
    let again = parse(&contract("{columns: [a, b], severity: warning}"), "c.yaml").expect("a contract");
    assert_eq!(parse(&to_yaml(&again, &[]).expect("YAML"), "c.yaml").expect("a contract"), again);
}

#[test]
fn a_row_ahead_of_now_is_told_and_makes_nothing_fresh() {
    // Now is 2017-07-14T02:40:00Z.
    let contract = "version: 1\ncolumns: {d: {type: timestamp}}\nfreshness: {column: d, max_age: 36h}\n";
    let judged = |text: &str| {
        let report = checked(contract, text);
        (ids(&report).into_iter().map(str::to_owned).collect::<Vec<_>>(), report.holds_until)
    };
    let until = |text: &str| Some(text.to_owned());
    assert_eq!(judged("d\n2017-07-13T00:00:00\n"), (vec![], until("2017-07-14T12:00:00Z")));
    // The clock of another zone may be ahead by hours.
    assert_eq!(judged("d\n2017-07-14T20:00:00\n").0, Vec::<String>::new());
    assert_eq!(judged("d\n2017-07-11T00:00:00\n"), (vec!["freshness".to_owned()], None));
    let (found, holds_until) = judged("d\n2099-01-01T00:00:00\n2017-07-11T00:00:00\n");
    assert_eq!(found, ["freshness.ahead", "freshness"]);
    assert_eq!(holds_until, until("2098-12-31T00:00:00Z"));
    let report = checked(contract, "d\n2099-01-01T00:00:00\n2017-07-13T00:00:00\n");
    let ahead = &report.violations[0];
    assert_eq!((ahead.count, ahead.rows[0].line), (1, Some(2)));
    assert!(ahead.message.contains("is ahead of now in 1 rows"), "{}", ahead.message);
    let days = contract.replace("timestamp", "date");
    assert_eq!(ids(&checked(&days, "d\n2017-07-15\n")), Vec::<&str>::new());
    assert_eq!(ids(&checked(&days, "d\n2017-07-16\n")), ["freshness.ahead"]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_inferred_contract_accepts_its_own_data(
            texts in prop::collection::vec("[a-zA-Z0-9 ,:#'\"{}\\[\\]&*!|>%@`\u{1}\u{7f}\u{85}\u{2028}\u{feff}é\u{1f600}\n-]{0,60}", 1..6),
            numbers in prop::collection::vec(prop_oneof![
                any::<i64>().prop_map(|value| value.to_string()),
                any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| value.to_string()),
                (-1000_i32..1000).prop_map(|value| (f64::from(value) / 100.0).to_string()),
            ], 1..8),
            days in prop::collection::vec(-100_000_i64..1_000_000, 1..5),
            rows in 1_usize..300,
        ) {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            writer.write_record(["text, \"it\"", "number", "day", "moment"]).expect("written");
            for row in 0..rows {
                let day = crate::time::show_date(days[row % days.len()]);
                let record = [
                    texts[row % texts.len()].clone(),
                    numbers[row % numbers.len()].clone(),
                    day.clone(),
                    format!("{day}T01:02:03.{row:06}"),
                ];
                writer.write_record(record).expect("written");
            }
            let text = String::from_utf8(writer.into_inner().expect("flushed")).expect("text");
            let (_, report) = inferred(&text, Some("text, \"it\""));
            prop_assert_eq!(report.violations, vec![]);
        }
    }
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
    let expected = ["`servers`", "`format: \"yyyy-MM-dd\"` of `at`", "the quality rule sql without a name"];
    assert_eq!(left, expected);
    assert!(from_odcs("kind: Other\n", "o.yaml").is_err());
    let files = vec![SourceFile::bytes("a.csv", &b"id,mail,at\n1,a@b,\n2,nobody,\n"[..])];
    let report = check(files, &ReadOptions::default(), &found, "o.yaml", 0).expect("checked");
    assert_eq!(ids(&report), ["rows.min", "mail.pattern"].into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn nothing_of_a_contract_is_lost_on_the_way_to_the_open_standard_and_back() {
    let more = "description: all of it\nextra_columns: warning\n";
    let text = HOUSES
        .replace("version: 1\n", &format!("version: 1\n{more}"))
        .replace("columns:\n", "columns:\n  seen: {type: date, format: '%d.%m.%Y', severity: warning}\n  deal: {type: decimal, allow: 0.5%}\n  land: {type: category, nullable: false, values: [DE, FR], allow: 1%, severity: warning}\n  ok: {type: bool, description: yes or no, label: Is it, unit: bits}\n")
        .replace("[[date, kind]]", "[[date, kind], {columns: [id], severity: warning}]")
        .replace("check: part <= total}", "check: part <= total, allow: 3}");
    let contract = parse(&text, "c.yaml").expect("a contract");
    let (odcs, own) = to_odcs(&contract, &["id", "date"]).expect("YAML");
    assert_eq!(
        own,
        [
            "`optional` of `code`",
            "`allow` of `deal`",
            "`allow` of `land`",
            "`severity` of `land`",
            "`unit` of `ok`",
            "`allow` of `part`",
            "`strptime` of `seen`",
            "`severity` of `seen`",
            "`extra_columns`",
            "`label`",
            "the severity of `freshness`"
        ]
    );
    assert!(odcs.contains("latency") && odcs.contains("duplicateValues"), "{odcs}");
    let (back, left) = from_odcs(&odcs, "o.yaml").expect("a contract");
    assert_eq!((&back, left), (&contract, vec![]));
    assert_eq!(parse(&to_yaml(&back, &[]).expect("YAML"), "c.yaml").expect("a contract"), contract);
}

#[test]
fn what_the_open_standard_asks_for_is_asked_for() {
    let text = "
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
slaProperties:
  - {property: latency, value: 2, unit: d, element: orders.at}
  - {property: retention, value: 3, unit: y}
schema:
  - name: orders
    properties:
      - {name: shop, logicalType: integer, primaryKey: true, primaryKeyPosition: 2}
      - {name: number, logicalType: integer, primaryKey: true, primaryKeyPosition: 1, logicalTypeOptions: {exclusiveMinimum: 0, multipleOf: 5, format: i64}}
      - {name: price, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0, exclusiveMaximum: 100.5, multipleOf: 0.01}}
      - {name: animal, logicalType: string, logicalTypeOptions: {pattern: cat|dog, format: email}}
      - {name: odd, logicalType: string, logicalTypeOptions: {pattern: '(?=look)'}}
      - name: at
        logicalType: timestamp
        logicalTypeOptions: {exclusiveMinimum: '2020-01-01', timezone: true}
        quality: [{metric: nullValues, mustBe: 0}, {metric: missingValues, mustBe: 0}]
      - name: state
        logicalType: string
        quality: [{metric: invalidValues, mustBeLessOrEqualTo: 10, unit: percent, arguments: {validValues: [new, old]}}]
    quality:
      - {metric: rowCount, mustNotBe: 0}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [price, at]}}
";
    let (found, left) = from_odcs(text, "o.yaml").expect("a contract");
    assert_eq!(
        left,
        [
            "`multipleOf: 0.01` of `price`",
            "`format: \"email\"` of `animal`",
            "`pattern: \"(?=look)\"` of `odd`",
            "`timezone: true` of `at`",
            "the quality rule missingValues of `at`",
            "the quality rule library rowCount",
            "the agreement `retention` of `slaProperties`",
        ]
    );
    let keys: Vec<Vec<String>> = found.unique.iter().map(|key| key.columns.clone()).collect();
    assert_eq!(
        keys,
        [["number", "shop"].map(str::to_owned).to_vec(), ["price", "at"].map(str::to_owned).to_vec()]
    );
    assert!(!found.columns["shop"].nullable && !found.columns["at"].nullable);
    assert_eq!(found.columns["state"].allow, Some(Tolerance::Share(0.1)));
    assert_eq!(found.freshness.as_ref().map(|fresh| fresh.max_age.as_str()), Some("2d"));
    let rows = "shop,number,price,animal,odd,at,state\n\
                1,5,0.5,a dog,x,2017-07-13T00:00:00,new\n\
                1,0,0,dogma,x,2017-07-13T00:00:00,old\n\
                2,7,100.5,cow,x,2020-01-01T00:00:00,new\n";
    let files = vec![SourceFile::bytes("a.csv", rows.as_bytes())];
    let now = 1_500_000_000_000_000;
    let report = check(files, &ReadOptions::default(), &found, "o.yaml", now).expect("checked");
    let mut broken = ids(&report);
    broken.sort_unstable();
    let expected = [
        "animal.pattern",
        "at.exclusiveMinimum",
        "freshness.ahead",
        "number.min",
        "number.multipleOf",
        "price.exclusiveMaximum",
        "price.exclusiveMinimum",
    ];
    assert_eq!(broken, expected);
    let animal = report.violations.iter().find(|found| found.id == "animal.pattern").expect("a pattern");
    assert_eq!((animal.count, animal.rows[0].line), (1, Some(4)), "`cat|dog` is a whole");
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

#[test]
fn words_that_some_take_for_truth_values_are_text_where_a_value_is_asked_for() {
    let text = "
version: 1
columns:
  kind: {type: category, values: [house, flat, no, y], nullable: no}
  y: {type: string, optional: yes}
  flag: {type: bool, values: [yes, off]}
label: {column: kind, classes: [house, no, y]}
";
    let contract = parse(text, "c.yaml").expect("a contract");
    let kind = &contract.columns["kind"];
    let shown: Vec<String> = kind.values.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(shown, ["house", "flat", "no", "y"]);
    assert!(!kind.nullable && contract.columns["y"].optional);
    assert_eq!(contract.columns["flag"].values, Some(vec![Bound::Bool(true), Bound::Bool(false)]));
    let report = checked(text, "kind,flag\nhouse,true\nno,false\ny,true\n");
    assert_eq!(report.violations, []);
    let report = checked(text, "kind,flag\nhouse,true\nfalse,false\ny,true\n");
    assert_eq!(ids(&report), ["kind.values", "label.missing", "label.new"]);
    // What is written is read back as it was.
    let again = parse(&to_yaml(&contract, &[]).expect("YAML"), "c.yaml").expect("a contract");
    assert_eq!(again, contract);
    let wrong = parse("version: 1\ncolumns: {a: {type: int, nullable: maybe}}", "c.yaml");
    let wrong = wrong.expect_err("no truth value").to_string();
    assert!(wrong.contains("expected `true` or `false`, got `maybe`"), "{wrong}");
}

#[test]
fn bounds_that_no_value_keeps_are_refused() {
    for (column, message) in [
        ("{type: int, min: 5, max: 1}", "columns.a: `min` is above `max`"),
        ("{type: date, min: '2020-01-02', max: '2020-01-01'}", "columns.a: `min` is above `max`"),
        ("{type: date, format: '%Q'}", "columns.a.format: no date can be read by the form `%Q`"),
        ("{type: int, unique: true, allow: 50%}", "columns.a.allow: it is for what is asked of each value"),
        ("{type: int, values: []}", "columns.a.values: it names no value"),
        ("{type: string, min_length: 3, max_length: 2}", "columns.a: `min_length` is above `max_length`"),
    ] {
        let error = parse(&format!("version: 1\ncolumns: {{a: {column}}}"), "c.yaml").expect_err(column);
        assert!(error.to_string().contains(message), "{error}");
    }
    let label = "version: 1\ncolumns: {a: {type: int, min: 1, max: 1}}\nlabel: {column: a, classes: []}";
    let error = parse(label, "c.yaml").expect_err("no class").to_string();
    assert!(error.contains("label.classes: it names no class"), "{error}");
}

#[test]
fn properties_of_the_standard_may_be_called_by_words_and_numbers() {
    let text = "
apiVersion: v3.1.0
kind: DataContract
schema:
- name: t
  properties:
  - {name: y, logicalType: string, required: yes}
  - {name: no, logicalType: string, quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [on, off]}}]}
  - {name: 2020, logicalType: integer}
";
    let (found, left) = from_odcs(text, "o.yaml").expect("a contract");
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(found.columns.keys().collect::<Vec<_>>(), ["2020", "no", "y"]);
    assert!(!found.columns["y"].nullable && found.columns["no"].nullable);
    let values = ["on", "off"].map(|word| Bound::Text(word.to_owned()));
    assert_eq!(found.columns["no"].values.as_deref(), Some(&values[..]));
    for (name, message) in [
        ("{logicalType: string}", "schema[0].properties[1] has no `name`"),
        ("{name: true}", "schema[0].properties[1].name: `true` is no text; put it in quotes"),
    ] {
        let text = text.replace("{name: no, logicalType: string", name.trim_end_matches('}'));
        let error = from_odcs(&text, "o.yaml").expect_err(name).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_column_that_the_project_declares_as_text_is_checked_to_the_letter() {
    let contract = "version: 1\ncolumns: {a: {type: category, nullable: false, values: [NA, x]}}";
    let contract = parse(contract, "c.yaml").expect("a contract");
    let checked = |options: &ReadOptions| {
        let files = vec![SourceFile::bytes("a.csv", "a\nNA\nx\n".as_bytes())];
        check(files, options, &contract, "c.yaml", 0).expect("checked")
    };
    assert_eq!(ids(&checked(&ReadOptions::default())), ["a.nullable"]);
    let literal = std::collections::BTreeSet::from(["a".to_owned()]);
    assert_eq!(checked(&ReadOptions { literal, ..ReadOptions::default() }).violations, []);
}
