//! The files of `ci init`: workflows of GitHub Actions, a Makefile and a justfile. They are the reader's to change: what was
//! edited is never overwritten without being asked.

pub(crate) mod parts;
mod paths;
mod render;
mod steps;
mod write;

pub use paths::Watched;
pub use render::{Deploy, Plan, SIGNING_KEY, WORKFLOWS, files, repository, said};
pub use write::{DEPLOY_DOCKER, Outcome, Written, is_foreign, write, write_marked};
