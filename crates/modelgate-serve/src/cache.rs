//! Packages on disk, so that a start does not need the source. What is read from here is verified like anything else.
//!
//! Each source has a folder of its own: two services of one project that serve from other places leave each other's
//! packages alone. Services of the same source share one, and a lock lets one of them at its packages at a time.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_model::Manifest;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::source::{Files, MANIFEST, Offer};

/// A folder with the packages that were served last.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

const SERVED: &str = "served.json";
/// The file whose lock is held while packages come and go.
const LOCK: &str = "lock";
/// Sources whose folders stay. One that is no longer served from must not fill the disk for ever.
const SOURCES: usize = 16;
/// Letters of the name of a source's folder.
const LETTERS: usize = 16;

/// Returns the folder, below `folder`, of what is served from a source: of the place and what is asked of it.
pub(crate) fn place(folder: &Path, source: &str) -> PathBuf {
    // A digest: an address may be private.
    folder.join(&Digest::of(source.as_bytes()).hex()[..LETTERS])
}

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

    /// Waits until no other service, and no other thread of this one, is at the packages; until the file is closed.
    fn lock(&self) -> std::io::Result<std::fs::File> {
        fs_err::create_dir_all(&self.folder)?;
        let mut options = fs_err::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(self.folder.join(LOCK))?.into_file();
        file.lock()?;
        Ok(file)
    }

    /// Keeps a package, unless it is there.
    pub(crate) fn keep(&self, digest: &Digest, files: &Files) -> Result<(), String> {
        let folder = self.package(digest);
        let _lock = self.lock().map_err(|error| error.to_string())?;
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
        let _lock = self.lock().map_err(|error| error.to_string())?;
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
        self.forget_sources();
        Ok(())
    }

    /// Removes the folders of sources that were confirmed longest ago. What cannot be removed stays: it is in nobody's way.
    fn forget_sources(&self) {
        let Some(entries) = self.folder.parent().and_then(|parent| fs_err::read_dir(parent).ok()) else {
            return;
        };
        let mut sources: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.len() == LETTERS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
            .filter_map(|entry| {
                let served = fs_err::metadata(entry.path().join(SERVED)).ok()?;
                Some((served.modified().ok()?, entry.path()))
            })
            .collect();
        sources.sort();
        let many = sources.len().saturating_sub(SOURCES);
        for (_, folder) in sources.iter().take(many).filter(|(_, folder)| *folder != self.folder) {
            let _ = fs_err::remove_dir_all(folder);
        }
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

    /// Returns the manifest of a package, if it is there; nothing is verified.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = fs_err::read(self.package(digest).join(MANIFEST)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Returns a package, if it is there.
    pub(crate) fn files(&self, digest: &Digest) -> Option<Files> {
        let folder = self.package(digest);
        // A cache that cannot be written has nothing under way, and can be read.
        if let Ok(_lock) = self.lock() {
            atomic::recover_folder(&folder).ok()?;
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn package(seed: usize) -> (Digest, Files) {
        let text = format!("package {seed}");
        let files = ["MODEL_CARD.md", "manifest.json", "model.onnx"];
        let files = files.map(|name| (name.to_owned(), text.clone().into_bytes()));
        (Digest::of(text.as_bytes()), Files::from(files))
    }

    fn offer(digest: Digest) -> Offer {
        let name = "shop".parse().expect("a name");
        let (version, stage) = ("v001".to_owned(), String::new());
        Offer { name, version, digest, stage, metrics: BTreeMap::new(), attached: None }
    }

    fn remember(cache: &Cache, source: &str, digest: Digest) {
        cache.remember(source, vec![offer(digest)], |_| false, &[]).expect("remembered");
    }

    #[test]
    fn services_of_other_sources_leave_each_other_their_packages() {
        let folder = tempfile::tempdir().expect("folder");
        let caches = ["production", "staging"].map(|source| {
            let cache = Cache::new(place(folder.path(), source));
            let (digest, files) = package(source.len());
            cache.keep(&digest, &files).expect("kept");
            remember(&cache, source, digest);
            (source, cache, digest, files)
        });
        for (source, cache, digest, files) in caches {
            assert_eq!(cache.offers(source), Some(vec![offer(digest)]));
            assert_eq!(cache.files(&digest), Some(files));
        }
    }

    #[test]
    fn services_that_start_at_once_keep_what_they_serve() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().expect("folder");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let cache = Cache::new(folder.path().join("serve"));
                        let (digest, files) = package(1);
                        cache.keep(&digest, &files).expect("kept");
                        remember(&cache, "registry", digest);
                        assert_eq!(cache.files(&digest), Some(files));
                    });
                }
            });
        }
    }

    #[test]
    fn a_package_that_is_served_no_more_goes_and_so_does_the_oldest_of_many_sources() {
        let folder = tempfile::tempdir().expect("folder");
        let of = |source: &str| Cache::new(place(folder.path(), source));
        let first = of("source 0");
        for seed in [1, 2] {
            let (digest, files) = package(seed);
            first.keep(&digest, &files).expect("kept");
            remember(&first, "source 0", digest);
        }
        assert_eq!((first.files(&package(1).0), first.files(&package(2).0).is_some()), (None, true));
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let served = fs_err::OpenOptions::new().write(true).open(first.folder.join(SERVED)).expect("open");
        served.into_file().set_modified(old).expect("an old file");
        fs_err::create_dir(folder.path().join("of somebody else")).expect("made");
        for number in 1..=SOURCES {
            let source = format!("source {number}");
            remember(&of(&source), &source, package(1).0);
        }
        assert!(of("source 0").offers("source 0").is_none() && of("source 1").offers("source 1").is_some());
        assert!(folder.path().join("of somebody else").exists());
        assert_eq!(fs_err::read_dir(folder.path()).expect("listing").count(), SOURCES + 1);
    }
}
