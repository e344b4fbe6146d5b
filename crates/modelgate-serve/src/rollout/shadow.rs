//! Copies of requests for the canary: handed to a thread of its own, which compares the two answers. A request never
//! waits for it: when too many wait, a copy is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use modelgate_core::rollout::Percent;
use modelgate_model::{InputColumn, Prediction};

use super::Canary;
use crate::caught::caught;
use crate::request::again;
use crate::request::rows::Rows;
use crate::served::ServedModel;
use crate::settings::Leniency;
use crate::telemetry::Metrics;

/// Copies that may wait.
const QUEUE: usize = 1024;
/// Bytes of rows that may wait.
const BYTES: usize = 8 << 20;
/// The thread rests between two batches, so that requests seldom have to wake it.
const REST: Duration = Duration::from_micros(250);

/// A request that the version in production has answered.
#[derive(Debug)]
pub(crate) struct Mirrored {
    pub(crate) canary: Arc<Canary>,
    pub(crate) stable: Arc<ServedModel>,
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) rows: usize,
    pub(crate) answer: Prediction,
}

impl Mirrored {
    fn bytes(&self) -> usize {
        self.columns.iter().map(InputColumn::bytes).sum()
    }
}

/// A queue that never makes the sender wait.
#[derive(Debug)]
struct Bounded<T> {
    queue: SyncSender<T>,
    /// Bytes of rows that wait.
    waiting: Arc<AtomicUsize>,
}

impl<T> Bounded<T> {
    fn new() -> (Self, Receiver<T>) {
        let (queue, receiver) = sync_channel(QUEUE);
        (Self { queue, waiting: Arc::default() }, receiver)
    }

    /// Takes an item of so many bytes, or returns `false`; one alone is taken whatever its size.
    fn offer(&self, item: T, bytes: usize) -> bool {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == 0 || before + bytes <= BYTES;
        let taken = fits && self.queue.try_send(item).is_ok();
        if !taken {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct Mirror {
    queue: Bounded<Mirrored>,
    metrics: Arc<Metrics>,
}

impl Mirror {
    /// Starts the thread, which ends when this is dropped. What the canary lets through is decided as for requests.
    pub(crate) fn start(metrics: Arc<Metrics>, leniency: Leniency) -> std::io::Result<Self> {
        let (queue, copies) = Bounded::new();
        let (waiting, own) = (Arc::clone(&queue.waiting), Arc::clone(&metrics));
        let work = move || run(&copies, &waiting, &own, leniency);
        std::thread::Builder::new().name("shadow".to_owned()).spawn(work)?;
        Ok(Self { queue, metrics })
    }

    /// Returns whether a request is among the share that is copied; `random` is the request's own number.
    pub(crate) fn wants(share: Percent, random: u32) -> bool {
        // Other bits than those that decide about the log.
        let part = u64::from(random.rotate_left(16)) * 100;
        part < u64::from(share.get()) << 32
    }

    /// Hands a copy over, or drops and counts it.
    pub(crate) fn send(&self, copy: Mirrored) {
        let (canary, bytes) = (Arc::clone(&copy.canary), copy.bytes());
        if !self.queue.offer(copy, bytes) {
            canary.tallies.shadow.dropped();
            self.metrics.shadow(&canary.model, 0, 0, 1);
        }
    }
}

fn run(copies: &Receiver<Mirrored>, waiting: &AtomicUsize, metrics: &Metrics, leniency: Leniency) {
    while let Ok(first) = copies.recv() {
        let mut next = Some(first);
        while let Some(copy) = next {
            let bytes = copy.bytes();
            compare(copy, metrics, leniency);
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            next = copies.try_recv().ok();
        }
        std::thread::sleep(REST);
    }
}

fn compare(copy: Mirrored, metrics: &Metrics, leniency: Leniency) {
    let Mirrored { canary, stable, columns, rows, answer } = copy;
    let own = &canary.model;
    let compared = || {
        // As if the request had been the canary's: it may refuse what the other version lets in.
        let batch =
            again::read(&columns, rows, &stable.inputs, Rows::new(&own.inputs, leniency, rows)).ok()?;
        let prediction = own.predict(&batch.columns, batch.rows).ok()?;
        difference(&stable, &answer, own, &prediction, rows)
    };
    // What breaks in the canary breaks nothing else.
    let compared = caught(compared).unwrap_or_default();
    let shadow = &canary.tallies.shadow;
    match compared {
        Some((disagreed, distance)) => {
            shadow.compared(rows as u64, disagreed, distance);
            metrics.shadow(&canary.model, rows as u64, disagreed, 0);
        }
        None => shadow.failed(rows as u64),
    }
}

/// Values further apart than this share of the larger disagree.
const APART: f32 = 0.01;

/// Returns how many rows got another answer, and the sum of the distances: half of what the probabilities of a row
/// differ by, or by how much of the larger one two values differ. `None` when the answers cannot be compared.
fn difference(
    stable: &ServedModel,
    one: &Prediction,
    canary: &ServedModel,
    other: &Prediction,
    rows: usize,
) -> Option<(u64, f64)> {
    let (mut disagreed, mut distance) = (0, 0.0);
    match (one, other) {
        (
            Prediction::Classes { labels, probabilities },
            Prediction::Classes { labels: own, probabilities: shares },
        ) => {
            if stable.classes != canary.classes || labels.len() != rows || own.len() != rows {
                return None;
            }
            disagreed = labels.iter().zip(own).filter(|(one, other)| one != other).count() as u64;
            let apart: f64 =
                probabilities.iter().zip(shares).map(|(one, other)| f64::from((one - other).abs())).sum();
            distance = apart / 2.0;
        }
        (Prediction::Values(values), Prediction::Values(own)) => {
            if values.len() != rows || own.len() != rows {
                return None;
            }
            for (one, other) in values.iter().zip(own) {
                let larger = one.abs().max(other.abs());
                let apart = if larger > 0.0 { (one - other).abs() / larger } else { 0.0 };
                disagreed += u64::from(apart > APART);
                distance += f64::from(apart.min(1.0));
            }
        }
        _ => return None,
    }
    // No number is no answer.
    distance.is_finite().then_some((disagreed, distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_queue_that_nobody_empties() {
        let (queue, _kept) = Bounded::new();
        let began = std::time::Instant::now();
        let taken = (0..10 * QUEUE).filter(|_| queue.offer((), 1)).count();
        assert_eq!((taken, queue.waiting.load(Ordering::Relaxed)), (QUEUE, QUEUE));
        let (queue, _kept) = Bounded::new();
        assert!(queue.offer((), 2 * BYTES), "one alone is taken");
        assert!(!queue.offer((), 1));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_share_of_copies_is_what_was_asked_for() {
        let share = |percent: u8| {
            let share = Percent::new(percent).expect("a share");
            (0..10_000_u32).filter(|number| Mirror::wants(share, number.wrapping_mul(0x9e37_79b9))).count()
        };
        assert_eq!((share(0), share(100)), (0, 10_000));
        assert!((900..1100).contains(&share(10)), "{}", share(10));
    }
}
