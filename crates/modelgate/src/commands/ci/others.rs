//! The workflows that a repository has already: whose they are, and what two projects must not share.

use std::path::Path;

use modelgate_deploy::workflows::{WORKFLOWS, is_foreign, said};
use modelgate_pipeline::PROJECT_FILE;

use crate::environment;
use crate::exit::UsageError;

/// Whose workflows are written.
pub(super) struct Mine<'a> {
    /// The project's folder from the repository's root.
    pub(super) folder: &'a str,
    pub(super) pipeline: &'a str,
    pub(super) model: &'a str,
    pub(super) registry: &'a str,
    /// What the names of the workflows end with.
    pub(super) suffix: &'a str,
}

/// Workflows that are there, as their files say it.
struct Set {
    /// What their names end with, such as `-churn`.
    suffix: String,
    folder: String,
    pipeline: String,
    model: Option<String>,
    registry: Option<String>,
}

impl Set {
    /// Reads `train{suffix}.yml` and what is beside it; `None` for files of another form.
    fn read(root: &Path, suffix: &str) -> Option<Self> {
        let text = |name: &str| {
            fs_err::read_to_string(root.join(format!(".github/workflows/{name}{suffix}.yml"))).ok()
        };
        let train = text("train")?;
        let value = |text: &str, key: &str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(key).map(str::to_owned));
            found.map(|value| value.trim().trim_matches('"').to_owned())
        };
        let runs = |line: &&str| line.trim_start().starts_with("modelgate run ");
        let pipeline = train.lines().find(runs).and_then(|line| line.split_whitespace().nth(2))?;
        Some(Self {
            suffix: suffix.to_owned(),
            folder: value(&train, "working-directory: ").unwrap_or_else(|| ".".to_owned()),
            pipeline: pipeline.to_owned(),
            model: text("deploy").and_then(|deploy| value(&deploy, "MODEL: ")),
            registry: value(&train, "MODELGATE_REGISTRY_URI: "),
        })
    }

    fn all(root: &Path) -> Vec<Self> {
        let entries = fs_err::read_dir(root.join(".github/workflows")).into_iter().flatten().flatten();
        let mut suffixes: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some(name.strip_prefix("train")?.strip_suffix(".yml")?.to_owned())
            })
            .filter(|suffix| suffix.is_empty() || suffix.starts_with('-'))
            .collect();
        suffixes.sort();
        suffixes.iter().filter_map(|suffix| Self::read(root, suffix)).collect()
    }

    fn file(&self) -> String {
        format!(".github/workflows/train{}.yml", self.suffix)
    }

    /// Returns whether the project that they are of is there no more, or has no such pipeline.
    fn is_orphan(&self, root: &Path) -> bool {
        let file = root.join(&self.folder).join(PROJECT_FILE);
        if !file.is_file() {
            return true;
        }
        let found = modelgate_config::load_open(&file, &environment::variable);
        found.is_ok_and(|found| !found.config.pipelines.contains_key(&self.pipeline))
    }
}

/// Refuses names that workflows of somebody else have: the others alone would train and deploy what no pull request was asked
/// about.
pub(super) fn check_foreign(root: &Path, suffix: &str) -> anyhow::Result<()> {
    let path = |name: &&str| format!(".github/workflows/{name}{suffix}.yml");
    let is_taken =
        |path: &String| fs_err::read_to_string(root.join(path)).is_ok_and(|text| is_foreign(&text));
    let taken: Vec<String> =
        WORKFLOWS.iter().map(path).filter(is_taken).map(|path| format!("`{path}`")).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let sentence = format!(
        "{} {} not modelgate's, and nothing was written: without what would be there, the rest trains and deploys with no gate \
         on pull requests or no way back. `modelgate ci init --name NAME` writes all of them under names of their own; \
         `--force` puts them in its place. What modelgate wrote has a line `# modelgate ci init sha256:…`",
        taken.join(", "),
        if taken.len() == 1 { "is" } else { "are" }
    );
    Err(UsageError(sentence).into())
}

