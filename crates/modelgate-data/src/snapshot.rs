//! Versions of data: which files a data set has, what is in them, and how their contents get about.
//!
//! The key type is [`Pointer`], a small file that is committed to git in place of the data. [`take`] makes one from
//! the files in the project and keeps their contents in the store; [`Transfer`] moves contents between the store and
//! a home elsewhere; [`restore`] brings the files back into the project.

mod error;
mod find;
mod pointer;
mod restore;
mod take;
mod transfer;
mod unlisted;

pub use error::SnapshotError;
pub use find::{Found, find};
pub use pointer::{Pointer, SnapshotFile, manifest};
pub use restore::{Restored, restore};
pub(crate) use restore::{inside, is_tools_folder};
pub use take::{Taken, take};
pub use transfer::{Moved, Transfer, key};
pub use unlisted::{prune, unlisted};
