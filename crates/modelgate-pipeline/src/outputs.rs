//! The files of `outputs/<pipeline>/`: what people and other tools read after a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, ModelName, RunId, Verdict, VersionNumber, canonical};
use modelgate_data::split::SplitAssignment;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::evaluation::Evaluation;
use crate::options::{Sample, StageReport};
use crate::project::Pipeline;

/// What `run_report.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// The version of this form.
    pub schema_version: u32,
    /// The run.
    pub run_id: RunId,
    /// The pipeline.
    pub pipeline: String,
    /// The model's name.
    pub model: ModelName,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// Who ran it.
    pub actor: String,
    /// The version of modelgate.
    pub tool_version: String,
    /// The seed.
    pub seed: u64,
    /// How many rows were sampled, if the run was on a sample.
    pub sample: Option<Sample>,
    /// The stages in order.
    pub stages: Vec<StageReport>,
    /// The package, when it was made.
    pub digest: Option<Digest>,
    /// The verdict, when there is one.
    pub verdict: Option<Verdict>,
    /// The version, when it was registered.
    pub version: Option<VersionNumber>,
    /// Where the version stands.
    pub state: Option<Lifecycle>,
    /// The version through which the package is quarantined, if it is: it reaches no production, whatever its gate says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<VersionNumber>,
    /// The error that ended it, where one did, without what stands in the rows. Where there is a verdict, it came behind the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The runs below this one: the trials of a search, which `trials.json` has in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
}

/// What `training.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrainingReport {
    /// The version of this form.
    pub schema_version: u32,
    /// The trainer's name.
    pub algorithm: String,
    /// Every parameter, defaults and what a search found included.
    pub params: BTreeMap<String, serde_json::Value>,
    /// What there is to say of the fit: iterations, convergence, out-of-bag score, importances.
    pub details: BTreeMap<String, serde_json::Value>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What `evaluation_report.json` and `evaluations/<run>.json` hold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// The version of this form.
    pub schema_version: u32,
    /// The run.
    pub run_id: RunId,
    /// The pipeline.
    pub pipeline: String,
    /// The model's name.
    pub model: ModelName,
    /// The package.
    pub digest: Digest,
    /// The names of the classes; empty for regression.
    pub classes: Vec<String>,
    /// The figures by subset.
    pub subsets: BTreeMap<modelgate_core::rule::Subset, crate::evaluation::SubsetEvaluation>,
}

/// Why production may or may not load the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// What is in production is what a run, a person or a rollback brought there last.
    Ready,
    /// Nothing is in production.
    NoProductionModel,
    /// Another version is in production; the candidate is not approved.
    PromotionNotApproved,
    /// What is in production has no signature that is believed, and `signing.require_signature` asks for one.
    SignatureRefused,
    /// The registry could not be reached.
    RegistryUnavailable,
}

/// What `promotion_decision.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromotionDecision {
    /// The version of this form.
    pub schema_version: u32,
    /// The run that asked.
    pub run_id: RunId,
    /// The model's name.
    pub model: ModelName,
    /// The version, when it was registered.
    pub version: Option<VersionNumber>,
    /// The package.
    pub digest: Option<Digest>,
    /// `promoted`, `staged`, `already_in_production`, `waiting_for_approval`, `rejected`, `blocked`, `not_registered` or `failed`.
    pub decision: String,
    /// Why, in words.
    pub reason: String,
    /// Who decided.
    pub actor: Option<String>,
}

/// What `deployment_manifest.json` holds: everything a deployment needs to know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeploymentManifest {
    /// The version of this form.
    pub schema_version: u32,
    /// Whether there is something to deploy.
    pub readiness: Readiness,
    /// The model's name.
    pub model: ModelName,
    /// The version in production.
    pub version: Option<VersionNumber>,
    /// Its package.
    pub digest: Option<Digest>,
    /// Where the registry is.
    pub registry: String,
    /// Where the package lies, relative to the project.
    pub package: Option<String>,
    /// How the service is started.
    pub entrypoint: Vec<String>,
    /// The environment of the service; a value in angle brackets is to be filled in.
    pub environment: BTreeMap<String, String>,
}

