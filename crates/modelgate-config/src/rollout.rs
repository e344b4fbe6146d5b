//! The part of the project file that says how a new version is let at the requests.

use modelgate_core::metric::rollout_names;
use modelgate_core::rollout::{Percent, Steps};
use modelgate_core::rule::{Check, GateRule, Versus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::governance::duration_seconds;
use crate::rules::RuleConfig;

/// How a new version is let at the requests, beside the one in production.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// The service, such as `http://127.0.0.1:8080`; by default that of `serve.reload_url`.
    pub url: Option<String>,
    /// The shares in percent that a canary gets, one after another; the first may be 0, for copies of requests only.
    pub steps: Vec<u8>,
    /// The share in percent of the other requests that the canary gets a copy of; its answers go nowhere.
    pub shadow: u8,
    /// The header that holds who asks: one key gets answers of one version. Without it the correlation number that a
    /// caller sent, else the caller's address.
    pub key_header: String,
    /// How long `rollout watch` looks, such as `5m`.
    pub window: String,
    /// With fewer requests than this a rule that names no number is inconclusive.
    pub min_samples: u64,
    /// What `rollout watch` judges by, with `versus: stable` for the version in production over the same time; by default
    /// that `rollout.error_rate` is at most 0.01 and, below a share of 100%, that `rollout.refused_rate` is at most 0.01
    /// above that of the version in production. At a share of 0% with copies, also that `rollout.shadow_error_rate` is at
    /// most 0.01, where no rule asks for it.
    pub rules: Vec<RuleConfig>,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            url: None,
            steps: Steps::default().as_slice().iter().map(|step| step.get()).collect(),
            shadow: 0,
            key_header: "modelgate-key".to_owned(),
            window: "5m".to_owned(),
            min_samples: 100,
            rules: Vec::new(),
        }
    }
}

impl RolloutConfig {
    /// Returns the steps.
    ///
    /// # Errors
    /// Says why they are none.
    pub fn steps(&self) -> Result<Steps, String> {
        let share = |step: &u8| {
            Percent::new(*step).ok_or_else(|| format!("{step} is not a share: expected 0 to 100"))
        };
        Steps::new(self.steps.iter().map(share).collect::<Result<_, _>>()?)
    }

