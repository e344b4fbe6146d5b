//! The ledger in its homes, and what it says of versions, stages and aliases.
//!
//! Owns: where ledger and packages are kept, and the index over them. Refuses: HTTP serving, and deciding what
//! is allowed, which is `modelgate_core::lifecycle`.

mod error;
mod folder_home;
mod git_home;
mod home;
mod index;
mod registry;
mod uri;

pub use error::RegistryError;
pub use home::{Home, Objects};
pub use index::{Index, RunRow};
pub use registry::{Registry, VerifyReport};
pub use uri::RegistryUri;
