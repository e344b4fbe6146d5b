//! One JSON line for each predicted row, written by a thread of its own: a request hands its rows over and never waits;
//! when too many wait, what comes is dropped and counted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use modelgate_core::schema::FeatureType;
use modelgate_model::{InputColumn, Prediction};

use super::Metrics;
use crate::answer;
use crate::error::ServeError;
use crate::reload::tell;
use crate::served::ServedModel;
use crate::settings::{LogTarget, PredictionLog};

/// What a request hands over.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) prediction: Prediction,
    pub(crate) correlation_id: String,
    pub(crate) time: jiff::Timestamp,
}

impl Entry {
    fn cells(&self) -> usize {
        self.columns.iter().map(InputColumn::len).sum()
    }
}

/// What waits for the writer. The queue itself grows and shrinks: room for the most would be taken by the least.
#[derive(Debug, Default)]
struct Waiting {
    entries: AtomicUsize,
    cells: AtomicUsize,
}

impl Waiting {
    /// Takes an entry in, unless too much waits; one alone is taken whatever its size.
    fn admit(&self, cells: usize, most: usize) -> bool {
        let entries = self.entries.fetch_add(1, Ordering::Relaxed);
        let before = self.cells.fetch_add(cells, Ordering::Relaxed);
        let admitted = entries == 0 || entries < most && before + cells <= CELLS;
        if !admitted {
            self.done(cells);
        }
        admitted
    }

    fn done(&self, cells: usize) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.cells.fetch_sub(cells, Ordering::Relaxed);
    }
}

/// Cells that may wait; about 16 MiB of numbers.
const CELLS: usize = 1 << 22;
/// The writer rests between two batches: woken for each request, it would cost more than what it writes.
const REST: Duration = Duration::from_micros(250);

/// The sending side.
#[derive(Debug)]
pub(crate) struct Log {
    queue: Sender<Entry>,
    metrics: Arc<Metrics>,
    waiting: Arc<Waiting>,
    /// Entries that may wait.
    entries: usize,
    /// Of 2³², how many requests are logged.
    threshold: u64,
}

impl Log {
    /// Starts the writer; `None` when predictions are not logged. The handle ends when the log is dropped.
    ///
    /// # Errors
    /// Fails when the target cannot be opened.
    pub(crate) fn start(
        settings: &PredictionLog,
        metrics: Arc<Metrics>,
    ) -> Result<Option<(Self, JoinHandle<()>)>, ServeError> {
        let mut batch_bytes = 1 << 16;
        let target: Box<dyn Write + Send> = match &settings.target {
            LogTarget::Off => return Ok(None),
            LogTarget::Stdout => Box::new(std::io::stdout()),
            LogTarget::File { path, max_bytes, keep } => {
                batch_bytes = usize::try_from(*max_bytes).map_or(batch_bytes, |bytes| bytes.min(batch_bytes));
                Box::new(Rotating::open(path, *max_bytes, *keep)?)
            }
        };
        let waiting = Arc::new(Waiting::default());
        let (queue, entries) = channel();
        let writer = Writer {
            redact: settings.redact.clone(),
            metrics: Arc::clone(&metrics),
            waits: Arc::clone(&waiting),
            target,
            batch_bytes,
            batch: String::new(),
            waiting: 0,
            failed: false,
            clock: Clock::default(),
        };
        let handle = std::thread::Builder::new()
            .name("prediction-log".to_owned())
            .spawn(move || writer.run(&entries))?;
        let threshold = (settings.sample.clamp(0.0, 1.0) * f64::from(u32::MAX)).ceil() as u64;
        let log = Self { queue, metrics, waiting, entries: settings.queue.max(1), threshold };
        Ok(Some((log, handle)))
    }

    /// Returns whether a request is among those that are logged; `number` is the request's own random number.
    pub(crate) fn wants(&self, number: u32) -> bool {
        u64::from(number) <= self.threshold && self.threshold > 0
    }

    /// Hands an entry over.
    pub(crate) fn write(&self, entry: Entry) {
        if !self.waiting.admit(entry.cells(), self.entries) || self.queue.send(entry).is_err() {
            self.metrics.log_dropped.inc();
        }
    }
}

/// Writes times, each second's beginning once.
#[derive(Default)]
struct Clock {
    second: i64,
    begins: String,
}

