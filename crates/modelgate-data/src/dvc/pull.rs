//! Bringing files that DVC tracks into the working copy: from the cache, or from the remote through the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use modelgate_store::remote::{ObjectHome, RemoteError};
use modelgate_store::{DigestIndex, LinkPolicy, bring};
use rayon::prelude::*;
use serde::Serialize;

use super::output::{DvcHash, DvcOutput};
use super::repository::DvcRepository;
use crate::snapshot::{SnapshotError, inside};

/// The ending of what is arriving.
const PARTIAL: &str = "partial";
/// What no byte has come to for so long is left by a command that was killed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a pull of DVC's files did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DvcPulled {
    /// The remotes that were asked.
    pub remotes: Vec<String>,
    /// Contents that were fetched.
    pub fetched: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were written.
    pub written: u64,
    /// Files that were as they should be.
    pub unchanged: u64,
    /// What is neither in the cache nor in its remote: its path, and why.
    pub missing: Vec<(String, String)>,
    /// What is not in the cache and is on the machine alone that made it: `push: false`.
    pub kept: Vec<String>,
}

/// What a remote does not have: the path, why, and the content.
type Nowhere = Vec<(String, String, DvcHash)>;

/// Opens a remote when a content is not in the cache.
struct Remotes<'a> {
    repository: &'a DvcRepository,
    environment: &'a dyn Fn(&str) -> Option<String>,
    open: BTreeMap<Option<String>, Box<dyn ObjectHome>>,
}

impl Remotes<'_> {
    fn get(&mut self, name: Option<&str>) -> Result<&dyn ObjectHome, SnapshotError> {
        let key = name.map(str::to_owned);
        if !self.open.contains_key(&key) {
            let home = self.repository.remote(name, self.environment)?;
            self.open.insert(key.clone(), home);
        }
        Ok(self.open[&key].as_ref())
    }
}

