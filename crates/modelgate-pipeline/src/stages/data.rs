//! Split and preprocess: from a snapshot to rows with parts and a fitted plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use modelgate_config as config;
use modelgate_core::schema::{Classes, Task};
use modelgate_core::{Digest, canonical};
use modelgate_data::preprocess::{Encode, Missing, PreprocessPlan, PreprocessSpec, Scale, UnknownCategory};
use modelgate_data::rows::{Leakage, RowQuery, RowScan, scan_rows};
use modelgate_data::split::{self, SplitAssignment, SplitKind, SplitSpec};
use modelgate_data::target::{Target, read_target};
use modelgate_data::{DataError, DataSchema, Dataset, Mixed, Table};
use serde::Serialize;
use serde_json::json;

use crate::error::PipelineError;
use crate::options::Sample;
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::{dataset, number_words};

/// Below this many rows the shares of a split are met exactly; above, rows keep their part when rows are added.
const EXACT_BELOW_ROWS: u64 = 10_000;

/// Returns the pipeline's task.
pub(crate) fn task(runner: &Runner<'_>) -> Task {
    pipeline_task(runner.pipeline)
}

/// Returns the task of `pipeline`.
pub(crate) fn pipeline_task(pipeline: &crate::Pipeline<'_>) -> Task {
    pipeline.config.task.into()
}

/// Returns the columns that are features: all but the target, the key, the weights, what the split goes by, dates and timestamps.
pub fn features(pipeline: &crate::Pipeline<'_>, schema: &DataSchema) -> Vec<String> {
    let columns = schema.columns.iter().filter(|column| !column.declared.column_type.is_time());
    let names = columns.map(|column| &column.name);
    names.filter(|name| !has_a_part(pipeline, name)).cloned().collect()
}

/// Returns whether a column is named for something else than to learn from it.
fn has_a_part(pipeline: &crate::Pipeline<'_>, name: &String) -> bool {
    let data = &pipeline.config.data;
    let parts = [Some(&data.target), data.key.as_ref(), data.weight.as_ref(), data.split.column.as_ref()];
    parts.contains(&Some(name))
}

/// Returns the features of the run's snapshot.
pub(crate) fn run_features(runner: &Runner<'_>) -> Result<Vec<String>, PipelineError> {
    let schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
    Ok(features(runner.pipeline, &schema))
}

/// Returns the snapshot as a table.
pub(crate) fn table(runner: &mut Runner<'_>) -> Result<Rc<Table>, PipelineError> {
    let digest = runner.output(Stage::Snapshot, "data")?;
    if let Some((kept, table)) = &runner.table
        && *kept == digest
    {
        return Ok(Rc::clone(table));
    }
    let dataset = dataset::open(runner)?;
    let table = Rc::new(modelgate_data::read_table(&dataset)?);
    runner.table = Some((digest, Rc::clone(&table)));
    Ok(table)
}

/// Returns the target column, encoded.
pub(crate) fn target(runner: &Runner<'_>, table: &Table) -> Result<Target, PipelineError> {
    target_of(runner.pipeline, table)
}

fn target_of(pipeline: &crate::Pipeline<'_>, table: &Table) -> Result<Target, PipelineError> {
    let data = &pipeline.config.data;
    Ok(modelgate_data::target::extract_target(table, &data.target, pipeline_task(pipeline), &data.source)?)
}

/// Returns the target where its classes are whole numbers, however they are written.
pub(crate) fn whole_classes<'a>(
    pipeline: &crate::Pipeline<'a>,
    table: &Table,
) -> Result<Option<&'a str>, PipelineError> {
    let whole = matches!(target_of(pipeline, table)?, Target::Classes { classes: Classes::Int(_), .. });
    Ok(whole.then_some(pipeline.config.data.target.as_str()))
}

/// Returns the weight of every row of `table`, if the configuration names a column of weights.
pub(crate) fn weights(runner: &Runner<'_>, table: &Table) -> Result<Option<Vec<f64>>, PipelineError> {
    let Some(name) = &runner.pipeline.config.data.weight else { return Ok(None) };
    let wrong = |reason: String| PipelineError::Setting {
        pipeline: runner.pipeline.name.to_owned(),
        key: "data.weight",
        reason,
    };
    let column = table.column(name).ok_or_else(|| wrong(format!("there is no column `{name}`")))?;
    let weight = |row: usize| {
        let place = || wrong(format!("column `{name}` has no number from 0 on in data row {}", row + 1));
        column.number(row).filter(|weight| *weight >= 0.0).ok_or_else(place)
    };
    (0..table.rows).map(weight).collect::<Result<_, _>>().map(Some)
}

