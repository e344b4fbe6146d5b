//! What is said over `/admin/rollout/{model}`: counts since a canary was loaded, where it stands, and what it is told.
//!
//! Counts only grow while `instance` is the same: whoever watches subtracts two of them.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use modelgate_core::rollout::Percent;
use serde::{Deserialize, Serialize};

/// How many fell into each of many narrow places: the place and the count, places without any left out.
pub type Places = Vec<(u16, u64)>;

/// What became of the requests of one track.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TrackCounts {
    /// Requests answered.
    pub answered: u64,
    /// Requests refused for what was in them.
    pub refused: u64,
    /// Requests that failed here.
    pub failed: u64,
    /// Rows predicted.
    pub rows: u64,
    /// Times of the answered ones, sixteen places for each doubling of the nanoseconds.
    pub latency: Places,
    /// Predictions of a classifier, by class.
    pub classes: BTreeMap<String, u64>,
    /// Predictions of a regression, thirty-two places for each doubling, in the order of the numbers.
    pub values: Places,
}

/// What became of copies of requests.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ShadowCounts {
    /// Rows that both versions predicted.
    pub rows: u64,
    /// Rows of which they said different things: another class, or values more than 1% apart.
    pub disagreed: u64,
    /// The sum of the rows' distances, in millionths. See [`crate::rollout`]'s page in the documentation.
    pub distance: u64,
    /// Rows that the canary could not predict.
    pub failed: u64,
    /// Copies that were dropped because too many waited.
    pub dropped: u64,
}

/// Everything that was counted since the canary was loaded beside this stable version.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Differs when counting began anew.
    pub instance: String,
    /// For how many milliseconds it has counted; an older service does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// The version in production.
    pub stable: TrackCounts,
    /// The new version.
    pub canary: TrackCounts,
    /// Copies.
    pub shadow: ShadowCounts,
}

fn less(after: &Places, before: &Places) -> Places {
    let before: BTreeMap<u16, u64> = before.iter().copied().collect();
    let left = |(place, count): &(u16, u64)| {
        let left = count.saturating_sub(before.get(place).copied().unwrap_or_default());
        (left > 0).then_some((*place, left))
    };
    after.iter().filter_map(left).collect()
}

fn more(one: &mut Places, other: &Places) {
    let mut sum: BTreeMap<u16, u64> = one.iter().copied().collect();
    for (place, count) in other {
        *sum.entry(*place).or_default() += count;
    }
    *one = sum.into_iter().collect();
}

impl TrackCounts {
    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        self.answered + self.refused + self.failed
    }

    fn since(&self, before: &Self) -> Self {
        let classes = self.classes.iter().map(|(class, count)| {
            (class.clone(), count.saturating_sub(before.classes.get(class).copied().unwrap_or_default()))
        });
        Self {
            answered: self.answered.saturating_sub(before.answered),
            refused: self.refused.saturating_sub(before.refused),
            failed: self.failed.saturating_sub(before.failed),
            rows: self.rows.saturating_sub(before.rows),
            latency: less(&self.latency, &before.latency),
            classes: classes.collect(),
            values: less(&self.values, &before.values),
        }
    }

    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.failed += other.failed;
        self.rows += other.rows;
        more(&mut self.latency, &other.latency);
        for (class, count) in &other.classes {
            *self.classes.entry(class.clone()).or_default() += count;
        }
        more(&mut self.values, &other.values);
    }
}

impl Counted {
    /// Returns what was counted since `before`, which is of the same instance; all of it, when it is of another.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        if self.instance != before.instance {
            return self.clone();
        }
        let (after, earlier) = (&self.shadow, &before.shadow);
        Self {
            instance: self.instance.clone(),
            age_ms: None,
            stable: self.stable.since(&before.stable),
            canary: self.canary.since(&before.canary),
            shadow: ShadowCounts {
                rows: after.rows.saturating_sub(earlier.rows),
                disagreed: after.disagreed.saturating_sub(earlier.disagreed),
                distance: after.distance.saturating_sub(earlier.distance),
                failed: after.failed.saturating_sub(earlier.failed),
                dropped: after.dropped.saturating_sub(earlier.dropped),
            },
        }
    }

    /// Adds what another instance counted.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(&other.stable);
        self.canary.add(&other.canary);
        self.shadow.rows += other.shadow.rows;
        self.shadow.disagreed += other.shadow.disagreed;
        self.shadow.distance += other.shadow.distance;
        self.shadow.failed += other.shadow.failed;
        self.shadow.dropped += other.shadow.dropped;
    }
}

