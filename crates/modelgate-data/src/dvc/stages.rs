//! The stages of `dvc.yaml`, and which of them would run again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use modelgate_store::DigestIndex;
use serde::Serialize;

use super::declared::{Declared, Known, Pipeline};
use super::folder::folder_md5;
use super::output::{Entry, Lock, LockedStage, lexical, read_lock};
use super::repository::{DvcRepository, dvc_files};
use super::yaml::{self, Yaml};
use crate::snapshot::SnapshotError;

/// A stage of DVC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DvcStage {
    /// Its name, `folder/dvc.yaml:name` when it is not of the repository's own `dvc.yaml`.
    pub name: String,
    /// What it runs.
    pub command: String,
    /// What it reads, relative to the repository.
    pub dependencies: Vec<String>,
    /// What it writes, relative to the repository.
    pub outputs: Vec<String>,
    /// The stages that write what it reads.
    pub after: Vec<String>,
    /// Why it would run again; empty when it would not.
    pub stale: Vec<String>,
    /// What it reads and writes that is in DVC's cache and not in the working copy, relative to the repository.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// Returns the stages of all `dvc.yaml` files of the repository, those that are read from before those that read.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub fn stages(repository: &DvcRepository, index: &DigestIndex) -> Result<Vec<DvcStage>, SnapshotError> {
    let mut found = Vec::new();
    for file in dvc_files(&repository.root)? {
        if file.file_name().is_some_and(|name| name == "dvc.yaml") {
            of_file(repository, &file, index, &mut found)?;
        }
    }
    let writers: BTreeMap<String, String> = found
        .iter()
        .flat_map(|stage| stage.outputs.iter().map(|output| (output.clone(), stage.name.clone())))
        .collect();
    for stage in &mut found {
        let reads = |dependency: &String| {
            let below = |(output, _): &(&String, &String)| {
                Path::new(dependency).starts_with(output) || Path::new(output).starts_with(dependency)
            };
            writers.iter().filter(below).map(|(_, name)| name.clone()).collect::<Vec<_>>()
        };
        let after: BTreeSet<String> = stage.dependencies.iter().flat_map(reads).collect();
        stage.after = after.into_iter().filter(|name| *name != stage.name).collect();
    }
    Ok(ordered(found))
}

/// Orders the stages by who reads from whom, and says of each that follows a stale one that it is.
fn ordered(mut left: Vec<DvcStage>) -> Vec<DvcStage> {
    left.sort_by(|one, other| one.name.cmp(&other.name));
    let mut done: Vec<DvcStage> = Vec::new();
    while !left.is_empty() {
        let ready =
            |stage: &DvcStage| stage.after.iter().all(|name| !left.iter().any(|other| other.name == *name));
        // DVC refuses a circle; here its stages are shown all the same.
        let position = left.iter().position(ready).unwrap_or(0);
        let mut stage = left.remove(position);
        for name in &stage.after {
            if done.iter().any(|before| before.name == *name && !before.stale.is_empty()) {
                stage.stale.push(format!("`{name}` runs before it"));
            }
        }
        done.push(stage);
    }
    done
}

/// Returns the paths of a list whose entries are paths or paths with settings.
fn paths(stage: &Yaml, keys: &[&str]) -> Vec<String> {
    let lists = keys.iter().filter_map(|key| stage.get(key));
    let entries = lists.flat_map(|list| list.as_list().unwrap_or(std::slice::from_ref(list)));
    entries
        .flat_map(|entry| match entry {
            Yaml::Text(path) => vec![path.clone()],
            Yaml::Map(map) => map.iter().map(|(path, _)| path.to_owned()).collect(),
            _ => Vec::new(),
        })
        .collect()
}

/// Adds the stages of one `dvc.yaml`.
fn of_file(
    repository: &DvcRepository,
    file: &Path,
    index: &DigestIndex,
    found: &mut Vec<DvcStage>,
) -> Result<(), SnapshotError> {
    let pipeline = Pipeline::read(file)?;
    let lock = read_lock(&file.with_file_name("dvc.lock"))?;
    let scene = Scene { repository, pipeline: &pipeline, index };
    for declared in pipeline.stages() {
        if declared.known == Known::NoItems {
            scene.of_unknown_items(&declared, &lock, found)?;
        } else {
            found.push(scene.one(&declared, &lock)?);
        }
    }
    Ok(())
}

/// What is said of a stage of which not all can be told.
const UNKNOWN: &str = "it refers to values that are not found here: ask `dvc status`";

