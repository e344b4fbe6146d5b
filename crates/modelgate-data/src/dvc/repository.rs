//! A repository of DVC: where it is, what it tracks, and where the contents are.

use std::path::{Path, PathBuf};

use modelgate_store::remote::{self, FolderObjects, ObjectHome, S3Objects, S3Options};
use modelgate_store::{DigestIndex, Md5};
use serde::Deserialize;

use super::config::DvcConfig;
use super::declared::Pipeline;
use super::output::{self, DvcHash, DvcOutput};
use crate::snapshot::{SnapshotError, is_tools_folder};

/// Folders in which nothing of DVC is looked for.
const SKIPPED: [&str; 7] = [".git", ".dvc", ".modelgate", ".venv", "node_modules", "target", "__pycache__"];

/// A repository of DVC.
#[derive(Clone, Debug)]
pub struct DvcRepository {
    /// The folder that holds `.dvc/`.
    pub root: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) config: DvcConfig,
}

/// An entry of the list of a folder's files.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct ListedFile {
    pub(crate) md5: String,
    pub(crate) relpath: String,
}

impl DvcRepository {
    /// Returns the repository that `folder` is in, or `None`.
    ///
    /// # Errors
    /// Fails when its configuration cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>, SnapshotError> {
        for root in folder.ancestors() {
            let dvc = root.join(".dvc");
            if dvc.is_dir() {
                let config = DvcConfig::read(&dvc)?;
                let cache = output::lexical(&config.cache(&dvc));
                return Ok(Some(Self { root: root.to_owned(), cache, config }));
            }
        }
        Ok(None)
    }

    /// Returns all that is tracked below `folder`, sorted by path.
    ///
    /// # Errors
    /// Names the file of DVC that cannot be read.
    pub fn tracked(&self, folder: &Path) -> Result<Vec<DvcOutput>, SnapshotError> {
        match self.told(folder)? {
            (_, Some(untold)) => Err(untold),
            (found, None) => Ok(found),
        }
    }

    /// As [`Self::tracked`]; why it is not told of a stage where its outputs lie is no error.
    ///
    /// # Errors
    /// As [`Self::tracked`], but for that.
    pub fn told(&self, folder: &Path) -> Result<(Vec<DvcOutput>, Option<SnapshotError>), SnapshotError> {
        let (mut found, mut untold) = (Vec::new(), None);
        for file in dvc_files(folder)? {
            match file.file_name().and_then(|name| name.to_str()) {
                Some("dvc.yaml") => {
                    if file.with_file_name("dvc.lock").exists() {
                        let (outputs, reason) = Pipeline::read(&file)?.outputs(&self.root)?;
                        found.extend(outputs);
                        untold = untold.or(reason);
                    }
                }
                _ => found.extend(output::of_dvc_file(&file, &self.root)?),
            }
        }
        found.sort_unstable();
        found.dedup_by(|one, other| one.path == other.path);
        Ok((found, untold))
    }

    /// Returns what tracks `path`: the output itself, or the folder it is in.
    ///
    /// # Errors
    /// As [`Self::tracked`]; of a stage whose outputs lie where is not told, only where nothing else tracks the path.
    pub fn tracking(&self, path: &Path) -> Result<Option<DvcOutput>, SnapshotError> {
        // The usual place costs no search.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".dvc");
        let beside = PathBuf::from(beside);
        let (outputs, untold) = if beside.is_file() {
            (output::of_dvc_file(&beside, &self.root)?, None)
        } else {
            self.told(&self.root)?
        };
        match (outputs.into_iter().find(|output| path.starts_with(&output.path)), untold) {
            (None, Some(untold)) => Err(untold),
            (found, _) => Ok(found),
        }
    }

    /// Returns what tracks `path`, and all that is tracked below it.
    ///
    /// # Errors
    /// As [`Self::tracked`].
    pub fn around(&self, path: &Path) -> Result<Vec<DvcOutput>, SnapshotError> {
        if let Some(output) = self.tracking(path)? {
            return Ok(vec![output]);
        }
        let mut found = self.tracked(&self.root)?;
        found.retain(|output| output.path.starts_with(path));
        Ok(found)
    }

    /// Returns the content in the cache, if it is there.
    pub(crate) fn cached(&self, hash: &DvcHash) -> Option<PathBuf> {
        hash.keys().into_iter().map(|key| self.cache.join(key)).find(|path| path.is_file())
    }

    /// Checks the file against DVC's name of it.
    pub(crate) fn is_content(
        path: &Path,
        hash: &DvcHash,
        index: &DigestIndex,
    ) -> Result<bool, SnapshotError> {
        if index.md5_of(path)? == hash.md5 {
            return Ok(true);
        }
        // DVC 2 hashed text with the line endings of Unix.
        Ok(hash.is_legacy && !hash.is_folder && md5_of_text(&fs_err::read(path)?) == Some(hash.md5))
    }

    /// Returns where the bytes of the file `path` are in the cache, checked, when DVC tracks it and the cache has it.
    ///
    /// # Errors
    /// Fails when the cache is damaged.
    pub fn in_cache(&self, path: &Path, index: &DigestIndex) -> Result<Option<PathBuf>, SnapshotError> {
        let Some(output) = self.tracking(path)? else { return Ok(None) };
        let mut hash = output.hash;
        if hash.is_folder {
            let Some(list) = self.cached(&hash) else { return Ok(None) };
            let wanted = path.strip_prefix(&output.path).unwrap_or(path).to_string_lossy().replace('\\', "/");
            let files = Self::list(&list, &hash)?;
            let Some(file) = files.into_iter().find(|file| file.relpath == wanted) else { return Ok(None) };
            let Some(found) = DvcHash::parse(&file.md5, hash.is_legacy) else { return Ok(None) };
            hash = found;
        }
        let Some(cached) = self.cached(&hash) else { return Ok(None) };
        if Self::is_content(&cached, &hash, index)? {
            return Ok(Some(cached));
        }
        let message = "its content does not have the MD5 of its name; remove it, and pull again".to_owned();
        Err(SnapshotError::Dvc { path: cached, message })
    }

    /// Reads the list of a folder's files from the cache.
    pub(crate) fn list(path: &Path, hash: &DvcHash) -> Result<Vec<ListedFile>, SnapshotError> {
        let error = |message: &str| SnapshotError::Dvc { path: path.to_owned(), message: message.to_owned() };
        let bytes = fs_err::read(path)?;
        if Md5::of(&bytes) != hash.md5 {
            return Err(error(
                "the list of files does not have the MD5 of its name; remove it, and pull again",
            ));
        }
        let files: Vec<ListedFile> = serde_json::from_slice(&bytes)
            .map_err(|wrong| error(&format!("it is no list of files: {wrong}")))?;
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']) && !is_tools_folder(part)
        };
        if files.iter().all(|file| file.relpath.split('/').all(plain)) {
            return Ok(files);
        }
        Err(error("it names files outside of its folder"))
    }

    /// Returns the name of the default remote and the scheme of its address, where no such remote is read here.
    pub fn unread_remote(&self) -> Option<(String, String)> {
        let (name, keys) = self.config.remote(None)?;
        let scheme = unread_scheme(keys.get("url")?)?;
        Some((name.to_owned(), scheme.to_owned()))
    }

    /// Opens the remote `name`, or the default one.
    pub(crate) fn remote(
        &self,
        name: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Box<dyn ObjectHome>, SnapshotError> {
        let path = self.root.join(".dvc/config");
        let error = |message: String| SnapshotError::Dvc { path: path.clone(), message };
        let Some((name, keys)) = self.config.remote(name) else {
            let message = match name {
                Some(name) => format!("there is no remote `{name}`"),
                None => "there is no default remote; `dvc remote add -d NAME URL` sets one".to_owned(),
            };
            return Err(error(message));
        };
        let Some(url) = keys.get("url") else {
            return Err(error(format!("the remote `{name}` has no `url`")));
        };
        if keys.get("version_aware").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(error(format!("the remote `{name}` is `version_aware`, which is not read here")));
        }
        if url.starts_with("s3://") {
            let take = |key: &str| keys.get(key).cloned();
            let mut options = S3Options {
                endpoint: take("endpointurl"),
                region: take("region"),
                access_key_id: take("access_key_id"),
                secret_access_key: take("secret_access_key"),
                session_token: take("session_token"),
                ..S3Options::address_of(url)?
            };
            let profile = take("profile").or_else(|| environment("AWS_PROFILE"));
            options.fill(profile.as_deref(), environment)?;
            return Ok(Box::new(S3Objects::open(&options)?));
        }
        if let Some(scheme) = unread_scheme(url) {
            return Err(error(format!(
                "the remote `{name}` is `{scheme}://`; folders and `s3://` are read here, use `dvc pull`"
            )));
        }
        if url.starts_with("file://") {
            return Ok(remote::open(url, &self.root, environment)?);
        }
        Ok(Box::new(FolderObjects::new(&output::lexical(&self.root.join(".dvc").join(url)))))
    }
}

