//! What CI does with the binary: what it says on GitHub, and the workflows that it runs.

mod barred;
#[cfg(unix)]
mod clones;
mod comment;
#[cfg(unix)]
mod deployments;
mod distribution;
#[cfg(unix)]
mod expression;
mod issue;
#[cfg(unix)]
mod recipes;
#[cfg(unix)]
mod runner;
mod tutorial;
pub(crate) mod workflows;
