//! Reading a ledger from its file: in blocks, so that a million events need no memory of their size, the lines of a
//! block on all cores.

use std::io::{Read, Seek, SeekFrom};
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

fn entry(bytes: &[u8]) -> Result<LedgerEntry, BadLine> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| BadLine::changed(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    read_line(text)
}
