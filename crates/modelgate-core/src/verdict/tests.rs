//! Tests of the judgement.

use super::*;
use crate::rule::{Amount, Slice, parse_expression};
use proptest::prelude::*;

fn scores(name: &str, value: Option<f64>) -> Scores {
    let metrics = BTreeMap::from([("f1".to_owned(), value)]);
    let subset = SubsetScores { rows: Some(85), metrics, ..SubsetScores::default() };
    Scores {
        name: name.to_owned(),
        digest: Some(Digest::of(name.as_bytes())),
        subsets: BTreeMap::from([(Subset::Validation, subset)]),
        schema: None,
        unscored: None,
    }
}

fn evidence(value: Option<f64>, production: Reference) -> Evidence {
    Evidence {
        candidate: scores("candidate", value),
        references: BTreeMap::from([(Versus::Production, production)]),
        on: Subset::Validation,
        comparisons: Comparisons::default(),
        footings: BTreeMap::new(),
    }
}

fn no_regression(limit: Amount) -> GateRule {
    let check = Check::MaxDrop { versus: Versus::Production, limit };
    GateRule {
        id: "no-regression".to_owned(),
        metric: "f1".to_owned(),
        on: None,
        check,
        slice: Slice::new(),
        min_samples: None,
    }
}

fn at_least(limit: f64) -> GateRule {
    parse_expression(&format!("f1 >= {limit}")).expect("rule")
}

fn production(value: f64) -> Reference {
    Reference::Scores(Box::new(scores("production v001", Some(value))))
}

#[test]
fn nan_is_inconclusive_and_never_passed() {
    for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let verdict = judge(&[at_least(0.0)], &evidence(value, Reference::None));
        assert_eq!(verdict.verdict, Verdict::Inconclusive, "{value:?}");
    }
}

#[test]
fn too_few_rows_are_inconclusive() {
    let rule = GateRule { min_samples: Some(100), ..at_least(0.5) };
    let verdict = judge(&[rule], &evidence(Some(0.9), Reference::None));
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    assert_eq!(verdict.rules[0].sentence, "f1 on validation rests on 85 rows and the rule wants 100");
}

#[test]
fn a_failed_rule_outweighs_an_inconclusive_one() {
    let unknown = parse_expression("auc >= 0.5").expect("rule");
    let verdict = judge(&[unknown, at_least(0.95)], &evidence(Some(0.9), Reference::None));
    assert_eq!(verdict.verdict, Verdict::Failed);
    assert_eq!(verdict.rules[0].outcome, Outcome::Inconclusive);
    assert!(verdict.rules[0].sentence.contains("measured are f1"), "{}", verdict.rules[0].sentence);
}

#[test]
fn no_rule_at_all_does_not_pass() {
    assert_eq!(judge(&[], &evidence(Some(0.9), Reference::None)).verdict, Verdict::Inconclusive);
}

#[test]
fn the_first_model_is_a_bootstrap_and_says_so() {
    let verdict = judge(&[no_regression(Amount::Absolute(0.01))], &evidence(Some(0.9), Reference::None));
    assert_eq!((verdict.verdict, verdict.bootstrap), (Verdict::Passed, true));
    assert_eq!(verdict.rules[0].outcome, Outcome::NotApplicable);
    assert!(verdict.sentence.contains("bootstrap"), "{}", verdict.sentence);
}

#[test]
fn an_unreachable_production_is_inconclusive() {
    let production = Reference::Unavailable("a file is damaged".to_owned());
    let verdict = judge(&[no_regression(Amount::Absolute(0.01))], &evidence(Some(0.9), production));
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
}

#[test]
fn a_model_is_never_compared_with_itself() {
    let itself = Reference::Scores(Box::new(scores("candidate", Some(0.9))));
    let verdict = judge(&[no_regression(Amount::Absolute(0.01))], &evidence(Some(0.9), itself));
    assert_eq!(verdict.rules[0].outcome, Outcome::NotApplicable);
    assert!(verdict.rules[0].sentence.contains("not compared with itself"));
}

