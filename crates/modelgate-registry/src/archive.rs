//! A whole registry as one tar archive: a manifest, the ledger, the runs of the tracking tables and every object that a
//! version names.
//!
//! The same registry, with the same runs, gives the same bytes. Reading one trusts nothing: names are exactly those of the form, the ledger
//! is verified, and each object is checked against its name before anything is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::ledger::{LedgerEvent, RegistryState};
use modelgate_core::lifecycle::Stage;
use serde::{Deserialize, Serialize};

use crate::chain_file::{ReadError, for_each_entry};
use crate::home::{Objects, object_key};
use crate::index::RunRow;
use crate::registry::{Registry, file_of};
use crate::{RegistryError, verify_file};

/// The version of the archive's form; the first had no runs.
const ARCHIVE_VERSION: u64 = 2;
const MANIFEST: &str = "modelgate-registry.json";
const LEDGER: &str = "ledger.jsonl";
/// The runs, one line each, in the order of their ids.
const RUNS: &str = "runs.jsonl";
/// More than any one file of a version has.
const MAX_OBJECT: u64 = 4 << 30;
/// Objects kept at a time.
const BATCH: usize = 64 << 20;

/// The first file of an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArchiveManifest {
    /// The version of the form.
    pub schema_version: u64,
    /// The version of modelgate that wrote it.
    pub tool_version: String,
    /// Number of events.
    pub events: u64,
    /// The hash of the last one.
    pub head: Option<Digest>,
    /// Number of objects.
    pub objects: u64,
    /// The runs of the tracking tables; `None` in an archive of the first form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<ArchivedRuns>,
    /// Objects that versions name and that were missing or damaged when it was written: it does not hold them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<Digest>,
}

/// The runs in an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArchivedRuns {
    /// Their number.
    pub count: u64,
    /// The digest of their file.
    pub digest: Digest,
}

fn wrong(path: &Path, what: impl Into<String>) -> RegistryError {
    RegistryError::Archive { path: path.display().to_string(), what: what.into() }
}

/// Writes `registry` to `path`, which must not be there yet.
///
/// # Errors
/// Names every object that is missing or damaged; fails when the file cannot be written.
pub fn export(registry: &Registry, path: &Path) -> Result<ArchiveManifest, RegistryError> {
    write(registry, path, BTreeSet::new())
}

/// Writes `registry` as [`export`] does, without the objects that are missing or damaged, which the manifest names.
/// Returns what is wrong with each of them, too.
///
/// # Errors
/// Fails when the registry cannot be reached or the file cannot be written.
pub fn export_what_is_whole(
    registry: &Registry,
    path: &Path,
) -> Result<(ArchiveManifest, Vec<RegistryError>), RegistryError> {
    let (mut looked_at, mut left_out, mut found) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    registry.for_each_file(|model, version, name, digest| {
        if looked_at.insert(*digest) {
            let got = registry.object(digest).map(drop);
            match got.map_err(|source| file_of(model, version, name.to_owned(), source)) {
                Err(error) if error.is_of_files() => {
                    left_out.insert(*digest);
                    found.push(error);
                }
                other => other?,
            }
        }
        Ok(())
    })?;
    Ok((write(registry, path, left_out)?, found))
}

fn write(
    registry: &Registry,
    path: &Path,
    left_out: BTreeSet<Digest>,
) -> Result<ArchiveManifest, RegistryError> {
    if path.exists() {
        return Err(wrong(path, "it is there already, and was not touched"));
    }
    let mut objects = BTreeMap::new();
    registry.for_each_file(|model, version, name, digest| {
        if !left_out.contains(digest) {
            objects.entry(*digest).or_insert_with(|| (model.clone(), version, name.to_owned()));
        }
        Ok(())
    })?;
    let mut ledger = Vec::new();
    registry.for_each_entry(|entry| ledger.write_all(entry.to_line()?.as_bytes()))?;
    let mut runs = String::new();
    let mut count = 0;
    for mut run in registry.runs()? {
        // What JSON has no word for is no figure.
        run.metrics.retain(|_, value| value.is_finite());
        runs.push_str(&modelgate_core::canonical::to_string(&run)?);
        runs.push('\n');
        count += 1;
    }
    let head = registry.position().head;
    let manifest = ArchiveManifest {
        schema_version: ARCHIVE_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        events: head.map_or(0, |head| head.seq),
        head: head.map(|head| head.hash),
        objects: objects.len() as u64,
        runs: Some(ArchivedRuns { count, digest: Digest::of(runs.as_bytes()) }),
        left_out,
    };
    let text = modelgate_core::canonical::to_pretty(&manifest)?;
    let (mut failed, mut found) = (None, Vec::new());
    let written = modelgate_store::atomic::write_with(path, |output| {
        let mut archive = tar::Builder::new(output);
        add(&mut archive, MANIFEST, text.as_bytes())?;
        add(&mut archive, LEDGER, &ledger)?;
        add(&mut archive, RUNS, runs.as_bytes())?;
        for (digest, (model, version, name)) in &objects {
            let got = registry.object(digest);
            match got.map_err(|source| file_of(model, *version, name.clone(), source)) {
                Ok(bytes) => add(&mut archive, &object_key(digest), &bytes)?,
                // Each is named: who has to put them back should not find them one by one.
                Err(error) if error.is_of_files() => found.push(error),
                Err(error) => {
                    failed = Some(error);
                    return Err(std::io::Error::other("an object cannot be read"));
                }
            }
        }
        if !found.is_empty() {
            return Err(std::io::Error::other("objects are missing or damaged"));
        }
        archive.finish()
    });
    match failed {
        Some(error) => Err(error),
        None if !found.is_empty() => Err(RegistryError::Files { found }),
        None => {
            written?;
            Ok(manifest)
        }
    }
}

