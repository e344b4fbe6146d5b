//! What `modelgate rollout watch` judges by.

use modelgate_config::{RolloutConfig, check_rollout_rule};
use modelgate_core::rollout::{Percent, Rollout};
use modelgate_core::rule::{GateRule, Subset, parse_rollout_expression};
use modelgate_core::verdict::{Outcome, RuleResult};
use modelgate_serve::rollout::{Watched, judge};

use crate::arguments::rollout::Watch;
use crate::exit::UsageError;

/// The share of copied rows that a canary may fail where nobody gave another.
const FAILED_COPIES: f64 = 0.01;

/// Returns whether a canary sees copies of requests, and no requests of its own but those that somebody pins to it.
fn sees_copies_alone(rollout: &Rollout) -> bool {
    rollout.split().canary() == Percent::ZERO && rollout.mirrored() != Percent::ZERO
}

/// Returns what is judged by: `--rule`, else what is configured, else what is judged of a canary with its share;
/// `--max-error-rate` beside either. A canary that sees copies alone is judged by those that it fails, too.
pub(super) fn rules(
    watch: &Watch,
    config: &RolloutConfig,
    rollout: Option<&Rollout>,
) -> Result<Vec<GateRule>, UsageError> {
    let share = rollout.map_or(Percent::ZERO, |rollout| rollout.split().canary());
    let samples = watch.min_samples.unwrap_or(config.min_samples);
    let mut texts = watch.rules.clone();
    if let Some(limit) = watch.max_error_rate {
        if !(0.0..=1.0).contains(&limit) {
            return Err(UsageError("--max-error-rate: expected a share from 0 to 1".to_owned()));
        }
        texts.insert(0, format!("rollout.error_rate <= {limit}"));
    }
    if watch.rules.is_empty() && config.rules.is_empty() {
        // Another limit for errors is in place of the one that nobody gave.
        let defaults = RolloutConfig::default_rules(share).iter().map(|text| (*text).to_owned());
        let is_other =
            |text: &String| watch.max_error_rate.is_none() || !text.starts_with("rollout.error_rate ");
        texts.extend(defaults.filter(is_other));
    }
    let mut rules: Vec<GateRule> = Vec::new();
    for text in &texts {
        rules.push(GateRule { min_samples: Some(samples), ..parse(text)? });
    }
    if watch.rules.is_empty() {
        let configured = config.rules().map_err(UsageError)?;
        rules.extend(configured.into_iter().zip(&config.rules).map(|(rule, own)| {
            let min_samples = own.min_samples.or(Some(samples));
            GateRule { min_samples, ..rule }
        }));
    }
    let is_asked = watch.rules.is_empty() || watch.max_error_rate.is_some();
    let is_there = rules.iter().any(|rule| rule.metric == "rollout.shadow_error_rate");
    if rollout.is_some_and(sees_copies_alone) && is_asked && !is_there {
        let limit = watch.max_error_rate.unwrap_or(FAILED_COPIES);
        let rule = parse(&format!("rollout.shadow_error_rate <= {limit}"))?;
        rules.push(GateRule { min_samples: Some(samples), ..rule });
    }
    Ok(rules)
}

fn parse(text: &str) -> Result<GateRule, UsageError> {
    let rule = parse_rollout_expression(text).map_err(|error| UsageError(format!("--rule: {error}")))?;
    check_rollout_rule(&rule).map_err(|message| UsageError(format!("--rule: {message}")))?;
    Ok(rule)
}

