//! What the process says of itself, and the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns resident bytes and seconds of processor time, where `/proc` tells them.
pub(super) fn process() -> Option<(i64, f64)> {
    let resident: i64 = fs_err::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Pages of 4096 bytes and 100 ticks a second are what Linux has on x86-64 and arm64.
    Some((resident * 4096, (ticks(11)? + ticks(12)?) / 100.0))
}
