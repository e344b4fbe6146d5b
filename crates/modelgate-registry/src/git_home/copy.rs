//! The copy of a branch's ledger, the commit that it is of, and what is kept of it when the branch has lost events.

use std::io::{BufRead, Read, Seek, SeekFrom};
use std::path::PathBuf;

use modelgate_core::Digest;

use super::GitBranchHome;
use crate::{RegistryError, kept};

/// Says which ledger of which commit the copy is: two commands at once may each write one of the two files last, and a pair
/// that does not belong together must not be believed.
fn label(tip: &str, ledger: &[u8]) -> String {
    format!("{tip} {} {}", ledger.len(), last_line(ledger))
}

/// Returns the digest of a ledger's last line, which has the hash of the one before it, and so tells of all.
fn last_line(ledger: &[u8]) -> Digest {
    let whole = ledger.strip_suffix(b"\n").unwrap_or(ledger);
    let start = memchr::memrchr(b'\n', whole).map_or(0, |feed| feed + 1);
    Digest::of(&ledger[start..])
}

impl GitBranchHome {
    /// Returns the file that says which commit the copy is of.
    fn copied(&self) -> PathBuf {
        self.copy.with_extension("commit")
    }

    /// Returns the commit that the copy is of, empty where there was no branch; `None` where that is not known.
    pub(super) fn copied_commit(&self) -> Option<String> {
        let text = fs_err::read_to_string(self.copied()).ok()?;
        let (tip, said) = text.split_once(' ')?;
        let (bytes, digest) = said.split_once(' ')?;
        let (bytes, digest) = (bytes.parse::<u64>().ok()?, digest.parse::<Digest>().ok()?);
        (self.copy_ends_with(bytes, &digest).ok()?).then(|| tip.to_owned())
    }

    /// Returns whether the copy has so many bytes, and a last line of this digest.
    fn copy_ends_with(&self, bytes: u64, digest: &Digest) -> std::io::Result<bool> {
        let mut file = fs_err::File::open(&self.copy)?;
        if file.metadata()?.len() != bytes {
            return Ok(false);
        }
        let mut block = 1 << 16;
        loop {
            let start = bytes.saturating_sub(block);
            file.seek(SeekFrom::Start(start))?;
            let mut end = Vec::new();
            file.by_ref().take(block).read_to_end(&mut end)?;
            // A line may be of any length.
            let whole = end.strip_suffix(b"\n").unwrap_or(&end);
            if start == 0 || whole.contains(&b'\n') {
                return Ok(last_line(&end) == *digest);
            }
            block *= 8;
        }
    }

    /// Returns whether the copy begins with these bytes.
    pub(super) fn copy_begins_with(&self, held: &[u8]) -> bool {
        if held.is_empty() {
            return true;
        }
        let begins = || -> std::io::Result<bool> {
            let mut file = std::io::BufReader::with_capacity(1 << 16, fs_err::File::open(&self.copy)?);
            let mut rest = held;
            while !rest.is_empty() {
                let block = file.fill_buf()?;
                let length = block.len().min(rest.len());
                if length == 0 || block[..length] != rest[..length] {
                    return Ok(false);
                }
                file.consume(length);
                rest = &rest[length..];
            }
            Ok(true)
        };
        begins().unwrap_or(false)
    }

    /// Makes the copy that of `ledger`, which is of the tip.
    pub(super) fn keep_copy(&self, ledger: &[u8]) -> Result<(), RegistryError> {
        // A copy of an unknown commit is fetched again: killed between the two writes, nothing is wrong.
        match fs_err::remove_file(self.copied()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        modelgate_store::atomic::write(&self.copy, ledger)?;
        let tip = self.tip.clone().unwrap_or_default();
        Ok(modelgate_store::atomic::write(&self.copied(), label(&tip, ledger).as_bytes())?)
    }

    /// Returns the reference of a commit that is kept.
    pub(super) fn kept_reference(&self, label: &str) -> String {
        format!("refs/modelgate/kept/{}/{label}", self.branch)
    }

    /// Keeps the ledger that was copied, and the commit it is of, where `ledger`, which takes its place, lacks events of it.
    pub(super) fn keep_what_is_lost(&self, copied: Option<&str>, ledger: &[u8]) -> Result<(), RegistryError> {
        let Some(kept) = kept::before(&self.copy, ledger)? else { return Ok(()) };
        if let Some(commit) = copied.filter(|commit| !commit.is_empty()) {
            // A commit that git has cleared away meanwhile cannot be named; its lines are kept.
            let _ = self.try_git(&["update-ref", &self.kept_reference(&kept.label), commit], None, None)?;
        }
        Ok(())
    }
}
