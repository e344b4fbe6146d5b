//! How long one prediction takes here and now; what `latency.json` holds. It is no part of the package or of any digest:
//! another machine, or another minute, has other times.

use std::time::Instant;

use modelgate_data::Table;
use modelgate_model::LoadedModel;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;

/// Times of predictions, in milliseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// The version of this form.
    pub schema_version: u32,
    /// Predictions of one row that were timed.
    pub predictions: u64,
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// All but a hundredth took at most this.
    pub p99_ms: f64,
    /// Rows of one large prediction.
    pub batch_rows: u64,
    /// Rows per second of that one.
    pub batch_rows_per_second: f64,
}

impl Latency {
    /// Returns the times that rules can be on.
    pub(crate) fn figures(&self) -> [(&'static str, f64); 2] {
        [("latency.p50_ms", self.p50_ms), ("latency.p99_ms", self.p99_ms)]
    }
}

/// At most so many single predictions are timed, after some that warm up.
const PREDICTIONS: usize = 200;
const WARM_UP: usize = 20;
/// At most so many rows make the large one.
const BATCH: usize = 10_000;

/// Times `model` on `rows` of `table`; `None` without rows.
///
/// # Errors
/// Fails when the model cannot be asked about these rows.
pub(crate) fn measure(
    model: &LoadedModel,
    table: &Table,
    rows: &[u32],
) -> Result<Option<Latency>, PipelineError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let mut times = Vec::with_capacity(PREDICTIONS);
    for at in 0..PREDICTIONS + WARM_UP {
        let row = &rows[at % rows.len()..=at % rows.len()];
        let started = Instant::now();
        model.predict(table, row)?;
        if at >= WARM_UP {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    let batch = &rows[..rows.len().min(BATCH)];
    let started = Instant::now();
    model.predict(table, batch)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Some(Latency {
        schema_version: 1,
        predictions: PREDICTIONS as u64,
        p50_ms: times[PREDICTIONS / 2],
        p99_ms: times[PREDICTIONS * 99 / 100],
        batch_rows: batch.len() as u64,
        batch_rows_per_second: batch.len() as f64 / seconds.max(1e-9),
    }))
}
