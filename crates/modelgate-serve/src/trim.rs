//! Code and tables that only the start has needed stay mapped and count as memory in use, though answering needs a fraction of
//! them. Their pages are given back once; what is needed after all is mapped again from the cache of the file.
#![expect(unsafe_code, reason = "giving pages back is a call of the system that has no safe form")]

use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Gives back the pages of the program and its libraries that nobody may write to, where the system says that none was changed.
pub(crate) fn trim() {
    let Ok(maps) = fs_err::read_to_string("/proc/self/smaps") else { return };
    for range in unchanged(&maps) {
        // SAFETY: the range is of a file, mapped without the right to write and as it is in the file: what is given back reads
        // the same when it is touched again. The system checks the range.
        let _given = unsafe { madvise(range.start as *mut _, range.len(), Advice::LinuxDontNeed) };
        // Where it is refused the process is larger, and works as well.
    }
}

/// Returns the mappings of files that cannot be written and have no page of their own, from what `/proc/PID/smaps` says.
fn unchanged(maps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in maps.lines() {
        if let Some((range, is_fixed)) = begins(line) {
            mapping = is_fixed.then_some(range);
        } else if let Some(changed) = line.strip_prefix("Anonymous:")
            && let Some(range) = mapping.take()
            && changed.trim() == "0 kB"
        {
            found.push(range);
        }
    }
    found
}

/// Returns the range of a mapping where the line begins one, and whether it is of a file and cannot be written.
fn begins(line: &str) -> Option<(Range<usize>, bool)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let range = number(start)?..number(end)?;
    let is_fixed = matches!(fields.next(), Some("r-xp" | "r--p"));
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((range, is_fixed && is_file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_pages_of_files_are_given_back() {
        let maps = "\
55d0c0000000-55d0c0ae0000 r--p 00000000 fe:00 12 /usr/bin/modelgate
Rss:                3328 kB
Anonymous:             0 kB
55d0c0ae0000-55d0c2999000 r-xp 00ae0000 fe:00 12 /usr/bin/modelgate
Rss:                7836 kB
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 13 /usr/lib/a library.so
Anonymous:             4 kB
7f0000002000-7f0000003000 rwxp 00000000 fe:00 14 /usr/lib/other.so
Anonymous:             0 kB
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
VmFlags: rd ex mr mw me de sd
";
        let program = [0x55d0_c000_0000..0x55d0_c0ae_0000, 0x55d0_c0ae_0000..0x55d0_c299_9000];
        assert_eq!(unchanged(maps), program);
        assert!(unchanged("").is_empty());
    }

    #[test]
    fn the_program_goes_on_after_its_pages_were_given_back() {
        let maps = fs_err::read_to_string("/proc/self/smaps").expect("the mappings");
        assert!(!unchanged(&maps).is_empty());
        trim();
        let sorted = {
            let mut lines: Vec<String> = maps.lines().map(str::to_uppercase).collect();
            lines.sort();
            lines
        };
        assert!(sorted.is_sorted() && sorted.len() == maps.lines().count());
    }
}
