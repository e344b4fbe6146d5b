//! Snapshot, split and preprocess: from a file to rows with parts and a fitted plan.

use std::collections::BTreeMap;
use std::rc::Rc;

use modelgate_config as config;
use modelgate_core::Digest;
use modelgate_core::schema::{FeatureType, Task};
use modelgate_data::preprocess::{Encode, Missing, PreprocessPlan, PreprocessSpec, Scale, UnknownCategory};
use modelgate_data::split::{SplitAssignment, SplitKind, SplitSpec};
use modelgate_data::target::Target;
use modelgate_data::{CsvOptions, Table};
use serde_json::json;

use crate::error::PipelineError;
use crate::options::Sample;
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;

/// Below this many rows the shares of a split are met exactly; above, rows keep their part when rows are added.
const EXACT_BELOW_ROWS: usize = 10_000;

/// Returns the pipeline's task.
pub(crate) fn task(runner: &Runner<'_>) -> Result<Task, PipelineError> {
    pipeline_task(runner.pipeline)
}

/// Returns the task of `pipeline`.
pub(crate) fn pipeline_task(pipeline: &crate::Pipeline<'_>) -> Result<Task, PipelineError> {
    match pipeline.config.task {
        config::TaskKind::Classification => Ok(Task::Classification),
        config::TaskKind::Regression => Ok(Task::Regression),
        config::TaskKind::ImageClassificationCnn => Err(PipelineError::Setting {
            pipeline: pipeline.name.to_owned(),
            key: "task",
            reason: "`image_classification_cnn` is not in this version; use `classification` or `regression`"
                .to_owned(),
        }),
    }
}

fn csv_options(runner: &Runner<'_>) -> CsvOptions {
    let data = &runner.pipeline.config.data;
    let types = data.types.iter().map(|(name, kind)| {
        let kind = match kind {
            config::ColumnTypeName::Int => FeatureType::Int,
            config::ColumnTypeName::Float => FeatureType::Float,
            config::ColumnTypeName::String => FeatureType::Text,
        };
        (name.clone(), kind)
    });
    CsvOptions {
        drop: runner.pipeline.config.preprocess.drop.clone(),
        types: types.collect(),
        delimiter: data.delimiter.map(|delimiter| delimiter as u8),
    }
}

fn csv_settings(runner: &Runner<'_>) -> serde_json::Value {
    let (data, preprocess) = (&runner.pipeline.config.data, &runner.pipeline.config.preprocess);
    json!({ "types": data.types, "delimiter": data.delimiter, "drop": preprocess.drop })
}

/// Returns the columns that are features: all but the target, the key and the weights.
pub(crate) fn features(runner: &Runner<'_>, table: &Table) -> Vec<String> {
    let data = &runner.pipeline.config.data;
    let others = [Some(&data.target), data.key.as_ref(), data.weight.as_ref()];
    let names = table.columns.iter().map(|column| &column.name);
    names.filter(|name| !others.contains(&Some(*name))).cloned().collect()
}

/// Reads the source and keeps its bytes.
pub(crate) fn snapshot(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    let source = runner.pipeline.config.data.source.clone();
    let settings = csv_settings(runner);
    if source.contains("://") || source.contains(['*', '?']) {
        return Err(PipelineError::Setting {
            pipeline: runner.pipeline.name.to_owned(),
            key: "data.source",
            reason: format!("`{source}`: this version reads one CSV file, no glob and no URL"),
        });
    }
    let bytes = fs_err::read(runner.pipeline.project.root.join(&source))?;
    let digest = Digest::of(&bytes);
    runner.step(
        Stage::Snapshot,
        |_| Ok(Inputs::from([("file".to_owned(), json!(digest)), ("settings".to_owned(), settings)])),
        |runner| {
            let table = modelgate_data::read_csv(&bytes, &source, &csv_options(runner))?;
            let summary = format!(
                "{source}: {} rows × {} columns, sha256:{}",
                table.rows,
                table.columns.len(),
                digest.short()
            );
            runner.table = Some((digest, Rc::new(table)));
            Ok(Work { outputs: BTreeMap::from([("data".to_owned(), bytes)]), summary, warnings: Vec::new() })
        },
    )
}

