//! What can go wrong with versions of data.

use std::path::PathBuf;

use modelgate_core::Digest;

/// A snapshot could not be taken, moved or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// What is asked for is not there.
    #[error("`{source_name}`: {reason}")]
    Source {
        /// The file, glob or folder.
        source_name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A pointer file cannot be used.
    #[error("{}{}: {message}", path.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
    Pointer {
        /// The file.
        path: PathBuf,
        /// The line, when it is about one.
        line: Option<u64>,
        /// What is wrong and what to do.
        message: String,
    },
    /// A content is neither here nor there.
    #[error(
        "the content {digest} of `{name}` is not in `{home}`; somebody who has it must run `modelgate data push`"
    )]
    NotThere {
        /// The file.
        name: String,
        /// Its content.
        digest: Digest,
        /// Where it was looked for.
        home: String,
    },
    /// A file would be lost.
    #[error(
        "`{0}` has changes that no snapshot has; keep them with `modelgate data snapshot`, or give `--force` to lose them"
    )]
    Changes(String),
    /// A file of DVC cannot be used.
    #[error("{}: {message}", path.display())]
    Dvc {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file could not be kept or moved.
    #[error(transparent)]
    Store(#[from] modelgate_store::StoreError),
    /// A home could not be used.
    #[error(transparent)]
    Remote(#[from] modelgate_store::remote::RemoteError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
