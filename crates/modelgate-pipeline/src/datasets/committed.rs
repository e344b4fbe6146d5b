//! The files of a source held against its pointer file: what git versions, and what lies here.
//!
//! Learning from other data than those that were committed is allowed, and never silent. The key function is [`warning`].

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_data::SourceFile;
use modelgate_data::snapshot::{Pointer, SnapshotFile};
use modelgate_store::{ContentStore, DigestIndex, FileIdentity};
use rayon::prelude::*;

use super::{DataSet, all};
use crate::error::PipelineError;
use crate::project::{Pipeline, Project};

/// So many bytes are read at most where nothing else has to be read.
const READ_FOR_A_LOOK: u64 = 256 << 20;

/// So many names are said of each kind.
const NAMED: usize = 3;

/// How far contents are looked at that are not known without reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Every file is read.
    All,
    /// Files are read while they are small together; of others, name and size are compared.
    Little,
}

/// How the files of a source differ from what its pointer file names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Difference {
    /// The data set.
    set: String,
    /// The file, glob or folder.
    source: String,
    /// Files that the pointer does not name.
    more: Vec<String>,
    /// Files that it names and that are not here.
    missing: Vec<String>,
    /// Files with another content.
    other: Vec<String>,
    /// Number and bytes of the files here and in the pointer, when its list of files is not here.
    totals: Option<[(u64, u64); 2]>,
    /// Whether the pipeline has the set's name.
    is_pipelines: bool,
}

/// A file that is here; its digest where it is known.
struct Here<'a> {
    name: &'a str,
    size: u64,
    digest: Option<Digest>,
}

impl Difference {
    /// Says what differs and what to do, in one line.
    fn warning(&self) -> String {
        let set = &self.set;
        let mut said = Vec::new();
        for (names, what) in [(&self.more, "more"), (&self.missing, "missing"), (&self.other, "other")] {
            let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
            let rest = names.len().saturating_sub(NAMED);
            let rest = if rest > 0 { format!(" and {rest} others") } else { String::new() };
            match names.len() {
                0 => {}
                1 => said.push(format!("1 file {what} ({})", shown.join(", "))),
                number => said.push(format!("{number} files {what} ({}{rest})", shown.join(", "))),
            }
        }
        if let Some([here, there]) = self.totals {
            said.push(if here == there {
                "as many files and bytes, and other contents among them".to_owned()
            } else {
                format!(
                    "{} files of {} bytes are here, and it names {} of {}",
                    here.0, here.1, there.0, there.1
                )
            });
        }
        let prune = if self.more.is_empty() { "" } else { " --prune" };
        let snapshot = if self.is_pipelines {
            set.clone()
        } else {
            // A shell would replace a glob by the files that are here.
            format!("--name {set} '{}'", self.source)
        };
        format!(
            "the data are not what `data/{set}.modelgate` names: {}; `modelgate data pull {set}{prune}` brings the committed \
             ones, `modelgate data snapshot {snapshot}` takes these",
            said.join(", ")
        )
    }

    fn is_empty(&self) -> bool {
        self.more.is_empty() && self.missing.is_empty() && self.other.is_empty() && self.totals.is_none()
    }
}

/// Returns the data set whose source is `source`: that of the pipeline's name, where there are several.
///
/// # Errors
/// Names the pointer file that cannot be read.
pub(crate) fn set_of(
    project: &Project,
    pipeline: &str,
    source: &str,
) -> Result<Option<DataSet>, PipelineError> {
    let same = |set: &DataSet| set.pointer.source == source.trim_end_matches('/');
    let mut sets: Vec<DataSet> = all(project)?.into_iter().filter(same).collect();
    let own = sets.iter().position(|set| set.name == pipeline).unwrap_or(0);
    Ok(if sets.is_empty() { None } else { Some(sets.swap_remove(own)) })
}

/// Says how the files of a pipeline's source differ from what its pointer file names; `None` when they do not, and when there
/// is no such file. Contents that the index knows are not read.
pub fn warning(pipeline: &Pipeline<'_>, files: &[SourceFile], reading: Reading) -> Option<String> {
    said(difference(pipeline, files, reading))
}

