//! What a file looks like from outside: while it is the same, its content need not be read again.

use std::fs::Metadata;
use std::path::Path;

use crate::RegistryError;

/// Size, times and identity of a file. The change time cannot be set by a program, so an edit shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    size: u64,
    text: String,
}

impl Stamp {
    /// Returns the stamp of the file, or of an empty one when it is not there.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn of(path: &Path) -> Result<Self, RegistryError> {
        match fs_err::metadata(path) {
            Ok(metadata) => Ok(Self::of_metadata(&metadata)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { size: 0, text: "none".to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the stamp that no file has: whoever finds it looks at the file.
    pub fn unknown() -> Self {
        Self { size: 0, text: "unknown".to_owned() }
    }

    /// Returns the stamp of an open file.
    pub fn of_metadata(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), text: text(metadata) }
    }

    /// Returns the file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the stamp as the index keeps it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(unix)]
fn text(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(
        "{} {} {}.{:09} {}.{:09}",
        metadata.len(),
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

#[cfg(not(unix))]
fn text(metadata: &Metadata) -> String {
    let since = |time: std::io::Result<std::time::SystemTime>| {
        time.ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |time| time.as_nanos())
    };
    format!("{} {} {}", metadata.len(), since(metadata.modified()), since(metadata.created()))
}
