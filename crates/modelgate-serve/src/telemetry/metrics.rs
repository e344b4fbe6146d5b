//! `GET /metrics`, in the text form of `OpenMetrics`. No label holds what a caller sent.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Meters;
use crate::catalog::{Breaker, Outcome, Served};
use crate::rollout::Track;
use crate::served::{ServedModel, Verified};
use crate::source::Offer;

/// A path that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    Predict,
    ApiPredict,
    Invocations,
    V2Infer,
    Explain,
}

impl Route {
    pub(crate) const ALL: [Self; 5] =
        [Self::Predict, Self::ApiPredict, Self::Invocations, Self::V2Infer, Self::Explain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::ApiPredict => "api_predict",
            Self::Invocations => "invocations",
            Self::V2Infer => "v2_infer",
            Self::Explain => "explain",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    model: String,
    version: String,
    track: &'static str,
    route: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    model: String,
    version: String,
    track: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClassLabels {
    model: String,
    version: String,
    track: &'static str,
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    model: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InfoLabels {
    model: String,
    version: String,
    digest: String,
    track: &'static str,
    verified: &'static str,
}

/// From 50 microseconds to 10 seconds.
const SECONDS: [f64; 16] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// From 2 microseconds.
const PREDICT_SECONDS: [f64; 15] =
    [2e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 0.25, 1.0];
const ROWS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 10_000.0];
/// Decades on both sides of zero: what a regression answers has no other scale that is known here.
const VALUES: [f64; 15] =
    [-1e6, -1e5, -1e4, -1e3, -100.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn predict_seconds() -> Histogram {
    Histogram::new(PREDICT_SECONDS)
}

fn rows() -> Histogram {
    Histogram::new(ROWS)
}

fn values() -> Histogram {
    Histogram::new(VALUES)
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Versions that are gone and whose series stay: what was counted last has to be read once more.
const GONE: usize = 4;

/// The series that versions have, to be forgotten with them.
#[derive(Debug, Default)]
struct Known {
    /// Model and version, with the classes.
    served: BTreeMap<(String, String), Vec<String>>,
    /// The ones before, the latest last.
    gone: VecDeque<((String, String), Vec<String>)>,
    refused: HashSet<RequestLabels>,
}

fn named(model: &ServedModel) -> (String, String) {
    (model.name().to_owned(), model.offer.version.clone())
}

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
    pub(crate) spans_sent: Counter,
    pub(crate) spans_dropped: Counter,
    pub(crate) connections: Gauge,
    memory: Gauge,
    cpu: Gauge<f64, AtomicU64>,
    /// A gauge, since the name of a counter ends in `_total` and this one is looked for as it is.
    ml_requests: Gauge,
    ml_seconds: Histogram,
    ml_errors: Counter,
    ml_accuracy: Family<ModelLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            rate_limited: Counter::default(),
            unauthorized: Counter::default(),
            validation_errors: Family::default(),
            flagged: Family::default(),
            weights: Family::default(),
            shadow_rows: Family::default(),
            shadow_disagreements: Family::default(),
            shadow_dropped: Family::default(),
            predict_seconds: Family::new_with_constructor(predict_seconds),
            rows: Family::default(),
            batch_rows: Family::new_with_constructor(rows),
            classes: Family::default(),
            values: Family::new_with_constructor(values),
            info: Family::default(),
            load_seconds: seconds(),
            reloads: Family::default(),
            reload_seconds: seconds(),
            breaker: Gauge::default(),
            cache_failures: Counter::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            cache_bytes: Gauge::default(),
            cache_age: Gauge::default(),
            cache_written: AtomicU64::new(0),
            admin: Family::default(),
            log_dropped: Counter::default(),
            log_written: Counter::default(),
            spans_sent: Counter::default(),
            spans_dropped: Counter::default(),
            connections: Gauge::default(),
            memory: Gauge::default(),
            cpu: Gauge::default(),
            ml_requests: Gauge::default(),
            ml_seconds: seconds(),
            ml_errors: Counter::default(),
            ml_accuracy: Family::default(),
            registry: Registry::default(),
            known: Mutex::default(),
        };
        {
            let own = registry.sub_registry_with_prefix("modelgate");
            own.register(
                "requests",
                "Prediction requests by model, version, route and status",
                metrics.requests.clone(),
            );
            own.register_with_unit(
                "request_duration",
                "Time of a request, from its body to its answer",
                Unit::Seconds,
                metrics.seconds.clone(),
            );
            own.register(
                "requests_in_flight",
                "Prediction requests being answered",
                metrics.in_flight.clone(),
            );
            own.register(
                "requests_shed",
                "Requests refused because too many were under way",
                metrics.shed.clone(),
            );
            own.register(
                "requests_rate_limited",
                "Requests refused because a client sent too many",
                metrics.rate_limited.clone(),
            );
            own.register(
                "requests_unauthorized",
                "Requests without a valid key",
                metrics.unauthorized.clone(),
            );
            own.register(
                "validation_errors",
                "Requests refused for their rows, by the first reason",
                metrics.validation_errors.clone(),
            );
            own.register(
                "flagged",
                "Cells answered although they were unusual, by reason",
                metrics.flagged.clone(),
            );
            own.register_with_unit(
                "predict_duration",
                "Time of the model alone",
                Unit::Seconds,
                metrics.predict_seconds.clone(),
            );
            own.register(
                "traffic_weight",
                "Share of the requests in percent, while there is a canary",
                metrics.weights.clone(),
            );
            own.register("shadow_rows", "Rows that both versions predicted", metrics.shadow_rows.clone());
            own.register(
                "shadow_disagreements",
                "Rows of which the two versions said different things",
                metrics.shadow_disagreements.clone(),
            );
            own.register(
                "shadow_dropped",
                "Copies of requests that were dropped because too many waited",
                metrics.shadow_dropped.clone(),
            );
            own.register("rows", "Rows predicted", metrics.rows.clone());
            own.register("batch_rows", "Rows of a request", metrics.batch_rows.clone());
            own.register("predictions", "Answers by class", metrics.classes.clone());
            own.register("prediction_value", "Answers of a regression", metrics.values.clone());
            own.register("model_info", "1 for each version that is served", metrics.info.clone());
            own.register_with_unit(
                "model_load",
                "Time to fetch, verify and load a model",
                Unit::Seconds,
                metrics.load_seconds.clone(),
            );
            own.register("reloads", "Looks at the source, by outcome", metrics.reloads.clone());
            own.register_with_unit(
                "reload",
                "Time of a look at the source",
                Unit::Seconds,
                metrics.reload_seconds.clone(),
            );
            own.register(
                "source_breaker_state",
                "0 the source is asked, 1 it is left alone, 2 the next try decides",
                metrics.breaker.clone(),
            );
            own.register(
                "cache_failures",
                "Packages that could not be kept on disk",
                metrics.cache_failures.clone(),
            );
            own.register("cache_hits", "Packages loaded from disk", metrics.cache_hits.clone());
            own.register(
                "cache_misses",
                "Packages wanted from disk that were not there or did not verify",
                metrics.cache_misses.clone(),
            );
            own.register_with_unit("cache", "Packages on disk", Unit::Bytes, metrics.cache_bytes.clone());
            own.register_with_unit(
                "cache_age",
                "Time since the source last confirmed what is kept on disk",
                Unit::Seconds,
                metrics.cache_age.clone(),
            );
            own.register("admin_requests", "Requests to /admin, by outcome", metrics.admin.clone());
            own.register(
                "prediction_log_dropped",
                "Predictions not logged because the queue was full or the target failed",
                metrics.log_dropped.clone(),
            );
            own.register("prediction_log_written", "Predictions logged", metrics.log_written.clone());
            own.register("trace_spans_sent", "Spans that a collector took", metrics.spans_sent.clone());
            own.register(
                "trace_spans_dropped",
                "Spans not sent because the queue was full or the collector failed",
                metrics.spans_dropped.clone(),
            );
            own.register("connections", "Open connections", metrics.connections.clone());
        }
        registry.register("process_resident_memory_bytes", "Resident memory", metrics.memory.clone());
        registry.register("process_cpu_time_seconds", "Processor time", metrics.cpu.clone());
        let start: Gauge = Gauge::default();
        start.set(now() as i64);
        registry.register("process_start_time_seconds", "When the process started", start);
        registry.register("ml_request_count", "Prediction requests", metrics.ml_requests.clone());
        registry.register(
            "ml_request_latency_seconds",
            "Time of a prediction request",
            metrics.ml_seconds.clone(),
        );
        registry.register(
            "ml_request_errors",
            "Prediction requests not answered with 200",
            metrics.ml_errors.clone(),
        );
        registry.register(
            "ml_model_accuracy",
            "Accuracy at the gate of what is served",
            metrics.ml_accuracy.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Returns the metrics of one version, for [`ServedModel`] to keep.
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
            let class = class.trim_matches('"').to_owned();
            let labels = ClassLabels { model: model.clone(), version: version.clone(), track, class };
            self.classes.get_or_create_owned(&labels)
        };
        Meters {
            seconds: Route::ALL.map(|_| OnceLock::new()).into(),
            answered: answered.into(),
            predict_seconds: self.predict_seconds.get_or_create_owned(&labels),
            rows: self.rows.get_or_create_owned(&labels),
            batch_rows: self.batch_rows.get_or_create_owned(&labels),
            classes: classes.iter().map(class).collect(),
            values: if classes.is_empty() { self.values.get_or_create_owned(&labels) } else { values() },
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

    pub(crate) fn flagged(&self, model: &ServedModel, reason: &'static str) {
        self.flagged.get_or_create(&ReasonLabels { model: model.name().to_owned(), reason }).inc();
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

    /// Forgets the series of versions that went some time ago: with each version that comes there would be more of them.
    fn forget(&self, served: &Served) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeMap<(String, String), Vec<String>> =
            every(served).map(|model| (named(model), model.classes.clone())).collect();
        let before = std::mem::replace(&mut known.served, now);
        for (version, classes) in before {
            if !known.served.contains_key(&version) {
                known.gone.push_back((version, classes));
            }
        }
        let known = &mut *known;
        known.gone.retain(|(version, _)| !known.served.contains_key(version));
        while known.gone.len() > GONE {
            let Some(((model, version), classes)) = known.gone.pop_front() else { return };
            for track in [Track::Stable.name(), Track::Canary.name()] {
                self.forget_track(&model, &version, track, &classes);
            }
            let refused = |labels: &RequestLabels| labels.model == model && labels.version == version;
            known.refused.iter().filter(|labels| refused(labels)).for_each(|labels| {
                self.requests.remove(labels);
            });
            known.refused.retain(|labels| !refused(labels));
        }
    }

    fn forget_track(&self, model: &str, version: &str, track: &'static str, classes: &[String]) {
        let labels = VersionLabels { model: model.to_owned(), version: version.to_owned(), track };
        self.predict_seconds.remove(&labels);
        self.rows.remove(&labels);
        self.batch_rows.remove(&labels);
        self.values.remove(&labels);
        for class in classes {
            let (model, version) = (model.to_owned(), version.to_owned());
            let class = class.trim_matches('"').to_owned();
            self.classes.remove(&ClassLabels { model, version, track, class });
        }
        for route in Route::ALL {
            let (model, version, route) = (model.to_owned(), version.to_owned(), route.name());
            let (name, number) = (model.clone(), version.clone());
            self.requests.remove(&RequestLabels { model: name, version: number, track, route, code: 200 });
            self.seconds.remove(&RouteLabels { model, version, track, route });
        }
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    model: String,
    version: String,
    track: &'static str,
    route: &'static str,
}

/// Returns every version that is served: those in production, then canaries.
fn every(served: &Served) -> impl Iterator<Item = &ServedModel> {
    let canaries = served.canaries.values().map(|canary| &canary.model);
    served.models.values().chain(canaries).map(AsRef::as_ref)
}

/// Returns the seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns resident bytes and seconds of processor time, where `/proc` tells them.
fn process() -> Option<(i64, f64)> {
    let resident: i64 = fs_err::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Pages of 4096 bytes and 100 ticks a second are what Linux has on x86-64 and arm64.
    Some((resident * 4096, (ticks(11)? + ticks(12)?) / 100.0))
}