#[test]
fn a_drop_is_held_against_an_absolute_and_a_relative_limit() {
    let judged =
        |limit, value| judge(&[no_regression(limit)], &evidence(Some(value), production(0.5))).verdict;
    assert_eq!(judged(Amount::Absolute(0.25), 0.25), Verdict::Passed);
    assert_eq!(judged(Amount::Absolute(0.25), 0.2), Verdict::Failed);
    assert_eq!(judged(Amount::Relative(0.5), 0.25), Verdict::Passed);
    assert_eq!(judged(Amount::Relative(0.1), 0.44), Verdict::Failed);
    assert_eq!(judged(Amount::Absolute(0.0), 0.9), Verdict::Passed);
}

#[test]
fn a_value_that_is_the_limit_but_for_rounding_is_at_it_and_one_that_misses_never_reads_like_it() {
    let judged = |rule: &str, value| {
        judge(&[parse_expression(rule).expect("rule")], &evidence(Some(value), Reference::None)).rules[0]
            .clone()
    };
    for (rule, value) in [
        ("f1 <= 0.3", 0.1 + 0.2),
        ("f1 >= 0.3", 1.0 - 0.7 - 5e-17),
        ("f1 == 0.3", 0.1 + 0.2),
        ("f1 == 0", 0.0),
    ] {
        assert_eq!(judged(rule, value).outcome, Outcome::Passed, "{rule} of {value}");
    }
    let missed = judged("f1 >= 0.3", 0.299_999_99);
    assert_eq!(missed.outcome, Outcome::Failed);
    assert_eq!(missed.sentence, "f1 on validation is 0.29999999, and must be at least 0.3");
    let rule = no_regression(Amount::Absolute(0.01));
    let dropped = judge(&[rule], &evidence(Some(0.889_99), production(0.9))).rules[0].clone();
    assert_eq!(dropped.outcome, Outcome::Failed);
    assert!(dropped.sentence.contains("(-0.01001"), "{}", dropped.sentence);
}

#[test]
fn a_change_that_is_the_limit_is_within_it() {
    let rise = |limit| {
        let check = Check::MaxRise { versus: Versus::Production, limit };
        GateRule { check, ..no_regression(limit) }
    };
    let judged = |rule, value, old| judge(&[rule], &evidence(Some(value), production(old))).verdict;
    for thousandths in 1..1000_u32 {
        let old = f64::from(thousandths) / 1000.0;
        let (below, above) = (f64::from(thousandths - 1) / 1000.0, f64::from(thousandths + 1) / 1000.0);
        let limit = Amount::Absolute(0.001);
        assert_eq!(judged(no_regression(limit), below, old), Verdict::Passed, "{old} to {below}");
        assert_eq!(judged(rise(limit), above, old), Verdict::Passed, "{old} to {above}");
    }
    let limit = Amount::Absolute(0.01);
    assert_eq!(judged(no_regression(limit), 0.89 - 1e-12, 0.9), Verdict::Failed);
    assert_eq!(judged(rise(limit), 0.91 + 1e-12, 0.9), Verdict::Failed);
    // However small the figures are.
    assert_eq!(judged(rise(Amount::Relative(0.1)), 1.2e-15, 1e-15), Verdict::Failed);
}

#[test]
fn what_a_contract_found_is_of_all_rows() {
    let rule = parse_expression("contract.errors <= 0").expect("rule");
    let mut found = evidence(Some(0.9), Reference::None);
    let subset = found.candidate.subsets.get_mut(&Subset::Validation).expect("subset");
    subset.metrics.insert("contract.errors".to_owned(), Some(1.0));
    let judged = judge(&[rule, at_least(0.5)], &found);
    assert_eq!(judged.rules[0].sentence, "contract.errors on all rows is 1, and must be at most 0");
    assert_eq!((judged.rules[0].samples, judged.rules[1].samples), (None, Some(85)));
}

#[test]
fn figures_are_short() {
    let shown: Vec<String> = [0.0, 0.964_912_280_7, 1.0, 135_123.456, -0.01, 1e-9].map(figure).into();
    assert_eq!(shown, ["0", "0.964912", "1", "135123", "-0.01", "1.00000e-9"]);
}

fn not_worse(margin: f64) -> GateRule {
    let check =
        Check::NonInferior { versus: Versus::Production, margin: Amount::Absolute(margin), confidence: 0.95 };
    GateRule { check, ..at_least(0.0) }
}

