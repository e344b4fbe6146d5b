//! `modelgate deploy docker`: the files that put the service into a container.

use std::path::Path;
use std::process::Stdio;

use modelgate_core::ModelName;
use modelgate_deploy::containers::{Docker as Plan, Image, docker_files, image_path, image_workflow};
use modelgate_deploy::workflows::{DEPLOY_DOCKER, Outcome, write_marked};
use modelgate_pipeline::{Project, deployment, registry};

use crate::arguments::deploy::Docker;
use crate::commands::ci::{check_name, from_root, registry as shared_registry};
use crate::commands::written;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Returns the root of the repository, if `ci init` was run in it: its action installs what the workflow needs.
fn with_workflows(folder: &Path) -> Option<&Path> {
    let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
    root.join(".github/actions/modelgate/action.yml").is_file().then_some(root)
}

/// Returns a key's file as `COPY` and `.dockerignore` take it: below the project, and without letters that mean something
/// to either.
fn in_image(name: &str) -> anyhow::Result<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if name.starts_with('/') || parts.contains(&"..") || !name.chars().all(plain) {
        let sentence = format!(
            "signing.public_keys: `{name}` cannot go into an image: keep a copy below the project, in a file named with \
             letters, digits, `-`, `_` and `.` alone"
        );
        return Err(UsageError(sentence).into());
    }
    Ok(parts.join("/"))
}

/// Returns what the workflow is filled in with, unless it would be written over that of another model.
fn image(
    root: &Path,
    arguments: &Docker,
    project: &Project,
    model: &ModelName,
    signed: bool,
) -> anyhow::Result<Image> {
    let folder = from_root(root, &project.root);
    check_name("the folder", &folder)?;
    let name = arguments.name.as_deref();
    check_name("--name", name.unwrap_or_default())?;
    let suffix = name.map_or_else(String::new, |name| format!("-{name}"));
    let path = image_path(&suffix);
    let text = fs_err::read_to_string(root.join(&path)).unwrap_or_default();
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key));
    if let (Some(other), Some(place)) = (value("MODEL: "), value("working-directory: ")) {
        let other = other.trim_matches('"');
        if other != model.as_str() || place != folder {
            let sentence = format!(
                "`{}` is of the model `{other}` in `{place}`: `--name {model}` writes another beside it",
                path.display()
            );
            return Err(UsageError(sentence).into());
        }
    }
    Ok(Image { model: model.clone(), folder, registry: shared_registry(project)?, signed, suffix })
}

/// Refuses a model that no pipeline makes and the registry does not have: its image would hold nothing.
fn known(project: &Project, model: &ModelName) -> anyhow::Result<()> {
    let pipelines = project.pipelines()?;
    if pipelines.iter().any(|pipeline| pipeline.model == *model) {
        return Ok(());
    }
    let found = registry(project).and_then(|registry| Ok(registry.model(model).map(drop)?));
    let Err(error) = found else { return Ok(()) };
    let names: Vec<String> = pipelines.iter().map(|pipeline| format!("`{}`", pipeline.model)).collect();
    let sentence =
        format!("no pipeline makes `{model}`, they make {}; and of the registry: {error}", names.join(", "));
    Err(UsageError(sentence).into())
}

/// Warns where git would take the file that Compose reads secrets from.
fn say_of_secrets(root: &Path, printer: &Printer) {
    let mut git = modelgate_store::git::git(root);
    git.args(["check-ignore", "-q", "--", ".env"]);
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    // 1: it is not ignored. Without git, or outside of a repository, there is nothing that would take it.
    if status.is_ok_and(|status| status.code() == Some(1)) {
        printer.warning(
            "git does not ignore `.env`, from which Compose takes secrets: put a line `.env` into .gitignore before you write \
             one",
        );
    }
}

pub(super) fn execute(arguments: &Docker, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let model = super::model(arguments.model.as_ref(), project)?;
    known(project, &model)?;
    let keys = super::public_keys(project)?;
    let workflow = match with_workflows(&project.root) {
        Some(root) => Some((root, image(root, arguments, project, &model, !keys.is_empty())?)),
        None => None,
    };
    if !keys.is_empty() {
        deployment::check_signature(project, &registry(project)?, &model)?;
    }
    let keys = keys.iter().map(|(name, _)| in_image(name)).collect::<anyhow::Result<_>>()?;
    let serve = super::served(project, printer);
    let plan = Plan { project: project.config.project.clone(), model: model.clone(), keys, serve };
    // A further model has an image of its own, by the files of the first.
    let shared = arguments.name.is_some() && project.root.join("Dockerfile").is_file();
    let files = if shared { Vec::new() } else { docker_files(&plan) };
    let mut written = write_marked(DEPLOY_DOCKER, &project.root, &files, arguments.force, arguments.check)?;
    match workflow {
        Some((root, image)) => {
            let workflow = image_workflow(&image);
            written.extend(write_marked(DEPLOY_DOCKER, root, &[workflow], arguments.force, arguments.check)?);
        }
        None => printer.talk(
            "there are no workflows of `modelgate ci init` here: none that builds the image is written",
        ),
    }
    written::tell(&written, arguments.check, ("is yours", "is yours"), printer)?;
    if arguments.check {
        let differs = written.iter().any(|one| one.outcome != Outcome::Same);
        return Ok(if differs { Exit::Blocked } else { Exit::Passed });
    }
    say_of_secrets(&project.root, printer);
    printer.talk(&format!("next: `modelgate model pull {model}`, then `docker compose up --build`"));
    Ok(Exit::Passed)
}
