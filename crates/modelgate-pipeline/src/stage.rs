//! The stages of a run, in order, and which of them a run was asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One step of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reads the source, checks that it is a table and keeps its bytes by digest.
    Snapshot,
    /// Checks the data against its contract, when it has one.
    Contract,
    /// Assigns each row to train, validation or test.
    Split,
    /// Fits imputation, scaling and encoding on the training rows.
    Preprocess,
    /// Fits the model.
    Train,
    /// Makes the package: one ONNX graph, its manifest and the MLflow files.
    Assemble,
    /// Scores the package, loaded back, on validation and test.
    Evaluate,
    /// Draws the plots.
    Analyse,
    /// Judges the rules.
    Gate,
    /// Writes a version with its verdict into the ledger.
    Register,
    /// Asks for approval, or grants it by policy.
    Approve,
    /// Moves the version to production.
    Promote,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 12] = [
        Self::Snapshot,
        Self::Contract,
        Self::Split,
        Self::Preprocess,
        Self::Train,
        Self::Assemble,
        Self::Evaluate,
        Self::Analyse,
        Self::Gate,
        Self::Register,
        Self::Approve,
        Self::Promote,
    ];

    /// Returns the name as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Contract => "contract",
            Self::Split => "split",
            Self::Preprocess => "preprocess",
            Self::Train => "train",
            Self::Assemble => "assemble",
            Self::Evaluate => "evaluate",
            Self::Analyse => "analyse",
            Self::Gate => "gate",
            Self::Register => "register",
            Self::Approve => "approve",
            Self::Promote => "promote",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The text is not the name of a stage.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a stage: expected one of {names}", names = Stage::ALL.map(Stage::name).join(", "))]
pub struct StageNameError(String);

impl FromStr for Stage {
    type Err = StageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| StageNameError(text.to_owned()))
    }
}

/// Which stages a run was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Selection {
    /// Each stage whose inputs changed.
    #[default]
    All,
    /// This stage alone, also when nothing changed; the ones before it must have run.
    Only(Stage),
    /// This stage and those behind it, also when nothing changed.
    From(Stage),
    /// The stages up to and with this one.
    Until(Stage),
}

/// What a selection says of one stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Run when an input changed.
    WhenChanged,
    /// Run in any case.
    Forced,
    /// Take what an earlier run left; it is an error when that is out of date.
    FromEarlierRun,
    /// Do not run.
    No,
}

impl Selection {
    /// Returns what this selection says of `stage`.
    pub fn wants(self, stage: Stage) -> Wanted {
        match self {
            Self::All => Wanted::WhenChanged,
            Self::Only(only) if stage == only => Wanted::Forced,
            Self::Only(only) if stage < only => Wanted::FromEarlierRun,
            Self::Only(_) => Wanted::No,
            Self::From(first) if stage >= first => Wanted::Forced,
            Self::From(_) => Wanted::FromEarlierRun,
            Self::Until(last) if stage <= last => Wanted::WhenChanged,
            Self::Until(_) => Wanted::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_read_back_what_they_print() {
        for stage in Stage::ALL {
            assert_eq!(stage.name().parse(), Ok(stage));
        }
        let error = "trian".parse::<Stage>().expect_err("not a stage").to_string();
        assert!(error.contains("snapshot, contract, split, preprocess"), "{error}");
    }

    #[test]
    fn only_takes_the_stages_before_from_an_earlier_run() {
        let selection = Selection::Only(Stage::Evaluate);
        assert_eq!(selection.wants(Stage::Train), Wanted::FromEarlierRun);
        assert_eq!(selection.wants(Stage::Evaluate), Wanted::Forced);
        assert_eq!(selection.wants(Stage::Gate), Wanted::No);
    }
}
