//! How long one prediction takes here and now; what `latency.json` holds. It is no part of the package or of any digest:
//! another machine, or another minute, has other times.

use std::time::{Duration, Instant};

use modelgate_core::{Digest, canonical};
use modelgate_data::Table;
use modelgate_model::{InputColumn, LoadedModel};
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::outputs;
use crate::project::Pipeline;

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

/// The file in the state folder, beside the records of the stages.
const KEPT: &str = "latency.json";
/// The file in the outputs.
const SHOWN: &str = "latency.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    package: Digest,
    latency: Latency,
}

/// Keeps the times of a package for the gate: what lies in the outputs anybody may edit.
pub(crate) fn keep(pipeline: &Pipeline<'_>, package: Digest, latency: &Latency) -> Result<(), PipelineError> {
    let text = canonical::to_pretty(&Kept { package, latency: latency.clone() })?;
    modelgate_store::atomic::write(&pipeline.records().join(KEPT), text.as_bytes())?;
    Ok(())
}

/// Shows the times of `package` in the outputs.
pub(crate) fn show(pipeline: &Pipeline<'_>, package: Digest) -> Result<(), PipelineError> {
    match kept(pipeline, package) {
        Some(latency) => outputs::write_json(&pipeline.outputs(), SHOWN, &latency),
        // What an earlier run measured is not of this model.
        None => outputs::remove(&pipeline.outputs(), SHOWN),
    }
}

/// Returns the times that were measured of a package here; `None` when none were.
pub(crate) fn kept(pipeline: &Pipeline<'_>, package: Digest) -> Option<Latency> {
    let text = fs_err::read(pipeline.records().join(KEPT)).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    (kept.package == package).then_some(kept.latency)
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
/// A slow model is timed for about so long with single rows, and for as long with many; some predictions are always made.
const LONG: Duration = Duration::from_secs(5);
const FEWEST: usize = 20;

/// Times `model` on `rows` of `table`; `None` without rows. What is timed is the model: each row's columns are in its types
/// before the clock starts.
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
    let singles = model.columns(table, &rows[..rows.len().min(PREDICTIONS + WARM_UP)])?;
    let times = times(|at| {
        let row = (at % rows.len()) as u32;
        let columns: Vec<InputColumn> = singles.iter().map(|column| column.take(&[row])).collect();
        let started = Instant::now();
        model.predict_columns(&columns, 1)?;
        Ok::<_, PipelineError>(started.elapsed())
    })?;
    let (p50_ms, p99_ms) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let affordable = (LONG.as_secs_f64() * 1e3 / p50_ms.max(1e-9)) as usize;
    let batch = &rows[..rows.len().min(BATCH).min(affordable.max(FEWEST))];
    let columns = model.columns(table, batch)?;
    let started = Instant::now();
    model.predict_columns(&columns, batch.len())?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Some(Latency {
        schema_version: 1,
        predictions: times.len() as u64,
        p50_ms,
        p99_ms,
        batch_rows: batch.len() as u64,
        batch_rows_per_second: batch.len() as f64 / seconds.max(1e-9),
    }))
}

/// Returns how many milliseconds each prediction took, sorted; `once` makes one and says how long it took.
fn times<E>(mut once: impl FnMut(usize) -> Result<Duration, E>) -> Result<Vec<f64>, E> {
    let mut times = Vec::with_capacity(PREDICTIONS);
    let mut whole = Duration::ZERO;
    for at in 0..PREDICTIONS + WARM_UP {
        let took = once(at)?;
        whole += took;
        if at >= WARM_UP {
            times.push(took.as_secs_f64() * 1e3);
        }
        if times.len() >= FEWEST && whole > LONG {
            break;
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_model_is_timed_with_fewer_predictions() {
        let taking = |milliseconds: u64| {
            let mut asked = 0;
            let found = times(|at| {
                asked += 1;
                // The first ones find nothing in the caches.
                let took = if at < WARM_UP { 2 * milliseconds } else { milliseconds };
                Ok::<_, std::convert::Infallible>(Duration::from_millis(took))
            });
            let found = found.expect("nothing fails");
            assert!(found.iter().all(|took| (took - milliseconds as f64).abs() < 1e-9), "{found:?}");
            (asked, found.len())
        };
        assert_eq!(taking(1), (220, 200));
        assert_eq!(taking(100), (40, 20));
        assert_eq!(taking(40), (106, 86), "after more than five seconds in all");
    }

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
