//! The files that a training program is made of, as far as its command tells: a change of one of them trains again.
//!
//! The key type is [`Texts`]. What the command names is taken as it is; of a program's text also the texts of programs
//! around it, since it may import or call them. `train.inputs` names files instead of those around.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use modelgate_core::Digest;
use modelgate_data::find_files;
use serde_json::{Value, json};

/// Ends of the names of programs' texts, which may hold parts of each other.
const SOURCES: [&str; 15] =
    ["py", "pyx", "ipynb", "r", "R", "jl", "sh", "bash", "js", "mjs", "ts", "lua", "pl", "rb", "sql"];
/// Those of a shell, which calls what lies in the folder that it runs in.
const SHELL: [&str; 2] = ["sh", "bash"];
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

/// What a program is made of, by name below the project.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Texts {
    /// What the command and `train.inputs` name.
    pub(crate) named: BTreeMap<String, Digest>,
    /// The texts of programs around what the command names.
    pub(crate) beside: BTreeMap<String, Digest>,
    /// Whether there are more of these than were looked at.
    pub(crate) more: bool,
}

impl Texts {
    /// Finds the files of `command`; `inputs` are the globs of `train.inputs`.
    ///
    /// # Errors
    /// Says which glob finds nothing.
    pub(crate) fn of(root: &Path, command: &str, inputs: Option<&[String]>) -> Result<Self, String> {
        let mut named = BTreeSet::new();
        let mut around = BTreeSet::new();
        read_command(root, command, &mut named, &mut around);
        for pattern in inputs.unwrap_or_default() {
            for file in find_files(root, pattern).map_err(|error| error.to_string())? {
                named.insert(file.name);
            }
        }
        let (mut beside, mut more) = (BTreeSet::new(), false);
        if inputs.is_none() {
            (beside, more) = texts_around(root, around);
        }
        let digests = |names: BTreeSet<String>| -> BTreeMap<String, Digest> {
            let digest = |name: String| {
                let digest = Digest::of(&fs_err::read(root.join(&name)).ok()?);
                Some((name, digest))
            };
            names.into_iter().filter_map(digest).collect()
        };
        beside.retain(|name| !named.contains(name));
        Ok(Self { named: digests(named), beside: digests(beside), more })
    }

    /// Returns what a person should know of what was found; `chosen` says that `train.inputs` is there.
    pub(crate) fn doubt(&self, chosen: bool) -> Option<String> {
        if chosen {
            return None;
        }
        if self.more {
            return Some(format!(
                "of the texts of programs in the project only {} were looked at: a change of the others does not train again; \
                 name the program's files in `train.inputs`",
                self.named.len() + self.beside.len()
            ));
        }
        (self.named.is_empty() && self.beside.is_empty()).then(|| {
            "train.command names no file of the project: a change of its program does not train again; name its files in \
             `train.inputs`, or set `inputs: []` where it has none"
                .to_owned()
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
pub(crate) fn settings(command: &str, params: &Value, texts: &Texts) -> Value {
    json!({ "command": command, "params": params, "files": texts.named, "beside": texts.beside })
}

/// Returns a path below the project without `.` and `..`, and `None` for another.
fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let path = path.strip_prefix(root).unwrap_or(path);
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}

/// Returns a path as it is called on every system.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Finds the files that a command names, and the folders whose texts may be parts of them.
fn read_command(root: &Path, command: &str, named: &mut BTreeSet<String>, around: &mut BTreeSet<PathBuf>) {
    let command = command.replace("${PWD}/", "./").replace("$PWD/", "./").replace("$(pwd)/", "./");
    let mut words = command
        .split(|letter: char| letter.is_whitespace() || "\"'=;&|()<>`".contains(letter))
        .filter(|word| !word.is_empty());
    // The folder that the command has gone to.
    let mut here = PathBuf::new();
    while let Some(word) = words.next() {
        match word {
            "cd" | "pushd" | "chdir" => {
                let Some(folder) = words.next().and_then(|word| below(root, &here.join(word))) else {
                    continue;
                };
                if root.join(&folder).is_dir() {
                    here = folder;
                }
            }
            "-m" => {
                let Some(module) = words.next() else { break };
                let path = here.join(module.replace('.', "/"));
                let files = [path.with_extension("py"), path.join("__main__.py"), path.join("__init__.py")];
                for file in files.iter().filter(|file| root.join(file).is_file()) {
                    named.insert(name(file));
                    around.insert(here.clone());
                }
            }
            // Of `(cd a && b); c` the last stands in the first folder again.
            _ => {
                let Some(path) =
                    [here.join(word), PathBuf::from(word)].into_iter().find(|path| root.join(path).is_file())
                else {
                    continue;
                };
                let Some(path) = below(root, &path) else {
                    // Outside of the project it is taken alone.
                    named.insert(word.to_owned());
                    continue;
                };
                named.insert(name(&path));
                let is_shell = path.extension().is_some_and(|end| SHELL.iter().any(|known| end == *known));
                let is_script = path.extension().is_none() && begins_as_script(&root.join(&path));
                if is_source(&path) || is_script {
                    around.insert(path.parent().unwrap_or(Path::new("")).to_owned());
                }
                if is_shell || is_script {
                    around.insert(here.clone());
                }
            }
        }
    }
}

fn begins_as_script(path: &Path) -> bool {
    let mut first = [0; 2];
    let read = fs_err::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
    read.is_ok() && first == *b"#!"
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
                if is_source(&path) && root.join(&path).is_file() {
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
        (texts.named.keys().map(String::as_str).collect(), texts.beside.keys().map(String::as_str).collect())
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
            assert_eq!(texts.doubt(false).is_some(), named.is_empty(), "{command}");
        }
        assert_eq!(Texts::of(root, "trainer", Some(&[])).expect("found").doubt(true), None);
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
            texts.beside.into_keys().collect::<Vec<String>>()
        };
        assert_eq!(beside("python3 train.py"), [&all[..2], &["run.sh"], &all[2..]].concat());
        // A script of the shell calls what is where it runs.
        assert_eq!(beside("sh scripts/run.sh"), [&all[..2], &["run.sh", "train.py"]].concat());
        assert_eq!(beside("Rscript lib/fit.R"), ["lib/deep/x.py"]);
        assert!(beside("cp data/a.csv {output}").is_empty());
        let before = Texts::of(folder.path(), "python3 train.py", None).expect("found");
        fs_err::write(folder.path().join("lib/deep/x.py"), "changed").expect("written");
        assert_ne!(before, Texts::of(folder.path(), "python3 train.py", None).expect("found"));
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
