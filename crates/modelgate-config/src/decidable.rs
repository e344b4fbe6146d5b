//! Rules that are well formed and can never decide anything: what they ask for no model can miss, or none can reach, or it
//! is never known.

use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Amount, Check, GateRule, Versus};

/// Returns the lowest and the highest value of a metric of ours; infinite where there is no bound.
fn range(metric: &str) -> Option<(f64, f64)> {
    let known = direction(metric)?;
    Some(match metric {
        "mcc" | "cohen_kappa" => (-1.0, 1.0),
        "r2" | "explained_variance" => (f64::NEG_INFINITY, 1.0),
        "calibration_error" => (0.0, 1.0),
        "brier" => (0.0, 2.0),
        _ if known == Direction::HigherIsBetter => (0.0, 1.0),
        _ => (0.0, f64::INFINITY),
    })
}

/// Says why `rule` of a pipeline, with a contract or without, can never decide, when it cannot.
pub(crate) fn check_decidable(rule: &GateRule, has_contract: bool) -> Result<(), String> {
    let metric = rule.metric.as_str();
    if metric.starts_with("contract.") && !has_contract {
        return Err(format!(
            "`{metric}` is known where there is a contract: name one as `data.contract`, or take the rule out"
        ));
    }
    if let Some(versus) = rule.check.versus() {
        let measured_here = ["contract.", "latency."].iter().any(|family| metric.starts_with(family));
        if measured_here {
            return Err(format!(
                "`{metric}` is measured of the candidate alone and never known of {versus}: use `at_most`"
            ));
        }
        if matches!(rule.check, Check::SchemaCompatible { .. }) && *versus != Versus::Production {
            return Err(format!("the schema of {versus} is not kept: use `versus: production`"));
        }
    }
    let Some((low, high)) = range(metric) else { return Ok(()) };
    let bounds = || {
        let end = |end: f64| if end.is_finite() { end.to_string() } else { "any value".to_owned() };
        format!("`{metric}` is from {} to {}", end(low), end(high))
    };
    match &rule.check {
        Check::AtLeast(limit) if *limit > high => {
            Err(format!("{}: none is at least {limit}, and the rule would refuse every model", bounds()))
        }
        Check::AtLeast(limit) if *limit <= low => Err(format!(
            "{}: every value is at least {limit}, and the rule would pass every model; raise `at_least`, or take the rule out",
            bounds()
        )),
        Check::AtMost(limit) if *limit >= high => Err(format!(
            "{}: every value is at most {limit}, and the rule would pass every model; lower `at_most`, or take the rule out",
            bounds()
        )),
        Check::AtMost(limit) if *limit < low => {
            Err(format!("{}: none is at most {limit}, and the rule would refuse every model", bounds()))
        }
        Check::Equals(limit) if !(low..=high).contains(limit) => {
            Err(format!("{}: none is {limit}, and the rule would refuse every model", bounds()))
        }
        Check::MaxDrop { limit, .. } => amount(*limit, "max_drop", low, high, true, bounds),
        Check::MaxRise { limit, .. } => amount(*limit, "max_rise", low, high, false, bounds),
        Check::NonInferior { margin, .. } => {
            let falls = direction(metric) == Some(Direction::HigherIsBetter);
            amount(*margin, "margin", low, high, falls, bounds)
        }
        _ => Ok(()),
    }
}

/// Says what is odd about a rule that can decide: a bound on the side on which a figure is good, or a comparison that lets half of
/// all there is be lost. Somebody may mean it, as an accuracy that is too good to be true; mostly it is a slip.
pub fn rule_doubt(rule: &GateRule) -> Option<String> {
    let metric = rule.metric.as_str();
    let known = direction(metric)?;
    let (is, meant) = match known {
        Direction::HigherIsBetter => ("higher", "at_least"),
        Direction::LowerIsBetter => ("lower", "at_most"),
    };
    match (&rule.check, known) {
        (Check::AtMost(_), Direction::HigherIsBetter) | (Check::AtLeast(_), Direction::LowerIsBetter) => {
            return Some(format!(
                "rule `{}` refuses what is good: `{metric}` is better when it is {is}, and no model is too bad for it; a floor is \
                 `{meant}`, beside it where both are meant",
                rule.id
            ));
        }
        _ => {}
    }
    let (low, high) = range(metric)?;
    let (amount, key) = match &rule.check {
        Check::MaxDrop { limit, .. } => (*limit, "max_drop"),
        Check::MaxRise { limit, .. } => (*limit, "max_rise"),
        Check::NonInferior { margin, .. } => (*margin, "margin"),
        _ => return None,
    };
    let is_half = match amount {
        Amount::Absolute(amount) => amount >= (high - low) / 2.0,
        Amount::Relative(share) => known == Direction::HigherIsBetter && share >= 0.5,
    };
    is_half.then(|| {
        format!(
            "rule `{}` lets a model pass that lost half of all there is of `{metric}`: `{key}` is {amount}; usual are 0.01 or 2%",
            rule.id
        )
    })
}

