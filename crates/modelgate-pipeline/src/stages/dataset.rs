//! Snapshot: the files of a source, kept by digest, and the types of their columns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use modelgate_config as config;
use modelgate_core::{Digest, canonical};
use modelgate_data::snapshot::SnapshotFile;
use modelgate_data::{
    ColumnType, DataError, DataSchema, Dataset, DeclaredType, Mixed, NO_SUCH_NAME, Quoting, ReadOptions,
    SourceFile, find_files, is_pandas_index,
};
use modelgate_store::{ContentStore, DigestIndex, Link, StoreError};
use rayon::prelude::*;
use serde_json::json;

use crate::columns;
use crate::datasets;
use crate::error::PipelineError;
use crate::project::Pipeline;
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;

/// Raised when other types, or other rows, are found in the same bytes.
const REVISION: u32 = 2;

/// Returns how the source of `pipeline` is read.
pub fn read_options(pipeline: &Pipeline<'_>) -> ReadOptions {
    let data = &pipeline.config.data;
    let quoting = match data.quote.as_deref().map(|quote| (quote, quote.bytes().next())) {
        None | Some((_, None)) => Quoting::Detect,
        Some(("none", _)) => Quoting::Never,
        Some((_, Some(quote))) => Quoting::By(quote),
    };
    let types = declared_types(data);
    ReadOptions {
        drop: unread(pipeline),
        literal: literal(&types),
        nulls: data.nulls.clone(),
        named: named_indices(pipeline),
        unlearned: unlearned(pipeline),
        types,
        delimiter: data.delimiter.map(|delimiter| delimiter as u8),
        quoting,
    }
}

/// Returns the types that are declared, by column.
pub(crate) fn declared_types(data: &config::DataConfig) -> BTreeMap<String, DeclaredType> {
    let types = data.types.iter().filter_map(|(name, text)| Some((name.clone(), declared_type(text)?)));
    types.collect()
}

/// Returns the columns of `types` in which words such as `NA` are values: who says that a column is text means every word of it.
pub(crate) fn literal(types: &BTreeMap<String, DeclaredType>) -> BTreeSet<String> {
    let literal = types.iter().filter(|(_, declared)| declared.column_type.is_text());
    literal.map(|(name, _)| name.clone()).collect()
}

/// Returns the columns that are not read: those of `preprocess.drop`, but for the key and what the split goes by, which rows
/// are told apart and divided by and no model learns from.
fn unread(pipeline: &Pipeline<'_>) -> Vec<String> {
    let data = &pipeline.config.data;
    let divides = matches!(data.split.kind, Some(config::SplitKindName::Time | config::SplitKindName::Group));
    let by = data.split.column.as_ref().filter(|_| divides);
    let dropped = pipeline.config.preprocess.drop.iter();
    dropped.filter(|name| Some(*name) != by && Some(*name) != data.key.as_ref()).cloned().collect()
}

/// Returns the columns that are no features.
fn unlearned(pipeline: &Pipeline<'_>) -> BTreeSet<String> {
    let data = &pipeline.config.data;
    let parts = [Some(&data.target), data.key.as_ref(), data.weight.as_ref(), data.split.column.as_ref()];
    parts.into_iter().flatten().chain(&pipeline.config.preprocess.drop).cloned().collect()
}

/// Returns the columns that pandas made of an index and that the pipeline gives a part.
fn named_indices(pipeline: &Pipeline<'_>) -> BTreeSet<String> {
    let data = &pipeline.config.data;
    let parts = [Some(&data.target), data.key.as_ref(), data.weight.as_ref(), data.split.column.as_ref()];
    parts.into_iter().flatten().filter(|name| is_pandas_index(name)).cloned().collect()
}

fn declared_type(text: &config::ColumnTypeText) -> Option<DeclaredType> {
    let (name, form) = text.parts()?;
    let column_type = match name {
        "int" => ColumnType::Int,
        "float" => ColumnType::Float,
        "bool" => ColumnType::Bool,
        "category" => ColumnType::Category,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp,
        "decimal" => ColumnType::Decimal,
        _ => ColumnType::String,
    };
    Some(DeclaredType { column_type, format: form.map(str::to_owned) })
}