    /// Returns the share of requests that are mirrored.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn shadow(&self) -> Result<Percent, String> {
        Percent::new(self.shadow).ok_or_else(|| format!("{} is not a share: expected 0 to 100", self.shadow))
    }

    /// Returns the rules, those that name no number of samples with `min_samples`.
    ///
    /// # Errors
    /// Says which one makes no sense.
    pub fn rules(&self) -> Result<Vec<GateRule>, String> {
        let mut rules: Vec<GateRule> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let rule = rule.to_rollout_rule().map_err(|message| format!("rule {}: {message}", index + 1))?;
            if rules.iter().any(|known| known.id == rule.id) {
                return Err(format!("the id `{}` is taken by another rule", rule.id));
            }
            rules.push(GateRule { min_samples: rule.min_samples.or(Some(self.min_samples)), ..rule });
        }
        Ok(rules)
    }

    /// Returns what is judged by where nothing is configured or given. A canary that gets all requests has nothing beside it
    /// that refuses some.
    pub fn default_rules(share: Percent) -> &'static [&'static str] {
        let rules = &["rollout.error_rate <= 0.01", "rollout.refused_rate <= stable + 0.01"];
        if share.rest() == Percent::ZERO { &rules[..1] } else { rules }
    }

    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let at = |key: &str| {
            let key = format!("serve.rollout.{key}");
            move |message: String| (key, message)
        };
        self.steps().map_err(at("steps"))?;
        self.shadow().map_err(at("shadow"))?;
        self.rules().map_err(at("rules"))?;
        let seconds = duration_seconds(&self.window).map_err(at("window"))?;
        if !(1..=86_400).contains(&seconds) {
            return Err(at("window")("expected 1s to 1d".to_owned()));
        }
        let name = &self.key_header;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 100 || !name.bytes().all(allowed) {
            return Err(at("key_header")(format!("`{name}` is not the name of a header")));
        }
        match &self.url {
            Some(url) if !(url.starts_with("https://") || url.starts_with("http://")) => {
                Err(at("url")("expected the address of a service, with `http://` or `https://`".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a rule that a rollout cannot be judged by.
///
/// # Errors
/// Says what does not fit.
pub fn check_rollout_rule(rule: &GateRule) -> Result<(), String> {
    if !rollout_names().any(|known| known == rule.metric) {
        let known: Vec<&str> = rollout_names().collect();
        return Err(format!(
            "`{}` is not measured in a rollout: measured are {}",
            rule.metric,
            known.join(", ")
        ));
    }
    if rule.on.is_some() || !rule.slice.is_empty() {
        return Err(
            "a rule of a rollout looks at the canary's requests: it takes no `on` and no `slice`".to_owned()
        );
    }
    match &rule.check {
        Check::AtLeast(_) | Check::AtMost(_) | Check::Equals(_) => Ok(()),
        Check::MaxDrop { versus: Versus::Stable, .. } | Check::MaxRise { versus: Versus::Stable, .. } => {
            let alone = ["rollout.prediction_distance", "rollout.disagreement", "rollout.shadow_"];
            if alone.iter().any(|name| rule.metric.starts_with(name)) {
                return Err(format!("`{}` compares with stable already: give it a limit", rule.metric));
            }
            Ok(())
        }
        _ => Err("a rule of a rollout compares with `versus: stable` by `max_drop` or `max_rise`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RolloutConfig, String> {
        let config: RolloutConfig = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|(key, message)| format!("{key}: {message}"))?;
        Ok(config)
    }

    #[test]
    fn the_defaults_make_sense() {
        let config = read("{}").expect("defaults");
        assert_eq!(config.steps().expect("steps"), Steps::default());
    }

    #[test]
    fn rules_that_nobody_gave_make_sense_and_need_nothing_that_is_not_there() {
        for share in [0, 50, 99, 100] {
            let share = Percent::new(share).expect("a share");
            for text in RolloutConfig::default_rules(share) {
                let rule = modelgate_core::rule::parse_rollout_expression(text).expect(text);
                check_rollout_rule(&rule).expect(text);
                assert!(share.get() < 100 || rule.check.versus().is_none(), "{text}");
            }
        }
    }

    #[test]
    fn a_rule_may_compare_with_stable_and_takes_the_number_of_samples() {
        let text = "{min_samples: 7, rules: [{metric: latency.p99_ms, versus: stable, max_rise: 20%}]}";
        let rules = read(text).expect("rules").rules().expect("rules");
        assert_eq!((rules[0].min_samples, rules[0].id.as_str()), (Some(7), "latency.p99_ms-versus-stable"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, expected) in [
            ("{steps: []}", "serve.rollout.steps: expected 1 to 20 steps"),
            ("{steps: [50, 5]}", "serve.rollout.steps: the step 5% stands behind 50%"),
            ("{steps: [101]}", "serve.rollout.steps: 101 is not a share"),
            ("{shadow: 101}", "serve.rollout.shadow: 101 is not a share"),
            ("{window: 0s}", "serve.rollout.window: expected 1s to 1d"),
            ("{window: soon}", "serve.rollout.window: `soon` is not a duration"),
            ("{key_header: 'a b'}", "serve.rollout.key_header: `a b` is not the name of a header"),
            ("{url: 'ftp://x'}", "serve.rollout.url: expected the address"),
            ("{weight: 5}", "unknown field"),
            ("{rules: [{metric: accuracy, at_least: 0.5}]}", "`accuracy` is not measured in a rollout"),
            (
                "{rules: [{metric: latency.p99_ms, versus: production, max_rise: 1}]}",
                "compares with `versus: stable`",
            ),
            (
                "{rules: [{metric: rollout.disagreement, versus: stable, max_rise: 1}]}",
                "compares with stable already",
            ),
            ("{rules: [{metric: rollout.error_rate, on: test, at_most: 1}]}", "it takes no `on`"),
            (
                "{rules: [{metric: rollout.error_rate, at_most: 1}, {metric: rollout.error_rate, at_most: 2}]}",
                "the id `max-rollout.error_rate` is taken",
            ),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
