//! Decides which requests are traced, and hands spans to whoever sends them off.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::http::HeaderMap;

#[cfg(any(feature = "otlp", test))]
use super::otlp::Exporter;
#[cfg(any(feature = "otlp", test))]
use super::trace::Span;
use super::trace::{Attribute, Context};
use crate::settings::{Sampler, Traces};

/// The header of W3C Trace Context.
pub(crate) const HEADER: &str = "traceparent";

/// Gives out spans.
#[derive(Debug)]
pub(crate) struct Tracer {
    #[cfg(any(feature = "otlp", test))]
    exporter: Option<Exporter>,
    sampler: Sampler,
    /// Whether there is a collector.
    on: bool,
    seed: u64,
    next: AtomicU64,
}

impl Tracer {
    /// Makes a tracer; without a collector it goes on with callers' traces and begins none.
    ///
    /// # Errors
    /// Fails when the thread that sends spans off cannot be started.
    #[cfg_attr(
        not(any(feature = "otlp", test)),
        expect(clippy::unnecessary_wraps, reason = "builds with traces can fail")
    )]
    pub(crate) fn start(
        traces: Option<&Traces>,
        metrics: &std::sync::Arc<super::Metrics>,
    ) -> std::io::Result<Self> {
        let _ = metrics;
        Ok(Self {
            #[cfg(any(feature = "otlp", test))]
            exporter: traces
                .map(|traces| Exporter::start(traces, std::sync::Arc::clone(metrics)))
                .transpose()?,
            sampler: traces.map_or(Sampler::AlwaysOff, |traces| traces.sampler),
            on: traces.is_some() && cfg!(any(feature = "otlp", test)),
            seed: RandomState::new().hash_one(std::process::id()),
            next: AtomicU64::new(1),
        })
    }

    fn number(&self) -> u64 {
        // The finaliser of SplitMix64: numbers that follow each other look like none of each other.
        let mut value = self.seed.wrapping_add(self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Returns the span of a request: of the caller's trace, or of a new one where there is a collector.
    pub(crate) fn of_request(&self, headers: &HeaderMap) -> Option<Context> {
        match headers.get(HEADER) {
            Some(header) => match Context::continued(header, self.number()) {
                Some(context) if self.on => {
                    Some(context.with(self.sampler.takes(Some(context.sampled), context.chance())))
                }
                Some(context) => Some(context),
                None => self.root(),
            },
            None => self.root(),
        }
    }

    /// Begins a trace, where there is a collector.
    pub(crate) fn root(&self) -> Option<Context> {
        if !self.on {
            return None;
        }
        let context = Context::root([self.number(), self.number(), self.number()], true);
        Some(context.with(self.sampler.takes(None, context.chance())))
    }

    /// Begins a span below another.
    pub(crate) fn below(&self, context: Option<Context>) -> Option<Context> {
        context.map(|context| context.child(self.number()))
    }

    /// Ends a span, which began at `began`. It never waits.
    pub(crate) fn end(
        &self,
        context: Option<Context>,
        name: &'static str,
        began: SystemTime,
        attributes: impl FnOnce() -> Vec<(&'static str, Attribute)>,
        error: Option<&str>,
    ) {
        #[cfg(any(feature = "otlp", test))]
        if let (Some(context), Some(exporter)) = (context.filter(|context| context.sampled), &self.exporter) {
            exporter.send(Span {
                context,
                name,
                serves: name == REQUEST,
                began,
                ended: SystemTime::now(),
                attributes: attributes(),
                error: error.map(str::to_owned),
            });
        }
        #[cfg(not(any(feature = "otlp", test)))]
        let _ = (context, name, began, attributes, error);
    }
}

/// The span of a request.
pub(crate) const REQUEST: &str = "request";
