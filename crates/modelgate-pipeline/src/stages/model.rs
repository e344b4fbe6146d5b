//! Train and assemble: from rows to a package.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use modelgate_config::SplitKindName;
use modelgate_core::schema::{Classes, FeatureSchema, SCHEMA_VERSION, Task};
use modelgate_core::{Digest, canonical};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_learn::{FeatureMatrix, FitOutcome, LearnError, Progress, Targets, Trainer, Validation};
use modelgate_model::estimator::Estimator;
use modelgate_model::manifest::Lineage;
use serde_json::json;

use crate::error::PipelineError;
use crate::options::{StageReport, StageStatus};
use crate::outputs::TrainingReport;
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::heard::heard;
use crate::stages::search;
use crate::stages::trials::Trials;
use crate::stages::{class_order, coarse, command, contract, data, dataset, judge};

/// Returns the trainer that the configuration asks for.
pub(crate) fn trainer(runner: &Runner<'_>) -> Result<Box<dyn Trainer>, PipelineError> {
    check_trainer(runner.pipeline)
}

/// Checks what the configuration of `pipeline` says of training.
pub(crate) fn check_training(pipeline: &crate::Pipeline<'_>) -> Result<(), PipelineError> {
    let Some(text) = &pipeline.config.train.command else { return check_trainer(pipeline).map(drop) };
    command::check(&pipeline.project.root, text).map_err(|reason| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "train.command",
        reason,
    })?;
    command::doubts(pipeline).map(drop)
}

/// Returns the trainer that the configuration of `pipeline` asks for.
pub(crate) fn check_trainer(pipeline: &crate::Pipeline<'_>) -> Result<Box<dyn Trainer>, PipelineError> {
    let train = &pipeline.config.train;
    let task = data::pipeline_task(pipeline);
    let wrong =
        |reason: String| PipelineError::Setting { pipeline: pipeline.name.to_owned(), key: "train", reason };
    if let Some(config) = &train.search {
        let (params, quantile) = (&train.params, train.quantile());
        search::trials(config, &train.algorithm, params, quantile, task, pipeline.config.seed)
            .map_err(wrong)?;
    }
    modelgate_learn::trainer(&train.algorithm, task, &train.params).map_err(|error| wrong(error.to_string()))
}

/// Searches for parameters, if the configuration asks for that; returns what a person should know of it besides.
fn searched(
    runner: &mut Runner<'_>,
    table: &Table,
    split: &SplitAssignment,
) -> Result<Option<(Trials, Option<String>)>, PipelineError> {
    let config = &runner.pipeline.config;
    let Some(search) = &config.train.search else { return Ok(None) };
    let target = data::target(runner, table)?;
    let features = data::run_features(runner)?;
    let weights = data::weights(runner, table)?;
    let searched = search::Searched {
        pipeline: runner.pipeline.name,
        config: search,
        algorithm: &config.train.algorithm,
        params: &config.train.params,
        quantile: config.train.quantile(),
        task: data::task(runner),
        seed: config.seed,
        average: judge::average(runner),
        table,
        // A group, like a key, is never in two folds.
        key: config.data.split.column.as_deref().or(config.data.key.as_deref()),
        grouped: config.data.split.kind == Some(SplitKindName::Group),
        time: config
            .data
            .split
            .column
            .as_deref()
            .filter(|_| config.data.split.kind == Some(SplitKindName::Time)),
        target: &target,
        weights: weights.as_deref(),
        features: &features,
        spec: data::preprocess_spec(&config.preprocess),
        train: &data::training_rows(runner, table, split)?,
        validation: &split.validation,
    };
    let reporter = &mut *runner.reporter;
    let mut progress =
        |done: usize, of: usize| reporter.progress(Stage::Train, "fits of the search", done, of);
    Ok(Some(searched.run(&mut progress)?))
}

