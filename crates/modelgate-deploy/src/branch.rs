//! Results on a branch, by git's plumbing alone: an index of its own, no checkout, nothing of the user's tree or index touched.
//!
//! The branch holds results and nothing else, under the paths that they have in the repository. A commit is built on the
//! newest one and pushed with a lease; when somebody else pushed meanwhile, it is built anew, unless they wrote the same
//! results, which is told. A clone of one commit is enough, and so is a repository that has none.

mod git;
mod guard;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_store::remote::without_credentials;
use thiserror::Error;

use git::Git;

/// How often a commit is built anew on a branch that moves.
const TRIES: usize = 10;

/// Why results did not get to a branch.
#[derive(Debug, Error)]
pub enum BranchError {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// git says no.
    #[error("git {what}: {reason}")]
    Git {
        /// Such as `push`.
        what: String,
        /// Its own words.
        reason: String,
    },
    /// Somebody else wrote there.
    #[error("the branch `{branch}` moved: {reason}")]
    Moved {
        /// The branch.
        branch: String,
        /// What happened.
        reason: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Who a commit is by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Such as `A Person`.
    pub name: String,
    /// Such as `person@example.com`.
    pub email: String,
}

/// What is to be on the branch.
#[derive(Clone, Debug)]
pub struct Update {
    /// A folder in the repository; paths are relative to it.
    pub folder: PathBuf,
    /// The branch.
    pub branch: String,
    /// The remote; the local branch alone when there is none.
    pub remote: Option<String>,
    /// Files and folders whose content takes the place of what the branch has there.
    pub paths: Vec<String>,
    /// The message.
    pub message: String,
    /// Who it is by.
    pub identity: Identity,
    /// Whether results may go beside code.
    pub force: bool,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Updated {
    /// The newest commit of the branch.
    pub commit: Option<String>,
    /// Whether it is new.
    pub changed: bool,
    /// The files, by their path in the repository.
    pub files: Vec<String>,
}

/// Returns the identity that git itself would use, if it is set.
///
/// # Errors
/// Fails without git.
pub fn configured_identity(folder: &Path) -> Result<Option<Identity>, BranchError> {
    let git = Git { folder, identity: None };
    let name = git.maybe(&["config", "user.name"])?;
    let email = git.maybe(&["config", "user.email"])?;
    Ok(name.zip(email).map(|(name, email)| Identity { name, email }))
}

/// Returns `origin`, if there is such a remote.
///
/// # Errors
/// Fails outside of a repository.
pub fn default_remote(folder: &Path) -> Result<Option<String>, BranchError> {
    let remotes = Git { folder, identity: None }.text(&["remote"], None)?;
    Ok(remotes.lines().any(|name| name == "origin").then(|| "origin".to_owned()))
}

/// Returns the commit that is checked out, if there is one.
///
/// # Errors
/// Fails without git.
pub fn checked_out(folder: &Path) -> Result<Option<String>, BranchError> {
    Git { folder, identity: None }.maybe(&["rev-parse", "--verify", "--quiet", "--short=12", "HEAD^{commit}"])
}

/// A file that goes to the branch: its path in the repository, and where it is.
type Found = (String, PathBuf);

fn collect(place: &Path, to: &str, found: &mut Vec<Found>) -> Result<(), BranchError> {
    let kind = fs_err::symlink_metadata(place)?.file_type();
    if kind.is_symlink() {
        let sentence = format!("`{to}` is a symbolic link: results are files and folders");
        return Err(BranchError::Usage(sentence));
    }
    if kind.is_file() {
        found.push((to.to_owned(), place.to_owned()));
        return Ok(());
    }
    let mut entries = fs_err::read_dir(place)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs_err::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| !name.contains(['\n', '\0']));
        let name = name
            .ok_or_else(|| BranchError::Usage(format!("`{to}` holds a file whose name git cannot list")))?;
        if name != ".git" && name != "reference.parquet" {
            collect(&entry.path(), &format!("{to}/{name}"), found)?;
        }
    }
    Ok(())
}

