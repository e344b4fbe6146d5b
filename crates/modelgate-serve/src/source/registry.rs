//! A registry in any of its homes: what is at a stage, or one version by number or alias.

use std::collections::BTreeMap;
use std::path::PathBuf;

use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{ModelName, Verdict, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};

use super::{Files, Offer, Offered, Source};
use crate::error::{SourceError, one_line};

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
    /// What was offered last, by model.
    last: BTreeMap<ModelName, VersionNumber>,
}

impl RegistrySource {
    /// Serves what is at `stage` (production or staging); of the `wanted` models, or of all when there are none.
    pub fn new(uri: RegistryUri, project: PathBuf, stage: Stage, wanted: Vec<Selector>) -> Self {
        Self { uri, project, stage, wanted, registry: None, last: BTreeMap::new() }
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

/// What became of one model that is asked for.
enum Found {
    Offer(Offer),
    /// Nothing of it may be served any more.
    Withdrawn(String),
    /// There is no version to serve, and none that was served is bad.
    None(String),
}

/// Returns why a version must not be served, if so. Quarantine is of a package: an alias at another version of it is no way
/// around. That its artefacts were collected says nothing against it: whoever serves it has them.
fn banned(model: &ModelState, name: &ModelName, version: VersionNumber) -> Option<String> {
    let state = model.versions.get(&version)?;
    if matches!(state.stage, Stage::Quarantined | Stage::Rejected) {
        return Some(format!("{name} {version} is {} and is not served", state.stage));
    }
    let other = model.quarantined(&state.digest)?;
    Some(format!("the package of {name} {version} is quarantined as {other} and is not served"))
}

fn find(
    registry: &Registry,
    selector: &Selector,
    stage: Stage,
    last: Option<VersionNumber>,
) -> Result<Found, SourceError> {
    let name = &selector.name;
    let model = registry.model(name)?;
    let version = match &selector.reference {
        Some(reference) => registry.resolve(name, reference).map_err(|error| one_line(&error.to_string())),
        None => at_stage(model, stage).ok_or_else(|| {
            format!("{name} has no version in {stage}: run a pipeline, or approve and promote one")
        }),
    };
    let version = match version {
        Ok(version) => version,
        // What was served moved on to another stage or lost its alias, or it was taken out of service and lost them by that.
        Err(reason) => {
            let banned = last.and_then(|last| banned(model, name, last));
            return Ok(banned.map_or(Found::None(reason), Found::Withdrawn));
        }
    };
    if let Some(reason) = banned(model, name, version) {
        return Ok(Found::Withdrawn(reason));
    }
    let missing = || SourceError::Missing(format!("the registry has no {name} {version}"));
    let state = model.versions.get(&version).ok_or_else(missing)?;
    if state.stage == Stage::Removed {
        return Ok(Found::None(format!("{name} {version} is removed: the registry has its files no more")));
    }
    Ok(Found::Offer(Offer {
        name: name.clone(),
        version: version.to_string(),
        digest: state.digest,
        stage: state.stage.to_string(),
        metrics: registry.registration(name, version)?.metrics,
        attached: None,
    }))
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
        // A bucket is the same from everywhere; what is in the project is not what is in another.
        let project = match self.uri {
            RegistryUri::ObjectStore(_) => String::new(),
            RegistryUri::Folder | RegistryUri::GitBranch(_) => format!(" of {}", self.project.display()),
        };
        format!("{:?}{project}: {:?} in {}", self.uri, self.wanted, self.stage)
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let (stage, wanted) = (self.stage, self.wanted.clone());
        // A look that fails leaves what was offered before it to the next one.
        let mut last = self.last.clone();
        let registry = self.registry()?;
        let selectors = if wanted.is_empty() {
            let every = |name: &ModelName| Selector { name: name.clone(), reference: None };
            registry.state().models.keys().map(every).collect()
        } else {
            wanted.clone()
        };
        let mut offered = Offered::default();
        for selector in &selectors {
            let name = selector.name.to_string();
            let before = last.get(&selector.name).copied();
            match find(registry, selector, stage, before) {
                Ok(Found::Offer(offer)) => offered.add(offer, &format!("{name} again")),
                Ok(Found::Withdrawn(reason)) => {
                    offered.withdrawn.insert(name, reason);
                }
                // Of every model, those that never got there are none of ours.
                Ok(Found::None(_)) if before.is_none() && wanted.is_empty() => {}
                // Staging is empty once its version is promoted: what is served is as good as before.
                Ok(Found::None(reason)) => {
                    offered.refused.insert(name, reason);
                }
                Err(error) => {
                    offered.refused.insert(name, error.to_string());
                }
            }
        }
        let versions =
            offered.offers.iter().filter_map(|offer| Some((offer.name.clone(), offer.version.parse().ok()?)));
        last.extend(versions);
        self.last = last;
        if offered == Offered::default() {
            return Err(SourceError::Missing(format!(
                "no model has a version in {stage}: run a pipeline, or approve and promote one"
            )));
        }
        Ok(offered)
    }

    fn banned(&mut self, served: &Offer) -> Option<String> {
        let name = &served.name;
        let model = self.registry.as_ref()?.model(name).ok()?;
        // A copy that stood in for the registry has no number of it.
        let number = served.version.parse().ok();
        let same = |number: &VersionNumber| {
            model.versions.get(number).is_some_and(|state| state.digest == served.digest)
        };
        number.filter(same).and_then(|number| banned(model, name, number)).or_else(|| {
            let other = model.quarantined(&served.digest)?;
            Some(format!(
                "the package of {name} {} is quarantined as {other} and is not served",
                served.version
            ))
        })
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        let missing = |reason: String| Err(SourceError::Missing(reason));
        let registry = self.registry()?;
        let Ok(number) = version.parse::<VersionNumber>() else {
            return missing(format!("`{version}` is no version of a registry"));
        };
        let Some(state) = registry.model(name)?.versions.get(&number) else {
            return missing(format!("the registry has no {name} {number}"));
        };
        if state.verdict != Verdict::Passed {
            return missing(format!("the verdict of {name} {number} is {}", state.verdict));
        }
        // One that was promoted a moment ago is production at the next look.
        if !matches!(state.stage, Stage::Candidate | Stage::Approved | Stage::Staging | Stage::Production) {
            return missing(format!("{name} {number} is {} and cannot be a canary", state.stage));
        }
        if let Some(other) = registry.model(name)?.quarantined(&state.digest) {
            return missing(format!("the package of {name} {number} is quarantined as {other}"));
        }
        let (digest, stage) = (state.digest, state.stage.to_string());
        let metrics = registry.registration(name, number)?.metrics;
        let version = number.to_string();
        Ok(Offer { name: name.clone(), version, digest, stage, metrics, attached: None })
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

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use modelgate_core::ledger::{Lineage, Registration};
    use modelgate_core::lifecycle::Event;
    use modelgate_core::schema::Task;

    use super::*;

    const TIME: &str = "2026-01-01T00:00:00Z";

    fn shop() -> ModelName {
        "shop".parse().expect("a name")
    }

    fn register(registry: &mut Registry, number: u32) {
        let digest = Digest::of(&number.to_le_bytes());
        let registration = Registration {
            digest,
            verdict: Verdict::Passed,
            verdict_digest: digest,
            bootstrap: number == 1,
            lineage: Lineage {
                run_id: format!("run-{number}").parse().expect("a run"),
                config: digest,
                dataset: digest,
                task: Task::Regression,
                algorithm: "ridge".to_owned(),
                seed: 42,
                trained_at: TIME.to_owned(),
                tool_version: "0.1.0".to_owned(),
            },
            metrics: BTreeMap::new(),
            files: BTreeMap::new(),
            checks: BTreeMap::new(),
        };
        registry.register(&shop(), &registration, &BTreeMap::new(), TIME, "tester").expect("registered");
    }

    fn apply(registry: &mut Registry, number: u32, event: &Event) {
        registry.apply(&shop(), VersionNumber(number), event, TIME, "tester").expect("allowed");
    }

    fn promote(registry: &mut Registry, number: u32) {
        apply(registry, number, &Event::Approve { reason: String::new() });
        let over = registry.model(&shop()).expect("a model").production();
        apply(registry, number, &Event::Promote { over, reason: String::new() });
    }

    #[test]
    fn what_is_served_stays_where_its_artefacts_were_collected_and_goes_where_it_was_found_bad() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
        (1..=3).for_each(|number| register(&mut registry, number));
        promote(&mut registry, 1);
        let source = |reference: Option<&str>| {
            let wanted = vec![Selector { name: shop(), reference: reference.map(str::to_owned) }];
            RegistrySource::new(RegistryUri::Folder, folder.path().to_owned(), Stage::Production, wanted)
        };
        let (mut follows, mut pinned) = (source(None), source(Some("v001")));
        let served = follows.offers().expect("reached").offers.remove(0);
        assert_eq!(pinned.offers().expect("reached").offers.first(), Some(&served));
        promote(&mut registry, 2);
        apply(&mut registry, 1, &Event::RemoveArtefacts { reason: "retention".to_owned() });
        assert_eq!(follows.offers().expect("reached").offers[0].version, "v002");
        assert_eq!(follows.banned(&served), None);
        // Where it was named, nothing else is offered, and it is served on.
        let offered = pinned.offers().expect("reached");
        assert!(offered.offers.is_empty() && offered.withdrawn.is_empty(), "{offered:?}");
        assert!(offered.refused["shop"].contains("v001 is removed"), "{offered:?}");
        assert_eq!(pinned.banned(&served), None);
        // One that a person refused is banned.
        let rejected =
            Offer { version: "v003".to_owned(), digest: Digest::of(&3_u32.to_le_bytes()), ..served.clone() };
        assert_eq!(follows.banned(&rejected), None);
        apply(&mut registry, 3, &Event::Reject { reason: "no".to_owned() });
        follows.offers().expect("reached");
        assert!(follows.banned(&rejected).is_some_and(|why| why.contains("v003 is rejected")));
    }
}
