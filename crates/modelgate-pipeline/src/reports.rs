//! A run as people and other tools read it: Markdown, HTML, model card, `JUnit`, SARIF. Everything a report shows comes
//! from the files of `outputs/<pipeline>/`, so that a report can be made again at any time.

mod card;
pub mod compare;
mod contract;
mod ended;
pub(crate) mod escape;
mod figures;
mod html;
mod junit;
mod markdown;
mod rules;
mod sarif;
mod style;
mod training;

use modelgate_core::rule::Subset;
use modelgate_core::verdict::GateVerdict;
use modelgate_data::contract::ContractReport;

use crate::analysis::Analysis;
use crate::error::PipelineError;
use crate::evaluation::SubsetEvaluation;
use crate::options::StageWarning;
use crate::outputs::{self, EvaluationReport, RunReport};
use crate::project::Pipeline;
use crate::stage::Stage;
use crate::stages::beside::Comparison;

pub(crate) use card::model_card;
pub use contract::contract_report;
pub use ended::{EndedRun, WhyEnded};
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;

/// What is known of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct RunEvidence {
    /// The run.
    pub run: RunReport,
    /// `sample of 500 rows`, when the run was on a sample.
    pub sampled: Option<String>,
    /// The verdict.
    pub verdict: GateVerdict,
    /// The figures.
    pub evaluation: EvaluationReport,
    /// The figures beside production's, and what changed since.
    pub comparison: Comparison,
    /// What the model looks at, when it was analysed.
    pub analysis: Option<Analysis>,
    /// What checking the data contract found, when it was checked.
    pub contract: Option<ContractReport>,
    /// How it was trained, by a trainer of ours.
    pub training: Option<outputs::TrainingReport>,
    /// What a search tried.
    pub trials: Option<crate::stages::trials::Trials>,
    /// How long a prediction took.
    pub latency: Option<crate::latency::Latency>,
    /// The rows of the gate.
    pub on: Subset,
    /// The plots by name, light SVG, the main one first.
    pub plots: Vec<(String, String)>,
}

/// The order of plots in a report; those not named here follow.
const ORDER: [&str; 12] = [
    "confusion_matrix",
    "residuals",
    "predicted_actual",
    "roc",
    "precision_recall",
    "calibration",
    "slices",
    "importance",
    "dependence_1",
    "dependence_2",
    "dependence_3",
    "history",
];

/// Reads a file that a report cannot do without.
fn needed<T: serde::de::DeserializeOwned>(pipeline: &Pipeline<'_>, file: &str) -> Result<T, PipelineError> {
    outputs::read(pipeline, file).ok_or_else(|| {
        let name = pipeline.name;
        PipelineError::Policy(outputs::unread::<T>(pipeline, file).map_or_else(
            || format!("pipeline `{name}` has no {file} in outputs/{name}/: `modelgate run {name}` makes it"),
            |why| {
                format!(
                    "{file} of the last run of pipeline `{name}` cannot be read: {why}; `modelgate run {name}` makes it \
                     anew"
                )
            },
        ))
    })
}

impl RunEvidence {
    /// Reads what the last run of `pipeline` left.
    ///
    /// # Errors
    /// Says that the last run was not judged, or that there is none, and what to do. The verdict that lies there then is of
    /// an earlier run.
    pub fn load(pipeline: &Pipeline<'_>) -> Result<Self, PipelineError> {
        if let Some(ended) = EndedRun::read(pipeline) {
            let (name, run) = (pipeline.name, &ended.run.run_id);
            let why = ended.sentence();
            let sentence = format!("the last run of pipeline `{name}`, {run}, has no verdict, {why}");
            return Err(PipelineError::Policy(sentence));
        }
        let run: RunReport = needed(pipeline, "run_report.json")?;
        let verdict = needed(pipeline, "verdict.json")?;
        let evaluation: EvaluationReport = needed(pipeline, "evaluation_report.json")?;
        let comparison = needed(pipeline, "comparison.json")?;
        let on = match pipeline.config.gate.on {
            modelgate_config::SubsetName::Validation => Subset::Validation,
            modelgate_config::SubsetName::Test => Subset::Test,
        };
        let plots = plots(pipeline);
        Ok(Self {
            sampled: outputs::sampled(pipeline, &run),
            latency: outputs::read(pipeline, "latency.json"),
            contract: contract(pipeline, &run),
            training: outputs::read(pipeline, "training.json"),
            trials: outputs::read(pipeline, "trials.json"),
            run,
            verdict,
            evaluation,
            comparison,
            analysis: outputs::read(pipeline, "analysis.json"),
            on,
            plots,
        })
    }

    /// Returns the figures of the gate's rows.
    pub fn figures(&self) -> Option<&SubsetEvaluation> {
        self.evaluation.subsets.get(&self.on)
    }

    /// Returns what the report is of, such as `churn v003` or `churn, sample of 500 rows`.
    pub fn title(&self) -> String {
        let version = self.run.version.map_or_else(String::new, |version| format!(" {version}"));
        let sample = self.sample().map_or_else(String::new, |sample| format!(", {sample}"));
        format!("{}{version}{sample}", self.run.model)
    }

    /// Returns what keeps the package from production whatever its gate says, as a sentence.
    pub fn quarantine(&self) -> Option<String> {
        let version = self.run.quarantined?;
        Some(format!("this package is quarantined as {version}: it reaches no production"))
    }

    /// Returns what a person should know of the run, by stage: it stands under the verdict.
    pub fn warnings(&self) -> Vec<StageWarning> {
        StageWarning::until(Stage::Promote, &self.run.stages)
    }

    /// Returns the error that kept what comes behind the gate from being done, if one did.
    pub fn unfinished(&self) -> Option<&str> {
        self.run.error.as_deref()
    }

    /// Returns `sample of 500 rows`, when the run was on a sample: its verdict is not the model's.
    pub fn sample(&self) -> Option<String> {
        self.sampled.clone()
    }
}

/// Returns what the run found of the contract; a report of a run before it, when there was one, is none of this run's.
fn contract(pipeline: &Pipeline<'_>, run: &RunReport) -> Option<ContractReport> {
    let is_checked = run.stages.iter().any(|report| report.stage == Stage::Contract);
    if is_checked { outputs::read(pipeline, "contract_report.json") } else { None }
}

fn plots(pipeline: &Pipeline<'_>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let Ok(entries) = fs_err::read_dir(pipeline.outputs().join("plots")) else { return found };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".svg") else { continue };
        if name.strip_suffix(".dark").is_some() {
            continue;
        }
        if let Ok(text) = fs_err::read_to_string(entry.path()) {
            found.push((name.to_owned(), text));
        }
    }
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    found.sort_by(|one, other| rank(&one.0).cmp(&rank(&other.0)).then(one.0.cmp(&other.0)));
    found
}