/// Adds a file whose header tells nothing of this machine or moment.
fn add(archive: &mut tar::Builder<&mut dyn Write>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    archive.append(&header, bytes)
}

/// Hands each file of the archive to `each`, by its checked name.
fn read_archive(
    path: &Path,
    mut each: impl FnMut(&str, &mut dyn Read, u64) -> Result<(), RegistryError>,
) -> Result<(), RegistryError> {
    let broken = |error: std::io::Error| wrong(path, format!("it is not a whole tar file: {error}"));
    let mut archive = tar::Archive::new(std::io::BufReader::new(fs_err::File::open(path)?));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&name).into_owned();
        let shown: String = name.chars().take(120).filter(|letter| !letter.is_control()).collect();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(wrong(path, format!("`{shown}` is no plain file: links and folders are refused")));
        }
        if ![MANIFEST, LEDGER, RUNS].contains(&name.as_str()) && digest_of_name(&name).is_none() {
            let what = format!("`{shown}` does not belong into a registry: nothing was read in");
            return Err(wrong(path, what));
        }
        let size = entry.size();
        if size > MAX_OBJECT {
            return Err(wrong(path, format!("`{shown}` has {size} bytes")));
        }
        each(&name, &mut entry, size)?;
    }
    Ok(())
}

fn digest_of_name(name: &str) -> Option<Digest> {
    let hex = name.strip_prefix("objects/sha256/")?;
    let (first, rest) = hex.split_once('/')?;
    let digest: Digest = format!("sha256:{first}{rest}").parse().ok()?;
    (object_key(&digest) == name).then_some(digest)
}

fn read_all(path: &Path, from: &mut dyn Read, size: u64) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    let read = from.take(size).read_to_end(&mut bytes);
    read.map_err(|error| wrong(path, format!("it is not a whole tar file: {error}")))?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(wrong(path, "it was cut off")) }
}

/// Reads the archive `path` into `registry`, which has no event yet. `scratch` is a folder for the time of reading.
///
/// # Errors
/// Says what is wrong with the archive; the registry is then as it was, but for objects that nothing names.
pub fn import(
    registry: &mut Registry,
    path: &Path,
    scratch: &Path,
) -> Result<ArchiveManifest, RegistryError> {
    if let Some(head) = registry.position().head {
        return Err(RegistryError::NotEmpty { home: registry.home(), events: head.seq });
    }
    let staged = tempfile::Builder::new().prefix(".import").tempdir_in(scratch)?;
    let ledger = staged.path().join(LEDGER);
    let mut manifest: Option<ArchiveManifest> = None;
    let mut present: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut runs = None;
    read_archive(path, |name, content, size| {
        if manifest.is_none() && name != MANIFEST {
            return Err(wrong(path, format!("it does not begin with `{MANIFEST}`")));
        }
        let bytes = read_all(path, content, size)?;
        if name == MANIFEST {
            manifest = Some(read_manifest(path, &bytes)?);
        } else if name == LEDGER {
            fs_err::write(&ledger, bytes)?;
        } else if name == RUNS {
            runs = Some(bytes);
        } else if let Some(digest) = digest_of_name(name) {
            if Digest::of(&bytes) != digest {
                return Err(wrong(path, format!("`{name}` was changed: its content has another digest")));
            }
            present.insert(digest, size);
        }
        Ok(())
    })?;
    let manifest = manifest.ok_or_else(|| wrong(path, format!("it has no `{MANIFEST}`")))?;
    // The folder for the time of reading is gone when the error is read: it is the archive that is wrong.
    let of_archive = |error: RegistryError| match error {
        RegistryError::Tampered { source, .. } => wrong(path, format!("`{LEDGER}` in it: {source}")),
        RegistryError::NotAllowed { source, .. } => wrong(path, format!("`{LEDGER}` in it: {source}")),
        RegistryError::NewerLedger { source, .. } => {
            RegistryError::NewerLedger { home: format!("{LEDGER} in {}", path.display()), source }
        }
        other => other,
    };
    let (events, head) = if ledger.is_file() { verify_file(&ledger).map_err(of_archive)? } else { (0, None) };
    if (events, head) != (manifest.events, manifest.head) {
        let what = format!("its ledger has {events} events, its manifest names {}", manifest.events);
        return Err(wrong(path, what));
    }
    if events == 0 {
        return Err(wrong(path, "it holds no event"));
    }
    needed(&ledger, &present, &manifest.left_out, path)?;
    let runs = read_runs(path, &manifest, runs.as_deref())?;
    let mut batch = Objects::new();
    let mut held = 0;
    read_archive(path, |name, content, size| {
        let Some(digest) = digest_of_name(name) else { return Ok(()) };
        let bytes = read_all(path, content, size)?;
        held += bytes.len();
        batch.insert(digest, bytes);
        if held > BATCH {
            registry.keep(&std::mem::take(&mut batch))?;
            held = 0;
        }
        Ok(())
    })?;
    registry.keep(&batch)?;
    // Before the ledger: whoever is interrupted here reads the archive once more, and finds the same runs.
    registry.index().record_runs(&runs)?;
    registry.adopt(&fs_err::read_to_string(&ledger)?)?;
    Ok(manifest)
}

