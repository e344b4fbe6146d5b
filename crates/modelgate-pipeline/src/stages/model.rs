//! Train and assemble: from rows to a package.

use std::collections::BTreeMap;

use modelgate_core::schema::{Classes, FeatureSchema, SCHEMA_VERSION, Task};
use modelgate_core::{Digest, canonical};
use modelgate_data::target::Target;
use modelgate_learn::{FeatureMatrix, Targets, Trainer};
use modelgate_model::estimator::Estimator;
use modelgate_model::manifest::Lineage;
use serde_json::json;

use crate::error::PipelineError;
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::{data, dataset};

/// Returns the trainer that the configuration asks for.
pub(crate) fn trainer(runner: &Runner<'_>) -> Result<Box<dyn Trainer>, PipelineError> {
    check_trainer(runner.pipeline)
}

/// Returns the trainer that the configuration of `pipeline` asks for.
pub(crate) fn check_trainer(pipeline: &crate::Pipeline<'_>) -> Result<Box<dyn Trainer>, PipelineError> {
    let train = &pipeline.config.train;
    modelgate_learn::trainer(&train.algorithm, data::pipeline_task(pipeline)?, &train.params).map_err(
        |error| PipelineError::Setting {
            pipeline: pipeline.name.to_owned(),
            key: "train",
            reason: error.to_string(),
        },
    )
}

fn settings(runner: &Runner<'_>) -> Result<serde_json::Value, PipelineError> {
    let trainer = trainer(runner)?;
    Ok(json!({
        "algorithm": runner.pipeline.config.train.algorithm,
        "params": trainer.resolved_params(),
        "revision": trainer.revision(),
    }))
}

/// Fits the model.
pub(crate) fn train(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Train,
        |runner| {
            let mut inputs = data::data_inputs(runner)?;
            inputs.insert("split".to_owned(), json!(runner.output(Stage::Split, "split")?));
            inputs.insert("plan".to_owned(), json!(runner.output(Stage::Preprocess, "plan")?));
            inputs.insert("seed".to_owned(), json!(runner.pipeline.config.seed));
            inputs.insert("train".to_owned(), settings(runner)?);
            Ok(inputs)
        },
        |runner| {
            let table = data::table(runner)?;
            let rows = data::assignment(runner)?.train;
            let plan = data::plan(runner)?;
            let names = plan.output_names();
            let values = plan.transform(&table, &rows)?;
            let matrix =
                FeatureMatrix { rows: rows.len(), columns: names.len(), values: &values, names: &names };
            let seed = runner.pipeline.config.seed;
            let trainer = trainer(runner)?;
            let outcome = match data::target(runner, &table)? {
                Target::Classes { labels, classes } => {
                    let labels: Vec<u32> = rows.iter().map(|row| labels[*row as usize]).collect();
                    let names = classes.names();
                    trainer.fit(
                        &matrix,
                        &Targets::Classes { labels: &labels, classes: names.len(), names: &names },
                        seed,
                    )?
                }
                Target::Values(values) => {
                    let values: Vec<f64> = rows.iter().map(|row| values[*row as usize]).collect();
                    trainer.fit(&matrix, &Targets::Values(&values), seed)?
                }
            };
            let summary = format!(
                "{} on {} rows × {} features: {}",
                runner.pipeline.config.train.algorithm,
                rows.len(),
                names.len(),
                describe(&outcome.estimator)
            );
            let mut work = Work::json("estimator", &outcome.estimator, summary)?;
            work.outputs.insert("details".to_owned(), canonical::to_string(&outcome.details)?.into_bytes());
            work.warnings = outcome.warnings;
            Ok(work)
        },
    )
}

fn describe(estimator: &Estimator) -> String {
    match estimator {
        Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest) => {
            let nodes: usize = forest.trees.iter().map(|tree| tree.nodes.len()).sum();
            format!("{} trees, {nodes} nodes", forest.trees.len())
        }
        Estimator::LinearClassifier(linear) => format!("{} coefficients", linear.coefficients.len()),
    }
}

