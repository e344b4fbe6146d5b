//! One line per stage as a run goes on, and a line of bytes as data moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use modelgate_pipeline::{Reporter, Stage, StageReport, StageStatus};

use crate::printer::{Printer, coloured};

/// Prints each stage when it ends.
pub(crate) struct StageLines<'a> {
    printer: &'a Printer,
    /// When progress was last shown.
    shown: Option<Instant>,
}

/// A terminal is told of progress this often at most.
const SHOWN_EVERY: Duration = Duration::from_millis(50);

impl<'a> StageLines<'a> {
    pub(crate) fn new(printer: &'a Printer) -> Self {
        Self { printer, shown: None }
    }
}

impl Reporter for StageLines<'_> {
    fn started(&mut self, _stage: Stage) {}

    fn note(&mut self, sentence: &str) {
        self.printer.warning(sentence);
    }

    fn said(&mut self, stage: Stage, line: &str) {
        self.printer.talk(&format!("  {stage:<10} {line}"));
    }

    fn progress(&mut self, stage: Stage, what: &str, done: usize, of: usize) {
        if self.shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            self.shown = Some(Instant::now());
            self.printer.overwritten(&format!("  {stage:<10} {done} of {of} {what}"));
        }
    }

    fn finished(&mut self, report: &StageReport) {
        let (mark, word) = match report.status {
            StageStatus::Ran if report.blocks() => ("✗", "ran"),
            StageStatus::Ran => ("✓", "ran"),
            StageStatus::Skipped if report.blocks() => ("✗", "skipped"),
            StageStatus::Skipped => ("=", "skipped"),
            StageStatus::WouldRun => ("?", "would run"),
            StageStatus::Waiting => ("…", "waiting"),
            StageStatus::Refused => ("✗", "refused"),
        };
        let time = match report.status {
            StageStatus::Ran => format!("{:>6.0} ms", report.seconds * 1e3),
            _ => " ".repeat(9),
        };
        let padded = format!("{word:<9}");
        let word = padded.replacen(word, &coloured(word), 1);
        let text = match (report.status, report.summary.is_empty()) {
            (StageStatus::WouldRun, _) | (_, true) => report.why.clone(),
            (StageStatus::Skipped, false) => format!("{} ({})", report.summary, report.why),
            _ => report.summary.clone(),
        };
        self.printer.talk(&format!("{mark} {:<10} {word} {time}  {text}", report.stage));
        for warning in &report.warnings {
            self.printer.warning(&format!("{}: {warning}", report.stage));
        }
    }
}

/// A line that tells how many rows are read; only on a terminal, as [`Bytes`] is.
pub(crate) struct Rows<'a> {
    printer: &'a Printer,
    what: &'a str,
    shown: Option<Instant>,
}

impl<'a> Rows<'a> {
    /// Returns a line about rows that are not counted yet.
    pub(crate) fn new(printer: &'a Printer, what: &'a str) -> Self {
        printer.overwritten(&format!("{what}: finding the types of the columns"));
        Self { printer, what, shown: None }
    }

    /// Tells that `done` of `of` rows are read; a row counts once for each time that it is.
    pub(crate) fn tell(&mut self, done: u64, of: u64) {
        if self.shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            self.shown = Some(Instant::now());
            let percent = done.min(of) * 100 / of.max(1);
            self.printer.overwritten(&format!("{}: {percent}% of the rows", self.what));
        }
    }
}

impl Drop for Rows<'_> {
    /// Removes the line, whatever came of the work.
    fn drop(&mut self) {
        self.printer.overwritten("");
    }
}

/// A line that tells how many bytes are done; only on a terminal, where it is written over again and again.
pub(crate) struct Bytes<'a> {
    printer: &'a Printer,
    what: String,
    total: Option<u64>,
    done: AtomicU64,
    started: Instant,
    /// Tenths of a second from the start to the last word.
    told: AtomicU64,
}

impl<'a> Bytes<'a> {
    /// Returns a line about work of unknown size.
    pub(crate) fn new(printer: &'a Printer, what: &str) -> Self {
        let what = what.to_owned();
        let (done, told) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { printer, what, total: None, done, started: Instant::now(), told }
    }

    /// Returns a line about `total` bytes of work.
    pub(crate) fn of(printer: &'a Printer, what: &str, total: u64) -> Self {
        Self { total: Some(total), ..Self::new(printer, what) }
    }

    /// Adds bytes that are done.
    pub(crate) fn add(&self, more: u64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        let elapsed = self.started.elapsed();
        let tick = elapsed.as_millis() as u64 / 100;
        if self.told.fetch_max(tick, Ordering::Relaxed) < tick {
            let total =
                self.total.map_or_else(String::new, |total| format!(" of {}", bytes(total.max(done))));
            let rate = bytes((done as f64 / elapsed.as_secs_f64()) as u64);
            self.printer.overwritten(&format!("{}: {}{total}, {rate}/s", self.what, bytes(done)));
        }
    }

    /// Removes the line.
    pub(crate) fn end(&self) {
        if self.told.load(Ordering::Relaxed) > 0 {
            self.printer.overwritten("");
        }
    }
}

/// Returns a number of bytes for people, in decimal units.
pub(crate) fn bytes(number: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number as f64 / *size as f64),
        None => format!("{number} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        let told: Vec<String> = [0, 999, 1000, 1_500_000, 2_000_000_000].into_iter().map(bytes).collect();
        assert_eq!(told, ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.0 GB"]);
    }
}
