//! One writer per project.

use std::fmt;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

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

/// Looks at a lock file whose holder is not written down yet, and the pause between two of them.
const LOOKS: (u32, Duration) = (20, Duration::from_millis(5));

impl LockHolder {
    /// Reads who holds the lock of a file. Whoever has just taken it writes it down a moment later.
    fn read(file: &mut std::fs::File) -> Self {
        for _ in 0..LOOKS.0 {
            let mut text = String::new();
            let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
            if let (Ok(_), Ok(holder)) = (read, serde_json::from_str(&text)) {
                return holder;
            }
            std::thread::sleep(LOOKS.1);
        }
        Self {
            pid: 0,
            host: "an unknown machine".to_owned(),
            since: "an unknown time".to_owned(),
            command: "modelgate".to_owned(),
        }
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
            return Err(StoreError::Locked { holder: LockHolder::read(&mut file) });
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
    #[test]
    fn a_holder_that_has_just_taken_the_lock_is_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let mut first = std::fs::File::create_new(&path).expect("a file");
        first.try_lock().expect("free");
        let text = r#"{"pid":7,"host":"here","since":"2026-01-01T00:00:00Z","command":"modelgate run"}"#;
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                first.write_all(text.as_bytes()).expect("written");
            });
            ProjectLock::acquire(&path, "modelgate run", "2026-01-01T00:00:01Z")
                .expect_err("held")
                .to_string()
        });
        assert!(error.contains("`modelgate run`, process 7 on here"), "{error}");
    }
}
