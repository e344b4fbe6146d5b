//! A branch has two sides, the remote's and this clone's. Which one is the registry follows from whether there is a
//! remote `origin`, which anybody may add, rename or remove; so a side that lacks events of the other is refused before it
//! is taken for a registry, and an empty one above all.

use super::{GitBranchHome, LEDGER};
use crate::RegistryError;
use crate::home::Home;

impl GitBranchHome {
    /// Returns the names of the repository's remotes.
    pub(super) fn remotes(&self) -> Result<Vec<String>, RegistryError> {
        Ok(self.git(&["remote"], None)?.lines().map(str::to_owned).collect())
    }

    /// Refuses when this clone knows events of the branch that the side in use lacks.
    pub(super) fn look_at_the_other_side(&self) -> Result<(), RegistryError> {
        let (branch, local, tracking) = (&self.branch, self.local(), self.tracking());
        if self.remote {
            if self.lacks(&local)? {
                return Err(self.elsewhere(format!(
                    "the branch `{branch}` of this clone holds events that `origin` lacks; `git push origin {branch}` takes \
                     them there, or, when they are not this registry's, `git branch -m {branch} {branch}-of-this-clone` \
                     puts them aside"
                )));
            }
            // Fetched, the two are the same; a branch that is gone from the remote was not fetched.
            if self.tip.is_none() && self.commit_of(&tracking)?.is_some() {
                return Err(self.elsewhere(format!(
                    "`origin` has no branch `{branch}` any more, and this clone has fetched it before; `git push origin \
                     {tracking}:{local}` brings it back, or, to begin anew, `git update-ref -d {tracking}`"
                )));
            }
            return Ok(());
        }
        if self.lacks(&tracking)? {
            return Err(self.elsewhere(format!(
                "this clone has fetched events of it from a remote `origin`, which it no longer has: give the remote that \
                 name again (`git remote rename NAME origin`), or, to go on in this clone alone, `git branch --force \
                 {branch} {tracking}`"
            )));
        }
        let remotes = self.remotes()?;
        if self.tip.is_none() && !remotes.is_empty() && !self.is_for_this_clone()? {
            let remotes = remotes.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(self.elsewhere(format!(
                "a registry is shared through a remote called `origin`; this clone has {remotes} alone, and would begin \
                 an empty registry of its own: `git remote rename NAME origin`, or, to keep it in this clone, \
                 `git config branch.{branch}.remote .`"
            )));
        }
        Ok(())
    }

    /// Returns whether git was told that the branch belongs to this clone.
    fn is_for_this_clone(&self) -> Result<bool, RegistryError> {
        let name = format!("branch.{}.remote", self.branch);
        let (found, value, _) = self.try_git(&["config", "--get", &name], None, None)?;
        Ok(found && String::from_utf8_lossy(&value).trim() == ".")
    }

    /// Returns whether the ledger that `reference` names, if there is one, holds events that the side in use lacks.
    fn lacks(&self, reference: &str) -> Result<bool, RegistryError> {
        let Some(other) = self.commit_of(reference)? else { return Ok(false) };
        if let Some(tip) = &self.tip
            && (*tip == other || self.try_git(&["merge-base", "--is-ancestor", &other, tip], None, None)?.0)
        {
            return Ok(false);
        }
        // A history that was written anew, to forget removed objects, holds the same events; a branch of something else holds
        // none.
        let others = self.file_of(&other, LEDGER)?.unwrap_or_default();
        Ok(!self.recorded()?.starts_with(&others))
    }

    fn elsewhere(&self, what: String) -> RegistryError {
        RegistryError::Elsewhere { home: self.name(), what }
    }
}
