//! Metrics and plots.
