//! The files that a training program is made of, as far as its command tells: a change of one of them trains again.
//!
//! The key type is [`Texts`]. What the command names is taken as it is; of a program's text also the texts of programs
//! around it, since it may import or call them, and what says which packages it runs with. `train.inputs` names files instead of those around.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_data::find_files;
use modelgate_store::DigestIndex;
use serde_json::{Value, json};

use super::words::{Read, name, read_command};

/// Ends of the names of programs' texts, which may hold parts of each other.
const SOURCES: [&str; 15] =
    ["py", "pyx", "ipynb", "r", "R", "jl", "sh", "bash", "js", "mjs", "ts", "lua", "pl", "rb", "sql"];
/// Files that say which packages a program runs with: other ones may make another model of the same text.
const PACKAGES: [&str; 16] = [
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile",
    "Pipfile.lock",
    "setup.cfg",
    "environment.yml",
    "environment.yaml",
    "conda-lock.yml",
    "renv.lock",
    "Project.toml",
    "Manifest.toml",
    "package.json",
    "package-lock.json",
];
/// Folders that hold what others wrote, or what a run leaves.
const PASSED_OVER: [&str; 8] =
    ["node_modules", "__pycache__", "site-packages", "venv", "wandb", "mlruns", "lightning_logs", "renv"];
/// So many entries of folders are looked at: a project may hold a million pictures.
const MOST_ENTRIES: usize = 20_000;
/// So many texts are taken.
const MOST_TEXTS: usize = 2_000;

/// Returns whether a file's name is that of a program's text.
pub(super) fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|end| SOURCES.iter().any(|known| end == *known))
}

/// Returns whether a file says which packages a program runs with, such as `requirements.txt`.
fn names_packages(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_list = path.extension().is_some_and(|end| end == "txt" || end == "in");
    name.starts_with("requirements") && is_list || PACKAGES.contains(&&*name)
}

/// Returns the names of such files in the project's folder, where they lie whatever folder the program is in.
fn packages_of(root: &Path) -> impl Iterator<Item = String> {
    let entries = fs_err::read_dir(root).into_iter().flatten().flatten();
    let names = entries.map(|entry| PathBuf::from(entry.file_name()));
    let root = root.to_owned();
    names.filter(move |name| names_packages(name) && root.join(name).is_file()).map(|path| name(&path))
}

/// What a program is made of, by name below the project.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Texts {
    /// What the command and `train.inputs` name.
    pub(crate) named: BTreeSet<String>,
    /// The texts of programs around what the command names.
    pub(crate) beside: BTreeSet<String>,
    /// Whether there are more of these than were looked at.
    pub(crate) more: bool,
}

impl Texts {
    /// Finds the files of `command`; `inputs` are the globs of `train.inputs`.
    ///
    /// # Errors
    /// Says which glob finds nothing.
    pub(crate) fn of(root: &Path, command: &str, inputs: Option<&[String]>) -> Result<Self, String> {
        let Read { mut named, around, written } = read_command(root, command);
        named.retain(|name| !written.contains(name));
        for pattern in inputs.unwrap_or_default() {
            for file in find_files(root, pattern).map_err(|error| error.to_string())? {
                named.insert(file.name);
            }
        }
        let (mut beside, mut more) = (BTreeSet::new(), false);
        if inputs.is_none() {
            let has_program = !around.is_empty();
            (beside, more) = texts_around(root, around);
            beside.extend(packages_of(root).filter(|_| has_program));
        }
        beside.retain(|name| !named.contains(name) && !written.contains(name));
        Ok(Self { named, beside, more })
    }

    /// Returns what a person should know of what was found; `chosen` says that `train.inputs` is there.
    pub(crate) fn doubts(&self, root: &Path, chosen: bool) -> Vec<String> {
        let mut found: Vec<String> = self.unreadable(root).into_iter().collect();
        if chosen {
            return found;
        }
        if self.more {
            found.push(format!(
                "of the texts of programs in the project only {} were looked at: a change of the others does not train again; \
                 name the program's files in `train.inputs`",
                self.named.len() + self.beside.len()
            ));
        } else if self.named.is_empty() && self.beside.is_empty() {
            found.push(
                "train.command names no file of the project: a change of its program does not train again; name its files in \
                 `train.inputs`, or set `inputs: []` where it has none"
                    .to_owned(),
            );
        }
        found
    }

