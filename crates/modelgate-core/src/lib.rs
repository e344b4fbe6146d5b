//! The domain of modelgate as pure values and functions.
//!
//! Owns: digests, names, metrics, the feature schema, rules and verdicts, the lifecycle and rollout state
//! machines and the ledger's events. Refuses: files, clocks, network, randomness; a caller passes those in as values.

pub mod algorithm;
pub mod canonical;
pub mod chain;
pub mod digest;
pub mod ledger;
pub mod lifecycle;
pub mod metric;
pub mod names;
pub mod rollout;
pub mod rule;
pub mod schema;
pub mod verdict;

pub use digest::Digest;
pub use names::{Alias, ModelName, RunId, VersionNumber, is_hub_repository};

pub use verdict::Verdict;
