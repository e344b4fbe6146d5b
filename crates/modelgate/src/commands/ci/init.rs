//! `modelgate ci init`: the files that make a repository's CI.

use std::path::Path;
use std::process::Command;

use modelgate_config::{ManualPolicy, SpaceConfig};
use modelgate_deploy::workflows::{self, Deploy, Plan};
use modelgate_pipeline::datasets::POINTER;
use modelgate_pipeline::{PROJECT_FILE, Pipeline, Project};

use super::{REGISTRY, check_name, from_root, registry, repository, repository_of};
use crate::arguments::ci::{DeployTarget, Init};
use crate::commands::written;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Returns what `git` prints, when it succeeds and prints something.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

/// Returns the branch that pull requests go to: the remote's own, else `main` or `master`, else the one that is checked out.
fn branch(root: &Path) -> Option<String> {
    if let Some(head) = git(root, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]) {
        return head.strip_prefix("origin/").map(str::to_owned);
    }
    let exists = |name: &&str| {
        ["refs/heads", "refs/remotes/origin"].iter().any(|place| {
            git(root, &["rev-parse", "--verify", "--quiet", &format!("{place}/{name}")]).is_some()
        })
    };
    let common = ["main", "master"].into_iter().find(exists).map(str::to_owned);
    // A repository without commits has a branch already, that nothing is on.
    common.or_else(|| git(root, &["symbolic-ref", "--short", "HEAD"]))
}

fn plan(arguments: &Init, project: &Project, pipeline: &Pipeline<'_>, root: &Path) -> anyhow::Result<Plan> {
    let folder = from_root(root, &project.root);
    let branch = arguments.branch.clone().or_else(|| branch(root)).unwrap_or_else(|| "main".to_owned());
    let suffix = arguments.name.as_ref().map_or_else(String::new, |name| format!("-{name}"));
    check_names(&folder, pipeline.name, &branch, &suffix)?;
    let space = project.config.deploy.space.as_ref();
    let deploy = arguments.deploy.unwrap_or_else(|| target_of(root, &suffix));
    if deploy == DeployTarget::Space && space.is_none() {
        let asked = match arguments.deploy {
            Some(_) => "--deploy space".to_owned(),
            None => format!("deploy{suffix}.yml brings the model to a Space (`--deploy none` ends that)"),
        };
        let sentence = format!(
            "{asked}: `{PROJECT_FILE}` has no `deploy.space`: `deploy: {{space: {{repository: owner/name}}}}` names the Space"
        );
        return Err(UsageError(sentence).into());
    }
    let registry = registry(project)?;
    let config = &pipeline.config.data;
    let source = config.source.as_str();
    // Data in a bucket changes without a commit; its pointer file does not.
    let local = (!source.contains("://")).then(|| match source.rsplit_once('/') {
        Some((folder, _)) if !folder.contains(['*', '?', '[']) => format!("{folder}/**"),
        _ => source.to_owned(),
    });
    let pointers = format!("data/*.{POINTER}");
    let mut compared = vec![pointers.clone()];
    compared.extend(local.is_some().then(|| source.to_owned()));
    let mut data: Vec<String> = local.into_iter().collect();
    if project.config.data.remote.is_some() {
        data.push(pointers);
    }
    data.extend(config.contract.clone());
    let requirements = "requirements.txt";
    let found = project.root.join(requirements).is_file();
    let remote = project.config.data.remote.as_deref();
    let dvc = [&project.root, root].map(|folder| folder.join(".dvc/config"));
    let dvc = dvc.iter().find(|file| file.is_file());
    let in_bucket = |address: &str| address.starts_with("s3://");
    let dvc_in_bucket =
        dvc.and_then(|file| fs_err::read_to_string(file).ok()).is_some_and(|text| text.contains("s3://"));
    Ok(Plan {
        folder,
        pipeline: pipeline.name.to_owned(),
        model: pipeline.model.to_string(),
        cloud: in_bucket(&registry) || in_bucket(source) || remote.is_some_and(in_bucket) || dvc_in_bucket,
        registry,
        branch,
        suffix,
        pull: remote.is_some() || dvc.is_some(),
        data,
        compared,
        requirements: (found && pipeline.config.train.command.is_some()).then(|| requirements.to_owned()),
        tests: project.root.join("tests").is_dir(),
        deploy: match deploy {
            DeployTarget::None => Deploy::None,
            DeployTarget::Space => Deploy::Space,
        },
        space_secrets: space.map_or_else(Vec::new, variables_of),
    })
}

/// Returns where the workflow that is there brings a model: without being told again, it stays so.
fn target_of(root: &Path, suffix: &str) -> DeployTarget {
    let file = root.join(format!(".github/workflows/deploy{suffix}.yml"));
    let text = fs_err::read_to_string(file).unwrap_or_default();
    let brings = text
        .lines()
        .any(|line| !line.trim_start().starts_with('#') && line.contains("modelgate deploy space "));
    if brings { DeployTarget::Space } else { DeployTarget::None }
}

