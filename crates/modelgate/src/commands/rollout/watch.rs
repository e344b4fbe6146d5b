//! `modelgate rollout watch`: two looks at the counts and what came between them, judged by rules.

mod report;
mod rules;

use std::time::{Duration, Instant};

use anyhow::Context;
use modelgate_config::duration_seconds;
use modelgate_core::lifecycle::Event;
use modelgate_core::rollout::{Meanwhile, Rollout, RolloutState, meanwhile};
use modelgate_core::verdict::{GateVerdict, Outcome};
use modelgate_core::{Verdict, VersionNumber};
use modelgate_pipeline::{lock, registry};
use modelgate_serve::rollout::{
    Aborted, ClientError, Counted, Counting, Mixed, Standing, VersionStanding, Watched, judge,
};
use modelgate_store::atomic;

use self::report::UNWRITTEN;
use self::rules::{applicable, rules};
use super::settle::{gap, other_production};
use super::{Controller, is_locked, sequence};
use crate::arguments::rollout::Watch;
use crate::exit::{Exit, UsageError};

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How a look at a canary ended.
enum Seen {
    /// The time is over.
    Window(Box<Watched>),
    /// Somebody took the canary out meanwhile.
    Aborted(String),
    /// There is no such canary any more, or nobody answers.
    Lost(String),
    /// Somebody moved the rollout meanwhile: it is theirs now, and nothing is done to it.
    Moved(String),
}

/// What is watched.
struct Began {
    rollout: Rollout,
    stable: VersionStanding,
    canary: VersionStanding,
    /// Where the service stood, or why there is nothing to see.
    first: Result<Standing, String>,
}

impl Began {
    fn new(rollout: Rollout, first: Result<Standing, String>) -> Self {
        let version =
            |version: VersionNumber, digest| VersionStanding { version: version.to_string(), digest };
        let canary = version(rollout.canary, rollout.canary_digest);
        let stable = version(rollout.stable, rollout.stable_digest);
        Self { rollout, stable, canary, first }
    }
}

