//! What can go wrong in a run, by what a person can do about it.

use std::path::PathBuf;

use crate::stage::Stage;
use crate::stages::trials::FailedSearch;

/// A run, an approval or a promotion could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// There is no project here.
    #[error("there is no `modelgate.yaml` in `{}` or a folder above it", .0.display())]
    NoProject(PathBuf),
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
    /// The policy of the project forbids it.
    #[error("{0}")]
    Policy(String),
}

impl PipelineError {
    /// Returns whether the command line or the configuration is to be changed, rather than the world.
    pub fn is_usage(&self) -> bool {
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
        )
    }
}