/// Returns what of the configuration decides how a file is read.
pub(crate) fn read_settings(pipeline: &Pipeline<'_>) -> serde_json::Value {
    let data = &pipeline.config.data;
    let mut settings = json!({ "types": data.types, "delimiter": data.delimiter, "quote": data.quote, "drop": unread(pipeline) });
    let literal = read_options(pipeline).literal;
    if !literal.is_empty() {
        settings["literal"] = json!(literal);
    }
    if !data.nulls.is_empty() {
        settings["nulls"] = json!(data.nulls);
    }
    let named = named_indices(pipeline);
    if !named.is_empty() {
        settings["named"] = json!(named);
    }
    settings
}

/// Returns the files of the source of `pipeline`: as they lie in the project, or where a snapshot, DVC or S3 has them.
pub fn source_files(pipeline: &Pipeline<'_>) -> Result<Vec<SourceFile>, PipelineError> {
    let source = &pipeline.config.data.source;
    let project = pipeline.project;
    if source.starts_with("s3://") {
        return datasets::remote_files(project, source);
    }
    let wrong = |reason: String| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "data.source",
        reason,
    };
    if source.contains("://") {
        let expected = "expected a file or a glob below the project, or `s3://bucket/key`";
        return Err(wrong(format!("`{source}`: {expected}")));
    }
    let index = DigestIndex::open(&project.state_folder());
    let files = find_files(&project.root, source).map_err(|error| match error {
        DataError::File { message, .. } if message == NO_SUCH_NAME => {
            match datasets::set_of(project, pipeline.name, source) {
                Ok(Some(set)) => PipelineError::Sharing(format!(
                    "`{source}`: {NO_SUCH_NAME}; it is the data set `{0}`: `modelgate data pull {0}` brings it",
                    set.name
                )),
                _ if datasets::tracking(project, source).unwrap_or_default() => PipelineError::Sharing(format!(
                    "`{source}`: {NO_SUCH_NAME}; DVC tracks what is there: `modelgate data pull` brings it"
                )),
                _ => wrong(format!("`{source}`: {NO_SUCH_NAME}; put the files there, or name yours")),
            }
        }
        other => other.into(),
    })?;
    // A file that is not in the working copy may be kept all the same.
    match files.as_slice() {
        [only] if !only.on_disk().is_some_and(Path::exists) => {
            let kept = datasets::locate(project, pipeline.name, source, &index)?;
            if !kept.exists() {
                return Err(wrong(format!("there is no file `{source}`; put it there, or name yours")));
            }
            Ok(vec![SourceFile::path(only.name.clone(), kept)])
        }
        _ => Ok(files),
    }
}

fn digests(runner: &Runner<'_>, files: &[SourceFile]) -> Result<Vec<SnapshotFile>, PipelineError> {
    let index = &runner.index;
    let digest = |file: &SourceFile| {
        let path = file.on_disk().unwrap_or(Path::new(""));
        let (digest, identity) = index.digest_of(path)?;
        Ok(SnapshotFile { name: file.name.clone(), size: identity.size, digest })
    };
    let found: Result<Vec<_>, StoreError> = files.par_iter().map(digest).collect();
    Ok(found?)
}

/// Returns the digest of a data set: of its only file, or of the list of its files.
pub(crate) fn dataset_digest(files: &[SnapshotFile]) -> Result<Digest, PipelineError> {
    match files {
        [only] => Ok(only.digest),
        files => Ok(canonical::digest(&files)?),
    }
}

