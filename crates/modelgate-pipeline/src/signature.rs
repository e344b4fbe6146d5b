//! Signatures of registered versions: made over exactly the files that production gets, kept in the registry, and
//! believed only from the keys that `modelgate.yaml` names.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::lifecycle::{Event, Stage};
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_model::signing::{self, PrivateKey, PublicKey, SIGNATURE_FILE, SigningError};
use modelgate_registry::{Objects, Registry};

use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::packaged::check_packaged;
use crate::project::Project;
use crate::promotion::materialise;
use crate::unfinished::{self, Work};
use crate::{policy, production};

mod folder;

pub use folder::{check_folder_signable, check_verdict_beside, has_registered_verdict};

/// Reads a private key.
///
/// # Errors
/// Names the file that cannot be used.
pub fn private_key(path: &Path) -> Result<PrivateKey, PipelineError> {
    let text = fs_err::read_to_string(path)?;
    PrivateKey::from_pem(&text).map_err(|error| named(path, &error))
}

/// Reads a public key.
///
/// # Errors
/// Names the file that cannot be used.
pub fn public_key(path: &Path) -> Result<PublicKey, PipelineError> {
    let text = fs_err::read_to_string(path)?;
    PublicKey::from_pem(&text).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &SigningError) -> PipelineError {
    PipelineError::Policy(format!("`{}`: {error}", path.display()))
}

/// Returns the keys of `signing.public_keys`, each with its name.
///
/// # Errors
/// Names the file that cannot be used.
pub fn trusted_keys(project: &Project) -> Result<Vec<(String, PublicKey)>, PipelineError> {
    let names = &project.config.signing.public_keys;
    names.iter().map(|name| Ok((name.clone(), public_key(&project.root.join(name))?))).collect()
}

fn own_files(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
    let mut files = registry.version_files(model, version)?;
    files.remove(SIGNATURE_FILE);
    Ok(files)
}

