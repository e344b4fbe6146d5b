//! The model in production, as the ledger and `baselines/` know it.

use modelgate_core::lifecycle::ModelState;
use modelgate_core::rule::Subset;
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use crate::error::PipelineError;
use crate::evaluation::{Evaluation, SubsetEvaluation};
use crate::project::Project;

/// The version in production.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Production {
    /// The version.
    pub version: VersionNumber,
    /// Its package.
    pub digest: Digest,
}

/// Returns the version of `model` in production, if there is one.
pub fn find(registry: &Registry, model: &ModelName) -> Option<Production> {
    let state = registry.state().models.get(model)?;
    let version = state.production()?;
    let digest = state.versions.get(&version)?.digest;
    Some(Production { version, digest })
}

/// Returns the version of `model` in production, if there is one: what a promotion is decided over.
pub fn version(registry: &Registry, model: &ModelName) -> Option<VersionNumber> {
    registry.state().models.get(model).and_then(ModelState::production)
}

/// How a sentence, and the result of a rule, calls a version that is compared with as the one in production.
pub(crate) fn name_of(version: VersionNumber) -> String {
    format!("{NAMED}{version}")
}

/// Returns the version that [`name_of`] made a name of; `None` of what else is compared with.
pub(crate) fn version_of_name(name: &str) -> Option<VersionNumber> {
    name.strip_prefix(NAMED)?.parse().ok()
}

const NAMED: &str = "production ";

/// The figures of the model in production at the moment of its promotion; what `baselines/<model>.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// The version of this form.
    pub schema_version: u32,
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its package.
    pub digest: Digest,
    /// The names of the classes; empty for regression.
    pub classes: Vec<String>,
    /// The figures by subset.
    pub subsets: BTreeMap<Subset, SubsetEvaluation>,
}

impl Baseline {
    /// Makes the baseline of the version in production from the figures that it was registered with.
    pub(crate) fn of(
        model: &ModelName,
        found: &Production,
        classes: Vec<String>,
        subsets: BTreeMap<Subset, SubsetEvaluation>,
    ) -> Self {
        let (version, digest) = (found.version, found.digest);
        Self { schema_version: 1, model: model.clone(), version, digest, classes, subsets }
    }

    /// Returns the figures.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation {
            schema_version: 1,
            digest: self.digest,
            classes: self.classes.clone(),
            subsets: self.subsets.clone(),
        }
    }
}

/// Reads the baseline of `model`; `None` when there is none yet.
pub fn baseline(project: &Project, model: &ModelName) -> Result<Option<Baseline>, PipelineError> {
    let path = project.baseline(model);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| PipelineError::Figures {
        path,
        reason: format!(
            "{error}; restore the file from git, or remove it to start a new baseline at the next promotion"
        ),
    })
}