/// Refuses a second set of workflows of the same pipeline, which would train and deploy everything twice.
fn check_twice(root: &Path, mine: &Mine<'_>) -> anyhow::Result<()> {
    let is_same = |other: &Set| {
        other.suffix != mine.suffix
            && (other.folder.as_str(), other.pipeline.as_str()) == (mine.folder, mine.pipeline)
            && other.registry.as_deref() == Some(mine.registry)
    };
    let Some(there) = Set::all(root).into_iter().find(is_same) else { return Ok(()) };
    let name = there.suffix.trim_start_matches('-');
    let name = if name.is_empty() { "without `--name`".to_owned() } else { format!("with `--name {name}`") };
    let sentence = format!(
        "`{}` and the workflows beside it are of the pipeline `{}` already, and a second set would train and deploy it twice: \
         `modelgate ci init` {name} writes those again. To call them otherwise, remove them first",
        there.file(),
        mine.pipeline
    );
    Err(UsageError(sentence).into())
}

/// Refuses to write workflows of one pipeline over those of another, unless that one is gone, and beside those of the same.
pub(super) fn check_owner(root: &Path, mine: &Mine<'_>) -> anyhow::Result<()> {
    check_twice(root, mine)?;
    let Some(there) = Set::read(root, mine.suffix) else { return Ok(()) };
    if there.pipeline == mine.pipeline && there.folder == mine.folder || there.is_orphan(root) {
        return Ok(());
    }
    let last = mine.folder.rsplit('/').next().filter(|name| *name != "." && there.folder != mine.folder);
    let sentence = format!(
        "`{}` is of the pipeline `{}` in `{}`: `modelgate ci init --name {}` writes workflows beside it",
        there.file(),
        there.pipeline,
        there.folder,
        last.unwrap_or(mine.pipeline)
    );
    Err(UsageError(sentence).into())
}

/// Refuses a second project with the versions and the production of another, or with its comment and its check run.
pub(super) fn check_apart(root: &Path, mine: &Mine<'_>) -> anyhow::Result<()> {
    let others = Set::all(root);
    let others = others.iter().filter(|other| other.suffix != mine.suffix && other.folder != mine.folder);
    for other in others.filter(|other| !other.is_orphan(root)) {
        let whose = format!("`{}` is of the project in `{}`", other.file(), other.folder);
        let shares =
            other.model.as_deref() == Some(mine.model) && other.registry.as_deref() == Some(mine.registry);
        if shares {
            let sentence = format!(
                "{whose}, whose model is `{model}` too, in the same registry `{registry}`: versions and production would be \
                 those of both. In {PROJECT_FILE}, give this one a name of its own (`model: {{name: …}}` of the pipeline) or \
                 another registry (`registry: {{uri: …}}`)",
                model = mine.model,
                registry = mine.registry
            );
            return Err(UsageError(sentence).into());
        }
        if said(&other.pipeline, other.suffix.trim_start_matches('-'))
            == said(mine.pipeline, mine.suffix.trim_start_matches('-'))
        {
            let sentence = format!(
                "{whose}, whose pipeline is `{}` too: comment and check run would be those of both. \
                 `modelgate ci init --name NAME` tells them apart by another name",
                mine.pipeline
            );
            return Err(UsageError(sentence).into());
        }
    }
    Ok(())
}

/// Says which workflows of the same project keep the registry elsewhere than these: their runs would not see each other's
/// versions, nor those that people's own runs make.
pub(super) fn of_another_registry(root: &Path, mine: &Mine<'_>) -> Vec<String> {
    let others = Set::all(root)
        .into_iter()
        .filter(|other| other.suffix != mine.suffix && other.folder == mine.folder && !other.is_orphan(root));
    let says = |other: Set| {
        let theirs = other.registry.as_ref().filter(|theirs| *theirs != mine.registry)?;
        let name = other.suffix.trim_start_matches('-');
        let name = if name.is_empty() { String::new() } else { format!(" --name {name}") };
        Some(format!(
            "`{}` and the workflows beside it still keep the registry in `{theirs}`, and these keep it in `{}`: \
             `modelgate ci init --pipeline {}{name}` writes them again",
            other.file(),
            mine.registry,
            other.pipeline
        ))
    };
    others.filter_map(says).collect()
}

