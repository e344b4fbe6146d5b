//! What `modelgate rollout watch` judges by.

use modelgate_config::{RolloutConfig, check_rollout_rule};
use modelgate_core::rollout::Percent;
use modelgate_core::rule::{GateRule, parse_rollout_expression};

use crate::arguments::rollout::Watch;
use crate::exit::UsageError;

/// Returns what is judged by: `--rule`, else what is configured, else what is judged of a canary with this share;
/// `--max-error-rate` beside either.
pub(super) fn rules(
    watch: &Watch,
    config: &RolloutConfig,
    share: Percent,
) -> Result<Vec<GateRule>, UsageError> {
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
        let rule = parse_rollout_expression(text).map_err(|error| UsageError(format!("--rule: {error}")))?;
        check_rollout_rule(&rule).map_err(|message| UsageError(format!("--rule: {message}")))?;
        rules.push(GateRule { min_samples: Some(samples), ..rule });
    }
    if watch.rules.is_empty() {
        let configured = config.rules().map_err(UsageError)?;
        rules.extend(configured.into_iter().zip(&config.rules).map(|(rule, own)| {
            let min_samples = own.min_samples.or(Some(samples));
            GateRule { min_samples, ..rule }
        }));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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
        let line = Line::try_parse_from([&["watch"], arguments].concat()).expect("arguments");
        let config = serde_json::from_str(config).expect("a configuration");
        let share = Percent::new(share).expect("a share");
        let rules = rules(&line.watch, &config, share).map_err(|error| error.to_string()).expect("rules");
        rules.into_iter().map(|rule| (rule.id, rule.min_samples)).collect()
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
