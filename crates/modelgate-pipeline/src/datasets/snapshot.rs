//! `data snapshot`: the files of a data set into the store, and its pointer file.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_data::snapshot::{Pointer, Taken, take};
use modelgate_store::{ContentStore, DigestIndex, Link, LinkPolicy, atomic};
use serde::Serialize;

use crate::datasets::{lost_object, pointer_path, superseded, superseded_sentence};
use crate::error::PipelineError;
use crate::project::Project;

/// What to take a snapshot of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRequest {
    /// The data set's name.
    pub name: String,
    /// A file, a glob or a folder, relative to the project.
    pub source: String,
}

impl SnapshotRequest {
    /// Returns the requests for `words`, each a pipeline or a path; for all pipelines that read from the project when there is
    /// none.
    ///
    /// # Errors
    /// Fails for a name that cannot be one, for two data sets of one name, and for `name` with several of them.
    pub fn parse(
        project: &Project,
        words: &[String],
        name: Option<&str>,
    ) -> Result<Vec<Self>, PipelineError> {
        let mut requests: Vec<Self> = Vec::new();
        let mut add = |request: Self| {
            if request.source.contains("://") {
                return Err(PipelineError::Sharing(format!(
                    "`{}` is not in the project; a snapshot is taken of files below it",
                    request.source
                )));
            }
            match requests.iter().find(|other| other.name == request.name) {
                // Pipelines may share a source, and so may words.
                Some(other) if other.source == request.source => {}
                Some(other) => {
                    return Err(PipelineError::Sharing(format!(
                        "`{}` and `{}` would both be the data set `{}`; take them one by one, with `--name`",
                        other.source, request.source, request.name
                    )));
                }
                None => requests.push(request),
            }
            Ok(())
        };
        let pipelines = &project.config.pipelines;
        if words.is_empty() {
            // What a pipeline reads from elsewhere is kept by its run.
            for (name, pipeline) in pipelines.iter().filter(|(_, pipeline)| is_below(&pipeline.data.source)) {
                add(Self { name: name.clone(), source: pipeline.data.source.clone() })?;
            }
        }
        for word in words {
            match pipelines.get(word) {
                Some(pipeline) => {
                    let source = &pipeline.data.source;
                    if !source.contains("://") && !is_below(source) {
                        return Err(PipelineError::Sharing(elsewhere_sentence(word, source)));
                    }
                    add(Self { name: word.clone(), source: source.clone() })?;
                }
                None => add(Self { name: name_of(word), source: word.trim_end_matches('/').to_owned() })?,
            }
        }
        if requests.is_empty() {
            let mut said =
                "there is nothing to take a snapshot of: no pipeline reads from the project; name a path"
                    .to_owned();
            elsewhere(project).iter().for_each(|sentence| said.push_str(&format!("\n{sentence}")));
            return Err(PipelineError::Sharing(said));
        }
        if let Some(name) = name {
            let [only] = requests.as_mut_slice() else {
                return Err(PipelineError::Sharing("`--name` names one data set; give one path".to_owned()));
            };
            name.clone_into(&mut only.name);
        }
        for request in &requests {
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
            let name = &request.name;
            if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(allowed) {
                return Err(PipelineError::Sharing(format!(
                    "`{name}` cannot be the name of a data set: expected letters, digits, `-`, `_` and `.`; give \
                     another with `--name`"
                )));
            }
        }
        Ok(requests)
    }
}

/// Returns whether a source is a plain path below the project.
fn is_below(source: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    !source.contains("://") && source.trim_end_matches('/').split('/').all(is_plain)
}

/// Says of each pipeline whose files lie beside the project that no snapshot is taken of them.
pub fn elsewhere(project: &Project) -> Vec<String> {
    let pipelines = project.config.pipelines.iter();
    let sources = pipelines.map(|(name, pipeline)| (name, &pipeline.data.source));
    let beside = sources.filter(|(_, source)| !source.contains("://") && !is_below(source));
    beside.map(|(name, source)| elsewhere_sentence(name, source)).collect()
}

