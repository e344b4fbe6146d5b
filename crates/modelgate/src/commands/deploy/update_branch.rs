//! `modelgate deploy update-branch`: results to a branch.

use modelgate_deploy::branch::{self, BranchError, Identity, Update};
use modelgate_pipeline::Project;
use serde_json::json;

use crate::arguments::deploy::UpdateBranch;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

fn told(error: BranchError) -> anyhow::Error {
    match error {
        BranchError::Usage(sentence) => UsageError(sentence).into(),
        error => error.into(),
    }
}

/// Returns what lies in `outputs` here, each for itself, the folders of pipelines and what else somebody put there: what another
/// clone made of another pipeline is not replaced by nothing.
fn results(project: &Project) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    let folder = project.root.join("outputs");
    for entry in folder.is_dir().then(|| fs_err::read_dir(&folder)).transpose()?.into_iter().flatten() {
        // A name that is no path of git's is told by who collects them.
        let Ok(name) = entry?.file_name().into_string() else { return Ok(vec!["outputs".to_owned()]) };
        paths.push(format!("outputs/{name}"));
    }
    paths.sort();
    Ok(if paths.is_empty() { vec!["outputs".to_owned()] } else { paths })
}

pub(super) fn execute(
    arguments: &UpdateBranch,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let root = &project.root;
    if project.config.registry.uri.as_deref() == Some(&format!("git+branch:{}", arguments.branch)) {
        let sentence = format!("`{}` is the branch of the registry: results go to another", arguments.branch);
        return Err(UsageError(sentence).into());
    }
    let identity = match (&arguments.name, &arguments.email) {
        (Some(name), Some(email)) => Some(Identity { name: name.clone(), email: email.clone() }),
        _ => branch::configured_identity(root).map_err(told)?,
    };
    let Some(identity) = identity else {
        let sentence = "who is the commit by? give --name and --email, or set git's user.name and user.email";
        return Err(UsageError(sentence.to_owned()).into());
    };
    let plain = |text: &str| !text.trim().is_empty() && !text.contains(['<', '>', '\n', '\r', '\0']);
    if !plain(&identity.name) || !plain(&identity.email) {
        return Err(UsageError(
            "--name and --email: expected a name and an address, without `<` and `>`".to_owned(),
        )
        .into());
    }
    let remote = match &arguments.remote {
        Some(remote) if remote.starts_with('-') => {
            return Err(UsageError(format!("`{remote}` is no remote")).into());
        }
        Some(remote) => Some(remote.clone()),
        None => branch::default_remote(root).map_err(told)?,
    };
    let message = match &arguments.message {
        Some(message) => message.clone(),
        None => match branch::checked_out(root).map_err(told)? {
            Some(commit) => format!("results of {commit}"),
            None => "results".to_owned(),
        },
    };
    let paths = if arguments.paths.is_empty() { results(project)? } else { arguments.paths.clone() };
    let update = Update {
        folder: root.clone(),
        branch: arguments.branch.clone(),
        remote,
        paths,
        message,
        identity,
        force: arguments.force,
    };
    let updated = branch::update(&update, arguments.dry_run).map_err(told)?;
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "branch": update.branch, "remote": update.remote, "commit": updated.commit,
            "changed": updated.changed, "files": updated.files,
        }))?;
        return Ok(Exit::Passed);
    }
    let place =
        update.remote.map_or_else(|| update.branch.clone(), |remote| format!("{remote}/{}", update.branch));
    if arguments.dry_run {
        updated.files.iter().try_for_each(|file| printer.data(file))?;
        printer.talk(&format!("these would go to {place}, by {}", update.identity.name));
    } else if updated.changed {
        let commit = updated.commit.unwrap_or_default();
        printer.talk(&format!(
            "{place} has {} files in {}",
            updated.files.len(),
            &commit[..commit.len().min(12)]
        ));
    } else {
        printer.talk(&format!("{place} has them already"));
    }
    Ok(Exit::Passed)
}