impl Clock {
    /// Returns RFC 3339 in UTC with microseconds.
    fn text(&mut self, time: jiff::Timestamp) -> String {
        let second = time.as_second();
        if second != self.second || self.begins.is_empty() {
            self.second = second;
            self.begins = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        format!("{}.{:06}Z", self.begins, time.subsec_microsecond())
    }
}

struct Writer {
    redact: Vec<String>,
    metrics: Arc<Metrics>,
    waits: Arc<Waiting>,
    target: Box<dyn Write + Send>,
    /// Bytes that are written together at most.
    batch_bytes: usize,
    /// Whole lines that wait, and of how many predictions they are.
    batch: String,
    waiting: u64,
    failed: bool,
    clock: Clock,
}

impl Writer {
    fn run(mut self, entries: &Receiver<Entry>) {
        let mut line = String::new();
        while let Ok(first) = entries.recv() {
            let mut next = Some(first);
            while let Some(entry) = next {
                line.clear();
                self.lines(&entry, &mut line);
                self.waits.done(entry.cells());
                if self.batch.len() + line.len() > self.batch_bytes {
                    self.write();
                }
                self.batch.push_str(&line);
                self.waiting += 1;
                next = entries.try_recv().ok();
            }
            self.write();
            std::thread::sleep(REST);
        }
    }

    /// Writes what waits, or drops it.
    fn write(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting == 0 {
            return;
        }
        let written = self.target.write_all(self.batch.as_bytes()).and_then(|()| self.target.flush());
        self.batch.clear();
        match written {
            Ok(()) => {
                self.metrics.log_written.inc_by(waiting);
                self.failed = false;
            }
            Err(error) => {
                self.metrics.log_dropped.inc_by(waiting);
                // Once, not for each line.
                if !std::mem::replace(&mut self.failed, true) {
                    tell(&format!("predictions cannot be logged: {error}"));
                }
            }
        }
    }

    fn lines(&mut self, entry: &Entry, text: &mut String) {
        let Entry { model, columns, prediction, correlation_id, time } = entry;
        let rows = columns.first().map_or(0, InputColumn::len);
        let time = self.clock.text(*time);
        for row in 0..rows {
            text.push_str("{\"time\":\"");
            text.push_str(&time);
            text.push('"');
            text.push_str(&model.identity);
            text.push_str(",\"correlation_id\":");
            answer::push_text(text, correlation_id);
            text.push_str(",\"row\":");
            answer::push_whole(text, row as i64);
            text.push_str(",\"features\":{");
            for (at, (feature, column)) in model.features().iter().zip(columns).enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&model.keys[at]);
                if self.redact.contains(&feature.name) {
                    text.push_str("\"[redacted]\"");
                } else {
                    push_cell(text, column, row, feature.feature_type);
                }
            }
            text.push_str("},");
            answer::push_row(text, model, prediction, row);
            text.push_str("}\n");
        }
    }
}

fn push_cell(text: &mut String, column: &InputColumn, row: usize, feature_type: FeatureType) {
    match column {
        InputColumn::Ints(values) => answer::push_whole(text, values[row]),
        InputColumn::Floats(values) => answer::push_number(text, values[row]),
        InputColumn::Texts(values) if values[row].is_empty() && feature_type == FeatureType::Text => {
            text.push_str("null");
        }
        InputColumn::Texts(values) => answer::push_text(text, &values[row]),
    }
}

/// A file that begins anew when it is full.
struct Rotating {
    path: PathBuf,
    file: std::fs::File,
    bytes: u64,
    max_bytes: u64,
    keep: usize,
}

impl Rotating {
    fn open(path: &Path, max_bytes: u64, keep: usize) -> std::io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs_err::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes, keep })
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        if self.keep == 0 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.keep).rev() {
                let from = self.numbered(number);
                if from.exists() {
                    fs_err::rename(&from, self.numbered(number + 1))?;
                }
            }
            fs_err::rename(&self.path, self.numbered(1))?;
            self.file = append(&self.path)?;
        }
        self.bytes = 0;
        Ok(())
    }
}

fn append(path: &Path) -> std::io::Result<std::fs::File> {
    let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.into_parts().0)
}

impl Write for Rotating {
    /// Takes whole buffers, which end with a line: a line is never in two files.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_a_calendar() {
        let mut clock = Clock::default();
        for microseconds in [0, 1, 999_999, 1_000_000, 1_732_198_299_751_032, 1_732_198_299_000_007] {
            let time = jiff::Timestamp::from_microsecond(microseconds).expect("a time");
            assert_eq!(clock.text(time), time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
        }
    }
}
