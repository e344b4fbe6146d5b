//! Spans sent to a collector: OTLP 1.x over HTTP, in JSON. A request never waits for it: what does not fit into the queue
//! is dropped and counted.
//!
//! Source: the OTLP specification, section "OTLP/HTTP": `POST {endpoint}/v1/traces`; 429, 502, 503 and 504 may be tried
//! again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Metrics;
use super::trace::Span;
use crate::client::client;
use crate::settings::Traces;

/// Spans that may wait.
const QUEUE: usize = 2048;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// How long a span waits for others.
const REST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The sending side.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: SyncSender<Span>,
    metrics: Arc<Metrics>,
}

impl Exporter {
    /// Starts the thread that sends spans off; it ends when this is dropped.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub(super) fn start(traces: &Traces, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (queue, spans) = sync_channel(QUEUE);
        let config = client(&traces.endpoint).timeout_global(Some(PATIENCE)).build();
        let collector = Collector {
            agent: config.into(),
            traces: traces.clone(),
            metrics: Arc::clone(&metrics),
            failed: false,
        };
        std::thread::Builder::new().name("traces".to_owned()).spawn(move || collector.run(&spans))?;
        Ok(Self { queue, metrics })
    }

    /// Hands a span over.
    pub(super) fn send(&self, span: Span) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(span) {
            self.metrics.spans_dropped.inc();
        }
    }
}

struct Collector {
    agent: ureq::Agent,
    traces: Traces,
    metrics: Arc<Metrics>,
    failed: bool,
}

impl Collector {
    fn run(mut self, spans: &Receiver<Span>) {
        while let Ok(first) = spans.recv() {
            let mut batch = vec![first.json()];
            let until = Instant::now() + REST;
            while batch.len() < BATCH {
                match spans.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(span) => batch.push(span.json()),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            let count = batch.len() as u64;
            match self.send(batch) {
                Ok(()) => {
                    self.metrics.spans_sent.inc_by(count);
                    self.failed = false;
                }
                Err(reason) => {
                    self.metrics.spans_dropped.inc_by(count);
                    if !std::mem::replace(&mut self.failed, true) {
                        super::talk::warn(&format!("traces cannot be sent: {reason}"));
                    }
                }
            }
        }
    }

    fn send(&self, spans: Vec<Value>) -> Result<(), String> {
        let text = |(key, value): &(String, String)| json!({ "key": key, "value": { "stringValue": value } });
        let resource: Vec<Value> = self.traces.resource.iter().map(text).collect();
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{
                "scope": { "name": "modelgate", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }] })
        .to_string();
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let mut request = self.agent.post(&self.traces.endpoint).content_type("application/json");
            for (name, value) in &self.traces.headers {
                request = request.header(name, value.expose());
            }
            let (again, reason) = match request.send(&body) {
                Ok(response) => match response.status().as_u16() {
                    200..300 => return Ok(()),
                    status @ (429 | 502 | 503 | 504) => (true, format!("the collector answers {status}")),
                    status => (false, format!("the collector answers {status}")),
                },
                Err(error) => (true, format!("the collector could not be reached: {error}")),
            };
            if !again || tried >= TRIES {
                return Err(reason);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::settings::Sampler;
    use crate::telemetry::Context;

    #[test]
    fn spans_that_a_silent_collector_does_not_take_are_dropped_and_counted() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}/v1/traces", socket.local_addr().expect("an address"));
        let traces =
            Traces { endpoint, headers: Vec::new(), resource: Vec::new(), sampler: Sampler::AlwaysOn };
        let metrics = Arc::new(Metrics::new());
        let exporter = Exporter::start(&traces, Arc::clone(&metrics)).expect("a thread");
        let began = Instant::now();
        let now = SystemTime::now();
        let sent = QUEUE + 2 * BATCH + 100;
        for number in 0..sent as u64 {
            exporter.send(Span {
                context: Context::root([1, number, number], true),
                name: "request",
                serves: true,
                began: now,
                ended: now,
                attributes: Vec::new(),
                error: None,
            });
        }
        assert!(began.elapsed() < PATIENCE / 2, "a request waited");
        assert!(metrics.spans_dropped.get() >= 100, "{}", metrics.spans_dropped.get());
        assert_eq!(metrics.spans_sent.get(), 0);
    }
}
