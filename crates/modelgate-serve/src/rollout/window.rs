//! The judgement of a window: what was counted between two looks becomes figures, and rules are asked about them.
//!
//! No traffic gives no figure, and a rule without its figure is inconclusive: nothing passes for want of requests.

use std::collections::BTreeMap;

use modelgate_core::rule::{Check, GateRule, Subset, Versus};
use modelgate_core::verdict::{
    Comparisons, Evidence, GateVerdict, Outcome, Reference, RuleResult, Scores, SubsetScores,
    judge as judge_rules,
};

use super::tally::time_range;
use super::wire::{Counted, Places, ShadowCounts, TrackCounts, VersionStanding};

/// What was looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct Watched {
    /// The version in production.
    pub stable: VersionStanding,
    /// The new version.
    pub canary: VersionStanding,
    /// What was counted.
    pub counted: Counted,
}

/// Judges a window: each rule by what its figure rests on.
pub fn judge(rules: &[GateRule], watched: &Watched) -> GateVerdict {
    let results = rules.iter().flat_map(|rule| judge_one(rule, watched)).collect();
    GateVerdict::of(results, false, Some(watched.canary.digest))
}

fn judge_one(rule: &GateRule, watched: &Watched) -> Vec<RuleResult> {
    let Watched { stable, canary, counted } = watched;
    debug_assert!(!matches!(rule.check, Check::SchemaCompatible { .. }));
    let metric = rule.metric.as_str();
    let copies = metric.starts_with("rollout.shadow_") || metric == "rollout.disagreement";
    let rule = GateRule { on: Some(if copies { Subset::Shadow } else { Subset::Canary }), ..rule.clone() };
    // Both sides of a comparison need their samples.
    let beside = samples(metric, &counted.stable);
    let few = beside < rule.min_samples.unwrap_or_default();
    let reason = || {
        let needed = rule.min_samples.unwrap_or_default();
        let requests = if beside == 1 { "request" } else { "requests" };
        format!("{} has {beside} {requests} of {needed} that are needed", stable.version)
    };
    let mut own = track(&counted.canary);
    own.rows = Some(samples(metric, &counted.canary));
    if metric == DISTANCE {
        own.metrics.insert(DISTANCE.to_owned(), distance(&counted.stable, &counted.canary));
        own.rows = own.rows.map(|rows| rows.min(beside));
    }
    let mut shadow = shadow(&counted.shadow);
    if ["rollout.disagreement", "rollout.shadow_distance"].contains(&metric) {
        shadow.rows = Some(counted.shadow.rows);
    }
    let scores = |name: String, version: &VersionStanding, subsets| Scores {
        name,
        digest: Some(version.digest),
        subsets,
        schema: None,
        unscored: None,
    };
    let reference = if few {
        Reference::Unavailable(reason())
    } else {
        let subsets = BTreeMap::from([(Subset::Canary, track(&counted.stable))]);
        Reference::Scores(Box::new(scores(format!("stable {}", stable.version), stable, subsets)))
    };
    let subsets = BTreeMap::from([(Subset::Canary, own), (Subset::Shadow, shadow)]);
    let evidence = Evidence {
        candidate: scores(format!("canary {}", canary.version), canary, subsets),
        references: BTreeMap::from([(Versus::Stable, reference)]),
        on: Subset::Canary,
        comparisons: Comparisons::default(),
        footings: BTreeMap::new(),
    };
    let mut results = judge_rules(std::slice::from_ref(&rule), &evidence).rules;
    for result in &mut results {
        if metric == DISTANCE && few && result.outcome == Outcome::Inconclusive {
            result.sentence = format!("{DISTANCE} could not be told: {}", reason());
        }
    }
    results
}

/// The figure that is of both versions though its rule names none.
const DISTANCE: &str = "rollout.prediction_distance";

/// Returns how many requests a figure of a track rests on: only an answer has a time, and predictions.
fn samples(metric: &str, counts: &TrackCounts) -> u64 {
    let of_answers = metric.starts_with("latency.") || metric == DISTANCE;
    if of_answers { counts.answered } else { counts.requests() }
}

