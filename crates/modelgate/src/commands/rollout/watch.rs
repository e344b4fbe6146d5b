//! `modelgate rollout watch`: two looks at the counts and what came between them, judged by rules.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use modelgate_config::{RolloutConfig, check_rollout_rule, duration_seconds};
use modelgate_core::Verdict;
use modelgate_core::lifecycle::Event;
use modelgate_core::rollout::RolloutState;
use modelgate_core::rule::{GateRule, parse_rollout_expression};
use modelgate_core::verdict::{GateVerdict, Outcome};
use modelgate_pipeline::{lock, registry};
use modelgate_serve::rollout::{ClientError, Counted, Standing, VersionStanding, Watched, judge};
use modelgate_store::atomic;
use serde_json::json;

use super::{Controller, status};
use crate::arguments::rollout::Watch;
use crate::exit::{Exit, UsageError};
use crate::printer::coloured;

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Counts of a window, over restarts of the service.
struct Counting {
    begun: Counted,
    last: Counted,
    before: Counted,
}

impl Counting {
    fn new(first: Counted) -> Self {
        Self { begun: first.clone(), last: first, before: Counted::default() }
    }

    fn look(&mut self, counted: Counted) {
        if counted.instance != self.last.instance {
            // What was counted anew began at nothing.
            self.before.add(&self.last.since(&self.begun));
            self.begun = Counted { instance: counted.instance.clone(), ..Counted::default() };
        }
        self.last = counted;
    }

    fn window(mut self) -> Counted {
        self.before.add(&self.last.since(&self.begun));
        self.before
    }
}

/// How a look at a canary ended.
enum Seen {
    /// The time is over.
    Window(Box<Watched>),
    /// Somebody took the canary out meanwhile.
    Aborted(String),
    /// There is no such canary any more, or nobody answers.
    Lost(String),
}

/// Returns what a service counted for a canary beside what was in production when the window began; `None` while it has not
/// loaded the canary.
fn looked_at(
    standing: Standing,
    stable: &VersionStanding,
    canary: &VersionStanding,
) -> Result<Option<Counted>, Seen> {
    if let Some(aborted) = standing.aborted.filter(|aborted| aborted.digest == canary.digest) {
        return Err(Seen::Aborted(aborted.reason));
    }
    // Counts of two versions are no counts of either.
    if standing.stable.digest != stable.digest {
        let (was, is) = (&stable.version, &standing.stable.version);
        return Err(Seen::Lost(format!("{was} is not in production any more, {is} is")));
    }
    match standing.canary {
        Some(own) if own.digest == canary.digest => Ok(standing.counted),
        Some(_) => Ok(None),
        None => Err(Seen::Lost(format!("{} is not the canary of the service", canary.version))),
    }
}