/// Writes `value` as JSON into `folder`.
pub(crate) fn write_json<T: Serialize>(folder: &Path, name: &str, value: &T) -> Result<(), PipelineError> {
    write(folder, name, canonical::to_pretty(value)?.as_bytes())
}

/// Writes `bytes` into `folder`.
///
/// A file that holds these bytes already is left alone: it was synced when it was written.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), PipelineError> {
    if fs_err::read(folder.join(name)).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    atomic::write(&folder.join(name), bytes)?;
    Ok(())
}

/// Removes a file of `folder` that may be there.
pub(crate) fn remove(folder: &Path, name: &str) -> Result<(), PipelineError> {
    match fs_err::remove_file(folder.join(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Reads a JSON file of `outputs/<pipeline>/`; `None` when it is not there or not readable.
pub fn read<T: serde::de::DeserializeOwned>(pipeline: &Pipeline<'_>, name: &str) -> Option<T> {
    let text = fs_err::read_to_string(pipeline.outputs().join(name)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Returns why a file of `outputs/<pipeline>/` that is there cannot be read; `None` where it can be, or is not there.
pub fn unread<T: serde::de::DeserializeOwned>(pipeline: &Pipeline<'_>, name: &str) -> Option<String> {
    let path = pipeline.outputs().join(name);
    match fs_err::read_to_string(&path) {
        Ok(text) => {
            let wrong = serde_json::from_str::<T>(&text).err()?;
            Some(format!("outputs/{}/{name} is not whole, or of another version: {wrong}", pipeline.name))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Returns `sample of 500 rows`, when the run was on a sample: its verdict is not the model's.
pub fn sampled(pipeline: &Pipeline<'_>, run: &RunReport) -> Option<String> {
    let sample = run.sample?;
    if run.error.is_some() && run.verdict.is_none() {
        // The split that is there is an earlier run's.
        return Some(match sample {
            Sample::Rows(rows) => format!("sample of {rows} rows"),
            Sample::Share(share) => {
                format!("sample of {} % of the rows", modelgate_core::verdict::figure(share * 100.0))
            }
        });
    }
    let rows = |split: SplitAssignment| split.train.len() + split.validation.len() + split.test.len();
    let rows = read::<SplitAssignment>(pipeline, "split.json").map(rows);
    Some(rows.map_or_else(|| "sample".to_owned(), |rows| format!("sample of {rows} rows")))
}

/// Returns where the figures of one run lie.
pub(crate) fn path_of_run(pipeline: &Pipeline<'_>, run: &RunId) -> PathBuf {
    pipeline.outputs().join("evaluations").join(format!("{run}.json"))
}

/// Returns the figures that one run left.
pub fn evaluation_of_run(pipeline: &Pipeline<'_>, run: &RunId) -> Result<Evaluation, PipelineError> {
    let path = path_of_run(pipeline, run);
    let text = fs_err::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let name = pipeline.name;
            PipelineError::Policy(format!("the run {run} of pipeline `{name}` left no figures"))
        }
        _ => error.into(),
    })?;
    let report: EvaluationReport = serde_json::from_str(&text)?;
    Ok(Evaluation {
        schema_version: 1,
        digest: report.digest,
        classes: report.classes,
        subsets: report.subsets,
    })
}

/// Returns the Markdown of a verdict's rules.
pub fn rules_table(verdict: &GateVerdict) -> String {
    let mut text = String::from(
        "| rule | outcome | value | limit | reference | what it says |\n|---|---|---|---|---|---|\n",
    );
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), modelgate_core::verdict::figure);
    for rule in &verdict.rules {
        let name =
            rule.reference_name.as_deref().map_or_else(String::new, |name| format!(" ({})", cell(name)));
        let reference = rule.reference.map_or_else(String::new, modelgate_core::verdict::figure) + &name;
        text.push_str(&format!(
            "| {} | {} | {} | {} | {reference} | {} |\n",
            cell(&rule.id),
            rule.outcome,
            figure(rule.value),
            figure(rule.limit),
            cell(&rule.sentence)
        ));
    }
    text
}

/// Keeps text inside its cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    crate::reports::escape::markdown(text)
}
