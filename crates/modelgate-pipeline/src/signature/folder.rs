//! Packages in folders: what lies beside one must be what a gate wrote, and what a version is not signed for, its package in a
//! folder is not signed for either.

use std::path::Path;

use modelgate_core::lifecycle::ModelState;
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_model::{Manifest, read_file};
use modelgate_registry::{Registry, RegistryUri};

use super::check_signable;
use crate::error::PipelineError;
use crate::packaged::MANIFEST;
use crate::project::Project;

const VERDICT: &str = "verdict.json";

/// Refuses to sign a package in a folder that must not be served: one whose gate did not pass, by what lies beside it, and one
/// of which the registry of the project knows as much. A registry that cannot be opened counts as far as it lies on this disk:
/// keys are kept on machines that reach nothing. What is no package is nobody's to judge.
///
/// # Errors
/// Says what stands against it.
pub fn check_folder_signable(
    project: &Project,
    folder: &Path,
    override_quarantine: bool,
) -> Result<(), PipelineError> {
    let Ok(bytes) = read_file(&folder.join(MANIFEST)) else { return Ok(()) };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok(()) };
    let (digest, model) = (Digest::of(&bytes), manifest.name);
    check_verdict_beside(folder)?;
    let verdict = verdict_beside(folder).filter(|verdict| verdict.digest == Some(digest));
    if let Some(verdict) = verdict.map(|verdict| verdict.verdict).filter(|one| *one != Verdict::Passed) {
        let sentence = format!(
            "`{}` is not signed: its {VERDICT} says {verdict}, and a signature would let it be served",
            folder.display()
        );
        return Err(PipelineError::NotPassed { verdict, sentence });
    }
    match crate::run::registry(project) {
        Ok(registry) => as_a_version(project, &registry, &model, &digest, override_quarantine),
        Err(_) => as_on_disk(project, folder, &model, &digest, override_quarantine),
    }
}

/// Asks of the package what is asked of the versions that it is; one of them that may be signed is enough.
fn as_a_version(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    digest: &Digest,
    override_quarantine: bool,
) -> Result<(), PipelineError> {
    let Some(state) = registry.state().models.get(model) else { return Ok(()) };
    let mut refused = Ok(());
    for (version, _) in state.versions.iter().filter(|(_, found)| found.digest == *digest) {
        refused = check_signable(project, registry, model, *version, override_quarantine);
        if refused.is_ok() {
            break;
        }
    }
    refused
}

fn as_on_disk(
    project: &Project,
    folder: &Path,
    model: &ModelName,
    digest: &Digest,
    override_quarantine: bool,
) -> Result<(), PipelineError> {
    let uri = RegistryUri::parse(project.config.registry.uri.as_deref())?;
    let found = Registry::on_disk(&uri, &project.root);
    let comes_back = |state: &ModelState| override_quarantine && state.quarantined(digest).is_some();
    let states = found.states.iter().filter_map(|state| state.models.get(model));
    let against = states.filter(|state| !comes_back(state)).find_map(|state| state.against_package(digest));
    against.map_or(Ok(()), |why| {
        let folder = folder.display();
        Err(PipelineError::Policy(format!(
            "`{folder}` is not signed: {why} in what is here of the registry, and a signature would let it be served"
        )))
    })
}

fn verdict_beside(folder: &Path) -> Option<GateVerdict> {
    serde_json::from_slice(&read_file(&folder.join(VERDICT)).ok()?).ok()
}

/// Refuses a verdict beside a package that is none of a gate: it contradicts itself.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn check_verdict_beside(folder: &Path) -> Result<(), PipelineError> {
    let what = verdict_beside(folder).and_then(|verdict| verdict.contradiction());
    what.map_or(Ok(()), |what| {
        Err(PipelineError::Policy(format!(
            "`{}` contradicts itself: {what}; no gate wrote that: bring the package anew (`modelgate model pull`)",
            folder.join(VERDICT).display()
        )))
    })
}

/// Returns whether the verdict beside a package in `folder` is the one that was registered with `version`.
///
/// # Errors
/// Fails when there is no such version.
pub fn has_registered_verdict(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    folder: &Path,
) -> Result<bool, PipelineError> {
    let registered = registry.registration(model, version)?.files.get(VERDICT).copied();
    let found = read_file(&folder.join(VERDICT)).ok().map(|bytes| Digest::of(&bytes));
    Ok(registered.is_none_or(|registered| found == Some(registered)))
}
