//! One writer per project.

use std::fmt;
use std::io::{Read, Seek, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Who holds the lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// What it does.
    pub command: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`, process {} on {}, since {}", self.command, self.pid, self.host, self.since)
    }
}

/// The project's lock; free when dropped. The system frees it when its process dies, so it is never stale.
#[derive(Debug)]
pub struct ProjectLock {
    _file: std::fs::File,
}

impl ProjectLock {
    /// Takes the lock file `path`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the holder when another process has it.
    pub fn acquire(path: &Path, command: &str, now: &str) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let mut options = fs_err::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let mut file = file.into_file();
        if let Err(error) = file.try_lock() {
            if let std::fs::TryLockError::Error(error) = error {
                return Err(error.into());
            }
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            let unknown = || LockHolder {
                pid: 0,
                host: "an unknown machine".to_owned(),
                since: "an unknown time".to_owned(),
                command: "modelgate".to_owned(),
            };
            return Err(StoreError::Locked {
                holder: serde_json::from_str(&text).unwrap_or_else(|_| unknown()),
            });
        }
        let holder = LockHolder {
            pid: std::process::id(),
            host: host(),
            since: now.to_owned(),
            command: command.to_owned(),
        };
        file.set_len(0)?;
        file.rewind()?;
        // A holder that cannot be written down holds the lock all the same.
        let _ = file.write_all(serde_json::to_string(&holder).unwrap_or_default().as_bytes());
        Ok(Self { _file: file })
    }
}

/// Returns the name of this machine.
pub fn host() -> String {
    let from_variable = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok();
    let from_system =
        || fs_err::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    from_variable().or_else(from_system).unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_of_the_first() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let first = ProjectLock::acquire(&path, "modelgate run", "2026-01-01T00:00:00Z").expect("free");
        let error = ProjectLock::acquire(&path, "modelgate run", "2026-01-01T00:00:01Z")
            .expect_err("held")
            .to_string();
        assert!(
            error.contains(&std::process::id().to_string()) && error.contains("since 2026-01-01"),
            "{error}"
        );
        drop(first);
        assert!(ProjectLock::acquire(&path, "modelgate run", "2026-01-01T00:00:02Z").is_ok());
    }
}
