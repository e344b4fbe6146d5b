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
    #[cfg(target_os = "linux")]
    let (page, second) = (rustix::param::page_size() as i64, rustix::param::clock_ticks_per_second() as f64);
    #[cfg(not(target_os = "linux"))]
    let (page, second) = (4096, 100.0);
    Some((resident * page, (ticks(11)? + ticks(12)?) / second))
}