/// Returns whether the Makefile and the justfile of the project in `place` are, or would be, those of the pipeline of `mine`.
/// They name the pipeline that they are of; `known` says which ones the project has.
pub(super) fn owns_recipes(root: &Path, place: &Path, mine: &Mine<'_>, known: impl Fn(&str) -> bool) -> bool {
    let named = |file: &str, key: &str| {
        let text = fs_err::read_to_string(place.join(file)).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    if let Some(owner) = named("Makefile", "PIPELINE ?=").or_else(|| named("justfile", "pipeline :=")) {
        return owner == mine.pipeline || !known(&owner);
    }
    // Nobody's are written; somebody's own are compared with those of the first pipeline.
    let is_there = ["Makefile", "justfile"].iter().any(|file| place.join(file).exists());
    !is_there
        || mine.suffix.is_empty()
        || !Set::all(root)
            .iter()
            .any(|other| other.suffix != mine.suffix && other.folder == mine.folder && !other.is_orphan(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "version: 1\nproject: p\npipelines:\n  churn:\n    task: classification\n    data: {source: a.csv, \
                           target: y}\n    train: {algorithm: random_forest}\n    gate: {rules: [{metric: f1, at_least: 0.5}]}\n";

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs_err::write(path, text).expect("written");
        };
        let train = "env:\n  MODELGATE_REGISTRY_URI: \"git+branch:modelgate\"\njobs:\n  - name: x\n    working-directory: eu\n    run: |\n      \
                     modelgate run churn || code=$?\n";
        write(".github/workflows/train.yml", train);
        write(".github/workflows/deploy.yml", "env:\n  MODEL: \"churn\"\n");
        write("eu/modelgate.yaml", PROJECT);
        folder
    }

    fn mine<'a>(suffix: &'a str, model: &'a str, registry: &'a str) -> Mine<'a> {
        Mine { folder: "us", pipeline: "churn", model, registry, suffix }
    }

    fn of<'a>(folder: &'a str, pipeline: &'a str) -> Mine<'a> {
        Mine { folder, pipeline, ..mine("", "churn", "git+branch:modelgate") }
    }

    #[test]
    fn two_projects_do_not_share_a_model_of_one_registry_nor_a_comment() {
        let folder = repository();
        let said = |mine: &Mine<'_>| check_apart(folder.path(), mine).map_err(|error| error.to_string());
        let shared = said(&mine("-us", "churn", "git+branch:modelgate")).expect_err("one model");
        assert!(shared.contains("`.github/workflows/train.yml` is of the project in `eu`"), "{shared}");
        assert!(shared.contains("versions and production would be those of both"), "{shared}");
        assert_eq!(said(&mine("-us", "churn-us", "git+branch:modelgate")), Ok(()));
        assert_eq!(said(&mine("-us", "churn", "git+branch:modelgate-us")), Ok(()));
        let comment = said(&mine("-churn", "churn-us", "git+branch:modelgate")).expect_err("one comment");
        assert!(comment.contains("comment and check run would be those of both"), "{comment}");
        // Its own files are no others.
        assert_eq!(said(&mine("", "churn", "git+branch:modelgate")), Ok(()));
    }

    #[test]
    fn what_somebody_else_wrote_and_a_second_set_of_the_same_are_refused() {
        let folder = repository();
        let root = folder.path();
        let foreign = |suffix: &str| check_foreign(root, suffix).map_err(|error| error.to_string());
        // One that runs modelgate is somebody's own as long as it has no mark.
        fs_err::write(root.join(".github/workflows/ci.yml"), "runs: modelgate\n").expect("written");
        let train = root.join(".github/workflows/train.yml");
        let text = fs_err::read_to_string(&train).expect("read");
        fs_err::write(&train, format!("# modelgate ci init sha256:0: edit it\n{text}")).expect("written");
        let error = foreign("").expect_err("taken");
        // The `deploy.yml` of the repository has none either.
        let both = "`.github/workflows/ci.yml`, `.github/workflows/deploy.yml` are not modelgate's";
        assert!(error.starts_with(both) && error.contains("nothing was written"), "{error}");
        assert_eq!(foreign("-mg"), Ok(()));

        let same = Mine { suffix: "-mg", ..of("eu", "churn") };
        let error = check_owner(root, &same).expect_err("twice").to_string();
        assert!(error.contains("train and deploy it twice: `modelgate ci init` without `--name`"), "{error}");
        assert!(check_owner(root, &Mine { registry: "git+branch:other", ..same }).is_ok());
    }

    #[test]
    fn recipes_are_of_the_pipeline_that_they_name() {
        let folder = repository();
        let root = folder.path();
        let owns = |pipeline: &str, suffix: &str| {
            let known = |name: &str| ["churn", "flowers"].contains(&name);
            owns_recipes(root, &root.join("eu"), &Mine { suffix, ..of("eu", pipeline) }, known)
        };
        // Whoever is asked first writes what is missing.
        assert!(owns("flowers", "-flowers"));
        fs_err::write(root.join("eu/Makefile"), "all:\n").expect("written");
        assert!(!owns("flowers", "-flowers") && owns("churn", ""));
        fs_err::write(root.join("eu/justfile"), "pipeline := \"flowers\"\n").expect("written");
        assert!(owns("flowers", "-flowers") && !owns("churn", "") && !owns("churn", "-churn"));
        // The pipeline of that name is gone.
        fs_err::write(root.join("eu/Makefile"), "MODEL ?= x\nPIPELINE ?= blooms\n").expect("written");
        assert!(owns("flowers", "-flowers") && owns("churn", "-churn"));
    }

    #[test]
    fn workflows_that_stayed_behind_in_another_registry_are_named() {
        let folder = repository();
        let told = |mine: &Mine<'_>| of_another_registry(folder.path(), mine);
        let moved = Mine { folder: "eu", pipeline: "flowers", ..mine("-flowers", "flowers", "s3://b/r") };
        let said = told(&moved);
        assert!(
            said.len() == 1 && said[0].contains("`modelgate ci init --pipeline churn` writes them again"),
            "{said:?}"
        );
        assert!(told(&Mine { registry: "git+branch:modelgate", ..moved }).is_empty());
        // Of another project it is nobody's business.
        assert!(told(&mine("-us", "churn", "s3://b/r")).is_empty());
    }

    #[test]
    fn workflows_of_a_pipeline_or_a_folder_that_is_gone_are_replaced() {
        let folder = repository();
        let root = folder.path();
        let error = check_owner(root, &of("us", "churn")).expect_err("of another").to_string();
        assert!(
            error.contains("in `eu`: `modelgate ci init --name us` writes workflows beside it"),
            "{error}"
        );
        assert!(
            check_owner(root, &of("eu", "flowers")).is_err() && check_owner(root, &of("eu", "churn")).is_ok()
        );
        fs_err::write(root.join("eu/modelgate.yaml"), PROJECT.replace("churn:", "flowers:"))
            .expect("renamed");
        assert!(check_owner(root, &of("eu", "flowers")).is_ok());
        fs_err::write(root.join("eu/modelgate.yaml"), PROJECT).expect("as before");
        fs_err::rename(root.join("eu"), root.join("moved")).expect("moved");
        assert!(check_owner(root, &of("moved", "churn")).is_ok());
        assert!(check_apart(root, &mine("-us", "churn", "git+branch:modelgate")).is_ok());
    }
}
