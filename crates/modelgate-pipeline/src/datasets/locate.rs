//! Where the bytes of a source are when they are not in the project: in the store, in DVC's cache, in S3.

use std::path::{Path, PathBuf};
use std::time::Duration;

use modelgate_core::Digest;
use modelgate_data::dvc::{DvcRepository, lexical};
use modelgate_data::{KeyPattern, SourceFile};
use modelgate_store::remote::{self, RemoteError};
use modelgate_store::{ContentStore, DigestIndex, StoreError, atomic};
use serde::{Deserialize, Serialize};

use super::{DataSet, all};
use crate::error::PipelineError;
use crate::project::Project;

/// Returns where the file `name` below the project can be read by `pipeline`: at its place, or where a snapshot or DVC keeps
/// its content, checked.
///
/// # Errors
/// Fails for a file that is nowhere here, with the command that brings it, if one does, and for one that data sets of other
/// names have with different contents.
pub fn locate(
    project: &Project,
    pipeline: &str,
    name: &str,
    index: &DigestIndex,
) -> Result<PathBuf, PipelineError> {
    let path = project.root.join(name);
    if fs_err::symlink_metadata(&path).is_ok() {
        return Ok(path);
    }
    let store = ContentStore::new(&project.state_folder());
    if let Some((set, digest)) = kept_in(project, pipeline, name, &store)? {
        return match store.check(&digest, index) {
            Ok(path) => Ok(path),
            Err(StoreError::Missing { .. }) => Err(PipelineError::Sharing(format!(
                "`{name}` is not here; it is part of the data set `{set}`: `modelgate data pull {set}` brings it"
            ))),
            Err(error) => Err(error.into()),
        };
    }
    // DVC knows a file beside the project by its place, not by the way there.
    let path = lexical(&path);
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

/// Returns the data set that has the file `name` for `pipeline`, with the digest of its content: the set of the pipeline's
/// name, and another where none of that name has the file and the others agree.
fn kept_in(
    project: &Project,
    pipeline: &str,
    name: &str,
    store: &ContentStore,
) -> Result<Option<(String, Digest)>, PipelineError> {
    let (own, others): (Vec<DataSet>, _) = all(project)?.into_iter().partition(|set| set.name == pipeline);
    let mut found: Vec<(String, Digest)> = Vec::new();
    for set in own.into_iter().chain(others) {
        let is_own = set.name == pipeline;
        let files = match set.pointer.list(store, &set.path) {
            Ok(files) => files,
            // What another set says is not what this pipeline's own says, which is not here.
            Err(_) if is_own && set.pointer.finds(name) => {
                return Err(PipelineError::Sharing(format!(
                    "`{name}` is not here, and neither is the list of the data set `{pipeline}`: `modelgate data pull \
                     {pipeline}` brings both"
                )));
            }
            Err(_) => continue,
        };
        let Some(file) = files.into_iter().find(|file| file.name == name) else { continue };
        if is_own {
            return Ok(Some((set.name, file.digest)));
        }
        found.push((set.name, file.digest));
    }
    if let Some((other, _)) = found.iter().find(|(_, digest)| *digest != found[0].1) {
        return Err(PipelineError::Sharing(format!(
            "`{name}` is not here, and the data sets `{0}` and `{other}` have it with different contents; neither is of the \
             pipeline `{pipeline}`: `modelgate data pull {0}` or `modelgate data pull {other}` brings the one that is meant, \
             and `modelgate data snapshot {pipeline}` keeps it",
            found[0].0
        )));
    }
    Ok(found.into_iter().next())
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

/// The ending of what is arriving.
const PARTIAL: &str = "partial";
/// What no byte has come to for so long is left by a command that was killed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

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
    let keys = keys(home.as_ref(), uri, key)?;
    let folder = project.state_folder().join("cache").join("remote");
    keys.into_iter().map(|key| fetch(home.as_ref(), &address, &key, &folder, index)).collect()
}

/// Returns the keys that `key` of `uri` names: the object that is called just that, or all that it finds as a pattern.
fn keys(home: &dyn remote::ObjectHome, uri: &str, key: &str) -> Result<Vec<String>, PipelineError> {
    let wrong = |error| PipelineError::from(StoreError::from(error));
    let is_wild = |part: &str| part.contains(['*', '?', '[']);
    if !is_wild(key) || home.head(key).map_err(wrong)?.is_some() {
        return Ok(vec![key.to_owned()]);
    }
    let pattern =
        KeyPattern::new(key).map_err(|reason| PipelineError::Sharing(format!("`{uri}`: {reason}")))?;
    let folder: Vec<&str> = key.split('/').take_while(|part| !is_wild(part)).collect();
    let listing = home.list(&folder.join("/")).map_err(wrong)?;
    let found: Vec<String> =
        listing.into_iter().map(|(key, _)| key).filter(|key| pattern.finds(key)).collect();
    if found.is_empty() {
        return Err(PipelineError::Sharing(format!("`{uri}`: no object has such a name")));
    }
    Ok(found)
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
    let (path, note) = (folder.join(&id), folder.join(format!("{id}.json")));
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
    remove_left(folder)?;
    // Under a name of its own, which goes with an error: another command, which need not hold the project's lock, may
    // fetch the same object. Nothing goes on where an earlier try ended: which version that had begun with is not known.
    let arriving = tempfile::Builder::new()
        .prefix(&format!(".{id}."))
        .suffix(&format!(".{PARTIAL}"))
        .make_in(folder, |path| fs_err::OpenOptions::new().write(true).create_new(true).open(path))?
        .into_temp_path();
    home.download(key, &arriving, &|_| {}).map_err(StoreError::from)?;
    let after = home.head(key).map_err(StoreError::from)?;
    if after.as_ref().is_none_or(|(_, after)| *after != version) {
        return Err(StoreError::Changed { path: name.into() }.into());
    }
    let arrived = fs_err::metadata(&arriving)?.len();
    if arrived != size {
        return Err(PipelineError::Sharing(format!(
            "`{name}` has {size} bytes, and {arrived} have arrived; try again"
        )));
    }
    let (digest, _) = index.digest_of(&arriving)?;
    arriving.persist(&path).map_err(|failed| failed.error)?;
    let fetched = Fetched { version: version.as_str().to_owned(), size, digest };
    atomic::write(&note, &serde_json::to_vec(&fetched)?)?;
    Ok((name, path))
}

/// Removes what killed commands have left in `folder`.
fn remove_left(folder: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_none_or(|ending| ending != PARTIAL) {
            continue;
        }
        // One that is gone meanwhile has arrived.
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        if written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFT)) {
            let _ = fs_err::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use modelgate_store::remote::{FolderObjects, Moved, ObjectHome, Version};

    use super::*;

    type Download<'a> =
        dyn Fn(&dyn ObjectHome, &Path, Moved<'_>) -> Result<(), RemoteError> + Send + Sync + 'a;

    /// A folder whose downloads go as a test wants.
    struct Wanted<'a> {
        objects: FolderObjects,
        download: Box<Download<'a>>,
    }

    impl std::fmt::Debug for Wanted<'_> {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.objects.fmt(formatter)
        }
    }

    impl ObjectHome for Wanted<'_> {
        fn name(&self) -> String {
            self.objects.name()
        }
        fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, RemoteError> {
            self.objects.get(key)
        }
        fn head(&self, key: &str) -> Result<Option<(u64, Version)>, RemoteError> {
            self.objects.head(key)
        }
        fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RemoteError> {
            self.objects.put(key, bytes)
        }
        fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
            self.objects.put_if_absent(key, bytes)
        }
        fn put_if_unchanged(&self, key: &str, bytes: &[u8], version: &Version) -> Result<bool, RemoteError> {
            self.objects.put_if_unchanged(key, bytes, version)
        }
        fn remove(&self, key: &str) -> Result<(), RemoteError> {
            self.objects.remove(key)
        }
        fn upload(&self, key: &str, from: &Path, at: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
            self.objects.upload(key, from, at, moved)
        }
        fn download(&self, _: &str, to: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
            (self.download)(&self.objects, to, moved)
        }
        fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, RemoteError> {
            self.objects.list(prefix)
        }
        fn list_versions(&self, prefix: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
            self.objects.list_versions(prefix)
        }
        fn file(&self, key: &str) -> Result<Option<PathBuf>, RemoteError> {
            self.objects.file(key)
        }
        fn agrees(&self, of: &Version, at: &Path, index: &DigestIndex) -> Result<Option<bool>, RemoteError> {
            self.objects.agrees(of, at, index)
        }
        fn parallel(&self) -> usize {
            self.objects.parallel()
        }
    }

    const KEY: &str = "a.csv";
    const CONTENT: &[u8] = b"a,b\n1,2\n";

    /// A bucket with one object, and the folder that it is fetched into.
    struct Scene {
        folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let scene = Self { folder };
            scene.objects().put(KEY, CONTENT).expect("put");
            scene
        }

        fn objects(&self) -> FolderObjects {
            FolderObjects::new(&self.folder.path().join("bucket"))
        }

        fn cache(&self) -> PathBuf {
            self.folder.path().join("cache")
        }

        fn fetch(&self, home: &dyn ObjectHome) -> Result<PathBuf, PipelineError> {
            let index = DigestIndex::open(self.folder.path());
            fetch(home, "s3://bucket", KEY, &self.cache(), &index).map(|(_, path)| path)
        }

        /// Returns the names of what is still arriving.
        fn arriving(&self) -> Vec<String> {
            let entries = fs_err::read_dir(self.cache()).expect("a folder");
            let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
            names.filter(|name| name.ends_with(".partial")).collect()
        }
    }

    #[test]
    fn a_pattern_finds_objects_as_it_finds_files() {
        let scene = Scene::new();
        let home = scene.objects();
        for key in ["p/a.csv", "p/x[1].csv", "p/x1.csv", "p/q/b.csv", "p/a.csv.dvc"] {
            home.put(key, CONTENT).expect("put");
        }
        let found = |key: &str| keys(&home, "s3://bucket", key).expect("found");
        assert_eq!(found("p/*.csv"), ["p/a.csv", "p/x1.csv", "p/x[1].csv"]);
        assert_eq!(found("p/a*"), ["p/a.csv"]);
        assert_eq!(found("p/**/b.csv"), ["p/q/b.csv"]);
        // One that is called just so is meant.
        assert_eq!(found("p/x[1].csv"), ["p/x[1].csv"]);
        home.remove("p/x[1].csv").expect("removed");
        assert_eq!(found("p/x[1].csv"), ["p/x1.csv"]);
        for (key, message) in [("p/*.tsv", "no object has such a name"), ("p/[", "it is not a glob")] {
            let error = keys(&home, "s3://bucket/p", key).expect_err(key).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn two_commands_that_fetch_one_object_do_not_write_into_one_file() {
        let scene = Scene::new();
        let download = |objects: &dyn ObjectHome, to: &Path, moved: Moved<'_>| {
            // While the first has its file and waits for bytes, another begins and ends.
            let mut file = fs_err::OpenOptions::new().append(true).create(true).open(to)?;
            scene.fetch(objects).expect("the other has it");
            std::io::Write::write_all(&mut file, CONTENT)?;
            moved(CONTENT.len() as u64);
            Ok(())
        };
        let home = Wanted { objects: scene.objects(), download: Box::new(download) };
        let path = scene.fetch(&home).expect("and so has the first");
        assert_eq!(fs_err::read(path).expect("read"), CONTENT);
        assert!(scene.arriving().is_empty(), "{:?}", scene.arriving());
    }

    #[test]
    fn an_object_that_has_not_arrived_as_a_whole_is_not_taken() {
        let scene = Scene::new();
        for bytes in [&CONTENT[..5], &[CONTENT, CONTENT].concat()] {
            let download = |_: &dyn ObjectHome, to: &Path, _: Moved<'_>| Ok(fs_err::write(to, bytes)?);
            let home = Wanted { objects: scene.objects(), download: Box::new(download) };
            let error = scene.fetch(&home).expect_err("another length").to_string();
            let said = format!("`s3://bucket/a.csv` has 8 bytes, and {} have arrived", bytes.len());
            assert!(error.contains(&said), "{error}");
            assert_eq!(fs_err::read_dir(scene.cache()).expect("a folder").count(), 0, "nothing is left");
        }
        assert_eq!(fs_err::read(scene.fetch(&scene.objects()).expect("fetched")).expect("read"), CONTENT);
    }

    #[test]
    fn what_a_killed_command_left_goes_after_a_day() {
        let scene = Scene::new();
        fs_err::create_dir(scene.cache()).expect("a folder");
        let day = Duration::from_secs(24 * 60 * 60);
        for (name, age) in [("id.partial", 2 * day), (".id.x.partial", 2 * day), (".id.y.partial", day / 2)] {
            let file = fs_err::File::create(scene.cache().join(name)).expect("made");
            file.into_file().set_modified(SystemTime::now() - age).expect("aged");
        }
        scene.fetch(&scene.objects()).expect("fetched");
        assert_eq!(scene.arriving(), [".id.y.partial"], "another command may be at work on it");
    }
}
