//! How the copy of a bucket's ledger follows its objects, the segments.
//!
//! A bucket may lose objects, be put back to an earlier state, or be filled anew, and says nothing of it. So each look lists
//! the segments from the one on that holds the copy's last event: it has to be there, with the same bytes, and none may be
//! missing behind it. Its place in the copy and its tag are kept beside the copy; with the same tag it is not fetched.
//! One request where nothing is new, and one for each segment that is; another for a segment written from here, whose tag
//! only a look tells. What is missing before it does not make the copy wrong, and is looked for before anything is written.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::remote::Version;
use serde::{Deserialize, Serialize};

use super::ObjectStoreHome;
use crate::folder_home::append_behind;
use crate::home::Home as _;
use crate::stamp::Stamp;
use crate::{RegistryError, kept};

/// The folder of the segments.
const FOLDER: &str = "ledger";

pub(super) fn segment_key(first: u64) -> String {
    format!("{FOLDER}/{first:012}.jsonl")
}

/// The last segment that was copied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    /// The number of its first event.
    first: u64,
    /// The number of the event behind it.
    next: u64,
    /// Its first byte in the copy.
    start: u64,
    bytes: u64,
    /// What the bucket calls this state of it; empty where that is not known.
    tag: String,
    digest: Digest,
}

impl Tail {
    pub(super) fn new(first: u64, start: u64, text: &str, tag: &str) -> Self {
        let (next, bytes) = (first + text.lines().count() as u64, text.len() as u64);
        Self { first, next, start, bytes, tag: tag.to_owned(), digest: Digest::of(text.as_bytes()) }
    }

    /// Returns whether the bucket has this segment still, and the copy too.
    fn stands(&self, listed: &Listed, copy: &Path) -> std::io::Result<bool> {
        let same = listed.first == self.first && listed.bytes == self.bytes;
        if !same || self.tag.is_empty() || self.tag != listed.tag {
            return Ok(false);
        }
        Ok(Digest::of(&range(copy, self.start, self.bytes)?) == self.digest)
    }
}

/// A segment as a listing names it.
struct Listed {
    first: u64,
    bytes: u64,
    tag: String,
}

/// Returns `bytes` bytes of a file from `start` on, or as many as there are.
fn range(path: &Path, start: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut found = Vec::new();
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    file.take(bytes).read_to_end(&mut found)?;
    Ok(found)
}

