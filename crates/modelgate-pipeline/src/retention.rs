//! What may go: artefacts of versions that nothing needs any more, and objects that nothing names.
//!
//! Without `retention.keep` nothing goes. A version keeps its artefacts while it is in production or staging, it is the
//! canary of a rollout, an alias points at it, it is one of the versions to go back to, it waits for a person, or its
//! last event is younger than the time. A candidate waits that passed its gate and is the newest of its model, or that the
//! last run of a pipeline came to. An object of the
//! project stays while it is younger than the time, or a version that stays, the record of a stage, a pointer file or
//! the list of such a data set names it. Reports name packages too, and keep nothing: they hold what they show.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use modelgate_config::duration_seconds;
use modelgate_core::lifecycle::{Event, Stage as Lifecycle};
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_data::snapshot::SnapshotFile;
use modelgate_registry::Registry;
use modelgate_store::{ContentStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::datasets::POINTER;
use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::project::Project;

/// How many former productions stay ready to be gone back to.
const ROLLBACK_TARGETS: u32 = 2;
/// A record or a pointer file above this size is none, and nobody can tell what it names.
const MAX_NAMING: u64 = 64 << 20;

/// A version whose artefacts would go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Leaving {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Where it stands.
    pub stage: Lifecycle,
    /// When something last happened to it, RFC 3339 in UTC.
    pub last_event: String,
}

/// What a collection would remove.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Plan {
    /// The versions.
    pub versions: Vec<Leaving>,
    /// The objects with their sizes in bytes.
    pub objects: Vec<(Digest, u64)>,
    /// Objects of the project's own store, where the registry has another home.
    pub local: Vec<(Digest, u64)>,
}

impl Plan {
    /// Returns how many bytes it frees.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().chain(&self.local).map(|(_, bytes)| bytes).sum()
    }

    /// Returns how many objects it removes.
    pub fn count(&self) -> usize {
        self.objects.len() + self.local.len()
    }
}

/// Returns what may go now; nothing without `retention.keep`.
///
/// # Errors
/// Fails when the registry or the project cannot be read.
pub fn plan(project: &Project, registry: &Registry, now: &str) -> Result<Plan, PipelineError> {
    let Some(keep) = &project.config.retention.keep else { return Ok(Plan::default()) };
    let seconds = duration_seconds(keep).map_err(PipelineError::Policy)?;
    let now: jiff::Timestamp =
        now.parse().map_err(|_| PipelineError::Policy(format!("`{now}` is not a time")))?;
    let limit = now.as_second() - seconds as i64;
    let mut last: BTreeMap<(ModelName, VersionNumber), String> = BTreeMap::new();
    registry.for_each_entry(|entry| {
        for version in entry.event.touches() {
            last.insert((entry.event.model().clone(), version), entry.time.clone());
        }
        Ok(())
    })?;
    let mut plan = Plan::default();
    let mut kept: BTreeSet<Digest> = BTreeSet::new();
    let mut datasets: BTreeSet<Digest> = BTreeSet::new();
    let mut leaving: BTreeSet<Digest> = BTreeSet::new();
    let last_runs = named_by_last_runs(project)?;
    let targets = project.config.retention.rollback_targets.unwrap_or(ROLLBACK_TARGETS) as usize;
    for (model, state) in &registry.state().models {
        let ready: BTreeSet<VersionNumber> = crate::rollback::targets(registry, model, targets)?
            .into_iter()
            .map(|target| target.version)
            .collect();
        let aliased: BTreeSet<VersionNumber> = state.aliases.values().copied().collect();
        let mut still_there =
            state.versions.iter().rev().filter(|(_, found)| found.stage != Lifecycle::Removed);
        let newest = still_there.next().map(|(version, _)| *version);
        let canary = state.active_rollout().map(|rollout| rollout.canary);
        for (version, found) in &state.versions {
            let registration = registry.registration(model, *version)?;
            let own: Vec<Digest> = registration
                .files
                .values()
                .chain(registration.checks.values())
                .chain(&found.signature)
                .copied()
                .collect();
            if found.stage == Lifecycle::Removed {
                // A collection that was killed behind its events left them: this one goes on.
                leaving.extend(own);
                continue;
            }
            let last_event = last.get(&(model.clone(), *version)).cloned().unwrap_or_default();
            let old = last_event.parse::<jiff::Timestamp>().is_ok_and(|time| time.as_second() < limit);
            let may_go = matches!(
                found.stage,
                Lifecycle::Archived | Lifecycle::Rejected | Lifecycle::Quarantined | Lifecycle::Candidate
            );
            let pending = state.pending.as_ref().is_some_and(|pending| pending.version == *version);
            let answers = canary == Some(*version);
            let is_named = last_runs.contains(&(model.clone(), *version));
            let waits = match found.stage {
                Lifecycle::Candidate => {
                    is_named || (newest == Some(*version) && found.verdict == Verdict::Passed)
                }
                // Without it the next run would ask again for what a person has said no to.
                Lifecycle::Rejected => is_named,
                _ => false,
            };
            let is_used = pending || answers || waits || ready.contains(version) || aliased.contains(version);
            if old && may_go && !is_used {
                let (model, version, stage) = (model.clone(), *version, found.stage);
                plan.versions.push(Leaving { model, version, stage, last_event });
                leaving.extend(own);
            } else {
                kept.extend(own);
                datasets.insert(registration.lineage.dataset);
            }
        }
    }
    named_in_project(project, &mut datasets)?;
    let store = ContentStore::new(&project.state_folder());
    kept.extend(with_their_files(&store, datasets)?);
    let is_old = |touched: i64| touched < limit;
    let objects = registry.objects()?;
    // In a home that others share, an object without a name may be one that is about to get it.
    let shared = project.config.registry.uri.is_some();
    plan.objects =
        objects
            .iter()
            .filter(|object| !kept.contains(&object.digest))
            .filter(|object| {
                if shared { leaving.contains(&object.digest) } else { object.touched.is_some_and(is_old) }
            })
            .map(|object| (object.digest, object.bytes))
            .collect();
    if shared {
        let own = store.list()?.into_iter();
        plan.local = own
            .filter(|object| !kept.contains(&object.digest) && is_old(object.touched))
            .map(|object| (object.digest, object.bytes))
            .collect();
    }
    Ok(plan)
}