fn paired(difference: f64, low: f64, high: f64) -> Evidence {
    let mut evidence = evidence(Some(0.9 + difference), production(0.9));
    evidence.comparisons.paired.push(PairedFigure {
        versus: Versus::Production,
        on: Subset::Validation,
        slice: String::new(),
        metric: "f1".to_owned(),
        confidence: 0.95,
        difference,
        low,
        high,
        share: 0.0,
        held: (low, high),
        visible: 0.06,
        rows: 85,
        least_rows: 30,
        beside: "McNemar's test: p = 0.4".to_owned(),
    });
    evidence
}

#[test]
fn non_inferior_passes_only_when_it_is_shown() {
    let judged = |difference, low, high| judge(&[not_worse(0.02)], &paired(difference, low, high));
    assert_eq!(judged(0.0, -0.01, 0.01).verdict, Verdict::Passed);
    assert_eq!(judged(-0.1, -0.15, -0.05).verdict, Verdict::Failed);
    let unsure = judged(0.0, -0.05, 0.05);
    assert_eq!(unsure.verdict, Verdict::Inconclusive);
    let sentence = &unsure.rules[0].sentence;
    assert!(
        sentence.contains("with 85 rows a drop below 0.06 is missed in more than one of five cases"),
        "{sentence}"
    );
    assert!(sentence.contains("McNemar"), "{sentence}");
    let ends = "between -0.0500 and +0.0500 (each end with 95% confidence, both with 90%)";
    assert!(sentence.contains(ends), "{sentence}");
    assert_eq!(unsure.rules[0].difference_interval, Some((-0.05, 0.05)));
    // A margin that is a share is held against ends of its own, and is not taken for another one.
    let mut shared = paired(0.0, -0.01, 0.01);
    shared.comparisons.paired[0].held = (-0.03, 0.03);
    shared.comparisons.paired[0].share = 0.02;
    let share = |share| {
        let margin = Amount::Relative(share);
        let check = Check::NonInferior { versus: Versus::Production, margin, confidence: 0.95 };
        judge(&[GateRule { check, ..at_least(0.0) }], &shared)
    };
    let judged = share(0.02);
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.rules[0].difference_interval, Some((-0.01, 0.01)));
    assert!(judged.rules[0].sentence.contains("move with the rows too between -0.0300 and +0.0300"));
    assert!(share(0.03).rules[0].sentence.contains("could not be compared"));
    assert_eq!(
        unsure.rules[0].power.as_deref(),
        Some("with 85 rows a drop below 0.06 is missed in more than one of five cases, at 95% confidence")
    );
    // An interval of a few rows is none, however narrow it came out.
    let mut few = paired(0.0, 0.0, 0.0);
    few.comparisons.paired[0].rows = 10;
    let few = judge(&[not_worse(0.02)], &few);
    assert_eq!((few.verdict, few.rules[0].difference_interval), (Verdict::Inconclusive, None));
    assert!(few.rules[0].sentence.contains("on 10 rows: too few"), "{}", few.rules[0].sentence);
    let without = evidence(Some(0.9), production(0.9));
    assert_eq!(judge(&[not_worse(0.02)], &without).verdict, Verdict::Inconclusive);
    let bootstrap = evidence(Some(0.9), Reference::None);
    assert_eq!(judge(&[not_worse(0.02)], &bootstrap).rules[0].outcome, Outcome::NotApplicable);
}

#[test]
fn a_rule_on_a_slice_looks_at_its_rows_alone() {
    let slice = Slice::from([("region".to_owned(), "north".to_owned())]);
    let rule = GateRule { slice, ..at_least(0.8) };
    let mut evidence = evidence(Some(0.9), Reference::None);
    let gone = judge(std::slice::from_ref(&rule), &evidence);
    assert_eq!(gone.verdict, Verdict::Inconclusive);
    assert!(gone.rules[0].sentence.contains("no row where region=north"), "{}", gone.rules[0].sentence);
    let metrics = BTreeMap::from([("f1".to_owned(), Some(0.5))]);
    let scores =
        SliceScores { rows: 40, metrics, intervals: BTreeMap::from([("f1".to_owned(), (0.3, 0.7))]) };
    evidence.candidate.subsets.get_mut(&Subset::Validation).expect("subset").slices =
        BTreeMap::from([("region=north".to_owned(), scores)]);
    let judged = judge(&[rule], &evidence);
    assert_eq!(judged.verdict, Verdict::Failed);
    let result = &judged.rules[0];
    assert_eq!((result.samples, result.interval), (Some(40), Some((0.3, 0.7))));
    assert!(result.sentence.contains("f1 on validation where region=north is 0.5"), "{}", result.sentence);
}