/// Returns what there is to say of the fit.
pub(crate) fn training(runner: &Runner<'_>) -> Option<TrainingReport> {
    Some(TrainingReport {
        schema_version: 1,
        algorithm: algorithm(runner).to_owned(),
        params: runner.json(Stage::Train, "params").ok()?,
        details: runner.json(Stage::Train, "details").ok()?,
        warnings: runner.record(Stage::Train)?.warnings.clone(),
    })
}

/// Returns the trials of the search that `train` made, and whether this run made them.
pub(crate) fn trials(runner: &Runner<'_>) -> Option<(Trials, bool)> {
    let trials = runner.json(Stage::Train, "trials").ok()?;
    let ran = |report: &StageReport| report.stage == Stage::Train && report.status == StageStatus::Ran;
    Some((trials, runner.reports.iter().any(ran)))
}

/// Returns the parameters that the model was trained with, defaults filled in.
pub(crate) fn final_params(
    runner: &Runner<'_>,
) -> Result<BTreeMap<String, serde_json::Value>, PipelineError> {
    match runner.json(Stage::Train, "params") {
        Ok(params) => Ok(params),
        // The model may not have been reached.
        Err(_) => Ok(trainer(runner)?.resolved_params()),
    }
}

fn settings(runner: &Runner<'_>) -> Result<serde_json::Value, PipelineError> {
    if let Some(path) = &runner.options.import {
        return Ok(json!({ "import": Digest::of(&fs_err::read(path)?) }));
    }
    if let Some(text) = command::command(runner) {
        return command::settings(runner, text);
    }
    let trainer = trainer(runner)?;
    let mut settings = json!({
        "algorithm": runner.pipeline.config.train.algorithm,
        "params": trainer.resolved_params(),
        "revision": trainer.revision(),
        "search": runner.pipeline.config.train.search,
    });
    if runner.pipeline.config.train.search.is_some() {
        settings["search_revision"] = json!(search::REVISION);
    }
    Ok(settings)
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
            if runner.pipeline.config.train.search.is_some() {
                inputs.insert("preprocess".to_owned(), json!(runner.pipeline.config.preprocess));
                inputs.insert("evaluate".to_owned(), json!(runner.pipeline.config.evaluate));
            }
            Ok(inputs)
        },
        |runner| {
            let at = (runner.surroundings.now)();
            let mut work = fitted(runner)?;
            work.outputs.insert(TRAINED_AT.to_owned(), canonical::to_string(&at)?.into_bytes());
            Ok(work)
        },
    )
}

/// The name of the output that says when the model was trained.
pub(crate) const TRAINED_AT: &str = "trained_at";

