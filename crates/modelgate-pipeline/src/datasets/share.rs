//! `data push` and `data pull`: the contents of data sets to a home that others reach, and back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_data::snapshot::{
    Found, Moved, Restored, SnapshotFile, Transfer, find, manifest, prune, restore, unlisted,
};
use modelgate_store::remote::{self, ObjectHome};
use modelgate_store::{ContentStore, DigestIndex, LinkPolicy, StoreError, atomic};
use serde::Serialize;

use crate::datasets::{DataSet, POINTER, all};
use crate::error::PipelineError;
use crate::project::Project;

/// The way between a project and a home of contents.
pub struct Sharing<'a> {
    project: &'a Project,
    store: ContentStore,
    index: DigestIndex,
    /// `None` where no remote is named: what is in the store is restored from there.
    home: Option<Box<dyn ObjectHome>>,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// What names a remote.
const NAME_ONE: &str =
    "set `data: {remote: s3://bucket/prefix}` or a folder in modelgate.yaml, or give `--remote`";

/// The folder of a remote that the contents lie in.
const OBJECTS: &str = "sha256";

/// What a push did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pushed {
    /// Where to.
    pub remote: String,
    /// Objects that were sent.
    pub objects: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Objects that were there already.
    pub already: u64,
    /// Of those that were sent, objects in whose place there were other bytes.
    pub replaced: u64,
    /// Of those that were there, objects that are known by their size alone.
    pub by_size: u64,
    /// Whether the remote is a folder that was not there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_new: bool,
}

/// What a pull did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pulled {
    /// Where from.
    pub remote: String,
    /// Objects that were fetched.
    pub objects: u64,
    /// Bytes that were fetched.
    pub bytes: u64,
    /// Objects that were here already.
    pub already: u64,
    /// Files that were written.
    pub written: u64,
    /// Files that were as they should be.
    pub unchanged: u64,
    /// Files below the sources that no pointer file names, and that are there still.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<String>,
    /// Such files that were removed, since the store has their contents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<String>,
}