#[test]
fn slices_that_are_worse_beyond_chance_fail() {
    let check = Check::SlicesNotWorse { versus: Versus::Production };
    let rule = GateRule { metric: "slices".to_owned(), check, ..at_least(0.0) };
    let mut evidence = evidence(Some(0.9), production(0.9));
    let judged = |evidence: &Evidence| judge(std::slice::from_ref(&rule), evidence).rules[0].clone();
    assert_eq!(judged(&evidence).outcome, Outcome::Inconclusive);
    let part = |p_value| SliceFigure {
        name: "region = north".to_owned(),
        rows: 60,
        candidate: 0.4,
        reference: 0.1,
        least: 0.01,
        p_value,
    };
    let mut with = |slices: Vec<SliceFigure>| {
        evidence.comparisons.slices = BTreeMap::from([(
            (Versus::Production, Subset::Validation),
            SliceFigures { loss: "share of wrong rows".to_owned(), min_rows: 30, undefined: 0, slices },
        )]);
        judged(&evidence)
    };
    let none = with(Vec::new());
    assert_eq!(none.outcome, Outcome::Inconclusive);
    assert!(none.sentence.contains("lower `evaluate.min_slice_rows`"), "{}", none.sentence);
    assert_eq!(with(vec![part(0.2)]).outcome, Outcome::Passed);
    let failed = with(vec![part(0.2), part(0.001)]);
    assert_eq!((failed.outcome, failed.value), (Outcome::Failed, Some(1.0)));
    let told = "region = north (0.4 against 0.1 on 60 rows, p = 0.0010)";
    assert!(failed.sentence.contains(told), "{}", failed.sentence);
    let sure = with(vec![part(1e-12)]);
    assert!(sure.sentence.contains("on 60 rows, p < 0.0001)"), "{}", sure.sentence);
    // A rise that is sure and no more than counts is told, and does not fail.
    let hardly = with(vec![SliceFigure { candidate: 0.105, ..part(1e-12) }, part(0.2)]);
    assert_eq!(hardly.outcome, Outcome::Passed);
    let told =
        "beyond chance and by more than counts: 1 is higher by too little, region = north (0.105 against 0.1";
    assert!(hardly.sentence.contains(told), "{}", hardly.sentence);
    // Three rows cannot show anything, whatever they are.
    let few = with(vec![SliceFigure { rows: 3, ..part(0.125) }; 24]);
    assert_eq!((few.outcome, few.value), (Outcome::Inconclusive, None));
    assert!(
        few.sentence.contains("none of 24 parts of validation has more than 3 rows: too few"),
        "{}",
        few.sentence
    );
}

#[test]
fn parts_of_too_few_rows_or_without_a_loss_are_inconclusive() {
    let check = Check::SlicesNotWorse { versus: Versus::Production };
    let rule = GateRule { metric: "slices".to_owned(), check, min_samples: Some(100), ..at_least(0.0) };
    let mut evidence = evidence(Some(0.9), production(0.9));
    let part = SliceFigure {
        name: "region = north".to_owned(),
        rows: 60,
        candidate: 0.1,
        reference: 0.1,
        least: 0.01,
        p_value: 1.0,
    };
    let mut judged = |rule: &GateRule, undefined| {
        let figures = SliceFigures { undefined, slices: vec![part.clone()], ..SliceFigures::default() };
        evidence.comparisons.slices = BTreeMap::from([((Versus::Production, Subset::Validation), figures)]);
        judge(std::slice::from_ref(rule), &evidence)
    };
    let few = judged(&rule, 0);
    assert_eq!(few.verdict, Verdict::Inconclusive);
    assert!(few.rules[0].sentence.contains("rests on 85 rows and the rule wants 100"));
    let rule = GateRule { min_samples: None, ..rule };
    assert_eq!(judged(&rule, 0).verdict, Verdict::Passed);
    let undefined = judged(&rule, 3);
    assert_eq!(undefined.verdict, Verdict::Inconclusive);
    assert!(undefined.rules[0].sentence.starts_with("3 rows of validation have no "));
}

