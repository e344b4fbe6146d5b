//! The stages that a `dvc.yaml` declares, each with what its references stand for.
//!
//! The key type is [`Pipeline`].

use std::path::{Path, PathBuf};

use super::output::{DvcOutput, read_lock};
use super::templates::Context;
use super::yaml::{self, Mapping, Yaml};
use crate::snapshot::SnapshotError;

/// What of a stage tells whether it would run again.
const TOLD: [&str; 9] =
    ["cmd", "wdir", "deps", "outs", "metrics", "plots", "params", "frozen", "always_changed"];

/// A `dvc.yaml`.
pub(super) struct Pipeline {
    /// The folder it is in.
    pub(super) folder: PathBuf,
    stages: Mapping,
    known: Context,
}

/// A stage.
pub(super) struct Declared {
    /// Its name, of one of several with its item behind `@`.
    pub(super) name: String,
    /// What of it tells whether it would run again.
    pub(super) settings: Yaml,
    /// How much of it is known.
    pub(super) known: Known,
}

/// How much is known of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// All of it.
    All,
    /// Not what one of its references stands for.
    Partly,
    /// Not which items it is made for: it stands for all of them.
    NoItems,
}

impl Pipeline {
    pub(super) fn read(file: &Path) -> Result<Self, SnapshotError> {
        let yaml = yaml::read(file)?;
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let stages = match yaml.get("stages") {
            None => Mapping::default(),
            Some(Yaml::Map(stages)) => stages.clone(),
            Some(_) => {
                let message = "`stages` is no mapping".to_owned();
                return Err(SnapshotError::Dvc { path: file.to_owned(), message });
            }
        };
        let known = Context::of_file(&folder, &yaml);
        Ok(Self { folder, stages, known })
    }

    /// Returns all stages, one for each item of those that are made for several.
    pub(super) fn stages(&self) -> Vec<Declared> {
        let mut found = Vec::new();
        for (name, stage) in self.stages.iter() {
            match self.known.items(stage) {
                Some(items) => found.extend(items.into_iter().map(|(item, known)| {
                    self.one(format!("{name}@{item}"), stage.get("do").unwrap_or(stage), &known)
                })),
                None if is_for_items(stage) => found.push(self.of_all_items(name, stage)),
                None => found.push(self.one(name.to_owned(), stage, &self.known)),
            }
        }
        found
    }

    fn one(&self, name: String, stage: &Yaml, known: &Context) -> Declared {
        let folder = stage.get("wdir").map(|wdir| self.working_folder(&known.resolved(wdir).0));
        let known = known.clone().with_vars(folder.as_ref().unwrap_or(&self.folder), stage);
        // References elsewhere, such as in `matrix` itself, are no matter of what it does.
        let mut own = stage.clone();
        if let Yaml::Map(settings) = &mut own {
            settings.retain(|key| TOLD.contains(&key));
        }
        let (settings, complete) = known.resolved(&own);
        Declared { name, settings, known: if complete { Known::All } else { Known::Partly } }
    }

    fn of_all_items(&self, name: &str, stage: &Yaml) -> Declared {
        let declared = self.one(name.to_owned(), stage.get("do").unwrap_or(stage), &self.known);
        Declared { known: Known::NoItems, ..declared }
    }

    fn working_folder(&self, wdir: &Yaml) -> PathBuf {
        self.folder.join(wdir.as_str().unwrap_or_default())
    }

    /// Returns the folder that the paths of a stage are relative to.
    pub(super) fn folder_of(&self, settings: &Yaml) -> PathBuf {
        self.working_folder(settings.get("wdir").unwrap_or(&Yaml::Null))
    }

