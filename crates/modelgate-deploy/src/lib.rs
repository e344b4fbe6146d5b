//! Where modelgate meets other services: GitHub, and the workflows that run there.
//!
//! Owns: what is said to GitHub and in which words; the files that `ci init` writes. Refuses: judging anything – a verdict
//! comes in, and goes out as it came.

mod error;
pub mod github;
pub mod workflows;

pub use error::DeployError;
