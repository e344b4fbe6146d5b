//! The prediction log: a request writes its lines into a buffer that all share and never waits; a thread of its own hands
//! the buffer to a [`Sink`]. When too much waits, what comes is dropped and counted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modelgate_model::{InputColumn, Prediction};

use super::Metrics;
use super::line::{self, Answered, Clock};
use super::sink::{self, Sink, Wants};
use crate::error::ServeError;
use crate::served::ServedModel;
use crate::settings::PredictionLog;

/// An answer that a sink takes as it is.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) prediction: Prediction,
    pub(crate) correlation_id: String,
    pub(crate) time: jiff::Timestamp,
}

/// Of whom some of the lines are.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) time: jiff::Timestamp,
    /// Where its lines end.
    pub(crate) end: usize,
}

/// What waits for the sink.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whole lines, for a sink that takes lines.
    pub(crate) text: String,
    /// Of whom they are, for one that asks.
    pub(crate) records: Vec<Record>,
    /// Answers, for a sink that takes them.
    pub(crate) entries: Vec<Entry>,
    /// Answered rows in all of this.
    pub(crate) predictions: u64,
    bytes: usize,
    /// Whether the writer waits for the first to come.
    idle: bool,
    closed: bool,
}

impl Batch {
    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.records.clear();
        self.entries.clear();
        (self.predictions, self.bytes) = (0, 0);
    }
}

/// Bytes that may wait.
pub(crate) const QUEUE: usize = 4 << 20;
/// Bytes from which the writer is not left to rest.
const URGENT: usize = 128 << 10;
/// Room that a buffer keeps.
const KEPT: usize = 256 << 10;
/// How long the end of the process waits for what is left to be written.
const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Batch>,
    wake: Condvar,
    /// The bytes that wait, to be looked at without the lock.
    bytes: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side of the requests.
#[derive(Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    wants: Wants,
    redact: Vec<String>,
    /// Of 2³², how many requests are logged.
    threshold: u64,
}

thread_local! {
    /// What a thread writes lines with.
    static PEN: RefCell<(String, Clock)> = RefCell::default();
}

/// Waits for the writer's end.
#[derive(Debug)]
pub(crate) struct Farewell(Receiver<()>);

impl Farewell {
    /// Waits until everything is written, or for some seconds: a pipe that nobody reads would keep the process alive.
    pub(crate) fn wait(&self) {
        let _ = self.0.recv_timeout(FAREWELL);
    }
}

