//! What tells that a file is the one that was read before, without reading it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a file's bytes are and when they last changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileIdentity {
    /// The file system.
    pub device: u64,
    /// The file's number in it; 0 where the system has none, and then nothing is remembered of the file.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its bytes changed, in nanoseconds since 1970.
    pub modified: i64,
    /// When its bytes, links or rights changed, in nanoseconds since 1970.
    pub changed: i64,
}

impl FileIdentity {
    /// Returns the identity that `metadata` tells of.
    #[cfg(unix)]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns the identity that `metadata` tells of.
    #[cfg(not(unix))]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.map_or(0, |since| since.as_nanos() as i64);
        Self { device: 0, inode: 0, size: metadata.len(), modified, changed: modified }
    }

    /// Returns whether both are the same file of the same file system, whatever is in it.
    pub fn same_file(&self, other: &Self) -> bool {
        self.inode != 0 && (self.device, self.inode) == (other.device, other.inode)
    }

    /// Returns whether a write after `now` is sure to give the file other times than these.
    ///
    /// A clock of a file system moves in ticks: a file written to twice within one has the same times after both. So
    /// what was read in the tick of the last write must be read again next time.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as i64;
        // The longest tick of a Linux kernel is 10 ms; times in whole seconds come from file systems that keep no
        // fractions, some of them in steps of two seconds.
        let tick = |time: i64| if time % 1_000_000_000 == 0 { 2_000_000_000 } else { 20_000_000 };
        [self.modified, self.changed].into_iter().all(|time| time.saturating_add(tick(time)) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_to_a_moment_ago_is_not_settled() {
        let at = |modified: i64| FileIdentity { device: 1, inode: 2, size: 3, modified, changed: modified };
        let now = UNIX_EPOCH + Duration::from_nanos(10_000_000_500);
        assert!(!at(10_000_000_400).is_settled(now));
        assert!(at(9_900_000_400).is_settled(now));
        // Whole seconds: the file system may not know better.
        assert!(!at(9_000_000_000).is_settled(now));
        assert!(at(8_000_000_000).is_settled(now));
        // From the future: the clocks differ.
        assert!(!at(20_000_000_400).is_settled(now));
    }
}
