//! Files that are whole or not there: atomic writes, the content-addressed store, homes of objects elsewhere, and
//! the project lock.
//!
//! Owns: how bytes reach the disk. Refuses: what they mean.

pub mod atomic;
mod content;
mod error;
pub mod git;
pub mod hashing;
mod identity;
mod index;
mod link;
mod lock;
mod proxy;
pub mod remote;
mod trust;

pub use content::{ContentStore, Kept, Listed};
pub use error::StoreError;
pub use hashing::{CHUNK, Md5};
pub use identity::FileIdentity;
pub use index::DigestIndex;
pub use link::{Link, LinkPolicy, bring};
pub use lock::{LockHolder, ProjectLock, host};
pub use proxy::proxy;
pub use trust::trust;
