//! Branches that hold something else than results, and must not be written into by mistake: the remote's first branch, a
//! registry, and code.

use super::git::Git;
use super::{BranchError, Update};

/// The file that a branch with a registry has at its top.
const LEDGER: &str = "ledger.jsonl";
/// The file that a branch with the code of a project has in the project's folder.
const PROJECT: &str = "modelgate.yaml";

/// Says that a branch is the one that clones begin with.
pub(super) fn first(branch: &str) -> BranchError {
    let sentence = format!(
        "`{branch}` is the branch that clones of the remote begin with: results go to a branch of their own, such as `update`"
    );
    BranchError::Usage(sentence)
}

/// Refuses files that would make the branch one that is not written into: the next time it would be refused for them.
pub(super) fn check_files(update: &Update, prefix: &str, files: &[String]) -> Result<(), BranchError> {
    let brings = |path: &str| files.iter().any(|file| file == path);
    let sentence = if brings(LEDGER) {
        format!("`{LEDGER}` makes the branch `{}` a registry: it is no result", update.branch)
    } else if !update.force && brings(&format!("{prefix}{PROJECT}")) {
        format!(
            "`{PROJECT}` makes `{}` a branch of code: results go without it; `--force` takes it all the same, now and the next time",
            update.branch
        )
    } else {
        return Ok(());
    };
    Err(BranchError::Usage(sentence))
}

/// Refuses a branch whose newest commit is `tip` if it is a registry or, unless that is wanted, code.
pub(super) fn check(git: &Git<'_>, update: &Update, prefix: &str, tip: &str) -> Result<(), BranchError> {
    let branch = &update.branch;
    let has = |path: &str| {
        Ok::<bool, BranchError>(git.maybe(&["cat-file", "-t", &format!("{tip}:{path}")])?.is_some())
    };
    if has(LEDGER)? {
        let sentence =
            format!("`{branch}` holds a registry, with its `{LEDGER}`: results go to another branch");
        return Err(BranchError::Usage(sentence));
    }
    if update.force {
        return Ok(());
    }
    // In a clone of one commit, nothing is known of what came before it.
    let shared = git.maybe(&["merge-base", "HEAD", tip])?.is_some();
    let project = format!("{prefix}{PROJECT}");
    if shared || has(&project)? {
        let why =
            if shared { "shares its history with what is checked out" } else { "holds the project file" };
        let sentence = format!(
            "`{branch}` is a branch of code, it {why}: results go to a branch of their own, such as `update`; `--force` \
             puts them beside the code"
        );
        return Err(BranchError::Usage(sentence));
    }
    Ok(())
}