    /// Returns what the stages left by the `dvc.lock` beside it, below the repository `root`, but for what git keeps; and why it
    /// is not told of a stage where it lies.
    pub(super) fn outputs(
        &self,
        root: &Path,
    ) -> Result<(Vec<DvcOutput>, Option<SnapshotError>), SnapshotError> {
        let path = self.folder.join("dvc.lock");
        let lock = read_lock(&path)?;
        if lock.stages.is_empty() {
            return Ok((Vec::new(), None));
        }
        let declared = self.stages();
        let (mut found, mut untold) = (Vec::new(), None);
        for (name, stage) in &lock.stages {
            let group = name.split_once('@').map_or(name.as_str(), |(group, _)| group);
            // Which items there are may not be known: then all are those of the group.
            let is_declared = |declared: &&Declared| {
                declared.name == *name || (declared.known == Known::NoItems && declared.name == group)
            };
            // DVC leaves stages in the lock that are declared no more, and does not look at them.
            let Some(Declared { settings, .. }) = declared.iter().find(is_declared) else { continue };
            let folder = self.folder_of(settings);
            let is_unknown =
                settings.get("wdir").and_then(Yaml::as_str).is_some_and(|wdir| wdir.contains("${"));
            for entry in &stage.outs {
                if !entry.cache || is_said_no(settings, "cache", &entry.path) {
                    continue;
                }
                if is_unknown {
                    let message = format!(
                        "the `wdir` of the stage `{name}` refers to values that are not found here; use `dvc pull`"
                    );
                    untold =
                        untold.or(Some(SnapshotError::Dvc { path: self.folder.join("dvc.yaml"), message }));
                    continue;
                }
                let output = entry.output(&path, &folder, root)?;
                let is_pushed = output.is_pushed && !is_said_no(settings, "push", &entry.path);
                found.push(DvcOutput { is_pushed, ..output });
            }
        }
        Ok((found, untold))
    }
}

fn is_for_items(stage: &Yaml) -> bool {
    ["foreach", "matrix"].iter().any(|key| stage.get(key).is_some())
}

