//! The work inside each stage.

pub(crate) mod analyse;
pub(crate) mod beside;
mod class_order;
pub(crate) mod coarse;
pub(crate) mod command;
mod confirmed;
pub(crate) mod contract;
pub(crate) mod data;
pub(crate) mod dataset;
mod heard;
pub(crate) mod judge;
pub(crate) mod measured;
pub(crate) mod model;
mod number_words;
pub(crate) mod registration;
pub(crate) mod search;
pub(crate) mod trials;