/// Returns the scheme of an address that no remote is read at.
fn unread_scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    (!["s3", "file"].contains(&scheme)).then_some(scheme)
}

/// Returns the MD5 of a text with the line endings of Unix, or `None` for what DVC takes for binary.
fn md5_of_text(bytes: &[u8]) -> Option<Md5> {
    // DVC's own test: the first 512 bytes hold no NUL, and at most 30 % are no text.
    let block = &bytes[..bytes.len().min(512)];
    let is_text = |byte: &&u8| matches!(**byte, 7 | 8 | 9 | 10 | 12 | 13 | 27 | 0x20..=0xff);
    let others = block.len() - block.iter().filter(is_text).count();
    if block.contains(&0) || others as f64 > 0.3 * block.len() as f64 {
        return None;
    }
    let mut text = Vec::with_capacity(bytes.len());
    for (position, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(position + 1) != Some(&b'\n') {
            text.push(*byte);
        }
    }
    Some(Md5::of(&text))
}

/// Returns the `.dvc` files and the `dvc.yaml` files below `folder`, sorted.
pub(crate) fn dvc_files(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = match fs_err::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for entry in listing {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let name = name.to_string_lossy();
            // A link is not followed: what it leads to is found at its own place.
            if kind.is_dir() && !SKIPPED.contains(&&*name) {
                folders.push(entry.path());
            } else if kind.is_file()
                && (name == "dvc.yaml" || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty()))
            {
                found.push(entry.path());
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_hashed_as_dvc_2_does() {
        assert_eq!(md5_of_text(b"a\r\nb\rc\n"), Some(Md5::of(b"a\nb\rc\n")));
        assert_eq!(md5_of_text(b"a\0\r\n"), None);
        assert_eq!(md5_of_text(b""), Some(Md5::of(b"")));
    }
}