/// Returns whether an output of a stage has `key: false`, as `cache` or `push`. One that is declared by its letters has; of others,
/// only where all whose references are not known have: what may be in DVC's cache is not left out.
fn is_said_no(settings: &Yaml, key: &str, path: &str) -> bool {
    let mut unknown = Vec::new();
    let lists = ["outs", "metrics", "plots"].into_iter().filter_map(|key| settings.get(key)?.as_list());
    for entry in lists.flatten() {
        let one = |path: &str| (path.to_owned(), true);
        let declared = match entry {
            Yaml::Text(path) => vec![one(path)],
            Yaml::Map(entries) => {
                let is_yes = |settings: &Yaml| settings.get(key) != Some(&Yaml::Bool(false));
                entries.iter().map(|(path, settings)| (path.to_owned(), is_yes(settings))).collect()
            }
            _ => Vec::new(),
        };
        for (declared, is_yes) in declared {
            if declared == path {
                return !is_yes;
            }
            if declared.contains("${") {
                unknown.push(is_yes);
            }
        }
    }
    !unknown.is_empty() && !unknown.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "{path: PATH, hash: md5, md5: 0cc175b9c0f1b6a831c399e269772661}";

    /// Returns what a repository with these files tracks; of the lock, the outputs by the names of their stages.
    fn tracked(params: &str, stages: &str, lock: &[(&str, &[&str])]) -> Result<Vec<String>, SnapshotError> {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: String| fs_err::write(folder.path().join(name), text).expect("written");
        let entries = |paths: &[&str]| -> String {
            paths.iter().map(|path| LOCK.replace("PATH", path)).collect::<Vec<_>>().join(", ")
        };
        let ran =
            |(name, paths): &(&str, &[&str])| format!("  {name}: {{cmd: c, outs: [{}]}}\n", entries(paths));
        write("params.yaml", params.to_owned());
        write("dvc.yaml", format!("stages:\n{stages}"));
        write("dvc.lock", format!("schema: '2.0'\nstages:\n{}", lock.iter().map(ran).collect::<String>()));
        let (outputs, untold) = Pipeline::read(&folder.path().join("dvc.yaml"))?.outputs(folder.path())?;
        if let Some(untold) = untold {
            return Err(untold);
        }
        let path = |output: &DvcOutput| output.path.strip_prefix(folder.path()).expect("below").to_owned();
        Ok(outputs.iter().map(|output| path(output).to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn what_git_keeps_is_known_by_its_stage_and_not_by_what_its_name_is_like() {
        let stages = "  small: {cmd: c, outs: ['data/${name}.csv': {cache: false}]}\n  \
                      big: {cmd: c, outs: [data/train.csv]}\n  \
                      each: {foreach: [a], do: {cmd: c, metrics: ['m_${item}.json': {cache: false}]}}\n  \
                      deep: {matrix: {n: [1]}, wdir: sub, cmd: c, outs: ['${key}.bin', '${key}.txt': {cache: false}]}\n  \
                      far: {cmd: c, outs: ['${who}/a', '${who}/b': {cache: false}]}\n  \
                      own: {cmd: c, outs: ['${who}.txt': {cache: false}]}\n";
        let lock: [(&str, &[&str]); 7] = [
            ("small", &["data/metrics.csv"]),
            ("big", &["data/train.csv"]),
            ("each@a", &["m_a.json"]),
            // Of an item that was.
            ("each@b", &["m_b.json"]),
            ("deep@1", &["1.bin", "1.txt"]),
            // What cannot be told is pulled where it may be in the cache.
            ("far", &["x/a", "x/b"]),
            ("own", &["x.txt"]),
        ];
        let found = tracked("name: metrics\n", stages, &lock).expect("read");
        assert_eq!(found, ["data/train.csv", "sub/1.bin", "x/a", "x/b"]);
    }

    #[test]
    fn outputs_in_a_folder_that_is_not_known_are_refused() {
        let stages = "  a: {cmd: c, wdir: '${who}', outs: [b.csv]}\n";
        let error = tracked("n: 1\n", stages, &[("a", &["b.csv"])]).expect_err("refused").to_string();
        assert!(error.contains("dvc.yaml") && error.contains("the `wdir` of the stage `a`"), "{error}");
        assert_eq!(tracked("who: w\n", stages, &[("a", &["b.csv"])]).expect("read"), ["w/b.csv"]);
    }

    #[test]
    fn what_is_declared_no_more_is_passed_over_as_by_dvc() {
        let stages = "  each: {foreach: '${names}', do: {wdir: '${item}', cmd: c, outs: [o.csv]}}\n";
        let lock: [(&str, &[&str]); 3] =
            [("each@eu", &["o.csv"]), ("each@us", &["o.csv"]), ("gone", &["g.csv"])];
        assert_eq!(tracked("names: [eu]\n", stages, &lock).expect("read"), ["eu/o.csv"]);
    }

    #[test]
    fn a_stage_that_lies_nowhere_known_does_not_hide_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).expect("written");
        fs_err::create_dir(folder.path().join(".dvc")).expect("made");
        let stages =
            "stages: {a: {cmd: c, wdir: '${who}', outs: [b.csv]}, d: {cmd: c, outs: [d.csv: {push: false}]}}";
        write("dvc.yaml", stages);
        let of =
            |name: &str, path: &str| format!("{name}: {{cmd: c, outs: [{}]}}", LOCK.replace("PATH", path));
        write("dvc.lock", &format!("schema: '2.0'\nstages: {{{}, {}}}", of("a", "b.csv"), of("d", "d.csv")));
        let repository =
            super::super::DvcRepository::find(folder.path()).expect("read").expect("a repository");
        let found = repository.tracking(&folder.path().join("d.csv")).expect("known").expect("tracked");
        assert!(!found.is_pushed, "{found:?}");
        for error in [repository.tracked(folder.path()).err(), repository.tracking(Path::new("/x")).err()] {
            assert!(error.expect("refused").to_string().contains("the `wdir` of the stage `a`"));
        }
    }

    #[test]
    fn variables_of_a_stage_are_read_where_it_works() {
        let folder = tempfile::tempdir().expect("a folder");
        fs_err::create_dir(folder.path().join("sub")).expect("made");
        fs_err::write(folder.path().join("sub/v.yaml"), "who: w\n").expect("written");
        let text = "stages: {a: {wdir: sub, vars: [v.yaml], cmd: 'echo ${who}'}}";
        fs_err::write(folder.path().join("dvc.yaml"), text).expect("written");
        let pipeline = Pipeline::read(&folder.path().join("dvc.yaml")).expect("read");
        let stages = pipeline.stages();
        assert_eq!(
            (stages[0].known, stages[0].settings.get("cmd")),
            (Known::All, Some(&Yaml::Text("echo w".to_owned())))
        );
    }
}