/// Returns the variables that `deploy space` reads for a Space: those of its secrets, and the key that it is looked at with
/// where it asks for one.
fn variables_of(space: &SpaceConfig) -> Vec<String> {
    let mut variables: Vec<String> = space.secrets.values().cloned().collect();
    if space.secrets.contains_key("MODELGATE_API_KEYS") {
        variables.push("MODELGATE_API_KEY".to_owned());
    }
    variables.sort();
    variables.dedup();
    variables
}

/// Returns whether a command runs Python.
fn runs_python(command: &str) -> bool {
    command.split_whitespace().any(|word| {
        let program = word.rsplit(['/', '\\']).next().unwrap_or(word);
        program.starts_with("python") || Path::new(program).extension().is_some_and(|ending| ending == "py")
    })
}

/// Refuses to write workflows of one pipeline over those of another.
fn check_owner(root: &Path, folder: &str, name: &str, suffix: &str) -> anyhow::Result<()> {
    let file = format!(".github/workflows/train{suffix}.yml");
    let Ok(text) = fs_err::read_to_string(root.join(&file)) else { return Ok(()) };
    let runs = |line: &&str| line.trim_start().starts_with("modelgate run ");
    let Some(pipeline) = text.lines().find(runs).and_then(|line| line.split_whitespace().nth(2)) else {
        return Ok(());
    };
    let place = text.lines().find_map(|line| line.trim().strip_prefix("working-directory: ")).unwrap_or(".");
    if pipeline == name && place == folder {
        return Ok(());
    }
    let sentence = format!(
        "`{file}` is of the pipeline `{pipeline}` in `{place}`: `--name {name}` writes workflows beside it"
    );
    Err(UsageError(sentence).into())
}

/// Refuses a folder that workflows cannot be written for: what `init --ci` asks before it writes anything.
pub(crate) fn check_place(folder: &Path, pipeline: &str) -> anyhow::Result<()> {
    let root = repository_of(folder)?;
    let place = from_root(&root, folder);
    let branch = branch(&root).unwrap_or_else(|| "main".to_owned());
    check_names(&place, pipeline, &branch, "")?;
    check_owner(&root, &place, pipeline, "")
}

/// Refuses names that cannot go into a workflow.
fn check_names(folder: &str, pipeline: &str, branch: &str, suffix: &str) -> anyhow::Result<()> {
    let names = [
        ("the folder", folder),
        ("the pipeline", pipeline),
        ("the branch", branch),
        ("--name", suffix.trim_start_matches('-')),
    ];
    names.iter().try_for_each(|(what, name)| check_name(what, name))
}

pub(super) fn execute(arguments: &Init, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let root = repository(project)?;
    let plan = plan(arguments, project, &pipeline, &root)?;
    check_owner(&root, &plan.folder, &plan.pipeline, &plan.suffix)?;
    let files = workflows::files(&plan);
    let written = workflows::write(&root, &files, arguments.force, arguments.check)?;
    written::tell(&written, arguments.check, "was edited", printer)?;
    if arguments.check {
        let differs = written.iter().any(|one| one.outcome != workflows::Outcome::Same);
        return Ok(if differs { Exit::Blocked } else { Exit::Passed });
    }
    if project.config.registry.uri.is_none() {
        printer.talk(&format!(
            "the workflows keep the registry in `{REGISTRY}`, a branch of this repository; \
             `registry: {{uri: \"{REGISTRY}\"}}` in {PROJECT_FILE} makes your own runs share it"
        ));
    }
    if pipeline.config.promotion.manual == ManualPolicy::Forbidden {
        printer.talk(&format!(
            "`promotion.manual` is `forbidden`, and deploy{}.yml promotes by hand: its job `production` will be refused",
            plan.suffix
        ));
    }
    if plan.cloud {
        printer.talk(
            "set the secrets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the repository",
        );
    }
    let needs_python = pipeline.config.train.command.as_deref().is_some_and(runs_python);
    if needs_python && plan.requirements.is_none() {
        printer.warning(
            "`train.command` runs Python, and there is no requirements.txt: the workflows install nothing for it. Write what \
             it imports there, then `modelgate ci init` again",
        );
    }
    match plan.deploy {
        Deploy::Space => {
            printer.talk(
                "set the secret HF_TOKEN in the repository: a token of the Hub that may write the Space and its models",
            );
            if !plan.space_secrets.is_empty() {
                let names = plan.space_secrets.join(", ");
                printer.talk(&format!("and what `deploy.space.secrets` takes the Space's own from: {names}"));
            }
        }
        Deploy::None if project.config.deploy.space.is_some() => {
            printer.talk(
                "the workflows bring nothing to the Space of `deploy.space`: `--deploy space` makes them",
            );
        }
        Deploy::None => {}
    }
    if written.iter().all(|one| one.outcome != workflows::Outcome::Kept) {
        printer.talk("next: commit them, and set required reviewers for the environment `production`");
    }
    Ok(Exit::Passed)
}
