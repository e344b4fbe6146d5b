//! What can go wrong between here and another service.

use std::path::PathBuf;

use thiserror::Error;

/// Why something was not said or written.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The command does not run where it is meant to, or a variable of the place is wrong.
    #[error("{0}")]
    Place(String),
    /// The service refuses.
    #[error("GitHub refuses {what} ({status}): {reason}")]
    Refused {
        /// What was asked, such as `POST /repos/o/r/issues/1/comments`.
        what: String,
        /// The status.
        status: u16,
        /// The service's own words, shortened.
        reason: String,
    },
    /// The service cannot be reached, or answers with errors of its own.
    #[error("GitHub could not be reached for {what}: {reason}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A file that was edited would be overwritten.
    #[error("{path} was edited here and is not overwritten; `--force` does it", path = path.display())]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] modelgate_store::StoreError),
}
