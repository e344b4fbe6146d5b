//! Tests of descriptions.

use super::*;
use crate::dataset::{Mixed, ReadOptions};
use crate::source::SourceFile;

fn described(text: &str) -> Description {
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    describe(&Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set"))
        .expect("described")
}

#[test]
fn moments_quantiles_and_correlations_are_those_of_scipy() {
    // scipy 1.17.1 of [1, 2, 3, 4, 10]: skew 1.1384199576606167, kurtosis -0.21199999999999974; numpy std 3.1622776601683795.
    let found = described("x,y,z\n1,2,a\n2,4,b\n3,6,a\n4,8,\n10,20,a\n");
    let number = found.columns[0].number.as_ref().expect("numbers");
    let (mean, std) = (number.mean.expect("one"), number.std.expect("one"));
    assert!((mean - 4.0).abs() < 1e-12 && (std - 3.162_277_660_168_379_5).abs() < 1e-12);
    let (skewness, kurtosis) = (number.skewness.expect("one"), number.kurtosis.expect("one"));
    assert!((skewness - 1.138_419_957_660_616_7).abs() < 1e-12, "{skewness}");
    assert!((kurtosis + 0.212).abs() < 1e-12, "{kurtosis}");
    assert_eq!(number.quantiles.iter().find(|found| found.percent == 50).map(|found| found.value), Some(3.0));
    assert_eq!(number.histogram.counts.iter().sum::<u64>(), 5);
    assert_eq!(found.correlations.len(), 1);
    assert!((found.correlations[0].r - 1.0).abs() < 1e-12);
    let text = &found.columns[2];
    assert_eq!((text.count, text.nulls, text.distinct, text.lengths), (4, 1, Some(2), Some((1, 1))));
    assert_eq!(text.frequent[0], Frequent { value: "a".to_owned(), count: 3 });
}

#[test]
fn a_constant_has_no_skewness_and_the_deviation_is_said_to_be_over_n() {
    let found = described("c,x\n5,1\n5,3\n");
    let number = |at: usize| found.columns[at].number.as_ref().expect("numbers");
    assert_eq!((number(0).std, number(0).skewness, number(0).kurtosis), (Some(0.0), None, None));
    // Of 1 and 3 over n; over n - 1 it would be the root of 2.
    assert_eq!((number(1).std, number(1).skewness), (Some(1.0), Some(0.0)));
    assert!(to_text(&found, true).contains("std is over n\n"));
    let page = to_html(&found);
    assert!(page.contains("mean ± std (over n)"), "{page}");
    assert_eq!(page.matches("skewness").count(), 1);
}

#[test]
fn a_description_does_not_depend_on_the_number_of_threads() {
    let mut text = String::from("x,y,t\n");
    for row in 0_u64..300_000 {
        let value = row.wrapping_mul(6_364_136_223_846_793_005) >> 40;
        text.push_str(&format!("{}.5,{},{}\n", value % 1000, value, value % 50));
    }
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        serde_json::to_string(&pool.install(|| described(&text))).expect("JSON")
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(5));
    assert!(one.contains("\"distinct\":null"), "y has more than 10,000 values");
}

#[test]
fn pages_escape_names_and_values() {
    let found = described("<b>,\"a\"\"'&\"\n<script>,1\n<script>,2\n");
    let page = to_html(&found);
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
    assert!(to_text(&found, true).contains("2 rows × 2 columns"));
}

#[test]
fn a_page_stays_small_whatever_it_is_of_and_says_what_it_leaves_out() {
    let mut found = described("x,word\n1,a\n2,b\n3,a\n");
    let small = to_html(&found);
    assert!(!small.contains("to stay small") && small.len() < 20_000, "{}", small.len());
    let column = found.columns[0].clone();
    found.columns =
        (0..5001).map(|at| ColumnDescription { name: format!("c{at}"), ..column.clone() }).collect();
    found.notes = (0..5001).map(|at| format!("column `c{at}` is declared as decimal")).collect();
    found.files = (0..30_000).map(|at| format!("part {at}.csv")).collect();
    let page = to_html(&found);
    assert!((700_000..1_000_000).contains(&page.len()), "{}", page.len());
    let shown = page.matches("<h3").count();
    let said = format!("The page shows the first {shown} of 5001 columns, to stay small");
    assert!(page.contains(&said) && page.contains("data profile --output profile.json"), "{shown}");
    assert!(page.contains("and 29980 more") && page.contains("of 5001 notes"));
    // Names of a megabyte each are cut, and the cards are still there.
    found.columns.truncate(3);
    found.columns.iter_mut().for_each(|column| column.name = "ü".repeat(500_000));
    let page = to_html(&found);
    assert!(page.len() < 200_000 && page.matches("<h3").count() == 3, "{}", page.len());
}

#[test]
fn a_column_of_numbers_with_a_little_text_is_described_as_text_with_a_note() {
    let found = described("x\n1\n2\nthree\n");
    assert_eq!(found.columns[0].column_type, ColumnType::String);
    // It travels, as into logs: what stands there is not said.
    assert!(found.notes[0].contains("line 4, column `x`: its value is not a number"), "{:?}", found.notes);
}