/// Of so many rounds an end of an interval is placed: with fewer beyond it, it is hardly more than the most extreme round.
const FEWEST_BEYOND: f64 = 2.0;

/// The same where a rule decides by the end.
const FEWEST_BEYOND_OF_A_RULE: f64 = 5.0;

/// The most rounds that a project may ask for.
pub(crate) const MOST_ROUNDS: u32 = 100_000;

/// Says why `rounds` of the bootstrap cannot be as sure as `rule` asks, when they cannot.
pub(crate) fn check_rounds_of(rule: &GateRule, rounds: u32) -> Result<(), String> {
    match &rule.check {
        Check::NonInferior { confidence, .. } => {
            enough_rounds(*confidence, 1.0 - confidence, rounds, FEWEST_BEYOND_OF_A_RULE)
        }
        _ => Ok(()),
    }
}

/// Says why `rounds` of the bootstrap cannot give two-sided intervals of such a confidence, when they cannot.
pub(crate) fn check_rounds(confidence: f64, rounds: u32) -> Result<(), String> {
    enough_rounds(confidence, (1.0 - confidence) / 2.0, rounds, FEWEST_BEYOND)
}

/// Holds when of `rounds` the share `tail` beyond an end is at least `fewest`.
fn enough_rounds(confidence: f64, tail: f64, rounds: u32, fewest: f64) -> Result<(), String> {
    // 1 - 0.995 is a little more or less than 0.005.
    let nearly = 1.0 - 1e-9;
    let beyond = tail * f64::from(rounds);
    if beyond >= fewest * nearly {
        return Ok(());
    }
    let wanted = (fewest * nearly / tail).ceil();
    let cure = if wanted <= f64::from(MOST_ROUNDS) {
        format!("set `evaluate.rounds` to {wanted} or more, or lower it")
    } else {
        format!("lower it: `evaluate.rounds` ends at {MOST_ROUNDS}")
    };
    Err(format!(
        "`confidence: {confidence}` leaves {} of {rounds} rounds beyond an end of the interval, and it takes {fewest} to \
         place one: {cure}",
        modelgate_core::verdict::figure(beyond)
    ))
}

