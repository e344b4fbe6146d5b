//! The metrics by their names, each with what it says to who reads it.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::Metrics;
use super::process::now;

/// From 50 microseconds to 10 seconds.
const SECONDS: [f64; 16] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// From 2 microseconds.
const PREDICT_SECONDS: [f64; 15] =
    [2e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 0.25, 1.0];
const ROWS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 10_000.0];
/// Decades: what a regression answers has no other scale that is known here. A histogram with a sum has no bucket below
/// zero, so answers below zero are counted by their size in a histogram of their own.
const VALUES: [f64; 8] = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn predict_seconds() -> Histogram {
    Histogram::new(PREDICT_SECONDS)
}

fn rows() -> Histogram {
    Histogram::new(ROWS)
}

pub(super) fn values() -> Histogram {
    Histogram::new(VALUES)
}

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Registers a metric and gives it back, to be counted with.
trait Keep {
    fn keep<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M;
    fn keep_with_unit<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Unit, metric: M) -> M;
}

impl Keep for Registry {
    fn keep<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.register(name, help, metric.clone());
        metric
    }

    fn keep_with_unit<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Unit, metric: M) -> M {
        self.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let memory = registry.keep("process_resident_memory_bytes", "Resident memory", Gauge::default());
        let cpu = registry.keep("process_cpu_time_seconds", "Processor time", Gauge::default());
        let start: Gauge =
            registry.keep("process_start_time_seconds", "When the process started", Gauge::default());
        start.set(now() as i64);
        let ml_requests = registry.keep("ml_request_count", "Prediction requests", Gauge::default());
        let ml_seconds =
            registry.keep("ml_request_latency_seconds", "Time of a prediction request", seconds());
        let ml_errors = registry.keep(
            "ml_request_errors",
            "Prediction requests not answered with 200",
            Counter::default(),
        );
        let ml_accuracy =
            registry.keep("ml_model_accuracy", "Accuracy at the gate of what is served", Family::default());
        let own = registry.sub_registry_with_prefix("modelgate");
        Self {
            requests: own.keep(
                "requests",
                "Prediction requests by model, version, route and status",
                Family::default(),
            ),
            seconds: own.keep_with_unit(
                "request_duration",
                "Time of a request, from its body to its answer",
                Unit::Seconds,
                Family::new_with_constructor(seconds),
            ),
            in_flight: own.keep("requests_in_flight", "Prediction requests being answered", Gauge::default()),
            shed: own.keep(
                "requests_shed",
                "Requests refused because too many were under way",
                Counter::default(),
            ),
            rate_limited: own.keep(
                "requests_rate_limited",
                "Requests refused because a client sent too many",
                Counter::default(),
            ),
            unauthorized: own.keep(
                "requests_unauthorized",
                "Requests without a valid key",
                Counter::default(),
            ),
            validation_errors: own.keep(
                "validation_errors",
                "Requests refused for their rows, by the first reason",
                Family::default(),
            ),
            flagged: own.keep(
                "flagged",
                "Cells answered although they were unusual, by reason",
                Family::default(),
            ),
            predict_seconds: own.keep_with_unit(
                "predict_duration",
                "Time of the model alone",
                Unit::Seconds,
                Family::new_with_constructor(predict_seconds),
            ),
            weights: own.keep(
                "traffic_weight",
                "Share of the requests in percent, while there is a canary",
                Family::default(),
            ),
            shadow_rows: own.keep("shadow_rows", "Rows that both versions predicted", Family::default()),
            shadow_disagreements: own.keep(
                "shadow_disagreements",
                "Rows of which the two versions said different things",
                Family::default(),
            ),
            shadow_dropped: own.keep(
                "shadow_dropped",
                "Copies of requests that were dropped because too many waited",
                Family::default(),
            ),
            rows: own.keep("rows", "Rows predicted", Family::default()),
            batch_rows: own.keep("batch_rows", "Rows of a request", Family::new_with_constructor(rows)),
            classes: own.keep("predictions", "Answers by class", Family::default()),
            values: own.keep(
                "prediction_value",
                "Answers of a regression from zero on",
                Family::new_with_constructor(values),
            ),
            values_below_zero: own.keep(
                "prediction_value_below_zero",
                "Answers of a regression below zero, without their sign",
                Family::new_with_constructor(values),
            ),
            info: own.keep("model_info", "1 for each version that is served", Family::default()),
            load_seconds: own.keep_with_unit(
                "model_load",
                "Time to fetch, verify and load a model",
                Unit::Seconds,
                seconds(),
            ),
            reloads: own.keep("reloads", "Looks at the source, by outcome", Family::default()),
            reload_seconds: own.keep_with_unit(
                "reload",
                "Time of a look at the source",
                Unit::Seconds,
                seconds(),
            ),
            breaker: own.keep(
                "source_breaker_state",
                "0 the source is asked, 1 it is left alone, 2 the next try decides",
                Gauge::default(),
            ),
            cache_failures: own.keep(
                "cache_failures",
                "Packages that could not be kept on disk",
                Counter::default(),
            ),
            cache_hits: own.keep("cache_hits", "Packages loaded from disk", Counter::default()),
            cache_misses: own.keep(
                "cache_misses",
                "Packages wanted from disk that were not there or did not verify",
                Counter::default(),
            ),
            cache_bytes: own.keep_with_unit("cache", "Packages on disk", Unit::Bytes, Gauge::default()),
            cache_age: own.keep_with_unit(
                "cache_age",
                "Time since the source last confirmed what is kept on disk",
                Unit::Seconds,
                Gauge::default(),
            ),
            admin: own.keep("admin_requests", "Requests to /admin, by outcome", Family::default()),
            log_dropped: own.keep(
                "prediction_log_dropped",
                "Rows not logged because the queue was full or the target failed",
                Counter::default(),
            ),
            log_written: own.keep("prediction_log_written", "Rows logged", Counter::default()),
            spans_sent: own.keep("trace_spans_sent", "Spans that a collector took", Counter::default()),
            spans_dropped: own.keep(
                "trace_spans_dropped",
                "Spans not sent because the queue was full or the collector failed",
                Counter::default(),
            ),
            connections: own.keep("connections", "Open connections", Gauge::default()),
            connections_full: own.keep(
                "connections_full",
                "Times that a connection had to wait until another one ended",
                Counter::default(),
            ),
            memory,
            cpu,
            ml_requests,
            ml_seconds,
            ml_errors,
            ml_accuracy,
            cache_written: AtomicU64::new(0),
            known: Mutex::default(),
            registry,
        }
    }
}