impl Log {
    /// Starts the writer; `None` when predictions are not logged. It ends when the log is dropped.
    ///
    /// # Errors
    /// Fails when the target cannot be opened.
    pub(crate) fn start(
        settings: &PredictionLog,
        metrics: Arc<Metrics>,
    ) -> Result<Option<(Self, Farewell)>, ServeError> {
        let Some(target) = sink::open(settings)? else { return Ok(None) };
        let shared = Arc::new(Shared::default());
        let wants = target.wants();
        let writer =
            Writer { shared: Arc::clone(&shared), metrics: Arc::clone(&metrics), target, failed: false };
        let (ended, farewell) = channel();
        let work = move || {
            writer.run();
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("prediction-log".to_owned()).spawn(work)?;
        let threshold = (settings.sample.clamp(0.0, 1.0) * f64::from(u32::MAX)).ceil() as u64;
        let log = Self { shared, metrics, wants, redact: settings.redact.clone(), threshold };
        Ok(Some((log, Farewell(farewell))))
    }

    /// Returns whether a request is among those that are logged; `number` is the request's own random number.
    pub(crate) fn wants(&self, number: u32) -> bool {
        u64::from(number) <= self.threshold && self.threshold > 0
    }

    /// Hands an answer over.
    pub(crate) fn write(&self, answered: &Answered<'_>) {
        // Of what cannot be kept no line is made.
        let rows = answered.rows() as u64;
        if self.shared.bytes.load(Ordering::Relaxed) >= QUEUE {
            self.metrics.log_dropped.inc_by(rows);
            return;
        }
        if self.wants == Wants::Entries {
            let entry = Entry {
                model: Arc::clone(answered.model),
                columns: answered.columns.to_vec(),
                prediction: answered.prediction.clone(),
                correlation_id: answered.correlation_id.to_owned(),
                time: answered.time,
            };
            return self.put(rows, entry.bytes(), |batch| batch.entries.push(entry));
        }
        PEN.with_borrow_mut(|(text, clock)| {
            text.clear();
            text.shrink_to(KEPT);
            line::push(text, clock, answered, &self.redact);
            self.put(rows, text.len(), |batch| {
                batch.text.push_str(text);
                if self.wants == Wants::Records {
                    let (model, end) = (Arc::clone(answered.model), batch.text.len());
                    batch.records.push(Record { model, time: answered.time, end });
                }
            });
        });
    }

    /// Puts something into the buffer, unless too much waits; one alone is taken whatever its size.
    fn put(&self, rows: u64, bytes: usize, add: impl FnOnce(&mut Batch)) {
        let mut batch = self.shared.lock();
        if batch.predictions > 0 && batch.bytes + bytes > QUEUE {
            drop(batch);
            self.metrics.log_dropped.inc_by(rows);
            return;
        }
        add(&mut batch);
        batch.predictions += rows;
        let before = batch.bytes;
        batch.bytes += bytes;
        self.shared.bytes.store(batch.bytes, Ordering::Relaxed);
        let wake = std::mem::take(&mut batch.idle) || before < URGENT && batch.bytes >= URGENT;
        drop(batch);
        // Woken for each request, the writer would cost more than what it writes.
        if wake {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Entry {
    /// Returns about what it takes up.
    fn bytes(&self) -> usize {
        let answers = match &self.prediction {
            Prediction::Values(values) => values.len() * 4,
            Prediction::Classes { labels, probabilities } => (labels.len() + probabilities.len()) * 4,
        };
        let fixed = size_of::<Self>() + self.columns.len() * size_of::<InputColumn>();
        self.columns.iter().map(InputColumn::bytes).sum::<usize>()
            + answers
            + self.correlation_id.len()
            + fixed
    }
}

struct Writer {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    target: Box<dyn Sink>,
    failed: bool,
}

impl Writer {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::default();
        loop {
            let mut waiting = shared.lock();
            while waiting.predictions == 0 && !waiting.closed {
                waiting.idle = true;
                waiting = match self.target.due() {
                    None => shared.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                    Some(due) => {
                        let waited = shared.wake.wait_timeout(waiting, due);
                        let (waiting, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                        if timed_out.timed_out() {
                            drop(waiting);
                            let written = self.target.tick();
                            self.count(written);
                            shared.lock()
                        } else {
                            waiting
                        }
                    }
                };
            }
            let closed = waiting.closed;
            std::mem::swap(&mut *waiting, &mut batch);
            waiting.closed = closed;
            shared.bytes.store(0, Ordering::Relaxed);
            drop(waiting);
            if batch.predictions > 0 {
                let written = self.target.write(&mut batch);
                self.count(written);
                batch.clear();
            } else if closed {
                let written = self.target.finish();
                return self.count(written);
            }
            if !closed {
                let rest = |batch: &mut Batch| batch.bytes < URGENT && !batch.closed;
                let _ = shared.wake.wait_timeout_while(shared.lock(), self.target.rest(), rest);
            }
        }
    }

    fn count(&mut self, written: sink::Written) {
        self.metrics.log_written.inc_by(written.done);
        self.metrics.log_dropped.inc_by(written.lost);
        if let Some(error) = written.error {
            // Once, not for each line.
            if !std::mem::replace(&mut self.failed, true) {
                super::talk::warn(&format!("predictions cannot be logged: {error}"));
            }
        } else if written.done > 0 {
            self.failed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted_by_its_rows() {
        let (metrics, shared) = (Arc::new(Metrics::new()), Arc::default());
        let log = Log { shared, metrics, wants: Wants::Lines, redact: Vec::new(), threshold: u64::MAX };
        log.put(3, 10, |batch| batch.text.push_str("a\nb\nc\n"));
        log.put(7, QUEUE, |_| panic!("there is no room"));
        assert_eq!((log.shared.lock().predictions, log.metrics.log_dropped.get()), (3, 7));
    }
}
