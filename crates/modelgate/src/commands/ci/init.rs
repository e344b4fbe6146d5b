//! `modelgate ci init`: the files that make a repository's CI.

use std::path::Path;

use modelgate_config::{ApprovalPolicy, ManualPolicy, SpaceConfig};
use modelgate_deploy::workflows::{self, Deploy, Plan, Watched};
use modelgate_pipeline::{PROJECT_FILE, Pipeline, Project, pipeline_rules, selftest};

use super::others::{Mine, check_apart, check_foreign, check_owner, of_another_registry, owns_recipes};
use super::watched;
use super::{REGISTRY, check_name, from_root, registry, repository, repository_of};
use crate::arguments::ci::{DeployTarget, Init};
use crate::commands::deploy::check_model_of_space;
use crate::commands::{doubts, written};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Returns what `git` prints, when it succeeds and prints something.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = modelgate_store::git::git(root).args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

/// Where a clone has the branches of its remote.
const REMOTE: &str = "refs/remotes/origin";

fn exists(root: &Path, place: &str, name: &str) -> bool {
    git(root, &["rev-parse", "--verify", "--quiet", &format!("{place}/{name}")]).is_some()
}

/// Returns the branch that clones of the remote begin with, as this one knows it.
fn remote_head(root: &Path) -> Option<String> {
    let head = git(root, &["symbolic-ref", &format!("{REMOTE}/HEAD")])?;
    head.strip_prefix(&format!("{REMOTE}/")).map(str::to_owned)
}

/// Returns the branch that pull requests go to: the remote's own, else `main` or `master`, else the one that is checked out.
fn branch(root: &Path) -> Option<String> {
    let head = remote_head(root);
    // A clone keeps the name of before where the remote's branch was given another one.
    let is_stale = head.as_ref().is_some_and(|head| !exists(root, REMOTE, head));
    if let Some(head) = head.filter(|_| !is_stale) {
        return Some(head);
    }
    let there = |name: &&str| exists(root, REMOTE, name) || !is_stale && exists(root, "refs/heads", name);
    let common = ["main", "master"].into_iter().find(there).map(str::to_owned);
    // A repository without commits has a branch already, that nothing is on.
    common.or_else(|| git(root, &["symbolic-ref", "--short", "HEAD"]))
}

/// Says which branch was taken where the clone knows none of the remote's.
fn say_of_the_branch(root: &Path, arguments: &Init, plan: &Plan, printer: &Printer) {
    let stale = remote_head(root).filter(|head| !exists(root, REMOTE, head));
    if let (None, Some(stale)) = (&arguments.branch, stale) {
        printer.talk(&format!(
            "the workflows are for the branch `{}`: `origin/HEAD` names `{stale}`, which is there no more \
             (`git remote set-head origin --auto` mends that); `--branch` names another",
            plan.branch
        ));
    }
}

/// Warns where what is started from elsewhere finds nothing to do: GitHub runs it on the branch that clones begin with.
fn say_of_events(root: &Path, plan: &Plan, printer: &Printer) {
    let head = remote_head(root).filter(|head| exists(root, REMOTE, head));
    if let Some(head) = head.filter(|head| *head != plan.branch) {
        printer.warning(&format!(
            "the workflows are for the branch `{}`, and clones of the remote begin with `{head}`: GitHub takes what is started by \
             hand, by the clock or by a `repository_dispatch` from there alone, so that deploy{}.yml does nothing for an event \
             from elsewhere. Make `{}` the default branch in the settings of the repository, or start it by hand on that branch",
            plan.branch, plan.suffix, plan.branch
        ));
    }
}

/// Returns whether the source of a pipeline is in Git LFS, as the attributes of git say it.
fn is_in_lfs(project: &Project, source: &str) -> bool {
    if source.contains("://") {
        return false;
    }
    // Of many files the first tell it as well as all.
    let files = modelgate_data::find_files(&project.root, source).unwrap_or_default();
    let mut arguments = vec!["check-attr", "filter", "--", source];
    arguments.extend(files.iter().take(100).map(|file| file.name.as_str()));
    git(&project.root, &arguments)
        .is_some_and(|said| said.lines().any(|line| line.ends_with(": filter: lfs")))
}