/// Says that no model can be worse by more than `amount`. A share of what production has is all of it from 100% on, where
/// the metric ends at 0.
fn amount(
    amount: Amount,
    key: &str,
    low: f64,
    high: f64,
    falls: bool,
    bounds: impl Fn() -> String,
) -> Result<(), String> {
    let never = match amount {
        Amount::Absolute(amount) => amount >= high - low,
        Amount::Relative(share) => falls && low == 0.0 && share >= 1.0,
    };
    if never {
        return Err(format!(
            "{}: no model can be worse by more than {amount}, and the rule would pass every one; lower `{key}`",
            bounds()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleConfig;

    fn said(rule: &str, has_contract: bool) -> String {
        let rule: RuleConfig = serde_saphyr::from_str(rule).expect("read");
        check_decidable(&rule.to_rule().expect("a rule"), has_contract).err().unwrap_or_default()
    }

    #[test]
    fn what_can_never_decide_is_refused() {
        for (rule, part) in [
            ("{metric: accuracy, at_least: 1.5}", "`accuracy` is from 0 to 1: none is at least 1.5"),
            ("{metric: rmse, at_most: -1}", "none is at most -1"),
            (
                "{metric: accuracy, at_least: 0}",
                "every value is at least 0, and the rule would pass every model",
            ),
            ("{metric: accuracy, at_least: -1}", "raise `at_least`"),
            ("{metric: mcc, at_least: -1}", "`mcc` is from -1 to 1: every value"),
            ("{metric: log_loss, at_least: 0}", "would pass every model"),
            ("{metric: calibration_error, at_most: 1}", "every value is at most 1"),
            ("{metric: contract.violations, at_least: 0}", "would pass every model"),
            ("{metric: r2, at_least: 1.01}", "from any value to 1"),
            ("{metric: f1, equals: 2}", "none is 2"),
            ("{metric: f1, versus: production, max_drop: 1}", "lower `max_drop`"),
            ("{metric: f1, versus: production, max_drop: 150%}", "worse by more than 150%"),
            ("{metric: brier, versus: production, max_rise: 2}", "lower `max_rise`"),
            ("{metric: f1, versus: production, non_inferior: {margin: 200%}}", "lower `margin`"),
            ("{metric: schema, versus: baseline, equals: compatible}", "the schema of baseline is not kept"),
            ("{metric: latency.p99_ms, versus: production, max_rise: 10%}", "never known of production"),
            ("{metric: contract.errors, versus: baseline, max_rise: 1}", "never known of baseline"),
        ] {
            let said = said(rule, true);
            assert!(said.contains(part), "{rule}: {said}");
        }
        assert!(said("{metric: contract.errors, at_most: 0}", false).contains("`data.contract`"));
    }

    #[test]
    fn a_confidence_that_the_rounds_cannot_give_is_refused() {
        let said = |confidence: f64, rounds| {
            let rule = format!(
                "{{metric: f1, versus: production, non_inferior: {{margin: 0.1, confidence: {confidence}}}}}"
            );
            let rule: RuleConfig = serde_saphyr::from_str(&rule).expect("read");
            check_rounds_of(&rule.to_rule().expect("a rule"), rounds).err().unwrap_or_default()
        };
        for (confidence, rounds) in [(0.95, 100), (0.99, 1000), (0.995, 1000), (0.9999, 50_000)] {
            assert_eq!(said(confidence, rounds), "", "{confidence} with {rounds}");
        }
        assert_eq!(
            said(0.999, 1000),
            "`confidence: 0.999` leaves 1 of 1000 rounds beyond an end of the interval, and it takes 5 to place one: set \
             `evaluate.rounds` to 5000 or more, or lower it"
        );
        assert!(said(0.999_999_999_9, 1000).ends_with("lower it: `evaluate.rounds` ends at 100000"));
        for (confidence, rounds, holds) in [(0.95, 100, true), (0.99, 1000, true), (0.999, 1000, false)] {
            assert_eq!(check_rounds(confidence, rounds).is_ok(), holds, "{confidence} with {rounds}");
        }
    }

    #[test]
    fn what_somebody_may_mean_and_is_mostly_a_slip_is_told() {
        let doubt = |rule: &str| {
            let rule: RuleConfig = serde_saphyr::from_str(rule).expect("read");
            rule_doubt(&rule.to_rule().expect("a rule")).unwrap_or_default()
        };
        for (rule, part) in [
            (
                "{metric: accuracy, at_most: 0.95}",
                "better when it is higher, and no model is too bad for it; a floor is `at_least`",
            ),
            ("{metric: brier, at_least: 0.001}", "a floor is `at_most`"),
            ("{metric: f1, versus: production, max_drop: 0.99}", "`max_drop` is 0.99"),
            ("{metric: f1, versus: production, max_drop: 60%}", "`max_drop` is 60%"),
            ("{metric: accuracy, versus: production, non_inferior: {margin: 0.5}}", "`margin` is 0.5"),
        ] {
            let said = doubt(rule);
            assert!(said.contains(part), "{rule}: {said}");
        }
        for rule in [
            "{metric: accuracy, at_least: 0.8}",
            "{metric: rmse, versus: production, max_rise: 150%}",
            "{metric: mcc, versus: production, max_drop: 0.1}",
            "{metric: val_auc, at_most: 0.1}",
            "{metric: schema, versus: production, equals: compatible}",
        ] {
            assert_eq!(doubt(rule), "", "{rule}");
        }
    }

    #[test]
    fn what_may_decide_is_left_alone() {
        for rule in [
            "{metric: accuracy, at_least: 1}",
            "{metric: mcc, at_least: 0}",
            "{metric: r2, at_least: 0}",
            "{metric: accuracy, at_most: 0.95}",
            "{metric: brier, at_least: 0.001}",
            "{metric: rmse, versus: production, max_rise: 150%}",
            "{metric: rmse, versus: production, max_rise: 500}",
            "{metric: r2, versus: production, max_drop: 3}",
            "{metric: mcc, versus: production, max_drop: 150%}",
            "{metric: brier, versus: production, max_rise: 1.5}",
            "{metric: log_loss, at_most: 5}",
            "{metric: rmse, versus: production, non_inferior: {margin: 200%}}",
            "{metric: schema, versus: production, equals: compatible}",
            "{metric: contract.errors, at_most: 0}",
            "{metric: latency.p99_ms, at_most: 20}",
        ] {
            assert_eq!(said(rule, true), "", "{rule}");
        }
    }
}