/// Fits the model, or takes it from where it comes.
fn fitted(runner: &mut Runner<'_>) -> Result<Work, PipelineError> {
    if let Some(path) = runner.options.import.clone() {
        return command::import(&path, &runner.pipeline.config.data.source);
    }
    if command::command(runner).is_some() {
        return command::train(runner);
    }
    let table = data::table(runner)?;
    let split = data::assignment(runner)?;
    let (rows, plan) = (data::training_rows(runner, &table, &split)?, data::plan(runner)?);
    let rounded = coarse::learned(&table, &rows, &plan)?;
    let (trials, left_out) = searched(runner, &table, &split)?.unzip();
    let held_out = split.validation;
    let names = plan.output_names();
    let values = plan.transform(&table, &rows)?;
    let matrix = FeatureMatrix { rows: rows.len(), columns: names.len(), values: &values, names: &names };
    let seed = runner.pipeline.config.seed;
    let mut trainer = match &trials {
        None => trainer(runner)?,
        Some(trials) => {
            let algorithm = &runner.pipeline.config.train.algorithm;
            let made = modelgate_learn::trainer(algorithm, data::task(runner), &trials.best_params);
            made.map_err(|error| PipelineError::Policy(format!("train.search: {error}")))?
        }
    };
    let weights = data::weights(runner, &table)?;
    let weights_of = |rows: &[u32]| -> Option<Vec<f64>> {
        let weights = weights.as_ref()?;
        Some(rows.iter().map(|row| weights[*row as usize]).collect())
    };
    let target = data::target(runner, &table)?;
    // What stops early looks at the validation rows, if there are any.
    let validation = if trainer.wants_validation() && !held_out.is_empty() {
        Some((plan.transform(&table, &held_out)?, weights_of(&held_out), held_out))
    } else {
        None
    };
    let optimistic = validation.is_some().then(|| stopped_on_gated(runner)).flatten();
    let reporter = &mut *runner.reporter;
    let mut hear = |done: usize, of: usize| reporter.progress(Stage::Train, "parts of the model", done, of);
    let work = |sender: Sender<Option<(usize, usize)>>| {
        trainer.report_to(Progress::to(move |done, of| {
            // Nobody may be listening any more.
            let _ = sender.send(Some((done, of)));
        }));
        let validation = validation.as_ref().map(|(values, weights, rows)| {
            let matrix = FeatureMatrix { rows: rows.len(), values: &values[..], ..matrix };
            (matrix, weights.as_deref(), &rows[..])
        });
        let weights = weights_of(&rows);
        fit(trainer.as_ref(), (&matrix, &rows), validation, &target, weights.as_deref(), seed)
    };
    let outcome = heard(work, &mut hear).map_err(|error| {
        // Whoever reads it has the file and not the split before them.
        match error.in_data(|at| Some(u64::from(*rows.get(at)?) + 1)) {
            LearnError::Setting(reason) => {
                PipelineError::Setting { pipeline: runner.pipeline.name.to_owned(), key: "train", reason }
            }
            other => other.into(),
        }
    })?;
    let mut summary = format!(
        "{} on {} rows × {} features: {}",
        runner.pipeline.config.train.algorithm,
        rows.len(),
        names.len(),
        describe(&outcome.estimator)
    );
    if let Some(trials) = &trials {
        summary = format!("{summary}; {}", trials.summary());
    }
    let outputs = BTreeMap::from([("estimator".to_owned(), outcome.estimator.to_bytes()?)]);
    let mut work = Work { outputs, summary, ..Work::default() };
    work.outputs.insert("details".to_owned(), canonical::to_string(&outcome.details)?.into_bytes());
    let params = canonical::to_string(&trainer.resolved_params())?;
    work.outputs.insert("params".to_owned(), params.into_bytes());
    work.warnings = outcome.warnings;
    work.warnings.extend(rounded);
    work.warnings.extend(left_out.flatten());
    work.warnings.extend(optimistic);
    if let Some(trials) = &trials {
        work.outputs.insert("trials".to_owned(), canonical::to_pretty(trials)?.into_bytes());
        work.warnings.extend(optimism(runner, trials));
    }
    Ok(work)
}

