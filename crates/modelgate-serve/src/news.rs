//! What whoever looks after the service is told of its source, its models and its canaries: a line for each change, and
//! none while nothing changes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rollout::Record;
use crate::served::{ServedModel, Verified};
use crate::telemetry::talk::{info, warn};

/// Reasons of one breakdown that are told; a source that says another thing at each look is told of no further.
const REASONS: usize = 16;

/// What was told of a source that fails.
#[derive(Debug, Default)]
pub(crate) struct News {
    told: BTreeSet<String>,
}

impl News {
    /// The source failed; each reason is told once until it answers again.
    pub(crate) fn failed(&mut self, reason: &str) {
        if self.is_new(reason) {
            warn(&format!("the source failed: {reason}"));
        }
    }

    /// The source answers, and has nothing of what is asked of it.
    pub(crate) fn empty(&mut self, reason: &str) {
        if self.is_new(reason) {
            warn(&format!("the source has nothing to serve: {reason}"));
        }
    }

    /// Notes a reason that was told in another line.
    pub(crate) fn known(&mut self, reason: &str) {
        let _ = self.is_new(reason);
    }

    /// The source answers; told once after it did not.
    pub(crate) fn answered(&mut self) {
        if !std::mem::take(&mut self.told).is_empty() {
            info("the source answers again");
        }
    }

    fn is_new(&mut self, reason: &str) -> bool {
        self.told.len() < REASONS && self.told.insert(reason.to_owned())
    }
}

/// The source failed so often that it is not asked for a while.
pub(crate) fn left_alone(failures: u32, pause: Duration) {
    let seconds = pause.as_secs();
    warn(&format!(
        "the source failed {failures} times in a row and is left alone, for {seconds} s at a time"
    ));
}

/// What is served under a name is another thing than before.
pub(crate) fn changed(before: Option<&ServedModel>, now: Option<&ServedModel>) {
    match (before, now) {
        (before, Some(now)) => info(&serving(before, now)),
        // Of one that was withdrawn it is told why, elsewhere.
        (Some(before), None) => {
            info(&format!("{} {} is served no more", before.name(), before.offer.version));
        }
        (None, None) => {}
    }
}

fn serving(before: Option<&ServedModel>, now: &ServedModel) -> String {
    let verified = match now.verified {
        Verified::Verdict => "its verdict passed",
        Verified::Digest => "not verified: nobody judged it",
    };
    let other = before.filter(|before| before.offer.version != now.offer.version);
    let instead = other.map_or_else(String::new, |other| format!(" instead of {}", other.offer.version));
    format!("serving {} {}{instead} ({}; {verified})", now.name(), now.offer.version, now.offer.digest)
}

/// A canary was told something: to begin, or to take another share.
pub(crate) fn ordered(model: &str, before: Option<&Record>, now: &Record) {
    let running = before.filter(|before| before.digest == now.digest && before.aborted.is_none());
    match running {
        None => info(&format!("the canary {model} {} started: {}", now.version, shares(now))),
        Some(before) if (before.weight, before.shadow) != (now.weight, now.shadow) => {
            let was = shares(before);
            info(&format!("the canary {model} {} has {}, before {was}", now.version, shares(now)));
        }
        Some(_) => {}
    }
}

/// A canary is back after a restart.
pub(crate) fn resumed(model: &str, record: &Record) {
    info(&format!("the canary {model} {} goes on: {}", record.version, shares(record)));
}

/// A canary is what is in production now.
pub(crate) fn promoted(model: &str, version: &str) {
    info(&format!("the canary {model} {version} is in production now"));
}

fn shares(record: &Record) -> String {
    let (weight, shadow) = (record.weight.get(), record.shadow.get());
    match shadow {
        0 => format!("{weight} % of the requests"),
        _ => format!("{weight} % of the requests, and copies of {shadow} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_until_the_source_answers() {
        let mut news = News::default();
        assert!(news.is_new("it is down") && !news.is_new("it is down") && news.is_new("another"));
        news.answered();
        assert!(news.is_new("it is down"));
        let told = (0..100).filter(|number| news.is_new(&format!("request {number} failed"))).count();
        assert_eq!(told, REASONS - 1);
    }
}