impl ObjectStoreHome {
    /// Returns the lines of a segment and what the bucket calls this state of it.
    pub(super) fn segment(&self, first: u64) -> Result<Option<(String, Version)>, RegistryError> {
        let found = self.objects.get(&segment_key(first)).map_err(|error| self.unavailable(error))?;
        let Some((bytes, version)) = found else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|_| self.unavailable(format!("`{}` is not UTF-8", segment_key(first))))?;
        if text.is_empty() || !text.ends_with('\n') {
            return Err(self.unavailable(format!("`{}` does not end with a line", segment_key(first))));
        }
        Ok(Some((text, version)))
    }

    /// Returns the segments from the number `first` on, in their order.
    fn listed(&self, first: u64) -> Result<Vec<Listed>, RegistryError> {
        let after = segment_key(first.saturating_sub(1));
        let found = self.objects.list_behind(FOLDER, &after).map_err(|error| self.unavailable(error))?;
        let listed = |(key, bytes, version): (String, u64, Version)| {
            let first = key.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".jsonl")?.parse().ok()?;
            // What is no name of ours is never read, and is none of our business.
            (segment_key(first) == key).then(|| Listed { first, bytes, tag: version.as_str().to_owned() })
        };
        Ok(found.into_iter().filter_map(listed).collect())
    }

    fn tail_file(&self) -> PathBuf {
        self.copy.with_extension("tail")
    }

    fn tail(&self) -> Option<Tail> {
        serde_json::from_str(&fs_err::read_to_string(self.tail_file()).ok()?).ok()
    }

    /// Keeps which segment was copied last. Without that the copy is made anew: a disk that is full is no reason to fail.
    pub(super) fn remember(&self, tail: &Tail) {
        if self.tail().as_ref() != Some(tail)
            && let Ok(text) = serde_json::to_vec(tail)
        {
            let _ = modelgate_store::atomic::write(&self.tail_file(), &text);
        }
    }

    /// Brings the copy up to date from its last segment on. Returns `false` when it is not what the bucket holds, or nothing
    /// is known of its segments: then it has to be made anew.
    pub(super) fn go_on(&self) -> Result<bool, RegistryError> {
        let (_, mut end) = self.copied()?;
        let mut tail = self.tail();
        // Either may be gone without the other: both are files of a cache.
        if tail.is_some() != (end > 0) {
            return Ok(false);
        }
        let (mut at, mut start) = tail.as_ref().map_or((1, 0), |tail| (tail.first, tail.start));
        let listed = self.listed(at)?;
        let mut place = 0;
        while let Some(one) = listed.get(place) {
            if one.first < at {
                return Err(self.stray(one.first, at));
            }
            if let Some(known) = &tail
                && at == known.first
                && known.stands(one, &self.copy)?
            {
                (at, start, place) = (known.next, start + known.bytes, place + 1);
                continue;
            }
            let Some((text, version)) = self.segment(at)? else { return Ok(false) };
            let bytes = text.len() as u64;
            let held =
                if start < end { range(&self.copy, start, bytes.min(end - start))? } else { Vec::new() };
            if start > end || !text.as_bytes().starts_with(&held) {
                return Ok(false);
            }
            if (held.len() as u64) < bytes && self.copy_behind(end, &text[held.len()..])?.is_none() {
                // Another process of this project may have copied the same lines.
                let (_, now) = self.copied()?;
                if now == end {
                    // What stands behind the last event is no event: the copy is damaged.
                    return Ok(false);
                }
                end = now;
                continue;
            }
            end = end.max(start + bytes);
            // A listing that lags behind lacks a segment that can be read.
            if one.first == at {
                place += 1;
            }
            let copied = Tail::new(at, start, &text, version.as_str());
            (at, start) = (copied.next, start + bytes);
            tail = Some(copied);
        }
        if start != end {
            return Ok(false);
        }
        if let Some(tail) = &tail {
            self.remember(tail);
        }
        Ok(true)
    }

    /// Adds lines of the bucket to the copy. That the copy cannot take them says nothing of the ledger, which has them.
    fn copy_behind(&self, end: u64, lines: &str) -> Result<Option<Stamp>, RegistryError> {
        append_behind(&self.copy, end, lines).map_err(|error| match error {
            RegistryError::Append { path, source } => RegistryError::Copy { path, source },
            other => other,
        })
    }

    /// Returns whether the bucket holds every byte that the copy has up to the event `seq` at its `end`. Else the copy is made
    /// anew, and may be another then.
    ///
    /// # Errors
    /// Names the segment that is missing.
    pub(super) fn holds(&self, seq: u64, end: u64) -> Result<bool, RegistryError> {
        let listed = self.listed(1)?;
        let bytes: u64 = listed.iter().filter(|one| one.first <= seq).map(|one| one.bytes).sum();
        if bytes == end {
            return Ok(true);
        }
        self.fetch()?;
        // It was a listing that lagged.
        Ok(self.copied()? == (seq, end))
    }

    /// Makes the copy anew from every segment. One that holds what the bucket has lost is kept beside it.
    pub(super) fn fetch(&self) -> Result<(), RegistryError> {
        let listed = self.listed(1)?;
        let (mut text, mut at, mut tail) = (String::new(), 1, None);
        let mut place = 0;
        loop {
            let next = listed.get(place);
            if let Some(next) = next.filter(|next| next.first < at) {
                return Err(self.stray(next.first, at));
            }
            // Also behind the last that is listed, where a listing lags.
            let Some((segment, version)) = self.segment(at)? else {
                match listed[place..].iter().find(|other| other.first > at) {
                    Some(behind) => return Err(self.hole(at, behind.first)),
                    None => break,
                }
            };
            if next.is_some_and(|next| next.first == at) {
                place += 1;
            }
            let copied = Tail::new(at, text.len() as u64, &segment, version.as_str());
            text.push_str(&segment);
            at = copied.next;
            tail = Some(copied);
        }
        let held = fs_err::read(&self.copy).unwrap_or_default();
        if held != text.as_bytes() {
            kept::before(&self.copy, text.as_bytes())?;
            modelgate_store::atomic::write(&self.copy, text.as_bytes())?;
        }
        match &tail {
            Some(tail) => self.remember(tail),
            None => drop(fs_err::remove_file(self.tail_file())),
        }
        Ok(())
    }

    fn hole(&self, missing: u64, behind: u64) -> RegistryError {
        let (missing_key, behind) = (segment_key(missing), segment_key(behind));
        let what = format!(
            "`{missing_key}` is missing, and `{behind}` stands behind it: events from {missing} on were removed from the \
             bucket"
        );
        RegistryError::Segments { home: self.name(), what }
    }

    fn stray(&self, first: u64, next: u64) -> RegistryError {
        let what = format!(
            "`{}` is there, and the segment before it holds the events up to {} already: two histories are in the bucket",
            segment_key(first),
            next - 1
        );
        RegistryError::Segments { home: self.name(), what }
    }
}
