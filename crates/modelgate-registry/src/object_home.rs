//! A registry in an object store: below `ledger/` one object per append, named by the number of its first event and
//! written only where there is none, so that of two writers at the same head one wins and the other looks again.
//! `segments.rs` says how the copy follows them.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::remote::ObjectHome;

use crate::RegistryError;
use crate::folder_home::append_behind;
use crate::home::{Home, Objects, Position, StoredObject, object_key};
use crate::kept;
use crate::stamp::Stamp;

mod segments;

use segments::{Tail, segment_key};

/// A prefix of a bucket, or any other home of objects with conditional writes.
pub(crate) struct ObjectStoreHome {
    objects: Box<dyn ObjectHome>,
    /// The local copy of the ledger.
    copy: PathBuf,
    /// Whether the store was seen to refuse a second object of one name.
    refuses: bool,
}

/// An object that is written twice: a store that takes it a second time does not do what is asked of it.
const PROBE: (&str, &str) =
    ("conditional-writes", "The store must refuse this object where it is there already.\n");

impl ObjectStoreHome {
    pub(crate) fn new(objects: Box<dyn ObjectHome>, state_folder: &Path) -> Self {
        let name = Digest::of(format!("objects {}", objects.place()).as_bytes()).short();
        let copy = state_folder.join("cache").join("ledgers").join(format!("{name}.jsonl"));
        Self { objects, copy, refuses: false }
    }

    fn unavailable(&self, reason: impl std::fmt::Display) -> RegistryError {
        RegistryError::Unavailable { home: self.name(), reason: reason.to_string() }
    }

    /// Says that an append was not answered: the bucket may have it.
    fn unanswered(&self, reason: impl std::fmt::Display) -> RegistryError {
        self.unavailable(reason).of_unknown_outcome()
    }

    /// Puts back the objects of an event that is written: a collection at the same time may have removed what was there a
    /// moment ago, before it read this event.
    fn keep_still(&self, objects: &Objects) -> Result<(), RegistryError> {
        for (digest, bytes) in objects {
            let key = object_key(digest);
            if self.objects.size(&key).map_err(|error| self.unanswered(error))?.is_none() {
                self.objects.put_if_absent(&key, bytes).map_err(|error| self.unanswered(error))?;
            }
        }
        Ok(())
    }

    /// Asks, once, whether the store refuses to write over an object. One that ignores the condition lets two writers both
    /// believe that they wrote the next event, and the first of them loses it without a word.
    fn ask_for_refusals(&mut self) -> Result<(), RegistryError> {
        let put = |home: &Self| {
            let written = home.objects.put_if_absent(PROBE.0, PROBE.1.as_bytes());
            written.map_err(|error| home.unavailable(error))
        };
        // The first time there is none, and it is written; from then on one request is enough.
        if !self.refuses && put(self)? && put(self)? {
            return Err(RegistryError::NoConditions { home: self.name() });
        }
        self.refuses = true;
        Ok(())
    }

    /// Returns the number of whole lines of the copy and the byte behind them.
    fn copied(&self) -> Result<(u64, u64), RegistryError> {
        use std::io::BufRead;
        let file = match fs_err::File::open(&self.copy) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(error.into()),
        };
        // The last line says which number it has: the lines before it need not be counted.
        let size = file.metadata()?.len();
        let mut start = size.saturating_sub(1 << 20);
        loop {
            use std::io::{Seek, SeekFrom};
            let mut reader = std::io::BufReader::new(file.try_clone()?);
            reader.seek(SeekFrom::Start(start))?;
            let (mut end, mut seq, mut at) = (0, 0, start);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
                at += line.len() as u64;
                if let Some(number) = number_of(&line) {
                    (end, seq) = (at, number);
                }
                line.clear();
            }
            if seq > 0 || start == 0 {
                return Ok((seq, end));
            }
            start = start.saturating_sub(1 << 22);
        }
    }
}

/// Returns the number of the event on a whole line; `None` for the rest of a line that begins elsewhere.
fn number_of(line: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Number {
        seq: u64,
    }
    serde_json::from_slice::<Number>(line).ok().map(|number| number.seq)
}

impl Home for ObjectStoreHome {
    fn name(&self) -> String {
        self.objects.name()
    }

    fn key(&self) -> String {
        self.objects.place()
    }

    fn ledger(&self) -> &Path {
        &self.copy
    }

    fn keeps_a_copy(&self) -> bool {
        true
    }

    fn kept(&self, hash: &Digest) -> Option<String> {
        let kept = kept::with(&self.copy, hash)?;
        Some(format!("`{}` is one", kept.path.display()))
    }

    fn pull(&mut self, again: bool) -> Result<(), RegistryError> {
        if !again && self.go_on()? {
            return Ok(());
        }
        self.fetch()
    }

    fn append(
        &mut self,
        expected: &Position,
        lines: &str,
        objects: &Objects,
    ) -> Result<Option<Stamp>, RegistryError> {
        let last = expected.head.map_or(0, |head| head.seq);
        if !self.holds(last, expected.end)? {
            return Ok(None);
        }
        self.ask_for_refusals()?;
        self.keep(objects)?;
        let first = last + 1;
        let written = self.objects.put_if_absent(&segment_key(first), lines.as_bytes());
        // A write whose answer was lost is tried again by the client, and then finds itself there.
        if !written.map_err(|error| self.unanswered(error))?
            && self.segment(first)?.is_none_or(|(text, _)| text != lines)
        {
            return Ok(None);
        }
        self.keep_still(objects)?;
        match append_behind(&self.copy, expected.end, lines) {
            Ok(Some(stamp)) => {
                self.remember(&Tail::new(first, expected.end, lines, ""));
                Ok(Some(stamp))
            }
            // The event is written, and the copy is one: where another process of this project has copied it, and perhaps what
            // came after it, or where the disk is full, the file does not end where the caller believes.
            Ok(None) | Err(_) => Ok(Some(Stamp::unknown())),
        }
    }

    fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError> {
        for (digest, bytes) in objects {
            let put = self.objects.put_if_absent(&object_key(digest), bytes);
            put.map_err(|error| self.unavailable(error))?;
        }
        Ok(())
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let found = self.objects.get(&object_key(digest)).map_err(|error| self.unavailable(error))?;
        let Some((bytes, _)) = found else {
            return Err(RegistryError::MissingObject { digest: *digest, home: self.name() });
        };
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(RegistryError::DamagedObject { digest: *digest, home: self.name() })
    }

    fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        let found = self.objects.list("objects/sha256").map_err(|error| self.unavailable(error))?;
        let object = |(key, bytes): (String, u64)| {
            let hex = key.strip_prefix("objects/sha256/")?.replace('/', "");
            Some(StoredObject { digest: format!("sha256:{hex}").parse().ok()?, bytes, touched: None })
        };
        Ok(found.into_iter().filter_map(object).collect())
    }

    fn removes_alone(&self) -> bool {
        false
    }

    fn remove(&mut self, _expected: &Position, digests: &[Digest]) -> Result<bool, RegistryError> {
        for digest in digests {
            self.objects.remove(&object_key(digest)).map_err(|error| self.unavailable(error))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
