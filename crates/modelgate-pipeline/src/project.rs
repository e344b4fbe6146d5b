//! A project on disk: its folder, its configuration and where everything lies.

use std::path::{Path, PathBuf};

use modelgate_config::{ConfigError, Loaded, PipelineConfig, ProjectConfig};
use modelgate_core::ModelName;
use modelgate_registry::RegistryError;

use crate::error::{MissingProject, PipelineError};

/// The project file's name.
pub const PROJECT_FILE: &str = "modelgate.yaml";

/// A project: its folder and its configuration.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder that holds `modelgate.yaml`.
    pub root: PathBuf,
    /// The configuration, with environment and defaults applied.
    pub config: ProjectConfig,
}

impl Project {
    /// Opens the project in `start` or the nearest folder above it that holds a `modelgate.yaml`.
    pub fn find(start: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, PipelineError> {
        Self::find_as(start, |path| modelgate_config::load(path, environment))
    }

    /// As [`Self::find`], for who needs neither the target nor the task of a pipeline: they may be declared later.
    pub fn find_open(
        start: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PipelineError> {
        Self::find_as(start, |path| modelgate_config::load_open(path, environment))
    }

    fn find_as(
        start: &Path,
        load: impl Fn(&Path) -> Result<Loaded, ConfigError>,
    ) -> Result<Self, PipelineError> {
        for root in start.ancestors() {
            let path = root.join(PROJECT_FILE);
            if path.is_file() {
                let loaded = load(&path)?;
                return Ok(Self { root: root.to_owned(), config: loaded.config });
            }
        }
        Err(PipelineError::NoProject(MissingProject::at(start)))
    }

    /// Returns the pipeline called `name`, or the only one when no name is given.
    pub fn pipeline(&self, name: Option<&str>) -> Result<Pipeline<'_>, PipelineError> {
        let known = || self.config.pipelines.keys().cloned().collect::<Vec<_>>().join(", ");
        let (name, config) =
            match name {
                Some(name) => self.config.pipelines.get_key_value(name).ok_or_else(|| {
                    PipelineError::UnknownPipeline { name: name.to_owned(), known: known() }
                })?,
                None => match self.config.pipelines.iter().next() {
                    Some(only) if self.config.pipelines.len() == 1 => only,
                    _ => return Err(PipelineError::SeveralPipelines(known())),
                },
            };
        let model = config.model.name.as_deref().unwrap_or(name).parse::<ModelName>()?;
        Ok(Pipeline { project: self, name, config, model })
    }

    /// Returns the error with the place of what is wrong in the project file, where it is about a setting.
    #[must_use]
    pub fn placed(&self, error: PipelineError) -> PipelineError {
        let (key, message) = match error {
            PipelineError::Setting { pipeline, key, reason } => {
                (format!("pipelines.{pipeline}.{key}"), reason)
            }
            PipelineError::Registry(error @ RegistryError::Uri { .. }) => {
                ("registry.uri".to_owned(), error.to_string())
            }
            other => return other,
        };
        let place = modelgate_config::place_in(&self.root.join(PROJECT_FILE), &key);
        ConfigError::Value { path: PROJECT_FILE.into(), place, key, message }.into()
    }

    /// Returns all pipelines.
    pub fn pipelines(&self) -> Result<Vec<Pipeline<'_>>, PipelineError> {
        self.config.pipelines.keys().map(|name| self.pipeline(Some(name))).collect()
    }

    /// Returns `.modelgate/`, the state that git ignores.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join(".modelgate")
    }

    /// Returns the folder of the package that production may load.
    pub fn packaged(&self, model: &ModelName) -> PathBuf {
        self.root.join("models").join("packaged").join(model.as_str())
    }

    /// Returns the file with the metrics of the model in production.
    pub fn baseline(&self, model: &ModelName) -> PathBuf {
        self.root.join("baselines").join(format!("{model}.json"))
    }
}

/// One pipeline of a project.
#[derive(Clone, Debug)]
pub struct Pipeline<'a> {
    /// The project.
    pub project: &'a Project,
    /// The pipeline's name.
    pub name: &'a str,
    /// Its configuration.
    pub config: &'a PipelineConfig,
    /// The name its versions are registered under.
    pub model: ModelName,
}

impl Pipeline<'_> {
    /// Returns the error that the setting `key`, below the pipeline, is wrong, with its place in the project file.
    pub(crate) fn wrong(&self, key: &str, message: String) -> PipelineError {
        let key = format!("pipelines.{}.{key}", self.name);
        let place = modelgate_config::place_in(&self.project.root.join(PROJECT_FILE), &key);
        ConfigError::Value { path: PROJECT_FILE.into(), place, key, message }.into()
    }

    /// Returns the folder of the last run's reports.
    pub fn outputs(&self) -> PathBuf {
        self.project.root.join("outputs").join(self.name)
    }

    /// Returns the folder of the stage records.
    pub fn records(&self) -> PathBuf {
        self.project.state_folder().join("cache").join(self.name)
    }
}