/// Fits a model to rows of a matrix, which are those of the target; `weights` has one for each of them.
fn fit(
    trainer: &dyn Trainer,
    (matrix, rows): (&FeatureMatrix<'_>, &[u32]),
    validation: Option<(FeatureMatrix<'_>, Option<&[f64]>, &[u32])>,
    target: &Target,
    weights: Option<&[f64]>,
    seed: u64,
) -> Result<FitOutcome, LearnError> {
    let go = |targets: &Targets<'_>, held_out: &Targets<'_>| match &validation {
        Some((values, held_weights, _)) => {
            let validation = Validation { matrix: values, targets: held_out, weights: *held_weights };
            trainer.fit_validated(matrix, targets, weights, validation, seed)
        }
        None => trainer.fit_weighted(matrix, targets, weights, seed),
    };
    let held_out = validation.as_ref().map_or(&[][..], |(_, _, rows)| rows);
    match target {
        Target::Classes { labels, classes } => {
            let of = |rows: &[u32]| rows.iter().map(|row| labels[*row as usize]).collect::<Vec<u32>>();
            let (learned, held_out) = (of(rows), of(held_out));
            let names = classes.names();
            let targets = |labels| Targets::Classes { labels, classes: names.len(), names: &names };
            go(&targets(&learned), &targets(&held_out))
        }
        Target::Values(values) => {
            let of = |rows: &[u32]| rows.iter().map(|row| values[*row as usize]).collect::<Vec<f64>>();
            go(&Targets::Values(&of(rows)), &Targets::Values(&of(held_out)))
        }
    }
}

/// Says that the gate judges on the rows on which training was stopped.
fn stopped_on_gated(runner: &Runner<'_>) -> Option<String> {
    (runner.pipeline.config.gate.on == modelgate_config::SubsetName::Validation).then(|| {
        "training stopped early by the validation rows, and the gate judges on them: its figures are a little too \
         good; set `gate.on: test`"
            .to_owned()
    })
}

/// Says that the gate judges on the rows on which the parameters were chosen.
fn optimism(runner: &Runner<'_>, trials: &Trials) -> Option<String> {
    let gated = runner.pipeline.config.gate.on == modelgate_config::SubsetName::Validation;
    (trials.cv.is_none() && gated).then(|| {
        format!(
            "the best of {} trials was chosen on the validation rows, on which the gate judges too: set `train.search.cv`, \
             or `gate.on: test`",
            trials.trials.len()
        )
    })
}

/// What stands in place of a trainer's name where a model was imported.
pub(crate) const IMPORTED: &str = "import";

/// Returns the trainer's name, or `command`.
pub(crate) fn algorithm<'a>(runner: &Runner<'a>) -> &'a str {
    let train = &runner.pipeline.config.train;
    match (&runner.options.import, &train.command) {
        (Some(_), _) => IMPORTED,
        (None, Some(_)) => "command",
        (None, None) => &train.algorithm,
    }
}

fn describe(estimator: &Estimator) -> String {
    let trees = |number: usize| if number == 1 { "1 tree".to_owned() } else { format!("{number} trees") };
    match estimator {
        Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest) => {
            let nodes: usize = forest.trees.iter().map(|tree| tree.nodes.len()).sum();
            format!("{}, {nodes} nodes", trees(forest.trees.len()))
        }
        Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted) => {
            let nodes: usize = boosted.trees.iter().map(|tree| tree.nodes.len()).sum();
            format!("{}, {nodes} nodes", trees(boosted.trees.len()))
        }
        Estimator::LinearClassifier(linear) => format!("{} coefficients", linear.coefficients.len()),
        Estimator::LinearRegressor(linear) => format!("{} coefficients", linear.coefficients.len()),
    }
}

/// Returns the digest of the settings that make the model: not the gate's, nor the promotion's.
pub(crate) fn config_digest(runner: &Runner<'_>) -> Result<Digest, PipelineError> {
    let config = runner.pipeline.config;
    let mut value = json!({
        "model": runner.pipeline.model,
        "task": data::task(runner),
        "seed": config.seed,
        "columns": { "target": config.data.target, "key": config.data.key, "weight": config.data.weight, "types": config.data.types, "delimiter": config.data.delimiter },
        "split": config.data.split,
        "preprocess": config.preprocess,
        "train": settings(runner)?,
    });
    // What lies around a program may be no part of it: the version is the same where the model is.
    if let Some(train) = value["train"].as_object_mut() {
        train.remove("beside");
    }
    if !config.data.nulls.is_empty() {
        value["columns"]["nulls"] = json!(config.data.nulls);
    }
    if let Some(quote) = &config.data.quote {
        value["columns"]["quote"] = json!(quote);
    }
    // A search compares by averaged figures.
    if config.train.search.is_some() && config.evaluate.average != modelgate_config::AverageName::default() {
        value["average"] = json!(config.evaluate.average);
    }
    Ok(canonical::digest(&value)?)
}