/// Keeps the files of the source and finds the types of their columns.
pub(crate) fn snapshot(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    let settings = read_settings(runner.pipeline);
    let files = source_files(runner.pipeline)?;
    columns::check_files(runner.pipeline, &files)?;
    // What is no table is not kept either.
    files.iter().try_for_each(SourceFile::refuse_others)?;
    let found = digests(runner, &files)?;
    // Another pointer file is no reason to work again, and to be told all the same.
    runner.beside.extend(datasets::warning_of(runner.pipeline, &found));
    runner.beside.extend(datasets::lacking(runner.pipeline.project, &runner.pipeline.config.data.source));
    let inputs = found.clone();
    runner.step(
        Stage::Snapshot,
        |_| {
            Ok(Inputs::from([
                ("files".to_owned(), json!(inputs)),
                ("settings".to_owned(), settings),
                ("revision".to_owned(), json!(REVISION)),
            ]))
        },
        |runner| {
            let (lost, made) = keep(runner, &files, &found)?;
            let digest = dataset_digest(&found)?;
            let kept = stored_files(&runner.store, &found);
            let dataset = Dataset::open(kept, &read_options(runner.pipeline), Mixed::Refuse)?;
            let schema = &dataset.schema;
            let many = if found.len() == 1 { String::new() } else { format!(" in {} files", found.len()) };
            let (read, dropped) = (schema.columns.len(), read_options(runner.pipeline).drop.len());
            let of = if dropped == 0 { String::new() } else { format!(" of {}", read + dropped) };
            let summary = format!(
                "{}: {} rows × {read}{of} columns{many}, sha256:{}{made}",
                runner.pipeline.config.data.source,
                schema.rows,
                digest.short()
            );
            let mut work = Work::json("schema", schema, summary)?;
            work.warnings.clone_from(&schema.notes);
            work.warnings.extend(lost);
            work.stored.extend(found.iter().map(|file| (format!("file:{}", file.name), file.digest)));
            work.outputs.insert("files".to_owned(), canonical::to_string(&found)?.into_bytes());
            match found.as_slice() {
                [only] => work.stored.insert("data".to_owned(), only.digest).is_none(),
                _ => work
                    .outputs
                    .insert("data".to_owned(), canonical::to_string(&found)?.into_bytes())
                    .is_none(),
            };
            runner.dataset = Some((digest, Rc::new(dataset)));
            Ok(work)
        },
    )
}

/// Puts the files into the store; returns what a person should know, and how new contents got there.
fn keep(
    runner: &Runner<'_>,
    files: &[SourceFile],
    found: &[SnapshotFile],
) -> Result<(Vec<String>, String), PipelineError> {
    let (store, index) = (&runner.store, &runner.index);
    let policy = datasets::link_policy(&runner.pipeline.project.config);
    let put = |(file, expected): (&SourceFile, &SnapshotFile)| {
        let path = file.on_disk().unwrap_or(Path::new(""));
        let kept = store.put_file(path, policy, index)?;
        if kept.digest != expected.digest {
            return Err(StoreError::Changed { path: path.to_owned() });
        }
        Ok((kept.lost.map(|lost| datasets::lost_object(&file.name, &lost)), kept.made))
    };
    let kept: Result<Vec<(Option<String>, Option<Link>)>, StoreError> =
        files.par_iter().zip(found).map(put).collect();
    let (notes, made): (Vec<_>, Vec<_>) = kept?.into_iter().unzip();
    runner.index.save()?;
    let made: BTreeSet<String> = made.into_iter().flatten().map(|link| link.to_string()).collect();
    let made = made.into_iter().collect::<Vec<_>>().join(" and ");
    let made = if made.is_empty() { made } else { format!(", kept by {made}") };
    Ok((notes.into_iter().flatten().collect(), made))
}

/// Returns the files as the store keeps them, under their own names.
fn stored_files(store: &ContentStore, files: &[SnapshotFile]) -> Vec<SourceFile> {
    let stored = |file: &SnapshotFile| SourceFile::path(&file.name, store.path(&file.digest));
    files.iter().map(stored).collect()
}

/// Returns the files of the snapshot as the store keeps them; their bytes are checked.
pub(crate) fn stored(runner: &Runner<'_>) -> Result<Vec<SourceFile>, PipelineError> {
    let files: Vec<SnapshotFile> = runner.json(Stage::Snapshot, "files")?;
    let digest = runner.output(Stage::Snapshot, "data")?;
    // What this run has put there itself need not be read again.
    if runner.dataset.as_ref().is_none_or(|(kept, _)| *kept != digest) {
        files.iter().try_for_each(|file| runner.store.check(&file.digest, &runner.index).map(drop))?;
    }
    Ok(stored_files(&runner.store, &files))
}

/// Returns the snapshot, opened; its bytes are checked once in a run.
pub(crate) fn open(runner: &mut Runner<'_>) -> Result<Rc<Dataset>, PipelineError> {
    let digest = runner.output(Stage::Snapshot, "data")?;
    if let Some((kept, dataset)) = &runner.dataset
        && *kept == digest
    {
        return Ok(Rc::clone(dataset));
    }
    let files = stored(runner)?;
    let schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
    let dataset = Rc::new(Dataset::with_schema(files, &read_options(runner.pipeline), schema)?);
    runner.dataset = Some((digest, Rc::clone(&dataset)));
    Ok(dataset)
}