/// Returns what is judged by: `--rule`, else what is configured, else an error rate; `--max-error-rate` beside either.
fn rules(watch: &Watch, config: &RolloutConfig) -> Result<Vec<GateRule>, UsageError> {
    let samples = watch.min_samples.unwrap_or(config.min_samples);
    let mut texts = watch.rules.clone();
    if let Some(limit) = watch.max_error_rate {
        if !(0.0..=1.0).contains(&limit) {
            return Err(UsageError("--max-error-rate: expected a share from 0 to 1".to_owned()));
        }
        texts.insert(0, format!("rollout.error_rate <= {limit}"));
    }
    if texts.is_empty() && config.rules.is_empty() {
        texts.push("rollout.error_rate <= 0.01".to_owned());
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

impl Controller<'_> {
    pub(super) fn watch(&self, watch: &Watch) -> anyhow::Result<Exit> {
        let rules = rules(watch, &self.project.config.serve.rollout)?;
        let window = watch.window.as_ref().unwrap_or(&self.project.config.serve.rollout.window);
        let seconds = duration_seconds(window).map_err(|message| UsageError(format!("--for: {message}")))?;
        if !(1..=86_400).contains(&seconds) {
            return Err(UsageError("--for: expected 1s to 1d".to_owned()).into());
        }
        // Unlocked afterwards: whoever aborts must not wait for whoever watches.
        let (first, canary) = {
            let _lock = lock(self.project, "modelgate rollout watch", &self.around)?;
            let mut registry = registry(self.project)?;
            let first = self.settle(&mut registry)?;
            let rollout = self.active(&registry)?;
            let digest = rollout.canary_digest;
            (first, VersionStanding { version: rollout.canary.to_string(), digest })
        };
        let seen = self.look(&first, canary, Duration::from_secs(seconds));
        let watched = match seen {
            Seen::Window(watched) => watched,
            Seen::Aborted(reason) => {
                self.printer.talk(&format!("{}: the canary was taken out meanwhile: {reason}", self.model));
                return Ok(Exit::Blocked);
            }
            Seen::Lost(reason) => {
                self.printer.warning(&format!("nothing could be seen to the end: {reason}"));
                if watch.step {
                    self.stop(&reason, window)?;
                }
                return Ok(Exit::Inconclusive);
            }
        };
        let verdict = judge(&rules, &watched);
        self.report(&watched, &verdict, watch.output.as_deref(), window)?;
        self.act(watch, &verdict, window, watched.counted.canary.requests())?;
        Ok(verdict.verdict.into())
    }

    /// Looks until the time is over.
    fn look(&self, first: &Standing, canary: VersionStanding, window: Duration) -> Seen {
        let began = Instant::now();
        let lost = || Seen::Lost(format!("{} is not the canary of the service", canary.version));
        let stable = first.stable.clone();
        let counted = match looked_at(first.clone(), &stable, &canary) {
            Ok(Some(counted)) => counted,
            Ok(None) => return lost(),
            Err(seen) => return seen,
        };
        let mut counting = Counting::new(counted);
        loop {
            let left = window.saturating_sub(began.elapsed());
            std::thread::sleep(left.min(LOOK));
            let looked = self.client.standing(self.model.as_str());
            match looked.map(|standing| looked_at(standing, &stable, &canary)) {
                Ok(Ok(Some(counted))) => counting.look(counted),
                // A service that has just come back loads the canary after what is in production.
                Ok(Ok(None)) if left.is_zero() => return lost(),
                Ok(Ok(None)) => {}
                Ok(Err(seen)) => return seen,
                Err(error) if left.is_zero() => return Seen::Lost(error.to_string()),
                Err(_) => {}
            }
            if left.is_zero() {
                let counted = counting.window();
                return Seen::Window(Box::new(Watched { stable, canary, counted }));
            }
        }
    }

    fn report(
        &self,
        watched: &Watched,
        verdict: &GateVerdict,
        output: Option<&Path>,
        window: &str,
    ) -> anyhow::Result<()> {
        let whole = json!({
            "schema_version": 1, "model": self.model, "window": window, "stable": watched.stable,
            "canary": watched.canary, "counted": watched.counted, "verdict": verdict,
        });
        if let Some(path) = output {
            atomic::write(path, serde_json::to_string_pretty(&whole)?.as_bytes())
                .context("the report cannot be written")?;
        }
        if self.printer.is_json() {
            self.printer.json(&whole)?;
            return Ok(());
        }
        self.printer.data(&format!(
            "{}: canary {} beside {}, {window}",
            self.model, watched.canary.version, watched.stable.version
        ))?;
        status::print(&watched.counted, self.printer)?;
        for rule in &verdict.rules {
            let outcome = rule.outcome.to_string();
            let padded = format!("{outcome:<14}").replacen(&outcome, &coloured(&outcome), 1);
            self.printer.data(&format!("{padded} {}", rule.sentence))?;
        }
        self.printer.data(&format!(
            "verdict: {} – {}",
            coloured(&verdict.verdict.to_string()),
            verdict.sentence
        ))?;
        Ok(())
    }

    fn act(&self, watch: &Watch, verdict: &GateVerdict, window: &str, requests: u64) -> anyhow::Result<()> {
        let of = |outcome: Outcome| {
            let rules = verdict.rules.iter().filter(|rule| rule.outcome == outcome);
            rules.map(|rule| rule.sentence.clone()).collect::<Vec<_>>().join("; ")
        };
        match verdict.verdict {
            Verdict::Passed if watch.step => {
                let mut registry = registry(self.project)?;
                registry.refresh()?;
                if self.active(&registry)?.next().is_none() {
                    self.printer.talk("all steps are taken: `rollout promote` brings it to production");
                    return Ok(());
                }
                self.step(&format!("watched for {window}: passed on {requests} requests")).map(drop)
            }
            Verdict::Failed if watch.abort_on_failure => {
                self.abort(&shortened(&of(Outcome::Failed), window)).map(drop)
            }
            Verdict::Failed if watch.step => self.stop(&of(Outcome::Failed), window),
            Verdict::Inconclusive if watch.step => self.stop(&of(Outcome::Inconclusive), window),
            _ => Ok(()),
        }
    }

    /// Pauses, unless it is paused or ended already. The canary keeps its share, so the ledger can be written also while the
    /// service cannot be told of what was settled.
    fn stop(&self, reason: &str, window: &str) -> anyhow::Result<()> {
        let _lock = lock(self.project, "modelgate rollout watch", &self.around)?;
        let mut registry = registry(self.project)?;
        match self.settle(&mut registry) {
            Err(error) if error.downcast_ref::<ClientError>().is_some() => {
                self.printer.warning(&format!("{error}; the ledger is written all the same"));
            }
            other => drop(other?),
        }
        let state = registry.model(&self.model)?.rollout.as_ref().map(|rollout| rollout.state);
        if state != Some(RolloutState::Running) {
            return Ok(());
        }
        let canary = self.active(&registry)?.canary;
        let event = Event::PauseRollout { reason: shortened(reason, window) };
        registry.apply(&self.model, canary, &event, &self.now(), &self.around.actor)?;
        self.printer.talk(&format!("{}: {}", self.model, self.active(&registry)?.sentence()));
        Ok(())
    }
}

/// Returns what was found as a reason that the ledger takes, however many rules failed.
fn shortened(found: &str, window: &str) -> String {
    format!("watched for {window}: {found}").chars().take(1000).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use modelgate_core::Digest;
    use modelgate_core::rollout::Percent;
    use modelgate_serve::rollout::{Aborted, CanaryStanding};

    use super::*;

    fn version(name: &str) -> VersionStanding {
        VersionStanding { version: name.to_owned(), digest: Digest::of(name.as_bytes()) }
    }

    fn standing(stable: &str, canary: Option<&str>, aborted: Option<&str>) -> Standing {
        let canary = canary.map(|name| CanaryStanding {
            version: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            weight: Percent::ZERO,
            shadow: Percent::ZERO,
            loaded: true,
            refused: None,
            since: String::new(),
        });
        let aborted = aborted.map(|name| Aborted {
            version: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            reason: "worse".to_owned(),
            time: String::new(),
        });
        let (model, stable, counted) = ("shop".to_owned(), version(stable), Some(Counted::default()));
        Standing { schema_version: 1, model, stable, canary, aborted, sequence: 1, counted }
    }

    #[test]
    fn a_window_ends_when_another_version_comes_to_production() {
        let (stable, canary) = (version("v011"), version("v013"));
        let seen = |standing| match looked_at(standing, &stable, &canary) {
            Ok(Some(_)) => "counts".to_owned(),
            Ok(None) => "not yet".to_owned(),
            Err(Seen::Lost(reason) | Seen::Aborted(reason)) => reason,
            Err(Seen::Window(_)) => "a window".to_owned(),
        };
        assert_eq!(seen(standing("v011", Some("v013"), None)), "counts");
        assert_eq!(seen(standing("v011", Some("v012"), None)), "not yet");
        assert_eq!(seen(standing("v011", None, None)), "v013 is not the canary of the service");
        assert_eq!(seen(standing("v011", None, Some("v013"))), "worse");
        let other = "v011 is not in production any more, v001 is";
        assert_eq!(seen(standing("v001", Some("v013"), None)), other);
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        watch: Watch,
    }

    fn judged_by(arguments: &[&str], config: &str) -> Vec<(String, Option<u64>)> {
        let line = Line::try_parse_from([&["watch"], arguments].concat()).expect("arguments");
        let config = serde_json::from_str(config).expect("a configuration");
        let rules = rules(&line.watch, &config).map_err(|error| error.to_string()).expect("rules");
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
        assert_eq!(judged_by(&limit, "{}"), [errors(100)]);
        assert_eq!(judged_by(&[], "{}"), [of("rollout.error_rate <= 0.01", 100)]);
    }
}
