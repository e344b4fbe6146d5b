//! The stages of `dvc.yaml`, and which of them would run again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use modelgate_store::DigestIndex;
use serde::Serialize;
use serde_json::Value;

use super::folder::folder_md5;
use super::output::{Entry, Lock, LockedStage, lexical, read_lock, read_yaml};
use super::repository::{DvcRepository, dvc_files};
use super::templates::Context;
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

/// Returns the outputs of `dvc.yaml` that git keeps: those with `cache: false`.
pub(crate) fn kept_by_git(file: &Path) -> Result<Vec<String>, SnapshotError> {
    let yaml: Value = read_yaml(file)?;
    let stages = yaml.get("stages").and_then(Value::as_object);
    let lists = stages.into_iter().flat_map(|stages| stages.values()).flat_map(|stage| {
        let stage = stage.get("do").unwrap_or(stage);
        ["outs", "metrics", "plots"].into_iter().filter_map(|key| stage.get(key)?.as_array())
    });
    let entries = lists.flatten().filter_map(Value::as_object).flatten();
    let kept = entries.filter(|(_, settings)| settings.get("cache") == Some(&Value::Bool(false)));
    Ok(kept.map(|(path, _)| path.clone()).collect())
}

/// Returns the paths of a list whose entries are paths or paths with settings.
fn paths(stage: &Value, keys: &[&str]) -> Vec<String> {
    let lists = keys.iter().filter_map(|key| stage.get(key));
    let entries = lists.flat_map(|list| match list {
        Value::Array(entries) => entries.clone(),
        other => vec![other.clone()],
    });
    entries
        .flat_map(|entry| match entry {
            Value::String(path) => vec![path],
            Value::Object(map) => map.keys().cloned().collect(),
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
    let error = |message: &str| SnapshotError::Dvc { path: file.to_owned(), message: message.to_owned() };
    let yaml: Value = read_yaml(file)?;
    let Some(stages) = yaml.get("stages") else { return Ok(()) };
    let Some(stages) = stages.as_object() else { return Err(error("`stages` is no mapping")) };
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let lock = read_lock(&folder.join("dvc.lock"))?;
    let scene = Scene { repository, folder, index };
    let known = Context::of_file(&scene.folder, &yaml)?;
    for (name, stage) in stages {
        let many = ["foreach", "matrix"].iter().any(|key| stage.get(key).is_some());
        match known.items(stage) {
            // One stage for each item.
            Some(items) => {
                let each = stage.get("do").unwrap_or(stage);
                for (item, known) in items {
                    found.push(scene.one(&format!("{name}@{item}"), each, &known, &lock)?);
                }
            }
            None if many => scene.of_unknown_items(name, stage, &lock, found)?,
            None => found.push(scene.one(name, stage, &known, &lock)?),
        }
    }
    Ok(())
}

/// What of a stage tells whether it would run again.
const TOLD: [&str; 9] =
    ["cmd", "wdir", "deps", "outs", "metrics", "plots", "params", "frozen", "always_changed"];

/// What is said of a stage of which not all can be told.
const UNKNOWN: &str = "it refers to values that are not found here: ask `dvc status`";

/// Where a `dvc.yaml` is and what is known of its stages.
struct Scene<'a> {
    repository: &'a DvcRepository,
    folder: PathBuf,
    index: &'a DigestIndex,
}

impl Scene<'_> {
    /// Returns one stage and what changed since it ran.
    fn one(
        &self,
        name: &str,
        stage: &Value,
        known: &Context,
        lock: &Lock,
    ) -> Result<DvcStage, SnapshotError> {
        let known = known.clone().with_vars(&self.folder, stage)?;
        // References elsewhere, such as in `matrix` itself, are no matter of what it does.
        let mut own = stage.clone();
        if let Some(settings) = own.as_object_mut() {
            settings.retain(|key, _| TOLD.contains(&key.as_str()));
        }
        let (stage, complete) = known.resolved(&own);
        let locked = lock.stages.get(name);
        let mut shown = self.stage(name, &stage, locked);
        shown.stale = match locked {
            _ if stage.get("frozen") == Some(&Value::Bool(true)) => Vec::new(),
            _ if stage.get("always_changed") == Some(&Value::Bool(true))
                || reads_and_writes_nothing(&stage) =>
            {
                vec!["it always runs".to_owned()]
            }
            None => vec!["it has not run yet".to_owned()],
            Some(locked) if complete => self.changes(Some(&stage), locked)?,
            // What it was by the lock is compared all the same.
            Some(locked) => {
                let mut found = self.changes(None, locked)?;
                found.push(UNKNOWN.to_owned());
                found
            }
        };
        shown.absent = locked.map_or_else(Vec::new, |locked| self.absent(&stage, locked));
        Ok(shown)
    }

    /// Adds the stages of items that cannot be told: those that ran.
    fn of_unknown_items(
        &self,
        name: &str,
        stage: &Value,
        lock: &Lock,
        found: &mut Vec<DvcStage>,
    ) -> Result<(), SnapshotError> {
        let prefix = format!("{name}@");
        let ran: Vec<_> = lock.stages.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        if ran.is_empty() {
            let mut stage = self.stage(name, stage, None);
            stage.stale = vec!["it has not run yet".to_owned()];
            found.push(stage);
        }
        for (name, locked) in ran {
            let mut stage = self.stage(name, &Value::Null, Some(locked));
            stage.stale = self.changes(None, locked)?;
            stage.stale.push(UNKNOWN.to_owned());
            stage.absent = self.absent(&Value::Null, locked);
            found.push(stage);
        }
        Ok(())
    }

    /// Returns the folder that the paths of a stage are relative to.
    fn working_folder(&self, stage: &Value) -> PathBuf {
        self.folder.join(stage.get("wdir").and_then(Value::as_str).unwrap_or(""))
    }

    fn shown(&self, folder: &Path, path: &str) -> String {
        self.repository.shown(&lexical(&folder.join(path)))
    }

    fn stage(&self, name: &str, stage: &Value, locked: Option<&LockedStage>) -> DvcStage {
        let folder = self.working_folder(stage);
        let only_locked = locked.filter(|_| stage.is_null());
        let (dependencies, outputs, command) = if let Some(locked) = only_locked {
            let of = |entries: &[Entry]| entries.iter().map(|entry| entry.path.clone()).collect();
            (of(&locked.deps), of(&locked.outs), text(&locked.cmd))
        } else {
            let inner = stage.get("do").unwrap_or(stage);
            let command = inner.get("cmd").map(text).unwrap_or_default();
            (paths(inner, &["deps"]), paths(inner, &["outs", "metrics", "plots"]), command)
        };
        let all = |paths: Vec<String>| paths.iter().map(|path| self.shown(&folder, path)).collect();
        let relative = self.repository.shown(&self.folder.join("dvc.yaml"));
        let name = if relative == "dvc.yaml" { name.to_owned() } else { format!("{relative}:{name}") };
        let (dependencies, outputs) = (all(dependencies), all(outputs));
        DvcStage {
            name,
            command,
            dependencies,
            outputs,
            after: Vec::new(),
            stale: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Returns how things differ from when the stage last ran; `stage` is `None` when only the lock tells of it.
    fn changes(&self, stage: Option<&Value>, locked: &LockedStage) -> Result<Vec<String>, SnapshotError> {
        let mut found = Vec::new();
        let folder = self.working_folder(stage.unwrap_or(&Value::Null));
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
            self.parameters(stage, &folder, locked, &mut found)?;
        } else {
            let files =
                locked.params.iter().map(|(file, keys)| (file.clone(), keys.keys().cloned().collect()));
            Self::compare_parameters(files.collect(), &folder, locked, &mut found)?;
        }
        for (kind, entries) in [("dependency", &locked.deps), ("output", &locked.outs)] {
            for entry in entries {
                if let Some(change) = self.change(&folder, entry)? {
                    found.push(format!("its {kind} `{}` {change}", entry.path));
                }
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Returns what the stage reads and writes that is in the cache alone.
    fn absent(&self, stage: &Value, locked: &LockedStage) -> Vec<String> {
        let folder = self.working_folder(stage);
        let entries = locked.deps.iter().chain(&locked.outs);
        let is_absent = |entry: &&Entry| {
            let cached = || entry.parsed_hash().is_some_and(|hash| self.repository.cached(&hash).is_some());
            !folder.join(&entry.path).exists() && cached()
        };
        entries.filter(is_absent).map(|entry| self.shown(&folder, &entry.path)).collect()
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
        &self,
        stage: &Value,
        folder: &Path,
        locked: &LockedStage,
        found: &mut Vec<String>,
    ) -> Result<(), SnapshotError> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in stage.get("params").and_then(Value::as_array).into_iter().flatten() {
            match entry {
                Value::String(key) => wanted.entry("params.yaml".to_owned()).or_default().push(key.clone()),
                Value::Object(files) => {
                    for (file, keys) in files {
                        let keys = keys.as_array().into_iter().flatten().filter_map(Value::as_str);
                        wanted.entry(file.clone()).or_default().extend(keys.map(str::to_owned));
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
            let values: Value = read_yaml(&path)?;
            for key in keys {
                let now = lookup(&values, &key);
                let before = locked.params.get(&file).and_then(|params| params.get(&key));
                match (before, now) {
                    (Some(before), Some(now)) if same(before, now) => {}
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
fn reads_and_writes_nothing(stage: &Value) -> bool {
    paths(stage, &["deps", "outs", "metrics", "plots", "params"]).is_empty()
}

/// Returns a command's text: one line, or several.
fn text(command: &Value) -> String {
    match command {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// Returns the value at a dotted key.
fn lookup<'a>(values: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(values, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// Compares as Python does: `1` and `1.0` are one.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| same(value, found)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_in_python() {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("json");
        assert!(same(&value("[1, {\"a\": 2.0}]"), &value("[1.0, {\"a\": 2}]")));
        assert!(!same(&value("1"), &value("\"1\"")));
        assert_eq!(lookup(&value("{\"a\": [{\"b\": 3}]}"), "a.0.b"), Some(&value("3")));
    }
}