/// Removes what `plan` names: first the ledger says so, of all versions or of none, then the objects go.
///
/// # Errors
/// Fails when the registry cannot be written; a later collection goes on.
pub fn collect(
    project: &Project,
    registry: &mut Registry,
    plan: &Plan,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    let mut events: BTreeMap<ModelName, Vec<(VersionNumber, Event)>> = BTreeMap::new();
    for one in &plan.versions {
        let reason = format!("retention: its last event was {}", one.last_event);
        events.entry(one.model.clone()).or_default().push((one.version, Event::RemoveArtefacts { reason }));
    }
    registry.apply_across(&events, &(surroundings.now)(), &surroundings.actor)?;
    let digests: Vec<Digest> = plan.objects.iter().map(|(digest, _)| *digest).collect();
    registry.remove_objects(&digests)?;
    let store = ContentStore::new(&project.state_folder());
    Ok(plan.local.iter().try_for_each(|(digest, _)| store.remove(digest))?)
}

/// What the report of a run says of the version that it came to.
#[derive(Deserialize)]
struct CameTo {
    model: ModelName,
    version: Option<VersionNumber>,
}

/// Returns the versions that the last runs came to.
fn named_by_last_runs(project: &Project) -> Result<BTreeSet<(ModelName, VersionNumber)>, PipelineError> {
    let mut named = BTreeSet::new();
    for folder in folders(&project.root.join("outputs"))? {
        let path = folder.join("run_report.json");
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let report: CameTo = serde_json::from_slice(&text).map_err(|error| {
            PipelineError::Policy(format!(
                "`{}` cannot be read ({error}): nothing is collected while it may name a version; remove it, or run again",
                path.display()
            ))
        })?;
        named.extend(report.version.map(|version| (report.model, version)));
    }
    Ok(named)
}

/// Adds every digest that stands in the record of a stage or a pointer file of the project.
fn named_in_project(project: &Project, named: &mut BTreeSet<Digest>) -> Result<(), PipelineError> {
    for folder in folders(&project.state_folder().join("cache"))? {
        named_in(&folder, "json", named)?;
    }
    let mut waiting = vec![project.root.clone()];
    while let Some(folder) = waiting.pop() {
        named_in(&folder, POINTER, named)?;
        let below = folders(&folder)?.into_iter().filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            !name.starts_with('.') && name != "target" && name != "node_modules"
        });
        waiting.extend(below);
    }
    Ok(())
}

