//! The arguments of `modelgate deploy`.

use clap::{Args, Subcommand};
use modelgate_core::ModelName;

#[derive(Subcommand, Debug)]
pub(crate) enum Deploy {
    /// Record in the ledger that a version was brought to a place that serves it.
    Record(Record),
}

/// The arguments of `deploy record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The model.
    pub(crate) model: ModelName,
    /// A version (`3`, `v003`) or an alias.
    #[arg(default_value = "production")]
    pub(crate) version: String,
    /// The place, such as `kubernetes/prod`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) target: String,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}
