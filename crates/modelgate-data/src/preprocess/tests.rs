//! Tests of the preprocessing plan.

use super::*;
use crate::{ReadOptions, read_csv};

fn table(text: &str) -> Table {
    read_csv(text.as_bytes(), "a.csv", &ReadOptions::default()).expect("table")
}

fn spec(missing: Missing, scale: Scale, encode: Encode) -> PreprocessSpec {
    PreprocessSpec { missing, scale, encode, unknown_category: UnknownCategory::Ignore }
}

fn fitted(text: &str, spec: PreprocessSpec) -> Result<(Table, PreprocessPlan, Vec<u32>), String> {
    let table = table(text);
    let rows: Vec<u32> = (0..table.rows as u32).collect();
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let plan = fit(&table, &rows, &names, &spec).map_err(|error| error.to_string())?;
    Ok((table, plan, rows))
}

#[test]
fn missing_numbers_are_filled_as_asked() {
    let text = "x\n1\n2\n2\n7\n\n";
    for (missing, expected) in [(Missing::Mean, 3.0), (Missing::Median, 2.0), (Missing::MostFrequent, 2.0)] {
        let text = text.replace("\n\n", "\nNA\n");
        let (table, plan, rows) = fitted(&text, spec(missing, Scale::None, Encode::Onehot)).expect("plan");
        assert_eq!(
            plan.transform(&table, &rows).expect("matrix"),
            [1.0, 2.0, 2.0, 7.0, expected],
            "{missing:?}"
        );
    }
}

