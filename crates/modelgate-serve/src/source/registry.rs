//! A registry in any of its homes: what is at a stage, or one version by number or alias.

use std::collections::BTreeMap;
use std::path::PathBuf;

use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{ModelName, Verdict, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};

use super::recalled::{Recalled, banned_package, banned_version};
use super::{Bans, Files, Offer, Offered, Source};
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
    /// Whether it answered when it was asked last.
    answered: bool,
    /// What is known on this disk while it does not, once somebody wants to know.
    recalled: Option<Recalled>,
    /// What was offered last, by model.
    last: BTreeMap<ModelName, VersionNumber>,
}

impl RegistrySource {
    /// Serves what is at `stage` (production or staging); of the `wanted` models, or of all when there are none.
    pub fn new(uri: RegistryUri, project: PathBuf, stage: Stage, wanted: Vec<Selector>) -> Self {
        let last = BTreeMap::new();
        Self { uri, project, stage, wanted, registry: None, answered: false, recalled: None, last }
    }

    fn registry(&mut self) -> Result<&mut Registry, SourceError> {
        (self.answered, self.recalled) = (false, None);
        if let Some(registry) = &mut self.registry {
            registry.refresh()?;
        } else {
            self.registry = Some(Registry::open(&self.uri, &self.project)?);
        }
        self.answered = true;
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
            let banned = last.and_then(|last| banned_version(model, name, last));
            return Ok(banned.map_or(Found::None(reason), Found::Withdrawn));
        }
    };
    if let Some(reason) = banned_version(model, name, version) {
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
        let model = self.registry.as_ref().and_then(|registry| registry.model(&served.name).ok());
        if let Some(reason) = model.and_then(|model| banned_package(model, served)) {
            return Some(reason);
        }
        if self.answered {
            return None;
        }
        // What was written here since, or by an earlier look, counts as long as the registry itself says nothing.
        let (uri, project) = (&self.uri, &self.project);
        self.recalled.get_or_insert_with(|| Recalled::read(uri, project)).banned(served)
    }

    fn bans(&self) -> Bans {
        Recalled::bans(self.uri.clone(), self.project.clone())
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
        register_as(registry, number, Verdict::Passed);
    }

    fn register_as(registry: &mut Registry, number: u32, verdict: Verdict) {
        let digest = Digest::of(&number.to_le_bytes());
        let registration = Registration {
            digest,
            verdict,
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
    fn what_was_found_bad_is_known_while_the_registry_cannot_be_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
        (1..=2).for_each(|number| register(&mut registry, number));
        let offer = |number: u32| Offer {
            name: shop(),
            version: VersionNumber(number).to_string(),
            digest: Digest::of(&number.to_le_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        let source = || {
            let root = folder.path().to_owned();
            RegistrySource::new(RegistryUri::Folder, root, Stage::Production, Vec::new())
        };
        promote(&mut registry, 1);
        let mut running = source();
        running.offers().expect("reached");
        assert_eq!(running.banned(&offer(1)), None);
        let quarantine = Event::Quarantine { was_production: None, reason: "bad".to_owned() };
        apply(&mut registry, 1, &quarantine);
        drop(registry);
        let ledger = folder.path().join(".modelgate/ledger.jsonl");
        let whole = fs_err::read_to_string(&ledger).expect("a ledger");
        let says = |why: Option<String>| why.is_some_and(|why| why.contains("v001 is quarantined"));
        // A line that is none behind it, and then the quarantine cut away, of which the index knows.
        let cut = whole.lines().take(4).map(|line| format!("{line}\n")).collect::<String>();
        for damaged in [format!("{whole}x\n"), cut] {
            fs_err::write(&ledger, damaged).expect("written");
            let mut started = source();
            assert!(started.offers().is_err() && running.offers().is_err());
            assert!(says(started.banned(&offer(1))) && says(running.banned(&offer(1))));
            assert!(says(started.bans()(&offer(1))));
            assert_eq!(started.banned(&offer(2)), None);
        }
        // Where the ledger is gone, what lies beside the packages is what is left.
        fs_err::remove_dir_all(folder.path().join(".modelgate")).expect("removed");
        assert_eq!(source().bans()(&offer(1)), None);
        let left =
            modelgate_model::LeftPackages::default().with(&shop(), [(offer(1).digest, VersionNumber(1))]);
        let packages = folder.path().join("models/packaged");
        fs_err::create_dir_all(&packages).expect("made");
        let bytes = serde_json::to_vec(&left).expect("JSON");
        fs_err::write(packages.join(modelgate_model::LEFT_FILE), bytes).expect("written");
        assert!(source().bans()(&offer(1)).is_some_and(|why| why.contains("is quarantined as v001")));
    }

    #[test]
    fn a_package_that_a_project_found_bad_is_not_served_by_it_from_a_folder() {
        struct Folder(Offer);
        impl Source for Folder {
            fn kind(&self) -> &'static str {
                "package"
            }

            fn describe(&self) -> String {
                "a folder".to_owned()
            }

            fn identity(&self) -> String {
                self.describe()
            }

            fn offers(&mut self) -> Result<Offered, SourceError> {
                Ok(Offered { offers: vec![self.0.clone()], ..Offered::default() })
            }

            fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
                super::super::no_canary(self.kind(), name, version)
            }

            fn files(&mut self, _offer: &Offer) -> Result<Files, SourceError> {
                Ok(Files::new())
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut registry = Registry::open(&RegistryUri::Folder, folder.path()).expect("open");
        (1..=2).for_each(|number| register(&mut registry, number));
        register_as(&mut registry, 3, Verdict::Failed);
        let offer = |number: u32| Offer {
            name: shop(),
            version: "0123456789ab".to_owned(),
            digest: Digest::of(&number.to_le_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        let mut source = crate::source::ProjectSource::new(
            Box::new(Folder(offer(1))),
            RegistryUri::Folder,
            folder.path().to_owned(),
        );
        source.offers().expect("one");
        // One of which the registry knows nothing has nothing against it here.
        assert_eq!([1, 2, 9].map(|number| source.banned(&offer(number))), [None, None, None]);
        assert!(source.banned(&offer(3)).is_some_and(|why| why.contains("its gate says failed, as v003")));
        apply(&mut registry, 2, &Event::Reject { reason: "no".to_owned() });
        apply(&mut registry, 1, &Event::Quarantine { was_production: None, reason: "bad".to_owned() });
        assert_eq!(source.banned(&offer(1)), None);
        source.offers().expect("one");
        assert!(source.banned(&offer(1)).is_some_and(|why| why.contains("is quarantined as v001")));
        assert!(source.bans()(&offer(2)).is_some_and(|why| why.contains("it is rejected as v002")));
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