fn digests(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Digest> {
    files.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect()
}

/// Refuses to sign what must not be served: where no registry is asked, the signature is all that tells. A quarantined
/// version, which may come back, is signed where somebody says so. Of its gate it is asked what a promotion asks, unless it
/// is in production or was: a rollback to it asks for its signature alone.
///
/// # Errors
/// Says what stands against it.
pub fn check_signable(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    override_quarantine: bool,
) -> Result<(), PipelineError> {
    let state = registry.model(model)?;
    // The registry refuses a version that is not there in its own words.
    let Some(found) = state.versions.get(&version) else { return Ok(()) };
    let refuse = |why: String| Err(PipelineError::Policy(format!("{model} {version} is not signed: {why}")));
    let verdict = found.verdict;
    if verdict != Verdict::Passed {
        let why = format!("its gate says {verdict}, and a signature would let it be served");
        let sentence = format!("{model} {version} is not signed: {why}");
        return Err(PipelineError::NotPassed { verdict, sentence });
    }
    if found.stage == Stage::Rejected {
        return refuse("it is rejected, and a signature would let it be served".to_owned());
    }
    match state.quarantined(&found.digest) {
        Some(holder) if !override_quarantine => refuse(format!(
            "its package is quarantined{}, and a signature would let it be served; `--override-quarantine` signs it all the \
             same, for a way back to production",
            if holder == version { String::new() } else { format!(" as {holder}") }
        )),
        _ if registry.was_in_production(model, version)? => Ok(()),
        _ => policy::check_required(project, registry, model, version).or_else(|error| match error {
            PipelineError::Policy(why) => refuse(why),
            error => Err(error),
        }),
    }
}

/// Refuses a key that the project does not believe: its signature would take the place of one that may be good, and nothing
/// that asks for signatures would serve the version any more. A project that names no keys believes none and asks for none.
///
/// # Errors
/// Names the keys that are believed.
pub fn check_key(project: &Project, key: &PrivateKey) -> Result<(), PipelineError> {
    let keys = trusted_keys(project)?;
    let hint = |key: &PublicKey| key.hint().map_err(|error| PipelineError::Policy(error.to_string()));
    let own = hint(&key.public())?;
    for (_, believed) in &keys {
        if hint(believed)? == own {
            return Ok(());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = keys.into_iter().map(|(name, _)| format!("`{name}`")).collect();
    Err(PipelineError::Policy(format!(
        "this private key is of none of the keys in signing.public_keys ({}), and nobody would believe its signature: sign \
         with the private key of one of them, or add the public key of this one there first (`openssl ec -in KEY -pubout`)",
        names.join(", ")
    )))
}

/// What is to be written for a signature, once nothing that can be known stands against it.
struct Planned {
    is_production: bool,
    signature: Digest,
    bundle: Vec<u8>,
    event: Event,
    now: String,
}

fn planned(
    project: &Project,
    registry: &Registry,
    (model, version): (&ModelName, VersionNumber),
    key: &PrivateKey,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Planned, PipelineError> {
    let is_production = production::version(registry, model) == Some(version);
    if is_production {
        check_packaged(project, model)?;
    }
    let files = own_files(registry, model, version)?;
    modelgate_model::from_files(files.clone())?;
    let bundle = signing::sign(model.as_str(), &digests(&files), key)
        .map_err(|error| PipelineError::Policy(error.to_string()))?;
    let signature = Digest::of(&bundle);
    let event = Event::Sign { signature, reason: reason.to_owned() };
    let now = (surroundings.now)();
    registry.allows(model, &[(version, event.clone())], &now, &surroundings.actor)?;
    Ok(Planned { is_production, signature, bundle, event, now })
}

/// Asks everything that could stand against a signature, as [`sign_registered`] does, and writes nothing.
///
/// # Errors
/// Says what stands against it.
pub fn rehearse_signature(
    project: &Project,
    registry: &Registry,
    named: (&ModelName, VersionNumber),
    key: &PrivateKey,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    planned(project, registry, named, key, reason, surroundings).map(drop)
}

/// Signs a version and keeps the signature in the registry; of the one in production, beside its package in
/// `models/packaged/` too. Whether it may be signed is asked by [`check_signable`].
///
/// # Errors
/// Fails when its files are not those that were registered, or the registry cannot be written.
pub fn sign_registered(
    project: &Project,
    registry: &mut Registry,
    (model, version): (&ModelName, VersionNumber),
    key: &PrivateKey,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Digest, PipelineError> {
    let named = (model, version);
    let Planned { is_production, signature, bundle, event, now } =
        planned(project, registry, named, key, reason, surroundings)?;
    let objects = Objects::from([(signature, bundle)]);
    let actor = &surroundings.actor;
    if !is_production {
        registry.apply_with(model, version, &event, &objects, &now, actor)?;
        return Ok(signature);
    }
    let mark = unfinished::begin(project, Work::Signature, model, version)?;
    if let Err(error) = registry.apply_with(model, version, &event, &objects, &now, actor) {
        if error.appended_nothing() {
            mark.undo()?;
        }
        return Err(error.into());
    }
    let done = format!("{model} {version} is signed");
    mark.follow(project, done, Vec::new(), || materialise(project, registry, model))?;
    Ok(signature)
}

/// Checks the signature of a version by `keys`, and returns the name of the one that made it.
///
/// # Errors
/// Says that there is none, or what is wrong with it.
pub fn verify_registered(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    keys: &[(String, PublicKey)],
) -> Result<String, PipelineError> {
    let signature = registry.model(model)?.versions.get(&version).and_then(|found| found.signature);
    let Some(signature) = signature else {
        let hint = format!("`modelgate model sign {model} {version} --key FILE` signs it");
        return Err(PipelineError::Policy(format!("it is not signed; {hint}")));
    };
    let bundle = registry.object(&signature)?;
    let files = digests(&own_files(registry, model, version)?);
    verify(&bundle, &files, keys)
}

/// Checks the signature of a folder by `keys`, and returns the name of the one that made it.
///
/// # Errors
/// Says that there is none, or what is wrong with it.
pub fn verify_folder(
    folder: &Path,
    signature: &Path,
    keys: &[(String, PublicKey)],
) -> Result<String, PipelineError> {
    let bundle = fs_err::read(signature)?;
    let mut files = signing::files_of(folder).map_err(|error| PipelineError::Policy(error.to_string()))?;
    if let (Ok(folder), Ok(signature)) = (fs_err::canonicalize(folder), fs_err::canonicalize(signature))
        && let Ok(own) = signature.strip_prefix(folder)
    {
        files.remove(&own.to_string_lossy().replace('\\', "/"));
    }
    verify(&bundle, &files, keys)
}

/// Checks that a folder that nobody signed is a package, and that its files are those that its manifest names.
///
/// # Errors
/// Says that it is no package, or which file is not what it was.
pub fn verify_unsigned_folder(folder: &Path) -> Result<Digest, PipelineError> {
    if !folder.join("manifest.json").is_file() {
        return Err(PipelineError::Policy(format!(
            "`{}` has neither a `{SIGNATURE_FILE}` nor the `manifest.json` of a package: there is nothing to check it by",
            folder.display()
        )));
    }
    Ok(modelgate_model::verify(folder)?)
}

/// Signs a folder and returns the bytes of `model.sig`.
///
/// # Errors
/// Refuses symbolic links, and names a file that cannot be read.
pub fn sign_folder(folder: &Path, key: &PrivateKey) -> Result<Vec<u8>, PipelineError> {
    let refused = |error: SigningError| PipelineError::Policy(error.to_string());
    let files = signing::files_of(folder).map_err(refused)?;
    let full = fs_err::canonicalize(folder)?;
    let name =
        full.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    signing::sign(&name, &files, key).map_err(refused)
}

fn verify(
    bundle: &[u8],
    files: &BTreeMap<String, Digest>,
    keys: &[(String, PublicKey)],
) -> Result<String, PipelineError> {
    let mut last = None;
    for (name, key) in keys {
        match signing::open(bundle, key) {
            Ok(signed) => {
                signing::compare(&signed, files).map_err(|error| PipelineError::Policy(error.to_string()))?;
                return Ok(name.clone());
            }
            // One of several keys may be the right one.
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "there is no key to check it by".to_owned(), |error| error.to_string());
    Err(PipelineError::Policy(why))
}