impl DvcRepository {
    /// Writes `outputs` into the working copy, fetching what the cache does not have; every content has its MD5
    /// checked. What is nowhere is left out and told.
    ///
    /// # Errors
    /// Fails when a content has other bytes, when a link leads a file out of the repository, and with [`SnapshotError::Changes`] for a file whose
    /// content is not in the cache and would be lost, unless `force`.
    pub fn pull(
        &self,
        outputs: &[DvcOutput],
        environment: &dyn Fn(&str) -> Option<String>,
        index: &DigestIndex,
        force: bool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<DvcPulled, SnapshotError> {
        let mut remotes = Remotes { repository: self, environment, open: BTreeMap::new() };
        let mut pulled = DvcPulled::default();
        let mut files: Vec<(PathBuf, DvcHash)> = Vec::new();
        for output in outputs {
            if !output.is_pushed && self.cached(&output.hash).is_none() {
                pulled.kept.push(self.shown(&output.path));
                continue;
            }
            let wanted = vec![(output.path.clone(), output.hash)];
            let found = self.fetch(wanted, output, &mut remotes, index, &mut pulled, progress)?;
            if !output.hash.is_folder {
                files.extend(found);
                continue;
            }
            let Some(list) = self.cached(&output.hash) else { continue };
            let mut listed = Vec::new();
            for file in Self::list(&list, &output.hash)? {
                let hash = DvcHash::parse(&file.md5, output.hash.is_legacy).ok_or_else(|| {
                    let message = format!("the MD5 of `{}` is none", file.relpath);
                    SnapshotError::Dvc { path: list.clone(), message }
                })?;
                listed.push((output.path.join(file.relpath), hash));
            }
            let before = pulled.missing.len();
            let found = self.fetch(listed, output, &mut remotes, index, &mut pulled, progress)?;
            // A part of a folder would be learned from as if it were all of it.
            let lacks = &mut pulled.missing[before..];
            if lacks.is_empty() {
                files.extend(found);
            }
            for (_, reason) in lacks {
                reason
                    .push_str(&format!("; nothing of the folder `{}` was written", self.shown(&output.path)));
            }
        }
        pulled.remotes = remotes.open.values().map(|home| home.name()).collect();
        // First look at all, then write: a refusal leaves the working copy as it was.
        let look = |(path, hash): &(PathBuf, DvcHash)| -> Result<bool, SnapshotError> {
            inside(&self.root, path, &self.shown(path))?;
            if !path.exists() {
                return Ok(true);
            }
            if Self::is_content(path, hash, index)? {
                return Ok(false);
            }
            let current = DvcHash { md5: index.md5_of(path)?, is_folder: false, is_legacy: false };
            if force || self.cached(&current).is_some() {
                return Ok(true);
            }
            Err(SnapshotError::Changes(self.shown(path)))
        };
        let wanted: Vec<Result<bool, SnapshotError>> = files.par_iter().map(look).collect();
        let wanted = wanted.into_iter().collect::<Result<Vec<bool>, _>>()?;
        let write = |((path, hash), wanted): (&(PathBuf, DvcHash), &bool)| -> Result<(), SnapshotError> {
            let Some(cached) = self.cached(hash).filter(|_| *wanted) else { return Ok(()) };
            bring(&cached, path, LinkPolicy::Auto)?;
            Ok(())
        };
        files.par_iter().zip(&wanted).map(write).collect::<Result<Vec<()>, _>>()?;
        pulled.written = wanted.iter().filter(|wanted| **wanted).count() as u64;
        pulled.unchanged = wanted.len() as u64 - pulled.written;
        Ok(pulled)
    }

    /// Returns a path as messages name it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Brings the contents that the cache does not have, or has damaged, into the cache; returns those that are in it now.
    fn fetch(
        &self,
        wanted: Vec<(PathBuf, DvcHash)>,
        output: &DvcOutput,
        remotes: &mut Remotes<'_>,
        index: &DigestIndex,
        pulled: &mut DvcPulled,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<(PathBuf, DvcHash)>, SnapshotError> {
        let missing = |(_, hash): &(PathBuf, DvcHash)| -> Result<bool, SnapshotError> {
            let Some(cached) = self.cached(hash) else { return Ok(true) };
            if Self::is_content(&cached, hash, index)? {
                progress(fs_err::metadata(&cached)?.len());
                return Ok(false);
            }
            fs_err::remove_file(&cached)?;
            Ok(true)
        };
        let missing: Vec<Result<bool, SnapshotError>> = wanted.par_iter().map(missing).collect();
        let is_missing = missing.into_iter().collect::<Result<Vec<bool>, _>>()?;
        let mut missing: Vec<_> =
            wanted.iter().zip(is_missing).filter(|(_, missing)| *missing).map(|(wanted, _)| wanted).collect();
        missing.sort_unstable_by_key(|(_, hash)| *hash);
        missing.dedup_by_key(|(_, hash)| *hash);
        if missing.is_empty() {
            return Ok(wanted);
        }
        let home = remotes.get(output.remote.as_deref()).map_err(|error| match error {
            SnapshotError::Dvc { path, message } => SnapshotError::Dvc {
                message: format!("{message}; and the cache does not have `{}`", self.shown(&output.path)),
                path,
            },
            other => other,
        })?;
        let folders: BTreeSet<_> = missing
            .iter()
            .filter_map(|(_, hash)| Some(self.cache.join(&hash.keys()[0]).parent()?.to_owned()))
            .collect();
        folders.iter().for_each(|folder| remove_left(folder));
        let bytes = AtomicU64::new(0);
        let count = |more: u64| {
            bytes.fetch_add(more, Ordering::Relaxed);
            progress(more);
        };
        let threads = home.parallel().min(missing.len());
        let chunk = missing.len().div_ceil(threads);
        let results: Vec<Result<Nowhere, SnapshotError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = missing
                .chunks(chunk)
                .map(|part| {
                    let count = &count;
                    scope.spawn(move || {
                        let mut nowhere = Nowhere::new();
                        for (path, hash) in part {
                            if let Some(reason) = self.fetch_one(home, hash, index, count)? {
                                nowhere.push((self.shown(path), reason, *hash));
                            }
                        }
                        Ok(nowhere)
                    })
                })
                .collect();
            let panicked = || Err(std::io::Error::other("a thread ended by itself").into());
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| panicked())).collect()
        });
        let nowhere = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        pulled.fetched += (missing.len() - nowhere.len()) as u64;
        pulled.bytes += bytes.into_inner();
        let mut found = wanted;
        found.retain(|(_, hash)| !nowhere.iter().any(|(_, _, other)| other == hash));
        pulled.missing.extend(nowhere.into_iter().map(|(path, reason, _)| (path, reason)));
        Ok(found)
    }

    /// Brings one content into the cache; returns why it cannot, where the remote does not have it.
    fn fetch_one(
        &self,
        home: &dyn ObjectHome,
        hash: &DvcHash,
        index: &DigestIndex,
        count: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<String>, SnapshotError> {
        let [key, other] = hash.keys();
        let target = self.cache.join(&key);
        let folder = target.parent().unwrap_or(&self.cache);
        fs_err::create_dir_all(folder)?;
        // Under a name of its own, which goes with an error: DVC's cache is shared, and another command may fetch the
        // same.
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let partial = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(&format!(".{PARTIAL}"))
            .make_in(folder, |path| fs_err::OpenOptions::new().write(true).create_new(true).open(path))?
            .into_temp_path();
        let fetched = match home.download(&key, &partial, count) {
            Err(RemoteError::Missing { .. }) => home.download(&other, &partial, count),
            other => other,
        };
        match fetched {
            Err(RemoteError::Missing { home: name, .. }) => {
                // What is not mounted has nothing, whoever pushed to it.
                let is_gone = home.file(&key)?.is_some() && !Path::new(&name).is_dir();
                return Ok(Some(if is_gone {
                    format!(
                        "the folder `{name}` of its remote is not there: mount it, or mend the `url` of the remote in DVC's \
                         configuration"
                    )
                } else {
                    format!(
                        "its content {} is not in the remote `{name}`; somebody who has it must run `dvc push`",
                        hash.md5
                    )
                }));
            }
            other => other?,
        }
        if !Self::is_content(&partial, hash, index)? {
            let found = index.md5_of(&partial)?.to_string();
            return Err(RemoteError::OtherBytes { key, home: home.name(), found }.into());
        }
        let mut permissions = fs_err::metadata(&partial)?.permissions();
        permissions.set_readonly(true);
        fs_err::set_permissions(&partial, permissions)?;
        partial.persist(&target).map_err(|failed| failed.error)?;
        Ok(None)
    }
}

