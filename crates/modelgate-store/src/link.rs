//! How a large file gets from the project into the store and back without being kept twice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{StoreError, atomic};

/// Which ways may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPolicy {
    /// A reflink, or a copy where the file system has none: what is done to one file never reaches the other.
    #[default]
    Auto,
    /// Only reflinks: both share their blocks until one is changed.
    Reflink,
    /// Only hard links: both are one file, which becomes read-only. A file that lies outside of the project, behind a
    /// symbolic link, is copied: it is nobody's here to link or to protect.
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
        matches!(self, Self::Auto | Self::Reflink)
    }

    pub(crate) fn hardlink(self) -> bool {
        self == Self::Hardlink
    }

    pub(crate) fn copy(self) -> bool {
        matches!(self, Self::Auto | Self::Copy)
    }

    /// Returns the policy on a file system that is known to have no reflinks.
    pub(crate) fn no_reflink(self) -> Self {
        if self == Self::Auto { Self::Copy } else { self }
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

/// Brings the file `source` to `target`, over what is there; a hard link is read-only, and so is `source` then.
///
/// # Errors
/// Names the file; `target` is then as it was.
pub fn bring(source: &Path, target: &Path, policy: LinkPolicy) -> Result<Link, StoreError> {
    if let Some(folder) = target.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let staged = Staged(atomic::temporary(target));
    let link = if policy.reflink() && reflink_copy::reflink(source, &staged.0).is_ok() {
        unprotect(&staged.0)?;
        Link::Reflink
    } else if policy.hardlink() && std::fs::hard_link(source, &staged.0).is_ok() {
        protect(&staged.0)?;
        Link::Hardlink
    } else if policy.copy() {
        let copy = atomic::create(&staged.0)?;
        let mut object = fs_err::File::open(source)?;
        std::io::copy(&mut object, &mut &copy)?;
        sync(&copy, object.metadata()?.len())?;
        Link::Copy
    } else {
        let reason = "the file system has none".to_owned();
        return Err(StoreError::NoLink { path: target.to_owned(), kind: policy.only(), reason });
    };
    fs_err::rename(&staged.0, target)?;
    std::mem::forget(staged);
    Ok(link)
}

/// Flushes a large copy; small ones are left to the system, since an object is checked whenever it is used and its
/// source is still there.
pub(crate) fn sync(file: &fs_err::File, size: u64) -> std::io::Result<()> {
    if size >= 1 << 20 { file.sync_data() } else { Ok(()) }
}

/// A file that is being made; removed if it does not get to its place.
pub(crate) struct Staged(pub(crate) PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Gives the owner the right to write to a file that is his own.
fn unprotect(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs_err::metadata(path)?.permissions().mode();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o200))?;
    }
    #[cfg(not(unix))]
    {
        let mut permissions = fs_err::metadata(path)?.permissions();
        permissions.set_readonly(false);
        fs_err::set_permissions(path, permissions)?;
    }
    Ok(())
}