impl<'a> Sharing<'a> {
    /// Opens the home `remote`, or `data.remote` of the project.
    ///
    /// # Errors
    /// Fails when neither names one, and as [`remote::open`].
    pub fn open(
        project: &'a Project,
        remote: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Self, PipelineError> {
        let sharing = Self::open_if_named(project, remote, environment, progress)?;
        if sharing.home.is_none() {
            return Err(PipelineError::Sharing(format!("there is no remote; {NAME_ONE}")));
        }
        Ok(sharing)
    }

    /// Opens the home `remote`, or `data.remote` of the project, or none where neither names one: what is in the store
    /// needs no home.
    ///
    /// # Errors
    /// As [`remote::open`].
    pub fn open_if_named(
        project: &'a Project,
        remote: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Self, PipelineError> {
        let open = |uri| {
            remote::open(uri, &project.root, environment).map_err(|error| match error {
                wrong @ remote::RemoteError::Uri { .. } => PipelineError::Sharing(wrong.to_string()),
                other => modelgate_store::StoreError::from(other).into(),
            })
        };
        let home = remote.or(project.config.data.remote.as_deref()).map(open).transpose()?;
        let state = project.state_folder();
        let (store, index) = (ContentStore::new(&state), DigestIndex::open(&state));
        Ok(Self { project, store, index, home, progress })
    }

    /// Returns the home in words.
    pub fn remote(&self) -> String {
        self.home.as_ref().map_or_else(|| "the project's store".to_owned(), |home| home.name())
    }

    /// Sees to it that the store has `objects`, each with what it is called.
    fn bring(&self, objects: &[(Digest, String)]) -> Result<Moved, PipelineError> {
        if let Some(home) = &self.home {
            return Ok(self.transfer(home.as_ref(), false, false).pull(objects)?);
        }
        for (digest, name) in objects {
            match self.store.check(digest, &self.index) {
                Ok(path) => (self.progress)(fs_err::metadata(path)?.len()),
                Err(StoreError::Missing { .. }) => {
                    return Err(PipelineError::Sharing(format!(
                        "the content {digest} of `{name}` is not in the store, and there is no remote to fetch it from; \
                         {NAME_ONE}"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Moved { already: objects.len() as u64, ..Moved::default() })
    }

    fn transfer<'b>(&'b self, home: &'b dyn ObjectHome, dry_run: bool, verify: bool) -> Transfer<'b> {
        Transfer {
            dry_run,
            verify,
            store: &self.store,
            index: &self.index,
            home,
            cache: self.project.state_folder().join("cache"),
            progress: self.progress,
        }
    }

    /// Sends what the home does not have of `sets`; in a dry run, only counts it. To `verify`, every object that is there
    /// is read.
    ///
    /// # Errors
    /// Fails when a content is not in the store, and when the home cannot be used.
    pub fn push(&self, sets: &[DataSet], dry_run: bool, verify: bool) -> Result<Pushed, PipelineError> {
        let Some(home) = &self.home else {
            return Err(PipelineError::Sharing(format!("there is no remote; {NAME_ONE}")));
        };
        let folder = folder_of(home.as_ref());
        let is_new = folder.as_ref().is_some_and(|folder| !folder.exists());
        self.check_used(folder.as_deref())?;
        let transfer = self.transfer(home.as_ref(), dry_run, verify);
        let mut objects = Vec::new();
        for set in sets {
            let files = set.pointer.list(&self.store, &set.path)?;
            // What a pull brought from a pointer that lists its files itself left no object of the list here.
            if set.pointer.manifest_object().is_some() && set.pointer.list.is_some() {
                self.store.put(&manifest(&files)?)?;
            }
            objects.extend(files.into_iter().map(|file| (file.digest, file.name)));
        }
        let contents = transfer.push(&unique(objects));
        // The lists go last: who finds one finds all that it names.
        let lists = sets.iter().filter_map(|set| Some((set.pointer.manifest_object()?, set.name.clone())));
        let moved = contents.and_then(|contents| Ok(add(contents, transfer.push(&unique(lists.collect()))?)));
        let Moved { objects, bytes, already, replaced, by_size } = self.remembered(moved)?;
        if !dry_run {
            self.note_used(folder.as_deref())?;
        }
        Ok(Pushed { remote: self.remote(), objects, bytes, already, replaced, by_size, is_new })
    }

    /// Returns where the folders are noted in which there were contents.
    fn used(&self) -> PathBuf {
        self.project.state_folder().join("cache").join("remotes.json")
    }

    /// Returns the folders in which there were contents; what cannot be read is as if nothing had been noted.
    fn used_folders(&self) -> BTreeSet<String> {
        fs_err::read(self.used()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Refuses a folder in which there were contents and are none: where its disk is not mounted, new ones would come to lie on
    /// another, below the place where it is to be.
    fn check_used(&self, folder: Option<&Path>) -> Result<(), PipelineError> {
        let Some(folder) = folder.filter(|folder| !folder.join(OBJECTS).is_dir()) else { return Ok(()) };
        let shown = folder.display().to_string();
        if !self.used_folders().contains(&shown) {
            return Ok(());
        }
        let what = if folder.exists() { "has no contents any more" } else { "is not there" };
        Err(PipelineError::Sharing(format!(
            "the remote `{shown}` {what}, and this clone of the project has used it before: mount its disk; to fill it anew, make the \
             folder `{}`",
            folder.join(OBJECTS).display()
        )))
    }

    fn note_used(&self, folder: Option<&Path>) -> Result<(), PipelineError> {
        let Some(folder) = folder.filter(|folder| folder.join(OBJECTS).is_dir()) else { return Ok(()) };
        let mut used = self.used_folders();
        if used.insert(folder.display().to_string()) {
            atomic::write(&self.used(), &serde_json::to_vec(&used)?)?;
        }
        Ok(())
    }

    /// Fetches what the store does not have of `sets`, and writes their files; to `remove`, those below the sources that no
    /// pointer file names are removed where the store has their contents.
    ///
    /// # Errors
    /// Fails when the home does not have a content or has other bytes, and for a file whose changes would be lost,
    /// unless `force`.
    pub fn pull(
        &self,
        sets: &[DataSet],
        policy: LinkPolicy,
        force: bool,
        remove: bool,
    ) -> Result<Pulled, PipelineError> {
        let result = self.fetch_and_restore(sets, policy, force).and_then(|done| {
            let beyond = self.unlisted(sets)?;
            let (pruned, left) = if remove {
                prune(&self.project.root, &beyond, &self.store, &self.index)?
            } else {
                (Vec::new(), beyond.into_iter().map(|file| file.name).collect())
            };
            Ok((done, pruned, left))
        });
        let ((moved, restored), pruned, unlisted) = self.remembered(result)?;
        self.note_used(self.home.as_deref().and_then(folder_of).as_deref())?;
        Ok(Pulled {
            remote: self.remote(),
            objects: moved.objects,
            bytes: moved.bytes,
            already: moved.already,
            written: restored.written,
            unchanged: restored.unchanged,
            unlisted,
            pruned,
        })
    }

    /// Returns the files below the sources of `sets` that no pointer file of the project names.
    fn unlisted(&self, sets: &[DataSet]) -> Result<Vec<Found>, PipelineError> {
        let root = &self.project.root;
        let mut listed = BTreeSet::new();
        for set in all(self.project)? {
            // Where its list is not here, all that it may name is its own.
            let names: Vec<String> = if let Ok(files) = set.pointer.list(&self.store, &set.path) {
                files.into_iter().map(|file| file.name).collect()
            } else {
                let found = find(root, &set.pointer.source).unwrap_or_default();
                found.into_iter().map(|file| file.name).collect()
            };
            listed.extend(names);
            listed.insert(format!("data/{}.{POINTER}", set.name));
        }
        let mut beyond = Vec::new();
        for set in sets {
            // What cannot be searched is told by who reads it.
            beyond.extend(unlisted(root, &set.pointer.source, &listed).unwrap_or_default());
        }
        beyond.sort_unstable();
        beyond.dedup();
        Ok(beyond)
    }

    /// Fetches what the store does not have of `sets`, and writes no file of the project.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn fetch(&self, sets: &[DataSet]) -> Result<Pulled, PipelineError> {
        let result = self.lists(sets).and_then(|(moved, files)| Ok(add(moved, self.contents(&files)?)));
        let Moved { objects, bytes, already, .. } = self.remembered(result)?;
        Ok(Pulled {
            remote: self.remote(),
            objects,
            bytes,
            already,
            written: 0,
            unchanged: 0,
            unlisted: Vec::new(),
            pruned: Vec::new(),
        })
    }

    /// Fetches what the store does not have of `objects`, each with what it is called.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) fn fetch_objects(&self, objects: Vec<(Digest, String)>) -> Result<(), PipelineError> {
        let result = self.bring(&unique(objects));
        self.remembered(result).map(drop)
    }

    /// Keeps what is known of the files that were read, also where the work ended early; why it did is told first.
    fn remembered<T, E: Into<PipelineError>>(&self, result: Result<T, E>) -> Result<T, PipelineError> {
        let saved = self.index.save();
        let done = result.map_err(Into::into)?;
        saved?;
        Ok(done)
    }

    /// Fetches the lists of `sets`; returns the files of all, sorted by name, each with the set that has it.
    fn lists<'b>(&self, sets: &'b [DataSet]) -> Result<(Moved, Vec<(SnapshotFile, &'b str)>), PipelineError> {
        // A list in the pointer itself needs no object.
        let lists = sets.iter().filter(|set| set.pointer.list.is_none());
        let lists = lists.map(|set| (set.pointer.digest, set.name.clone())).collect();
        let moved = self.bring(&unique(lists))?;
        let mut files = Vec::new();
        for set in sets {
            let listed = set.pointer.list(&self.store, &set.path)?;
            files.extend(listed.into_iter().map(|file| (file, set.name.as_str())));
        }
        files.sort_unstable();
        files.dedup_by(|one, other| one.0 == other.0);
        Ok((moved, files))
    }

    /// Fetches what `files` name.
    fn contents(&self, files: &[(SnapshotFile, &str)]) -> Result<Moved, PipelineError> {
        let objects = files.iter().map(|(file, _)| (file.digest, file.name.clone())).collect();
        self.bring(&unique(objects))
    }

    fn fetch_and_restore(
        &self,
        sets: &[DataSet],
        policy: LinkPolicy,
        force: bool,
    ) -> Result<(Moved, Restored), PipelineError> {
        let (moved, files) = self.lists(sets)?;
        if let Some([(file, one), (_, other)]) =
            files.windows(2).find(|pair| pair[0].0.name == pair[1].0.name)
        {
            return Err(PipelineError::Sharing(format!(
                "the data sets `{one}` and `{other}` have `{}` with different contents: take the older one again with \
                 `modelgate data snapshot`, remove its pointer file, or pull them one by one",
                file.name
            )));
        }
        let moved = add(moved, self.contents(&files)?);
        let files: Vec<SnapshotFile> = files.into_iter().map(|(file, _)| file).collect();
        let restored = restore(&self.project.root, &files, &self.store, &self.index, policy, force)?;
        Ok((moved, restored))
    }
}

/// Returns the folder that a home is.
fn folder_of(home: &dyn ObjectHome) -> Option<PathBuf> {
    Some(home.file(OBJECTS).ok()??.parent()?.to_owned())
}

fn add(one: Moved, other: Moved) -> Moved {
    Moved {
        objects: one.objects + other.objects,
        bytes: one.bytes + other.bytes,
        already: one.already + other.already,
        replaced: one.replaced + other.replaced,
        by_size: one.by_size + other.by_size,
    }
}

/// Returns each object once, sorted by digest.
fn unique(mut objects: Vec<(Digest, String)>) -> Vec<(Digest, String)> {
    objects.sort_unstable();
    objects.dedup_by(|one, other| one.0 == other.0);
    objects
}
