//! The metrics of one model, looked up once when it is loaded.

use std::sync::OnceLock;
use std::time::Duration;

use modelgate_model::Prediction;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Counters and histograms of one version of a model.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    /// Times of requests, by [`super::Route`]; there from the first one on.
    pub(crate) seconds: Vec<OnceLock<Histogram>>,
    /// Requests answered with 200, by [`super::Route`].
    pub(crate) answered: Vec<Counter>,
    pub(crate) predict_seconds: Histogram,
    pub(crate) rows: Counter,
    pub(crate) batch_rows: Histogram,
    /// Answers by class.
    pub(crate) classes: Vec<Counter>,
    /// Answers of a regression from zero on.
    pub(crate) values: Histogram,
    /// Those below zero, without their sign.
    pub(crate) values_below_zero: Histogram,
}

impl Meters {
    pub(crate) fn predicted(&self, prediction: &Prediction, rows: usize, took: Duration) {
        self.predict_seconds.observe(took.as_secs_f64());
        self.rows.inc_by(rows as u64);
        self.batch_rows.observe(rows as f64);
        match prediction {
            Prediction::Classes { labels, .. } => {
                for label in labels {
                    if let Some(class) = self.classes.get(*label as usize) {
                        class.inc();
                    }
                }
            }
            Prediction::Values(values) => values.iter().for_each(|value| self.value(f64::from(*value))),
        }
    }

    fn value(&self, value: f64) {
        // The sum of a histogram only grows: what is no number would end it.
        if !value.is_finite() {
            return;
        }
        let histogram = if value < 0.0 { &self.values_below_zero } else { &self.values };
        histogram.observe(value.abs());
    }
}
