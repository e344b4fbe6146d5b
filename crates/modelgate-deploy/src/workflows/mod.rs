//! The files of `ci init`: workflows of GitHub Actions, a Makefile and a justfile. They are the reader's to change: what was
//! edited is never overwritten without being asked.

pub(crate) mod parts;
mod render;
mod write;

pub use render::{Deploy, Plan, files, repository};
pub use write::{DEPLOY_DOCKER, Outcome, Written, write, write_marked};