/// Returns the rules that can be asked of a canary, and the names of the others: one that sees copies alone may have no
/// requests of its own, and would never get any if it had to have them first. What `--rule` names is always asked.
pub(super) fn applicable(
    rules: Vec<GateRule>,
    watch: &Watch,
    rollout: &Rollout,
    watched: &Watched,
) -> (Vec<GateRule>, Vec<String>) {
    if !sees_copies_alone(rollout) {
        return (rules, Vec::new());
    }
    let is_given =
        |rule: &GateRule| watch.rules.iter().any(|text| parse(text).is_ok_and(|given| given.id == rule.id));
    let cannot = |rule: &GateRule| {
        let unasked =
            |result: &RuleResult| result.on == Subset::Canary && result.outcome == Outcome::Inconclusive;
        judge(std::slice::from_ref(rule), watched).rules.iter().all(unasked)
    };
    let (asked, left_out): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| is_given(rule) || !cannot(rule));
    (asked, left_out.into_iter().map(|rule| format!("`{}`", rule.id)).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use modelgate_core::rollout::{RolloutState, Steps};
    use modelgate_core::{Digest, Verdict, VersionNumber};
    use modelgate_serve::rollout::{Counted, ShadowCounts, TrackCounts, VersionStanding};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        watch: Watch,
    }

    fn judged_by(arguments: &[&str], config: &str) -> Vec<(String, Option<u64>)> {
        judged_at(50, arguments, config)
    }

    fn judged_at(share: u8, arguments: &[&str], config: &str) -> Vec<(String, Option<u64>)> {
        let rules = rules_of(&watch(arguments), config, &rollout(share, 0));
        rules.into_iter().map(|rule| (rule.id, rule.min_samples)).collect()
    }

    fn watch(arguments: &[&str]) -> Watch {
        Line::try_parse_from([&["watch"], arguments].concat()).expect("arguments").watch
    }

    fn rules_of(watch: &Watch, config: &str, rollout: &Rollout) -> Vec<GateRule> {
        let config = serde_json::from_str(config).expect("a configuration");
        rules(watch, &config, Some(rollout)).map_err(|error| error.to_string()).expect("rules")
    }

    fn rollout(share: u8, shadow: u8) -> Rollout {
        let percent = |share| Percent::new(share).expect("a share");
        let mut steps = vec![percent(share)];
        if share < 100 {
            steps.push(percent(100));
        }
        Rollout {
            canary: VersionNumber(2),
            canary_digest: Digest::of(b"two"),
            stable: VersionNumber(1),
            stable_digest: Digest::of(b"one"),
            steps: Steps::new(steps).expect("steps"),
            shadow: percent(shadow),
            at: 0,
            state: RolloutState::Running,
            reason: String::new(),
            actor: String::new(),
            time: String::new(),
            watched: None,
        }
    }

    /// A window in which a canary had these requests, and copies of which it failed some.
    fn window(answered: u64, failed: u64, copies: (u64, u64)) -> Watched {
        let version =
            |name: &str| VersionStanding { version: name.to_owned(), digest: Digest::of(name.as_bytes()) };
        let track = |answered, failed| TrackCounts { answered, failed, ..TrackCounts::default() };
        let shadow = ShadowCounts { rows: copies.0, failed: copies.1, ..ShadowCounts::default() };
        let counted =
            Counted { stable: track(1000, 0), canary: track(answered, failed), shadow, ..Counted::default() };
        Watched { stable: version("v001"), canary: version("v002"), counted }
    }

    #[test]
    fn a_canary_that_sees_copies_alone_is_judged_by_them() {
        let example = r#"{"rules": [{"metric": "rollout.error_rate", "at_most": 0.01},
            {"metric": "rollout.disagreement", "at_most": 0.3},
            {"metric": "latency.p99_ms", "versus": "stable", "max_rise": "900%"}]}"#;
        let limit = ["--max-error-rate", "0.5"];
        let given = ["--rule", "rollout.error_rate <= 0.01"];
        let judged = |shadow: u8, arguments: &[&str], config: &str, watched: &Watched| {
            let (watch, rollout) = (watch(arguments), rollout(0, shadow));
            let (asked, left_out) = applicable(rules_of(&watch, config, &rollout), &watch, &rollout, watched);
            (judge(&asked, watched).verdict, left_out.len())
        };
        let (good, bad) = (window(0, 0, (200, 0)), window(0, 0, (180, 20)));
        for (shadow, arguments, config, watched, expected) in [
            (100, &[][..], "{}", &good, (Verdict::Passed, 2)),
            (100, &[], "{}", &bad, (Verdict::Failed, 2)),
            // Too few copies, or none, say nothing.
            (100, &[], "{}", &window(0, 0, (99, 0)), (Verdict::Inconclusive, 2)),
            (100, &[], example, &good, (Verdict::Passed, 2)),
            // Disagreement is of what it could predict.
            (100, &[], example, &bad, (Verdict::Failed, 2)),
            (100, &limit, "{}", &bad, (Verdict::Passed, 2)),
            // What is given is asked, and so are requests that somebody pinned to it.
            (100, &given, "{}", &good, (Verdict::Inconclusive, 0)),
            (100, &[], "{}", &window(50, 50, (200, 0)), (Verdict::Failed, 0)),
            // Without copies there is nothing else to ask.
            (0, &[], "{}", &good, (Verdict::Inconclusive, 0)),
        ] {
            assert_eq!(judged(shadow, arguments, config, watched), expected, "{arguments:?} {watched:?}");
        }
        // A share of its own has requests of its own.
        let one = rollout(1, 100);
        assert!(rules_of(&watch(&[]), "{}", &one).iter().all(|rule| !rule.metric.contains("shadow")));
        assert_eq!(applicable(rules_of(&watch(&[]), "{}", &one), &watch(&[]), &one, &good).1.len(), 0);
    }

    #[test]
    fn a_limit_for_errors_stands_beside_the_configured_rules_and_rules_that_are_given_replace_them() {
        let own = r#"{"min_samples": 7, "rules": [{"metric": "rollout.disagreement", "at_most": 0.3},
            {"metric": "latency.p99_ms", "at_most": 50, "min_samples": 9}]}"#;
        let of = |id: &str, samples: u64| (id.to_owned(), Some(samples));
        let errors = |samples| of("rollout.error_rate <= 0.02", samples);
        let configured = [of("max-rollout.disagreement", 7), of("max-latency.p99_ms", 9)];
        assert_eq!(judged_by(&[], own), configured);
        let limit = ["--max-error-rate", "0.02"];
        assert_eq!(judged_by(&limit, own), [&[errors(7)][..], &configured].concat());
        let given = ["--rule", "rollout.requests >= 1", "--min-samples", "3"];
        assert_eq!(
            judged_by(&[&limit[..], &given].concat(), own),
            [errors(3), of("rollout.requests >= 1", 3)]
        );
        let refused = of("rollout.refused_rate <= stable + 0.01", 100);
        assert_eq!(judged_by(&limit, "{}"), [errors(100), refused.clone()]);
        let default = of("rollout.error_rate <= 0.01", 100);
        assert_eq!(judged_by(&[], "{}"), [default.clone(), refused]);
        // There is nothing left to compare with.
        assert_eq!(judged_at(100, &[], "{}"), [default]);
    }
}
