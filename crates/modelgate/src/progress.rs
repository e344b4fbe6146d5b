//! One line per stage as a run goes on.

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

    fn progress(&mut self, stage: Stage, what: &str, done: usize, of: usize) {
        if self.shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            self.shown = Some(Instant::now());
            self.printer.line(&format!("  {stage:<10} {done} of {of} {what}"));
        }
    }

    fn finished(&mut self, report: &StageReport) {
        let (mark, word) = match report.status {
            StageStatus::Ran => ("✓", "ran"),
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
