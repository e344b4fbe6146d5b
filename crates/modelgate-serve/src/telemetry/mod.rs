//! What the service tells of itself: metrics, a line for each prediction, traces, and sentences for its operator.

mod line;
mod log;
mod meters;
mod metrics;
#[cfg(any(feature = "otlp", test))]
mod otlp;
mod sink;
pub(crate) mod talk;
mod trace;
mod tracer;

pub(crate) use line::Answered;
pub(crate) use log::Log;
pub(crate) use meters::Meters;
pub(crate) use metrics::{Metrics, Route};
pub(crate) use talk::line;
pub(crate) use trace::{Attribute, Context};
pub(crate) use tracer::{HEADER as TRACE_HEADER, REQUEST, Tracer};