fn plan(arguments: &Init, project: &Project, pipeline: &Pipeline<'_>, root: &Path) -> anyhow::Result<Plan> {
    let folder = from_root(root, &project.root);
    let branch = arguments.branch.clone().or_else(|| branch(root)).unwrap_or_else(|| "main".to_owned());
    if arguments.name.as_deref() == Some("") {
        return Err(UsageError("--name: expected a name, such as `churn`".to_owned()).into());
    }
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
    if let Some(space) = space.filter(|_| deploy == DeployTarget::Space) {
        check_model_of_space(space, project, &pipeline.model)?;
    }
    let registry = registry(project)?;
    let config = &pipeline.config.data;
    let source = config.source.as_str();
    let requirements = "requirements.txt";
    let found = project.root.join(requirements).is_file();
    let remote = project.config.data.remote.as_deref();
    let dvc = [&project.root, root].map(|folder| folder.join(".dvc/config"));
    let dvc = dvc.iter().find(|file| file.is_file());
    let data = watched::of(project, pipeline, &folder, dvc.is_some())?;
    let space_secrets = space.map_or_else(Vec::new, variables_of);
    if deploy == DeployTarget::Space {
        space_secrets.iter().try_for_each(|name| check_secret("deploy.space.secrets", name))?;
    }
    let notify = &project.config.notify;
    let notify_secret = notify.secret_env.clone().filter(|_| notify.url.is_some());
    if let Some(name) = &notify_secret {
        check_secret("notify.secret_env", name)?;
    }
    let in_bucket = |address: &str| address.starts_with("s3://");
    let dvc_in_bucket =
        dvc.and_then(|file| fs_err::read_to_string(file).ok()).is_some_and(|text| text.contains("s3://"));
    let mine = Mine {
        folder: &folder,
        pipeline: pipeline.name,
        model: pipeline.model.as_str(),
        registry: &registry,
        suffix: &suffix,
    };
    let known = |name: &str| project.config.pipelines.contains_key(name);
    Ok(Plan {
        recipes: owns_recipes(root, &project.root, &mine, known),
        lfs: is_in_lfs(project, source),
        automatic: pipeline.config.promotion.approval == ApprovalPolicy::Automatic,
        sign: project.config.signing.require_signature,
        notify_secret,
        folder,
        pipeline: pipeline.name.to_owned(),
        model: pipeline.model.to_string(),
        cloud: in_bucket(&registry) || in_bucket(source) || remote.is_some_and(in_bucket) || dvc_in_bucket,
        registry,
        branch,
        suffix,
        pull: remote.is_some() || dvc.is_some(),
        data: data.all,
        compared: data.compared,
        requirements: (found && pipeline.config.train.command.is_some()).then(|| requirements.to_owned()),
        tests: project.root.join("tests").is_dir(),
        deploy: match deploy {
            DeployTarget::None => Deploy::None,
            DeployTarget::Space => Deploy::Space,
        },
        space_secrets,
    })
}

