//! A registry in any of its homes: what is at a stage, or one version by number or alias.

use std::path::PathBuf;

use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};

use super::{Files, Offer, Source};
use crate::error::SourceError;

/// One model, and which of its versions.
#[derive(Clone, PartialEq, Debug)]
pub struct Selector {
    /// The model.
    pub name: ModelName,
    /// A version or an alias; the one at the stage by default.
    pub reference: Option<String>,
}

/// Models from a registry.
pub struct RegistrySource {
    uri: RegistryUri,
    /// The folder whose `.modelgate` has the index, and the registry itself if it lies in a folder.
    project: PathBuf,
    stage: Stage,
    /// Empty for every model.
    wanted: Vec<Selector>,
    registry: Option<Registry>,
}

impl RegistrySource {
    /// Serves what is at `stage` (production or staging); of the `wanted` models, or of all when there are none.
    pub fn new(uri: RegistryUri, project: PathBuf, stage: Stage, wanted: Vec<Selector>) -> Self {
        Self { uri, project, stage, wanted, registry: None }
    }

    fn registry(&mut self) -> Result<&mut Registry, SourceError> {
        if let Some(registry) = &mut self.registry {
            registry.refresh()?;
        } else {
            self.registry = Some(Registry::open(&self.uri, &self.project)?);
        }
        self.registry.as_mut().ok_or_else(not_open)
    }
}

fn not_open() -> SourceError {
    SourceError::Unavailable("the registry is not open".to_owned())
}

fn at_stage(model: &ModelState, stage: Stage) -> Option<VersionNumber> {
    if stage == Stage::Production {
        return model.production();
    }
    let mut versions = model.versions.iter().rev();
    versions.find(|(_, version)| version.stage == stage).map(|(number, _)| *number)
}

fn offer(registry: &Registry, name: &ModelName, version: VersionNumber) -> Result<Offer, SourceError> {
    let missing = || SourceError::Missing(format!("the registry has no {name} {version}"));
    let model = registry.model(name)?;
    let state = model.versions.get(&version).ok_or_else(missing)?;
    if matches!(state.stage, Stage::Quarantined | Stage::Rejected | Stage::Removed) {
        return Err(SourceError::Missing(format!("{name} {version} is {} and is not served", state.stage)));
    }
    // Quarantine is of a package: an alias at another version of it is no way around.
    if let Some(other) = model.quarantined(&state.digest) {
        return Err(SourceError::Missing(format!(
            "the package of {name} {version} is quarantined as {other} and is not served"
        )));
    }
    Ok(Offer {
        name: name.clone(),
        version: version.to_string(),
        digest: state.digest,
        stage: state.stage.to_string(),
        metrics: registry.registration(name, version)?.metrics,
    })
}

impl Source for RegistrySource {
    fn kind(&self) -> &'static str {
        "registry"
    }

    fn describe(&self) -> String {
        self.registry
            .as_ref()
            .map_or_else(|| "a registry that was not reached yet".to_owned(), Registry::home)
    }

    fn identity(&self) -> String {
        format!("{:?}: {:?} in {}", self.uri, self.wanted, self.stage)
    }

    fn offers(&mut self) -> Result<Vec<Offer>, SourceError> {
        let (stage, wanted) = (self.stage, self.wanted.clone());
        let registry = self.registry()?;
        let chosen: Vec<(ModelName, Option<VersionNumber>)> = if wanted.is_empty() {
            let models = &registry.state().models;
            models.iter().map(|(name, model)| (name.clone(), at_stage(model, stage))).collect()
        } else {
            let one = |selector: &Selector| -> Result<_, SourceError> {
                let version = match &selector.reference {
                    Some(reference) => Some(registry.resolve(&selector.name, reference)?),
                    None => at_stage(registry.model(&selector.name)?, stage),
                };
                Ok((selector.name.clone(), version))
            };
            wanted.iter().map(one).collect::<Result<_, _>>()?
        };
        let there = chosen.into_iter().filter_map(|(name, version)| Some((name, version?)));
        let offers = there.map(|(name, version)| offer(registry, &name, version));
        let offers = offers.collect::<Result<Vec<_>, _>>()?;
        if offers.is_empty() {
            let whose = if wanted.is_empty() { "no model" } else { "none of these models" };
            return Err(SourceError::Missing(format!(
                "{whose} has a version in {stage}: run a pipeline, or approve and promote one"
            )));
        }
        Ok(offers)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        let number: VersionNumber = offer
            .version
            .parse()
            .map_err(|_| SourceError::Missing(format!("`{}` is no version of a registry", offer.version)))?;
        let registry = self.registry.as_ref().ok_or_else(not_open)?;
        Ok(registry.version_files(&offer.name, number)?)
    }
}