    fn unreadable(&self, root: &Path) -> Option<String> {
        let names = self.named.iter().chain(&self.beside);
        let names: Vec<&String> = names.filter(|name| fs_err::File::open(root.join(name)).is_err()).collect();
        let first = names.first()?;
        Some(format!(
            "`{first}`{} cannot be read: a change of it does not train again",
            match names.len() {
                1 => String::new(),
                number => format!(" and {} files more", number - 1),
            }
        ))
    }

    /// Returns what is in the files, as far as they can be read.
    pub(crate) fn contents(&self, root: &Path, index: &DigestIndex) -> Contents {
        let digests = |names: &BTreeSet<String>| {
            let digest = |name: &String| Some((name.clone(), index.digest_of(&root.join(name)).ok()?.0));
            names.iter().filter_map(digest).collect()
        };
        Contents { named: digests(&self.named), beside: digests(&self.beside) }
    }
}

/// What is in the files of a program, by name below the project.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) named: BTreeMap<String, Digest>,
    pub(crate) beside: BTreeMap<String, Digest>,
}

impl Contents {
    /// Says which files the program wrote itself, of those that the command names; `before` is what was in them.
    pub(crate) fn written_since(&self, before: &Self) -> Option<String> {
        let written = self.named.iter().filter(|(name, digest)| before.named.get(*name) != Some(*digest));
        let names: Vec<String> = written.map(|(name, _)| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "of the files that train.command names, {} changed while it ran: that counts as a change of the program, so the \
                 next run trains again. What is written by `>` or `tee` does not count, nor does what the program names itself",
                names.join(", ")
            )
        })
    }
}

/// Returns in words in which of a program's files nothing changed; `train` is what the stage read.
pub(crate) fn looked_at(train: &Value) -> Option<String> {
    let names =
        |key: &str| train.get(key).and_then(Value::as_object).into_iter().flat_map(|files| files.keys());
    train.get("command")?;
    let names: Vec<&String> = names("files").chain(names("beside")).collect();
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    Some(match names.len() {
        0 => "no file of the program is known".to_owned(),
        count @ 1..=3 if count == shown.len() => format!("also in {}", shown.join(", ")),
        count => format!("also in {} and {} files more", shown.join(", "), count - shown.len()),
    })
}

/// Returns what a stage read of a program.
pub(crate) fn settings(command: &str, params: &Value, contents: &Contents) -> Value {
    json!({ "command": command, "params": params, "files": contents.named, "beside": contents.beside })
}

/// Returns the texts of programs in folders and below them, and whether there are more than were looked at. What lies less
/// deep is found first.
fn texts_around(root: &Path, folders: BTreeSet<PathBuf>) -> (BTreeSet<String>, bool) {
    let (mut found, mut entries_left, mut more) = (BTreeSet::new(), MOST_ENTRIES, false);
    // Links may lead in circles.
    let mut seen = BTreeSet::new();
    let mut level = folders;
    while !level.is_empty() {
        let mut next = BTreeSet::new();
        for folder in level {
            let Ok(real) = fs_err::canonicalize(root.join(&folder)) else { continue };
            if !seen.insert(real.clone()) || (!folder.as_os_str().is_empty() && is_passed_over(&real)) {
                continue;
            }
            let Ok(entries) = fs_err::read_dir(&real) else { continue };
            let names: Vec<PathBuf> = entries
                .flatten()
                .take(entries_left + 1)
                .map(|entry| folder.join(entry.file_name()))
                .collect();
            if names.len() > entries_left {
                // Which ones come first is the system's choice: none of them.
                more = true;
                continue;
            }
            entries_left -= names.len();
            for path in names {
                let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
                // What runs leave is no part of the program.
                if hidden || path == Path::new("outputs") {
                    continue;
                }
                if (is_source(&path) || names_packages(&path)) && root.join(&path).is_file() {
                    found.insert(name(&path));
                } else if root.join(&path).is_dir() {
                    next.insert(path);
                }
            }
        }
        level = next;
    }
    more |= found.len() > MOST_TEXTS;
    (found.into_iter().take(MOST_TEXTS).collect(), more)
}