fn elsewhere_sentence(pipeline: &str, source: &str) -> String {
    format!(
        "pipeline `{pipeline}`: no snapshot is taken of `{source}`, since a data set is of a path below the project, without `.` \
         and `..`: what lies elsewhere is versioned there, or is put below the project"
    )
}

/// Returns the name that a source suggests: that of its file without endings, or of its last folder without wildcards.
fn name_of(source: &str) -> String {
    let parts: Vec<&str> = source.trim_end_matches('/').split('/').collect();
    let wild = |part: &&&str| !part.contains(['*', '?', '[']);
    let part = if source.contains(['*', '?', '[']) {
        parts.iter().rev().skip(1).find(wild).or(parts.last())
    } else {
        parts.last()
    };
    let part = part.copied().unwrap_or(source);
    let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str()).unwrap_or(part);
    // `data.csv.gz` is `data`.
    let stem = stem.strip_suffix(".csv").unwrap_or(stem);
    let plain =
        |letter: char| if letter.is_alphanumeric() || matches!(letter, '-' | '.') { letter } else { '_' };
    stem.chars().map(plain).collect()
}

/// What a snapshot found and did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Snapshot {
    /// The data set.
    pub name: String,
    /// The file, glob or folder.
    pub source: String,
    /// The data set's digest.
    pub digest: Digest,
    /// How many files.
    pub files: u64,
    /// Bytes in all.
    pub size: u64,
    /// How many files had to be read.
    pub read: u64,
    /// How new contents got into the store, and how many each way.
    pub made: BTreeMap<Link, u64>,
    /// What it was before; `None` for a new data set.
    pub before: Option<Digest>,
    /// What a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Takes a snapshot and writes the pointer file if it has changed; `moved` hears of bytes that are done.
///
/// # Errors
/// Names what cannot be read or kept; the pointer file is then as it was.
pub fn snapshot(
    project: &Project,
    request: &SnapshotRequest,
    policy: LinkPolicy,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Snapshot, PipelineError> {
    let path = pointer_path(project, &request.name);
    let before = match fs_err::read_to_string(&path) {
        Ok(text) => Some((Pointer::parse_unchecked(&text, &path)?, text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if let Some((pointer, _)) = before.as_ref().filter(|(pointer, _)| pointer.source != request.source) {
        return Err(PipelineError::Sharing(format!(
            "the data set `{}` is of `{}`, not of `{}`; give another name with `--name`, or remove {}",
            request.name,
            pointer.source,
            request.source,
            path.display()
        )));
    }
    // A list that cannot be used is no reason to keep it.
    let broken = before.as_ref().and_then(|(_, text)| Pointer::parse(text, &path).err());
    let broken = broken.map(|error| format!("what the pointer file said before could not be read: {error}"));
    let state = project.state_folder();
    let (store, index) = (ContentStore::new(&state), DigestIndex::open(&state));
    let taken = take(&project.root, &request.source, &store, &index, policy, moved);
    // What was read was read, also when a later file failed.
    let saved = index.save();
    let Taken { pointer, read, made, lost, .. } = taken?;
    saved?;
    let text = pointer.to_text();
    if before.as_ref().is_none_or(|(_, before)| *before != text) {
        atomic::write(&path, text.as_bytes())?;
    }
    let left = superseded(project).unwrap_or_default().into_iter().filter(|(_, own)| *own == request.name);
    let left = left.map(|(name, own)| superseded_sentence(&name, &own));
    Ok(Snapshot {
        name: request.name.clone(),
        source: pointer.source,
        digest: pointer.digest,
        files: pointer.files,
        size: pointer.size,
        read,
        made,
        before: before.map(|(pointer, _)| pointer.digest),
        warnings: lost
            .iter()
            .map(|(name, digest)| lost_object(name, digest))
            .chain(left)
            .chain(broken)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_suggests_a_name() {
        for (source, name) in [
            ("data/raw/iris.csv", "iris"),
            ("data/raw/iris.csv.gz", "iris"),
            ("data/images/", "images"),
            ("data/parts/*.parquet", "parts"),
            ("data/*/x/*.csv", "x"),
            ("*.csv", "_"),
            ("my data.csv", "my_data"),
        ] {
            assert_eq!(name_of(source), name, "{source}");
        }
    }
}