/// Makes the package.
pub(crate) fn assemble(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Assemble,
        |runner| {
            let mut inputs = data::data_inputs(runner)?;
            inputs.insert("revision".to_owned(), json!(ASSEMBLE_REVISION));
            inputs.insert("split".to_owned(), json!(runner.output(Stage::Split, "split")?));
            inputs.insert("plan".to_owned(), json!(runner.output(Stage::Preprocess, "plan")?));
            let trained = if command::is_foreign(runner) { command::MODEL } else { "estimator" };
            if command::is_foreign(runner) {
                inputs.insert("foreign".to_owned(), json!(FOREIGN_REVISION));
            }
            inputs.insert("estimator".to_owned(), json!(runner.output(Stage::Train, trained)?));
            inputs.insert("configuration".to_owned(), json!(config_digest(runner)?));
            if let Some((contract, _)) = contract::read_contract(runner.pipeline)? {
                inputs.insert("columns".to_owned(), json!(contract.columns));
            }
            // A package that was kept from before may not have them.
            let nulls = &runner.pipeline.config.data.nulls;
            if !nulls.is_empty() {
                inputs.insert("nulls".to_owned(), json!(nulls));
            }
            Ok(inputs)
        },
        |runner| {
            let table = data::table(runner)?;
            let rows = data::assignment(runner)?.train;
            let plan = data::plan(runner)?;
            let names = data::run_features(runner)?;
            let target = runner.pipeline.config.data.target.clone();
            let (labels, classes): (Vec<u32>, Option<Classes>) = match data::target(runner, &table)? {
                Target::Classes { labels, classes } => (labels, Some(classes)),
                Target::Values(_) => (Vec::new(), None),
            };
            let task = if classes.is_some() { Task::Classification } else { Task::Regression };
            let mut features = modelgate_data::preprocess::profile_features(&table, &rows, &plan);
            if let Some((contract, _)) = contract::read_contract(runner.pipeline)? {
                modelgate_data::contract::describe(&contract, &mut features);
            }
            let reference = modelgate_data::profile::reference_profile(&table, &rows, &names, &target);
            let foreign = command::is_foreign(runner);
            let mut warnings = if foreign { coarse::imported(&table, &rows, &features) } else { Vec::new() };
            let nulls = dataset::open(runner)?.request_nulls(&features);
            let schema =
                FeatureSchema { schema_version: SCHEMA_VERSION, task, features, target, classes, nulls };
            let code = match command::command(runner) {
                _ if runner.options.import.is_some() => {
                    format!("import of {}", runner.output(Stage::Train, command::MODEL)?)
                }
                Some(text) => text.to_owned(),
                None => format!("{}@{}", algorithm(runner), trainer(runner)?.revision()),
            };
            let lineage = Lineage {
                dataset: runner.output(Stage::Snapshot, "data")?,
                config: config_digest(runner)?,
                code,
                seed: runner.pipeline.config.seed,
                algorithm: algorithm(runner).to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                split: runner.output(Stage::Split, "split")?,
            };
            let name = &runner.pipeline.model;
            let (digest, files) = if foreign {
                let model =
                    modelgate_model::ForeignModel::read(&runner.bytes(Stage::Train, command::MODEL)?)?;
                warnings.extend(model.doubts(&schema));
                let made = modelgate_model::assemble_foreign(name, &schema, &model, &lineage, &reference)?;
                if let (Some(classes), Some(graph)) = (&schema.classes, made.1.get("model.onnx")) {
                    warnings.extend(class_order::doubt(graph, &table, &rows, &labels, classes));
                }
                made
            } else {
                let estimator = runner.estimator()?;
                let made = modelgate_model::assemble(name, &schema, &plan, &estimator, &lineage, &reference)?;
                let size = made.1.get("model.onnx").map_or(0, Vec::len);
                warnings.extend(modelgate_model::large_graph(&estimator, size));
                made
            };
            let size: usize = files.values().map(Vec::len).sum();
            let summary =
                format!("package sha256:{}, {} files, {}", digest.short(), files.len(), bytes_text(size));
            Ok(Work { outputs: files, summary, warnings, ..Work::default() })
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

/// Raised when what is said in a package of the same model changes.
const ASSEMBLE_REVISION: u32 = 1;

/// Raised when a model from elsewhere is taken, refused or doubted otherwise.
const FOREIGN_REVISION: u32 = 1;

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