/// Brings results to a branch. With `dry`, says which files would go and writes nothing, not even an object.
///
/// # Errors
/// Fails when there is nothing to bring, when the branch is checked out, the remote's first, a registry or, unless forced, one
/// of code, when git says no, and when somebody else wrote the same results meanwhile.
pub fn update(update: &Update, dry: bool) -> Result<Updated, BranchError> {
    let git = Git { folder: &update.folder, identity: Some(&update.identity) };
    let usage = |sentence: String| Err(BranchError::Usage(sentence));
    let (is_repository, prefix, _) = git.run(&["rev-parse", "--show-prefix"], None, None)?;
    if !is_repository {
        return usage(format!("`{}` is in no git repository: `git init` makes one", update.folder.display()));
    }
    let prefix = String::from_utf8_lossy(&prefix).trim_end_matches(['\n', '\r']).to_owned();
    let branch = &update.branch;
    let (named, means, _) = git.run(&["check-ref-format", "--branch", branch], None, None)?;
    // `@{-1}` is a name that means another one.
    if !named || branch.starts_with('-') || String::from_utf8_lossy(&means).trim() != branch.as_str() {
        return usage(format!("`{branch}` is no name of a branch"));
    }
    if let Some(name) = branch.strip_prefix("refs/") {
        let name = name.strip_prefix("heads/").unwrap_or("update");
        return usage(format!("`{branch}` is no name of a branch: give the name alone, such as `{name}`"));
    }
    let reference = format!("refs/heads/{branch}");
    if git.maybe(&["symbolic-ref", "--quiet", "HEAD"])?.as_deref() == Some(reference.as_str()) {
        return usage(format!(
            "`{branch}` is checked out: results go to a branch of their own, such as `update`"
        ));
    }
    let mut found = Vec::new();
    for path in &update.paths {
        let plain = path.trim_end_matches('/');
        let parts = plain.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if plain.split('/').any(|part| part == ".git" || part == ".modelgate") {
            return usage(format!("`{path}`: what git and modelgate keep for themselves is no result"));
        }
        if !parts || plain.contains('\\') || Path::new(plain).is_absolute() {
            return usage(format!("`{path}`: expected a path in the project"));
        }
        if !update.folder.join(plain).exists() {
            return usage(format!("there is no `{path}`: `modelgate run` makes results"));
        }
        collect(&update.folder.join(plain), &format!("{prefix}{plain}"), &mut found)?;
    }
    found.sort();
    found.dedup();
    let files: Vec<String> = found.iter().map(|(path, _)| path.clone()).collect();
    if files.is_empty() {
        return usage(format!("there is no file in {}", update.paths.join(", ")));
    }
    guard::check_files(update, &prefix, &files)?;
    if dry {
        return Ok(Updated { commit: None, changed: false, files });
    }
    let paths: Vec<String> =
        update.paths.iter().map(|path| format!("{prefix}{}", path.trim_end_matches('/'))).collect();
    let blobs = hash(&git, &found)?;
    let mut first_seen: Option<BTreeMap<String, String>> = None;
    for _ in 0..TRIES {
        let tip = newest(&git, update, &reference)?;
        if let Some(tip) = &tip {
            guard::check(&git, update, &prefix, tip)?;
        }
        let there = tip.as_ref().map_or_else(|| Ok(BTreeMap::new()), |tip| listed(&git, tip, &paths))?;
        if there == blobs {
            return Ok(Updated { commit: tip, changed: false, files });
        }
        if first_seen.as_ref().is_some_and(|seen| *seen != there) {
            return Err(BranchError::Moved {
                branch: branch.clone(),
                reason: format!(
                    "somebody else wrote {} meanwhile; look at it, then run this again",
                    paths.join(", ")
                ),
            });
        }
        let commit = commit(&git, update, tip.as_deref(), &there, &blobs)?;
        if publish(&git, update, &reference, tip.as_deref(), &commit)? {
            return Ok(Updated { commit: Some(commit), changed: true, files });
        }
        first_seen = Some(there);
    }
    Err(BranchError::Moved {
        branch: branch.clone(),
        reason: format!("others were first {TRIES} times; run this again"),
    })
}