/// Where the stages of a `dvc.yaml` are.
struct Scene<'a> {
    repository: &'a DvcRepository,
    pipeline: &'a Pipeline,
    index: &'a DigestIndex,
}

impl Scene<'_> {
    /// Returns one stage and what changed since it ran.
    fn one(&self, declared: &Declared, lock: &Lock) -> Result<DvcStage, SnapshotError> {
        let (name, stage) = (&declared.name, &declared.settings);
        let folder = self.pipeline.folder_of(stage);
        let locked = lock.stages.get(name);
        let mut shown = self.stage(name, stage, &folder);
        shown.stale = match locked {
            _ if stage.get("frozen") == Some(&Yaml::Bool(true)) => Vec::new(),
            _ if stage.get("always_changed") == Some(&Yaml::Bool(true))
                || reads_and_writes_nothing(stage) =>
            {
                vec!["it always runs".to_owned()]
            }
            None => vec!["it has not run yet".to_owned()],
            Some(locked) if declared.known == Known::All => self.changes(Some(stage), &folder, locked)?,
            // What it was by the lock is compared all the same.
            Some(locked) => {
                let mut found = self.changes(None, &folder, locked)?;
                found.push(UNKNOWN.to_owned());
                found
            }
        };
        shown.absent = locked.map_or_else(Vec::new, |locked| self.absent(&folder, locked));
        Ok(shown)
    }

    /// Adds the stages of items that cannot be told: those that ran.
    fn of_unknown_items(
        &self,
        declared: &Declared,
        lock: &Lock,
        found: &mut Vec<DvcStage>,
    ) -> Result<(), SnapshotError> {
        let folder = self.pipeline.folder_of(&declared.settings);
        let prefix = format!("{}@", declared.name);
        let ran: Vec<_> = lock.stages.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        if ran.is_empty() {
            let mut stage = self.stage(&declared.name, &declared.settings, &folder);
            stage.stale = vec!["it has not run yet".to_owned()];
            found.push(stage);
        }
        for (name, locked) in ran {
            let mut stage = self.locked_stage(name, &folder, locked);
            stage.stale = self.changes(None, &folder, locked)?;
            stage.stale.push(UNKNOWN.to_owned());
            stage.absent = self.absent(&folder, locked);
            found.push(stage);
        }
        Ok(())
    }

    fn shown(&self, folder: &Path, path: &str) -> String {
        self.repository.shown(&lexical(&folder.join(path)))
    }

    fn stage(&self, name: &str, stage: &Yaml, folder: &Path) -> DvcStage {
        let command = stage.get("cmd").map(text).unwrap_or_default();
        let written = paths(stage, &["outs", "metrics", "plots"]);
        self.described(name, command, paths(stage, &["deps"]), written, folder)
    }

    /// Returns a stage as its lock tells of it.
    fn locked_stage(&self, name: &str, folder: &Path, locked: &LockedStage) -> DvcStage {
        let of = |entries: &[Entry]| entries.iter().map(|entry| entry.path.clone()).collect();
        self.described(name, text(&locked.cmd), of(&locked.deps), of(&locked.outs), folder)
    }

    fn described(
        &self,
        name: &str,
        command: String,
        read: Vec<String>,
        written: Vec<String>,
        folder: &Path,
    ) -> DvcStage {
        let all = |paths: Vec<String>| paths.iter().map(|path| self.shown(folder, path)).collect();
        let relative = self.repository.shown(&self.pipeline.folder.join("dvc.yaml"));
        let name = if relative == "dvc.yaml" { name.to_owned() } else { format!("{relative}:{name}") };
        DvcStage {
            name,
            command,
            dependencies: all(read),
            outputs: all(written),
            after: Vec::new(),
            stale: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Returns how things differ from when the stage last ran; `stage` is `None` when only the lock tells of it.
    fn changes(
        &self,
        stage: Option<&Yaml>,
        folder: &Path,
        locked: &LockedStage,
    ) -> Result<Vec<String>, SnapshotError> {
        let mut found = Vec::new();
        if let Some(stage) = stage {
            let command = stage.get("cmd").map(text).unwrap_or_default();
            if command != text(&locked.cmd) {
                found.push("its command changed".to_owned());
            }
            for (kind, key, entries) in [
                ("dependency", &["deps"][..], &locked.deps),
                ("output", &["outs", "metrics", "plots"][..], &locked.outs),
            ] {
                let declared: BTreeSet<String> = paths(stage, key).into_iter().collect();
                let known: BTreeSet<String> = entries.iter().map(|entry| entry.path.clone()).collect();
                found.extend(declared.difference(&known).map(|path| format!("its {kind} `{path}` is new")));
                found.extend(known.difference(&declared).map(|path| format!("its {kind} `{path}` is gone")));
            }
            Self::parameters(stage, folder, locked, &mut found)?;
        } else {
            let files =
                locked.params.iter().map(|(file, keys)| (file.clone(), keys.keys().cloned().collect()));
            Self::compare_parameters(files.collect(), folder, locked, &mut found)?;
        }
        for (kind, entries) in [("dependency", &locked.deps), ("output", &locked.outs)] {
            for entry in entries {
                if let Some(change) = self.change(folder, entry)? {
                    found.push(format!("its {kind} `{}` {change}", entry.path));
                }
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Returns what the stage reads and writes that is in the cache alone.
    fn absent(&self, folder: &Path, locked: &LockedStage) -> Vec<String> {
        let entries = locked.deps.iter().chain(&locked.outs);
        let is_absent = |entry: &&Entry| {
            let cached = || entry.parsed_hash().is_some_and(|hash| self.repository.cached(&hash).is_some());
            !folder.join(&entry.path).exists() && cached()
        };
        entries.filter(is_absent).map(|entry| self.shown(folder, &entry.path)).collect()
    }

    /// Returns how a file or folder differs from what the lock says.
    fn change(&self, folder: &Path, entry: &Entry) -> Result<Option<&'static str>, SnapshotError> {
        let path = folder.join(&entry.path);
        let Some(hash) = entry.parsed_hash() else { return Ok(None) };
        if !path.exists() {
            // DVC takes an output from its cache rather than making it again.
            let cached = self.repository.cached(&hash).is_some();
            return Ok((!cached).then_some("is missing"));
        }
        let same = match (path.is_dir(), hash.is_folder) {
            (true, true) => folder_md5(&path, self.index)? == hash.md5,
            (false, false) => DvcRepository::is_content(&path, &hash, self.index)?,
            _ => false,
        };
        Ok((!same).then_some("changed"))
    }

    fn parameters(
        stage: &Yaml,
        folder: &Path,
        locked: &LockedStage,
        found: &mut Vec<String>,
    ) -> Result<(), SnapshotError> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in stage.get("params").and_then(Yaml::as_list).unwrap_or_default() {
            match entry {
                Yaml::Text(key) => wanted.entry("params.yaml".to_owned()).or_default().push(key.clone()),
                Yaml::Map(files) => {
                    for (file, keys) in files.iter() {
                        let keys = keys.as_list().unwrap_or_default().iter().filter_map(Yaml::as_str);
                        wanted.entry(file.to_owned()).or_default().extend(keys.map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        // A file without keys stands for all that is in it: the lock knows the keys.
        for (file, keys) in &mut wanted {
            if keys.is_empty() {
                keys.extend(locked.params.get(file).into_iter().flatten().map(|(key, _)| key.clone()));
            }
        }
        Self::compare_parameters(wanted, folder, locked, found)
    }

    fn compare_parameters(
        wanted: BTreeMap<String, Vec<String>>,
        folder: &Path,
        locked: &LockedStage,
        found: &mut Vec<String>,
    ) -> Result<(), SnapshotError> {
        for (file, keys) in wanted {
            let path = folder.join(&file);
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if !matches!(ending, "yaml" | "yml" | "json") {
                continue;
            }
            if !path.exists() {
                found.push(format!("its parameters `{file}` are missing"));
                continue;
            }
            let values = yaml::read(&path)?;
            for key in keys {
                let now = values.at(&key);
                let before = locked.params.get(&file).and_then(|params| params.get(&key));
                match (before, now) {
                    (Some(before), Some(now)) if before.is_same(now) => {}
                    (None, None) => {}
                    (Some(before), Some(now)) => {
                        found.push(format!("its parameter `{key}` was {before} and is {now}"));
                    }
                    (None, Some(_)) => found.push(format!("its parameter `{key}` is new")),
                    (Some(_), None) => found.push(format!("its parameter `{key}` is gone")),
                }
            }
        }
        Ok(())
    }
}

/// Returns whether DVC has nothing to tell by whether a stage would run again (`is_callback` of its `dvc/stage/__init__.py`).
fn reads_and_writes_nothing(stage: &Yaml) -> bool {
    paths(stage, &["deps", "outs", "metrics", "plots", "params"]).is_empty()
}

/// Returns a command's text: one line, or several.
fn text(command: &Yaml) -> String {
    match command {
        Yaml::Text(text) => text.trim().to_owned(),
        Yaml::List(lines) => lines.iter().filter_map(Yaml::as_str).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}
