//! For tests only: throw-away projects and the binary under test.
//!
//! Owns: [`TestProject`] and where test data is. Refuses: being shipped.

mod data;
pub mod github;
pub mod hub;
mod loopback;
mod project;
mod s3;
mod service;

pub use data::{example, shared_table, skip, skip_case};
pub use project::{Output, TestProject};
pub use s3::{CuttingProxy, LosingProxy, Lost, S3Server, data_python};
pub use service::{Reply, Service, send};
