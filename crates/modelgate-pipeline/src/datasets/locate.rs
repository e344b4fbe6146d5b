//! Where the bytes of a source are when they are not in the project: in the store, in DVC's cache, in S3.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_data::SourceFile;
use modelgate_data::dvc::DvcRepository;
use modelgate_store::remote::{self, RemoteError};
use modelgate_store::{ContentStore, DigestIndex, StoreError, atomic};
use serde::{Deserialize, Serialize};

use super::all;
use crate::error::PipelineError;
use crate::project::Project;

/// Returns where the file `name` below the project can be read: at its place, or where a snapshot or DVC keeps its
/// content, checked.
///
/// # Errors
/// Fails for a file that is nowhere here, with the command that brings it, if one does.
pub fn locate(project: &Project, name: &str, index: &DigestIndex) -> Result<PathBuf, PipelineError> {
    let path = project.root.join(name);
    if fs_err::symlink_metadata(&path).is_ok() {
        return Ok(path);
    }
    let store = ContentStore::new(&project.state_folder());
    for set in all(project)? {
        let Ok(files) = set.pointer.list(&store, &set.path) else { continue };
        let Some(file) = files.into_iter().find(|file| file.name == name) else { continue };
        return match store.check(&file.digest, index) {
            Ok(path) => Ok(path),
            Err(StoreError::Missing { .. }) => Err(PipelineError::Sharing(format!(
                "`{name}` is not here; it is part of the data set `{0}`: `modelgate data pull {0}` brings it",
                set.name
            ))),
            Err(error) => Err(error.into()),
        };
    }
    if let Some(repository) = DvcRepository::find(&project.root)? {
        if let Some(cached) = repository.in_cache(&path, index)? {
            return Ok(cached);
        }
        if repository.tracking(&path)?.is_some() {
            return Err(PipelineError::Sharing(format!(
                "`{name}` is not here; DVC tracks it: `modelgate data pull {name}` brings it"
            )));
        }
    }
    Ok(path)
}

/// Returns the files of `uri`, fetched as [`remote_source`] does; credentials come from the environment.
///
/// # Errors
/// As [`remote_source`].
pub fn remote_files(project: &Project, uri: &str) -> Result<Vec<SourceFile>, PipelineError> {
    let index = DigestIndex::open(&project.state_folder());
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = remote_source(project, uri, &environment, &index)?;
    index.save()?;
    Ok(found.into_iter().map(|(name, path)| SourceFile::path(name, path)).collect())
}

/// What is known of a fetched object.
#[derive(Serialize, Deserialize)]
struct Fetched {
    version: String,
    size: u64,
    digest: Digest,
}

/// Fetches the objects that `uri` names, `s3://bucket/key` or with `*` and `?` in the key, into the project's cache,
/// those that changed since the last time; returns name and path of each, sorted by name.
///
/// # Errors
/// Fails when nothing has such a name, and when the bucket cannot be used.
pub fn remote_source(
    project: &Project,
    uri: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    index: &DigestIndex,
) -> Result<Vec<(String, PathBuf)>, PipelineError> {
    let wrong = |error: RemoteError| match error {
        wrong @ RemoteError::Uri { .. } => PipelineError::Sharing(wrong.to_string()),
        other => StoreError::from(other).into(),
    };
    let Some((bucket, key)) = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) else {
        return Err(PipelineError::Sharing(format!("`{uri}`: expected `s3://bucket/key`")));
    };
    let address = format!("s3://{bucket}");
    let home = remote::open(&address, &project.root, environment).map_err(wrong)?;
    let is_glob = key.contains(['*', '?', '[']);
    let keys: Vec<String> = if is_glob {
        let pattern = glob::Pattern::new(key)
            .map_err(|error| PipelineError::Sharing(format!("`{uri}` is not a glob: {error}")))?;
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        let folder: Vec<&str> = key.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
        let listing = home.list(&folder.join("/")).map_err(wrong)?;
        let keys = listing.into_iter().map(|(key, _)| key);
        keys.filter(|key| pattern.matches_with(key, options)).collect()
    } else {
        vec![key.to_owned()]
    };
    if keys.is_empty() {
        return Err(PipelineError::Sharing(format!("`{uri}`: no object has such a name")));
    }
    let folder = project.state_folder().join("cache").join("remote");
    keys.into_iter().map(|key| fetch(home.as_ref(), &address, &key, &folder, index)).collect()
}

fn fetch(
    home: &dyn remote::ObjectHome,
    address: &str,
    key: &str,
    folder: &Path,
    index: &DigestIndex,
) -> Result<(String, PathBuf), PipelineError> {
    let name = format!("{address}/{key}");
    let id = Digest::of(name.as_bytes()).hex();
    let (path, partial, note) =
        (folder.join(&id), folder.join(format!("{id}.partial")), folder.join(format!("{id}.json")));
    let Some((size, version)) = home.head(key).map_err(StoreError::from)? else {
        return Err(PipelineError::Sharing(format!("`{name}`: there is no such object")));
    };
    let known: Option<Fetched> =
        fs_err::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(known) = known
        && (known.version.as_str(), known.size) == (version.as_str(), size)
        && index.digest_of(&path).is_ok_and(|(digest, _)| digest == known.digest)
    {
        return Ok((name, path));
    }
    fs_err::create_dir_all(folder)?;
    // Which version an earlier try had begun with is not known.
    let _ = fs_err::remove_file(&partial);
    home.download(key, &partial, &|_| {}).map_err(StoreError::from)?;
    let after = home.head(key).map_err(StoreError::from)?;
    if after.as_ref().is_none_or(|(_, after)| *after != version) {
        let _ = fs_err::remove_file(&partial);
        return Err(StoreError::Changed { path: name.into() }.into());
    }
    let (digest, _) = index.digest_of(&partial)?;
    fs_err::rename(&partial, &path)?;
    let fetched = Fetched { version: version.as_str().to_owned(), size, digest };
    atomic::write(&note, &serde_json::to_vec(&fetched)?)?;
    Ok((name, path))
}
