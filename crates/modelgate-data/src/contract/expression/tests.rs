//! Tests of expressions.

use super::*;
use crate::batch::{BatchColumn, Cells, Texts};

fn known(name: &str) -> Option<ColumnType> {
    match name {
        "a" | "b" | "a b" => Some(ColumnType::Float),
        "t" => Some(ColumnType::String),
        "d" => Some(ColumnType::Date),
        "f" => Some(ColumnType::Bool),
        _ => None,
    }
}

fn broken(text: &str) -> Vec<usize> {
    let expression = parse(text, &known).expect("an expression");
    let mut texts = Texts::default();
    [Some("x"), Some("Y"), None].into_iter().for_each(|text| texts.push(text));
    let column = BatchColumn::new;
    let all = [
        ("a", column(Cells::Float(vec![1.0, 2.0, f64::NAN]))),
        ("b", column(Cells::Float(vec![3.0, 2.0, 1.0]))),
        ("a b", column(Cells::Float(vec![0.0; 3]))),
        ("t", column(Cells::Text(texts))),
        ("d", column(Cells::Int(vec![Some(16_356), Some(0), None]))),
        ("f", column(Cells::Int(vec![Some(1), Some(0), None]))),
    ];
    let find = |name: &String| &all.iter().find(|(other, _)| other == name).expect("known").1;
    let columns: Vec<&BatchColumn> = expression.columns.iter().map(find).collect();
    expression.broken(&columns, 3)
}

#[test]
fn rules_are_judged_row_by_row_and_null_keeps_them() {
    assert_eq!(broken("a < b"), [1]);
    assert_eq!(broken("a + b * 2 == 7"), [1]);
    assert_eq!(broken("not (a == 1 or b == 1)"), [0, 2]);
    assert_eq!(broken("t == 'x'"), [1]);
    assert_eq!(broken("lower(t) != 'y' and length(t) = 1"), [1]);
    assert_eq!(broken("year(d) == 2014 and month(d) == 10 and day(d) == 13"), [1]);
    assert_eq!(broken("d >= '2000-01-01'"), [1]);
    assert_eq!(broken("d - d == 0"), Vec::<usize>::new());
    assert_eq!(broken("f"), [1]);
    assert_eq!(broken("`a b` == 0 and min(a, b, 5) >= -1e3 % 7"), Vec::<usize>::new());
    assert_eq!(broken("not is_null(a)"), [2]);
    assert_eq!(broken("max(a, b) > 2"), [1]);
}

#[test]
fn decimals_add_up() {
    // By row: net, tax, gross, paid.
    let rows =
        [[0.1, 0.2, 0.3, 100.3], [1.1, 2.2, 3.3, 103.3], [12_345_678.91, 0.07, 12_345_678.98, 12_345_778.98]];
    let cells = |at: usize| Cells::Float(rows.iter().map(|row| row[at]).collect());
    let column = |at| BatchColumn::new(cells(at));
    let names = ["net", "tax", "gross", "paid"];
    let all: Vec<BatchColumn> = (0..names.len()).map(column).collect();
    let broken = |text: &str| {
        let known = |name: &str| names.contains(&name).then_some(ColumnType::Decimal);
        let expression = parse(text, &known).expect("an expression");
        let place = |name: &String| names.iter().position(|other| other == name).expect("known");
        let columns: Vec<&BatchColumn> = expression.columns.iter().map(|name| &all[place(name)]).collect();
        expression.broken(&columns, rows.len())
    };
    for rule in [
        "net + tax == gross",
        "net + tax <= gross",
        "gross >= tax + net",
        "gross - net == tax",
        "paid - 100 == gross",
        "paid - gross - 100 == 0",
        "net * 3 / 3 == net",
        "max(net + tax, 0.1) == gross",
        "abs(net - gross) == tax",
    ] {
        assert_eq!(broken(rule), Vec::<usize>::new(), "{rule}");
        assert_eq!(broken(&format!("not ({rule})")), [0, 1, 2], "{rule}");
    }
    for rule in ["net + tax != gross", "net + tax > gross", "gross < net + tax", "net + tax == gross + 1e-6"]
    {
        assert_eq!(broken(rule), [0, 1, 2], "{rule}");
    }
    // Prices end on a cent, whatever side of it the nearest double is.
    for rule in [
        "0.3 % 0.1 == 0 and 0.3 % 0.01 == 0 and 1.15 % 0.01 == 0 and 19.99 % 0.01 == 0 and -19.99 % 0.01 == 0",
        "59.97 % 19.99 == 0 and 1.15 * 100 % 1 == 0 and 0.29 * 100 % 1 == 0 and gross % 0.01 = 0",
        "0.305 % 0.01 > 0.004 and 0.305 % 0.01 == 0.005 and 0.309999 % 0.01 != 0 and 7.5 % 2 == 1.5",
        "1e16 % 7 == 4 and 9007199254740992.0 % 5 != 0",
    ] {
        assert_eq!(broken(rule), Vec::<usize>::new(), "{rule}");
    }
    // What is not computed is compared to the last digit, and what is infinite is near to nothing.
    assert_eq!(broken("0.3 < 0.30000000000000004 and 1e300 * 1e300 != gross"), Vec::<usize>::new());
    assert_eq!(broken("1 / 0 == 2 / 0 and gross / 0 > gross"), Vec::<usize>::new());
}