/// Returns the digest of the settings that make the model: not the gate's, nor the promotion's.
pub(crate) fn config_digest(runner: &Runner<'_>) -> Result<Digest, PipelineError> {
    let config = runner.pipeline.config;
    let value = json!({
        "model": runner.pipeline.model,
        "task": data::task(runner)?,
        "seed": config.seed,
        "columns": { "target": config.data.target, "key": config.data.key, "types": config.data.types, "delimiter": config.data.delimiter },
        "split": config.data.split,
        "preprocess": config.preprocess,
        "train": settings(runner)?,
    });
    Ok(canonical::digest(&value)?)
}

/// Makes the package.
pub(crate) fn assemble(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Assemble,
        |runner| {
            let mut inputs = data::data_inputs(runner)?;
            inputs.insert("split".to_owned(), json!(runner.output(Stage::Split, "split")?));
            inputs.insert("plan".to_owned(), json!(runner.output(Stage::Preprocess, "plan")?));
            inputs.insert("estimator".to_owned(), json!(runner.output(Stage::Train, "estimator")?));
            inputs.insert("configuration".to_owned(), json!(config_digest(runner)?));
            Ok(inputs)
        },
        |runner| {
            let table = data::table(runner)?;
            let rows = data::assignment(runner)?.train;
            let plan = data::plan(runner)?;
            let estimator: Estimator = runner.json(Stage::Train, "estimator")?;
            let names = data::features(runner.pipeline, &dataset::open(runner)?.schema);
            let target = runner.pipeline.config.data.target.clone();
            let classes: Option<Classes> = match data::target(runner, &table)? {
                Target::Classes { classes, .. } => Some(classes),
                Target::Values(_) => None,
            };
            let task = if classes.is_some() { Task::Classification } else { Task::Regression };
            let features = modelgate_data::preprocess::profile_features(&table, &rows, &plan);
            let reference = modelgate_data::profile::reference_profile(&table, &rows, &names, &target);
            let schema = FeatureSchema { schema_version: SCHEMA_VERSION, task, features, target, classes };
            let lineage = Lineage {
                dataset: runner.output(Stage::Snapshot, "data")?,
                config: config_digest(runner)?,
                code: format!("{}@{}", runner.pipeline.config.train.algorithm, trainer(runner)?.revision()),
                seed: runner.pipeline.config.seed,
                algorithm: runner.pipeline.config.train.algorithm.clone(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                split: runner.output(Stage::Split, "split")?,
            };
            let name = &runner.pipeline.model;
            let (digest, files) =
                modelgate_model::assemble(name, &schema, &plan, &estimator, &lineage, &reference)?;
            let size: usize = files.values().map(Vec::len).sum();
            let summary =
                format!("package sha256:{}, {} files, {}", digest.short(), files.len(), bytes_text(size));
            Ok(Work { outputs: files, summary, ..Work::default() })
        },
    )
}

fn bytes_text(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The name of the file whose digest is the package's.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Returns the package's files as they lie in the store.
pub(crate) fn package_files(runner: &Runner<'_>) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
    let record = runner.record(Stage::Assemble);
    let outputs = record.map(|record| record.outputs.clone()).unwrap_or_default();
    let read = |(name, digest): (String, Digest)| Ok((name, runner.store.get(&digest)?));
    outputs.into_iter().map(read).collect()
}

/// Returns the inputs of what looks at the package.
pub(crate) fn package_inputs(runner: &Runner<'_>) -> Result<Inputs, PipelineError> {
    let mut inputs = data::data_inputs(runner)?;
    inputs.insert("split".to_owned(), json!(runner.output(Stage::Split, "split")?));
    inputs.insert("package".to_owned(), json!(runner.output(Stage::Assemble, MANIFEST)?));
    Ok(inputs)
}