/// A version that is served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VersionStanding {
    /// The version.
    pub version: String,
    /// Its package.
    pub digest: Digest,
}

/// A canary.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CanaryStanding {
    /// The version.
    pub version: String,
    /// Its package.
    pub digest: Digest,
    /// Its share of the requests, in percent.
    pub weight: Percent,
    /// The share of the other requests that it gets a copy of.
    pub shadow: Percent,
    /// Whether it answers; one that could not be loaded after a restart does not, and gets nothing.
    pub loaded: bool,
    /// Why it could not be loaded.
    pub refused: Option<String>,
    /// Since when it has this share.
    pub since: String,
}

/// A canary that was taken out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Aborted {
    /// The version.
    pub version: String,
    /// Its package.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
    /// Whether only the ledger of whoever asked did not know it, which says nothing against it; an older service never says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// Where the rollout of a model stands, as the service knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    /// The version of this form.
    pub schema_version: u32,
    /// The model.
    pub model: String,
    /// What is in production, as the service sees it.
    pub stable: VersionStanding,
    /// The canary.
    pub canary: Option<CanaryStanding>,
    /// The canary that was taken out last, until another comes.
    pub aborted: Option<Aborted>,
    /// The number of the last order that was taken.
    pub sequence: u64,
    /// Counts, while a canary answers.
    pub counted: Option<Counted>,
}

/// What a canary is told: the body of `PUT`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The version.
    pub version: String,
    /// Its package.
    pub digest: Digest,
    /// Its share of the requests, in percent.
    pub weight: Percent,
    /// The share of the other requests that it gets a copy of.
    pub shadow: Percent,
    /// The ledger's number of the event behind this order: an older one never undoes a newer one.
    pub sequence: u64,
    /// Whether the canary may be one that is not here yet.
    #[serde(default)]
    pub start: bool,
    /// The number of the newer order that this one takes the place of all the same, since the ledger has no such event: it
    /// was restored from an older copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(instance: &str, requests: u64) -> Counted {
        let track = TrackCounts {
            answered: requests,
            rows: requests,
            latency: vec![(5, requests)],
            classes: BTreeMap::from([("yes".to_owned(), requests)]),
            ..TrackCounts::default()
        };
        let canary = TrackCounts { failed: 1, ..track.clone() };
        Counted { instance: instance.to_owned(), stable: track, canary, ..Counted::default() }
    }

    #[test]
    fn a_window_is_what_came_between_two_looks_also_over_a_restart() {
        let mut window = counted("a", 7).since(&counted("a", 5));
        assert_eq!(
            (window.canary.answered, window.canary.failed, &window.canary.latency),
            (2, 0, &vec![(5, 2)])
        );
        window.add(&counted("b", 4).since(&counted("a", 9)));
        assert_eq!((window.canary.requests(), window.canary.classes["yes"]), (7, 6));
        assert_eq!(window.stable.latency, [(5, 6)]);
        assert!(counted("a", 5).since(&counted("a", 5)).canary.latency.is_empty());
    }

    #[test]
    fn an_order_is_read_strictly_and_written_as_older_services_read_it() {
        let digest = Digest::of(b"x");
        let text = |more: &str| {
            format!(r#"{{"version":"v002","digest":"{digest}","weight":5,"shadow":0,"sequence":1{more}}}"#)
        };
        let order = serde_json::from_str::<Order>(&text("")).expect("an order");
        assert!(!order.start && !serde_json::to_string(&order).expect("JSON").contains("supersedes"));
        for wrong in [r#","extra":1"#, r#","weight":6"#, r#","start":"yes""#] {
            assert!(serde_json::from_str::<Order>(&text(wrong)).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Order>(&text("").replace(":5,", ":101,")).is_err());
    }
}
