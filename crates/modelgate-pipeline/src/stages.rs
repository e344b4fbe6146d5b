//! The work inside each stage.

pub(crate) mod contract;
pub(crate) mod data;
pub(crate) mod dataset;
pub(crate) mod judge;
pub(crate) mod model;
pub(crate) mod registration;
