//! How a large file gets from the project into the store and back without being kept twice.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Which ways may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPolicy {
    /// The best that the file system has: reflink, hard link, copy.
    #[default]
    Auto,
    /// A reflink, or a copy where the file system has none: nothing in the project becomes read-only.
    Separate,
    /// Only reflinks: both share their blocks until one is changed.
    Reflink,
    /// Only hard links: both are one file, which becomes read-only.
    Hardlink,
    /// Only copies.
    Copy,
}

/// Which way was taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Both share their blocks until one is changed.
    Reflink,
    /// Both are one read-only file.
    Hardlink,
    /// Each has its own bytes.
    Copy,
}

impl std::fmt::Display for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Reflink => "reflink",
            Self::Hardlink => "hard link",
            Self::Copy => "copy",
        })
    }
}

impl LinkPolicy {
    pub(crate) fn reflink(self) -> bool {
        matches!(self, Self::Auto | Self::Separate | Self::Reflink)
    }

    pub(crate) fn hardlink(self) -> bool {
        matches!(self, Self::Auto | Self::Hardlink)
    }

    pub(crate) fn copy(self) -> bool {
        matches!(self, Self::Auto | Self::Separate | Self::Copy)
    }

    /// Returns the only kind that is allowed, for messages.
    pub(crate) fn only(self) -> &'static str {
        match self {
            Self::Hardlink => "hard link",
            _ => "reflink",
        }
    }
}

/// Takes the right to write from everybody.
pub(crate) fn protect(path: &Path) -> std::io::Result<()> {
    let mut permissions = fs_err::metadata(path)?.permissions();
    if !permissions.readonly() {
        permissions.set_readonly(true);
        fs_err::set_permissions(path, permissions)?;
    }
    Ok(())
}