/// Returns the rows of the split that are learned from: one of weight 0 is as if it were not there.
pub(crate) fn training_rows(
    runner: &Runner<'_>,
    table: &Table,
    split: &SplitAssignment,
) -> Result<Vec<u32>, PipelineError> {
    let Some(weights) = weights(runner, table)? else { return Ok(split.train.clone()) };
    let counted: Vec<u32> = split.train.iter().filter(|row| weights[**row as usize] > 0.0).copied().collect();
    // That nothing counts is told by who learns.
    Ok(if counted.is_empty() { split.train.clone() } else { counted })
}

/// Returns the inputs that every stage behind the snapshot shares.
pub(crate) fn data_inputs(runner: &Runner<'_>) -> Result<Inputs, PipelineError> {
    let data = &runner.pipeline.config.data;
    Ok(Inputs::from([
        ("data".to_owned(), json!(runner.output(Stage::Snapshot, "data")?)),
        // The same bytes are other rows to a reader that finds other types or quotes in them.
        ("types and rows".to_owned(), json!(runner.output(Stage::Snapshot, "schema")?)),
        ("task".to_owned(), json!(task(runner))),
        (
            "columns".to_owned(),
            json!({ "target": data.target, "key": data.key, "weight": data.weight, "by": data.split.column,
                "read": dataset::read_settings(runner.pipeline) }),
        ),
    ]))
}

/// Assigns the rows to train, validation and test.
pub(crate) fn split(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Split,
        |runner| {
            let mut inputs = data_inputs(runner)?;
            inputs.insert("split".to_owned(), json!(runner.pipeline.config.data.split));
            inputs.insert("seed".to_owned(), json!(runner.pipeline.config.seed));
            inputs.insert("sample".to_owned(), json!(runner.options.sample));
            Ok(inputs)
        },
        |runner| {
            let dataset = dataset::open(runner)?;
            let Splitter { spec, target: all, scan: mut found, column } =
                Splitter::look(runner.pipeline, &dataset)?;
            let rows = sample(column.rows, runner.options.sample, spec.seed);
            let (assignment, rows) = match rows {
                None => (split::assign(&found.keys, &all, &spec)?, None),
                Some(rows) => {
                    let drawn = target(runner, &column.take(&rows))
                        .and_then(|part| Ok(split::assign(&found.take(&rows).keys, &part, &spec)?));
                    let (assignment, rows) = match (drawn, &all) {
                        (Ok(assignment), _) => (on_all_rows(assignment, &rows), rows),
                        // Chance has left out a class that the data has.
                        (Err(_), Target::Classes { labels, .. }) => {
                            let whole = split::assign(&found.keys, &all, &spec)?;
                            with_every_class(&whole, &rows, labels)
                        }
                        (Err(error), Target::Values(_)) => return Err(of_a_sample(error, rows.len())),
                    };
                    found = found.take(&rows);
                    (assignment, Some(rows))
                }
            };
            // The scan of a sample is numbered by the sample's rows.
            let leakage = match &rows {
                None => modelgate_data::rows::leakage(&found, &assignment),
                Some(rows) => modelgate_data::rows::leakage(&found, &renumbered(&assignment, rows)),
            };
            let kind = spec.kind.as_str();
            let sampled = rows.map_or_else(String::new, |rows| format!(", a sample of {} rows", rows.len()));
            let summary = format!(
                "train {} · validation {} · test {} rows ({kind}{sampled})",
                assignment.train.len(),
                assignment.validation.len(),
                assignment.test.len()
            );
            let mut work = Work::json("split", &assignment, summary)?;
            work.outputs.insert("leakage".to_owned(), canonical::to_string(&leakage)?.into_bytes());
            work.warnings = leakage.warnings();
            Ok(work)
        },
    )
}

/// A part of a split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartPreview {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// The rows of each class; empty for a regression.
    pub classes: BTreeMap<String, u64>,
}