/// Refuses a variable that no secret of a repository can be called.
fn check_secret(key: &str, name: &str) -> anyhow::Result<()> {
    if name == "GITHUB_TOKEN" || !name.to_ascii_uppercase().starts_with("GITHUB_") {
        return Ok(());
    }
    let sentence = format!(
        "{key} takes from `{name}`, which a workflow would get from a secret of that name: GitHub keeps names that begin \
         with GITHUB_ for itself, so call it otherwise"
    );
    Err(UsageError(sentence).into())
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

/// Refuses a folder that workflows cannot be written for: what `init --ci` asks before it writes anything.
pub(crate) fn check_place(folder: &Path, pipeline: &str) -> anyhow::Result<()> {
    let root = repository_of(folder)?;
    let place = from_root(&root, folder);
    let branch = branch(&root).unwrap_or_else(|| "main".to_owned());
    check_names(&place, pipeline, &branch, "")?;
    // As the project file is written: a model of the pipeline's name, and no registry of its own.
    let mine = Mine { folder: &place, pipeline, model: pipeline, registry: REGISTRY, suffix: "" };
    check_owner(&root, &mine)?;
    check_foreign(&root, mine.suffix)?;
    check_apart(&root, &mine)
}

/// Warns where no rule holds while nothing is in production: the self-test of train.yml refuses such a gate, and no first
/// version comes through.
fn say_of_the_first_version(pipeline: &Pipeline<'_>, plan: &Plan, printer: &Printer) -> anyhow::Result<()> {
    if pipeline_rules(pipeline)?.iter().any(selftest::holds_alone) {
        return Ok(());
    }
    printer.warning(&format!(
        "no rule of the gate holds while nothing is in production, so that `modelgate gate selftest` in train{}.yml will let no \
         first version through: {}",
        plan.suffix,
        selftest::advice(pipeline)
    ));
    Ok(())
}

/// Warns where `data pull` of the workflows looks for a folder that only this machine has.
fn say_of_the_remote(project: &Project, plan: &Plan, printer: &Printer) {
    let Some(remote) = project.config.data.remote.as_deref().filter(|remote| !remote.contains("://")) else {
        return;
    };
    if Path::new(remote).is_absolute() || Watched::file(&plan.folder, remote).is_none() {
        printer.warning(&format!(
            "data.remote `{remote}` is a folder of this machine: no runner has it, and `modelgate data pull` fails there. An \
             `s3://bucket/prefix` is reached from both"
        ));
    }
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

/// Says what of the policy keeps the workflows from promoting, and what they need for it.
fn say_of_promotions(project: &Project, pipeline: &Pipeline<'_>, plan: &Plan, printer: &Printer) {
    let promotion = &pipeline.config.promotion;
    let automatic = promotion.approval == ApprovalPolicy::Automatic;
    if promotion.manual == ManualPolicy::Forbidden && !automatic {
        printer.talk(&format!(
            "`promotion.manual` is `forbidden`, and deploy{}.yml promotes by hand: its job `production` will be refused",
            plan.suffix
        ));
    }
    if !project.config.signing.require_signature {
        return;
    }
    if automatic {
        printer.warning(&format!(
            "`signing.require_signature` with `promotion.approval: automatic`: the run of train{}.yml would promote what nobody \
             has signed yet, and is refused. `approval: required` lets deploy{}.yml sign it first",
            plan.suffix, plan.suffix
        ));
    } else {
        printer.talk(&format!(
            "set the secret {} of the environment `production`, the private key that deploy{}.yml signs versions with once \
             they are approved, and let that environment hold for the main branch alone; without it, each has to be signed with \
             `modelgate model sign` before deploy{}.yml goes on",
            workflows::SIGNING_KEY,
            plan.suffix,
            plan.suffix
        ));
    }
}

pub(super) fn execute(arguments: &Init, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let root = repository(project)?;
    let plan = plan(arguments, project, &pipeline, &root)?;
    let mine = Mine {
        folder: &plan.folder,
        pipeline: &plan.pipeline,
        model: &plan.model,
        registry: &plan.registry,
        suffix: &plan.suffix,
    };
    check_owner(&root, &mine)?;
    check_apart(&root, &mine)?;
    if !arguments.force && !arguments.check {
        check_foreign(&root, &plan.suffix)?;
    }
    let files = workflows::files(&plan);
    let written = workflows::write(&root, &files, arguments.force, arguments.check)?;
    written::tell(&written, arguments.check, ("was edited", "is not modelgate's"), printer)?;
    of_another_registry(&root, &mine).iter().for_each(|one| printer.warning(one));
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
    say_of_the_branch(&root, arguments, &plan, printer);
    say_of_events(&root, &plan, printer);
    say_of_promotions(project, &pipeline, &plan, printer);
    say_of_the_first_version(&pipeline, &plan, printer)?;
    say_of_the_remote(project, &plan, printer);
    if let Some(sentence) = doubts::of_dvc(&project.root) {
        printer.warning(&sentence);
    }
    if let Some(name) = &plan.notify_secret {
        printer.talk(&format!(
            "set the secret {name} in the repository: `notify.secret_env` signs messages with it"
        ));
    }
    if plan.cloud {
        printer.talk(&format!(
            "set the secrets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the repository; and \
             AWS_READ_ACCESS_KEY_ID and AWS_READ_SECRET_ACCESS_KEY, a key that may only read: ci{0}.yml and \
             data-validation{0}.yml run the code of pull requests with it",
            plan.suffix
        ));
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
    let stays = [workflows::Outcome::Kept, workflows::Outcome::Foreign];
    if written.iter().all(|one| !stays.contains(&one.outcome)) {
        printer.talk("next: commit them, and set required reviewers for the environment `production`");
    }
    Ok(Exit::Passed)
}
