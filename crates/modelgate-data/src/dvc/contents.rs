//! The contents behind one output of DVC, wherever they are on this machine.

use std::path::{Path, PathBuf};

use modelgate_store::DigestIndex;

use super::output::{DvcHash, DvcOutput, of_dvc_text};
use super::repository::DvcRepository;
use crate::snapshot::SnapshotError;

impl DvcRepository {
    /// Returns what a `.dvc` file tracks: `text`, which stands or stood at `path`.
    ///
    /// # Errors
    /// Fails when it is no such file.
    pub fn outputs_in(&self, text: &str, path: &Path) -> Result<Vec<DvcOutput>, SnapshotError> {
        of_dvc_text(text, path, &self.root)
    }

    /// Returns which files of a folder that is here are not; none where DVC's cache does not have the list of its files.
    ///
    /// # Errors
    /// Names a list of files that is damaged.
    pub fn lacking(&self, output: &DvcOutput) -> Result<Vec<PathBuf>, SnapshotError> {
        let Some(list) = self.cached(&output.hash).filter(|_| output.hash.is_folder && output.path.is_dir())
        else {
            return Ok(Vec::new());
        };
        let files = Self::list(&list, &output.hash)?.into_iter().map(|file| output.path.join(file.relpath));
        Ok(files.filter(|path| fs_err::symlink_metadata(path).is_err()).collect())
    }

    /// Returns the files of an output by their names below the repository, from DVC's cache or, where they are the same, from
    /// the working copy; `None` when one of them is in neither.
    ///
    /// # Errors
    /// Names the file that cannot be read, and a list of files that is damaged.
    pub fn contents(
        &self,
        output: &DvcOutput,
        index: &DigestIndex,
    ) -> Result<Option<Vec<(String, PathBuf)>>, SnapshotError> {
        let mut wanted = vec![(output.path.clone(), output.hash)];
        if output.hash.is_folder {
            let Some(list) = self.cached(&output.hash) else { return Ok(None) };
            wanted = Vec::new();
            for file in Self::list(&list, &output.hash)? {
                let hash = DvcHash::parse(&file.md5, output.hash.is_legacy).ok_or_else(|| {
                    let message = format!("the MD5 of `{}` is none", file.relpath);
                    SnapshotError::Dvc { path: list.clone(), message }
                })?;
                wanted.push((output.path.join(file.relpath), hash));
            }
        }
        let mut found = Vec::with_capacity(wanted.len());
        for (path, hash) in wanted {
            let places = self.cached(&hash).into_iter().chain(path.is_file().then(|| path.clone()));
            let mut here = None;
            for place in places {
                if here.is_none() && Self::is_content(&place, &hash, index)? {
                    here = Some(place);
                }
            }
            let Some(here) = here else { return Ok(None) };
            found.push((self.shown(&path).replace('\\', "/"), here));
        }
        Ok(Some(found))
    }
}
