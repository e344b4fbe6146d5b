//! What DVC tracks, read and never changed: `.dvc` files, `dvc.lock`, `dvc.yaml`, the cache and the remote.
//!
//! The key type is [`DvcRepository`]. Files come from DVC's cache or remote with their MD5 checked; what comes from a
//! remote is put into the cache, where DVC finds it too.

mod config;
mod contents;
mod declared;
mod folder;
mod output;
mod pull;
mod repository;
mod stages;
mod templates;
mod yaml;

pub use output::{DvcHash, DvcOutput, lexical};
pub use pull::DvcPulled;
pub use repository::DvcRepository;
pub use stages::{DvcStage, stages};
