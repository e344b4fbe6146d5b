//! What can go wrong in a run, by what a person can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use modelgate_core::Verdict;

use crate::notify::Notice;
use crate::stage::Stage;
use crate::stages::command::Interrupt;
use crate::stages::trials::FailedSearch;

/// No project is in a folder or above it.
#[derive(Debug)]
pub struct MissingProject {
    start: PathBuf,
    /// A file with the other ending that YAML is known by.
    misnamed: Option<PathBuf>,
}

impl MissingProject {
    /// Looks above `start` for what may be meant.
    pub(crate) fn at(start: &Path) -> Self {
        let misnamed = start.ancestors().map(|root| root.join("modelgate.yml")).find(|path| path.is_file());
        Self { start: start.to_owned(), misnamed }
    }
}

impl fmt::Display for MissingProject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.display();
        write!(formatter, "there is no `modelgate.yaml` in `{start}` or a folder above it; ")?;
        match &self.misnamed {
            Some(path) => write!(formatter, "`{}` is there: rename it to `modelgate.yaml`", path.display()),
            None => formatter.write_str("`modelgate init` makes one"),
        }
    }
}

/// A run, an approval or a promotion could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// There is no project here.
    #[error("{0}")]
    NoProject(MissingProject),
    /// The project has no such pipeline.
    #[error("there is no pipeline `{name}` in modelgate.yaml; there is {known}")]
    UnknownPipeline {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A pipeline must be named.
    #[error("modelgate.yaml has several pipelines, name one of them: {0}")]
    SeveralPipelines(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] modelgate_config::ConfigError),
    /// A setting is wrong in a way that only a stage can see.
    #[error("modelgate.yaml: pipelines.{pipeline}.{key}: {reason}")]
    Setting {
        /// The pipeline.
        pipeline: String,
        /// The key below the pipeline.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A name cannot be used.
    #[error(transparent)]
    Name(#[from] modelgate_core::names::NameError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] modelgate_data::DataError),
    /// The data contract cannot be used.
    #[error(transparent)]
    Contract(modelgate_data::DataError),
    /// A version of data cannot be taken, moved or restored.
    #[error(transparent)]
    Snapshot(#[from] modelgate_data::snapshot::SnapshotError),
    /// Data cannot be shared as asked.
    #[error("{0}")]
    Sharing(String),
    /// The model could not be fitted.
    #[error("training failed: {0}")]
    Learn(#[from] modelgate_learn::LearnError),
    /// No trial of a search could be fitted and measured.
    #[error("{0}")]
    FailedSearch(Box<FailedSearch>),
    /// The package could not be made or used.
    #[error(transparent)]
    Model(#[from] modelgate_model::ModelError),
    /// A package is damaged.
    #[error(transparent)]
    Package(#[from] modelgate_model::PackageError),
    /// The metrics or plots could not be made.
    #[error("evaluation failed: {0}")]
    Evaluate(#[from] modelgate_evaluate::EvaluateError),
    /// The registry refused or could not be reached.
    #[error(transparent)]
    Registry(#[from] modelgate_registry::RegistryError),
    /// A file could not be written or read.
    #[error(transparent)]
    Store(#[from] modelgate_store::StoreError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A value could not be written as JSON, or a file is not the JSON it should be.
    #[error("cannot write or read JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// `--only` or `--from` needs a stage that has not run.
    #[error("stage `{stage}` must run first: {why}")]
    NotYetRun {
        /// The stage.
        stage: Stage,
        /// Why its earlier result cannot be used.
        why: String,
    },
    /// A file of figures cannot be used by `gate check`.
    #[error("cannot use `{}`: {reason}", path.display())]
    Figures {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A signal asked for the end while a program trained, which has ended too.
    #[error("interrupted by {0}: train.command was ended, and the rows that it was given are removed")]
    Interrupted(Interrupt),
    /// Something is in the ledger, which everybody reads, and not in this checkout.
    #[error(
        "{done} by the ledger, and the files of this checkout could not follow: {source}; nothing is to be done again, the next \
         command here brings them there"
    )]
    NotFollowed {
        /// What is so by the ledger.
        done: String,
        /// What is to be told of it, now: it took place.
        notices: Vec<Notice>,
        /// Why they could not.
        source: Box<Self>,
    },
    /// What an earlier run left of judging a package is not what comes of judging it.
    #[error(
        "the {name} that `{}` names is not what comes of judging this package: nothing was registered; `modelgate run {pipeline} \
         --from evaluate` judges it again",
        record.display()
    )]
    Unconfirmed {
        /// What does not hold.
        name: &'static str,
        /// The file that says otherwise.
        record: PathBuf,
        /// The pipeline.
        pipeline: String,
    },
    /// What was asked about was judged, by a gate or the contract of the data, and did not pass: trying again changes nothing.
    #[error("{sentence}")]
    NotPassed {
        /// What it was judged to be.
        verdict: Verdict,
        /// What follows.
        sentence: String,
    },
    /// The policy of the project forbids it.
    #[error("{0}")]
    Policy(String),
}

impl PipelineError {
    /// Returns the error as it may leave, in reports and logs: where it was and what to do, and nothing that stands in a row.
    pub fn without_values(&self) -> String {
        match self {
            Self::Data(error) | Self::Contract(error) => error.without_values(),
            other => other.to_string(),
        }
    }

    /// Returns whether it says nothing of what was asked about, since the registry or the disk could not be asked.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Registry(error) => !error.is_of_version(),
            Self::Store(_) | Self::Io(_) => true,
            _ => false,
        }
    }

    /// Returns the verdict that stands against what was asked for, where it is one that does.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::NotPassed { verdict, .. } => Some(*verdict),
            _ => None,
        }
    }

    /// Returns what is to be told of what took place all the same.
    pub fn notices(&self) -> &[Notice] {
        match self {
            Self::NotFollowed { notices, .. } => notices,
            _ => &[],
        }
    }

    /// Returns whether the command line or the configuration is to be changed, rather than the world.
    pub fn is_usage(&self) -> bool {
        if let Self::FailedSearch(search) = self {
            return search.settings;
        }
        matches!(
            self,
            Self::NoProject(_)
                | Self::UnknownPipeline { .. }
                | Self::SeveralPipelines(_)
                | Self::Config(_)
                | Self::Setting { .. }
                | Self::Contract(_)
                | Self::Name(_)
                | Self::NotYetRun { .. }
                | Self::Sharing(_)
                | Self::Registry(modelgate_registry::RegistryError::Uri { .. })
        )
    }
}
