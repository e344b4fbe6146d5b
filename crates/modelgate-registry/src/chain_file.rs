//! Reading a ledger from its file: in blocks, so that a million events need no memory of their size, the lines of a
//! block on all cores.

use std::io::{BufRead, Read, Seek, SeekFrom};
use std::path::Path;

use modelgate_core::chain::{BadLine, ChainError, check_link, read_line};
use modelgate_core::ledger::{Head, LedgerEntry, ReplayError};
use rayon::prelude::*;

/// Bytes read at a time.
const BLOCK: usize = 4 << 20;

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It was changed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It holds what the lifecycle does not allow.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Where an entry stands in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The first byte of its line.
    pub(crate) start: u64,
    /// The byte behind its line feed.
    pub(crate) end: u64,
}

/// Reads the whole lines of `path` from the byte `start` to the byte `end`, checks each and that it follows the one
/// before, and hands them to `each` in order. A last line without a line feed, the rest of a killed write, is left out.
///
/// # Errors
/// Names the first line that is wrong, or fails as `each` does.
pub(crate) fn for_each_entry(
    path: &Path,
    start: u64,
    end: u64,
    mut previous: Option<Head>,
    mut each: impl FnMut(LedgerEntry, Place) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if end <= start {
        return Ok(());
    }
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut rest = file.take(end - start);
    let mut line = previous.map_or(1, |head| head.seq + 1);
    let mut place = start;
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let before = buffer.len();
        let read = rest.by_ref().take(BLOCK as u64).read_to_end(&mut buffer)?;
        let Some(whole) = memchr::memrchr(b'\n', &buffer[before..]) else {
            if read == 0 {
                return Ok(());
            }
            continue;
        };
        let whole = before + whole + 1;
        let mut lines: Vec<&[u8]> = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..whole]) {
            lines.push(&buffer[start..end]);
            start = end + 1;
        }
        let entries: Vec<Result<LedgerEntry, BadLine>> =
            lines.par_iter().with_min_len(256).map(|bytes| entry(bytes)).collect();
        for (bytes, entry) in lines.iter().zip(entries) {
            let entry = entry.map_err(|bad| bad.at(line))?;
            check_link(&entry, line, previous)?;
            previous = Some(entry.head());
            let next = place + bytes.len() as u64 + 1;
            each(entry, Place { start: place, end: next })?;
            (place, line) = (next, line + 1);
        }
        buffer.drain(..whole);
    }
}

/// Reads the whole lines of `path` up to the byte `end` that hold `word`, in their order, on all cores. Each is checked by
/// itself alone: what stands between them is passed over unread, so that one model of a long ledger is found quickly.
///
/// # Errors
/// Fails at a line that is wrong, whose number is not known here.
pub(crate) fn entries_with(
    path: &Path,
    end: u64,
    word: &str,
) -> Result<Vec<(LedgerEntry, Place)>, ReadError> {
    entries_in_blocks(path, end, word, BLOCK as u64)
}

fn entries_in_blocks(
    path: &Path,
    end: u64,
    word: &str,
    block: u64,
) -> Result<Vec<(LedgerEntry, Place)>, ReadError> {
    let finder = memchr::memmem::Finder::new(word);
    let blocks = (0..end.div_ceil(block)).into_par_iter();
    let found: Result<Vec<_>, ReadError> = blocks
        .map(|number| {
            let start = number * block;
            entries_from(path, start, (start + block).min(end), end, &finder)
        })
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Reads the lines that begin from the byte `start` to the byte `stop`, and hold what `finder` looks for.
fn entries_from(
    path: &Path,
    start: u64,
    stop: u64,
    end: u64,
    finder: &memchr::memmem::Finder<'_>,
) -> Result<Vec<(LedgerEntry, Place)>, ReadError> {
    // The byte before tells whether a line begins here.
    let from = start.saturating_sub(1);
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::with_capacity((stop - from) as usize);
    file.by_ref().take(stop - from).read_to_end(&mut text)?;
    let first = if start == 0 { Some(0) } else { memchr::memchr(b'\n', &text).map(|at| at + 1) };
    let Some(mut at) = first else { return Ok(Vec::new()) };
    if !text.ends_with(b"\n") {
        // The last line goes on in the next block, which leaves it to this one.
        std::io::BufReader::new(file.take(end.saturating_sub(stop))).read_until(b'\n', &mut text)?;
    }
    let mut found = Vec::new();
    while let Some(hit) = text.get(at..).and_then(|rest| finder.find(rest)).map(|hit| at + hit) {
        let line = memchr::memrchr(b'\n', &text[at..hit]).map_or(at, |feed| at + feed + 1);
        let Some(feed) = memchr::memchr(b'\n', &text[hit..]).map(|feed| hit + feed) else { break };
        let place = Place { start: from + line as u64, end: from + feed as u64 + 1 };
        let entry = entry(&text[line..feed]).map_err(|bad| bad.at(0))?;
        found.push((entry, place));
        at = feed + 1;
    }
    Ok(found)
}

fn entry(bytes: &[u8]) -> Result<LedgerEntry, BadLine> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| BadLine::changed(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    read_line(text)
}

#[cfg(test)]
mod tests {
    use modelgate_core::VersionNumber;
    use modelgate_core::ledger::LedgerEvent;

    use super::*;

    /// Writes a ledger in which two models take turns, and returns where each line of `churn` stands.
    fn ledger(path: &Path) -> Vec<(LedgerEntry, Place)> {
        let (mut text, mut head, mut of_churn) = (String::new(), None, Vec::new());
        for number in 0..12_u32 {
            let model = if number % 3 == 1 { "churn" } else { "churn-of-others" };
            let event = LedgerEvent::Rejected {
                model: model.parse().expect("a name"),
                version: VersionNumber(number),
                reason: "x".repeat(number as usize * 7),
            };
            let time = "2026-01-01T00:00:00.000Z".to_owned();
            let entry = LedgerEntry::seal(event, (None, None), time, "a".to_owned(), head).expect("sealed");
            head = Some(entry.head());
            let start = text.len() as u64;
            text.push_str(&entry.to_line().expect("a line"));
            if number % 3 == 1 {
                of_churn.push((entry, Place { start, end: text.len() as u64 }));
            }
        }
        // The rest of a killed write is no line.
        let rest = text.lines().nth(1).expect("a line")[..80].to_owned();
        fs_err::write(path, text + &rest).expect("written");
        of_churn
    }

    #[test]
    fn the_lines_of_a_model_are_found_wherever_the_blocks_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        let expected = ledger(&path);
        let end = fs_err::metadata(&path).expect("a file").len();
        for block in (1..700).chain([end - 1, end, end + 1]) {
            let found = entries_in_blocks(&path, end, "\"churn\"", block).expect("read");
            assert_eq!(found, expected, "{block}");
        }
        assert!(entries_with(&path, 0, "\"churn\"").expect("nothing").is_empty());
    }
}
