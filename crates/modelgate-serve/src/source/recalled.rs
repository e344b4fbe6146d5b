//! What is known on this disk of packages that were found bad, without asking anybody: the ledger of a project's registry or
//! the copy of it, its index, and what lies beside its packages. It counts while the registry cannot be opened, and for a
//! package that is served from a folder in the project.

use std::path::{Path, PathBuf};

use modelgate_core::lifecycle::{ModelState, Stage};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_model::{LEFT_FILE, LeftPackages};
use modelgate_registry::{OnDisk, Registry, RegistryUri};

use super::{Files, Offer, Offered, Source};
use crate::error::SourceError;

/// Tells why a package may not be served any more, without asking anybody.
pub type Bans = Box<dyn FnMut(&Offer) -> Option<String> + Send>;

/// What was found bad, as far as this disk tells.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    registry: OnDisk,
    left: LeftPackages,
}

impl Recalled {
    /// Reads what lies on this disk of the registry at `uri` of the project in `project`.
    pub(crate) fn read(uri: &RegistryUri, project: &Path) -> Self {
        let left = LeftPackages::read(&project.join("models").join("packaged"));
        Self { registry: Registry::on_disk(uri, project), left }
    }

    /// Returns what tells it, which reads the disk when it is first asked.
    pub(crate) fn bans(uri: RegistryUri, project: PathBuf) -> Bans {
        let mut recalled = None;
        Box::new(move |offer| recalled.get_or_insert_with(|| Self::read(&uri, &project)).banned(offer))
    }

    /// Returns why a package may not be served, if so.
    pub(crate) fn banned(&self, served: &Offer) -> Option<String> {
        let models = || self.registry.states.iter().filter_map(|state| state.models.get(&served.name));
        if let Some(reason) = models().find_map(|model| banned_package(model, served)) {
            return Some(reason);
        }
        // A ledger that is whole knows better than what was written beside the packages once.
        let known = models().any(|model| model.versions.values().any(|state| state.digest == served.digest));
        if self.registry.whole && known {
            return None;
        }
        left_behind(&self.left, served)
    }
}

/// Returns why a version must not be served, if so. Quarantine is of a package: an alias at another version of it is no way
/// around. That its artefacts were collected says nothing against it: whoever serves it has them.
pub(super) fn banned_version(model: &ModelState, name: &ModelName, version: VersionNumber) -> Option<String> {
    let state = model.versions.get(&version)?;
    if matches!(state.stage, Stage::Quarantined | Stage::Rejected) {
        return Some(format!("{name} {version} is {} and is not served", state.stage));
    }
    let other = model.quarantined(&state.digest)?;
    Some(format!("the package of {name} {version} is quarantined as {other} and is not served"))
}

/// Returns why what was offered must not be served, if so.
pub(super) fn banned_package(model: &ModelState, served: &Offer) -> Option<String> {
    let name = &served.name;
    // A copy that stood in for the registry has no number of it.
    let number: Option<VersionNumber> = served.version.parse().ok();
    let is_it = |number: &VersionNumber| {
        model.versions.get(number).is_some_and(|state| state.digest == served.digest)
    };
    if let Some(reason) = number.filter(is_it).and_then(|number| banned_version(model, name, number)) {
        return Some(reason);
    }
    if let Some(other) = model.quarantined(&served.digest) {
        let version = &served.version;
        return Some(format!("the package of {name} {version} is quarantined as {other} and is not served"));
    }
    let reason = model.against_package(&served.digest)?;
    Some(format!(
        "the registry knows the package of {name} {} and does not let it in: {reason}",
        served.version
    ))
}

/// Returns why a package must not be served by what lies beside the packages, if so.
pub(super) fn left_behind(left: &LeftPackages, served: &Offer) -> Option<String> {
    let version = left.version(&served.digest)?;
    let (name, own) = (&served.name, &served.version);
    Some(format!(
        "the package of {name} {own} is quarantined as {version} and is not served: `{LEFT_FILE}` beside the packages says so, \
         and is to be copied again with a package that came back since"
    ))
}

/// Packages that are served within a project: what its registry found bad is not, wherever it comes from.
pub struct ProjectSource {
    source: Box<dyn Source>,
    uri: RegistryUri,
    project: PathBuf,
    /// As of the last look.
    recalled: Option<Recalled>,
}

impl ProjectSource {
    /// Serves from `source`, but for what the registry at `uri` of the project in `project` is known to have found bad.
    pub fn new(source: Box<dyn Source>, uri: RegistryUri, project: PathBuf) -> Self {
        Self { source, uri, project, recalled: None }
    }
}

impl Source for ProjectSource {
    fn kind(&self) -> &'static str {
        self.source.kind()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn server_version(&self) -> Option<String> {
        self.source.server_version()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        self.recalled = None;
        self.source.offers()
    }

    fn banned(&mut self, served: &Offer) -> Option<String> {
        let (uri, project) = (&self.uri, &self.project);
        let recalled = self.recalled.get_or_insert_with(|| Recalled::read(uri, project));
        recalled.banned(served).or_else(|| self.source.banned(served))
    }

    fn bans(&self) -> Bans {
        let (mut own, mut theirs) =
            (Recalled::bans(self.uri.clone(), self.project.clone()), self.source.bans());
        Box::new(move |offer| own(offer).or_else(|| theirs(offer)))
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        self.source.candidate(name, version)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        self.source.files(offer)
    }
}