/// Returns what a service counted for a canary beside what was in production when the window began; `None` while it has not
/// loaded the canary.
fn looked_at(
    standing: Standing,
    stable: &VersionStanding,
    canary: &VersionStanding,
) -> Result<Option<Counted>, Seen> {
    // A command that did not know the canary yet says nothing against it.
    let own = |aborted: &Aborted| aborted.digest == canary.digest && !aborted.unknown;
    if let Some(aborted) = standing.aborted.filter(own) {
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

impl Controller<'_> {
    pub(super) fn watch(&self, watch: &Watch) -> anyhow::Result<Exit> {
        let config = &self.project.config.serve.rollout;
        // Wrong ones are told before anything is asked.
        rules(watch, config, None)?;
        let window = watch.window.as_ref().unwrap_or(&config.window);
        let seconds = duration_seconds(window).map_err(|message| UsageError(format!("--for: {message}")))?;
        if !(1..=86_400).contains(&seconds) {
            return Err(UsageError("--for: expected 1s to 1d".to_owned()).into());
        }
        // What cannot be written is told before anybody has waited for it.
        if let Some(path) = &watch.output {
            atomic::try_to_write(path).context(UNWRITTEN)?;
        }
        let began = match self.begin(watch.step) {
            Err(error) if is_locked(&error) => {
                self.printer.warning(&format!("nothing could be seen: {error:#}"));
                return Ok(Exit::Inconclusive);
            }
            other => other?,
        };
        let seen = match &began.first {
            Err(reason) => Seen::Lost(reason.clone()),
            Ok(first) => self.look(&began, first, Duration::from_secs(seconds)),
        };
        let since = self.since(&began.rollout);
        let (stable, canary) = (&began.stable, &began.canary);
        let unjudged = |verdict: Verdict, reason: &str| {
            self.report_unjudged((stable, canary), verdict, reason, watch.output.as_deref(), window)
        };
        // What follows from a verdict does not hang on who reads of it.
        let (reported, exit) = match ended(seen, since.as_ref().ok()) {
            Seen::Window(watched) => {
                let verdict = self.judged(watch, &began.rollout, &watched)?;
                let reported = self.report(&watched, &verdict, watch.output.as_deref(), window);
                let exit = match since {
                    Err(error) if verdict.verdict == Verdict::Passed => {
                        self.printer
                            .warning(&format!("whether the rollout still stands is not known: {error:#}"));
                        Exit::Inconclusive
                    }
                    _ => {
                        self.act(watch, &began.rollout, &verdict, window, &what_was_seen(&watched.counted))?
                    }
                };
                (reported, exit)
            }
            Seen::Aborted(reason) => {
                let told = format!("the canary was taken out meanwhile: {reason}");
                self.printer.talk(&format!("{}: {told}", self.model));
                self.take_out(&began.canary, &reason);
                (unjudged(Verdict::Failed, &told), Exit::Blocked)
            }
            Seen::Moved(reason) => {
                self.printer.warning(&format!("nothing could be judged: {reason}"));
                (unjudged(Verdict::Inconclusive, &reason), Exit::Inconclusive)
            }
            Seen::Lost(reason) => {
                self.printer.warning(&format!("nothing could be seen to the end: {reason}"));
                let reported = unjudged(Verdict::Inconclusive, &reason);
                if watch.step {
                    self.unless_locked(self.stop(Verdict::Inconclusive, &reason, window))?;
                }
                (reported, Exit::Inconclusive)
            }
        };
        match reported {
            // What was judged, and what was done for it, stays what it is.
            Err(error) if exit != Exit::Passed => {
                self.printer.error(&error);
                Ok(exit)
            }
            reported => reported.map(|()| exit),
        }
    }

    /// Brings ledger and service together and returns what is watched. The project is locked only for what has to be brought
    /// together: whoever aborts must not wait for whoever watches, and a run is no reason not to look. A service that does
    /// not answer is an error of whoever only looks; who is to `step` pauses, as where it ends later.
    fn begin(&self, step: bool) -> anyhow::Result<Began> {
        let mut registry = registry(self.project)?;
        let mut standing = match self.client.standing(self.model.as_str()) {
            Err(error) if step && is_down(&error) => {
                return Ok(Began::new(self.active(&registry)?, Err(error.to_string())));
            }
            other => other?,
        };
        if gap(registry.model(&self.model)?.rollout.as_ref(), &standing).is_some() {
            let _lock = lock(self.project, "modelgate rollout watch", &self.around)?;
            registry.refresh()?;
            standing = self.settle(&mut registry)?.standing;
        }
        let rollout = self.active(&registry)?;
        let standing = self.looked_again(&registry, standing)?;
        let state = registry.model(&self.model)?;
        let stable = rollout.stable;
        let left = (state.production() != Some(stable))
            .then(|| format!("{stable} is not in production any more: this rollout can only be aborted"));
        let alone = left.or_else(|| other_production(state, &standing, self.client.url()));
        let stable = standing.stable.clone();
        let began = Began::new(rollout, alone.map_or(Ok(standing), Err));
        Ok(Began { stable, ..began })
    }

    /// Judges a window by the rules that apply to a canary with the share that it has.
    fn judged(&self, watch: &Watch, rollout: &Rollout, watched: &Watched) -> anyhow::Result<GateVerdict> {
        let config = &self.project.config.serve.rollout;
        let (rules, left_out) = applicable(rules(watch, config, Some(rollout))?, watch, rollout, watched);
        if !left_out.is_empty() {
            self.printer.talk(&format!(
                "{} has copies of requests alone: {} could not be asked",
                watched.canary.version,
                left_out.join(", ")
            ));
        }
        Ok(judge(&rules, watched))
    }

    /// Returns what the ledger says of a rollout since it was read.
    fn since(&self, seen: &Rollout) -> anyhow::Result<Meanwhile> {
        let mut registry = registry(self.project)?;
        registry.refresh()?;
        Ok(meanwhile(seen, registry.model(&self.model)?.rollout.as_ref()))
    }

    /// Looks until the time is over.
    fn look(&self, watched: &Began, first: &Standing, window: Duration) -> Seen {
        let began = Instant::now();
        let (stable, canary) = (&watched.stable, &watched.canary);
        let lost = || Seen::Lost(format!("{} is not the canary of the service", canary.version));
        let counted = match looked_at(first.clone(), stable, canary) {
            Ok(Some(counted)) => counted,
            Ok(None) => return lost(),
            Err(seen) => return seen,
        };
        let mut counting = Counting::new(counted);
        loop {
            let left = window.saturating_sub(began.elapsed());
            std::thread::sleep(left.min(LOOK));
            let looked = self.client.standing(self.model.as_str());
            match looked.map(|standing| looked_at(standing, stable, canary)) {
                Ok(Ok(Some(counted))) => {
                    if let Err(Mixed) = counting.look(counted, began.elapsed()) {
                        return Seen::Lost(format!(
                            "several services answer at {}, each with counts of its own: name one of them with --url",
                            self.client.url()
                        ));
                    }
                }
                // A service that has just come back loads the canary after what is in production.
                Ok(Ok(None)) if left.is_zero() => return lost(),
                Ok(Ok(None)) => {}
                Ok(Err(seen)) => return seen,
                Err(error) if left.is_zero() => return Seen::Lost(error.to_string()),
                Err(_) => {}
            }
            if left.is_zero() {
                let counted = counting.window();
                let (stable, canary) = (stable.clone(), canary.clone());
                return Seen::Window(Box::new(Watched { stable, canary, counted }));
            }
        }
    }

    /// Takes a canary out at a service that has not seen yet that its rollout has ended.
    fn take_out(&self, canary: &VersionStanding, reason: &str) {
        let take = || -> anyhow::Result<()> {
            let standing = self.client.standing(self.model.as_str())?;
            if standing.canary.is_some_and(|own| own.digest == canary.digest) {
                let sequence = sequence(&registry(self.project)?);
                self.client.abort(self.model.as_str(), reason, Some(sequence))?;
            }
            Ok(())
        };
        if let Err(error) = take() {
            self.printer.warning(&format!(
                "{error:#}: the service takes {} out when it next looks at the registry",
                canary.version
            ));
        }
    }

    /// Does what follows from a verdict, and returns how the command ends.
    fn act(
        &self,
        watch: &Watch,
        seen: &Rollout,
        verdict: &GateVerdict,
        window: &str,
        on: &str,
    ) -> anyhow::Result<Exit> {
        let of = |outcome: Outcome| {
            let rules = verdict.rules.iter().filter(|rule| rule.outcome == outcome);
            rules.map(|rule| rule.sentence.clone()).collect::<Vec<_>>().join("; ")
        };
        let exit = Exit::from(verdict.verdict);
        match verdict.verdict {
            Verdict::Passed if watch.step => {
                if seen.next().is_none() {
                    let kept = self.keep(seen, verdict.verdict, &format!("passed on {on} in {window}"));
                    if self.unless_locked(kept)?.is_none() {
                        return Ok(Exit::Inconclusive);
                    }
                    self.printer.talk("all steps are taken: `rollout promote` brings it to production");
                    return Ok(exit);
                }
                let reason = format!("watched for {window}: passed on {on}");
                return match self.unless_locked(self.step_on(seen, &reason))? {
                    Some(Exit::Passed) => Ok(exit),
                    Some(other) => Ok(other),
                    None => Ok(Exit::Inconclusive),
                };
            }
            Verdict::Failed if watch.abort_on_failure => {
                self.unless_locked(self.abort(&shortened(&of(Outcome::Failed), window)))?;
            }
            Verdict::Failed if watch.step => {
                self.unless_locked(self.stop(Verdict::Failed, &of(Outcome::Failed), window))?;
            }
            Verdict::Inconclusive if watch.step => {
                self.unless_locked(self.stop(Verdict::Inconclusive, &of(Outcome::Inconclusive), window))?;
            }
            _ => {}
        }
        Ok(exit)
    }

    /// Takes the next step, unless somebody paused the rollout: then a person has to look first.
    fn step_on(&self, seen: &Rollout, reason: &str) -> anyhow::Result<Exit> {
        if seen.state == RolloutState::Paused {
            let Rollout { actor, time, reason, .. } = seen;
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            self.printer.warning(&format!(
                "no step was taken: {} is paused by {actor} since {time}{why}; `rollout step` goes on once somebody has looked",
                seen.canary
            ));
            return Ok(Exit::Inconclusive);
        }
        self.step_from(Some(seen), reason)
    }

    /// Tells of what another command kept from being written, which is no error of whoever watches.
    fn unless_locked<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match result {
            Err(error) if is_locked(&error) => {
                self.printer.warning(&format!("{error:#}"));
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Writes down what was found of a canary at its share, where no step says it.
    fn keep(&self, seen: &Rollout, verdict: Verdict, found: &str) -> anyhow::Result<()> {
        let _lock = lock(self.project, "modelgate rollout watch", &self.around)?;
        let reason = found.chars().take(1000).collect();
        let event = Event::WatchRollout { at: seen.split().canary(), verdict, reason };
        let mut registry = registry(self.project)?;
        registry.apply(&self.model, seen.canary, &event, &self.now(), &self.around.actor)?;
        Ok(())
    }

    /// Pauses, unless it is paused or ended already. The canary keeps its share, so the ledger can be written also while the
    /// service cannot be told of what was settled.
    fn stop(&self, verdict: Verdict, reason: &str, window: &str) -> anyhow::Result<()> {
        let lock = lock(self.project, "modelgate rollout watch", &self.around)?;
        let mut registry = registry(self.project)?;
        match self.settle(&mut registry) {
            Err(error) if error.downcast_ref::<ClientError>().is_some() => {
                self.printer.warning(&format!("{error}; the ledger is written all the same"));
            }
            other => drop(other?),
        }
        let Some(rollout) = registry.model(&self.model)?.active_rollout().cloned() else { return Ok(()) };
        if rollout.state == RolloutState::Paused {
            drop(lock);
            // What was found before does not hold any more.
            return match &rollout.watched {
                Some(before) if before.verdict == Verdict::Passed => {
                    self.keep(&rollout, verdict, &format!("{verdict} in {window}: {reason}"))
                }
                _ => Ok(()),
            };
        }
        let canary = rollout.canary;
        let event = Event::PauseRollout { reason: shortened(reason, window) };
        registry.apply(&self.model, canary, &event, &self.now(), &self.around.actor)?;
        self.printer.talk(&format!("{}: {}", self.model, self.active(&registry)?.sentence()));
        Ok(())
    }
}

/// Returns how a look ended, by what the ledger says of the rollout: a canary that was taken out there is not judged, though
/// the service may not have looked yet, nor is one whose share is another.
fn ended(seen: Seen, since: Option<&Meanwhile>) -> Seen {
    match (since, seen) {
        (Some(Meanwhile::TakenOut(reason)), _) => Seen::Aborted(reason.clone()),
        (_, Seen::Aborted(reason)) => Seen::Aborted(reason),
        (Some(Meanwhile::Moved(what)), _) => Seen::Moved(what.clone()),
        (_, seen) => seen,
    }
}

/// Returns whether nobody answers at the address of a service.
fn is_down(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Refused { status: 502..=504, .. })
}

/// Returns what a verdict rests on, in words: a canary without requests of its own was judged by copies.
fn what_was_seen(counted: &Counted) -> String {
    let (requests, shadow) = (counted.canary.requests(), &counted.shadow);
    match shadow.rows + shadow.failed {
        copies if requests == 0 && copies > 0 => format!("{copies} copied rows"),
        _ => format!("{requests} requests"),
    }
}

/// Returns what was found as a reason that the ledger takes, however many rules failed.
fn shortened(found: &str, window: &str) -> String {
    format!("watched for {window}: {found}").chars().take(1000).collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use modelgate_core::rollout::Percent;
    use modelgate_serve::rollout::CanaryStanding;

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
            unknown: false,
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
            Err(Seen::Lost(reason) | Seen::Aborted(reason) | Seen::Moved(reason)) => reason,
            Err(Seen::Window(_)) => "a window".to_owned(),
        };
        assert_eq!(seen(standing("v011", Some("v013"), None)), "counts");
        assert_eq!(seen(standing("v011", Some("v012"), None)), "not yet");
        assert_eq!(seen(standing("v011", None, None)), "v013 is not the canary of the service");
        assert_eq!(seen(standing("v011", None, Some("v013"))), "worse");
        let other = "v011 is not in production any more, v001 is";
        assert_eq!(seen(standing("v001", Some("v013"), None)), other);
    }

    #[test]
    fn what_the_ledger_says_of_a_rollout_goes_before_what_the_service_counted() {
        let window = || {
            let (stable, canary) = (version("v011"), version("v013"));
            Seen::Window(Box::new(Watched { stable, canary, counted: Counted::default() }))
        };
        let told = |seen: Seen, since: Option<Meanwhile>| match ended(seen, since.as_ref()) {
            Seen::Window(_) => "judged".to_owned(),
            Seen::Aborted(reason) => format!("out: {reason}"),
            Seen::Lost(reason) => format!("lost: {reason}"),
            Seen::Moved(reason) => format!("moved: {reason}"),
        };
        let lost = || Seen::Lost("gone".to_owned());
        let worse = || Some(Meanwhile::TakenOut("worse".to_owned()));
        let moved = || Some(Meanwhile::Moved("at 50%".to_owned()));
        for (seen, since, expected) in [
            (window(), Some(Meanwhile::Same), "judged"),
            (window(), None, "judged"),
            // A share that stayed can be judged; a step is not taken.
            (window(), Some(Meanwhile::Paused("by bob".to_owned())), "judged"),
            (window(), worse(), "out: worse"),
            (lost(), worse(), "out: worse"),
            (window(), moved(), "moved: at 50%"),
            (lost(), moved(), "moved: at 50%"),
            (lost(), Some(Meanwhile::Same), "lost: gone"),
            (Seen::Aborted("odd".to_owned()), Some(Meanwhile::Same), "out: odd"),
        ] {
            assert_eq!(told(seen, since), expected);
        }
    }
}
