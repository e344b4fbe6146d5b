//! `modelgate model import`.

use anyhow::Context;
use modelgate_core::schema::FeatureSchema;
use modelgate_pipeline::{Project, RunOptions};

use crate::arguments::model::Import;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(import: &Import, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(import.pipeline.as_deref())?;
    let path = fs_err::canonicalize(&import.file)?;
    if path.is_dir() {
        return Err(UsageError(format!(
            "{} is a folder: name the file of the model in it, which is ONNX, LightGBM's text or XGBoost's JSON; docs/migrate.md says \
             how a model of MLflow becomes one",
            import.file.display()
        ))
        .into());
    }
    // A pipe has no end that could be waited for, and is read twice.
    if !path.is_file() {
        return Err(
            UsageError(format!("{} is no file: write the model into one", import.file.display())).into()
        );
    }
    if let Some(schema) = &import.schema {
        if !schema.is_file() {
            return Err(UsageError(format!("--schema: there is no file `{}`", schema.display())).into());
        }
        check(&path, schema)?;
    }
    let options = RunOptions { import: Some(path), ..RunOptions::default() };
    super::run::walk(&pipeline, &options, printer)
}

/// Holds the graph against a schema before any work.
fn check(path: &std::path::Path, schema: &std::path::Path) -> anyhow::Result<()> {
    let text = fs_err::read_to_string(schema)?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", schema.display()))?;
    // A whole manifest is taken too.
    let inner = value.get("schema").unwrap_or(&value).clone();
    let wanted: FeatureSchema = serde_json::from_value(inner).with_context(|| {
        format!("{} is not a schema of features, task, target and classes", schema.display())
    })?;
    let Ok(foreign) = modelgate_model::ForeignModel::read(&fs_err::read(path)?) else {
        // The import itself says why.
        return Ok(());
    };
    let modelgate_model::ForeignModel::Onnx(graph) = &foreign else {
        // The columns' names and types are what the schema says.
        foreign.graph(&wanted).map_err(|error| UsageError(format!("--schema: {error}")))?;
        return Ok(());
    };
    let model = modelgate_model::LoadedModel::load(graph)?;
    let expected: Vec<String> = wanted
        .features
        .iter()
        .map(|feature| format!("{} ({})", feature.name, feature.feature_type))
        .collect();
    let found: Vec<String> = model.inputs().iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    if found != expected {
        let (found, expected) = (found.join(", "), expected.join(", "));
        return Err(UsageError(format!(
            "--schema: the graph takes [{found}] and the schema says [{expected}]"
        ))
        .into());
    }
    if model.classes() != wanted.classes.as_ref() {
        return Err(
            UsageError("--schema: the classes of the graph are not those of the schema".to_owned()).into()
        );
    }
    Ok(())
}
