//! Where modelgate meets other services: GitHub, the workflows that run there, and the Hugging Face Hub.
//!
//! Owns: what is said to GitHub and to the Hub, and in which words; the files of `ci init` and of containers; results on a
//! branch. Refuses: judging anything – a verdict comes in, and goes out as it came.

pub mod branch;
pub mod containers;
mod error;
pub mod github;
pub mod hub;
pub mod space;
pub mod workflows;

pub use error::DeployError;
