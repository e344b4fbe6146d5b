//! Bringing files that DVC tracks into the working copy: from the cache, or from the remote through the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use modelgate_store::remote::{ObjectHome, RemoteError};
use modelgate_store::{DigestIndex, LinkPolicy, bring};
use rayon::prelude::*;
use serde::Serialize;

use super::output::{DvcHash, DvcOutput};
use super::repository::DvcRepository;
use crate::snapshot::{SnapshotError, inside};

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
}

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
    /// checked.
    ///
    /// # Errors
    /// Fails when a content is nowhere or has other bytes, when a link leads a file out of the repository, and with [`SnapshotError::Changes`] for a file whose
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
            let wanted = [(output.path.clone(), output.hash)];
            self.fetch(&wanted, output, &mut remotes, index, &mut pulled, progress)?;
            if !output.hash.is_folder {
                files.extend(wanted);
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
            self.fetch(&listed, output, &mut remotes, index, &mut pulled, progress)?;
            files.extend(listed);
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
            bring(&cached, path, LinkPolicy::Separate)?;
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

    /// Brings the contents that the cache does not have, or has damaged, into the cache.
    fn fetch(
        &self,
        wanted: &[(PathBuf, DvcHash)],
        output: &DvcOutput,
        remotes: &mut Remotes<'_>,
        index: &DigestIndex,
        pulled: &mut DvcPulled,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), SnapshotError> {
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
        let missing = missing.into_iter().collect::<Result<Vec<bool>, _>>()?;
        let mut missing: Vec<_> =
            wanted.iter().zip(missing).filter(|(_, missing)| *missing).map(|(wanted, _)| wanted).collect();
        missing.sort_unstable_by_key(|(_, hash)| *hash);
        missing.dedup_by_key(|(_, hash)| *hash);
        if missing.is_empty() {
            return Ok(());
        }
        let home = remotes.get(output.remote.as_deref()).map_err(|error| match error {
            SnapshotError::Dvc { path, message } => SnapshotError::Dvc {
                message: format!("{message}; and the cache does not have `{}`", self.shown(&output.path)),
                path,
            },
            other => other,
        })?;
        let bytes = AtomicU64::new(0);
        let count = |more: u64| {
            bytes.fetch_add(more, Ordering::Relaxed);
            progress(more);
        };
        let threads = home.parallel().min(missing.len());
        let chunk = missing.len().div_ceil(threads);
        let results: Vec<Result<(), SnapshotError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = missing
                .chunks(chunk)
                .map(|part| {
                    let count = &count;
                    scope.spawn(move || {
                        part.iter()
                            .try_for_each(|(path, hash)| self.fetch_one(home, path, hash, index, count))
                    })
                })
                .collect();
            let panicked = || Err(std::io::Error::other("a thread ended by itself").into());
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| panicked())).collect()
        });
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        pulled.fetched += missing.len() as u64;
        pulled.bytes += bytes.into_inner();
        Ok(())
    }

    fn fetch_one(
        &self,
        home: &dyn ObjectHome,
        path: &Path,
        hash: &DvcHash,
        index: &DigestIndex,
        count: &(dyn Fn(u64) + Sync),
    ) -> Result<(), SnapshotError> {
        let [key, other] = hash.keys();
        let target = self.cache.join(&key);
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let partial = target.with_file_name(format!(".{name}.partial"));
        if let Some(folder) = partial.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let fetched = match home.download(&key, &partial, count) {
            Err(RemoteError::Missing { .. }) => home.download(&other, &partial, count),
            other => other,
        };
        match fetched {
            Err(RemoteError::Missing { home, .. }) => {
                let _ = fs_err::remove_file(&partial);
                let message = format!(
                    "the content {} of `{}` is not in the remote `{home}`; somebody who has it must run `dvc push`",
                    hash.md5,
                    self.shown(path)
                );
                return Err(SnapshotError::Dvc { path: self.root.join(".dvc"), message });
            }
            other => other?,
        }
        if !Self::is_content(&partial, hash, index)? {
            let found = index.md5_of(&partial)?.to_string();
            fs_err::remove_file(&partial)?;
            return Err(RemoteError::OtherBytes { key, home: home.name(), found }.into());
        }
        let mut permissions = fs_err::metadata(&partial)?.permissions();
        permissions.set_readonly(true);
        fs_err::set_permissions(&partial, permissions)?;
        fs_err::rename(&partial, &target)?;
        Ok(())
    }
}
