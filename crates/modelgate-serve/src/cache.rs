//! Packages on disk, so that a start does not need the source. What is read from here is verified like anything else.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::source::{Files, Offer};

/// A folder with the packages that were served last.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

const SERVED: &str = "served.json";

#[derive(Serialize, Deserialize)]
struct Remembered {
    /// The digest of what was asked: an address may be private.
    source: Digest,
    offers: Vec<Offer>,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn package(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string().replace(':', "-"))
    }

    /// Keeps a package, unless it is there.
    pub(crate) fn keep(&self, digest: &Digest, files: &Files) -> Result<(), String> {
        let folder = self.package(digest);
        if read(&folder).is_some_and(|kept| kept == *files) {
            return Ok(());
        }
        atomic::replace_folder(&folder, files).map_err(|error| error.to_string())
    }

    /// Remembers what is served, and forgets packages that are not; those of `canaries` stay. But for the models that `keeps` names, of which what
    /// was served last may be served again.
    pub(crate) fn remember(
        &self,
        source: &str,
        mut offers: Vec<Offer>,
        keeps: impl Fn(&str) -> bool,
        canaries: &[Digest],
    ) -> Result<(), String> {
        let before = self.offers(source).unwrap_or_default();
        let kept = before.into_iter().filter(|old| keeps(old.name.as_str()));
        let kept: Vec<Offer> = kept.filter(|old| offers.iter().all(|one| one.name != old.name)).collect();
        offers.extend(kept);
        let kept = offers.iter().map(|offer| &offer.digest).chain(canaries);
        let kept: Vec<PathBuf> = kept.map(|digest| self.package(digest)).collect();
        let remembered = Remembered { source: Digest::of(source.as_bytes()), offers };
        let bytes = serde_json::to_vec_pretty(&remembered).map_err(|error| error.to_string())?;
        atomic::write(&self.folder.join(SERVED), &bytes).map_err(|error| error.to_string())?;
        let Ok(entries) = fs_err::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            let ours = entry.file_name().to_string_lossy().starts_with("sha256-");
            if ours && path.is_dir() && !kept.contains(&path) {
                fs_err::remove_dir_all(&path).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Returns what was served last, if it came from the same source.
    pub(crate) fn offers(&self, source: &str) -> Option<Vec<Offer>> {
        let bytes = fs_err::read(self.folder.join(SERVED)).ok()?;
        let remembered: Remembered = serde_json::from_slice(&bytes).ok()?;
        (remembered.source == Digest::of(source.as_bytes())).then_some(remembered.offers)
    }

    /// Returns the bytes of all packages, and when the source last confirmed them in seconds since 1970.
    pub(crate) fn extent(&self) -> Option<(u64, u64)> {
        let written = fs_err::metadata(self.folder.join(SERVED)).ok()?.modified().ok()?;
        let written = written.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        let mut bytes = 0;
        for folder in fs_err::read_dir(&self.folder).ok()?.flatten().filter(|entry| entry.path().is_dir()) {
            for file in fs_err::read_dir(folder.path()).ok()?.flatten() {
                bytes += file.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        Some((bytes, written))
    }

    /// Returns a package, if it is there.
    pub(crate) fn files(&self, digest: &Digest) -> Option<Files> {
        let folder = self.package(digest);
        atomic::recover_folder(&folder).ok()?;
        read(&folder)
    }
}

fn read(folder: &Path) -> Option<Files> {
    let mut files = Files::new();
    for entry in fs_err::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        files.insert(entry.file_name().into_string().ok()?, fs_err::read(entry.path()).ok()?);
    }
    Some(files)
}