#[test]
fn a_row_that_overflows_changes_no_other_row() {
    let column = |values: &[i64]| BatchColumn::new(Cells::Int(values.iter().copied().map(Some).collect()));
    let (a, b) = (
        column(&[1_711_848_600_123_456_000, 1_711_848_600_123_456_101, -5, i64::MAX]),
        column(&[1_711_848_600_123_456_000, 1_711_848_600_123_456_000, i64::MAX, i64::MIN]),
    );
    let broken = |text: &str| {
        let expression = parse(text, &|_| Some(ColumnType::Int)).expect("an expression");
        let columns: Vec<&BatchColumn> =
            expression.columns.iter().map(|name| if name == "a" { &a } else { &b }).collect();
        expression.broken(&columns, 4)
    };
    assert_eq!(broken("a - b <= 100"), [1, 3]);
    assert_eq!(broken("a * b * a > 0 and abs(a) - abs(b) <= 100"), [1, 3]);
    assert_eq!(broken("a * a * a * b - a * a * a * b == 0 and a - b <= 100"), [1, 3]);
    assert_eq!(broken("not is_null(a * a * a * a)"), Vec::<usize>::new());
    // Beside a number with a point a whole one keeps its digits.
    assert_eq!(broken("a <= 1711848600123456000.0"), [1, 3]);
    assert_eq!(broken("9.223372036854775e18 > a"), [3]);
}

#[test]
fn a_bool_is_compared_with_its_words_and_with_one_and_zero() {
    for rule in ["f == true", "f == True", "true == f", "f != false", "f == 1", "1 = f", "f != 0"] {
        assert_eq!(broken(rule), [1], "{rule}");
    }
    assert_eq!(broken("f == false or a < 0"), [0]);
    let refused = |rule: &str| parse(rule, &known).expect_err(rule);
    assert!(refused("f == 2").contains("different types"), "{}", refused("f == 2"));
    assert!(refused("f == null").contains("use `is_null(column)`"), "{}", refused("f == null"));
    // A column that is called so is meant.
    let found = parse("true == 1", &|name| (name == "true").then_some(ColumnType::Int)).expect("a rule");
    assert_eq!(found.columns, ["true"]);
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    for (text, expected) in [
        ("", "ends too early"),
        ("a", "not a condition"),
        ("a <", "ends too early"),
        ("a < z", "`z` is not in the contract"),
        ("a < t", "different types"),
        ("t + 1 == 2", "for numbers"),
        ("year(a) == 1", "`year` does not take"),
        ("foo(a) == 1", "no function `foo`"),
        ("(a < b", "`(` is not closed"),
        ("a < b b", "`b` stands where"),
        ("d > 'x'", "'x' is compared with a date"),
        ("a < 'unclosed", "is not closed"),
        ("a & b", "`&` has no meaning"),
        ("a == 1 or", "ends too early"),
    ] {
        let error = parse(text, &known).expect_err(text);
        assert!(error.contains(expected), "{expected} not in {error}");
    }
    let deep = format!("{}a < b{}", "(".repeat(5000), ")".repeat(5000));
    assert!(parse(&deep, &known).is_err());
    let deep = format!("{}f", "not ".repeat(5000));
    assert!(parse(&deep, &known).is_err());
}