/// Returns figures by name, of the version in production and of the canary; what both share stands on the canary's side.
pub fn figures(counted: &Counted) -> Vec<(String, Option<f64>, Option<f64>)> {
    let (stable, mut canary) = (track(&counted.stable), track(&counted.canary));
    canary.metrics.insert(DISTANCE.to_owned(), distance(&counted.stable, &counted.canary));
    if counted.shadow.rows + counted.shadow.failed > 0 {
        canary.metrics.extend(shadow(&counted.shadow).metrics);
    }
    let both = canary.metrics.into_iter().map(|(name, value)| {
        let other = stable.metrics.get(&name).copied().flatten();
        (name, other, value)
    });
    both.collect()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn track(counts: &TrackCounts) -> SubsetScores {
    let requests = counts.requests();
    let metrics = [
        ("rollout.requests", Some(requests as f64)),
        ("rollout.error_rate", share(counts.failed, requests)),
        ("rollout.refused_rate", share(counts.refused, requests)),
        ("latency.p50_ms", quantile(&counts.latency, 0.5)),
        ("latency.p95_ms", quantile(&counts.latency, 0.95)),
        ("latency.p99_ms", quantile(&counts.latency, 0.99)),
    ];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    SubsetScores { rows: Some(requests), metrics, ..SubsetScores::default() }
}

fn shadow(counts: &ShadowCounts) -> SubsetScores {
    let seen = counts.rows + counts.failed;
    let metrics = [
        ("rollout.shadow_rows", Some(seen as f64)),
        ("rollout.disagreement", share(counts.disagreed, counts.rows)),
        ("rollout.shadow_distance", share(counts.distance, counts.rows).map(|distance| distance / 1e6)),
        ("rollout.shadow_error_rate", share(counts.failed, seen)),
    ];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    SubsetScores { rows: Some(seen), metrics, ..SubsetScores::default() }
}

/// Returns the milliseconds below which this share of the times lies, as if each place were filled evenly.
fn quantile(places: &Places, wanted: f64) -> Option<f64> {
    let all: u64 = places.iter().map(|(_, count)| count).sum();
    let target = wanted * all as f64;
    let mut seen = 0.0;
    for (place, count) in places {
        let (low, high) = time_range(*place);
        let count = *count as f64;
        if count > 0.0 && seen + count >= target {
            let inside = ((target - seen) / count).clamp(0.0, 1.0);
            return Some((low + (high - low) * inside) / 1e6);
        }
        seen += count;
    }
    None
}

/// Returns the total variation between what the two tracks predicted: the share of predictions that would have to be
/// others. A regression's values are put into ten parts that hold as many of the stable version's each.
fn distance(stable: &TrackCounts, canary: &TrackCounts) -> Option<f64> {
    if !stable.values.is_empty() || !canary.values.is_empty() {
        return variation(&tenths(stable, &stable.values), &tenths(stable, &canary.values));
    }
    variation(&stable.classes, &canary.classes)
}

fn tenths(stable: &TrackCounts, values: &Places) -> BTreeMap<usize, u64> {
    let all: u64 = stable.values.iter().map(|(_, count)| count).sum();
    let mut parts = BTreeMap::new();
    for (place, count) in values {
        let (mut below, mut own) = (0, 0);
        for (other, count) in &stable.values {
            match other.cmp(place) {
                std::cmp::Ordering::Less => below += count,
                std::cmp::Ordering::Equal => own += count,
                std::cmp::Ordering::Greater => break,
            }
        }
        let middle = (below as f64 + own as f64 / 2.0) / (all.max(1)) as f64;
        *parts.entry(((middle * 10.0) as usize).min(9)).or_default() += count;
    }
    parts
}

fn variation<K: Ord>(one: &BTreeMap<K, u64>, other: &BTreeMap<K, u64>) -> Option<f64> {
    let (first, second): (u64, u64) = (one.values().sum(), other.values().sum());
    if first == 0 || second == 0 {
        return None;
    }
    let share = |counts: &BTreeMap<K, u64>, key: &K, all: u64| {
        counts.get(key).copied().unwrap_or_default() as f64 / all as f64
    };
    let keys: std::collections::BTreeSet<&K> = one.keys().chain(other.keys()).collect();
    let apart: f64 =
        keys.into_iter().map(|key| (share(one, key, first) - share(other, key, second)).abs()).sum();
    Some(apart / 2.0)
}

#[cfg(test)]
mod tests {
    use modelgate_core::rule::parse_rollout_expression;
    use modelgate_core::{Digest, Verdict};

    use super::*;

    fn version(name: &str) -> VersionStanding {
        VersionStanding { version: name.to_owned(), digest: Digest::of(name.as_bytes()) }
    }

    fn track_of(answered: u64, failed: u64, place: u16) -> TrackCounts {
        let latency = vec![(place, answered)];
        TrackCounts { answered, failed, rows: answered, latency, ..TrackCounts::default() }
    }

    fn watched(stable: TrackCounts, canary: TrackCounts, shadow: ShadowCounts) -> Watched {
        let counted = Counted { stable, canary, shadow, ..Counted::default() };
        Watched { stable: version("v001"), canary: version("v002"), counted }
    }

    fn rule(text: &str, min_samples: u64) -> GateRule {
        GateRule { min_samples: Some(min_samples), ..parse_rollout_expression(text).expect("a rule") }
    }

    fn verdict(text: &str, min_samples: u64, watched: &Watched) -> (Verdict, String) {
        let found = judge(&[rule(text, min_samples)], watched);
        (found.verdict, found.rules[0].sentence.clone())
    }

    #[test]
    fn no_traffic_is_inconclusive_whatever_the_rule() {
        let none = watched(TrackCounts::default(), TrackCounts::default(), ShadowCounts::default());
        // A busy stable version says nothing of the canary.
        let busy = watched(track_of(1000, 0, 300), TrackCounts::default(), ShadowCounts::default());
        for metric in modelgate_core::metric::rollout_names() {
            for (watched, samples) in [(&none, 0), (&none, 1), (&busy, 1)] {
                let counts = ["rollout.requests", "rollout.shadow_rows"].contains(&metric);
                if counts && samples == 0 {
                    continue;
                }
                let text = format!("{metric} <= 1000");
                assert_eq!(verdict(&text, samples, watched).0, Verdict::Inconclusive, "{metric}");
            }
        }
        assert_eq!(judge(&[], &busy).verdict, Verdict::Inconclusive);
        let said = |metric: &str| verdict(&format!("{metric} <= 1"), 20, &none).1;
        let expected = "rollout.error_rate on canary: 0 requests, 20 are needed";
        assert!(said("rollout.error_rate").contains(expected), "{}", said("rollout.error_rate"));
        let expected = "rollout.disagreement on shadow: 0 rows, 20 are needed";
        assert!(said("rollout.disagreement").contains(expected), "{}", said("rollout.disagreement"));
    }

    #[test]
    fn errors_of_the_canary_fail_it_and_those_of_stable_do_not() {
        let bad = watched(track_of(1000, 0, 300), track_of(90, 10, 300), ShadowCounts::default());
        let (found, sentence) = verdict("rollout.error_rate <= 0.02", 100, &bad);
        assert_eq!(
            (found, sentence.contains("rollout.error_rate on canary is 0.1")),
            (Verdict::Failed, true)
        );
        let other = watched(track_of(90, 10, 300), track_of(1000, 0, 300), ShadowCounts::default());
        assert_eq!(verdict("rollout.error_rate <= 0.02", 100, &other).0, Verdict::Passed);
        let (found, sentence) = verdict("rollout.error_rate <= 0.02", 101, &bad);
        let expected = "rests on 100 requests and the rule wants 101";
        assert_eq!((found, sentence.contains(expected)), (Verdict::Inconclusive, true), "{sentence}");
    }

    #[test]
    fn latency_is_compared_over_the_same_window() {
        // Sixteen places are a doubling.
        let slow = watched(track_of(500, 0, 300), track_of(500, 0, 316), ShadowCounts::default());
        let text = "latency.p99_ms <= stable + 20%";
        let (found, sentence) = verdict(text, 100, &slow);
        assert_eq!((found, sentence.contains("stable v001 has")), (Verdict::Failed, true), "{sentence}");
        let same = watched(track_of(500, 0, 300), track_of(500, 0, 300), ShadowCounts::default());
        assert_eq!(verdict(text, 100, &same).0, Verdict::Passed);
        let alone = watched(track_of(20, 0, 300), track_of(500, 0, 300), ShadowCounts::default());
        assert_eq!(verdict(text, 100, &alone).0, Verdict::Inconclusive);
    }

    #[test]
    fn a_figure_of_both_versions_needs_answers_of_both() {
        let said = |answered: u64, refused: u64, class: &str| TrackCounts {
            refused,
            classes: BTreeMap::from([(class.to_owned(), answered)]),
            ..track_of(answered, 0, 300)
        };
        let alone = watched(said(1, 0, "no"), said(300, 0, "yes"), ShadowCounts::default());
        let (found, sentence) = verdict("rollout.prediction_distance <= 0.3", 100, &alone);
        assert_eq!((found, sentence.contains("v001 has 1 request of 100")), (Verdict::Inconclusive, true));
        let (_, sentence) = verdict("latency.p99_ms <= stable + 20%", 100, &alone);
        assert!(sentence.contains("v001 has 1 request of 100 that are needed"), "{sentence}");
        // What was refused has no prediction and no time.
        let refused = watched(said(2, 99, "no"), said(1, 99, "yes"), ShadowCounts::default());
        for text in ["rollout.prediction_distance <= 0.3", "latency.p99_ms <= 50", "latency.p50_ms <= stable"]
        {
            assert_eq!(verdict(text, 100, &refused).0, Verdict::Inconclusive, "{text}");
        }
        assert_eq!(verdict("rollout.refused_rate <= 0.5", 100, &refused).0, Verdict::Failed);
        // Each rule asks for its own number.
        let enough = watched(said(50, 0, "no"), said(300, 0, "yes"), ShadowCounts::default());
        let rules = [rule("latency.p99_ms <= stable + 20%", 10), rule("rollout.error_rate <= stable", 100)];
        let outcomes = judge(&rules, &enough).rules.into_iter().map(|result| result.outcome);
        assert_eq!(outcomes.collect::<Vec<_>>(), [Outcome::Passed, Outcome::Inconclusive]);
        assert_eq!(verdict("rollout.prediction_distance <= 0.3", 50, &enough).0, Verdict::Failed);
    }

    #[test]
    fn quantiles_are_where_the_times_are() {
        let places = vec![(300, 98), (400, 2)];
        let (low, high) = time_range(300);
        let median = quantile(&places, 0.5).expect("a time") * 1e6;
        assert!(low < median && median < high);
        let (low, high) = time_range(400);
        let last = quantile(&places, 0.99).expect("a time") * 1e6;
        assert!(low <= last && last <= high);
        assert_eq!(quantile(&Vec::new(), 0.5), None);
    }

    #[test]
    fn predictions_that_moved_are_seen() {
        let classes = |yes: u64, no: u64| TrackCounts {
            answered: yes + no,
            classes: BTreeMap::from([("yes".to_owned(), yes), ("no".to_owned(), no)]),
            ..TrackCounts::default()
        };
        assert_eq!(distance(&classes(50, 50), &classes(90, 10)), Some(0.4));
        let values =
            |places: &[(u16, u64)]| TrackCounts { values: places.to_vec(), ..TrackCounts::default() };
        let stable = values(&(0..100).map(|place| (place, 10)).collect::<Vec<_>>());
        let moved = values(&(50..150).map(|place| (place, 10)).collect::<Vec<_>>());
        assert_eq!(distance(&stable, &stable), Some(0.0));
        assert_eq!(distance(&stable, &moved), Some(0.5));
        assert_eq!(distance(&stable, &TrackCounts::default()), None);
    }

    #[test]
    fn copies_are_judged_by_their_own_number() {
        let shadow = ShadowCounts { rows: 200, disagreed: 50, distance: 20_000_000, failed: 0, dropped: 3 };
        let only = watched(track_of(500, 0, 300), TrackCounts::default(), shadow);
        let (found, sentence) = verdict("rollout.disagreement <= 0.1", 100, &only);
        assert_eq!((found, sentence.contains("on shadow is 0.25")), (Verdict::Failed, true), "{sentence}");
        assert_eq!(verdict("rollout.shadow_distance <= 0.1", 100, &only).0, Verdict::Passed);
        assert_eq!(verdict("rollout.disagreement <= 0.5", 201, &only).0, Verdict::Inconclusive);
        // Rows that the canary could not predict are none that the two could agree on.
        let shadow = ShadowCounts { rows: 1, disagreed: 1, failed: 199, ..ShadowCounts::default() };
        let broken = watched(track_of(500, 0, 300), TrackCounts::default(), shadow);
        assert_eq!(verdict("rollout.disagreement <= 0.1", 100, &broken).0, Verdict::Inconclusive);
        assert_eq!(verdict("rollout.shadow_error_rate <= 0.1", 100, &broken).0, Verdict::Failed);
    }
}
