//! What a run is told and whom it talks to; everything that is not a pure input comes in here.

use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use serde::{Deserialize, Serialize};

use crate::stage::{Selection, Stage};

/// The flags of `modelgate run`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunOptions {
    /// Which stages.
    pub selection: Selection,
    /// Only so many rows; a run on a sample is judged and never registered.
    pub sample: Option<Sample>,
    /// Say what would run and why, and do nothing.
    pub dry_run: bool,
    /// Run stages whose inputs did not change as well.
    pub force: bool,
    /// Take this graph, an ONNX file, instead of training one.
    pub import: Option<std::path::PathBuf>,
}

/// How many rows a sampled run takes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// This many rows.
    Rows(u64),
    /// This share of the rows, above 0 and below 1.
    Share(f64),
}

impl std::str::FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(share) = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok()) {
            return if share > 0.0 && share < 100.0 {
                Ok(Self::Share(share / 100.0))
            } else {
                Err("a share is above 0% and below 100%".to_owned())
            };
        }
        match (text.parse::<u64>(), text.parse::<f64>()) {
            (Ok(rows), _) if rows > 0 => Ok(Self::Rows(rows)),
            (_, Ok(share)) if share > 0.0 && share < 1.0 => Ok(Self::Share(share)),
            _ => Err("expected a number of rows such as `500`, or a share such as `0.1` or `10%`".to_owned()),
        }
    }
}

/// What became of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// It did its work.
    Ran,
    /// Nothing changed since it last did.
    Skipped,
    /// It would run; this is a dry run.
    WouldRun,
    /// It waits for a person.
    Waiting,
    /// It said no.
    Refused,
}

/// One line of the run report.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// What became of it.
    pub status: StageStatus,
    /// What it found, or left.
    pub summary: String,
    /// Why it ran, or did not.
    pub why: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl StageReport {
    /// Returns whether what the stage found keeps the model from production: a gate that did not pass, a broken contract.
    pub fn blocks(&self) -> bool {
        let starts = |word: &str| self.summary.starts_with(word);
        match self.stage {
            Stage::Gate => starts("failed: ") || starts("inconclusive: "),
            Stage::Contract => self.summary.contains(" rows, broken: "),
            _ => false,
        }
    }
}

/// What a person should know of a run, and the stage that says it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageWarning {
    /// The stage.
    pub stage: Stage,
    /// What it says.
    pub warning: String,
}

impl StageWarning {
    /// Returns the warnings of stages up to `last`, in their order.
    pub fn until(last: Stage, reports: &[StageReport]) -> Vec<Self> {
        let up_to = reports.iter().filter(|report| report.stage <= last);
        up_to
            .flat_map(|report| {
                let stage = report.stage;
                report.warnings.iter().map(move |warning| Self { stage, warning: warning.clone() })
            })
            .collect()
    }
}

impl std::fmt::Display for StageWarning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.stage, self.warning)
    }
}

/// Hears of each stage as it ends.
pub trait Reporter {
    /// Called when `stage` begins to work.
    fn started(&mut self, stage: Stage);
    /// Called with something a person should know while a stage works.
    fn note(&mut self, sentence: &str);
    /// Called with a line that a program which does the work of `stage` has printed.
    fn said(&mut self, _stage: Stage, _line: &str) {}
    /// Called as a long stage goes on: `done` of `of` things, named by `what`, are done.
    fn progress(&mut self, _stage: Stage, _what: &str, _done: usize, _of: usize) {}
    /// Called when a stage has ended.
    fn finished(&mut self, report: &StageReport);
}

/// A metric of the candidate beside production's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetricDifference {
    /// The metric's name.
    pub metric: String,
    /// The candidate's value.
    pub candidate: Option<f64>,
    /// The value of the model in production; `None` when there is none.
    pub production: Option<f64>,
}

/// What a person is asked to approve.
#[derive(Clone, PartialEq, Debug)]
pub struct ApprovalRequest {
    /// The model's name.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// The package.
    pub digest: Digest,
    /// The gate's verdict and its sentence.
    pub verdict: Verdict,
    /// The verdict in words.
    pub sentence: String,
    /// The version in production, if any.
    pub production: Option<VersionNumber>,
    /// How each rule of the gate came out, in words.
    pub rules: Vec<String>,
    /// Why the figures of the version in production are not held against these: they are of other rows.
    pub other_rows: Option<&'static str>,
    /// The figures on the gate's subset.
    pub metrics: Vec<MetricDifference>,
}

/// A person's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApprovalAnswer {
    /// Yes, with a reason that may be empty.
    Approve(String),
    /// No, with a reason.
    Reject(String),
    /// Not now.
    Cancel,
    /// There is nobody to ask.
    Nobody,
}

/// Asks a person.
pub trait Approver {
    /// Returns whether there is somebody to ask: while a person thinks, others may work on the project.
    fn is_there(&self) -> bool {
        true
    }
    /// Returns the answer; [`ApprovalAnswer::Nobody`] without a terminal.
    fn ask(&mut self, request: &ApprovalRequest) -> ApprovalAnswer;
}

/// Time and identity, passed in so that tests can fix them.
pub struct Surroundings<'a> {
    /// Returns the time now, RFC 3339 in UTC.
    pub now: &'a dyn Fn() -> String,
    /// Who runs this, as the ledger names them.
    pub actor: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_is_told_from_what_was_only_done() {
        let report = |stage, summary: &str| StageReport {
            stage,
            status: StageStatus::Ran,
            summary: summary.to_owned(),
            why: String::new(),
            seconds: 0.0,
            warnings: vec!["one".to_owned()],
        };
        assert!(report(Stage::Gate, "failed: 1 of 2 rules failed").blocks());
        assert!(report(Stage::Gate, "inconclusive: too few rows").blocks());
        assert!(!report(Stage::Gate, "passed: what failed: nothing").blocks());
        assert!(report(Stage::Contract, "c.yaml: 3 checks on 60 rows, broken: 1 error").blocks());
        assert!(!report(Stage::Contract, "c.yaml: 3 checks on 60 rows, all hold").blocks());
        let reports = [report(Stage::Split, ""), report(Stage::Register, "")];
        let told: Vec<String> =
            StageWarning::until(Stage::Gate, &reports).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["split: one"]);
    }
}
