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

    /// Returns what a report says.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "One prediction took {} in half of {} cases and at most {} in 99 of 100; {:.0} rows a second in one call of {}. Measured here, once.",
            duration(self.p50_ms),
            self.predictions,
            duration(self.p99_ms),
            self.batch_rows_per_second,
            self.batch_rows
        )
    }
}

/// Prints milliseconds in the unit in which they have digits.
fn duration(milliseconds: f64) -> String {
    let micros = milliseconds * 1e3;
    if micros < 0.05 {
        "less than 0.1 µs".to_owned()
    } else if micros < 9.95 {
        format!("{micros:.1} µs")
    } else if micros < 999.5 {
        format!("{micros:.0} µs")
    } else if milliseconds < 9.995 {
        format!("{milliseconds:.2} ms")
    } else if milliseconds < 999.5 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1e3)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_in_which_they_have_digits() {
        for (milliseconds, said) in [
            (0.0, "less than 0.1 µs"),
            (0.000_4, "0.4 µs"),
            (0.009_96, "10 µs"),
            (0.123_4, "123 µs"),
            (0.999_4, "999 µs"),
            (0.999_6, "1.00 ms"),
            (3.456, "3.46 ms"),
            (42.0, "42 ms"),
            (1500.0, "1.5 s"),
        ] {
            assert_eq!(duration(milliseconds), said);
        }
        let found = Latency {
            schema_version: 1,
            predictions: 200,
            p50_ms: 0.000_7,
            p99_ms: 0.012,
            batch_rows: 30,
            batch_rows_per_second: 1e6,
        };
        assert!(
            found
                .sentence()
                .starts_with("One prediction took 0.7 µs in half of 200 cases and at most 12 µs in")
        );
    }
}
