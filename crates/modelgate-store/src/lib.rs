//! Files that are whole or not there: atomic writes, the content-addressed store and the project lock.
//!
//! Owns: how bytes reach the disk. Refuses: what they mean.

pub mod atomic;
mod content;
mod error;
mod lock;

pub use content::ContentStore;
pub use error::StoreError;
pub use lock::{LockHolder, ProjectLock, host};
