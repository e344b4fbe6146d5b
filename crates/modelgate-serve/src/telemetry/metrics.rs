//! `GET /metrics`, in the text form of `OpenMetrics`: what is counted, and when.
//!
//! Names and buckets are `registered.rs`, labels `labels.rs`, what is forgotten `series.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::{
    ClassLabels, InfoLabels, ModelLabels, OutcomeLabels, ReasonLabels, RequestLabels, RouteLabels,
    VersionLabels,
};
use self::process::{now, process};
use self::registered::{Histograms, values};
use self::series::Known;
use super::Meters;
use crate::catalog::{Breaker, Outcome, Served};
use crate::rollout::Track;
use crate::served::{ServedModel, Verified};
use crate::source::Offer;

mod labels;
mod process;
mod registered;
mod series;

pub(crate) use labels::Route;

/// Every metric.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    known: Mutex<Known>,
    requests: Family<RequestLabels, Counter>,
    seconds: Histograms<RouteLabels>,
    pub(crate) in_flight: Gauge,
    pub(crate) shed: Counter,
    pub(crate) rate_limited: Counter,
    pub(crate) unauthorized: Counter,
    validation_errors: Family<ReasonLabels, Counter>,
    flagged: Family<ReasonLabels, Counter>,
    weights: Family<VersionLabels, Gauge>,
    shadow_rows: Family<ModelLabels, Counter>,
    shadow_disagreements: Family<ModelLabels, Counter>,
    shadow_dropped: Family<ModelLabels, Counter>,
    predict_seconds: Histograms<VersionLabels>,
    rows: Family<VersionLabels, Counter>,
    batch_rows: Histograms<VersionLabels>,
    classes: Family<ClassLabels, Counter>,
    values: Histograms<VersionLabels>,
    values_below_zero: Histograms<VersionLabels>,
    info: Family<InfoLabels, Gauge>,
    load_seconds: Histogram,
    reloads: Family<OutcomeLabels, Counter>,
    reload_seconds: Histogram,
    breaker: Gauge,
    cache_failures: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    cache_bytes: Gauge,
    cache_age: Gauge,
    /// Seconds since 1970 at which the source last confirmed the cache; 0 without one.
    cache_written: AtomicU64,
    admin: Family<OutcomeLabels, Counter>,
    pub(crate) log_dropped: Counter,
    pub(crate) log_written: Counter,
    #[cfg_attr(not(any(feature = "otlp", test)), expect(dead_code, reason = "counted where spans are sent"))]
    pub(crate) spans_sent: Counter,
    #[cfg_attr(not(any(feature = "otlp", test)), expect(dead_code, reason = "counted where spans are sent"))]
    pub(crate) spans_dropped: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_full: Counter,
    memory: Gauge,
    cpu: Gauge<f64, AtomicU64>,
    /// A gauge, since the name of a counter ends in `_total` and this one is looked for as it is.
    ml_requests: Gauge,
    ml_seconds: Histogram,
    ml_errors: Counter,
    ml_accuracy: Family<ModelLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Returns the metrics of one version, for [`ServedModel`] to keep; `classes` are names, as a person reads them.
    pub(crate) fn meters(&self, offer: &Offer, track: Track, classes: &[String]) -> Meters {
        let (model, version) = (offer.name.to_string(), offer.version.clone());
        let track = track.name();
        let labels = VersionLabels { model: model.clone(), version: version.clone(), track };
        let answered = Route::ALL.map(|route| {
            let labels = RequestLabels {
                model: model.clone(),
                version: version.clone(),
                track,
                route: route.name(),
                code: 200,
            };
            self.requests.get_or_create_owned(&labels)
        });
        let class = |class: &String| {
            let class = class.clone();
            let labels = ClassLabels { model: model.clone(), version: version.clone(), track, class };
            self.classes.get_or_create_owned(&labels)
        };
        // A classifier has no values to count.
        let of_values = |all: &Histograms<VersionLabels>| {
            if classes.is_empty() { all.get_or_create_owned(&labels) } else { values() }
        };
        Meters {
            seconds: Route::ALL.map(|_| OnceLock::new()).into(),
            answered: answered.into(),
            predict_seconds: self.predict_seconds.get_or_create_owned(&labels),
            rows: self.rows.get_or_create_owned(&labels),
            batch_rows: self.batch_rows.get_or_create_owned(&labels),
            classes: classes.iter().map(class).collect(),
            values: of_values(&self.values),
            values_below_zero: of_values(&self.values_below_zero),
        }
    }

    /// Counts a prediction request that was answered with 200.
    pub(crate) fn answered(&self, model: &ServedModel, route: Route, took: Duration) {
        model.meters.answered[route as usize].inc();
        self.timed(Some(model), route, took);
    }

    /// Counts a prediction request that was refused.
    pub(crate) fn refused(
        &self,
        model: Option<&ServedModel>,
        route: Route,
        code: u16,
        reason: &'static str,
        took: Duration,
    ) {
        let (name, version) = model.map_or_else(Default::default, named);
        let track = model.map_or("", |model| model.track.name());
        if code == 422 {
            self.validation_errors.get_or_create(&ReasonLabels { model: name.clone(), reason }).inc();
        }
        let labels = RequestLabels { model: name, version, track, route: route.name(), code };
        self.requests.get_or_create(&labels).inc();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.refused.contains(&labels) {
            known.refused.insert(labels);
        }
        drop(known);
        self.ml_errors.inc();
        self.timed(model, route, took);
    }

    fn timed(&self, model: Option<&ServedModel>, route: Route, took: Duration) {
        let seconds = took.as_secs_f64();
        let track = model.map_or("", |model| model.track.name());
        let route_name = route.name();
        let labels =
            |(model, version): (String, String)| RouteLabels { model, version, track, route: route_name };
        match model {
            None => self.seconds.get_or_create(&labels(Default::default())).observe(seconds),
            // A path that nobody asks has no histogram.
            Some(model) => model.meters.seconds[route as usize]
                .get_or_init(|| self.seconds.get_or_create_owned(&labels(named(model))))
                .observe(seconds),
        }
        self.ml_seconds.observe(seconds);
        self.ml_requests.inc();
    }

    /// Counts unusual cells that were answered.
    pub(crate) fn flagged(&self, model: &ServedModel, reason: &'static str, cells: usize) {
        let labels = ReasonLabels { model: model.name().to_owned(), reason };
        self.flagged.get_or_create(&labels).inc_by(cells as u64);
    }

    /// Counts copies of requests: rows that both predicted, those of which they differ, copies that were dropped.
    pub(crate) fn shadow(&self, canary: &ServedModel, rows: u64, disagreed: u64, dropped: u64) {
        let labels = ModelLabels { model: canary.name().to_owned() };
        self.shadow_rows.get_or_create(&labels).inc_by(rows);
        self.shadow_disagreements.get_or_create(&labels).inc_by(disagreed);
        self.shadow_dropped.get_or_create(&labels).inc_by(dropped);
    }

    pub(crate) fn loaded(&self, took: Duration) {
        self.load_seconds.observe(took.as_secs_f64());
    }

    /// Shows which versions are served.
    pub(crate) fn serving(&self, served: &Served) {
        self.forget(served);
        self.info.clear();
        self.ml_accuracy.clear();
        self.weights.clear();
        let canaries = served.canaries.values();
        for (model, weight) in canaries.flat_map(|canary| {
            let stable = served.models.get(canary.model.name()).map(|stable| (stable, canary.weight.rest()));
            stable.into_iter().chain([(&canary.model, canary.weight)])
        }) {
            let (name, version) = (model.name().to_owned(), model.offer.version.clone());
            let labels = VersionLabels { model: name, version, track: model.track.name() };
            self.weights.get_or_create(&labels).set(weight.get().into());
        }
        for model in every(served) {
            let offer = &model.offer;
            let labels = InfoLabels {
                model: offer.name.to_string(),
                version: offer.version.clone(),
                digest: offer.digest.to_string(),
                track: model.track.name(),
                verified: if model.verified == Verified::Verdict { "verdict" } else { "digest" },
            };
            self.info.get_or_create(&labels).set(1);
            if model.track == Track::Canary {
                continue;
            }
            if let Some(accuracy) = offer.metrics.get("accuracy") {
                self.ml_accuracy.get_or_create(&ModelLabels { model: offer.name.to_string() }).set(*accuracy);
            }
        }
    }

    pub(crate) fn reloaded(&self, outcome: &Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Reloaded { .. } => "reloaded",
            Outcome::Noop => "noop",
            Outcome::Failed { .. } => "failed",
        };
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
        self.reload_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn breaker(&self, breaker: Breaker) {
        self.breaker.set(match breaker {
            Breaker::Closed => 0,
            Breaker::Open => 1,
            Breaker::HalfOpen => 2,
        });
    }

    /// Shows the bytes of the cache, and when the source last confirmed it.
    pub(crate) fn cached(&self, bytes: u64, written: u64) {
        self.cache_bytes.set(bytes as i64);
        self.cache_written.store(written, Ordering::Relaxed);
    }

    pub(crate) fn cache_failed(&self) {
        self.cache_failures.inc();
    }

    pub(crate) fn admin(&self, outcome: &'static str) {
        self.admin.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Returns everything as text.
    pub(crate) fn text(&self) -> String {
        let (memory, cpu) = process().unwrap_or_default();
        self.memory.set(memory);
        self.cpu.set(cpu);
        let written = self.cache_written.load(Ordering::Relaxed);
        self.cache_age.set(if written == 0 { 0 } else { now().saturating_sub(written) as i64 });
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

fn named(model: &ServedModel) -> (String, String) {
    (model.name().to_owned(), model.offer.version.clone())
}

/// Returns every version that is served: those in production, then canaries.
fn every(served: &Served) -> impl Iterator<Item = &ServedModel> {
    let canaries = served.canaries.values().map(|canary| &canary.model);
    served.models.values().chain(canaries).map(AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use modelgate_model::Prediction;

    use super::*;

    fn offer() -> Offer {
        Offer {
            name: "shop".parse().expect("a name"),
            version: "v001".to_owned(),
            digest: Digest::of(b"shop"),
            stage: String::new(),
            metrics: std::collections::BTreeMap::new(),
            attached: None,
        }
    }

    #[test]
    fn answers_below_zero_have_a_histogram_without_negative_buckets() {
        let metrics = Metrics::new();
        let meters = metrics.meters(&offer(), Track::Stable, &[]);
        let answers = Prediction::Values(vec![-25.0, -0.5, 0.0, 3.0, f32::NAN, f32::INFINITY]);
        meters.predicted(&answers, 6, Duration::from_millis(1));
        let text = metrics.text();
        assert!(!text.contains("le=\"-"), "{text}");
        let labels = "{model=\"shop\",version=\"v001\",track=\"stable\"}";
        for line in [
            format!("modelgate_prediction_value_sum{labels} 3.0"),
            format!("modelgate_prediction_value_count{labels} 2"),
            format!("modelgate_prediction_value_below_zero_sum{labels} 25.5"),
            format!("modelgate_prediction_value_below_zero_count{labels} 2"),
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_class_is_a_label_as_a_person_wrote_it() {
        let metrics = Metrics::new();
        let classes = ["ye\"s\\".to_owned(), "no".to_owned()];
        let meters = metrics.meters(&offer(), Track::Stable, &classes);
        let answers = Prediction::Classes { labels: vec![0], probabilities: vec![1.0, 0.0] };
        meters.predicted(&answers, 1, Duration::from_millis(1));
        // Escaped once, as the text form asks for.
        let counted = r#"track="stable",class="ye\"s\\"} 1"#;
        let text = metrics.text();
        assert!(text.lines().any(|line| line.ends_with(counted)), "{text}");
    }
}