/// Returns the snapshot as a table.
pub(crate) fn table(runner: &mut Runner<'_>) -> Result<Rc<Table>, PipelineError> {
    let digest = runner.output(Stage::Snapshot, "data")?;
    if let Some((kept, table)) = &runner.table
        && *kept == digest
    {
        return Ok(Rc::clone(table));
    }
    let bytes = runner.store.get(&digest)?;
    let source = &runner.pipeline.config.data.source;
    let table = Rc::new(modelgate_data::read_csv(&bytes, source, &csv_options(runner))?);
    runner.table = Some((digest, Rc::clone(&table)));
    Ok(table)
}

/// Returns the target column, encoded.
pub(crate) fn target(runner: &Runner<'_>, table: &Table) -> Result<Target, PipelineError> {
    let data = &runner.pipeline.config.data;
    Ok(modelgate_data::target::extract_target(table, &data.target, task(runner)?, &data.source)?)
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

/// Returns the inputs that every stage behind the snapshot shares.
pub(crate) fn data_inputs(runner: &Runner<'_>) -> Result<Inputs, PipelineError> {
    let data = &runner.pipeline.config.data;
    Ok(Inputs::from([
        ("data".to_owned(), json!(runner.output(Stage::Snapshot, "data")?)),
        ("task".to_owned(), json!(task(runner)?)),
        (
            "columns".to_owned(),
            json!({ "target": data.target, "key": data.key, "weight": data.weight, "read": csv_settings(runner) }),
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
            let table = table(runner)?;
            let settings = &runner.pipeline.config.data.split;
            let kind = match settings.kind {
                Some(config::SplitKindName::Exact) => SplitKind::Exact,
                Some(config::SplitKindName::Stable) => SplitKind::Stable,
                None if table.rows < EXACT_BELOW_ROWS => SplitKind::Exact,
                None => SplitKind::Stable,
            };
            let spec = SplitSpec {
                kind,
                train: settings.train,
                validation: settings.validation,
                test: settings.test,
                stratify: settings.stratify,
                seed: runner.pipeline.config.seed,
            };
            let key = runner.pipeline.config.data.key.as_deref();
            let rows = sample(table.rows, runner.options.sample, spec.seed);
            let assignment = match &rows {
                None => modelgate_data::split::split(&table, key, &target(runner, &table)?, &spec)?,
                Some(rows) => {
                    let part = table.take(rows);
                    let mut assignment =
                        modelgate_data::split::split(&part, key, &target(runner, &part)?, &spec)?;
                    for list in [&mut assignment.train, &mut assignment.validation, &mut assignment.test] {
                        for row in list.iter_mut() {
                            *row = rows[*row as usize];
                        }
                    }
                    assignment
                }
            };
            let kind = match kind {
                SplitKind::Exact => "exact",
                SplitKind::Stable => "stable",
            };
            let sampled = rows.map_or_else(String::new, |rows| format!(", a sample of {} rows", rows.len()));
            let summary = format!(
                "train {} · validation {} · test {} rows ({kind}{sampled})",
                assignment.train.len(),
                assignment.validation.len(),
                assignment.test.len()
            );
            Work::json("split", &assignment, summary)
        },
    )
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
            let rows = assignment(runner)?.train;
            let spec = preprocess_spec(&runner.pipeline.config.preprocess);
            let plan = modelgate_data::preprocess::fit(&table, &rows, &features(runner, &table), &spec)?;
            let summary = format!(
                "{} numeric and {} text columns become {} features",
                plan.numeric.len(),
                plan.text.len(),
                plan.output_names().len()
            );
            Work::json("plan", &plan, summary)
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
}