/// Writes the contents into the repository and returns their names by path.
fn hash(git: &Git<'_>, found: &[Found]) -> Result<BTreeMap<String, String>, BranchError> {
    let mut input = String::new();
    for (path, place) in found {
        let full = fs_err::canonicalize(place)?;
        // Windows writes whole paths in a way that git does not read.
        let full =
            full.to_str().map(|full| full.trim_start_matches(r"\\?\")).filter(|full| !full.contains('\n'));
        let full =
            full.ok_or_else(|| BranchError::Usage(format!("`{path}` has a name that git cannot list")))?;
        input.push_str(&format!("{full}\n"));
    }
    let names = git.text(&["hash-object", "-w", "--no-filters", "--stdin-paths"], Some(input.as_bytes()))?;
    let names: Vec<&str> = names.lines().collect();
    if names.len() != found.len() {
        return Err(BranchError::Git {
            what: "hash-object".to_owned(),
            reason: "it named too few files".to_owned(),
        });
    }
    Ok(found.iter().map(|(path, _)| path.clone()).zip(names.into_iter().map(ToOwned::to_owned)).collect())
}

/// Returns the branch's newest commit, fetched when there is a remote; nothing of what is fetched gets a name.
fn newest(git: &Git<'_>, update: &Update, reference: &str) -> Result<Option<String>, BranchError> {
    let Some(remote) = &update.remote else {
        return git.maybe(&["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")]);
    };
    for _ in 0..TRIES {
        let tip = tip_of(git, update, remote, reference)?;
        // Somebody pushed between the two questions: the next look sees it.
        let is_here = |tip: &String| Ok::<bool, BranchError>(git.maybe(&["cat-file", "-t", tip])?.is_some());
        if tip.as_ref().map_or(Ok(true), is_here)? {
            return Ok(tip);
        }
    }
    Err(BranchError::Moved {
        branch: update.branch.clone(),
        reason: format!("its newest commit could not be fetched {TRIES} times; run this again"),
    })
}

/// Returns the branch's newest commit at the remote, and fetches what is newest there by then.
fn tip_of(
    git: &Git<'_>,
    update: &Update,
    remote: &str,
    reference: &str,
) -> Result<Option<String>, BranchError> {
    let listing = git.text(&["ls-remote", "--symref", remote, "HEAD", reference], None)?;
    let entries = || listing.lines().filter_map(|line| line.split_once('\t'));
    if entries().any(|(value, name)| name == "HEAD" && value.strip_prefix("ref: ") == Some(reference)) {
        return Err(guard::first(&update.branch));
    }
    let tip = entries().find(|(_, name)| *name == reference).map(|(value, _)| value.to_owned());
    if tip.is_some() {
        // The newest commit is enough; a repository that is whole stays whole.
        let shallow = git.text(&["rev-parse", "--is-shallow-repository"], None)? == "true";
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        if shallow {
            arguments.push("--depth=1");
        }
        arguments.extend([remote, reference]);
        git.bytes(&arguments, None, None)?;
    }
    Ok(tip)
}

/// Returns the names of the contents that a commit has at `paths`.
fn listed(git: &Git<'_>, tip: &str, paths: &[String]) -> Result<BTreeMap<String, String>, BranchError> {
    let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", tip, "--"];
    arguments.extend(paths.iter().map(String::as_str));
    let output = git.bytes(&arguments, None, None)?;
    let output = String::from_utf8_lossy(&output).into_owned();
    // Each: mode, kind, name, tab, path.
    let entry = |line: &str| {
        let (about, path) = line.split_once('\t')?;
        Some((path.to_owned(), about.split(' ').nth(2)?.to_owned()))
    };
    Ok(output.split('\0').filter_map(entry).collect())
}

fn commit(
    git: &Git<'_>,
    update: &Update,
    tip: Option<&str>,
    there: &BTreeMap<String, String>,
    blobs: &BTreeMap<String, String>,
) -> Result<String, BranchError> {
    let folder = tempfile::tempdir()?;
    let index = folder.path().join("index");
    if let Some(tip) = tip {
        git.bytes(&["read-tree", tip], None, Some(&index))?;
    }
    let mut listing = Vec::new();
    for (path, name) in there.iter().filter(|(path, _)| !blobs.contains_key(*path)) {
        listing.extend_from_slice(format!("0 {}\t{path}\0", "0".repeat(name.len())).as_bytes());
    }
    for (path, name) in blobs {
        listing.extend_from_slice(format!("100644 {name}\t{path}\0").as_bytes());
    }
    git.bytes(&["update-index", "--add", "--replace", "-z", "--index-info"], Some(&listing), Some(&index))?;
    let tree = git.bytes(&["write-tree"], None, Some(&index))?;
    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
    let mut arguments = vec!["commit-tree", tree.as_str()];
    if let Some(tip) = tip {
        arguments.extend(["-p", tip]);
    }
    git.text(&arguments, Some(update.message.as_bytes()))
}

/// Moves the branch to `commit` if it is still at `tip`; returns whether it was.
fn publish(
    git: &Git<'_>,
    update: &Update,
    reference: &str,
    tip: Option<&str>,
    commit: &str,
) -> Result<bool, BranchError> {
    let Some(remote) = &update.remote else {
        let zero = "0".repeat(commit.len());
        let (moved, _, reason) =
            git.run(&["update-ref", reference, commit, tip.unwrap_or(&zero)], None, None)?;
        let raced = ["cannot lock ref", "but expected"].iter().any(|sign| reason.contains(sign));
        return if moved || raced {
            Ok(moved)
        } else {
            Err(BranchError::Git { what: "update-ref".to_owned(), reason })
        };
    };
    let lease = format!("--force-with-lease={reference}:{}", tip.unwrap_or_default());
    let refspec = format!("{commit}:{reference}");
    let arguments = ["push", "--quiet", "--porcelain", "--no-verify", &lease, remote.as_str(), &refspec];
    let (pushed, output, reason) = git.run(&arguments, None, None)?;
    let said = format!("{}{reason}", without_credentials(&String::from_utf8_lossy(&output)));
    let raced = ["stale info", "cannot lock ref", "fetch first", "failed to update ref", "already exists"];
    if pushed || raced.iter().any(|sign| said.contains(sign)) {
        return Ok(pushed);
    }
    Err(BranchError::Git { what: "push".to_owned(), reason: said.trim().to_owned() })
}
