//! What the service tells of itself: metrics, and a line for each prediction.

mod log;
mod meters;
mod metrics;

pub(crate) use log::{Entry, Log};
pub(crate) use meters::Meters;
pub(crate) use metrics::{Metrics, Route};