/// How the rows of a source would be split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SplitPreview {
    /// The version of this form.
    pub schema_version: u32,
    /// The kind of split.
    pub kind: &'static str,
    /// Train, validation and test.
    pub parts: Vec<PartPreview>,
    /// What stands on both sides.
    pub leakage: Leakage,
}

/// Splits the source of `pipeline` as a run would, and leaves nothing behind.
pub fn split_preview(pipeline: &crate::Pipeline<'_>) -> Result<SplitPreview, PipelineError> {
    let (_, found, assignment) = assigned(pipeline)?;
    Ok(preview(&found, &assignment))
}

/// Splits the source of `pipeline` as a run would, and writes the rows of each part as CSV into `folder`: as a program of
/// `train.command` gets them.
///
/// # Errors
/// Fails when `folder` holds anything else: nobody's files are mixed with these.
pub fn write_split(pipeline: &crate::Pipeline<'_>, folder: &Path) -> Result<SplitPreview, PipelineError> {
    let refuse = |what: String| PipelineError::Policy(format!("`{}` {what}", folder.display()));
    match fs_err::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let name = entry?.file_name();
                if !PARTS.iter().any(|part| name == format!("{part}.csv").as_str()) {
                    let name = name.to_string_lossy();
                    return Err(refuse(format!(
                        "holds `{name}`: name a folder that is empty or not there yet"
                    )));
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let (dataset, found, assignment) = assigned(pipeline)?;
    let table = modelgate_data::read_table(&dataset)?;
    let whole = whole_classes(pipeline, &table)?;
    for (part, rows) in PARTS.iter().zip([&assignment.train, &assignment.validation, &assignment.test]) {
        let page = super::command::rows::csv(&table, rows, &pipeline.config.preprocess.drop, whole);
        modelgate_store::atomic::write(&folder.join(format!("{part}.csv")), page.as_bytes())?;
    }
    Ok(preview(&found, &assignment))
}

/// The parts of a split.
const PARTS: [&str; 3] = ["train", "validation", "test"];

/// Returns the source of `pipeline`, what its split goes by, and the split.
fn assigned(pipeline: &crate::Pipeline<'_>) -> Result<(Dataset, Splitter, SplitAssignment), PipelineError> {
    let files = dataset::source_files(pipeline)?;
    let dataset = Dataset::open(files, &dataset::read_options(pipeline), Mixed::Refuse)?;
    let found = Splitter::look(pipeline, &dataset)?;
    let assignment = split::assign(&found.scan.keys, &found.target, &found.spec)?;
    Ok((dataset, found, assignment))
}

fn preview(found: &Splitter, assignment: &SplitAssignment) -> SplitPreview {
    let part = |name: &'static str, rows: &[u32]| {
        let mut classes = BTreeMap::new();
        if let Target::Classes { labels, classes: known } = &found.target {
            let names = known.names();
            for row in rows {
                *classes.entry(names[labels[*row as usize] as usize].clone()).or_default() += 1;
            }
        }
        PartPreview { name, rows: rows.len() as u64, classes }
    };
    let parts = PARTS.iter().zip([&assignment.train, &assignment.validation, &assignment.test]);
    SplitPreview {
        schema_version: 1,
        kind: found.spec.kind.as_str(),
        parts: parts.map(|(name, rows)| part(name, rows)).collect(),
        leakage: modelgate_data::rows::leakage(&found.scan, assignment),
    }
}

/// What a split goes by, from one look at all rows.
struct Splitter {
    spec: SplitSpec,
    target: Target,
    scan: RowScan,
    /// The target column, for a sample.
    column: Table,
}

impl Splitter {
    fn look(pipeline: &crate::Pipeline<'_>, dataset: &Dataset) -> Result<Self, PipelineError> {
        let data = &pipeline.config.data;
        let spec = split_spec(pipeline, dataset.schema.rows);
        let features = features(pipeline, &dataset.schema);
        let task = pipeline_task(pipeline);
        let (column, target) = read_target(dataset, &data.target, task, &data.source)?;
        let query = RowQuery {
            kind: spec.kind,
            by: data.split.column.as_deref(),
            key: data.key.as_deref(),
            target: &data.target,
            is_class: task == Task::Classification,
            features: &features,
            seed: spec.seed,
        };
        Ok(Self { spec, target, scan: scan_rows(dataset, &query)?, column })
    }
}

