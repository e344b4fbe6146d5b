//! The ledger in its homes, and what it says of versions, stages and aliases.
//!
//! Owns: where ledger and packages are kept, and the index over them. Refuses: HTTP serving, and deciding what
//! is allowed, which is `modelgate_core::lifecycle`.

mod accepted;
mod archive;
mod chain_file;
mod error;
#[cfg(test)]
mod fixture;
mod folder_home;
mod git_home;
mod home;
mod index;
mod index_damage;
mod index_queries;
mod index_seal;
mod index_state;
mod kept;
mod notice;
mod object_home;
mod registry;
mod removal;
mod stamp;
mod uri;
mod verification;

pub use accepted::{Acceptance, Acceptances, accept, acceptances};
pub use archive::{ArchiveManifest, ArchivedRuns, export, export_what_is_whole, import};
pub use error::RegistryError;
pub use home::{Home, Objects, Position, StoredObject};
pub use index::{Index, RunRow};
pub use index_queries::{ListedVersion, WasInProduction};
pub use notice::{listen, tell};
pub use registry::{Accepted, OnDisk, Registry};
pub use stamp::Stamp;
pub use uri::RegistryUri;
pub use verification::{VerifyReport, verify_file, verify_file_with};