#[test]
fn scaling_gives_mean_zero_and_deviation_one_and_leaves_a_constant_at_zero() {
    let (table, plan, rows) =
        fitted("x,c\n1,5\n3,5\n", spec(Missing::Median, Scale::Standard, Encode::Onehot)).expect("plan");
    assert_eq!(plan.transform(&table, &rows).expect("matrix"), [-1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn text_becomes_columns_or_ranks_and_null_is_a_category() {
    let text = "s\nb\na\nNA\n";
    let (data, plan, rows) = fitted(text, spec(Missing::Median, Scale::None, Encode::Onehot)).expect("plan");
    assert_eq!(plan.output_names(), ["s=", "s=a", "s=b"]);
    assert_eq!(plan.transform(&data, &rows).expect("matrix"), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    let (data, plan, rows) =
        fitted(text, spec(Missing::MostFrequent, Scale::None, Encode::Ordinal)).expect("plan");
    assert_eq!(plan.transform(&data, &rows).expect("matrix"), [1.0, 0.0, 0.0]);
}

#[test]
fn a_text_that_often_stands_for_null_is_a_category_where_training_saw_it_as_one() {
    let texts = ["None", "nan", "brick", "", "<NA>"].map(|text| (!text.is_empty()).then(|| text.to_owned()));
    let column = Column { name: "s".to_owned(), values: crate::Values::Text(texts.to_vec()) };
    let data = Table { columns: vec![column], rows: 5, ..Table::default() };
    let plan = |missing| {
        let spec = spec(missing, Scale::None, Encode::Ordinal);
        fit(&data, &[0, 1, 2, 3, 4], &["s".to_owned()], &spec).expect("plan")
    };
    let none = plan(Missing::None);
    assert_eq!(none.text[0].categories, ["", "<NA>", "None", "brick", "nan"]);
    assert_eq!(none.transform(&data, &[0, 1, 2, 3, 4]).expect("matrix"), [2.0, 4.0, 3.0, 0.0, 1.0]);
    // What training did not see as a text is null as before.
    assert_eq!(none.text[0].position(Some("NaN")), Some(0));
    let filled = plan(Missing::MostFrequent);
    assert_eq!(filled.text[0].fill.as_deref(), Some("<NA>"));
    assert_eq!(filled.transform(&data, &[0, 1, 2, 3, 4]).expect("matrix"), [1.0, 3.0, 2.0, 0.0, 0.0]);
}

#[test]
fn an_unknown_category_is_zeros_or_minus_one_or_an_error() {
    let (_, mut plan, _) =
        fitted("s\nb\na\n", spec(Missing::Median, Scale::None, Encode::Onehot)).expect("plan");
    let other = table("s\nz\n");
    assert_eq!(plan.transform(&other, &[0]).expect("matrix"), [0.0, 0.0]);
    plan.spec.encode = Encode::Ordinal;
    assert_eq!(plan.transform(&other, &[0]).expect("matrix"), [-1.0]);
    plan.spec.unknown_category = UnknownCategory::Error;
    let error = plan.transform(&other, &[0]).expect_err("unknown").to_string();
    assert_eq!(error, "column `s`: `z` in data row 1 was not seen in training");
}

#[test]
fn columns_that_cannot_be_learned_from_are_refused_with_a_way_out() {
    let spec = spec(Missing::Median, Scale::None, Encode::Onehot);
    let error = fitted("a,b\n1,\n2,\n", spec).expect_err("all null");
    assert_eq!(error, "column `b`: it has no value in the training rows; add it to `preprocess.drop`");
    let names: String = (0..60).map(|row| format!("name{row}\n")).collect();
    assert!(
        fitted(&format!("id\n{names}"), spec).expect_err("identifier").contains("looks like an identifier")
    );
    // Numbers that are text because of their commas are not told to go.
    let numbers = |number: &dyn Fn(usize) -> String| -> String {
        let rows = (0..60).map(number).map(|number| format!("\"{number}\"\n"));
        fitted(&format!("x\n{}", rows.collect::<String>()), spec).expect_err("text")
    };
    let comma = numbers(&|row| format!("2{row},73"));
    let expected = "column `x`: its texts are numbers with a decimal comma: write them with a point";
    assert!(comma.starts_with(expected), "{comma}");
    let thousands = numbers(&|row| format!("25,7{row:02}.80"));
    assert!(thousands.contains("numbers with commas between thousands: write them without"), "{thousands}");
}

#[test]
fn a_column_that_changed_its_kind_since_training_is_refused() {
    let settings = spec(Missing::Median, Scale::None, Encode::Onehot);
    let (_, plan, rows) = fitted("n,t\n1,a\n2,b\n", settings).expect("plan");
    let refused = |text: &str| plan.transform(&table(text), &rows).expect_err("another kind").to_string();
    assert_eq!(refused("n,t\nx,a\ny,b\n"), "column `n`: it holds text, and the training data numbers");
    assert_eq!(refused("n,t\n1,7\n2,8\n"), "column `t`: it holds numbers, and the training data text");
    assert_eq!(refused("n\n1\n2\n"), "column `t`: it is not in the data");
    // A column without any value is of either kind.
    assert_eq!(plan.transform(&table("n,t\nNA,a\nNA,b\n"), &rows).expect("matrix").len(), 6);
    assert_eq!(plan.transform(&table("n,t\n1,\n2,\n"), &rows).expect("matrix").len(), 6);
}

#[test]
fn a_row_beyond_the_table_is_refused() {
    let settings = spec(Missing::Median, Scale::None, Encode::Onehot);
    let (table, plan, _) = fitted("n\n1\n2\n", settings).expect("plan");
    assert_eq!(plan.transform(&table, &[1, 0]).expect("matrix"), [2.0, 1.0]);
    let refused = plan.transform(&table, &[0, 2]).expect_err("no such row").to_string();
    assert_eq!(refused, "the data: row 2 is asked for and there are 2");
}

#[test]
fn a_part_of_the_training_rows_may_lack_what_they_have() {
    for missing in [Missing::None, Missing::Mean, Missing::Median, Missing::MostFrequent] {
        let settings = spec(missing, Scale::Standard, Encode::Ordinal);
        let names: String = (0..60).map(|row| format!("{row},,,name{row}\n")).collect();
        let table = table(&format!("a,late,text,name\n{names}60,7,x,name0\n"));
        let features = ["a", "late", "text", "name"].map(str::to_owned);
        let part: Vec<u32> = (0..60).collect();
        assert!(fit(&table, &part, &features, &settings).is_err());
        let plan = fit_part(&table, &part, &features, &settings).expect("a plan");
        assert_eq!(plan.output_names().len(), 4);
        let late: Vec<f32> =
            plan.transform(&table, &part).expect("a matrix").chunks(4).map(|row| row[1]).collect();
        assert!(late.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()), "constant: {late:?}");
        assert_eq!(plan.transform(&table, &[60]).expect("a matrix")[1], 7.0);
    }
}

#[test]
fn booleans_and_zeros_and_ones_stay_such_where_some_are_missing() {
    let text = "full,some,count,share,more,none\ntrue,true,1,1,2,\nfalse,,,0.5,,\ntrue,false,0,,1,true\n";
    let (table, plan, _) = fitted(text, spec(Missing::Median, Scale::None, Encode::Onehot)).expect("plan");
    // Of `none` training sees no value; its type in the data says what it is.
    let features = profile_features(&table, &[0, 1], &plan);
    let found: Vec<_> =
        features.iter().map(|one| (one.name.as_str(), one.feature_type, one.boolean)).collect();
    let (int, float) = (FeatureType::Int, FeatureType::Float);
    let expected =
        [("full", int, false), ("some", float, true), ("count", float, true), ("share", float, false)];
    assert_eq!(found[..4], expected);
    assert_eq!(found[4..], [("more", float, false), ("none", float, true)]);
    assert!(features[0].takes_booleans());
}
