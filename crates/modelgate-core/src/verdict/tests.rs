//! Tests of the judgement.

use super::*;
use crate::rule::parse_expression;
use proptest::prelude::*;

fn scores(name: &str, value: Option<f64>) -> Scores {
    let metrics = BTreeMap::from([("f1".to_owned(), value)]);
    let subset = SubsetScores { rows: Some(85), metrics };
    Scores {
        name: name.to_owned(),
        digest: Some(Digest::of(name.as_bytes())),
        subsets: BTreeMap::from([(Subset::Validation, subset)]),
        schema: None,
    }
}

fn evidence(value: Option<f64>, production: Reference) -> Evidence {
    Evidence {
        candidate: scores("candidate", value),
        references: BTreeMap::from([(Versus::Production, production)]),
        on: Subset::Validation,
    }
}

fn no_regression(limit: Amount) -> GateRule {
    let check = Check::MaxDrop { versus: Versus::Production, limit };
    GateRule { id: "no-regression".to_owned(), metric: "f1".to_owned(), on: None, check, min_samples: None }
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
fn figures_are_short() {
    let shown: Vec<String> = [0.0, 0.964_912_280_7, 1.0, 135_123.456, -0.01, 1e-9].map(figure).into();
    assert_eq!(shown, ["0", "0.964912", "1", "135123", "-0.01", "1.00000e-9"]);
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
