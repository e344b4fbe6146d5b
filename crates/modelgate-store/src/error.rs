//! What can go wrong with files.

use std::path::PathBuf;

use modelgate_core::Digest;

use crate::lock::LockHolder;

/// A file could not be read, written or locked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system said no; the error names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An object is not in the store.
    #[error("the object {digest} is not in the store `{}`", root.display())]
    Missing {
        /// The object.
        digest: Digest,
        /// The store.
        root: PathBuf,
    },
    /// An object's bytes are not those it is named by.
    #[error("`{}` is damaged: its content has digest {found}; remove it, and run again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its bytes hash to.
        found: Digest,
    },
    /// A file was written to while it was read.
    #[error("`{}` changed while it was read; try again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// What should be a file is a folder, a pipe or a device.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Links of one kind were asked for, and the file system has none.
    #[error("`{}` cannot be put into the store by {kind}: {reason}; use another `data.link`", path.display())]
    NoLink {
        /// The file.
        path: PathBuf,
        /// The kind of link.
        kind: &'static str,
        /// What the system says.
        reason: String,
    },
    /// A home of objects could not be used.
    #[error(transparent)]
    Remote(#[from] crate::remote::RemoteError),
    /// Another process works on the project.
    #[error(
        "another modelgate works on this project: {holder}; wait for it to end, or stop it: nothing is left half done"
    )]
    Locked {
        /// Who.
        holder: LockHolder,
    },
}