/// Returns how the rows of `pipeline` are split.
pub(crate) fn split_spec(pipeline: &crate::Pipeline<'_>, rows: u64) -> SplitSpec {
    let settings = &pipeline.config.data.split;
    let kind = match settings.kind {
        Some(config::SplitKindName::Exact) => SplitKind::Exact,
        Some(config::SplitKindName::Stable) => SplitKind::Stable,
        Some(config::SplitKindName::Time) => SplitKind::Time,
        Some(config::SplitKindName::Group) => SplitKind::Group,
        None if rows < EXACT_BELOW_ROWS => SplitKind::Exact,
        None => SplitKind::Stable,
    };
    SplitSpec {
        kind,
        train: settings.train,
        validation: settings.validation,
        test: settings.test,
        stratify: settings.stratify,
        seed: pipeline.config.seed,
    }
}

fn renumbered(assignment: &SplitAssignment, rows: &[u32]) -> SplitAssignment {
    let part =
        |list: &[u32]| list.iter().map(|row| rows.partition_point(|other| other < row) as u32).collect();
    SplitAssignment {
        train: part(&assignment.train),
        validation: part(&assignment.validation),
        test: part(&assignment.test),
    }
}

/// Returns a split of the rows of a sample by the numbers that these have among all.
fn on_all_rows(mut assignment: SplitAssignment, rows: &[u32]) -> SplitAssignment {
    for list in [&mut assignment.train, &mut assignment.validation, &mut assignment.test] {
        list.iter_mut().for_each(|row| *row = rows[*row as usize]);
    }
    assignment
}

/// Returns the rows of a sample in the parts that they have in the split of all rows, and of a class that a part lacks then
/// the first row that it has there; and all these rows.
fn with_every_class(whole: &SplitAssignment, rows: &[u32], labels: &[u32]) -> (SplitAssignment, Vec<u32>) {
    let part = |all: &[u32]| -> Vec<u32> {
        let is_drawn = |row: &u32| rows.binary_search(row).is_ok();
        let mut seen: BTreeSet<u32> =
            all.iter().filter(|row| is_drawn(row)).map(|row| labels[*row as usize]).collect();
        all.iter().copied().filter(|row| is_drawn(row) || seen.insert(labels[*row as usize])).collect()
    };
    let assignment = SplitAssignment {
        train: part(&whole.train),
        validation: part(&whole.validation),
        test: part(&whole.test),
    };
    let mut rows = [&assignment.train[..], &assignment.validation, &assignment.test].concat();
    rows.sort_unstable();
    (assignment, rows)
}

/// Says that what is wrong with a split is the sample's: the data may have all that it lacks.
fn of_a_sample(error: PipelineError, rows: usize) -> PipelineError {
    match error {
        PipelineError::Data(DataError::Split(message)) => {
            let what = message.split_once("; ").map_or(message.as_str(), |(what, _)| what);
            let said = format!("in a sample of {rows} rows, {what}; take a larger --sample");
            PipelineError::Data(DataError::Split(said))
        }
        PipelineError::Data(DataError::File { source_name, message }) => {
            let message = format!("in a sample of {rows} rows, {message}; take a larger --sample");
            PipelineError::Data(DataError::File { source_name, message })
        }
        other => other,
    }
}

/// Returns the sorted row numbers of a seeded sample, or `None` when all rows are taken.
fn sample(rows: usize, sample: Option<Sample>, seed: u64) -> Option<Vec<u32>> {
    let wanted = match sample? {
        Sample::Rows(wanted) => wanted as usize,
        Sample::Share(share) => ((rows as f64 * share).round() as usize).max(1),
    };
    if wanted >= rows {
        return None;
    }
    let mut ranked: Vec<([u8; 32], u32)> = (0..rows as u32)
        .map(|row| (*Digest::of(format!("sample {seed} {row}").as_bytes()).as_bytes(), row))
        .collect();
    ranked.sort_unstable();
    let mut chosen: Vec<u32> = ranked.into_iter().take(wanted).map(|(_, row)| row).collect();
    chosen.sort_unstable();
    Some(chosen)
}

