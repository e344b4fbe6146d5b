//! What people type: the Makefile and the justfile of `ci init` have the same recipes with the same commands, and they
//! work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_testing::{TestProject, skip};

use super::workflows::repository;
use crate::BINARY;

/// What a project's recipes are run with.
struct Typed {
    project: TestProject,
    program: PathBuf,
}

impl Typed {
    fn new(program: &Path) -> Self {
        Self { project: repository(), program: program.to_owned() }
    }

    /// Runs a program in the project as somebody who has the binary on the path, and git an identity.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = Path::new(BINARY).parent().expect("a folder").display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.project.path(".")).env("PATH", path);
        command.env("MODELGATE_ACTOR", "tester").env("MODELGATE_REGISTRY_URI", "");
        // Nothing of whoever runs the tests: neither a token, nor a name.
        command.env("HOME", self.project.path("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_AUTHOR_NAME", "ci").env("GIT_AUTHOR_EMAIL", "ci@example.com");
        for name in [
            "HF_TOKEN",
            "HF_TOKEN_PATH",
            "XDG_CONFIG_HOME",
            "MAKEFLAGS",
            "REASON",
            "MODELGATE",
            "MODEL",
            "PIPELINE",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let output = command.output().expect("started");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs a recipe that has to work, and returns what it said.
    #[track_caller]
    fn works(&self, recipe: &[&str], variables: &[(&str, &str)]) -> String {
        let (code, said) = self.run(recipe, variables);
        assert_eq!(code, Some(0), "{recipe:?}: {said}");
        said
    }

    /// Goes the whole way, from a checkout to a rollback, by recipes alone. `refused` is the status of a recipe whose
    /// command ends with the one given, and `rollback` the recipe with a reason.
    fn goes_the_whole_way(&self, refused: impl Fn(i32) -> i32, rollback: &[&str], reason: &str) {
        assert!(self.works(&["install"], &[]).contains("modelgate"));
        for recipe in ["format", "test", "coverage"] {
            let _ = self.works(&[recipe], &[]);
        }
        assert!(self.works(&["eval"], &[]).contains("accuracy"));
        let packaged = self.project.path("models/packaged/p/manifest.json");
        let mut manifests = Vec::new();
        for seed in ["1", "2"] {
            // The version waits for approval, which is no error.
            assert!(self.works(&["train"], &[("MODELGATE_SEED", seed)]).contains("waits"));
            let _ = self.works(&["promote"], &[]);
            manifests.push(fs_err::read(&packaged).expect("in production"));
        }
        assert!(manifests[0] != manifests[1]);
        let _ = self.works(rollback, &[]);
        assert!(fs_err::read(&packaged).expect("in production") == manifests[0]);
        let log = self.project.run(&["--output-format", "json", "ledger", "log"]).exits(0);
        let written = serde_json::to_string(reason).expect("JSON");
        assert!(
            log.stdout.contains(&format!("\"reason\":{written},\"type\":\"rolled_back\"")),
            "{}",
            log.stdout
        );
        let _ = self.works(&["update-branch"], &[]);
        let mut git = Command::new("git");
        git.args(["ls-tree", "-r", "--name-only", "update"]).current_dir(self.project.path("."));
        let files = String::from_utf8(git.output().expect("git").stdout).expect("text");
        assert!(files.contains("outputs/p/verdict.json"), "{files}");
        // Without a token nothing is tried; with one the project says what it lacks.
        for recipe in ["hf-login", "push-hub", "deploy"] {
            let (code, said) = self.run(&[recipe], &[]);
            assert_eq!(code, Some(refused(1)), "{recipe}: {said}");
            let sentence = "set HF_TOKEN, or sign in once with `hf auth login`";
            assert!(said.contains(sentence) && !said.contains("about a Space"), "{recipe}: {said}");
        }
        let _ = self.works(&["hf-login"], &[("HF_TOKEN", "hf_secret")]);
        self.project.write("token", "hf_secret");
        let _ = self.works(&["hf-login"], &[("HF_TOKEN_PATH", "token")]);
        let _ = self.works(&["hf-login"], &[("HF_HOME", ".")]);
        for recipe in ["push-hub", "deploy"] {
            let (code, said) = self.run(&[recipe], &[("HF_TOKEN", "hf_secret")]);
            assert_eq!(code, Some(refused(64)), "{recipe}: {said}");
            assert!(
                said.contains("says nothing about a Space") && !said.contains("hf_secret"),
                "{recipe}: {said}"
            );
        }
        let _ = self.works(&["clean"], &[]);
        assert!(!self.project.path("outputs").exists() && packaged.is_file());
        self.project.run(&["model", "list"]).exits(0).says("v001 production").says("v002 quarantined");
    }
}

/// Returns `just`, or says that the test is skipped.
fn just() -> Option<PathBuf> {
    let installed = std::env::var_os("MODELGATE_INTEROP_CI").map(|tools| Path::new(&tools).join("bin/just"));
    let known = installed.into_iter().chain([PathBuf::from("just")]);
    let works = |program: &PathBuf| {
        Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success())
    };
    let found = known.into_iter().find(works);
    if found.is_none() {
        skip("there is no `just`, in the folder that MODELGATE_INTEROP_CI names or on the path");
    }
    found
}

fn make() -> Option<PathBuf> {
    let there = Command::new("make").arg("--version").output().is_ok();
    if !there {
        skip("there is no make");
    }
    there.then(|| PathBuf::from("make"))
}

const REASON: &str = "it's \"bad\"; exit 3 `true` & * \\";

#[test]
fn the_recipes_of_the_makefile_work() {
    let Some(make) = make() else { return };
    // Whatever a command ended with, make ends with 2.
    let rollback = ["rollback", &format!("REASON={REASON}")];
    Typed::new(&make).goes_the_whole_way(|_| 2, &rollback, REASON);
}

#[test]
fn the_recipes_of_the_justfile_work() {
    let Some(just) = just() else { return };
    Typed::new(&just).goes_the_whole_way(|code| code, &["rollback", REASON], REASON);
}

/// Returns a recipe's commands as one line each, without the ends of lines that were joined.
fn commands(said: &str) -> Vec<String> {
    let joined = said.replace("\\\n", " ");
    joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_justfile_has_the_recipes_of_the_makefile_with_the_same_commands() {
    let (Some(just), Some(make)) = (just(), make()) else { return };
    let project = Typed::new(&just);
    let made = Typed { project: repository(), program: make };
    let dump = project.works(&["--dump", "--dump-format", "json"], &[]);
    let dump: serde_json::Value = serde_json::from_str(&dump).expect("JSON");
    let recipes = dump["recipes"].as_object().expect("recipes");
    let names: BTreeSet<&str> =
        recipes.keys().map(String::as_str).filter(|name| *name != "default").collect();
    let help = made.works(&["help"], &[]);
    let targets: BTreeMap<&str, &str> = help
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, text)| (name, text.trim()))
        .collect();
    let shown: BTreeSet<&str> = targets.keys().copied().filter(|name| *name != "help").collect();
    assert_eq!(names, shown);
    let makefile = made.project.read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).expect("phony targets");
    assert_eq!(phony.split(' ').filter(|name| *name != "help").collect::<BTreeSet<_>>(), names);
    for wanted in
        "install format test coverage train eval promote update-branch hf-login push-hub deploy clean"
            .split(' ')
    {
        assert!(names.contains(wanted), "{wanted}");
    }
    for name in names {
        let reason = (name == "rollback").then_some("because");
        let said = project.works(&[&["--dry-run", name][..], reason.as_slice()].concat(), &[]);
        let made = made.works(&["-n", name], &[]).replace("\"$REASON\"", "'because'");
        assert_eq!(commands(&said), commands(&made), "{name}");
        assert!(!commands(&said).is_empty(), "{name}");
        // A Makefile says how its argument is given.
        let told = recipes[name]["doc"].as_str().expect("a sentence").trim_end_matches('.');
        assert_eq!(told, targets[name].split(": make").next().unwrap_or_default(), "{name}");
    }
    // Without a recipe it shows what there is.
    assert!(project.works(&[], &[]).contains("update-branch"));
}