#[test]
fn a_handful_of_rows_is_judged_only_when_the_rule_says_so() {
    let mut two = evidence(Some(1.0), Reference::None);
    two.candidate.subsets.get_mut(&Subset::Validation).expect("subset").rows = Some(2);
    let judged = judge(&[at_least(0.8)], &two);
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    let sentence = &judged.rules[0].sentence;
    assert!(sentence.contains("is 1 on 2 rows, too few to judge by; `min_samples: 2`"), "{sentence}");
    assert_eq!(judged.rules[0].value, None);
    let rule = GateRule { min_samples: Some(2), ..at_least(0.8) };
    assert_eq!(judge(&[rule], &two).verdict, Verdict::Passed);
    // What is no mean over rows is judged on any number of them.
    let metrics = BTreeMap::from([("contract.violations".to_owned(), Some(0.0))]);
    two.candidate.subsets.get_mut(&Subset::Validation).expect("subset").metrics = metrics;
    let violations = parse_expression("contract.violations <= 0").expect("rule");
    assert_eq!(judge(&[violations], &two).verdict, Verdict::Passed);
}

fn slices_rule() -> GateRule {
    let check = Check::SlicesNotWorse { versus: Versus::Production };
    GateRule { metric: "slices".to_owned(), check, ..at_least(0.0) }
}

fn without_answers(mut scores: Scores, rows: u64) -> Scores {
    let subset = scores.subsets.get_mut(&Subset::Validation).expect("subset");
    subset.unanswered = rows;
    scores
}

#[test]
fn a_first_model_without_answers_is_inconclusive_and_no_bootstrap_passes_it() {
    for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let mut first = evidence(value, Reference::None);
        first.candidate = without_answers(first.candidate, 85);
        for rule in [no_regression(Amount::Absolute(0.01)), not_worse(0.02), slices_rule()] {
            let verdict = judge(std::slice::from_ref(&rule), &first);
            assert_eq!(verdict.verdict, Verdict::Inconclusive, "{value:?} {rule:?}");
        }
    }
    // A figure that is there lets the rule wait for the next run.
    for rule in [no_regression(Amount::Absolute(0.01)), not_worse(0.02), slices_rule()] {
        let verdict = judge(&[rule], &evidence(Some(0.1), Reference::None));
        assert_eq!(verdict.rules[0].outcome, Outcome::NotApplicable);
    }
}

#[test]
fn a_production_that_answers_nothing_stands_in_no_ones_way() {
    let dead = without_answers(scores("production v001", None), 85);
    let dead = Reference::Scores(Box::new(dead));
    for rule in [no_regression(Amount::Absolute(0.01)), not_worse(0.02), slices_rule()] {
        let judged = |value| judge(std::slice::from_ref(&rule), &evidence(value, dead.clone()));
        let passed = judged(Some(0.9));
        assert_eq!(passed.verdict, Verdict::Passed, "{:?}", passed.rules);
        assert!(passed.rules[0].sentence.contains("answers none of 85 rows"), "{}", passed.rules[0].sentence);
    }
    // One that has no such figure for another reason does.
    let unknown = Reference::Scores(Box::new(scores("production v001", None)));
    let judged = judge(&[no_regression(Amount::Absolute(0.01))], &evidence(Some(0.9), unknown));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
}

#[test]
fn why_production_has_no_figures_is_told_with_what_to_do() {
    let mut gone = scores("production v001", None);
    gone.subsets.clear();
    gone.unscored = Some("column `age` is not there".to_owned());
    let gone = Reference::Scores(Box::new(gone));
    for rule in [no_regression(Amount::Absolute(0.01)), not_worse(0.02)] {
        let sentence = judge(&[rule], &evidence(Some(0.9), gone.clone())).rules[0].sentence.clone();
        assert!(sentence.contains("column `age` is not there"), "{sentence}");
        assert!(sentence.contains("leave this rule out"), "{sentence}");
    }
    let slices = judge(&[slices_rule()], &evidence(Some(0.9), gone)).rules[0].sentence.clone();
    assert!(slices.contains("column `age` is not there"), "{slices}");
}

