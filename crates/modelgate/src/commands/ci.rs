//! `modelgate ci`: the files that make a repository's CI, and what a step of it says.

mod approver;
mod comment;
mod init;
mod lines;
mod others;
mod watched;
mod words;

pub(crate) use init::check_place;
pub(crate) use words::RulesPlace;

use std::path::{Component, Path, PathBuf};

use modelgate_deploy::github::Client;
use modelgate_pipeline::Project;
use modelgate_registry::RegistryUri;

use crate::arguments::ci::Ci;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Where a registry lives that CI can share without a server.
const REGISTRY: &str = "git+branch:modelgate";

pub(crate) fn execute(ci: &Ci, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match ci {
        Ci::Init(arguments) => init::execute(arguments, project, printer),
        Ci::Comment(arguments) => comment::execute(arguments, project, printer),
        Ci::Summary(arguments) => comment::summary(arguments, project, printer),
        Ci::Approver(arguments) => approver::execute(arguments, printer),
    }
}

/// Returns the address of the registry as workflows have it.
pub(crate) fn registry(project: &Project) -> anyhow::Result<String> {
    let named = project.config.registry.uri.clone().filter(|uri| !uri.is_empty());
    let registry = named.unwrap_or_else(|| REGISTRY.to_owned());
    if registry.contains('@') {
        let sentence = "the address of the registry holds a name or a password, which must not get into files of the \
                        repository: take it out of `registry.uri` and MODELGATE_REGISTRY_URI";
        return Err(UsageError(sentence.to_owned()).into());
    }
    check_text("registry.uri", &registry)?;
    RegistryUri::parse(Some(&registry)).map_err(|error| UsageError(format!("registry.uri: {error}")))?;
    Ok(registry)
}

/// Refuses a text that means something else in a workflow.
fn check_text(key: &str, text: &str) -> anyhow::Result<()> {
    if !text.contains("${{") && !text.contains(char::is_control) {
        return Ok(());
    }
    let sentence = format!(
        "{key} `{}` has a name that workflows cannot use: `${{{{` begins an expression there, and a line ends",
        text.escape_debug()
    );
    Err(UsageError(sentence).into())
}

/// Refuses what cannot go into YAML and shell without quotes.
pub(crate) fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    let plain = !name.starts_with('-')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    if plain && !(what == "--name" && name.contains('/')) {
        return Ok(());
    }
    let sentence =
        format!("{what} `{name}` has a name that workflows cannot use: letters, digits, `-`, `_`, `.`");
    Err(UsageError(sentence).into())
}

/// Returns the root of the repository that the project is in.
fn repository(project: &Project) -> anyhow::Result<PathBuf> {
    repository_of(&project.root)
}

/// Returns the root of the repository that a folder is in.
pub(crate) fn repository_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut above = Some(folder);
    while let Some(root) = above {
        // A worktree has a file of this name.
        if root.join(".git").exists() {
            return Ok(root.to_owned());
        }
        above = root.parent();
    }
    let sentence = format!("`{}` is in no git repository: `git init` makes one", folder.display());
    Err(UsageError(sentence).into())
}

/// Returns a path of the project from the repository's root, with `/` and without detours.
pub(crate) fn from_root(root: &Path, path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let relative = plain.strip_prefix(root).unwrap_or(&plain);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Returns a client with the token of the job.
fn client() -> anyhow::Result<Client> {
    let Some(token) = environment::variable("GITHUB_TOKEN") else {
        let sentence = "GITHUB_TOKEN is not set: give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`; the report \
                        is in the summary";
        return Err(UsageError(sentence.to_owned()).into());
    };
    Client::new(token).map_err(|error| UsageError(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_the_root_as_code_hosts_know_it() {
        let root = Path::new("/r");
        let told = |path: &str| from_root(root, Path::new(path));
        assert_eq!(told("/r/teams/eu/../../shared/wine.contract.yaml"), "shared/wine.contract.yaml");
        assert_eq!((told("/r/./a/b.yaml"), told("/r")), ("a/b.yaml".to_owned(), ".".to_owned()));
    }
}