/// Returns the runs of an archive, held against its manifest; one of the first form has none.
fn read_runs(
    path: &Path,
    manifest: &ArchiveManifest,
    bytes: Option<&[u8]>,
) -> Result<Vec<RunRow>, RegistryError> {
    let (named, bytes) = match (&manifest.runs, bytes) {
        (Some(named), Some(bytes)) => (named, bytes),
        (None, None) if manifest.schema_version == 1 => return Ok(Vec::new()),
        (Some(_), None) => return Err(wrong(path, format!("it has no `{RUNS}`, which its manifest names"))),
        (None, _) => return Err(wrong(path, format!("its manifest names no `{RUNS}`"))),
    };
    if Digest::of(bytes) != named.digest {
        return Err(wrong(path, format!("`{RUNS}` was changed: its content has another digest")));
    }
    let line = |(at, line): (usize, &[u8])| {
        serde_json::from_slice::<RunRow>(line)
            .map_err(|error| wrong(path, format!("`{RUNS}`, line {}: {error}", at + 1)))
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let runs = lines.enumerate().map(line).collect::<Result<Vec<_>, _>>()?;
    if runs.len() as u64 != named.count {
        let what = format!("`{RUNS}` has {} runs, its manifest names {}", runs.len(), named.count);
        return Err(wrong(path, what));
    }
    Ok(runs)
}

fn read_manifest(path: &Path, bytes: &[u8]) -> Result<ArchiveManifest, RegistryError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u64,
        tool_version: Option<String>,
    }
    let unreadable = |error: serde_json::Error| wrong(path, format!("`{MANIFEST}`: {error}"));
    let version: Version = serde_json::from_slice(bytes).map_err(unreadable)?;
    if version.schema_version > ARCHIVE_VERSION {
        return Err(RegistryError::Newer {
            what: path.display().to_string(),
            found: version.schema_version,
            reads: ARCHIVE_VERSION,
            needs: version.tool_version.filter(|text| is_version(text)),
        });
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

/// Holds for what can be printed as a version.
fn is_version(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '+');
    (1..=40).contains(&text.len()) && text.chars().all(plain)
}

/// Checks that every object of every version is there, but for those whose artefacts were removed, and those that the
/// archive says it lacks.
fn needed(
    ledger: &Path,
    present: &BTreeMap<Digest, u64>,
    left_out: &BTreeSet<Digest>,
    path: &Path,
) -> Result<(), RegistryError> {
    let mut state = RegistryState::default();
    let mut registrations = Vec::new();
    let size = fs_err::metadata(ledger)?.len();
    let read = for_each_entry(ledger, 0, size, None, |entry, _| {
        state.apply(&entry)?;
        if let LedgerEvent::Registered { model, version, registration } = entry.event {
            registrations.push((model, version, registration));
        }
        Ok(())
    });
    read.map_err(|error: ReadError| wrong(path, error.to_string()))?;
    for (model, version, registration) in registrations {
        let found = state.models.get(&model).and_then(|state| state.versions.get(&version));
        let Some(found) = found.filter(|found| found.stage != Stage::Removed) else { continue };
        let own = registration
            .files
            .iter()
            .chain(&registration.checks)
            .map(|(name, digest)| (name.as_str(), digest));
        let mut all = own.chain(found.signature.as_ref().map(|digest| ("model.sig", digest)));
        if let Some((name, digest)) =
            all.find(|(_, digest)| !present.contains_key(digest) && !left_out.contains(digest))
        {
            return Err(wrong(path, format!("`{name}` of {model} {version}, {digest}, is not in it")));
        }
    }
    Ok(())
}