#[test]
fn long_texts_are_told_apart_and_not_kept_whole() {
    let long = "x".repeat(100_000);
    let text: String = (0..30).map(|row| format!("{long}{}\n", row % 3)).collect();
    let found = described(&format!("t\n{text}"));
    let column = &found.columns[0];
    assert_eq!(
        (column.distinct, column.frequent.len(), column.lengths),
        (Some(3), 3, Some((100_001, 100_001)))
    );
    assert!(column.frequent.iter().all(|value| value.count == 10 && value.value.chars().count() == 41));
    assert_eq!(column.whole, None, "a list of all values would keep them");
}

#[test]
fn correlations_that_leave_columns_out_say_so() {
    let names: Vec<String> = (0..62).map(|column| format!("c{column}")).collect();
    let row =
        |factor: u32| (1..=62).map(|column| (column * factor % 7).to_string()).collect::<Vec<_>>().join(",");
    let text = format!("{}\n{}\n{}\n{}\n", names.join(","), row(1), row(2), row(4));
    let notes = described(&text).notes;
    assert_eq!(notes, ["correlations are those of the first 60 of 62 columns of numbers"]);
    assert!(to_html(&described(&text)).contains("the first 60 of 62"));
    assert!(described("a,b\n1,2\n2,3\n").notes.is_empty());
}

#[test]
fn a_correlation_is_of_the_rows_that_have_both_values_whatever_stands_in_the_others() {
    // In two rows of five the first column says that nothing was measured, and the second is empty. The third is constant
    // where the fourth has values.
    let mut text = String::from("a,b,c,d\n");
    for row in 0_u32..150_000 {
        let value = f64::from(row.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        text.push_str(&match row % 5 {
            0 | 1 => format!("999999999,,{value},\n"),
            _ => format!("{value},{},0.1,{row}\n", 3.0 - 2.0 * value + f64::from(row % 7) / 100.0),
        });
    }
    let found = described(&text).correlations;
    let pair = |a: &str, b: &str| found.iter().find(|pair| pair.a == a && pair.b == b).map(|pair| pair.r);
    let r = pair("a", "b").expect("a pair");
    assert!((-0.9999..-0.999).contains(&r), "{r}");
    assert!(pair("a", "c").is_some());
    assert_eq!((pair("b", "c"), pair("c", "d")), (None, None), "{found:?}");
}

#[test]
fn figures_that_doubles_cannot_hold_are_left_out_with_a_note() {
    let found = described("wide,tiny,huge\n1e200,1e-322,-1.7e308\n3e200,2e-322,1.7e308\n2e200,3e-322,1.0\n");
    let number = |at: usize| found.columns[at].number.as_ref().expect("numbers");
    assert!((number(0).mean.expect("a mean") / 2e200 - 1.0).abs() < 1e-12);
    assert_eq!((number(0).std, number(0).skewness, number(0).histogram.counts.len()), (None, None, 20));
    assert_eq!((number(1).std, number(1).histogram.edges.len()), (None, 0));
    assert_eq!((number(2).mean, number(2).std, number(2).histogram.edges.len()), (None, None, 0));
    assert_eq!(found.correlations, []);
    assert!(found.notes[0].starts_with("column `wide`: no standard deviation, since"), "{:?}", found.notes);
    assert!(found.notes[1].contains("no standard deviation, no histogram"), "{:?}", found.notes);
    let text = to_text(&found, true) + &to_html(&found);
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    // Fourth powers are lost before squares are.
    let small = described("x\n1e-90\n2e-90\n4e-90\n");
    let small = small.columns[0].number.as_ref().expect("numbers");
    assert!(small.std.is_some() && small.kurtosis.is_none(), "{small:?}");
}

#[test]
fn the_bins_of_a_histogram_end_at_the_largest_value() {
    // 0.1 + 20 · ((2.3 - 0.1) / 20) is less than 2.3.
    for high in 2..60 {
        let high = f64::from(high) / 10.0 + 0.1;
        let found = described(&format!("x\n0.1\n0.7\n{high}\n"));
        let number = found.columns[0].number.as_ref().expect("numbers");
        assert_eq!(number.histogram.edges.last(), Some(&number.max));
    }
}

#[test]
fn what_a_contract_is_made_of_takes_one_pass() {
    let files: Vec<SourceFile> =
        (0..7).map(|file| SourceFile::bytes(format!("k=1/{file}.csv"), &b"x,y\n1,2\n4,2.5\n"[..])).collect();
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set");
    let mut told = Vec::new();
    let values =
        describe_as(&dataset, Depth::Values, &mut |done, of| told.push((done, of))).expect("described");
    assert_eq!(told.last(), Some(&(14, 14)));
    let whole =
        describe_as(&dataset, Depth::Whole, &mut |done, of| told.push((done, of))).expect("described");
    assert_eq!(told.last(), Some(&(28, 28)));
    assert_eq!((values.correlations.len(), whole.correlations.len()), (0, 1));
    let contract =
        |description| crate::contract::infer(description, &std::collections::BTreeMap::new(), "c", None);
    assert_eq!(contract(&values), contract(&whole));
    assert_eq!(values.notes, whole.notes);
    assert!(values.notes[0].starts_with("the folders called `k=…` say a value of `k`"), "{:?}", values.notes);
    let text = to_text(&whole, true);
    assert!(
        text.starts_with("k=1/0.csv, k=1/1.csv, k=1/2.csv, k=1/3.csv, k=1/4.csv and 2 more files: 14"),
        "{text}"
    );
}