fn difference(
    pipeline: &Pipeline<'_>,
    files: &[SourceFile],
    reading: Reading,
) -> Result<Option<Difference>, PipelineError> {
    let project = pipeline.project;
    let Some(set) = set_of(project, pipeline.name, &pipeline.config.data.source)? else { return Ok(None) };
    let index = DigestIndex::open(&project.state_folder());
    let list = listed(project, &set)?;
    let expected: BTreeMap<&str, u64> =
        list.iter().flatten().map(|file| (file.name.as_str(), file.size)).collect();
    let mut identities = Vec::with_capacity(files.len());
    for file in files {
        identities.push(FileIdentity::of(&fs_err::metadata(file.on_disk().unwrap_or(Path::new("")))?));
    }
    // What has another size has another content: only what may be the same is worth reading.
    let may_be_same = |file: &SourceFile, identity: &FileIdentity| match &list {
        Some(_) => expected.get(file.name.as_str()) == Some(&identity.size),
        None => true,
    };
    let unknown = files.iter().zip(&identities).filter(|(file, identity)| may_be_same(file, identity));
    let unknown = unknown.filter(|(_, identity)| index.digest(identity).is_none());
    let bytes: u64 = unknown.map(|(_, identity)| identity.size).sum();
    let reads = reading == Reading::All || bytes <= READ_FOR_A_LOOK;
    let look = |(file, identity): (&SourceFile, &FileIdentity)| -> Result<Option<Digest>, PipelineError> {
        match (index.digest(identity), file.on_disk()) {
            (None, Some(path)) if reads && may_be_same(file, identity) => Ok(Some(index.digest_of(path)?.0)),
            (known, _) => Ok(known),
        }
    };
    let digests: Result<Vec<_>, _> = files.par_iter().zip(&identities).map(look).collect();
    let digests = digests?;
    // An index that cannot be written only costs reading again.
    let _ = index.save();
    let here = files.iter().zip(&identities).zip(digests);
    let here = here.map(|((file, identity), digest)| Here { name: &file.name, size: identity.size, digest });
    Ok(compared(pipeline, &set, list.as_deref(), &here.collect::<Vec<_>>()))
}

/// As [`warning`], of files whose digests are known.
pub(crate) fn warning_of(pipeline: &Pipeline<'_>, found: &[SnapshotFile]) -> Option<String> {
    said((|| {
        let Some(set) = set_of(pipeline.project, pipeline.name, &pipeline.config.data.source)? else {
            return Ok(None);
        };
        let list = listed(pipeline.project, &set)?;
        let here = found.iter();
        let here = here.map(|file| Here { name: &file.name, size: file.size, digest: Some(file.digest) });
        Ok(compared(pipeline, &set, list.as_deref(), &here.collect::<Vec<_>>()))
    })())
}

fn said(found: Result<Option<Difference>, PipelineError>) -> Option<String> {
    match found {
        Ok(found) => found.map(|found| found.warning()),
        Err(error) => Some(format!("the data cannot be held against their pointer file: {error}")),
    }
}

/// Returns the files of a data set; `None` when they are many and their list is not in the store.
fn listed(project: &Project, set: &DataSet) -> Result<Option<Vec<SnapshotFile>>, PipelineError> {
    let store = ContentStore::new(&project.state_folder());
    if set.pointer.list.is_none() && !store.contains(&set.pointer.digest) {
        return Ok(None);
    }
    Ok(Some(set.pointer.list(&store, &set.path)?))
}

/// `here` is sorted by name.
fn compared(
    pipeline: &Pipeline<'_>,
    set: &DataSet,
    list: Option<&[SnapshotFile]>,
    here: &[Here<'_>],
) -> Option<Difference> {
    let is_pipelines = set.name == pipeline.name;
    let mut found = Difference {
        set: set.name.clone(),
        source: set.pointer.source.clone(),
        is_pipelines,
        ..Difference::default()
    };
    let Some(list) = list else {
        let same = |files: &[SnapshotFile]| {
            Pointer::of(&set.pointer.source, files).is_ok_and(|of| of.digest == set.pointer.digest)
        };
        let known: Option<Vec<SnapshotFile>> = here
            .iter()
            .map(|file| {
                Some(SnapshotFile { name: file.name.to_owned(), size: file.size, digest: file.digest? })
            })
            .collect();
        let totals = (here.len() as u64, here.iter().map(|file| file.size).sum());
        let named = (set.pointer.files, set.pointer.size);
        let differs = known.map_or(totals != named, |known| !same(&known));
        found.totals = differs.then_some([totals, named]);
        return differs.then_some(found);
    };
    let by_name: BTreeMap<&str, &Here<'_>> = here.iter().map(|file| (file.name, file)).collect();
    for file in list {
        match by_name.get(file.name.as_str()) {
            None => found.missing.push(file.name.clone()),
            Some(here)
                if here.size != file.size || here.digest.is_some_and(|digest| digest != file.digest) =>
            {
                found.other.push(file.name.clone());
            }
            Some(_) => {}
        }
    }
    let is_listed = |name: &str| list.binary_search_by(|file| file.name.as_str().cmp(name)).is_ok();
    found.more = here.iter().filter(|file| !is_listed(file.name)).map(|file| file.name.to_owned()).collect();
    (!found.is_empty()).then_some(found)
}
