//! Where logged predictions go.

mod file;
mod loki;
mod parquet;

use std::time::Duration;

use super::log::Batch;
use crate::error::ServeError;
use crate::settings::{LogTarget, PredictionLog};

/// What a sink takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wants {
    /// Lines.
    Lines,
    /// Lines, and of whom they are.
    Records,
    /// Rows and answers as values.
    Entries,
}

/// What became of predictions.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// So many are where they ought to be.
    pub(crate) done: u64,
    /// So many never will be.
    pub(crate) lost: u64,
    /// Why.
    pub(crate) error: Option<String>,
}

impl Written {
    fn of(predictions: u64, result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self { done: predictions, ..Self::default() },
            Err(error) => Self { lost: predictions, error: Some(error), done: 0 },
        }
    }
}

/// A place for predictions. Only the log's own thread waits for it.
pub(crate) trait Sink: Send {
    /// Returns what it takes.
    fn wants(&self) -> Wants;

    /// Takes what waited. What is in the batch may be taken out of it.
    fn write(&mut self, batch: &mut Batch) -> Written;

    /// Returns the pause between two batches.
    fn rest(&self) -> Duration {
        Duration::from_millis(5)
    }

    /// Returns after what time [`Sink::tick`] wants to be called when nothing comes.
    fn due(&self) -> Option<Duration> {
        None
    }

    /// Does what is due.
    fn tick(&mut self) -> Written {
        Written::default()
    }

    /// Ends: what is held goes where it ought to be.
    fn finish(&mut self) -> Written {
        Written::default()
    }
}

/// Opens the sink of the settings; `None` when predictions are not logged.
///
/// # Errors
/// Fails when it cannot be opened.
pub(super) fn open(settings: &PredictionLog) -> Result<Option<Box<dyn Sink>>, ServeError> {
    Ok(match &settings.target {
        LogTarget::Off => None,
        LogTarget::Stdout => Some(Box::new(file::Lines(std::io::stdout()))),
        LogTarget::File { path, max_bytes, keep } => {
            Some(Box::new(file::Lines(file::Rotating::open(path, *max_bytes, *keep)?)))
        }
        LogTarget::Parquet(parquet) => Some(Box::new(parquet::Folder::open(parquet, &settings.redact)?)),
        LogTarget::Loki(loki) => Some(Box::new(loki::Push::new(loki))),
    })
}