fn is_passed_over(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    PASSED_OVER.contains(&&*name) || folder.join("pyvenv.cfg").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(path, format!("#!{file}")).expect("written");
        }
        folder
    }

    fn names(texts: &Texts) -> (Vec<&str>, Vec<&str>) {
        (texts.named.iter().map(String::as_str).collect(), texts.beside.iter().map(String::as_str).collect())
    }

    #[test]
    fn the_program_is_found_however_the_command_names_it() {
        let folder = project(&[
            "train.py",
            "src/train.py",
            "pkg/train.py",
            "pkg/__init__.py",
            "run.sh",
            "fit",
            "p.yaml",
        ]);
        let root = folder.path();
        let absolute = format!("python3 {}/train.py", root.display());
        for (command, named) in [
            ("python3 train.py {train} {output}", vec!["train.py"]),
            ("python3 ./train.py --config p.yaml", vec!["p.yaml", "train.py"]),
            ("python3 --config=p.yaml src/../train.py", vec!["p.yaml", "train.py"]),
            ("cd src && python3 train.py", vec!["src/train.py"]),
            ("(cd src; python3 train.py) && cp p.yaml {output}", vec!["p.yaml", "src/train.py"]),
            ("python3 -m pkg.train {train}", vec!["pkg/train.py"]),
            ("cd pkg && python3 -u -m train", vec!["pkg/train.py"]),
            ("python3 $PWD/train.py", vec!["train.py"]),
            ("python3 \"${PWD}/src/train.py\"", vec!["src/train.py"]),
            (&absolute, vec!["train.py"]),
            ("sh run.sh", vec!["run.sh"]),
            ("./fit {train}", vec!["fit"]),
            ("trainer --in {train}", vec![]),
        ] {
            let texts = Texts::of(root, command, None).expect("found");
            assert_eq!(names(&texts).0, named, "{command}");
            assert_eq!(texts.doubts(root, false).is_empty(), !named.is_empty(), "{command}");
        }
        let none = Texts::of(root, "trainer", Some(&[])).expect("found").doubts(root, true);
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn what_a_program_may_import_or_call_is_looked_at() {
        let folder = project(&[
            "train.py",
            "lib/deep/x.py",
            "lib/fit.R",
            "run.sh",
            "scripts/run.sh",
            "data/a.csv",
            ".hidden/x.py",
            "own/pyvenv.cfg",
            "own/lib/x.py",
            "__pycache__/x.py",
            "outputs/p/x.py",
        ]);
        let all = ["lib/deep/x.py", "lib/fit.R", "scripts/run.sh"];
        let beside = |command: &str| {
            let texts = Texts::of(folder.path(), command, None).expect("found");
            texts.beside.into_iter().collect::<Vec<String>>()
        };
        assert_eq!(beside("python3 train.py"), [&all[..2], &["run.sh"], &all[2..]].concat());
        // A script of the shell calls what is where it runs.
        assert_eq!(beside("sh scripts/run.sh"), [&all[..2], &["run.sh", "train.py"]].concat());
        assert_eq!(beside("Rscript lib/fit.R"), ["lib/deep/x.py"]);
        assert!(beside("cp data/a.csv {output}").is_empty());
        let contents = || {
            let texts = Texts::of(folder.path(), "python3 train.py", None).expect("found");
            texts.contents(folder.path(), &DigestIndex::open(&folder.path().join(".modelgate")))
        };
        let before = contents();
        fs_err::write(folder.path().join("lib/deep/x.py"), "changed").expect("written");
        let after = contents();
        assert_ne!(before, after);
        assert_eq!(after.written_since(&before), None, "the command does not name it");
        fs_err::write(folder.path().join("train.py"), "changed").expect("written");
        let said = contents().written_since(&after).expect("it names this one");
        assert!(said.contains("names, `train.py` changed while it ran"), "{said}");
    }

    #[test]
    fn what_a_command_writes_is_no_part_of_its_program() {
        let folder = project(&["train.py", "in.csv", "a.log", "b.log", "src/a.log", "5", "made.py"]);
        for (command, named) in [
            ("python3 train.py > a.log", vec!["train.py"]),
            ("python3 train.py >>a.log 2>&1", vec!["train.py"]),
            ("python3 train.py 2>a.log >b.log", vec!["train.py"]),
            ("(date; python3 train.py) &> a.log", vec!["train.py"]),
            ("python3 train.py >| a.log", vec!["train.py"]),
            ("python3 train.py | tee -a a.log b.log | cat", vec!["train.py"]),
            ("python3 train.py > >(tee a.log) && cat b.log", vec!["b.log", "train.py"]),
            ("cd src && python3 ../train.py > a.log", vec!["train.py"]),
            ("python3 train.py > \"$PWD/a.log\" < in.csv", vec!["in.csv", "train.py"]),
            ("awk '$1 > 5' in.csv > a.log; python3 train.py a.log", vec!["in.csv", "train.py"]),
            ("python3 train.py a.log", vec!["a.log", "train.py"]),
        ] {
            let texts = Texts::of(folder.path(), command, None).expect("found");
            assert_eq!(names(&texts).0, named, "{command}");
        }
        let texts = Texts::of(folder.path(), "cat in.csv > made.py; python3 made.py", None).expect("found");
        assert_eq!(names(&texts), (vec!["in.csv"], vec!["train.py"]));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_read_is_told_of() {
        let folder = project(&["train.py"]);
        let texts = Texts { named: ["train.py".to_owned(), "gone.py".to_owned()].into(), ..Texts::default() };
        let said = texts.doubts(folder.path(), true).join(" ");
        assert!(said.contains("`gone.py` cannot be read: a change of it does not train again"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let folder = project(&["train.py", "lib/x.py"]);
        for link in ["lib/one", "lib/two"] {
            std::os::unix::fs::symlink(folder.path(), folder.path().join(link)).expect("a link");
        }
        let texts = Texts::of(folder.path(), "python3 train.py", None).expect("found");
        assert_eq!(names(&texts), (vec!["train.py"], vec!["lib/x.py"]));
    }

    #[test]
    fn the_packages_that_a_program_runs_with_are_a_part_of_it() {
        let all =
            ["requirements.txt", "requirements-gpu.txt", "uv.lock", "src/pyproject.toml", "src/train.py"];
        let folder = project(&[&all[..], &["notes.txt", "other/requirements.txt"]].concat());
        let texts = Texts::of(folder.path(), "python3 src/train.py", None).expect("found");
        let wanted = vec!["requirements-gpu.txt", "requirements.txt", "src/pyproject.toml", "uv.lock"];
        assert_eq!(names(&texts), (vec!["src/train.py"], wanted));
        // Of a program that is not known nothing is, and who names the files names these too.
        let unknown = Texts::of(folder.path(), "trainer {train}", None).expect("found");
        assert_eq!(names(&unknown), (vec![], vec![]));
        let chosen = ["notes.txt".to_owned()];
        let chosen = Texts::of(folder.path(), "python3 src/train.py", Some(&chosen)).expect("found");
        assert_eq!(names(&chosen), (vec!["notes.txt", "src/train.py"], vec![]));
    }

    #[test]
    fn inputs_name_the_files_instead() {
        let folder = project(&["train.py", "other.py", "conf/a.yaml", "conf/b.yaml"]);
        let of = |inputs: &[&str]| {
            let inputs: Vec<String> = inputs.iter().map(|pattern| (*pattern).to_owned()).collect();
            Texts::of(folder.path(), "python3 train.py", Some(&inputs))
        };
        let texts = of(&["conf/*.yaml"]).expect("found");
        assert_eq!(names(&texts), (vec!["conf/a.yaml", "conf/b.yaml", "train.py"], vec![]));
        assert!(of(&["nowhere/*"]).expect_err("nothing").contains("nowhere/*"));
    }

    #[test]
    fn a_skipped_program_says_what_was_looked_at() {
        let of = |files: Value, beside: Value| {
            looked_at(&json!({"command": "x", "files": files, "beside": beside}))
        };
        assert_eq!(of(json!({"a": 1}), json!({"b": 1})), Some("also in `a`, `b`".to_owned()));
        let many = of(json!({"a": 1, "b": 1}), json!({"c": 1, "d": 1}));
        assert_eq!(many, Some("also in `a`, `b`, `c` and 1 files more".to_owned()));
        assert_eq!(of(json!({}), json!({})), Some("no file of the program is known".to_owned()));
        assert_eq!(looked_at(&json!({"algorithm": "ridge"})), None);
    }
}