/// Returns what is in a folder; nothing where there is none. What cannot be read is an error: it may name what would go.
fn entries(of: &Path) -> Result<Vec<fs_err::DirEntry>, PipelineError> {
    match fs_err::read_dir(of) {
        Ok(listing) => Ok(listing.collect::<Result<_, _>>()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn folders(of: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let mut found = Vec::new();
    for entry in entries(of)? {
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Adds every digest that stands in the files of `folder` with this ending.
fn named_in(folder: &Path, ending: &str, named: &mut BTreeSet<Digest>) -> Result<(), PipelineError> {
    for entry in entries(folder)? {
        let path = entry.path();
        if path.extension().is_none_or(|found| found != ending) {
            continue;
        }
        // Links are followed, as whoever reads a pointer file does.
        let metadata = match fs_err::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > MAX_NAMING {
            return Err(PipelineError::Policy(format!(
                "`{}` has {} bytes, too many for what names objects: nothing is collected while it is there",
                path.display(),
                metadata.len()
            )));
        }
        digests_in(&fs_err::read(&path)?, named);
    }
    Ok(())
}

/// Returns `named` and, where one is the list of a data set, its files.
fn with_their_files(
    store: &ContentStore,
    named: BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>, PipelineError> {
    let mut kept = named.clone();
    for digest in named {
        if !begins_as_list(store, &digest)? {
            continue;
        }
        let content = match store.get(&digest) {
            Ok(content) => content,
            // A damaged object is another command's to tell of.
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if let Ok(files) = serde_json::from_slice::<Vec<SnapshotFile>>(&content) {
            kept.extend(files.into_iter().map(|file| file.digest));
        }
    }
    Ok(kept)
}

/// Returns whether an object may be the list of a data set, of whatever size: the data themselves are not read.
fn begins_as_list(store: &ContentStore, digest: &Digest) -> Result<bool, PipelineError> {
    let mut first = [0];
    match fs_err::File::open(store.path(digest)) {
        Ok(mut file) => Ok(file.read(&mut first)? == 1 && first == *b"["),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Adds every run of exactly 64 hexadecimal digits, with or without `sha256:` before it.
fn digests_in(bytes: &[u8], found: &mut BTreeSet<Digest>) {
    for run in bytes.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        if run.len() == 64
            && let Ok(text) = std::str::from_utf8(run)
            && let Ok(digest) = format!("sha256:{text}").parse()
        {
            found.insert(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_any_text() {
        let digest = Digest::of(b"x");
        let mut found = BTreeSet::new();
        digests_in(
            format!("{{\"a\":\"{digest}\",\"b\":\"{}\"}}", Digest::of(b"y").hex()).as_bytes(),
            &mut found,
        );
        assert_eq!(found, BTreeSet::from([digest, Digest::of(b"y")]));
        let mut none = BTreeSet::new();
        digests_in(format!("{}0", digest.hex()).as_bytes(), &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_looked_into_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let named = |folder: &Path| {
            let mut found = BTreeSet::new();
            named_in(folder, POINTER, &mut found).map(|()| found)
        };
        assert!(named(&path("none")).expect("nothing is there").is_empty());
        assert!(folders(&path("none")).expect("nothing is there").is_empty());
        // Rights do not bind who runs as root: a file where a folder is expected does.
        fs_err::write(path("file"), "").expect("written");
        for error in
            [named(&path("file")).expect_err("no folder"), folders(&path("file")).expect_err("no folder")]
        {
            assert!(error.to_string().contains("file"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pointer_file_is_found_through_a_link_and_one_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let named = || {
            let mut found = BTreeSet::new();
            named_in(folder.path(), POINTER, &mut found).map(|()| found)
        };
        let digest = Digest::of(b"x");
        fs_err::write(path("elsewhere"), format!("digest: {digest}\n")).expect("written");
        let link = |to: &str, name: &str| fs_err::os::unix::fs::symlink(to, path(name)).expect("linked");
        link("elsewhere", "set.modelgate");
        link("nowhere", "gone.modelgate");
        assert_eq!(named().expect("read"), BTreeSet::from([digest]));
        link("loop.modelgate", "loop.modelgate");
        let error = named().expect_err("it leads to itself").to_string();
        assert!(error.contains("loop.modelgate"), "{error}");
    }

    #[test]
    fn a_pointer_file_that_is_too_long_is_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("set.modelgate");
        fs_err::File::create(&path).expect("made").set_len(MAX_NAMING + 1).expect("a file with a hole");
        let error = named_in(folder.path(), POINTER, &mut BTreeSet::new()).expect_err("too long").to_string();
        assert!(error.contains("set.modelgate` has 67108865 bytes"), "{error}");
    }

    #[test]
    fn the_files_of_a_list_are_kept_however_long_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ContentStore::new(folder.path());
        let part = Digest::of(b"part");
        // JSON may have as much room as it likes behind its first letter.
        let room = " ".repeat(64 << 20);
        let list = format!("[{room}{{\"digest\":\"{part}\",\"name\":\"part.csv\",\"size\":4}}]");
        let list = store.put(list.as_bytes()).expect("put");
        let data = store.put(b"[not,a list]\n").expect("put");
        let named = BTreeSet::from([list, data, Digest::of(b"not here")]);
        let kept = with_their_files(&store, named.clone()).expect("read");
        assert!(kept.contains(&part) && kept.is_superset(&named));
        // An object that cannot be read may be a list.
        let other = Digest::of(b"a folder in its place");
        fs_err::create_dir_all(store.path(&other)).expect("made");
        let error = with_their_files(&store, BTreeSet::from([other])).expect_err("no file").to_string();
        assert!(error.contains(&other.hex()[2..]), "{error}");
    }
}