#[test]
fn rows_that_production_learned_from_are_left_out_of_both_sides() {
    let mut found = evidence(Some(0.7), production(0.72));
    let left = |value, rows| {
        let mut subset =
            scores("candidate", Some(value)).subsets.remove(&Subset::Validation).expect("subset");
        subset.rows = Some(rows);
        BTreeMap::from([(Subset::Validation, subset)])
    };
    let which = "234 of 331 rows are left out".to_owned();
    let fewer = |candidate| Footing::Fewer {
        candidate,
        left_out: BTreeMap::from([(Subset::Validation, which.clone())]),
    };
    let rule = no_regression(Amount::Absolute(0.01));
    assert_eq!(judge(std::slice::from_ref(&rule), &found).verdict, Verdict::Failed);
    found.footings.insert(Versus::Production, fewer(left(0.73, 97)));
    let judged = judge(std::slice::from_ref(&rule), &found);
    let result = &judged.rules[0];
    assert_eq!((judged.verdict, result.value, result.samples), (Verdict::Passed, Some(0.73), Some(97)));
    assert!(result.sentence.ends_with("; 234 of 331 rows are left out"), "{}", result.sentence);
    // A rule that compares with nothing looks at all rows as before.
    assert_eq!(judge(&[at_least(0.5)], &found).rules[0].value, Some(0.7));
    // Few that are left, or none, are not judged, unless the rule says that so many are enough.
    found.footings.insert(Versus::Production, fewer(left(0.73, 29)));
    assert_eq!(judge(std::slice::from_ref(&rule), &found).verdict, Verdict::Inconclusive);
    let wanted = GateRule { min_samples: Some(20), ..rule.clone() };
    assert_eq!(judge(&[wanted], &found).verdict, Verdict::Passed);
    found.footings.insert(Versus::Production, fewer(BTreeMap::new()));
    assert_eq!(judge(std::slice::from_ref(&rule), &found).verdict, Verdict::Inconclusive);
    // What is left out hides no row that the candidate does not answer.
    found.candidate = scores("candidate", None);
    found.footings.insert(Versus::Production, fewer(left(0.73, 97)));
    assert_eq!(judge(&[rule], &found).verdict, Verdict::Inconclusive);
}

#[test]
fn rows_that_production_may_know_fail_no_candidate() {
    let rule = no_regression(Amount::Absolute(0.01));
    let judged = |value| {
        let mut found = evidence(Some(value), production(0.9));
        found
            .footings
            .insert(Versus::Production, Footing::Unsure("it may have learned from them".to_owned()));
        judge(std::slice::from_ref(&rule), &found)
    };
    let worse = judged(0.7);
    assert_eq!(worse.verdict, Verdict::Inconclusive);
    assert!(worse.rules[0].sentence.contains("it may have learned from them"), "{}", worse.rules[0].sentence);
    assert_eq!(judged(0.95).verdict, Verdict::Passed);
}

#[test]
fn min_samples_is_not_advised_where_it_does_not_help() {
    let mut few = paired(0.0, 0.0, 0.0);
    few.comparisons.paired[0].rows = 5;
    few.candidate.subsets.get_mut(&Subset::Validation).expect("subset").rows = Some(5);
    let sentence = judge(&[not_worse(0.02)], &few).rules[0].sentence.clone();
    assert!(sentence.ends_with("on 5 rows, too few to judge by: `non_inferior` wants 30"), "{sentence}");
    few.comparisons.paired[0].least_rows = 0;
    let sentence = judge(&[not_worse(0.02)], &few).rules[0].sentence.clone();
    assert!(sentence.contains("`min_samples: 5` judges by them"), "{sentence}");
}

proptest! {
    #[test]
    fn the_gate_is_monotone_in_the_metric(low in 0.0..1.0f64, rise in 0.0..1.0f64, limit in 0.0..1.0f64, old in 0.0..1.0f64) {
        let rules = [at_least(limit), no_regression(Amount::Absolute(0.05))];
        let judged = |value| judge(&rules, &evidence(Some(value), production(old))).verdict;
        if judged(low) == Verdict::Passed {
            prop_assert_eq!(judged(low + rise), Verdict::Passed);
        }
    }
}