/// Removes what killed commands have left in `folder`.
fn remove_left(folder: &Path) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden || path.extension().is_none_or(|ending| ending != PARTIAL) {
            continue;
        }
        // One that is gone meanwhile has arrived.
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        if written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFT)) {
            let _ = fs_err::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use modelgate_store::remote::FolderObjects;

    use super::*;

    const CONTENT: &[u8] = b"a,b\n1,2\n";

    #[test]
    fn two_commands_that_fetch_one_content_do_not_write_into_one_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs_err::create_dir(path(".dvc")).expect("made");
        let repository = DvcRepository::find(folder.path()).expect("read").expect("a repository");
        let home = FolderObjects::new(&path("remote"));
        let hash = DvcHash { md5: modelgate_store::Md5::of(CONTENT), is_folder: false, is_legacy: false };
        home.put(&hash.keys()[0], CONTENT).expect("put");
        let index = DigestIndex::open(folder.path());
        let fetch = |count: &(dyn Fn(u64) + Sync)| {
            let nowhere = repository.fetch_one(&home, &hash, &index, count).expect("fetched");
            assert_eq!(nowhere, None);
        };
        let in_cache = repository.cache.join(&hash.keys()[0]);
        let left = in_cache.with_file_name(".left.partial");
        fs_err::create_dir_all(left.parent().expect("a folder")).expect("made");
        let file = fs_err::File::create(&left).expect("made").into_file();
        file.set_modified(std::time::SystemTime::now() - 2 * LEFT).expect("aged");
        let is_first = AtomicBool::new(true);
        fetch(&|_| {
            // While the first is at it, another begins and ends.
            if is_first.swap(false, Ordering::SeqCst) {
                fetch(&|_| {});
            }
        });
        assert!(!is_first.into_inner(), "it was told of its bytes");
        assert_eq!(fs_err::read(&in_cache).expect("in the cache"), CONTENT);
        remove_left(left.parent().expect("a folder"));
        let names = || fs_err::read_dir(in_cache.parent().expect("a folder")).expect("read");
        assert_eq!(names().count(), 1, "{:?}", names().collect::<Vec<_>>());
    }

    /// Makes a repository whose remote is the folder `remote` in it.
    fn with_a_remote(folder: &Path) -> DvcRepository {
        fs_err::create_dir(folder.join(".dvc")).expect("made");
        let config = "[core]\nremote = r\n['remote \"r\"']\nurl = ../remote\n";
        fs_err::write(folder.join(".dvc/config"), config).expect("written");
        DvcRepository::find(folder).expect("read").expect("a repository")
    }

    #[test]
    fn what_is_nowhere_does_not_keep_back_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let repository = with_a_remote(folder.path());
        let output = |name: &str, content: &[u8], is_pushed| {
            let hash = DvcHash { md5: modelgate_store::Md5::of(content), is_folder: false, is_legacy: false };
            DvcOutput { path: path(name), file: path("dvc.lock"), hash, size: None, remote: None, is_pushed }
        };
        let all = [
            output("forgotten.csv", b"1", true),
            output("model.pkl", b"2", false),
            output("there.csv", CONTENT, true),
        ];
        FolderObjects::new(&path("remote")).put(&all[2].hash.keys()[0], CONTENT).expect("put");
        let index = DigestIndex::open(folder.path());
        let pulled = repository.pull(&all, &|_| None, &index, false, &|_| {}).expect("pulled");
        assert_eq!((pulled.fetched, pulled.written, pulled.unchanged), (1, 1, 0));
        assert_eq!(pulled.kept, ["model.pkl"]);
        assert_eq!(pulled.missing.len(), 1);
        assert!(pulled.missing[0].0 == "forgotten.csv" && pulled.missing[0].1.contains("dvc push"));
        assert_eq!(fs_err::read(path("there.csv")).expect("written"), CONTENT);
        assert!(!path("model.pkl").exists() && !path("forgotten.csv").exists());
    }

    #[test]
    fn a_folder_comes_as_a_whole_and_a_remote_that_is_not_mounted_is_told_from_one_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let repository = with_a_remote(folder.path());
        let md5 = modelgate_store::Md5::of;
        let entry = |name: &str, content: &[u8]| {
            format!("{{\"md5\": \"{}\", \"relpath\": \"{name}\"}}", md5(content))
        };
        let list = format!("[{}, {}]", entry("a.csv", CONTENT), entry("b.csv", b"b"));
        let hash = DvcHash { md5: md5(list.as_bytes()), is_folder: true, is_legacy: false };
        let output = DvcOutput {
            path: path("data"),
            file: path("data.dvc"),
            hash,
            size: None,
            remote: None,
            is_pushed: true,
        };
        let index = DigestIndex::open(folder.path());
        let pull = || {
            repository.pull(std::slice::from_ref(&output), &|_| None, &index, false, &|_| {}).expect("pulled")
        };
        let (what, why) = pull().missing.swap_remove(0);
        assert!(what == "data" && why.contains("/remote` of its remote is not there: mount it"), "{why}");
        let home = FolderObjects::new(&path("remote"));
        let key = |content: &[u8]| DvcHash { md5: md5(content), is_folder: false, is_legacy: false }.keys();
        home.put(&hash.keys()[0], list.as_bytes()).expect("put");
        home.put(&key(CONTENT)[0], CONTENT).expect("put");
        let (what, why) = pull().missing.swap_remove(0);
        assert!(what.ends_with("b.csv") && why.contains("`dvc push`; nothing of the folder `data`"), "{why}");
        assert!(!path("data").exists());
        home.put(&key(b"b")[0], b"b").expect("put");
        let pulled = pull();
        assert_eq!((pulled.fetched, pulled.written, pulled.missing.len()), (1, 2, 0));
    }
}