/// Returns the split.
pub(crate) fn assignment(runner: &Runner<'_>) -> Result<SplitAssignment, PipelineError> {
    runner.json(Stage::Split, "split")
}

/// Returns the settings of the preprocessing.
pub(crate) fn preprocess_spec(settings: &config::PreprocessConfig) -> PreprocessSpec {
    PreprocessSpec {
        missing: match settings.missing {
            config::MissingName::None => Missing::None,
            config::MissingName::Mean => Missing::Mean,
            config::MissingName::Median => Missing::Median,
            config::MissingName::MostFrequent => Missing::MostFrequent,
        },
        scale: match settings.scale {
            config::ScaleName::None => Scale::None,
            config::ScaleName::Standard => Scale::Standard,
        },
        encode: match settings.encode {
            config::EncodeName::Onehot => Encode::Onehot,
            config::EncodeName::Ordinal => Encode::Ordinal,
        },
        unknown_category: match settings.unknown_category {
            config::UnknownCategoryName::Ignore => UnknownCategory::Ignore,
            config::UnknownCategoryName::Error => UnknownCategory::Error,
        },
    }
}

/// Fits the preprocessing on the training rows.
pub(crate) fn preprocess(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Preprocess,
        |runner| {
            let mut inputs = data_inputs(runner)?;
            inputs.insert("split".to_owned(), json!(runner.output(Stage::Split, "split")?));
            inputs.insert("preprocess".to_owned(), json!(runner.pipeline.config.preprocess));
            Ok(inputs)
        },
        |runner| {
            let table = table(runner)?;
            let rows = training_rows(runner, &table, &assignment(runner)?)?;
            let spec = preprocess_spec(&runner.pipeline.config.preprocess);
            let schema = dataset::open(runner)?.schema.clone();
            let features = features(runner.pipeline, &schema);
            let plan = modelgate_data::preprocess::fit(&table, &rows, &features, &spec)?;
            let summary = format!(
                "{} numeric and {} text columns become {} features",
                plan.numeric.len(),
                plan.text.len(),
                plan.output_names().len()
            );
            let mut work = Work::json("plan", &plan, summary)?;
            let times = schema.columns.iter().filter(|column| column.declared.column_type.is_time());
            // What the split goes by has its use.
            let times = times.filter(|column| !has_a_part(runner.pipeline, &column.name));
            work.warnings.extend(times.map(|column| {
                format!(
                    "column `{}` is a {} and no feature as it stands; declare `data.types: {{{}: string}}` to use its text, \
                     or drop it",
                    column.name, column.declared.column_type, column.name
                )
            }));
            work.warnings.extend(plan.doubts(&table, &rows));
            work.warnings.extend(number_words::doubts(&table, &runner.pipeline.config.data.nulls, &plan));
            Ok(work)
        },
    )
}

/// Returns the fitted plan.
pub(crate) fn plan(runner: &Runner<'_>) -> Result<PreprocessPlan, PipelineError> {
    runner.json(Stage::Preprocess, "plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_seeded_sorted_and_of_the_size_asked_for() {
        let first = sample(1000, Some(Sample::Rows(100)), 42).expect("a sample");
        assert_eq!(first.len(), 100);
        assert!(first.is_sorted());
        assert_eq!(Some(&first), sample(1000, Some(Sample::Share(0.1)), 42).as_ref());
        assert_ne!(Some(&first), sample(1000, Some(Sample::Rows(100)), 43).as_ref());
        assert_eq!(sample(10, Some(Sample::Rows(10)), 42), None);
    }

    #[test]
    fn a_class_that_a_sample_lacks_in_a_part_has_one_row_there() {
        let whole = SplitAssignment { train: vec![0, 2, 4, 6], validation: vec![1, 5], test: vec![3, 7] };
        //                 0  1  2  3  4  5  6  7
        let labels = [0, 0, 1, 0, 1, 1, 0, 1];
        let (part, rows) = with_every_class(&whole, &[0, 3, 6], &labels);
        let wanted = SplitAssignment { train: vec![0, 2, 6], validation: vec![1, 5], test: vec![3, 7] };
        assert_eq!((part, rows), (wanted, vec![0, 1, 2, 3, 5, 6, 7]));
    }
}
