//! `data push` and `data pull`: the contents of data sets to a home that others reach, and back.

use modelgate_core::Digest;
use modelgate_data::snapshot::{Moved, Restored, SnapshotFile, Transfer, restore};
use modelgate_store::remote::{self, ObjectHome};
use modelgate_store::{ContentStore, DigestIndex, LinkPolicy};
use serde::Serialize;

use crate::datasets::DataSet;
use crate::error::PipelineError;
use crate::project::Project;

/// The way between a project and a home of contents.
pub struct Sharing<'a> {
    project: &'a Project,
    store: ContentStore,
    index: DigestIndex,
    home: Box<dyn ObjectHome>,
    progress: &'a (dyn Fn(u64) + Sync),
}

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
        let Some(uri) = remote.or(project.config.data.remote.as_deref()) else {
            return Err(PipelineError::Sharing(
                "there is no remote; set `data: {remote: s3://bucket/prefix}` or a folder in modelgate.yaml, or give \
                 `--remote`"
                    .to_owned(),
            ));
        };
        let home = remote::open(uri, &project.root, environment).map_err(|error| match error {
            wrong @ remote::RemoteError::Uri { .. } => PipelineError::Sharing(wrong.to_string()),
            other => modelgate_store::StoreError::from(other).into(),
        })?;
        let state = project.state_folder();
        let (store, index) = (ContentStore::new(&state), DigestIndex::open(&state));
        Ok(Self { project, store, index, home, progress })
    }

    /// Returns the home in words.
    pub fn remote(&self) -> String {
        self.home.name()
    }

    fn transfer(&self, dry_run: bool, verify: bool) -> Transfer<'_> {
        Transfer {
            dry_run,
            verify,
            store: &self.store,
            index: &self.index,
            home: self.home.as_ref(),
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
        let transfer = self.transfer(dry_run, verify);
        let mut objects = Vec::new();
        for set in sets {
            let files = set.pointer.list(&self.store, &set.path)?;
            objects.extend(files.into_iter().map(|file| (file.digest, file.name)));
        }
        let contents = transfer.push(&unique(objects));
        // The lists go last: who finds one finds all that it names.
        let lists = sets.iter().filter_map(|set| Some((set.pointer.manifest_object()?, set.name.clone())));
        let moved = contents.and_then(|contents| Ok(add(contents, transfer.push(&unique(lists.collect()))?)));
        self.index.save()?;
        let Moved { objects, bytes, already, replaced, by_size } = moved?;
        Ok(Pushed { remote: self.remote(), objects, bytes, already, replaced, by_size })
    }

    /// Fetches what the store does not have of `sets`, and writes their files.
    ///
    /// # Errors
    /// Fails when the home does not have a content or has other bytes, and for a file whose changes would be lost,
    /// unless `force`.
    pub fn pull(&self, sets: &[DataSet], policy: LinkPolicy, force: bool) -> Result<Pulled, PipelineError> {
        let result = self.fetch_and_restore(sets, policy, force);
        self.index.save()?;
        let (moved, restored) = result?;
        Ok(Pulled {
            remote: self.remote(),
            objects: moved.objects,
            bytes: moved.bytes,
            already: moved.already,
            written: restored.written,
            unchanged: restored.unchanged,
        })
    }

    /// Fetches what the store does not have of `sets`, and writes no file of the project.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn fetch(&self, sets: &[DataSet]) -> Result<Pulled, PipelineError> {
        let result = self.contents(sets);
        self.index.save()?;
        let (Moved { objects, bytes, already, .. }, _) = result?;
        Ok(Pulled { remote: self.remote(), objects, bytes, already, written: 0, unchanged: 0 })
    }

    /// Fetches what the store does not have of `objects`, each with what it is called.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) fn fetch_objects(&self, objects: Vec<(Digest, String)>) -> Result<(), PipelineError> {
        let result = self.transfer(false, false).pull(&unique(objects));
        self.index.save()?;
        Ok(result.map(|_| ())?)
    }

    /// Fetches the lists of `sets` and all that they name; returns the files of all.
    fn contents(&self, sets: &[DataSet]) -> Result<(Moved, Vec<SnapshotFile>), PipelineError> {
        // A list in the pointer itself needs no object.
        let lists = sets.iter().filter(|set| set.pointer.list.is_none());
        let lists = lists.map(|set| (set.pointer.digest, set.name.clone())).collect();
        let mut moved = self.transfer(false, false).pull(&unique(lists))?;
        let mut files: Vec<SnapshotFile> = Vec::new();
        for set in sets {
            files.extend(set.pointer.list(&self.store, &set.path)?);
        }
        files.sort_unstable();
        files.dedup();
        let objects = files.iter().map(|file| (file.digest, file.name.clone())).collect();
        moved = add(moved, self.transfer(false, false).pull(&unique(objects))?);
        Ok((moved, files))
    }

    fn fetch_and_restore(
        &self,
        sets: &[DataSet],
        policy: LinkPolicy,
        force: bool,
    ) -> Result<(Moved, Restored), PipelineError> {
        let (moved, files) = self.contents(sets)?;
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(PipelineError::Sharing(format!(
                "two data sets have `{}` with different contents; pull them one by one",
                pair[0].name
            )));
        }
        let restored = restore(&self.project.root, &files, &self.store, &self.index, policy, force)?;
        Ok((moved, restored))
    }
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
